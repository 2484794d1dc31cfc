"""Killed at any moment: what was accepted is delivered, in order, and the log is complete."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from gateway.adapters.store_directory import Directory
from gateway.exchangelog.flaw import Flaw
from tests.process.store_world import findings, query

ROOT = Path(__file__).parents[2]
KILLS = 6


def printed(path: Path, run: int, seconds: float | None) -> list[list[str]]:
    """What the child printed until it was killed, or until nothing waited any more."""
    command = [sys.executable, "-m", "tests.process.draining", str(path), str(run)]
    if seconds is None:
        done = subprocess.run([*command, "drain"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        return [line.split() for line in done.stdout.splitlines()]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        first = child.stdout.readline()  # it works
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
        lines = [first, *child.stdout]
    return [line.split() for line in lines if line.endswith("\n")]


def check(path: Path, lines: list[list[str]]) -> None:
    """What holds after every kill."""
    assert not [one for one in findings(path) if one.fails]
    told = sum(line[0] == "told" for line in lines)
    assert query(path, "SELECT count(*) FROM notifications")[0][0] >= told
    settled = {name for (name,) in query(path, "SELECT id FROM deliveries WHERE state = 'settled'")}
    assert {line[1] for line in lines if line[0] == "settled"} <= settled
    assert query(path, "SELECT count(*) FROM entries WHERE kind = 'settlement'") == [(len(settled),)]
    # The payload is gone exactly when everything is settled.
    wrong = """
    SELECT exchange FROM notifications AS n WHERE (sealed IS NULL) =
    EXISTS (SELECT 1 FROM deliveries WHERE notification = n.exchange AND state <> 'settled')
    """
    assert query(path, wrong) == []
    unrecorded = "SELECT count(*) FROM deliveries WHERE state = 'settled' AND recorded = 0"
    assert query(path, unrecorded) == [(0,)]


def test_nothing_accepted_is_lost_or_out_of_order_when_the_hub_is_killed(tmp_path):
    path, moments = tmp_path / "store.sqlite", random.Random(20260314)
    lines: list[list[str]] = []
    for run in range(KILLS):
        lines += printed(path, run, moments.uniform(0.02, 0.3))
        check(path, lines)
    lines += printed(path, KILLS, None)
    check(path, lines)
    assert query(path, "SELECT count(*) FROM deliveries WHERE state <> 'settled'") == [(0,)]
    assert {one.flaw for one in findings(path)} <= {Flaw.OUTCOME_UNKNOWN}  # calls that the kill cut off
    told: dict[str, set[str]] = defaultdict(set)
    received: dict[tuple[str, str], list[str]] = defaultdict(list)
    for kind, *words in lines:
        if kind == "told":
            told[words[0]].add(words[1])
        elif kind == "received":
            received[words[0], words[1]].append(words[2])
    assert len(told) == 6
    for (_, dossier), numbers in received.items():
        assert numbers == sorted(numbers)  # again perhaps, but never before an earlier one
        assert told[dossier] <= set(numbers)
    assert len(received) == 3 * 6


def test_directory_agrees_with_what_was_accepted_when_the_hub_is_killed(tmp_path):
    path = tmp_path / "store.sqlite"
    printed(path, 0, 0.2)
    accepted = dict(query(path, "SELECT dossier, count(*) FROM seeds s JOIN entries e ON e.idx = s.idx "
                                "WHERE e.kind = 'notification' GROUP BY dossier"))  # fmt: skip
    directory = Directory.open(path, writes=False)
    versions = sorted(one.version for one in directory.all())
    directory.close()
    assert versions == sorted(accepted.values())
