"""`gateway bench` on a real hub, small: its result has the promised shape and honest figures. Nothing is timed."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import typer
from lxml import html
from typer.testing import CliRunner

from gateway.agreement.answer import leaves
from gateway.agreement.load import load_agreement
from gateway.agreement.messages import Customer, Question, answered, write_reply
from gateway.bench.client import Tally, _all
from gateway.bench.dossiers import dossier_number, kilobytes_of, payload
from gateway.bench.memory import Memory, Slope, Verdict
from gateway.bench.messages import CONTEXT, OPERATION, compact
from gateway.bench.profiles import SHARES, Kind, Profile, schedule
from gateway.bench.scrape import Scrape
from gateway.bench.soak import Length
from gateway.cli.bench import app
from gateway.cli.bench import bench as bench_command
from gateway.loading import contract_files
from gateway.model import SERVICE, Criteria, Enterprise, Outcome, Role, Ticket
from gateway.refusal import Code
from gateway.soap.xml import canonical, parse_verified
from tests.process import commands

ROOT = Path(__file__).resolve().parents[2]
CUSTOMER = Customer(Ticket("t-1"), datetime(2026, 9, 14, tzinfo=UTC), Enterprise("0999099901"))
FIXED = {
    "profile", "size", "clients", "workers", "suite", "exchanges", "errors", "throughput", "p50_ms", "p99_ms",
    "hub_cpu_ms", "floor_cpu_ms", "ratio", "rss_mb",
}  # fmt: skip
STAGES = {  # that each exchange of a profile passes, besides those of others
    "consult": {"read", "verify", "identify", "admit", "decide", "commit-1", "question", "wait", "answer", "release", "commit-2", "sign"},
    "notify": {"recall", "commit-1", "commit-2", "settle", "question", "answer"},
    "mixed": {"recall", "commit-1", "commit-2", "settle", "question", "answer"},
}  # fmt: skip


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", "bench", *options],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def result(directory) -> dict:
    chosen = ("--profiles", "consult,notify,mixed", "--sizes", "0.5", "--suites", "ecdsa", "--clients", "4")
    report = ("--report", str(directory / "report.html"))
    done = bench("--quick", *chosen, "--rounds", "2", "--exchanges", "24", *report, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_profile_gives_one_run_without_errors(result):
    runs = {run["profile"]: (run["suite"], run["errors"], run["exchanges"]) for run in result["runs"]}
    assert runs == dict.fromkeys(STAGES, ("ecdsa", 0, 48))


def test_figures_are_printed_for_people_too():
    done = bench("--quick", "--suites", "rsa", "--exchanges", "16", "--clients", "2")
    assert done.returncode == 0, done.stderr
    assert re.search(r"consult +rsa +1 +2 +\d+", done.stdout)


def test_a_run_has_the_fixed_keys_and_positive_figures(result):
    for run in result["runs"]:
        assert run.keys() >= FIXED
        figures = [run[key] for key in FIXED - {"profile", "suite", "errors"}]
        assert all(figure > 0 for figure in figures), run


def test_the_ratio_is_that_of_the_floors_of_the_run(result):
    for run in result["runs"]:
        assert run["floor"].keys() == {"total_ms", "crypto_ms", "xml_ms", "fsync_ms"}
        assert run["floor"]["total_ms"] == pytest.approx(run["floor_cpu_ms"], abs=0.01)
        assert run["ratio"] == pytest.approx(run["hub_cpu_ms"] / run["floor_cpu_ms"], abs=0.1)
        assert len(run["floors_ms"]) == run["rounds"] + 1
        assert run["ratio_min"] <= run["ratio_max"]


def test_latency_is_told_by_percentiles_that_ascend(result):
    for run in result["runs"]:
        told = [value for _, value in sorted(run["latency_ms"].items(), key=lambda one: float(one[0]))]
        assert told == sorted(told)
        assert (run["latency_ms"]["50"], run["latency_ms"]["99"]) == (run["p50_ms"], run["p99_ms"])


def test_every_stage_is_told_and_the_cpu_of_stages_is_that_of_the_hub(result):
    for run in result["runs"]:
        assert run["stages"].keys() >= STAGES[run["profile"]]
        assert sum(run["cpu_ms"].values()) >= 0.99 * run["hub_cpu_ms"]


def test_each_notification_is_delivered_twice_and_settled(result):
    for run in result["runs"]:
        if run["profile"] == "notify":
            assert run["stages"]["settle"]["count"] == 2 * 48
            assert run["wire_bytes"]["ask"] > run["wire_bytes"]["give"]


def test_a_mixed_load_has_a_mailbox_that_is_emptied(result):
    """Every tenth exchange is the mailbox owner's; what a client tells is delivered to two endpoints."""
    kinds = schedule(Profile.MIXED, 200)
    assert {kind: kinds.count(kind) / 2 for kind in set(kinds)} == SHARES[Profile.MIXED]
    assert kinds[:20].count(Kind.CONSULT) == 14  # evenly, from the beginning


