"""The hub under load: `gateway serve` as anyone would run it, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gateway.adapters.log_key import ensure_log
from gateway.adapters.store_directory import Directory
from gateway.app import secret_key
from gateway.bench.dossiers import dossier_number
from gateway.bench.place import ORIGIN, PROVIDER, REQUESTER, Place
from gateway.bench.process import Side, cpu_seconds, resident_mb
from gateway.bench.trouble import BenchError
from gateway.model import DossierScope, Inscription, Role
from gateway.policy.person import person_digest

_WORKER: Final = "90612400144"  # of the test range: nobody's
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 15.0
_SERVE: Final = ("-m", "gateway", "serve", "--config")


@dataclass(frozen=True, slots=True)
class Hub:
    """A running hub. `url` is its SOAP endpoint."""

    pid: int
    url: str

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None  # the hub states the port that it took
        return port

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def cpu(self) -> float:
        """CPU seconds so far."""
        return cpu_seconds(self.pid)

    @property
    def rss_mb(self) -> float:
        return resident_mb(self.pid)


@contextmanager
def running(place: Place, sizes: Sequence[int], serve: Sequence[str] = _SERVE) -> Iterator[Hub]:
    """Start the hub, inscribe the dossiers, stop it at the end. Raises BenchError.

    `serve`: arguments of the interpreter that take the settings file as their last one.
    """
    ensure_log(place.store, place.log_key, ORIGIN, place.bucket_keys)
    log = place.directory / "hub.log"
    with log.open("wb") as stream, Side.MEASURED.started():
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            [sys.executable, *serve, str(place.settings)],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,  # Ctrl-C is for the benchmark, which stops the hub in order
        )
    try:
        url = _url(process, log)
        _inscribe(place, sizes)
        yield Hub(process.pid, url)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _url(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait for the line that says where the hub serves."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines():
            if '"serving"' in line:
                return str(json.loads(line)["url"])
        time.sleep(0.05)
    lines = log.read_text().strip().splitlines() or ["it said nothing"]
    raise BenchError(
        "BEN001",
        f"the hub did not start: {lines[-1]}",
        f"The whole story is in {log}; keep it with --directory.",
    )


def _inscribe(place: Place, sizes: Sequence[int]) -> None:
    """Requester and provider play their roles in each dossier of the benchmark."""
    since = datetime.now(UTC) - timedelta(days=1)
    lines = (
        Inscription(PROVIDER, Role.PLAT, since, None),
        Inscription(REQUESTER, Role.REG, since, None),
    )
    person = person_digest(secret_key(place.directory_key), _WORKER)
    with closing(Directory.open(place.store, writes=True)) as directory:
        for size in sizes:
            number = dossier_number(size)
            directory.put(
                DossierScope(number, "SINGLE_PERMIT", "FIRST", "UNDER_REVIEW", since, lines, person)
            )
