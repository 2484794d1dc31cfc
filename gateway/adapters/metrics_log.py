"""Series of the exchange log: its size, its pin and its witnesses, what is due, who read it."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter

from gateway.adapters.metrics_stated import Stated
from gateway.model import AuthorityId


class LogSeries:
    """A part of `Metrics`."""

    def _count_log(self, counted: CollectorRegistry) -> None:
        self._witnessed = Counter(
            "gateway_witness_answers",
            "Checkpoints sent to witnesses, by what came of them.",
            ["witness", "outcome"],
            registry=counted,
        )
        self._log_reads = Counter(
            "gateway_log_reads",
            "Resources of the exchange log served over HTTP.",
            ["authority", "resource"],
            registry=counted,
        )

    def _state_log(self, stated: CollectorRegistry) -> None:
        self._log_size = Stated(
            "gateway_log_entries", "Entries in the exchange log.", ["origin"], registry=stated
        )
        self._ready = Stated(
            "gateway_ready", "1 when an exchange would be recorded: what /readyz says.", registry=stated
        )
        self._due = Stated(
            "gateway_buckets_due",
            "Buckets of the exchange log whose retention period has ended and that are not erased.",
            registry=stated,
        )
        self._pin = Stated(
            "gateway_pin_timestamp_seconds",
            "When the pin was last found to be the log's checkpoint, or made so, by whichever process.",
            registry=stated,
        )
        self._cosigned = Stated(
            "gateway_cosigned_timestamp_seconds",
            "When enough witnesses last cosigned a checkpoint.",
            registry=stated,
        )

    def log_size(self, origin: str, entries: int) -> None:
        """State the size of the exchange log. A successor begins anew, and is another log, by its origin."""
        self._log_size.replace({(origin,): entries})

    def ready(self, *, is_so: bool) -> None:
        """State whether an exchange would be recorded."""
        self._ready.set(is_so)

    def buckets_due(self, number: int) -> None:
        """How many buckets of the exchange log are kept longer than the agreement permits."""
        self._due.set(number)

    def log_read(self, authority: AuthorityId, resource: str) -> None:
        """Count one resource of the log that was served: checkpoint, tile, entries."""
        self._log_reads.labels(authority, resource).inc()

    def pinned(self) -> None:
        """State that the pin is current now."""
        self._pin.set_to_current_time()

    def pin_written(self, time: float) -> None:
        """State when it was made current, before this process has done so: one that never can is seen to stand still."""
        self._pin.set(time)

    def cosigned(self, time: int) -> None:
        """State when enough witnesses last cosigned; 0: never."""
        self._cosigned.set(time)

    def expect_witness(self, witness: str, outcomes: Iterable[str]) -> None:
        """These may be counted from now on: alerts watch the first of some, and after a fork there is no second."""
        for outcome in outcomes:
            self._witnessed.labels(witness, outcome)

    def witnessed(self, witness: str, outcome: str) -> None:
        """Count one answer; `witness`: its name in the trust policy, outcomes are words of `edge.feeding`."""
        self._witnessed.labels(witness, outcome).inc()