def test_memory_is_stated_for_each_worker(result):
    for run in result["runs"]:
        assert len(run["rss_mb_by_worker"]) == run["workers"] == 1
        assert run["rss_mb"] == pytest.approx(sum(run["rss_mb_by_worker"]), abs=0.1)


def test_the_machine_is_named(result):
    assert result["machine"].keys() >= {"cpu", "cpus", "memory_mb", "system", "python", "store_filesystem"}


@pytest.fixture(scope="module")
def report(result, directory):
    return html.parse(str(directory / "report.html")).getroot()


def require_self_contained(page) -> None:
    """Nothing is loaded and nothing runs; whoever sees no plot is told its figures."""
    assert not page.xpath("//script | //link | //img | //iframe | //@src | //@href | //@onload")
    assert "url(" not in page.xpath("string(//style)")
    for plot in page.iter("svg"):
        assert plot.get("role") == "img"
        assert all(plot.xpath(f"string({part})") for part in ("title", "desc"))
    assert page.xpath("/html/@lang")
    assert all(table.xpath("caption") for table in page.iter("table"))


def test_the_report_is_one_file_that_loads_nothing_and_can_be_read_aloud(report):
    require_self_contained(report)
    assert {plot.xpath("string(title)") for plot in report.iter("svg")} >= {
        "Latency of each run",
        "CPU of one exchange",
    }


def test_the_report_shows_each_run_with_its_figures(report, result):
    rows = {row[0].text: [cell.text for cell in row] for row in report.xpath("//tbody/tr[th]")}
    for run in result["runs"]:
        row = rows[f"{run['profile']} {run['suite']} 0.5 KB, 4"]
        assert row[1:3] == [str(run["exchanges"]), "0"]
        assert f"{run['ratio']:.2f}" in row
    assert (
        "tmpfs" not in result["machine"]["store_filesystem"] or "fsync cost nothing" in report.text_content()
    )


def test_the_report_states_conditions_and_holds_no_person(report, result):
    told = report.text_content()
    assert all(
        str(result["machine"][name]) in told for name in ("cpu", "python", "openssl", "store_filesystem")
    )
    assert all(
        word in told for word in ("warm-up", "floor", "ratio", "limits.in_flight_per_authority = 1024")
    )
    assert not any(name in told for name in ("Idrissi", "Samira", "90612400144"))


def test_a_soak_samples_memory_and_says_by_which_rule_it_judges(tmp_path):
    page = tmp_path / "soak.html"
    done = bench(
        "soak",
        "--exchanges",
        "60",
        "--size",
        "0.5",
        "--profile",
        "mixed",
        "--clients",
        "2",
        "--report",
        str(page),
        "--json",
    )
    assert done.returncode == 0, done.stderr
    soak = json.loads(done.stdout)["soak"]
    assert (soak["exchanges"], soak["errors"], soak["verdict"]) == (60, 0, "undecided")  # too few to tell
    assert soak["samples"][-1]["exchanges"] == 60
    assert soak["samples"][-1].keys() >= {
        "rss_mb",
        "throughput",
        "p99_ms",
        "queue",
        "log_entries",
        "store_mb",
    }
    require_self_contained(html.parse(str(page)).getroot())


def memory(*values: float) -> Memory:
    return Memory.of([(number * 2000.0, value) for number, value in enumerate(values)])


