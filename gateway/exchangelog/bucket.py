"""Buckets: what is kept beside the tree for equally long has one key, so that destroying the key erases all of it.

A bucket is a retention class and the month of the entry's time, UTC. Both stand in the leaf.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from gateway.exchangelog.flaw import Flaw, ProofError

_NAME: Final = re.compile(r"([a-z][a-z-]{0,15})/(\d{4}-(?:0[1-9]|1[0-2]))", re.ASCII)


class Bucket(NamedTuple):
    """Written `exchange/2026-11`. A tuple: every entry looks its own up, several times."""

    retention: str  # retention class
    month: str  # YYYY-MM

    def __str__(self) -> str:
        return f"{self.retention}/{self.month}"

    @classmethod
    def parse(cls, name: str) -> Bucket:
        """Raises `ProofError` (LOG641)."""
        return _parsed(name)

    @property
    def end(self) -> datetime:
        """The first moment after its month."""
        year, month = map(int, self.month.split("-"))
        return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)

    def due(self, years: int) -> datetime:
        """When its retention period has ended for the youngest of its entries."""
        return self.end.replace(year=self.end.year + years)


@lru_cache(maxsize=1024)  # every entry asks, and a log has twelve in a year
def _parsed(name: str) -> Bucket:
    found = _NAME.fullmatch(name)
    if found is None:
        raise ProofError(Flaw.BUCKET_NAME, name)
    return Bucket(found[1], found[2])


class _Dated(msgspec.Struct):
    """What of a leaf says in which bucket it is."""

    t: str
    ret: str


_dated: Final = msgspec.json.Decoder(_Dated).decode


def bucket_of(leaf: bytes) -> Bucket:
    """Of the entry with this leaf. Raises `ProofError` (LOG301) for what is no leaf."""
    try:
        dated = _dated(leaf)
        return Bucket.parse(f"{dated.ret}/{dated.t[:7]}")
    except (ValueError, RecursionError, ProofError):  # also of bytes that are no UTF-8
        raise ProofError(Flaw.ENTRY_FORM, "time or retention class") from None
