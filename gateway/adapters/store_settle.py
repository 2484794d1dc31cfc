"""What is erased of a log that ended: recorded in the log in force, and carried out here in the former store.

A former log takes no entry any more. The log in force records the erasure, with the list of what goes; then it goes
from the store of the former log, and its account is left there (`exchangelog.account`). A crash in between leaves
something recorded; whoever next opens the log in force for appending carries it out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final

from gateway.adapters import store_erasure
from gateway.adapters.store_connect import connect
from gateway.adapters.store_former import LogAt, Said, Succession, note_of, placed, reading, succession
from gateway.adapters.store_session import Begin, Session, StorePlace, Use, database_errors, unreadable
from gateway.exchangelog.account import Account
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import NoteKey, parse_note

_OPEN: Final = "SELECT name FROM buckets WHERE erased IS NULL"
_MARK: Final = "UPDATE buckets SET erased = (SELECT size FROM head) WHERE name = ? AND erased IS NULL"
_ACCOUNT: Final = """
INSERT INTO accounts VALUES (?, ?) ON CONFLICT (bucket) DO UPDATE SET account = excluded.account
"""


def settle(place: StorePlace, former: Sequence[StorePlace], verifiers: Sequence[NoteKey]) -> bool:
    """Carries out in the stores of former logs what was recorded as erased of them. Raises `ProofError`.

    As `Session.forget`: False while old pages may still hold something.
    """
    if not former:
        return True
    logs = succession(place, former, verifiers)
    cleared = [_settle(logs, one) for one in logs.former]
    return all(cleared)


def _settle(logs: Succession, one: LogAt) -> bool:
    """One former log. Where nothing is left to do, its store is only read."""
    with reading(one.place) as session:
        mine, remains = store_erasure.listed(session), store_erasure.erased_remains(session)
        open_ = {str(name) for (name,) in session.execute(_OPEN).fetchall()}
    pending = [said for bucket, said in logs.marked(one).items() if bucket in open_]
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
            while store_erasure.remove_erased(target):
                pass
            return target.forget()
    except database_errors() as error:
        raise unreadable(error, one.place) from error


def _account(logs: Succession, one: LogAt, said: Said) -> bytes | None:
    """None where nothing leads from the one log to the other: then nobody can prove it, and the check says so.

    Raises `ProofError`: LOG646 when the entry does not say what stands beside it, so that nothing is carried out.
    """
    with reading(said.by.place) as session:
        note = note_of(session)
        tree = Checkpoint.parse(parse_note(note.encode()).text)
        entry = placed(session, said.index, tree)
        if not said.stands_in(entry.within(tree), one.origin):
            raise ProofError(Flaw.ERASURE, f"{said.by.place}: entry {said.index}")
        after = logs.after(one)
        between = after[: after.index(said.by)]
        if any(log.agreed is None for log in (one, *between)):
            return None
        firsts = [log.first for log in between if log.first is not None]
        return Account(entry, (*firsts, placed(session, 0, tree)), note).serialise()


def _carry_out(target: Session, said: Said, account: bytes | None) -> None:
    if said.listed is None:
        target.execute(_MARK, (said.bucket,))
    else:
        store_erasure.forget_entries(target, said.listed.indices, said.listed)
    if account is not None:
        target.execute(_ACCOUNT, (said.bucket, account))
