"""Series of the processes of a hub: their connections, their memory and their CPU time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_STATM: Final = Path("/proc/self/statm")  # proc(5)


class ProcessSeries:
    """A part of `Metrics`."""

    worker: str  # the number of this process

    def _count_processes(self, counted: CollectorRegistry) -> None:
        self._connections = Gauge(
            "gateway_connections",
            "Open connections, by listener.",
            ["listener"],
            registry=counted,
            multiprocess_mode="livesum",
        )
        self._cut = Counter(
            "gateway_connections_cut",
            "Connections that were not taken, or were cut.",
            ["listener", "reason"],
            registry=counted,
        )
        self._resident = Gauge(
            "gateway_worker_resident_bytes",
            "Resident memory of a process of the hub.",
            ["worker"],
            registry=counted,
            multiprocess_mode="livesum",  # of one: each worker has its own
        )
        self._cpu = Counter(
            "gateway_worker_cpu_seconds",
            "CPU time of the process of the hub with this number, and of those that had it before.",
            ["worker"],
            registry=counted,
        )
        self._cpu_told = 0.0
        self._began = Gauge(
            "gateway_worker_start_timestamp_seconds",
            "When a process of the hub began.",
            ["worker"],
            registry=counted,
            multiprocess_mode="livesum",
        )
        self._began.labels(self.worker).set_to_current_time()

    def connections(self, listener: str, count: int) -> None:
        """State how many connections a listener has open."""
        self._connections.labels(listener).set(count)

    def cut(self, listener: str, reason: str, count: int) -> None:
        """Count connections that were not taken, or were cut."""
        self._cut.labels(listener, reason).inc(count)

    def measure(self) -> None:
        """State what this process uses."""
        self._resident.labels(self.worker).set(int(_STATM.read_text().split()[1]) * _PAGE)
        used = sum(os.times()[:2])
        self._cpu.labels(self.worker).inc(used - self._cpu_told)
        self._cpu_told = used
