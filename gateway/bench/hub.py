"""The hub under load: `gateway serve` as anyone would run it, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gateway.adapters.log_key import ensure_log
from gateway.adapters.store_directory import Directory
from gateway.bench.dossiers import dossier_number, posted_number, told_number
from gateway.bench.place import MAILBOX_OWNER, ORIGIN, PROVIDER, RECIPIENTS, REQUESTER, Place
from gateway.bench.process import Side, Spent, family, forget_peak, peak_mb, resident_mb, spent
from gateway.bench.scrape import Scrape
from gateway.bench.trouble import BenchError
from gateway.loading import secret_key
from gateway.model import AuthorityId, DossierNumber, DossierScope, Inscription, Role
from gateway.policy.person import person_digest

_WORKER: Final = "90612400144"  # of the test range: nobody's
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 15.0
_SERVE: Final = ("-m", "gateway", "serve", "--stop-with-stdin", "--config")


_PARTS: Final[Mapping[str, Mapping[AuthorityId, Role]]] = {
    "UNDER_REVIEW": {PROVIDER: Role.PLAT, REQUESTER: Role.REG, RECIPIENTS[1]: Role.OE},
    "PERMIT_GRANTED": {PROVIDER: Role.PLAT, REQUESTER: Role.REG, MAILBOX_OWNER: Role.MUN},
}


@dataclass(frozen=True, slots=True)
class Dossiers:
    """What the hub's directory holds: a dossier for each size that is asked for, and two for each client that tells."""

    sizes: Sequence[float]  # KB
    lanes: int

    def by_status(self) -> Iterator[tuple[str, list[DossierNumber]]]:
        told = [told_number(lane) for lane in range(self.lanes)]
        yield "UNDER_REVIEW", [*map(dossier_number, self.sizes), *told]
        yield "PERMIT_GRANTED", [posted_number(lane) for lane in range(self.lanes)]


@dataclass(frozen=True, slots=True)
class Hub:
    """A running hub. `url` is its SOAP endpoint, `operations` where its metrics are."""

    pid: int
    url: str
    operations: str
    store: Path

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None  # the hub states the port that it took
        return port

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def spent(self) -> Spent:
        """CPU seconds so far, of all workers."""
        return spent(self.pid)

    @property
    def memory_mb(self) -> tuple[float, ...]:
        """Resident memory of each worker; a hub of one process is its own worker."""
        return tuple(map(resident_mb, self._workers))

    @property
    def peak_mb(self) -> tuple[float, ...]:
        """The most resident memory that each worker ever had."""
        return tuple(map(peak_mb, self._workers))

    def forget_peak(self) -> None:
        """What each worker has now is its peak so far."""
        for pid in self._workers:
            forget_peak(pid)

    def scrape(self) -> Scrape:
        """Its metrics, now."""
        return Scrape.of(self.operations)

    @property
    def _workers(self) -> list[int]:
        first, *started = family(self.pid)
        return started or [first]


@contextmanager
def running(
    place: Place, dossiers: Dossiers, workers: int = 1, serve: Sequence[str] = _SERVE
) -> Iterator[Hub]:
    """Start the hub, inscribe the dossiers, stop it at the end. Raises BenchError.

    `serve`: arguments of the interpreter that take the settings file as the one that follows, of a program that ends with
    its standard input.
    """
    ensure_log(place.store, place.log_key, ORIGIN, place.bucket_keys)
    log = place.directory / "hub.log"
    several = ["--workers", str(workers)] if workers > 1 else []
    with log.open("wb") as stream, Side.MEASURED.started(workers):
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            [sys.executable, *serve, str(place.settings), *several],
            stdin=subprocess.PIPE,  # closed by the kernel, however this process dies
            stdout=stream,
            stderr=stream,
            start_new_session=True,  # Ctrl-C is for the benchmark, which stops the hub in order
        )
    try:
        facts = _facts(process, log)
        _inscribe(place, dossiers)
        yield Hub(process.pid, facts["url"], facts["operations"], place.store)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _facts(process: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    """Wait for the line that says where the hub serves."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines():
            if '"serving"' in line:
                return dict(json.loads(line))
        time.sleep(0.05)
    lines = log.read_text().strip().splitlines() or ["it said nothing"]
    raise BenchError(
        "BEN001",
        f"the hub did not start: {lines[-1]}",
        f"The whole story is in {log}; keep it with --directory.",
    )


def _inscribe(place: Place, dossiers: Dossiers) -> None:
    """Everybody plays their roles in each dossier of the benchmark."""
    since = datetime.now(UTC) - timedelta(days=1)
    person = person_digest(secret_key(place.directory_key), _WORKER)
    with closing(Directory.open(place.store, writes=True)) as directory:
        for status, numbers in dossiers.by_status():
            lines = tuple(Inscription(name, role, since, None) for name, role in _PARTS[status].items())
            for number in numbers:
                directory.put(DossierScope(number, "SINGLE_PERMIT", "FIRST", status, since, lines, person))
