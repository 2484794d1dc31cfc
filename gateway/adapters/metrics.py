"""Every metric of the hub, declared once. Labels come from closed lists, never from a peer.

PROTOCOL.md's annex lists each series; a test holds the two equal. Each subject has a file of its own, with two
kinds of series. What is *counted* each process counts by itself, and all of it together is scraped: in memory
when there is one process, in files that they share when there are several (`share`). What is *stated* is
one fact of the whole hub, and the process that answers the scrape states it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.adapters.metrics_deliveries import DeliverySeries
from gateway.adapters.metrics_exchanges import ExchangeSeries
from gateway.adapters.metrics_log import LogSeries
from gateway.adapters.metrics_process import ProcessSeries
from gateway.adapters.metrics_trust import TrustSeries
from gateway.model import AuthorityId

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SHARED: Final = "PROMETHEUS_MULTIPROC_DIR"  # the client library's own variable


def share(directory: Path, worker: int) -> None:
    """Count in files of `directory` from now on, for the whole process, before there is any `Metrics`.

    By the worker's number and not by its process: its successor goes on where it ended, and no count falls.
    """
    os.environ[_SHARED] = str(directory)
    values.ValueClass = values.MultiProcessValue(lambda: worker)  # type: ignore[no-untyped-call] # the library's


class Metrics(ExchangeSeries, DeliverySeries, LogSeries, TrustSeries, ProcessSeries):
    """The series of a hub. Owned by the application."""

    def __init__(self, worker: int = 0) -> None:
        """`worker`: the number of this process among those of the hub."""
        self.worker = str(worker)
        counted, stated = CollectorRegistry(), CollectorRegistry()
        self._count_exchanges(counted)
        self._count_deliveries(counted)
        self._count_log(counted)
        self._count_trust(counted)
        self._count_processes(counted)
        self._state_queue(stated)
        self._state_log(stated)
        self._state_trust(stated)
        self._scraped = (_counted(counted), stated)

    def expect(self, authorities: Iterable[AuthorityId]) -> None:
        """These may be counted from now on. A series that is there beforehand can be seen to rise: alerts watch the first."""
        for one in authorities:
            self._expect_turned_away(one)
            self._expect_graced(one)

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        self.measure()
        return b"".join(generate_latest(registry) for registry in self._scraped)


def _counted(own: CollectorRegistry) -> CollectorRegistry:
    """What is scraped of what is counted: the process's own, or that of all that share."""
    if values.ValueClass is values.MutexValue:
        ProcessCollector(registry=own)
        return own
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call] # the library's
    return together
