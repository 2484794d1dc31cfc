"""A sandbox as a process of its own, for tests that look at it from outside. Imports nothing of the gateway."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def gateway(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gateway", *arguments]


@contextmanager
def running_sandbox(directory: Path) -> Iterator[dict[str, Any]]:
    """What `gateway sandbox --json` says when everything runs; stopped by SIGTERM at the end."""
    command = gateway("sandbox", "--world", str(directory), "--json")
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(60)


def authority(facts: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in facts["authorities"] if one["id"] == name)


def client_files(facts: dict[str, Any], own: dict[str, Any]) -> dict[str, str]:
    """The files that contracts/clients.md names, for the authority `own`: name to path."""
    return {
        "tls.crt.pem": own["tls_certificate"],
        "tls.key.pem": own["tls_key"],
        "sign.crt.pem": own["sign_certificate"],
        "sign.key.pem": own["sign_key"],
        "hub-sign.crt.pem": own["hub_certificate"],
        "root.crt.pem": facts["anchor"],
    }
