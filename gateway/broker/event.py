"""One event per request: the broker fills it, the edge emits it as one line and as metrics.

Only names from closed lists, identifiers that the hub gave, numbers and times: nothing personal, and no
text that a peer chose.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from time import perf_counter
from traceback import extract_tb
from typing import Final, Literal

from gateway.model import (
    Authority,
    Caller,
    Delivery,
    Dispatch,
    Envelope,
    ExchangeId,
    Receipt,
    Released,
    Request,
    Settlement,
    View,
)
from gateway.refusal import Code, Refusal

# In the order of the path. Making an entry and making it durable is one stage; so is all of a question to a provider
# before it leaves, and all of its answer after it came.
Stage = Literal[
    "read", "verify", "identify", "admit", "recall", "decide", "commit-1", "question", "wait", "answer",
    "release", "commit-2", "sign", "settle",
]  # fmt: skip

# What an exchange may come to: label of metrics, word of the operational log.
OUTCOMES: Final = (
    "released",
    "incomplete",
    "accepted",
    "repeated",
    "acknowledged",
    "refused",
    "failed",
    "unfinished",
)

_PLACES: Final = 32  # code positions in a trace: those of an endless recursion are a thousand


class Timed:
    """Adds the time of a `with` block to a stage. A class, because it is entered a dozen times an exchange."""

    __slots__ = ("_name", "_seconds", "_start")

    def __init__(self, seconds: dict[Stage, float], name: Stage) -> None:
        self._seconds, self._name = seconds, name

    def __enter__(self) -> None:
        self._start = perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._name] = self._seconds.get(self._name, 0.0) + perf_counter() - self._start


@dataclass(frozen=True, slots=True)
class Left:
    """A dossier left a status of its course."""

    course: str
    status: str
    seconds: float  # that it spent there


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
    retry_after: int | None = None  # seconds after which it may be tried again
    signer: str = ""  # register id of who signed, if refused for not being the peer
    outcome: str = "unfinished"  # a word of OUTCOMES
    withheld: int = 0  # fields of the payload that the view withholds
    recipients: int = 0  # of a notification that was accepted
    left: Left | None = None  # what the notification moved the dossier from
    log_index: int | None = None  # of the last entry that this exchange left
    seconds: dict[Stage, float] = field(default_factory=dict)
    provider_seconds: float = 0.0  # waiting for the slowest provider, or for a message
    trace: str = ""  # for a bug: exception type and code positions, never its message

    def stage(self, name: Stage) -> Timed:
        """Time a stage; a stage entered twice adds up."""
        return Timed(self.seconds, name)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Time the wait for a provider, or for a message to list: no time of the gateway's own. Several providers
        are waited for at once: the slowest counts.
        """
        began = perf_counter()
        try:
            with self.stage("wait"):
                yield
        finally:
            self.provider_seconds = max(self.provider_seconds, perf_counter() - began)

    @property
    def own_seconds(self) -> float:
        """Time of all stages but the wait."""
        return sum(seconds for stage, seconds in self.seconds.items() if stage != "wait")

    def finished(self, released: Released, receipt: Receipt) -> None:
        """Both commits are made; only signing is left."""
        self.outcome = "incomplete" if released.unanswered else "released"
        self.withheld = withheld(released.permitted.view)
        self.log_index = receipt.index

    def accepted(self, receipt: Receipt, recipients: int) -> None:
        """A notification is durable."""
        self.outcome, self.log_index, self.recipients = "accepted", receipt.index, recipients

    def repeated(self, receipt: Receipt) -> None:
        """A notification was accepted before; its receipt is given again."""
        self.outcome, self.log_index = "repeated", receipt.index

    def dispatched(self, dispatch: Dispatch, receipt: Receipt) -> None:
        """A message was released to the mailbox's owner."""
        self.outcome, self.withheld, self.log_index = "released", withheld(dispatch.view), receipt.index

    def acknowledged(self, receipt: Receipt | None) -> None:
        """A message was taken over by its recipient, and purged; None: it was before."""
        self.outcome, self.log_index = "acknowledged", receipt.index if receipt else None

    def refused(self, refusal: Refusal) -> None:
        """A foreseen refusal."""
        self.outcome, self.code, self.signer = "refused", refusal.code, refusal.signer
        self.retry_after = refusal.retry_after

    def failed(self, error: Exception) -> None:
        """A bug. Its message may hold a value that a peer sent; its type and its places cannot."""
        self.outcome, self.code = "failed", Code.INTERNAL
        self.trace = trace(error)


@dataclass(slots=True)
class DeliveryEvent:
    """What is known of one attempt of a delivery. Owned by the coroutine that makes it."""

    delivery: Delivery
    outcome: str = "unfinished"  # a word of Settlement, "refused" or "failed"
    code: Code | None = None  # why the attempt failed
    dead: bool = False  # it waits for the operator now
    seconds: dict[Stage, float] = field(default_factory=dict)
    trace: str = ""

    def stage(self, name: Stage) -> Timed:
        """Time a stage; a stage entered twice adds up."""
        return Timed(self.seconds, name)

    def ended(self, settlement: Settlement) -> None:
        """The delivery is settled."""
        self.outcome = settlement.value

    def refused(self, refusal: Refusal) -> None:
        """The attempt failed for a foreseen reason."""
        self.outcome, self.code = "refused", refusal.code

    def failed(self, error: Exception) -> None:
        """A bug, as in `Event.failed`."""
        self.outcome, self.code, self.trace = "failed", Code.INTERNAL, trace(error)


@lru_cache(maxsize=4096)
def withheld(view: View) -> int:
    """How many leaf paths a view withholds: a function of policy."""
    return sum(1 for reason in view.verdicts.values() if reason is not None)


def trace(error: BaseException) -> str:
    """Type and code positions of an exception, innermost first; of a deep one the innermost (attack L04)."""
    frames = extract_tb(error.__traceback__, limit=-_PLACES)
    places = (f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__name__} at {' < '.join(places)}"