def test_no_hub_outlives_a_benchmark_that_was_killed(tmp_path, request):
    killed = subprocess.Popen(
        [sys.executable, "-m", "gateway", "bench", "soak", "--minutes", "10", "--workers", "2", "--directory", tmp_path],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    request.addfinalizer(killed.kill)
    log, end = tmp_path / "soak-ecdsa" / "hub.log", time.monotonic() + 60
    while not (said := serving(log)):
        assert time.monotonic() < end
        time.sleep(0.1)
    killed.kill()
    killed.wait()
    while listens(urlsplit(said[0]).port):
        assert time.monotonic() < end
        time.sleep(0.1)


def serving(log: Path) -> list[str]:
    """Where a hub says that it serves, once it does."""
    lines = map(json.loads, log.read_text().splitlines() if log.exists() else [])
    return [line["url"] for line in lines if line["event"] == "serving"]


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def test_memory_that_settles_is_flat_and_memory_that_grows_is_rising():
    settled = [80.0, 90.0, 95.0, *(96 + (number % 3) / 10 for number in range(17))]
    assert memory(*settled).verdict is Verdict.FLAT
    assert memory(*settled[:9]).verdict is Verdict.UNDECIDED  # 16,000 exchanges
    assert memory(*(90.0 + number for number in range(20))).verdict is Verdict.RISING
    assert memory(*([90.0, 120.0] * 10)).verdict is Verdict.UNDECIDED  # it goes up and down too much


def test_the_slope_is_that_of_the_samples():
    slope = Slope.of([(0, 80.0), (1000, 81.0), (2000, 82.0)])
    assert (slope.estimate, slope.low, slope.high) == pytest.approx((1.0, 1.0, 1.0))


def test_a_soak_ends_with_its_time_or_with_its_exchanges():
    assert Length(10.0, None).left(5_000, 599.0, 100) == 100
    assert Length(10.0, None).left(5_000, 600.0, 100) == 0
    assert Length(10.0, 5_050).left(5_000, 700.0, 100) == 50


class Hasty:
    """A client whose exchanges take no time."""

    def __init__(self, begun: list[tuple[str, float]]) -> None:
        self.begun = begun

    async def do(self, errand: str, tally: Tally, due: float) -> bool:
        self.begun.append((errand, due))
        return True


async def test_of_a_constant_load_each_client_waits_for_an_exchange_of_its_own():
    """All of them began together, once for each of them, and then rested: a load of bursts."""
    begun = list[tuple[str, float]]()
    load = asyncio.create_task(
        _all([Hasty(begun)] * 3, deque(["now", "in an hour", "later"]), Tally(), 1 / 3600)
    )
    for _ in range(20):  # turns of the loop, in which whoever may begin has begun
        await asyncio.sleep(0)
    load.cancel()
    assert [errand for errand, _ in begun] == ["now"]


async def test_an_exchange_of_a_constant_load_counts_from_when_it_was_due():
    begun = list[tuple[str, float]]()
    await _all([Hasty(begun)], deque(["a", "b", "c"]), Tally(), 1000.0)
    (_, first), (_, second), (_, third) = begun
    assert second - first == pytest.approx(0.001)
    assert third - second == pytest.approx(0.001)


def test_documents_pass_in_both_directions_and_their_memory_is_told(tmp_path):
    page = tmp_path / "documents.html"
    done = bench("documents", "--sizes", "0.5,3", "--report", str(page), "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["documents"]
    assert [(row["operation"], row["size_mb"], row["errors"]) for row in rows] == [
        (operation, size, 0) for size in (0.5, 3.0) for operation in ("retrieveDocument", "uploadDocument")
    ]
    assert all(row[key] > 0 for row in rows for key in ("mb_per_second", "floor_cpu_ms_per_mb"))
    assert all(
        peak >= before > 0
        for row in rows
        for peak, before in zip(row["peak_mb"], row["rss_before_mb"], strict=True)
    )
    require_self_contained(html.parse(str(page)).getroot())


def test_the_hottest_functions_are_named():
    done = bench("hottest", "--suite", "ecdsa", "--exchanges", "40")
    assert done.returncode == 0, done.stderr
    assert "Consultation.consult  gateway/broker/consult.py" in done.stdout


def test_a_flame_graph_needs_py_spy_and_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    done = CliRunner().invoke(app, ["flame", "--output", str(tmp_path / "flame.svg")])
    assert done.exit_code == 1
    assert done.stderr.startswith("BEN008")


METRICS = """\
# TYPE gateway_stage_seconds histogram
gateway_stage_seconds_bucket{stage="sign",le="0.001"} 10.0
gateway_stage_seconds_bucket{stage="sign",le="0.002"} 30.0
gateway_stage_seconds_bucket{stage="sign",le="+Inf"} 40.0
gateway_stage_seconds_count{stage="sign"} 40.0
gateway_stage_seconds_sum{stage="sign"} 0.08
# TYPE gateway_deliveries_total counter
gateway_deliveries_total{recipient="A",outcome="acknowledged"} 3.0
gateway_deliveries_total{recipient="B",outcome="acknowledged"} 4.0
gateway_deliveries_total{recipient="B",outcome="refused"} 9.0
"""


def test_what_a_round_added_is_the_difference_of_two_scrapes():
    scraped = Scrape.read(METRICS)
    before = Scrape.read(METRICS.replace("40.0", "20.0").replace("30.0", "15.0").replace("0.08", "0.03"))
    added = (scraped - before).stages["sign"]
    assert (added.count, added.mean_ms) == (20, pytest.approx(2.5))
    assert scraped.acknowledged == 7
    assert (scraped - scraped).stages == {}


def test_a_quantile_lies_within_its_bucket():
    stage = Scrape.read(METRICS).stages["sign"]
    assert stage.quantile_ms(0.5) == pytest.approx(1.5)
    assert stage.quantile_ms(0.99) == pytest.approx(2.0)  # beyond the last bound


@pytest.mark.parametrize(
    "options",
    {
        "a size that is no number": ("--sizes", "1,x"),
        "a size that the schema cannot hold": ("--sizes", "1000"),
        "an unknown suite": ("--suites", "dsa"),
        "an unknown profile": ("--profiles", "consult,write"),
        "half a client": ("--clients", "1.5"),
        "no worker": ("--workers", "0"),
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
    done = commands.run("bench", "--contracts", "/nowhere")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("BEN005")
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def agreement():
    return load_agreement(contract_files(ROOT / "contracts"))


@pytest.mark.parametrize("kilobytes", [0.5, 1, 10, 100])
def test_a_dossier_has_about_its_size(kilobytes):
    size = len(compact(payload(kilobytes).encode()))
    assert 0.92 * kilobytes * 1024 <= size <= kilobytes * 1024


@pytest.mark.parametrize("kilobytes", [0.5, 1, 10, 100])
def test_a_dossier_is_written_in_canonical_form(kilobytes):
    written = f'<s:r xmlns:s="{SERVICE}">{payload(kilobytes)}</s:r>'.encode()
    assert canonical(parse_verified(written)) == written


def test_a_dossier_number_tells_its_size():
    assert kilobytes_of(dossier_number(100)) == 100


@pytest.mark.parametrize("kilobytes", [0.5, 1, 10, 100])
def test_a_dossier_is_valid_against_the_contract(agreement, kilobytes):
    question = Question(OPERATION, CUSTOMER, None, CONTEXT, Criteria(dossier=dossier_number(kilobytes)))
    written = write_reply(question, "", answered(Outcome.DATA_FOUND, ()), (), payload(kilobytes))
    agreement.contract.validate(parse_verified(written.encode()), Code.SCHEMA)


@pytest.mark.parametrize("kilobytes", [0.5, 1, 10, 100])
def test_a_dossier_holds_fields_to_release_and_fields_to_withhold(agreement, kilobytes):
    view = agreement.view(OPERATION, Role.REG, CONTEXT, Role.PLAT, None)
    element = parse_verified(f'<s:r xmlns:s="{SERVICE}">{payload(kilobytes)}</s:r>'.encode())[0]
    released = {view.verdicts[leaf.path] is None for leaf, _ in leaves(view.payload, element)}
    assert released == {True, False}
