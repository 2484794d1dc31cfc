"""A quota is one for all workers of a hub: PROTOCOL §2.9."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.shared_moments import SharedMoments
from gateway.edge.admission import Admission, AdmissionLimits
from gateway.model import Quota
from gateway.refusal import Code, Refusal

_SET = """
import sys
from pathlib import Path
from gateway.adapters.shared_moments import SharedMoments
table = SharedMoments(Path(sys.argv[1]))
for name in sys.argv[3:]:
    table[name] = float(sys.argv[2])
"""


class Uncounted:
    def in_flight(self, count: int) -> None: ...

    def waiting(self, count: int) -> None: ...


def other(path: Path, moment: float, *names: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _SET, str(path), str(moment), *names])


def test_what_one_process_sets_another_reads(tmp_path):
    path = tmp_path / "quotas"
    mine = SharedMoments(path)
    mine["A"] = 1.5
    assert other(path, 7.25, "B", "A").wait() == 0
    assert [mine.get(name, 0.0) for name in "ABC"] == [7.25, 7.25, 0.0]


def test_processes_that_begin_at_once_give_each_authority_one_row(tmp_path):
    path = tmp_path / "quotas"
    names = [f"MUN_{n}" for n in range(300)]
    started = [other(path, 3.0, *names), other(path, 3.0, *reversed(names))]
    assert [one.wait() for one in started] == [0, 0]
    table = SharedMoments(path)
    for place, name in enumerate(names):
        table[name] = float(place + 1)
    assert [table.get(name, 0.0) for name in names] == [float(n + 1) for n in range(300)]


@given(st.lists(st.tuples(st.sampled_from("ABCD"), st.floats(0.1, 1e9))))
def test_it_is_to_an_admission_what_a_dict_is(tmp_path_factory, sets):
    table, plain = SharedMoments(tmp_path_factory.mktemp("table") / "quotas"), dict[str, float]()
    for name, moment in sets:
        table[name] = plain[name] = moment
    assert all(table.get(name, 5.0) == plain.get(name, 5.0) for name in "ABCDE")


def test_two_workers_together_let_through_what_one_would(tmp_path):
    limits = AdmissionLimits(in_flight=9, of_an_authority=9, in_flight_bytes=9, wait_seconds=1.0)
    doors = [
        Admission(limits, Uncounted(), lambda: 100.0, SharedMoments(tmp_path / "quotas")) for _ in range(2)
    ]
    codes = list[Code | None]()
    for n in range(8):
        try:
            doors[n % 2].charge("A", Quota(1, 5))
            codes.append(None)
        except Refusal as refusal:
            codes.append(refusal.code)
    assert codes == [None] * 5 + [Code.QUOTA] * 3
