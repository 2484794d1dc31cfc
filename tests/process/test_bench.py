"""`gateway bench` on a real hub, small: its result has the promised shape and honest figures. Nothing is timed."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gateway.agreement.answer import leaves
from gateway.agreement.load import load_agreement
from gateway.agreement.messages import Customer, Question, answered, write_reply
from gateway.app import contract_files
from gateway.bench.dossiers import dossier_number, kilobytes_of, payload
from gateway.bench.messages import CONTEXT, OPERATION, compact
from gateway.bench.run import Soak
from gateway.cli.bench import bench as bench_command
from gateway.model import SERVICE, Criteria, Enterprise, Outcome, Role, Ticket
from gateway.refusal import Code
from gateway.soap.xml import canonical, parse_verified

ROOT = Path(__file__).resolve().parents[2]
CUSTOMER = Customer(Ticket("t-1"), datetime(2026, 9, 14, tzinfo=UTC), Enterprise("0999099901"))
FIXED = {
    "profile", "size", "clients", "workers", "suite", "exchanges", "errors", "throughput", "p50_ms", "p99_ms",
    "hub_cpu_ms", "floor_cpu_ms", "ratio", "rss_mb",
}  # fmt: skip


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", "bench", *options],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def result() -> dict:
    done = bench("--quick", "--exchanges", "24", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_suite_gives_one_run_without_errors(result):
    assert {run["suite"]: (run["errors"], run["exchanges"]) for run in result["runs"]} == {
        "rsa": (0, 24),
        "ecdsa": (0, 24),
    }


def test_a_run_has_the_fixed_keys_and_positive_figures(result):
    for run in result["runs"]:
        assert run.keys() >= FIXED
        figures = [run[key] for key in FIXED - {"profile", "suite", "errors"}]
        assert all(figure > 0 for figure in figures), run


def test_the_ratio_is_that_of_the_floor_of_the_run(result):
    for run in result["runs"]:
        assert run["floor"].keys() == {"total_ms", "crypto_ms", "xml_ms", "fsync_ms"}
        assert run["floor"]["total_ms"] == pytest.approx(run["floor_cpu_ms"], abs=0.01)
        assert run["ratio"] == pytest.approx(run["hub_cpu_ms"] / run["floor_cpu_ms"], abs=0.1)


def test_the_machine_is_named(result):
    assert result["machine"].keys() >= {"cpu", "cpus", "memory_mb", "system", "python", "store_filesystem"}


def test_memory_is_watched_over_a_soak():
    done = bench("--soak", "40", "--suites", "ecdsa", "--sizes", "1", "--json")
    assert done.returncode == 0, done.stderr
    soak = json.loads(done.stdout)["soak"]
    assert (soak["exchanges"], soak["errors"]) == (40, 0)
    assert soak["end_mb"] > 0


def test_the_hottest_functions_are_named():
    done = bench("--quick", "--profile", "--suites", "ecdsa", "--exchanges", "40")
    assert done.returncode == 0, done.stderr
    assert "Consultation.consult  gateway/broker/consult.py" in done.stdout


def test_the_slope_is_that_of_the_samples():
    rising = Soak("rsa", 1, 0, "", ((0, 80.0), (1000, 81.0), (2000, 82.0)))
    assert rising.json()["slope_mb_per_1000"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    "options",
    {
        "a size that is no number": ("--sizes", "1,x"),
        "a size that the schema cannot hold": ("--sizes", "1000"),
        "an unknown suite": ("--suites", "dsa"),
        "fewer exchanges than clients": ("--exchanges", "4", "--clients", "8"),
        "a directory that holds something": ("--directory", str(ROOT)),
    }.values(),
)
def test_options_that_make_no_sense_are_refused_in_a_sentence(options):
    command = typer.Typer()
    command.command()(bench_command)
    done = CliRunner().invoke(command, options)
    assert done.exit_code == 1
    assert done.stderr.startswith("BEN004")


def test_contracts_that_are_elsewhere_are_missed_in_a_sentence():
    done = bench("--contracts", "/nowhere")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("BEN005")
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def agreement():
    return load_agreement(contract_files(ROOT / "contracts"))


@pytest.mark.parametrize("kilobytes", [1, 10, 100])
def test_a_dossier_has_about_its_size(kilobytes):
    size = len(compact(payload(kilobytes).encode()))
    assert 0.93 * kilobytes * 1024 <= size <= kilobytes * 1024


@pytest.mark.parametrize("kilobytes", [1, 10, 100])
def test_a_dossier_is_written_in_canonical_form(kilobytes):
    written = f'<s:r xmlns:s="{SERVICE}">{payload(kilobytes)}</s:r>'.encode()
    assert canonical(parse_verified(written)) == written


def test_a_dossier_number_tells_its_size():
    assert kilobytes_of(dossier_number(100)) == 100


@pytest.mark.parametrize("kilobytes", [1, 10, 100])
def test_a_dossier_is_valid_against_the_contract(agreement, kilobytes):
    question = Question(OPERATION, CUSTOMER, None, CONTEXT, Criteria(dossier=dossier_number(kilobytes)))
    written = write_reply(question, "", answered(Outcome.DATA_FOUND, ()), (), payload(kilobytes))
    agreement.contract.validate(parse_verified(written.encode()), Code.SCHEMA)


@pytest.mark.parametrize("kilobytes", [1, 10, 100])
def test_a_dossier_holds_fields_to_release_and_fields_to_withhold(agreement, kilobytes):
    view = agreement.view(OPERATION, Role.REG, CONTEXT, Role.PLAT, None)
    element = parse_verified(f'<s:r xmlns:s="{SERVICE}">{payload(kilobytes)}</s:r>'.encode())[0]
    released = {view.verdicts[leaf.path] is None for leaf, _ in leaves(view.payload, element)}
    assert released == {True, False}
