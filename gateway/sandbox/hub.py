"""The hub of a sandbox: a process of its own, which does not outlive this one and whose end is noticed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Never

from gateway.config import ConfigError
from gateway.sandbox.place import Place

_START_SECONDS: Final = 60.0  # for the hub to serve; a busy machine may need several
_STOP_SECONDS: Final = 15.0  # for the hub to finish what is under way
_SERVE: Final = ("-m", "gateway", "serve", "--stop-with-stdin")


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub that serves. `urls`: of its two listeners, "soap" and "operations"."""

    urls: Mapping[str, str]
    place: Place
    process: subprocess.Popen[bytes]

    def wait(self) -> Never:
        """Until the hub ends, which by itself it never should. Raises ConfigError."""
        status = self.process.wait()
        raise ConfigError(
            "SBX013", f"The hub ended by itself, with status {status}.", f"See {self.place.hub_log}."
        )


@contextmanager
def running_hub(place: Place) -> Iterator[Hub]:
    """Start the hub, wait until it serves, stop it at the end. Raises ConfigError."""
    with _opened(place.hub_log) as log:
        start = log.tell()
        process = subprocess.Popen(
            [sys.executable, *_SERVE, "--config", str(place.config)],
            stdin=subprocess.PIPE,  # closed by the kernel, however this process dies
            stderr=log,
            start_new_session=True,  # Ctrl-C is for this process, which then stops the hub in order
        )
    try:
        yield Hub(_wait_until_serving(process, place, start), place, process)
    finally:
        _stop(process)


def _opened(path: Path) -> BinaryIO:
    """For appending: what the hub said before its last end is what one wants to read. Its owner's alone."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.fchmod(descriptor, 0o600)
    file = os.fdopen(descriptor, "ab")
    file.seek(0, os.SEEK_END)
    return file


def _wait_until_serving(hub: subprocess.Popen[bytes], place: Place, start: int) -> Mapping[str, str]:
    """The URLs that the hub announces. Raises ConfigError with what it said instead.

    `start`: where its words begin in hub.log, in bytes.
    """
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        said = place.hub_log.read_bytes()[start:].decode("utf-8", "replace")
        for line in said.rpartition("\n")[0].splitlines():  # the last one may be half written
            if line.startswith("{") and json.loads(line).get("event") == "serving":
                facts = json.loads(line)
                return {"soap": facts["url"], "operations": facts["operations"]}
        if hub.poll() is not None:
            raise ConfigError(
                "SBX004", f"The hub did not start: {said.strip()[-2000:]}", f"See {place.hub_log}."
            )
        time.sleep(0.05)
    raise ConfigError(
        "SBX005", f"The hub did not serve within {_START_SECONDS:.0f} s.", f"See {place.hub_log}."
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
