"""The demo end to end, as a user runs it; and the client command against a running sandbox."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from gateway.cli.commands import app
from tests.process.sandboxes import ROOT, gateway, running_sandbox

FIRST = "WIB-2026-0000001-59"


def run(*arguments):
    return subprocess.run(
        gateway(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=180, check=False
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The demo twice, at the same time: once keeping its directory."""
    kept = tmp_path_factory.mktemp("demo") / "world"
    with ThreadPoolExecutor() as pool:
        one = pool.submit(run, "demo", "--json", "--keep", str(kept))
        other = pool.submit(run, "demo", "--json")
        return kept, one.result(), other.result()


@pytest.fixture(scope="module")
def account(runs):
    _, one, _ = runs
    assert one.returncode == 0, one.stderr + one.stdout[-3000:]
    return json.loads(one.stdout)


def test_every_expectation_of_the_story_holds(account):
    assert account["expectations"]["failed"] == []
    assert account["expectations"]["held"] == len(account["exchanges"]) + len(account["refusals"])


def test_every_operation_and_every_role_takes_part(account):
    assert {one["operation"] for one in account["exchanges"]} == {
        "consultDossier", "consultStatus", "consultSocialSecurityStatus", "consultPriorApplications",
        "retrieveDocument", "sendTestMessage", "checkAccessControl",
    }  # fmt: skip
    assert {one["from"] for one in account["exchanges"]} == {one["id"] for one in account["authorities"]}
    assert {one["role"] for one in account["authorities"]} == {"PLAT", "REG", "OE", "CONS", "MUN", "NSSO"}


def test_exchanges_say_what_was_released_and_withheld(account):
    keys = {"from", "to", "operation", "legal_context", "outcome", "released", "withheld", "log_index", "ms"}
    assert all(keys <= set(one) for one in account["exchanges"])
    dossiers = [one for one in account["exchanges"] if one["operation"] == "consultDossier"]
    assert all(one["released"] and not set(one["released"]) & set(one["withheld"]) for one in dossiers)
    released = {field for one in dossiers for field in one["released"]}
    assert "G30.residence" in released
    assert "G30.publicOrder" not in released


def test_one_region_down_makes_the_reply_incomplete(account):
    incomplete = [one for one in account["exchanges"] if one["outcome"] == "INCOMPLETE"]
    assert [one["missing"] for one in incomplete] == [["FLANDERS"]]


def test_refusals_of_every_family_are_told(account):
    codes = Counter(one["code"][:5] for one in account["refusals"])
    assert set(codes) == {"WIB04", "WIB05", "WIB06", "WIB07", "WIB09"}
    assert len({one["code"] for one in account["refusals"]}) >= 20


def test_log_is_verified_and_holds_what_was_told(account):
    assert account["log"]["verified"] is True
    logged = [
        one["log_index"] for one in account["exchanges"] + account["refusals"] if one["log_index"] is not None
    ]
    assert len(set(logged)) == len(logged)
    assert max(logged) == account["log"]["size"] - 1


def test_kept_log_verifies_with_the_officers_command(runs, account):
    kept, _, _ = runs
    verified = run("log", "verify", "--config", str(kept / "gateway.toml"), "--json")
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["size"] == account["log"]["size"]


def test_another_run_gives_the_same_account(runs, account):
    _, _, other = runs
    assert other.returncode == 0, other.stderr
    assert _without_chance(json.loads(other.stdout)) == _without_chance(account)


def _without_chance(account):
    """The account without times and hashes."""
    steps = [
        {k: v for k, v in one.items() if k != "ms"} for one in account["exchanges"] + account["refusals"]
    ]
    facts = {name: account[name] for name in ("authorities", "procedures", "agreement", "expectations")}
    return {**facts, "steps": steps, "size": account["log"]["size"]}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    world = tmp_path_factory.mktemp("call") / "world"
    with running_sandbox(world) as facts:
        yield world, facts


def call(sandbox, *arguments):
    world, _ = sandbox
    return run("call", *arguments, "--world", str(world))


CONSULT = ("consultDossier", "--dossier", FIRST, "--context", "WIB:WORK_DECISION")


def test_call_prints_the_verified_reply(sandbox):
    done = call(sandbox, *CONSULT, "--as", "BRUSSELS", "--json")
    assert done.returncode == 0, done.stderr
    reply = json.loads(done.stdout)
    assert reply["outcome"] == "DATA_FOUND"
    assert reply["payload"]["employer"]["name"] == "Atelier Zenne NV"
    assert "dossier/workerCivil" in reply["filtered"]


def test_call_fails_with_code_remedy_and_incident_when_refused(sandbox):
    done = call(sandbox, *CONSULT, "--as", "FLANDERS", "--json")
    fault = json.loads(done.stdout)["fault"]
    assert (done.returncode, fault["code"]) == (1, "WIB07005")
    assert fault["incident"] in done.stderr
    assert fault["remedy"] in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((*CONSULT, "--as", "NOBODY"), "SBX001"),
        (("consultNothing", "--context", "WIB:RENEWAL", "--as", "BRUSSELS"), "SBX009"),
        (("consultDossier", "--context", "WIB:RENEWAL", "--as", "BRUSSELS"), "SBX011"),
        (("consultStatus", "--context", "WIB:RENEWAL", "--as", "BRUSSELS", "--echo", "x"), "SBX011"),
    ],
    ids=["unknown authority", "unknown operation", "missing criterion", "criterion of another operation"],
)
def test_call_explains_what_it_cannot_send(sandbox, arguments, code):
    done = call(sandbox, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(code)
    assert "Traceback" not in done.stderr


def test_call_without_sandbox_says_how_to_start_one(tmp_path):
    done = run("call", *CONSULT, "--as", "BRUSSELS", "--world", str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert done.stderr.startswith("SBX006")


def test_second_sandbox_in_one_directory_is_refused(sandbox):
    world, _ = sandbox
    done = run("sandbox", "--world", str(world))
    assert done.returncode == 1
    assert done.stderr.startswith("SBX010")


def test_directory_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    done = run("sandbox", "--world", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("SBX003")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_printed_examples_work(sandbox):
    """One for each authority, as printed; in this process, since a new one takes a second to start."""
    _, facts = sandbox
    commands = [shlex.split(one["call"])[1:] for one in facts["authorities"]]
    done = [CliRunner().invoke(app, command) for command in commands]
    assert [(one.exit_code, one.output.split()[0]) for one in done] == [(0, "DATA_FOUND")] * len(commands)


def test_interrupt_stops_the_sandbox_and_its_hub(tmp_path):
    process = subprocess.Popen(
        gateway("sandbox", "--world", str(tmp_path / "world"), "--json"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    url = urlsplit(json.loads(process.stdout.readline())["soap"])
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    with pytest.raises(ConnectionRefusedError), socket.create_connection((url.hostname, url.port)):
        pass
