"""The line that the operational log has of one exchange (PROTOCOL §8.4): no evidence, and all there is of a stranger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.exchangelog.flaw import Flaw, ProofError

_LONGEST: Final = 65_536  # characters: the hub writes no line as long, so a longer one is not read


def line_of(path: Path, exchange: str) -> Mapping[str, object] | None:
    """The last one of this exchange; None where there is none. Raises `ProofError` (LOG509)."""
    found = None
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            while line := file.readline(_LONGEST):
                if exchange in line:
                    found = _read(line, exchange) or found
    except OSError as error:
        raise ProofError(Flaw.FILE, f"--operational-log {path}: {error.strerror}") from error
    return found


def _read(line: str, exchange: str) -> Mapping[str, object] | None:
    """None for a line that is not of this exchange, or not the hub's."""
    try:
        facts = json.loads(line)
    except (ValueError, RecursionError):
        return None
    mine = isinstance(facts, dict) and facts.get("event") == "exchange" and facts.get("exchange") == exchange
    return facts if mine else None
