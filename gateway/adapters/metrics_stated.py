"""A gauge of the whole hub: what is so at this moment, as the process that answers the scrape knows it.

Unlike what is counted it belongs to no process: of several workers the one that leads states it, and all of its
labels are replaced together, so that what is no more leaves no value behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from time import time
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector


class Stated(Collector):
    """One series. Its values are replaced, never changed one by one."""

    def __init__(
        self, name: str, meaning: str, labels: Sequence[str] = (), *, registry: CollectorRegistry
    ) -> None:
        """A series without labels is 0 until it is stated."""
        self.name: Final = name
        self.labels: Final = tuple(labels)
        self._meaning = meaning
        self._values: Mapping[tuple[str, ...], float] = {} if labels else {(): 0.0}
        registry.register(self)

    def replace(self, values: Mapping[tuple[str, ...], float]) -> None:
        """State all of it: the values of the labels → value."""
        self._values = dict(values)

    def set(self, value: float) -> None:
        """State a series without labels."""
        self.replace({(): value})

    def set_to_current_time(self) -> None:
        self.set(time())

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = GaugeMetricFamily(self.name, self._meaning, labels=self.labels)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        yield family

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Its name, by which the registry refuses a second one."""
        yield GaugeMetricFamily(self.name, self._meaning, labels=self.labels)
