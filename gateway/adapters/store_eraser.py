"""The operator's hand on the log, beside a running hub or without one: erases, prunes, and says what is due.

Each act is an entry of the log, made in the transaction of what it says. The write-ahead log is emptied afterwards,
so that no earlier state of a page remains in it. What is erased of a log that this one succeeds is an entry of this
one, too, and is carried out there afterwards.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_connect import connect
from gateway.adapters.store_erasure import (
    EraseBucket,
    EraseEntries,
    EraseOfFormer,
    Prune,
    counted,
    listed,
    record,
    said,
    standing,
)
from gateway.adapters.store_filter import FIELDS
from gateway.adapters.store_former import LogAt, reading
from gateway.adapters.store_session import PerEngine, StorePlace, Use, database_errors, unreadable
from gateway.adapters.store_settle import open_settled, settle
from gateway.adapters.store_work import Effect, Work
from gateway.exchangelog import erasure
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.entry import Entry
from gateway.exchangelog.erasure import Erasing, Hand, Listed
from gateway.exchangelog.exchange_id import new_exchange_id
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.indices import Indices
from gateway.exchangelog.note import Signer
from gateway.exchangelog.tile import WIDTH
from gateway.refusal import Refusal

MOST: Final = 10_000  # entries erased one by one in one transaction, for which a hub that runs must wait
_BUCKETS: Final = (
    "SELECT name, erased, (SELECT count(*) FROM seeds WHERE bucket = name) FROM buckets ORDER BY name"
)
# The first entry that is to stay; the entries before it are of due buckets, whatever their clocks said.
_FIRST_KEPT: Final = PerEngine.of(
    "SELECT idx FROM entries WHERE {fields} ->> 't' >= ? ORDER BY idx LIMIT 1", fields=FIELDS
)
_SIZE: Final = "SELECT size FROM head"


@dataclass(frozen=True, slots=True)
class BucketState:
    """A bucket of the store."""

    bucket: Bucket
    seeds: int  # entries that have theirs
    erased: int | None  # index of the entry that says so
    keyed: bool  # its key is there


@dataclass(frozen=True, slots=True)
class Done:
    """What an erasure has done."""

    index: int  # of its entry
    count: int  # entries concerned
    truncated: (
        bool  # nothing of it is left in old pages: a reader that stays long is no failure of the erasure
    )


class Eraser:
    """On one store, and on those of the logs that its log succeeds. Every method raises `ProofError`."""

    def __init__(
        self,
        place: StorePlace,
        keys: BucketKeys,
        pinned: Checkpoint | None = None,
        former: Sequence[StorePlace] = (),
    ) -> None:
        """`pinned`: what the log must extend; `former`: stores of the logs that it succeeds, the oldest first."""
        self._place = place
        self._keys = keys
        self._pinned = pinned
        self._former = former
        self._connection = connect(place, Use.READ)
        self._connection.take_time()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def buckets(self) -> Sequence[BucketState]:
        """In order of their names. Of former logs those that were not erased: the keys are the same."""
        held, found = self._keys.held(), dict[str, tuple[int, int | None]]()
        for place in self._former:
            with reading(place) as session:
                for name, erased, seeds in session.execute(_BUCKETS).fetchall():
                    if erased is None:
                        found[str(name)] = found.get(str(name), (0, None))[0] + int(seeds), None
        for name, erased, seeds in self._query(_BUCKETS):
            found[str(name)] = found.get(str(name), (0, None))[0] + int(seeds), erased
        return [
            BucketState(Bucket.parse(name), seeds, erased, Bucket.parse(name) in held)
            for name, (seeds, erased) in sorted(found.items())
        ]

    def standing(self, wanted: Indices, of: LogAt | None = None) -> Indices:
        """Those of which something is left to erase. LOG503 for one that is no entry; LOG653 when nothing is.

        LOG651 for more than `MOST`. `of`: the former log whose entries they are; LOG720 when nobody could check that
        they were erased, since the log in force does not lead to it.
        """
        _require_led(of)
        with reading(self._place if of is None else of.place) as session:
            ((size,),) = session.execute(_SIZE)
            if wanted.ranges and wanted.ranges[-1][1] >= size:
                raise ProofError(Flaw.ABSENT, f"index {wanted.ranges[-1][1]}")
            found = standing(session, wanted)
        if not found.ranges:
            raise ProofError(Flaw.NOTHING, str(wanted))
        if len(found) > MOST:
            raise ProofError(Flaw.NOT_ERASABLE, f"{len(found)} entries; at most {MOST} at once")
        return found

    def state(self, bucket: Bucket, now: datetime) -> BucketState:
        """Of one that can be erased: LOG651 while its month lasts, LOG653 when it was, or when there is none."""
        found = next((one for one in self.buckets() if one.bucket == bucket and one.erased is None), None)
        if found is None:
            raise ProofError(Flaw.NOTHING, str(bucket))
        if bucket.end > now:
            raise ProofError(Flaw.NOT_ERASABLE, f"{bucket} lasts until {bucket.end:%Y-%m-%d}")
        return found

    def minimum(self, years: int, now: datetime) -> int:
        """Below which whole bundles may be pruned; LOG653 when that is nothing, LOG651 before their buckets are erased."""
        month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        cutoff = month.replace(year=month.year - years).isoformat(timespec="milliseconds")[:23]
        ((size,),), kept = self._query(_SIZE), self._query(_FIRST_KEPT, (cutoff,))
        minimum = int(kept[0][0] if kept else size) // WIDTH * WIDTH
        with self._translated():
            before = record(self._connection).minimum
            left = standing(self._connection, Indices(((0, minimum - 1),))) if minimum else Indices()
        if minimum <= before:
            raise ProofError(Flaw.NOTHING, f"no whole bundle above index {before}")
        if left.ranges:
            raise ProofError(
                Flaw.NOT_ERASABLE, f"entry {left.ranges[0][0]} has its seed: erase its bucket first"
            )
        return minimum

    def erase_entries(
        self,
        wanted: Indices,
        erasing: Erasing,
        signers: Sequence[Signer],
        now: datetime,
        of: LogAt | None = None,
    ) -> Done:
        """What is kept of these entries, of each of which something is (`standing`). `of`: a former log.

        LOG720 as there.
        """
        _require_led(of)
        self.settle(signers)  # what logs between that one and this one said is in its list from now on
        before, told = self._listed(of)
        after, of_log = before.with_(wanted, os.urandom), None if of is None else of.origin
        id_ = new_exchange_id(now, os.urandom)
        made = erasure.erased_entries(erasing, after, len(wanted), id_, now, os.urandom, of_log)
        if of is None:
            return self._append(made, EraseEntries(wanted, before, after), len(wanted), signers)
        return self._append(made, EraseOfFormer(of.origin, told, after), len(wanted), signers)

    def _listed(self, of: LogAt | None) -> tuple[Listed, tuple[Listed, int] | None]:
        """What was erased one by one so far, and what of it this log has said of a former one."""
        with reading(self._place) as session:
            told = None if of is None else said(session).get(of.origin)
            if told is not None:  # newer than what stands there, if that is another
                return told[0], told
            if of is None:
                return listed(session), None
        with reading(of.place) as session:
            return listed(session), None

    def settle(self, signers: Sequence[Signer]) -> bool:
        """Carries out what is recorded of former logs: see `store_settle.settle`."""
        return settle(self._place, self._former, [one.verifier for one in signers], self._keys)

    def erase_bucket(
        self, bucket: Bucket, erasing: Erasing, signers: Sequence[Signer], now: datetime
    ) -> Done:
        """Whatever is kept in it, here, in former logs, and in every copy of their stores: its key is destroyed."""
        with self._translated():
            mine = counted(self._connection, bucket)
        count = next((one.seeds for one in self.buckets() if one.bucket == bucket), mine)
        made = erasure.erased_bucket(
            erasing, bucket, count, new_exchange_id(now, os.urandom), now, os.urandom
        )
        return self._append(made, EraseBucket(bucket, mine), count, signers)

    def prune(
        self,
        hand: Hand,
        minimum: int,
        signers: Sequence[Signer],
        now: datetime,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Done:
        """Entries below the minimum index. `progress`: called with the number of entries removed so far."""
        with self._translated():
            before = record(self._connection).minimum
        made = erasure.pruned(hand, minimum, new_exchange_id(now, os.urandom), now, os.urandom)
        return self._append(made, Prune(minimum), minimum - before, signers, progress)

    def _append(
        self,
        made: Entry,
        effect: Effect[int],
        count: int,
        signers: Sequence[Signer],
        progress: Callable[[int], None] = lambda _: None,
    ) -> Done:
        with (
            self._translated(),
            contextlib.closing(
                open_settled(self._place, signers, self._keys, self._pinned, former=self._former)
            ) as log,
        ):
            (outcome,) = log.append([Work(made, effect)])
            if isinstance(outcome, Refusal):
                raise ProofError(Flaw.NOT_DONE, outcome.about)
            # At this point it is recorded: whatever is left to do, the next command or start of the hub does.
            cleared = self.settle(signers)
            log.complete(progress)
            return Done(int(outcome), count, log.forget() and cleared)

    def _query(self, sql: str, bindings: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._translated():
            return self._connection.execute(sql, bindings).fetchall()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except database_errors() as error:
            raise unreadable(error, self._place) from error


def _require_led(of: LogAt | None) -> None:
    if of is not None and not of.led:
        raise ProofError(Flaw.FORMER, f"nothing leads to {of.origin}")
