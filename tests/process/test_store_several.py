"""Several processes of one hub append to one log and are killed at random: no gap, nothing twice, nothing lost."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from gateway.adapters.store_log import new_log
from gateway.exchangelog.leaf import Leaf
from tests.process.store_world import SIGNER, findings, query
from tests.process.test_store_append import APPENDING, stored

ROOT = Path(__file__).parents[2]
PROCESSES, ROUNDS = 4, 2


def acknowledged(place: Path) -> list[tuple[int, bytes]]:
    """Index and leaf of every receipt that a process has printed to the end."""
    lines = [
        line for file in sorted(place.glob("*.out")) for line in file.read_text().splitlines(keepends=True)
    ]
    whole = [line.split(" ", 1) for line in lines if line.endswith("\n")]
    return [(int(index), leaf.strip().encode()) for index, leaf in whole]


def appending(path: Path, name: str) -> subprocess.Popen:
    """A process that appends until it is killed."""
    with path.with_name(f"{name}.out").open("wb") as out:
        return subprocess.Popen([sys.executable, "-c", APPENDING, str(path), name], cwd=ROOT, stdout=out)


def test_processes_that_are_killed_at_random_leave_one_whole_log(tmp_path):
    path, chance = tmp_path / "store.sqlite", random.Random(20260314)
    new_log(path, [SIGNER])
    for number in range(ROUNDS):
        working = [appending(path, f"{number}.{one}") for one in range(PROCESSES)]
        while len([one for one in tmp_path.glob(f"{number}.*.out") if one.stat().st_size]) < PROCESSES:
            assert not any(process.poll() for process in working)
            time.sleep(0.01)
        for process in chance.sample(working, PROCESSES):
            time.sleep(chance.uniform(0.01, 0.2))
            process.send_signal(signal.SIGKILL)
            process.wait()
        told = acknowledged(tmp_path)
        entries = stored(path)
        assert len({index for index, _ in told}) == len(told)
        assert all(entries[index] == leaf for index, leaf in told)
        assert not any(finding.fails for finding in findings(path))
        assert query(path, "SELECT count(*), max(idx) + 1 FROM entries") == [(len(entries), len(entries))]
        made = [(leaf.id, leaf.kind) for leaf in map(Leaf.parse, entries)]
        assert len(set(made)) == len(made)
