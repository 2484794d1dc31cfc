"""Erasure: what is kept beside entries is destroyed, and an entry says that it was, and on what basis.

An entry stays, and so does the tree. What goes is its seeds, and with them everything that its commitments could
still tell. A whole bucket is named openly. Entries erased one by one are not: that they were erased together would
say that they are about one dossier, to everybody who reads the log. The leaf holds their number, and a salted
commitment to all that were erased one by one so far; the list itself stands beside the tree, as one list, so that
nobody can tell later which of them went together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.commitment import digest
from gateway.exchangelog.entry import Entry, Random
from gateway.exchangelog.fields import SALT_SIZE, disclosure
from gateway.exchangelog.form import ERASED, PRUNED, Basis, Ground, Kind
from gateway.exchangelog.indices import Indices
from gateway.exchangelog.own_entry import about, own_entry

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.model import ExchangeId


@dataclass(frozen=True, slots=True)
class Hand:
    """Who acts on the log."""

    hub: str  # enterprise number of the hub, whose log it is
    officer: str  # its identity in the settings; committed to


@dataclass(frozen=True, slots=True)
class Erasing:
    """Who erases, by what right, and in which case of it."""

    hand: Hand
    basis: Basis
    ground: Ground


@dataclass(frozen=True, slots=True)
class Listed:
    """What of a log was erased one by one so far, as it stands beside a tree; not yet believed."""

    indices: Indices
    salt: bytes  # of the commitment in the newest such entry

    def with_(self, more: Indices, random: Random) -> Listed:
        """And these too, under a new salt: what the old one told is told no more."""
        return replace(self, indices=self.indices | more, salt=random(SALT_SIZE))

    @property
    def commitment(self) -> str:
        """As the leaf holds it."""
        return digest(disclosure(self.salt, "erased", str(self.indices)))


@dataclass(frozen=True, slots=True)
class Record:
    """What was erased so far, as it stands beside the tree; not yet believed."""

    listed: Listed
    buckets: Mapping[
        Bucket, int
    ]  # → index of the entry that says so; the size of the log: another log says so
    minimum: int  # the lowest index that is kept (C2SP tlog-tiles, Pruning)
    accounts: Mapping[str, bytes] = field(
        default_factory=dict
    )  # bucket, "" for entries → what another log says
    former: Mapping[str, tuple[Listed, int]] = field(
        default_factory=dict
    )  # origin of a log that this one succeeds → what this one says of it, and in which entry


def erased_entries(  # noqa: PLR0913, PLR0917 - what the entry says
    erasing: Erasing,
    listed: Listed,
    count: int,
    id_: ExchangeId,
    now: datetime,
    random: Random,
    of_log: str | None = None,
) -> Entry:
    """`listed`: with those that are erased now; `count`: how many those are; `of_log`: of a former log, its origin."""
    said = {"bucket": None, "count": count, "erased": listed.commitment, **about(of_log)}
    return _entry(erasing, said, id_, now, random)


def erased_bucket(  # noqa: PLR0913, PLR0917 - what the entry says
    erasing: Erasing, bucket: Bucket, count: int, id_: ExchangeId, now: datetime, random: Random
) -> Entry:
    """`count`: entries of the bucket, in this log and those that it succeeds, that had their seed until now."""
    return _entry(erasing, {"bucket": str(bucket), "count": count, "erased": None}, id_, now, random)


def pruned(hand: Hand, minimum: int, id_: ExchangeId, now: datetime, random: Random) -> Entry:
    """The entries below the minimum index are no longer kept (C2SP tlog-tiles, Pruning)."""
    return own_entry(
        Kind.PRUNING, PRUNED, hand.hub, {"minimum": minimum}, id_, now, random, officer=hand.officer
    )


def _entry(
    erasing: Erasing, what: Mapping[str, object], id_: ExchangeId, now: datetime, random: Random
) -> Entry:
    more = {"basis": erasing.basis.value, "ground": erasing.ground.value, **what}
    hand = erasing.hand
    return own_entry(Kind.ERASURE, ERASED, hand.hub, more, id_, now, random, officer=hand.officer)
