"""What is erased of a log that ended: recorded in the log in force, and carried out here in the former store.

A former log takes no entry any more. The log in force records the erasure, with the list of what goes; then it goes
from the store of the former log, and its account is left there (`exchangelog.account`). A crash in between leaves
something recorded, in the log in force or in one that ended with it; whoever next opens the log in force for appending
carries it out. The key of a bucket is the last to go: without it, what is not marked as erased would look lost.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final

from gateway.adapters import store_erasure
from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_connect import connect
from gateway.adapters.store_former import LogAt, Said, Succession, note_of, placed, reading, succession
from gateway.adapters.store_log import Log
from gateway.adapters.store_session import Begin, Session, StorePlace, Use, database_errors, unreadable
from gateway.exchangelog.account import Account, Placed
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.cosignature import Cosigner
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import NoteKey, Signer, parse_note

_OPEN: Final = "SELECT name FROM buckets WHERE erased IS NULL"
_MARK: Final = "UPDATE buckets SET erased = (SELECT size FROM head) WHERE name = ? AND erased IS NULL"
_ACCOUNT: Final = """
INSERT INTO accounts VALUES (?, ?) ON CONFLICT (bucket) DO UPDATE SET account = excluded.account
"""


def open_settled(  # noqa: PLR0913, PLR0917 - as `Log.open`
    place: StorePlace,
    signers: Sequence[Signer],
    bucket_keys: BucketKeys,
    pinned: Checkpoint | None = None,
    beside: Cosigner | None = None,
    former: Sequence[StorePlace] = (),
) -> Log:
    """`Log.open` for whoever begins to append: first what was recorded and not ended is ended, in the stores of former
    logs, then in this one. Raises `ProofError`.
    """
    log = Log.open(place, signers, bucket_keys, pinned, beside)
    try:
        settle(place, former, [one.verifier for one in signers], bucket_keys)
        log.complete()
    except database_errors() as error:
        log.close()
        raise unreadable(error, place) from error
    except ProofError:
        log.close()
        raise
    return log


def settle(
    place: StorePlace, former: Sequence[StorePlace], verifiers: Sequence[NoteKey], bucket_keys: BucketKeys
) -> bool:
    """Carries out in the stores of former logs what was recorded as erased of them. Raises `ProofError`.

    As `Session.forget`: False while old pages may still hold something.
    """
    if not former:
        return True
    logs = succession(place, former, verifiers)
    cleared = [_settle(logs, one) for one in logs.former]
    _destroy(logs, bucket_keys)
    return all(cleared)


def _destroy(logs: Succession, bucket_keys: BucketKeys) -> None:
    """The keys of buckets that a former log had erased when it ended, once no store has them open."""
    left = {
        bucket: Said(one, index, str(bucket))
        for one in logs.former
        for bucket, index in logs.records[one.origin].buckets.items()
        if index < one.checkpoint.size
    }
    due = bucket_keys.held() & left.keys()
    for one in logs.all if due else ():
        due -= _open(one)
    for bucket in due:
        _require_said(left[bucket], left[bucket].by.origin)
        bucket_keys.destroy(bucket)


def unmarked(logs: Succession, one: LogAt) -> list[Said]:
    """The buckets that later logs have erased, and that the store of this one has as if nobody had. Raises `ProofError`."""
    open_ = {str(bucket) for bucket in _open(one)}
    return [said for bucket, said in logs.marked(one).items() if bucket in open_]


def _open(one: LogAt) -> set[Bucket]:
    """The buckets of its store that are not erased."""
    with reading(one.place) as session:
        return {Bucket.parse(name) for (name,) in session.execute(_OPEN).fetchall()}


def _settle(logs: Succession, one: LogAt) -> bool:
    """One former log. Where nothing is left to do, its store is only read."""
    with reading(one.place) as session:
        mine, remains = store_erasure.listed(session), store_erasure.remains(session)
    pending = unmarked(logs, one)
    newest = logs.newest_list(one)
    # A list only grows: one that has no more than that of the former log is an older one, read while another went on.
    if newest is not None and newest.listed is not None and (newest.listed.indices - mine.indices).ranges:
        pending.append(newest)
    if not pending and not remains:
        return True
    accounts = [(said, _account(logs, one, said)) for said in pending]
    try:
        with contextlib.closing(connect(one.place, Use.APPEND)) as target:
            target.take_time()
            target.begin(Begin.EXCLUSIVE)
            if store_erasure.listed(target) != mine:  # another process carries something out
                target.roll_back()
                return _settle(logs, one)
            for said, account in accounts:
                _carry_out(target, said, account)
            target.commit()
            # At this point it is accounted for in the former log, too; rows of buckets go some at a time.
            store_erasure.remove(target)
            return target.forget()
    except database_errors() as error:
        raise unreadable(error, one.place) from error


def _account(logs: Succession, one: LogAt, said: Said) -> bytes | None:
    """None where nothing leads from the one log to the other: then nobody can prove it, and the check says so.

    Raises `ProofError` (LOG646): then nothing is carried out.
    """
    entry, note, tree = _require_said(said, one.origin)
    after = logs.after(one)
    between = after[: after.index(said.by)]
    if any(log.agreed is None for log in (one, *between)):
        return None
    firsts = [log.first for log in between if log.first is not None]
    with reading(said.by.place) as session:
        return Account(entry, (*firsts, placed(session, 0, tree)), note).serialise()


def _require_said(said: Said, origin: str) -> tuple[Placed, str, Checkpoint]:
    """The entry that says it of the log of this origin, and the checkpoint under which it was looked up.

    Raises `ProofError`: LOG646 when the entry does not say what stands beside it.
    """
    with reading(said.by.place) as session:
        note = note_of(session)
        tree = Checkpoint.parse(parse_note(note.encode()).text)
        entry = placed(session, said.index, tree)
    if not said.stands_in(entry.within(tree), origin):
        raise ProofError(Flaw.ERASURE, f"{said.by.place}: entry {said.index}")
    return entry, note, tree


def _carry_out(target: Session, said: Said, account: bytes | None) -> None:
    if said.listed is None:
        target.execute(_MARK, (said.bucket,))
    else:
        store_erasure.forget_entries(target, said.listed.indices, said.listed)
    if account is not None:
        target.execute(_ACCOUNT, (said.bucket, account))
