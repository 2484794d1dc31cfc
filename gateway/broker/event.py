"""One event per request: the broker fills it, the edge emits it as one line and as metrics.

Only names from closed lists, identifiers that the hub gave, numbers and times: nothing personal, and no
text that a peer chose.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter
from traceback import extract_tb
from typing import Literal

from gateway.model import Authority, Caller, Envelope, ExchangeId, Receipt, Released, Request
from gateway.refusal import Code, Refusal

Stage = Literal["read", "verify", "identify", "admit", "decide", "record", "ask", "release", "sign"]


class Timed:
    """Adds the time of a `with` block to a stage. A class, because it is entered nine times an exchange."""

    __slots__ = ("_name", "_seconds", "_start")

    def __init__(self, seconds: dict[Stage, float], name: Stage) -> None:
        self._seconds, self._name = seconds, name

    def __enter__(self) -> None:
        self._start = perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._name] = self._seconds.get(self._name, 0.0) + perf_counter() - self._start


@dataclass(slots=True)
class Event:
    """What is known of one request so far. Owned by the coroutine that serves the request."""

    exchange: ExchangeId
    peer: Authority  # by its TLS certificate
    size: int  # bytes received
    envelope: Envelope | None = None
    caller: Caller | None = None
    request: Request | None = None
    code: Code | None = None  # why it was refused
    signer: str = ""  # register id of who signed, if refused for not being the peer
    outcome: str = "unfinished"  # "released", "incomplete", "refused" or "failed"
    withheld: int = 0  # fields of the payload that the view withholds
    log_index: int | None = None  # of the last entry that this exchange left
    seconds: dict[Stage, float] = field(default_factory=dict)
    provider_seconds: float = 0.0  # of those in "ask": waiting for the slowest provider
    trace: str = ""  # for a bug: exception type and code positions, never its message

    def stage(self, name: Stage) -> Timed:
        """Time a stage; a stage entered twice adds up."""
        return Timed(self.seconds, name)

    def waited(self, since: float) -> None:
        """A provider's bytes are here; `since` is what `perf_counter` said when it was asked."""
        self.provider_seconds = max(self.provider_seconds, perf_counter() - since)

    def finished(self, released: Released, receipt: Receipt) -> None:
        """Both commits are made; only signing is left."""
        self.outcome = "incomplete" if released.unanswered else "released"
        self.withheld = sum(1 for reason in released.permitted.view.verdicts.values() if reason is not None)
        self.log_index = receipt.index

    def refused(self, refusal: Refusal) -> None:
        """A foreseen refusal."""
        self.outcome, self.code, self.signer = "refused", refusal.code, refusal.signer

    def failed(self, error: Exception) -> None:
        """A bug. Its message may hold a value that a peer sent; its type and its places cannot."""
        self.outcome, self.code = "failed", Code.INTERNAL
        self.trace = trace(error)


def trace(error: Exception) -> str:
    """Type and code positions of an exception, innermost first."""
    places = (
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in extract_tb(error.__traceback__)
    )
    return f"{type(error).__name__} at {' < '.join(reversed(list(places)))}"
