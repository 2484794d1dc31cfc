"""`make drills`: every drill as a line of a table; exit status 1 when anything went unnoticed."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from gateway.cli.lines import table
from tests.drills.catalogue import DRILLS
from tests.drills.ground import Ground, fill


def main() -> int:
    rows, unnoticed = [], 0
    with tempfile.TemporaryDirectory(prefix="drills-") as name:
        filled = Path(name, "filled")
        filled.mkdir()
        fill(filled)
        for number, drill in enumerate(DRILLS):
            named = drill.act(Ground.copy(filled, Path(name, str(number))))
            unnoticed += drill.code not in named
            verdict = drill.code if drill.code in named else f"NOT NOTICED ({', '.join(sorted(named))})"
            rows.append((drill.name, drill.deed, drill.detector, verdict, drill.expected.row.sentence))
    table(("Drill", "What was done", "Who noticed", "Code", "Finding"), rows)
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
