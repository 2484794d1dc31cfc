"""Operational logging: one JSON line per request on standard error. Not the exchange log, which is evidence.

A line holds closed words, the hub's own identifiers, sizes and times: nothing personal, nothing that a
peer wrote. It is evidence of nothing: when it cannot be written, the hub goes on, and says that it is not ready.
"""

from __future__ import annotations

import json
import logging
import select
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import TextIO

from gateway.broker.event import DeliveryEvent, Event, trace
from gateway.edge.repeats import Repeats
from gateway.model import Authority
from gateway.refusal import Refusal


class OperationalLog:
    """Writes to `stream`. Owned by the application."""

    def __init__(
        self, stream: TextIO, clock: Callable[[], float] = monotonic, worker: int | None = None
    ) -> None:
        """`worker`: the number of this process among several of a hub, which write to one stream."""
        self._lines = _Lines(stream)
        self._repeats = Repeats(clock)
        self._worker: Mapping[str, object] = {} if worker is None else {"worker": worker}

    @property
    def writable(self) -> bool:
        """False from a line that could not be written until one could that says so."""
        return self._lines.lost == 0

    def note(self, event: str, **facts: str | float) -> None:
        """A fact of the hub's own life: started, stopping, log unavailable."""
        self._tell(event, **facts)

    def _tell(self, event: str, **facts: object) -> None:
        if not self._lines.write(self._line(event, facts)):
            self._lines.lost += 1

    def _line(self, event: str, facts: Mapping[str, object]) -> str:
        """One line of ASCII: none can be split or recoloured (L01, L02)."""
        moment = datetime.now(UTC).isoformat(timespec="microseconds").removesuffix("+00:00")
        return json.dumps({**self._worker, **facts, "event": event, "timestamp": f"{moment}Z"})

    def emit(self, event: Event) -> None:
        """The one line of a finished request."""
        request = event.request
        self._tell(
            "exchange",
            exchange=event.exchange,
            peer=event.peer.id,
            operation=request.operation if request else None,
            outcome=event.outcome,
            code=event.code.row.code if event.code else None,
            label=event.code.row.label if event.code else None,
            log_index=event.log_index,
            bytes=event.size,
            withheld=event.withheld,
            **({"recipients": event.recipients} if event.recipients else {}),
            ms={stage: round(seconds * 1000, 3) for stage, seconds in event.seconds.items()},
            **({"signer": event.signer} if event.signer else {}),
            **({"trace": event.trace} if event.trace else {}),
        )

    def delivery(self, event: DeliveryEvent) -> None:
        """The one line of an attempt to deliver."""
        delivery = event.delivery
        self._tell(
            "delivery",
            delivery=delivery.id,
            exchange=delivery.notification.exchange,
            recipient=delivery.recipient,
            operation=delivery.notification.operation,
            attempt=delivery.attempts + 1,
            outcome=event.outcome,
            code=event.code.row.code if event.code else None,
            label=event.code.row.label if event.code else None,
            dead=event.dead,
            ms={stage: round(seconds * 1000, 3) for stage, seconds in event.seconds.items()},
            **({"trace": event.trace} if event.trace else {}),
        )

    def refused_on_the_wire(
        self, refusal: Refusal, peer: Authority | None = None, error: BaseException | None = None
    ) -> None:
        """A bare HTTP refusal; `error` is what a parser raised: its type is told, its message quotes the peer.

        One that says what many have just said is only counted (attack L04).
        """
        row = refusal.code.row
        facts = {"peer": peer.id if peer else None, "code": row.code, "label": row.label}
        if error:
            facts["error"] = type(error).__name__
        self.catch_up()
        if self._repeats.passes(tuple(facts.items())):
            self._tell("refused", **facts)

    def catch_up(self, *, ending: bool = False) -> None:
        """Tell how many lines were lost, once one can be written again: nobody may come who would have another written. And
        how many refusals were only counted, of each minute that is over; of all when the hub is `ending`.
        """
        if self._lines.lost and self._lines.write(self._line("lost", {"lines": self._lines.lost})):
            self._lines.lost = 0
        for facts, more in self._repeats.over(ending=ending):
            self._tell("refused", **dict(facts), repeated=more)


class _Lines:
    """The stream. A disk that is full, or a reader that is gone or has stopped reading, ends no exchange."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._room = _room(stream)
        self.lost = 0  # lines of which nobody was told yet

    def write(self, line: str) -> bool:
        """Whether it was written."""
        if not self._room():
            return False
        try:
            self._stream.write(f"{line}\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream is closed
            return False
        return True


def _room(stream: TextIO) -> Callable[[], bool]:
    """Whether a line can be written without waiting: of a pipe at least a page, which no line needs. Always in memory."""
    with suppress(OSError, ValueError):
        return partial(_takes, stream.fileno())
    return lambda: True


def _takes(descriptor: int) -> bool:
    """Something now, or an error, which is told when the line is written. For several threads at once."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))


class LibraryLines(logging.Handler):
    """What a library would print, as one line of closed words: who, where in its code, what kind of error.

    Its own text is left out. Libraries quote what a peer sent, over several lines (attacks L01, L02).
    """

    def __init__(self, log: OperationalLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0] if record.exc_info else None
        self._log.note(
            "library",
            logger=record.name,
            level=record.levelname,
            place=f"{record.module}:{record.lineno}",
            **({"error": error.__name__} if error else {}),
        )


def tell_uncaught(log: OperationalLog) -> None:
    """Of what nobody caught Python prints the text, which may quote a peer: here it becomes one line without it.

    The main thread, other threads, what cannot be raised, warnings. For the whole process (attack L03).
    """

    def failed(error: BaseException | None) -> None:
        log.note("failed", trace=trace(error) if error is not None else "unknown")

    sys.excepthook = lambda _kind, error, _places: failed(error)
    threading.excepthook = lambda thread: failed(thread.exc_value)
    sys.unraisablehook = lambda unraisable: failed(unraisable.exc_value)
    logging.captureWarnings(capture=True)
