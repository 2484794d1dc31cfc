"""`gateway bench overload` on real hubs, small: its result has the promised shape. Nothing is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from lxml import html

from gateway.agreement.load import load_agreement
from gateway.agreement.register import load_register
from gateway.bench.overload import CALM, FLOODING, register_of
from gateway.bench.overload_figures import Quotas
from gateway.loading import contract_files
from gateway.model import Quota
from tests.process import commands
from tests.process.running import ROOT
from tests.process.test_bench import require_self_contained


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", "bench", "overload", *options],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("report") / "overload.html"


@pytest.fixture(scope="module")
def result(report) -> dict:
    small = ("--seconds", "1", "--clients", "8", "--size", "1", "--suite", "ecdsa")
    done = bench(*small, "--report", str(report), "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_overload_is_held_against_the_peaks_before_and_after(result):
    over = result["runs"][0]
    assert (over["profile"], over["suite"], over["size"]) == ("overload", "ecdsa", 1)
    assert [one["clients"] for one in over["peak"]] == [8, 8]
    assert [(one["clients"], one["heeds_retry_after"]) for one in over["over"]] == [(32, True), (32, False)]
    for one in over["over"]:
        assert one["kept"] > 0 < one["kept_per_cpu"]
    assert all(one["errors"] == 0 < one["throughput"] for one in (*over["peak"], *over["over"]))


def test_the_calm_are_compared_with_themselves_without_quotas_and_with_those_of_the_agreement(result):
    fair = result["runs"][1:]
    assert [(one["profile"], one["quotas"]) for one in fair] == [
        ("fairness", one) for one in ("none", "burst", "spent")
    ]
    for one in fair:
        assert one["errors"] == 0
        assert one["p50_times"] > 0 < one["p99_times"]
        assert all(part["exchanges"] > 0 for part in (*one["alone"], one["beside"]))
        assert one["flood"]["throughput"] > 0
        assert one["beside"]["turned_away"] >= 0  # and what that costs is in the times


def test_the_report_has_every_round_and_loads_nothing(result, report):
    page = html.parse(str(report)).getroot()
    require_self_contained(page)
    over, *fair = result["runs"]
    shown = page.text_content()
    for one in (*over["peak"], *over["over"]):
        assert f"{one['turned_away']}" in shown
        assert f"{one['throughput']:.0f}" in shown
    assert all(f"{one['p99_times']:g} ×" in shown for one in fair)


def test_a_burst_that_is_used_up_leaves_the_rate_of_the_shipped_agreement():
    agreement = load_agreement(contract_files(ROOT / "contracts"))
    shipped = (ROOT / "contracts/register.toml").read_text()
    bound = load_register(register_of(shipped, "ecdsa", Quotas.SPENT).encode(), "register.toml")
    role, own = agreement.quota(bound.by_id[CALM]), agreement.quota(bound.by_id[FLOODING])
    assert own == Quota(role.per_second, role.per_second)  # what a second brings


def test_an_unknown_suite_is_refused_with_a_remedy():
    done = commands.run("bench", "overload", "--suite", "dsa")
    assert done.returncode == 1
    assert done.stderr.startswith("BEN004: --suite dsa")
