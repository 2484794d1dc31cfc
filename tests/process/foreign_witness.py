"""A witness, a log reader and an ML-DSA-44 signer by others (aics-witness, aics-tlog, tlog-scales), by their lock file."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from tests.process import registries
from tests.process.sandboxes import ROOT

LOCK = ROOT / "tests/clients/witness/requirements.lock"
PACKAGES = ROOT / ".foreign"  # not in git; filled once for each lock file


def installed() -> Path:
    """The packages of the lock file, each with the hash that stands there."""
    PACKAGES.mkdir(exist_ok=True)
    with (PACKAGES / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        wanted, done = hashlib.sha256(LOCK.read_bytes()).hexdigest(), PACKAGES / "installed"
        if not done.exists() or done.read_text() != wanted:
            options = (
                "--quiet",
                "--no-deps",
                "--ignore-requires-python",
                "--only-binary",
                ":all:",
                "--upgrade",
            )
            where = ("--target", str(PACKAGES / "site"), "--require-hashes", "-r", str(LOCK))
            command = [sys.executable, "-m", "pip", "install", *options, *where]
            subprocess.run(command, env=registries.environment(), check=True, timeout=300)
            done.write_text(wanted)
    return PACKAGES / "site"


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(installed())}


def python(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program with their packages."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=check, timeout=60)


@contextmanager
def running(directory: Path, port: int, origin: str, vkey: str) -> Iterator[tuple[str, str]]:
    """Their witness, in a process of its own; its URL and vkey. A second time in the same directory: it goes on."""
    config, url = directory / "witness.json", f"http://127.0.0.1:{port}"
    if not config.exists():
        directory.mkdir()
        run = ("-m", "aics_witness")
        listen = ("--name", "foreign.example/w", "--listen", f"127.0.0.1:{port}")
        python(*run, "init", "-c", config, *listen)
        python(*run, "add-log", "-c", config, "--origin", origin, "--vkey", vkey)
    status = json.loads(python("-m", "aics_witness", "status", "-c", config, "--json").stdout)
    command = [sys.executable, "-m", "aics_witness", "serve", "-c", str(config)]
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)
    try:
        _wait(url, process)
        yield url, status["witness"]["vkey"]
    finally:
        process.terminate()
        process.wait(60)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=5):
                return
        except URLError:
            time.sleep(0.05)
    raise AssertionError("their witness did not begin to answer")
