"""The client command against a running sandbox, as a user runs both; the client for the most part in this process."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
import requests.adapters
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from typer.testing import CliRunner

from gateway.cli.commands import app
from gateway.exchangelog.checkpoint import Checkpoint, sign_checkpoint
from gateway.exchangelog.note import Signer, parse_note
from tests.process.commands import run
from tests.process.sandboxes import ROOT, authority, gateway, running_sandbox

FIRST = "WIB-2026-0000001-59"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    world = tmp_path_factory.mktemp("call") / "world"
    with running_sandbox(world) as facts:
        yield world, facts


def call(sandbox, *arguments):
    world, _ = sandbox
    return run("call", *arguments, "--world", str(world))


# A shell starts what it runs in the background with SIGINT ignored, and that is inherited.
HEEDING = ("env", "--default-signal=INT")
DOSSIER = "gateway/sandbox/dossiers/first/NSSO.xml"
CONSULT = ("consultDossier", "--dossier", FIRST, "--context", "WIB:WORK_DECISION")


def test_call_prints_the_verified_reply(sandbox):
    done = call(sandbox, *CONSULT, "--as", "BRUSSELS", "--json")
    assert done.returncode == 0, done.stderr
    reply = json.loads(done.stdout)
    assert reply["outcome"] == "DATA_FOUND"
    assert reply["payload"]["employer"]["name"] == "Atelier Zenne NV"
    assert "dossier/workerCivil" in reply["filtered"]


def test_a_log_that_does_not_extend_what_was_seen_of_it_is_told_by_the_client(sandbox):
    """The hub, which has the log's key, shows this authority another log than before."""
    world, _ = sandbox
    pin, key = world / "pki/BRUSSELS/log.pin", world / "pki/HUB/log.key.pem"
    assert call(sandbox, *CONSULT, "--as", "BRUSSELS").returncode == 0
    seen = pin.read_bytes()
    assert call(sandbox, *CONSULT, "--as", "BRUSSELS").returncode == 0
    before = Checkpoint.parse(parse_note(seen).text)
    assert Checkpoint.parse(parse_note(pin.read_bytes()).text).size > before.size
    signer = Signer.of(before.origin, load_pem_private_key(key.read_bytes(), None))
    forged = sign_checkpoint(before.size, bytes(32), [signer])
    pin.write_bytes(forged)
    told = call(sandbox, *CONSULT, "--as", "BRUSSELS")
    assert (told.returncode, told.stdout, told.stderr[:6]) == (1, "", "LOG413")
    assert pin.read_bytes() == forged  # and what contradicts it stands beside
    shown = Checkpoint.parse(parse_note(pin.with_name("log.pin.fork-1").read_bytes()).text)
    assert shown.size > before.size
    pin.write_bytes(seen)
    assert call(sandbox, *CONSULT, "--as", "BRUSSELS").returncode == 0


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
        ((*CONSULT, "--as", "BRUSSELS", "--ticket", "a\x07"), "SBX011"),
        ((*CONSULT, "--as", "BRUSSELS", "--payload", "tests/process/__init__.py"), "SBX015"),
        ((*CONSULT, "--as", "BRUSSELS", "--payload", "/nowhere/payload.xml"), "SBX015"),
        ((*CONSULT, "--as", "BRUSSELS", "--payload", DOSSIER), "SBX011"),
        ((*CONSULT, "--as", "BRUSSELS", "--payload", "contracts/xsd/dossier.xsd"), "SBX015"),
        (("closeDossier", "--context", "WIB:RENEWAL", "--dossier", FIRST, "--as", "PLATFORM"), "SBX011"),
        ((*CONSULT, "--as", "BRUSSELS", "--save", "/nowhere/reply.xml"), "SBX014"),
        ((*CONSULT, "--as", "BRUSSELS", "--save", "/"), "SBX014"),
    ],
    ids=[
        "unknown authority",
        "unknown operation",
        "missing criterion",
        "criterion of another operation",
        "text that no message can carry",
        "payload that is no XML",
        "payload that is not there",
        "payload for a question",
        "payload that is no dossier",
        "notification that tells nothing",
        "reply to a directory that is not there",
        "reply to a directory",
    ],
)
def test_call_explains_what_it_cannot_send(sandbox, arguments, code):
    done = call(sandbox, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(code)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("seconds", ["soon", "31", "-1"])
def test_waiting_is_in_seconds_and_nothing_else_is_sent(tmp_path, seconds):
    """Told before anything is looked for: there is no sandbox here."""
    arguments = ("listMessages", "--as", "MUN_EUPEN", "--context", "WIB:MUNICIPAL_REGISTRATION")
    done = run("call", *arguments, "--wait", seconds, "--world", str(tmp_path))
    assert done.returncode == 2
    assert "--wait" in done.stderr


def test_call_without_sandbox_says_how_to_start_one(tmp_path):
    done = run("call", *CONSULT, "--as", "BRUSSELS", "--world", str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert done.stderr.startswith("SBX006")


def test_call_to_what_is_left_of_a_sandbox_has_a_code(sandbox, tmp_path):
    world, _ = sandbox
    for name in ("gateway.toml", "register.toml"):
        shutil.copy(world / name, tmp_path)
    done = run("call", *CONSULT, "--as", "BRUSSELS", "--world", str(tmp_path))
    assert (done.returncode, done.stderr[:6]) == (1, "SBX006")


def test_contracts_without_a_register_have_a_code(tmp_path):
    shutil.copy(ROOT / "contracts/agreement.toml", tmp_path)
    done = run("sandbox", "--world", str(tmp_path / "world"), "--contracts", str(tmp_path))
    assert (done.returncode, done.stderr[:6]) == (1, "SBX002")


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
    """One for each authority, as printed."""
    _, facts = sandbox
    printed = [shlex.split(one["call"]) for one in facts["authorities"]]
    commands = [words[words.index("call") :] for words in printed]
    done = [CliRunner().invoke(app, command) for command in commands]
    assert [(one.exit_code, one.output.split()[0]) for one in done] == [(0, "DATA_FOUND")] * len(commands)


def notification(facts, operation):
    """The printed call of a notification, without the program's name."""
    return words(next(one["call"] for one in facts["notifications"] if one["operation"] == operation))


def words(printed):
    """A printed command without the program's name, which here is python -m gateway."""
    return shlex.split(printed)[3:]


def test_printed_notification_may_be_told_again_and_again(sandbox):
    _, facts = sandbox
    command = notification(facts, "notifySocialSecurityEvent")
    done = [CliRunner().invoke(app, [*command, "--json"]) for _ in range(2)]
    told = [json.loads(one.stdout) for one in done]
    assert [one["outcome"] for one in told] == ["OK", "OK"]
    assert told[0]["exchange"] != told[1]["exchange"]
    assert told[0]["log_index"] < told[1]["log_index"]


def test_notification_under_its_ticket_gives_the_first_receipt_again(sandbox):
    _, facts = sandbox
    command = [*notification(facts, "notifySocialSecurityEvent"), "--ticket", "event-2026-17", "--json"]
    first, again = (json.loads(CliRunner().invoke(app, command).stdout) for _ in range(2))
    assert first["log_size"] <= again.pop("log_size")  # proven under a newer checkpoint
    assert {name: first[name] for name in again} == again


def test_notification_prints_its_receipt(sandbox):
    _, facts = sandbox
    done = CliRunner().invoke(app, notification(facts, "submitApplication"))
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("OK")
    assert ", log index " in done.stdout
    again = CliRunner().invoke(app, notification(facts, "submitApplication"))
    assert again.exit_code == 1
    assert "WIB13003" in again.output


@pytest.mark.parametrize(
    ("beyond", "code"),
    [
        ("", "OK"),
        ("<workDecision><outcome>GRANTED</outcome></workDecision>", "WIB13005"),
        ("<grounds><work>No grounds of ours.</work></grounds>", "SBX011"),
    ],
    ids=["its own fields", "a field that it only receives", "a field that its contract does not have"],
)
def test_payload_holds_what_its_sender_may_write(sandbox, tmp_path, beyond, code):
    _, facts = sandbox
    command = notification(facts, "notifySocialSecurityEvent")
    written = Path(command[command.index("--payload") + 1]).read_text()
    (tmp_path / "payload.xml").write_text(written.replace("<socialSecurity", f"{beyond}<socialSecurity"))
    done = run(*command, "--payload", str(tmp_path / "payload.xml"))
    assert (done.stdout + done.stderr).startswith(code)


def test_metrics_count_notifications_and_name_no_dossier_and_nobody(sandbox):
    world, facts = sandbox
    assert CliRunner().invoke(app, notification(facts, "notifySocialSecurityEvent")).exit_code == 0
    metrics = requests.get(f"{facts['operations']}/metrics", timeout=60).text
    told = re.findall(r"^gateway_notifications_total{(.*)} [1-9]", metrics, re.MULTILINE)
    assert any('operation="notifySocialSecurityEvent"' in labels for labels in told)
    said = metrics + (world / "hub.log").read_text()
    for value in (FIRST, "90612400144", "2999900093", "DIMONA"):
        assert value not in said


def test_mailbox_is_listed_and_holds_nothing_of_others(sandbox):
    mine = ("--as", "MUN_EUPEN", "--context", "WIB:MUNICIPAL_REGISTRATION")
    listed = call(sandbox, "listMessages", *mine).stdout
    assert listed.startswith("NO_DATA_FOUND")
    assert "nothing waits for you" in listed
    unknown = "00000000-0000-4000-8000-000000000000"
    done = call(sandbox, "acknowledgeMessage", *mine, "--message", unknown)
    assert (done.returncode, done.stderr[:8]) == (1, "WIB14001")


def test_printed_notifications_open_a_dossier_admit_it_and_fill_a_mailbox(sandbox):
    """In the order in which they are printed; another test may have told the application already."""
    _, facts = sandbox
    shown = {}
    for operation in ("submitApplication", "notifyAdmissibility", "notifyRegistration"):
        done = CliRunner().invoke(app, notification(facts, operation))
        assert done.stdout.startswith("OK") or "WIB13003" in done.output, (operation, done.output)
        then = next(one["then"] for one in facts["notifications"] if one["operation"] == operation)
        looked = CliRunner().invoke(app, words(then))
        assert looked.exit_code == 0, looked.output
        shown[operation] = looked.stdout
    assert "OVERALL_TERM" in shown["notifyAdmissibility"]
    (message,) = re.findall(r"messageId +(\S+)", shown["notifyRegistration"])
    mine = ("--as", "MUN_EUPEN", "--context", "WIB:MUNICIPAL_REGISTRATION", "--message", message)
    fetched = call(sandbox, "fetchMessage", *mine).stdout
    moved = next(one["dossier"] for one in facts["notifications"] if one["as"] == "MUN_BRUSSELS")
    assert f"notification/dossierNumber  {moved}" in fetched
    assert "notification/operation  notifyRegistration" in fetched
    assert call(sandbox, "acknowledgeMessage", *mine).stdout.startswith("OK")


def test_printed_example_works_from_anywhere(sandbox, tmp_path):
    _, facts = sandbox
    printed = shlex.split(authority(facts, "MUN_LIEGE")["call"])
    around = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        printed, cwd=tmp_path, env=around, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("DATA_FOUND")


def test_criteria_are_explained_by_option(sandbox):
    done = call(sandbox, "consultStatus", "--context", "WIB:RENEWAL", "--as", "BRUSSELS", "--echo", "x")
    assert "--echo" in done.stderr
    assert "--dossier" in done.stderr
    assert "{" not in done.stderr  # neither Python nor XML names


def test_schema_refusal_names_the_element(sandbox):
    done = call(
        sandbox, "consultStatus", "--context", "WIB:RENEWAL", "--as", "BRUSSELS", "--dossier", "no number"
    )
    assert done.stderr.startswith("WIB06001")
    assert "(dossierNumber)" in done.stderr
    assert "no number" not in done.stderr


def test_rights_are_a_short_table_and_in_full_on_demand(sandbox):
    asking = ("checkAccessControl", "--context", "WIB:WORK_DECISION", "--as", "BRUSSELS")
    short = call(sandbox, *asking).stdout.splitlines()
    assert len(short) < 30  # a line for each operation
    assert any("consultDossier" in line and "WIB:WORK_DECISION" in line for line in short)
    full = call(sandbox, *asking, "--all").stdout
    assert "accessControl/access[1]/permitted  true" in full
    assert "  false" in full
    assert "WIB07002" in full


def test_released_and_withheld_paths_are_written_alike(sandbox):
    lines = call(sandbox, *CONSULT, "--as", "BRUSSELS").stdout.splitlines()
    assert "  dossier/employer/name  Atelier Zenne NV" in lines
    assert "  dossier/workerCivil" in lines


def test_back_office_names_no_software(sandbox):
    _, facts = sandbox
    own = authority(facts, "BRUSSELS")
    session = requests.Session()
    session.trust_env = False
    session.cert, session.verify = (own["tls_certificate"], own["tls_key"]), facts["anchor"]
    session.mount("https://", _AnyName())
    answer = session.post(authority(facts, "PLATFORM")["endpoint"], data=b"x", timeout=60)
    assert answer.headers["Server"] == "back-office"


class _AnyName(requests.adapters.HTTPAdapter):
    """Back offices carry the register's names, and are reached by a loopback address."""

    def cert_verify(self, conn, url, verify, cert):
        super().cert_verify(conn, url, verify, cert)
        conn.assert_hostname = False


@pytest.mark.parametrize(("command", "option"), [("sandbox", "--world"), ("demo", "--keep")])
@pytest.mark.parametrize("place", ["file", "file/below", "/proc/none"])
def test_impossible_directory_has_a_code(tmp_path, command, option, place):
    (tmp_path / "file").write_text("a file")
    done = run(command, option, str(tmp_path / place))
    assert done.returncode == 1
    assert done.stderr.startswith("SBX014")
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """A directory for sandboxes that end, one after the other: only the first issues certificates."""
    return tmp_path_factory.mktemp("ended") / "world"


def started(world):
    process = subprocess.Popen(
        [*HEEDING, *gateway("sandbox", "--world", str(world), "--json")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def await_closed(url):
    """Until nobody serves there any more."""
    parts, end = urlsplit(url), time.monotonic() + 60
    with suppress(ConnectionRefusedError):
        while time.monotonic() < end:
            socket.create_connection((parts.hostname, parts.port)).close()
            time.sleep(0.05)
        pytest.fail("the hub lives on")


def children(pid):
    stats = [path.read_text() for path in Path("/proc").glob("[0-9]*/stat") if path.exists()]
    fields = [(int(one.split()[0]), int(one.rpartition(")")[2].split()[1])) for one in stats]
    return [child for child, parent in fields if parent == pid]


def test_interrupt_stops_both_the_next_start_has_the_same_ports_and_ends_with_its_hub(left):
    process, facts = started(left)
    moved = CliRunner().invoke(app, notification(facts, "notifyRegistration"))
    assert moved.exit_code == 0, moved.output
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    await_closed(facts["soap"])
    said = (left / "hub.log").read_text()
    before = directory_of(left)
    again, later = started(left)
    (hub,) = children(again.pid)
    os.kill(hub, signal.SIGKILL)
    assert again.wait(60) == 1
    assert again.stderr is not None
    assert again.stderr.read().startswith("SBX013")
    assert later["soap"] == facts["soap"]
    assert [one["endpoint"] for one in later["authorities"]] == [
        one["endpoint"] for one in facts["authorities"]
    ]
    log = left / "hub.log"
    assert log.read_text().startswith(said)
    assert len(log.read_text()) > len(said)
    assert log.stat().st_mode & 0o777 == 0o600
    after = directory_of(left)
    assert {number: after[number] for number in before} == before  # nothing that happened is undone
    new = next(one["dossier"] for one in later["notifications"] if one["operation"] == "submitApplication")
    assert new not in after


def directory_of(world):
    """What the dossier directory holds, by number."""
    listed = CliRunner().invoke(app, ["dossier", "list", "--config", str(world / "gateway.toml"), "--json"])
    assert listed.exit_code == 0, listed.output
    return {one["dossier"]: one for one in json.loads(listed.stdout)}


def look(facts):
    """The sandbox's hub looks at its files, by the command that is printed."""
    log = Path(facts["log"])
    said = len(log.read_bytes())
    subprocess.run(shlex.split(facts["reload"]), check=True)
    end = time.monotonic() + 60
    while b'"event": "reloaded"' not in log.read_bytes()[said:]:
        assert time.monotonic() < end
        time.sleep(0.02)


def typed(line, world):
    """A command of the README, typed for the sandbox in another directory."""
    words = [word.replace("var/sandbox", str(world)) for word in shlex.split(line)[1:]]
    return CliRunner().invoke(app, [*words, *(("--world", str(world)) if words[0] == "call" else ())])


def test_who_is_stopped_as_the_readme_says_reads_the_refusal_and_is_let_in_again(sandbox):
    world, facts = sandbox
    block = re.search(
        r"^Stop somebody.*?^```\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )
    withdraw, reload, call_, explain, let_in = block[1].splitlines()
    assert reload == re.sub(r"\d+$", "PID", facts["reload"])
    assert typed(withdraw, world).exit_code == 0
    look(facts)
    done = typed(f"{call_} --json", world)
    told = json.loads(done.stdout)["fault"]
    assert (told["code"], told["http"], told["incident"]) == ("WIB01006", 403, "")
    assert (done.exit_code, done.stderr[:8]) == (1, "WIB01006")
    assert "HTTP 403" in done.stderr
    assert "enrolment" in typed(explain, world).output
    again, _, reload_again = let_in.partition(" && ")
    assert reload_again == reload
    assert typed(again, world).exit_code == 0
    look(facts)
    assert typed(call_, world).exit_code == 0


def test_who_is_suspended_in_the_register_of_the_sandbox_reads_so(sandbox):
    world, facts = sandbox
    register = world / "register.toml"
    before = register.read_text()
    head, name, rest = before.partition('id = "MUN_LIEGE"')
    register.write_text(head + name + rest.replace("active = true", "active = false", 1))
    look(facts)
    asking = ("checkAccessControl", "--as", "MUN_LIEGE", "--context", "WIB:MUNICIPAL_REGISTRATION")
    done = CliRunner().invoke(app, ["call", *asking, "--world", str(world)])
    register.write_text(before)
    look(facts)
    assert (done.exit_code, done.stderr[:8]) == (1, "WIB05005")


def test_what_answers_and_is_no_hub_is_not_taken_for_a_sandbox_that_does_not_run(sandbox, tmp_path):
    """Its metrics are served without TLS."""
    world, facts = sandbox
    shutil.copytree(world / "pki", tmp_path / "pki")
    shutil.copy(world / "register.toml", tmp_path)
    settings, elsewhere = (world / "gateway.toml").read_text(), urlsplit(facts["operations"]).port
    moved = settings.replace(facts["soap"], f"https://127.0.0.1:{elsewhere}/soap/v1")
    (tmp_path / "gateway.toml").write_text(moved)
    done = run("call", *CONSULT, "--as", "BRUSSELS", "--world", str(tmp_path))
    assert (done.returncode, done.stderr[:6]) == (1, "SBX007")
    assert "hub.log" in done.stderr
    assert "running?" not in done.stderr


def test_hub_ends_with_a_sandbox_that_is_killed_and_a_call_says_so_in_its_own_words(left):
    process, facts = started(left)
    process.kill()
    process.wait(60)
    await_closed(facts["soap"])
    done = run("call", *CONSULT, "--as", "BRUSSELS", "--world", str(left))
    assert done.returncode == 1
    assert done.stderr.startswith("SBX007")
    assert "nobody serves there" in done.stderr
    assert done.stderr.rstrip().endswith("Is the sandbox of --world running?")
    assert "Error" not in done.stderr
