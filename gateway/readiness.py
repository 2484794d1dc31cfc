"""Whether a hub is ready, which is asked for by balancers, by Prometheus and by its supervisor."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from gateway.adapters.metrics import Metrics
from gateway.adapters.store import Store
from gateway.edge.feeding import Feeder
from gateway.edge.fellows import Fellows
from gateway.edge.listener import Listener
from gateway.edge.operational_log import OperationalLog
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.note import parse_note
from gateway.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Readiness:
    """Of one process of a hub: an exchange would be recorded, and told."""

    store: Store
    log: OperationalLog
    feeder: Feeder | None  # None: without witnesses
    outside: Listener
    fellows: Fellows

    def trouble(self) -> str | None:
        """Why this process is not ready; None when it is."""
        if self.outside.draining:
            return "the hub was told to stop, and takes what still comes for a while"
        if flaw := self.store.trouble:
            return f"{flaw.row.code}: {flaw.row.sentence}"
        if not self.store.ready:
            return "the exchange log hangs: restart"
        if self.store.held:
            return (self.feeder and self.feeder.trouble) or "the exchange log is frozen"
        return None if self.log.writable else "the operational log cannot be written"

    def trouble_of_all(self) -> str | None:
        """Why this worker is not ready, or another one of which its supervisor knows."""
        of_others = (f"worker {number}: {words}" for number, words in sorted(self.fellows.others.items()))
        return self.trouble() or next(of_others, None)

    def end_if_failed(self, give_up: Callable[[], None]) -> None:
        """`give_up` is called when only another process can go on with the log."""
        if self.store.failed:
            give_up()

    async def exposition(self, metrics: Metrics) -> bytes:
        """What is scraped, with the size of the log as it is now. A store that cannot be read leaves the last one; one
        that is known to be away is not waited for, since whoever scrapes does not wait long.
        """
        if self.store.ready:
            with suppress(Refusal):
                signed = Checkpoint.parse(parse_note(await self.store.checkpoint()).text)
                metrics.log_size(signed.origin, signed.size)
        metrics.ready(is_so=self.trouble_of_all() is None)
        return metrics.exposition()
