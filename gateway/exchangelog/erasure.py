"""Erasure: what is kept beside entries is destroyed, and an entry says that it was, and on what basis.

An entry stays, and so does the tree. What goes is its seeds, and with them everything that its commitments could
still tell. A whole bucket is named openly. Entries erased one by one are not: that they were erased together would
say that they are about one dossier, to everybody who reads the log. The leaf holds their number, and a salted
commitment to all that were erased one by one so far; the list itself stands beside the tree, as one list, so that
nobody can tell later which of them went together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.commitment import digest
from gateway.exchangelog.entry import Entry, Random, own_entry
from gateway.exchangelog.fields import SALT_SIZE, disclosure
from gateway.exchangelog.form import ERASED, PRUNED, Basis, Ground, Kind
from gateway.exchangelog.indices import Indices

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
class Record:
    """What was erased so far, as it stands beside the tree; not yet believed."""

    indices: Indices  # one by one
    salt: bytes  # of the commitment in the newest such entry
    buckets: Mapping[Bucket, int]  # → index of the entry that says so
    minimum: int  # the lowest index that is kept (C2SP tlog-tiles, Pruning)

    def with_(self, more: Indices, random: Random) -> Record:
        """And these too, under a new salt: what the old one told is told no more."""
        return replace(self, indices=self.indices | more, salt=random(SALT_SIZE))

    @property
    def commitment(self) -> str:
        """As the leaf holds it."""
        return digest(disclosure(self.salt, "erased", str(self.indices)))


def erased_entries(  # noqa: PLR0913, PLR0917 - what the entry says
    erasing: Erasing, record: Record, count: int, id_: ExchangeId, now: datetime, random: Random
) -> Entry:
    """`record`: with those that are erased now; `count`: how many those are."""
    return _entry(erasing, {"bucket": None, "count": count, "erased": record.commitment}, id_, now, random)


def erased_bucket(  # noqa: PLR0913, PLR0917 - what the entry says
    erasing: Erasing, bucket: Bucket, count: int, id_: ExchangeId, now: datetime, random: Random
) -> Entry:
    """`count`: entries of the bucket that had their seed until now."""
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
