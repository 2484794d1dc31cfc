"""`gateway bench log`, small: its result has the promised shape. Nothing is timed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lxml import html
from typer.testing import CliRunner

from gateway.bench.log_append import Appended, Load, Profile
from gateway.cli.bench import app
from tests.process.test_bench import require_self_contained


def bench(*options: str):
    return CliRunner().invoke(app, ["log", *options], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("report") / "log.html"


@pytest.fixture(scope="module")
def result(report) -> dict:
    done = bench("--entries", "600", "--clients", "70", "--report", str(report), "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_each_profile_is_appended_and_its_log_verified(result):
    profiles = [profile.value for profile in Profile]
    assert [run["profile"] for run in result["runs"]] == profiles
    assert [one["profile"] for one in result["verification"]] == profiles
    for run, checked in zip(result["runs"], result["verification"], strict=True):
        assert run["entries"] >= 600
        assert checked["entries"] == run["entries"] + 1  # what the deliveries deliver
        assert all(run[key] > 0 for key in ("throughput", "p50_ms", "p99_ms", "cpu_us", "rss_mb", "seconds"))
        assert run["memory"]["verdict"] == "undecided"  # too few to tell
        assert all(checked[key] > 0 for key in ("throughput", "seconds", "rss_mb"))


def test_proofs_come_from_a_tree_of_a_thousand_million_entries(result):
    proof = result["proof"]
    assert (proof["size"], proof["hashes"]) == (10**9, 30)
    assert 0 < proof["made_p50_ms"] <= proof["made_p99_ms"]


def test_the_report_has_every_figure_and_loads_nothing(result, report):
    page = html.parse(str(report)).getroot()
    require_self_contained(page)
    rows = {tuple(cell.text for cell in row) for row in page.xpath("//tbody/tr[th]")}
    for run, checked in zip(result["runs"], result["verification"], strict=True):
        shown = run["profile"], "1", "70", f"{run['entries']}", f"{run['throughput']:.0f}"
        assert any(row[:5] == shown for row in rows)
        assert any(row[:2] == (checked["profile"], f"{checked['entries']}") for row in rows)
    assert any(row[:4] == ("made", "1,000,000,000", "200", "30") for row in rows)


def test_the_machine_is_named(result):
    assert result["machine"].keys() >= {"cpu", "cpus", "python", "store_filesystem", "load_average"}


def test_figures_are_printed_for_people_too(tmp_path):
    done = bench("--entries", "100", "--clients", "8", "--directory", str(tmp_path / "kept"))
    assert done.exit_code == 0, done.stderr
    assert "1,000,000,000 entries" in done.stdout
    assert {one.name for one in (tmp_path / "kept").glob("*.db")} == {"log-only.db", "fields.db", "tree.db"}


def test_several_workers_append_to_one_log():
    done = bench("--entries", "200", "--clients", "9", "--workers", "2", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    for run, checked in zip(told["runs"], told["verification"], strict=True):
        assert (run["workers"], run["clients"]) == (2, 8)
        assert 200 <= run["entries"] == checked["entries"] - 1


def test_a_directory_that_holds_something_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "something").touch()
    done = bench("--directory", str(tmp_path))
    assert done.exit_code == 1
    assert done.stderr.startswith("BEN004")


def test_percentiles_are_those_of_the_latencies():
    counted = Appended(Load(Profile.LOG_ONLY, 100, 1))
    counted.latencies.update({10: 50, 20: 49, 500: 1})
    assert (counted.percentile_ms(50), counted.percentile_ms(99), counted.percentile_ms(100)) == (
        pytest.approx(0.1),
        pytest.approx(0.2),
        pytest.approx(5.0),
    )
