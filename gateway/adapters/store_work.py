"""What the store does at once: an entry of the log, an effect on the other tables, or both."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, Protocol, TypeVar

from gateway.adapters.store_session import Session
from gateway.exchangelog.entry import Entry
from gateway.exchangelog.flaw import Flaw, ProofError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Effect(Protocol[T_co]):
    """A change of tables that is made together with an entry, or not at all."""

    def apply(self, connection: Session, index: int) -> T_co:
        """`index`: of the work's entry. Raises Refusal: then nothing of this work is done."""
        ...


@dataclass(frozen=True, slots=True)
class Work(Generic[T]):
    """All of it is done, or nothing. Its outcome is the effect's; without an effect the entry's index."""

    entry: Entry | None
    effect: Effect[T] | None = None
    of_head: bool = False  # the effect is on the head itself

    @property
    def exclusive(self) -> bool:
        """Whether nobody else may append meanwhile: most that has no entry need not wait for the others."""
        return self.of_head or self.entry is not None


CLAIM_KEY_SIZE: Final = 32  # bytes


@dataclass(frozen=True, slots=True)
class ClaimKey:
    """The store's own key: digests under it tell values apart, and tell nothing without the store."""

    _key: bytes = field(repr=False)

    @classmethod
    def of(cls, connection: Session) -> ClaimKey:
        """Under another key every ticket could be used again. Raises `ProofError`."""
        row = connection.execute("SELECT key FROM claim_key").fetchone()
        if row is None:
            raise ProofError(Flaw.UNREADABLE, "key of the claims")
        return cls(bytes(row[0]))

    def ticket(self, authority: str, ticket: str) -> bytes:
        """A ticket is a peer's own text, which may hold what it must not: this is what is kept of it."""
        return self._digest(f"{authority} {ticket}".encode())  # the register's names have capitals only

    def dossier(self, number: str) -> bytes:
        """What stands beside an uploaded document: which dossier it belongs to."""
        return self._digest(f"dossier {number}".encode())

    def _digest(self, data: bytes) -> bytes:
        return hmac.digest(self._key, data, "sha256")


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def instant(time: datetime) -> int:
    """A time as the queue keeps it."""
    return (time - _EPOCH) // _MICROSECOND


def moment(instant: int) -> datetime:
    """And back."""
    return _EPOCH + instant * _MICROSECOND
