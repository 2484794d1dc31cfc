"""The demo end to end, as a user runs it: every procedure to its end, and what everybody received on the way."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from lxml import etree

from gateway.adapters.store_directory import Directory
from gateway.adapters.store_reader import LogReader
from gateway.agreement.load import load_agreement
from gateway.loading import contract_files
from gateway.model import LegalContext, Role
from gateway.sandbox.files import FOLDER
from tests.process import commands
from tests.process.sandboxes import ROOT, gateway

AGREEMENT = load_agreement(contract_files(ROOT / "contracts"))
# Where each dossier of the story must end.
ENDS = {
    "WIB-2026-0000001-59": ("SINGLE_PERMIT", "FIRST", "CARD_ISSUED"),
    "WIB-2026-0000002-58": ("SINGLE_PERMIT", "RENEWAL", "CLOSED"),
    "WIB-2026-0000003-57": ("WORK_PERMIT", "FIRST", "PERMIT_GRANTED"),
    "WIB-2026-0000004-56": ("PROFESSIONAL_CARD", "FIRST", "CARD_ISSUED"),
    "WIB-2026-0000005-55": ("SINGLE_PERMIT_INDEFINITE", "CHANGE", "CARD_ISSUED"),
    "WIB-2026-0000006-54": ("SINGLE_PERMIT", "FIRST", "RESIDENCE_REFUSED"),
    "WIB-2026-0000007-53": ("SINGLE_PERMIT", "FIRST", "WITHDRAWN"),
    "WIB-2026-0000008-52": ("SINGLE_PERMIT", "FIRST", "REVOKED"),
}


def run(*arguments):
    return subprocess.run(
        gateway(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
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


@pytest.fixture(scope="module")
def roles(account):
    return {one["id"]: Role(one["role"]) for one in account["authorities"]}


def notified(account):
    """Notifications that somebody heard of."""
    return [one for one in account["exchanges"] if one.get("deliveries")]


def test_every_expectation_of_the_story_holds(account):
    assert account["expectations"]["failed"] == []
    assert account["expectations"]["held"] == len(account["exchanges"]) + len(account["refusals"])


def test_every_operation_and_every_role_takes_part(account):
    assert {one["operation"] for one in account["exchanges"]} == set(AGREEMENT.operations) - {
        "uploadDocument"
    }
    assert {one["from"] for one in account["exchanges"]} == {one["id"] for one in account["authorities"]}
    assert {one["role"] for one in account["authorities"]} == {"PLAT", "REG", "OE", "CONS", "MUN", "NSSO"}


def test_each_procedure_ends_in_its_status(account):
    ended = {
        one["dossier"]: (one["permit_type"], one["procedure"], one["status"]) for one in account["procedures"]
    }
    assert ended == ENDS
    assert {one["course"] for one in account["procedures"]} == set(AGREEMENT.courses)


def test_exchanges_say_what_was_released_and_withheld(account):
    keys = {"from", "to", "operation", "legal_context", "outcome", "released", "withheld", "log_index", "ms"}
    assert all(keys <= set(one) for one in account["exchanges"])
    dossiers = [one for one in account["exchanges"] if one["operation"] == "consultDossier"]
    assert all(one["released"] and not set(one["released"]) & set(one["withheld"]) for one in dossiers)
    released = {field for one in dossiers for field in one["released"]}
    assert "G30.residence" in released
    assert "G30.publicOrder" not in released


def test_everybody_whom_the_course_names_hears_of_it_and_nobody_else(runs, account, roles):
    kept, _, _ = runs
    directory = Directory.open(kept / "store.db", writes=False)
    taking = {number: {one.role for one in directory.get(number).inscriptions} for number in ENDS}
    inscribed = {number: set() for number in ENDS}
    for one in notified(account):
        if one["operation"] == "rectifyData":
            continue
        number, sender = one["dossier"], roles[one["from"]]
        steps = [step for step in course_of(number).steps if is_step(step, one, sender)]
        inscribed[number] |= set(steps[0].inscribes) | {sender}
        named = [hearing(step, inscribed[number] & taking[number], sender) for step in steps]
        assert {roles[to["to"]]: to["legal_context"] for to in one["deliveries"] if to["legal_context"]} in [
            {role: context for role, context in expected.items() if role not in left(one, roles)}
            for expected in named
        ]
    directory.close()


def course_of(number):
    permit_type, procedure, _ = ENDS[number]
    return AGREEMENT.course(permit_type, procedure)


def is_step(step, one, sender):
    return (
        step.operation == one["operation"] and sender in step.senders and step.context == one["legal_context"]
    )


def hearing(step, taking, sender):
    return {role: context for role, context in step.recipients.items() if role in taking and role != sender}


def left(one, roles):
    """Whose message stayed in its mailbox: the steps after it took it out."""
    return {roles[to["to"]] for to in one["deliveries"] if to["legal_context"] is None}


def test_nobody_receives_what_the_matrix_does_not_grant(account, roles):
    for one in notified(account):
        for to in one["deliveries"]:
            granted = AGREEMENT.matrix.receives(roles[to["to"]], LegalContext(to["legal_context"] or ""))
            assert set(to["present"]) <= granted
            assert set(to["present"]) == set(to["released"]) & set(one["present"]) or not to["legal_context"]


def test_some_fields_are_kept_from_somebody(account):
    """The test above could hold of an empty inbox."""
    received = {field for one in notified(account) for to in one["deliveries"] for field in to["present"]}
    told = {field for one in notified(account) for field in one["present"]}
    assert "G30.publicOrder" in told - received
    assert {"G30.residence", "G16.amount", "G31.stickerNumber", "G32.cardNumber"} <= received


def test_rectification_goes_to_earlier_recipients_only(account):
    (one,) = [one for one in account["exchanges"] if one["operation"] == "rectifyData"]
    assert [to["to"] for to in one["deliveries"]] == ["BRUSSELS", "IMMIGRATION_OFFICE"]
    earlier = [
        disclosure
        for dossier in account["dossiers"]
        if dossier["dossier"] == one["dossier"]
        for disclosure in dossier["received"]
        if "G16.amount" in disclosure["fields"] and disclosure["log_index"] < one["log_index"]
    ]
    assert {disclosure["to"] for disclosure in earlier} == {"BRUSSELS", "IMMIGRATION_OFFICE"}


def test_same_content_under_its_ticket_is_recorded_once(account):
    submitted = [
        one
        for one in account["exchanges"]
        if one["operation"] == "submitApplication" and one["dossier"] == "WIB-2026-0000001-59"
    ]
    assert [(one["outcome"], one["log_index"] is None) for one in submitted] == [("OK", False), ("OK", True)]


def test_one_region_down_makes_the_reply_incomplete(account):
    incomplete = [one for one in account["exchanges"] if one["outcome"] == "INCOMPLETE"]
    assert [one["missing"] for one in incomplete] == [["FLANDERS"]]


def test_refusals_of_every_family_are_told(account):
    codes = Counter(one["code"][:5] for one in account["refusals"])
    assert set(codes) == {"WIB04", "WIB05", "WIB06", "WIB07", "WIB09", "WIB13", "WIB14"}
    assert len({one["code"] for one in account["refusals"]}) >= 28


def test_who_received_what_is_read_from_the_log(runs, account):
    kept, _, _ = runs
    assert {one["dossier"] for one in account["dossiers"]} == set(ENDS)
    with LogReader.open(kept / "store.db") as log:
        for dossier in account["dossiers"]:
            for one in dossier["received"]:
                leaf = json.loads(log.entry(one["log_index"]))
                assert leaf["purpose"] == one["legal_context"]
                assert leaf["kind"] in {"response", "delivery"}
                assert one["groups"]


def test_every_clock_of_the_course_is_told(account):
    clocks = {one["dossier"]: one["clocks"] for one in account["dossiers"]}
    assert all(clock["state"] == "met" for clock in clocks["WIB-2026-0000001-59"])
    started = {clock["name"] for clock in clocks["WIB-2026-0000001-59"]}
    course = AGREEMENT.course("SINGLE_PERMIT", "FIRST")
    assert started == {one.name for one in course.deadlines}
    assert all(clock["elapsed"] <= clock["days"] for several in clocks.values() for clock in several)


def test_nothing_waits_at_the_end(runs, account):
    kept, _, _ = runs
    assert account["waiting"] == []
    listed = commands.run("queue", "list", "--config", str(kept / "gateway.toml"), "--json")
    assert listed.returncode == 0, listed.stderr
    assert not json.loads(listed.stdout)


def test_log_is_verified_and_holds_what_was_told(account):
    assert account["log"]["verified"] is True
    told = account["exchanges"] + account["refusals"]
    logged = [one["log_index"] for one in told if one["log_index"] is not None]
    delivered = [to["log_index"] for one in notified(account) for to in one["deliveries"]]
    logged += [index for index in delivered if index is not None]
    assert len(set(logged)) == len(logged)
    assert max(logged) == account["log"]["size"] - 1


def test_kept_log_verifies_with_the_officers_command(runs, account):
    kept, _, _ = runs
    verified = commands.run("log", "verify", "--config", str(kept / "gateway.toml"), "--json")
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["size"] == account["log"]["size"]


_CODE = re.compile(r"[A-Z_-]+|ANNEX_[0-9]+|WIB-[0-9-]+|[0-9-]+T[0-9:]+Z|\d{4}-\d{2}-\d{2}")


def values():
    """Everything in the dossiers that is long enough to be recognised, and no code, date or dossier number."""
    texts = {
        (element.text or "").strip()
        for path in FOLDER.glob("*/*.xml")
        for element in etree.parse(path).getroot().iter("{*}*")
    }
    return {text.encode() for text in texts if len(text) >= 8 and _CODE.fullmatch(text) is None}


@pytest.mark.parametrize("place", ["store", "hub.log"])
def test_no_value_of_a_dossier_is_left_anywhere(runs, account, place):
    kept, _, _ = runs
    assert account["log"]["verified"]
    files = list(kept.glob("store.db*")) if place == "store" else [kept / "hub.log"]
    held = b"".join(path.read_bytes() for path in files)
    assert len(values()) > 100
    assert {value for value in values() if value in held} == set()


def test_no_dossier_number_is_in_an_entry_or_a_line_of_the_log(runs, account):
    kept, _, _ = runs
    with LogReader.open(kept / "store.db") as log:
        entries = b"".join(log.entry(index) for index in range(account["log"]["size"]))
    for number in ENDS:
        assert number.encode() not in entries
        assert number not in (kept / "hub.log").read_text()


def test_another_run_gives_the_same_account(runs, account):
    _, _, other = runs
    assert other.returncode == 0, other.stderr
    assert _without_chance(json.loads(other.stdout)) == _without_chance(account)


def _without_chance(account):
    """The account without times and hashes; deliveries of one notification are recorded as they come."""
    steps = [
        {
            name: _delivered(value) if name == "deliveries" else value
            for name, value in one.items()
            if name != "ms"
        }
        for one in account["exchanges"] + account["refusals"]
    ]
    facts = {name: account[name] for name in ("authorities", "procedures", "agreement", "expectations")}
    received = [
        [
            {name: one[name] for name in ("to", "legal_context", "operation", "fields")}
            for one in dossier["received"]
        ]
        for dossier in account["dossiers"]
    ]
    return {**facts, "steps": steps, "received": received, "size": account["log"]["size"]}


def _delivered(several):
    return [{name: value for name, value in one.items() if name != "log_index"} for one in several]


def test_demo_keeps_nothing_where_something_is(tmp_path):
    (tmp_path / "pki").mkdir()
    done = commands.run("demo", "--keep", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("SBX003")
