"""Beside the head of the log: the newest checkpoint that its witnesses cosigned, and what froze the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.adapters.store_session import Session
from gateway.exchangelog.flaw import Flaw

_KEEP: Final = """
INSERT INTO cosigned VALUES (1, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET size = excluded.size, note = excluded.note, time = excluded.time
WHERE cosigned.size <= excluded.size
"""  # another node may have been faster
_FREEZE: Final = "INSERT INTO frozen VALUES (1, ?, ?, ?) ON CONFLICT DO NOTHING"  # the first evidence stays


_MOVED: Final = b"moved "  # no checkpoint begins so: a log's name has no blank


def moved_to(place: str) -> bytes:
    """What stands in the place of a contradiction when a log goes on in another store."""
    return _MOVED + place.encode()


@dataclass(frozen=True, slots=True)
class CosignedNote:
    """A checkpoint with enough cosignatures, verbatim."""

    size: int
    note: bytes
    time: int  # seconds since 1970, by the log's clock


@dataclass(frozen=True, slots=True)
class Frozen:
    """Two checkpoints by the log's key that contradict each other; or the last one of a log that ended."""

    time: int  # seconds since 1970
    mine: bytes
    theirs: bytes  # empty: nothing contradicts it; or where the log goes on (`moved_to`)

    @property
    def flaw(self) -> Flaw:
        """Why the log takes no entry."""
        if self.theirs.startswith(_MOVED):
            return Flaw.MOVED
        return Flaw.FROZEN if self.theirs else Flaw.ENDED


@dataclass(frozen=True, slots=True)
class KeepCosigned:
    """An effect: this is the newest cosigned checkpoint, unless there is one of a larger tree."""

    cosigned: CosignedNote

    def apply(self, connection: Session, _index: int) -> None:
        one = self.cosigned
        connection.execute(_KEEP, (one.size, one.note, one.time))


@dataclass(frozen=True, slots=True)
class Freeze:
    """An effect: nothing is appended any more, by any process, for good."""

    frozen: Frozen

    def apply(self, connection: Session, _index: int) -> None:
        connection.execute(_FREEZE, (self.frozen.time, self.frozen.mine, self.frozen.theirs))


def cosigned(connection: Session) -> CosignedNote | None:
    """Raises `database_errors`."""
    for row in connection.execute("SELECT size, note, time FROM cosigned"):
        return CosignedNote(*row)
    return None


def frozen(connection: Session) -> Frozen | None:
    """Raises `database_errors`."""
    for row in connection.execute("SELECT time, mine, theirs FROM frozen"):
        return Frozen(*row)
    return None
