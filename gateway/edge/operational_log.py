"""Operational logging: one JSON line per request on standard error. Not the exchange log, which is evidence.

A line holds closed words, the hub's own identifiers, sizes and times: nothing personal, nothing that a
peer wrote.
"""

from __future__ import annotations

import logging
from typing import TextIO

import structlog

from gateway.broker.event import DeliveryEvent, Event
from gateway.model import Authority
from gateway.refusal import Refusal


class OperationalLog:
    """Writes to `stream`. Owned by the application."""

    def __init__(self, stream: TextIO) -> None:
        self._logger = structlog.wrap_logger(
            structlog.WriteLogger(stream),
            processors=[
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(),  # ASCII: no line can be split or recoloured (L01, L02)
            ],
        )

    def note(self, event: str, **facts: str | float) -> None:
        """A fact of the hub's own life: started, stopping, log unavailable."""
        self._logger.info(event, **facts)

    def emit(self, event: Event) -> None:
        """The one line of a finished request."""
        request = event.request
        self._logger.info(
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
        self._logger.info(
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
        """A bare HTTP refusal; `error` is what a parser raised: its type is told, its message quotes the peer."""
        self._logger.info(
            "refused",
            peer=peer.id if peer else None,
            code=refusal.code.row.code,
            label=refusal.code.row.label,
            **({"error": type(error).__name__} if error else {}),
        )


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
