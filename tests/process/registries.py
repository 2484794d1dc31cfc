"""Programs that fetch packages from a registry believe the machine's certificate authorities, as no other of the tests."""

from __future__ import annotations

import os


def environment() -> dict[str, str]:
    """What such a program runs with: what tests/conftest.py took away is there again."""
    rest = {name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"}
    believed = os.environ["MACHINE_SSL_CERT_FILE"]
    return {**rest, "SSL_CERT_FILE": believed} if believed else rest
