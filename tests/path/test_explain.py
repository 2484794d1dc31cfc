"""`gateway explain`: to the officer every stage and clause, to an authority its own exchanges and no more."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path

import apsw
import pytest
from typer.testing import CliRunner

from gateway.adapters.login import login
from gateway.cli.commands import app
from gateway.edge.operational_log import OperationalLog
from gateway.model import Criteria, Outcome
from tests.path.hub import DOSSIER, OTHER_DOSSIER, SSIN, Hub, reply_body, sign_as, signed_question
from tests.path.notifying import (
    ADMISSIBILITY,
    ADMISSIBLE,
    ASKED,
    GRANTED,
    NEW,
    declare,
    drain,
    mailbox,
    submit,
    tell,
)
from tests.path.settings import settings_of
from tests.path.test_agreement_simulate import prune
from tests.path.test_record import with_failing_log

WORK, RESIDENCE = "WIB:WORK_DECISION", "WIB:RESIDENCE_DECISION"
NAMES = ("PLATFORM", "IMMIGRATION_OFFICE", "POST_RABAT", "MUN_BRUSSELS", "0999")


def run(hub: Hub, *arguments: object):
    command = ["explain", *map(str, arguments), "--config", str(settings_of(hub))]
    result = CliRunner().invoke(app, command)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def explain(hub: Hub, *arguments: object) -> dict[str, object]:
    result = run(hub, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def failed(told) -> list[str]:
    return [one["stage"] for one in told["stages"] if one["state"] == "failed"]


async def test_a_refusal_is_found_by_its_incident_and_explained_to_the_officer(hub: Hub):
    refused = await hub.consult("POST_RABAT", "consultStatus", "WIB:VISA_ISSUE")
    told = explain(hub, refused.event.exchange)
    assert (told["authority"], told["role"], told["code"]) == ("POST_RABAT", "CONS", "WIB07006")
    assert failed(told) == ["status"]
    assert told["clause"]["place"] == "roles.CONS.statuses"
    assert "PERMIT_GRANTED" in told["clause"]["own"]
    assert told["clause"]["basis"][0].startswith("C: Cooperation agreement")
    assert (told["dossier"]["status"], told["dossier"]["takes_part"]) == ("UNDER_REVIEW", True)
    assert told["remedy"] == "Wait for the status that the agreement names."


async def test_the_status_is_that_of_the_moment_not_that_of_now(hub: Hub):
    refused = await hub.consult("POST_RABAT", "consultStatus", "WIB:VISA_ISSUE")
    hub.now += timedelta(hours=1)
    await hub.dossier(DOSSIER, "PERMIT_GRANTED", status_since=hub.now)
    assert explain(hub, refused.event.exchange)["dossier"]["status"] == "UNDER_REVIEW"


async def test_an_unknown_and_a_foreign_dossier_differ_for_the_officer_and_for_nobody_else(hub: Hub):
    foreign = await hub.consult("FLANDERS", "consultDossier", WORK)
    unknown = await hub.consult("FLANDERS", "consultDossier", WORK, Criteria(OTHER_DOSSIER))
    assert explain(hub, foreign.event.exchange)["dossier"]["known"]
    assert not explain(hub, unknown.event.exchange)["dossier"]["known"]
    one, other = (
        explain(hub, answered.event.exchange, "--as", "FLANDERS") for answered in (foreign, unknown)
    )
    assert {name for name in one if one[name] != other[name]} == {"exchange", "entries"}
    assert one["dossier"] is None
    assert failed(one) == ["part in the dossier"]


async def test_what_is_anothers_and_what_does_not_exist_are_answered_alike(hub: Hub):
    answered = await hub.consult("BRUSSELS", "consultDossier", WORK, ticket="BXL-417")
    references = (
        answered.event.exchange,
        "0",
        "1",
        "BXL-417",
        "99",
        "00000000-0000-4000-8000-000000000000",
        "?",
    )
    results = [run(hub, one, "--as", "FLANDERS") for one in references]
    assert {(one.exit_code, one.output) for one in results} == {(1, results[0].output)}
    assert "LOG751" in results[0].output
    for reference in references[:4]:
        assert explain(hub, reference, "--as", "BRUSSELS")["exchange"] == answered.event.exchange


async def test_a_name_that_the_register_has_not_is_told_with_the_option_that_gave_it(hub: Hub):
    told = run(hub, "0", "--as", "NOBODY").stderr
    assert (told[:6], "--as" in told, "--authority" in told) == ("LOG510", True, False)


async def test_a_ticket_is_known_to_its_own_authority_only(hub: Hub):
    await hub.consult("BRUSSELS", "consultDossier", WORK, ticket="1")
    second = await hub.consult("BRUSSELS", "consultDossier", WORK, ticket="0")
    assert explain(hub, "ticket:0", "--as", "BRUSSELS")["exchange"] == second.event.exchange
    assert explain(hub, "0", "--as", "BRUSSELS")["exchange"] != second.event.exchange  # an index goes first
    assert run(hub, "ticket:0").exit_code == 1  # a ticket is an authority's


async def test_an_answer_is_explained_by_group_with_the_cells_that_released_and_withheld(hub: Hub):
    answered = await hub.consult("BRUSSELS", "consultDossier", WORK)
    told = explain(hub, answered.event.log_index)
    passport = next(one for one in told["fields"] if one["group"] == "G08")
    assert passport["released"] == ["G08.number", "G08.issueDate", "G08.expiryDate"]
    assert passport["withheld"] == {"ROLE": ["G08.type", "G08.country", "G08.scan"]}
    assert passport["receives"]["basis"][0].startswith("G: Aliens Act")
    assert passport["receives"]["certainty"] == "L"
    assert told["declared"] == sorted(answered.texts("filteredElement"))
    assert {one["state"] for one in told["stages"][:-1]} == {"passed"}


async def test_a_requester_is_told_what_its_reply_declared_and_no_reason_of_a_cell(hub: Hub):
    answered = await hub.consult("BRUSSELS", "consultDossier", WORK)
    told = explain(hub, answered.event.exchange, "--as", "BRUSSELS")
    assert told["declared"] == sorted(answered.texts("filteredElement"))
    assert all(one.keys() == {"group", "name", "released"} and one["released"] for one in told["fields"])
    assert all("to" not in one for one in told["entries"])
    printed = run(hub, answered.event.exchange, "--as", "BRUSSELS").output
    assert not [name for name in NAMES if name in printed]


async def test_a_sender_is_not_told_who_hears_of_it(hub: Hub):
    await submit(hub)
    told = await tell(hub, "BRUSSELS", "notifyAdmissibility", ADMISSIBILITY, ADMISSIBLE, NEW)
    assert {one["recipient"] for one in explain(hub, told.event.exchange)["deliveries"]} == {
        "PLATFORM",
        "IMMIGRATION_OFFICE",
    }
    mine = explain(hub, told.event.exchange, "--as", "BRUSSELS")
    assert mine["deliveries"] == []
    assert mine["dossier"] is None
    assert "to" not in mine["entries"][0]
    printed = run(hub, told.event.exchange, "--as", "BRUSSELS").output
    assert not [name for name in NAMES if name in printed]


async def test_a_delivery_is_its_recipients_and_not_its_senders(hub: Hub):
    await hub.dossier(DOSSIER, "WORK_GRANTED")
    sent = await declare(hub)
    await drain(hub, None, "IMMIGRATION_OFFICE")
    waiting = explain(hub, sent.event.exchange)["deliveries"]
    delivery = next(one["delivery"] for one in waiting if one["recipient"] == "IMMIGRATION_OFFICE")
    received = explain(hub, delivery, "--as", "IMMIGRATION_OFFICE")
    assert [one["kind"] for one in received["entries"]] == ["delivery", "settlement"]
    assert any("G33.declared" in one["released"] for one in received["fields"])
    assert run(hub, delivery, "--as", "NSSO").exit_code == 1
    assert run(hub, sent.event.exchange, "--as", "IMMIGRATION_OFFICE").exit_code == 1


async def test_a_fetch_is_explained_with_what_it_released(hub: Hub):
    await hub.dossier(DOSSIER, "WORK_GRANTED")
    await declare(hub)
    listed = await mailbox(hub, "PLATFORM", "listMessages", WORK)
    fetched = await mailbox(hub, "PLATFORM", "fetchMessage", WORK, message=listed.texts("messageId")[0])
    told = explain(hub, fetched.event.exchange, "--as", "PLATFORM")
    assert [one["kind"] for one in told["entries"]] == ["request", "delivery"]
    assert any("G33.declared" in one["released"] for one in told["fields"])
    assert run(hub, fetched.event.exchange, "--as", "NSSO").exit_code == 1  # it told, and fetched nothing


async def test_a_step_that_the_dossier_does_not_allow_names_the_steps_that_there_are(hub: Hub):
    refused = await tell(hub, "BRUSSELS", "requestInformation", ADMISSIBILITY, ASKED)
    told = explain(hub, refused.event.exchange)
    assert told["code"] == refused.code
    assert failed(told) == ["step of the course"]
    assert any(one.startswith("SINGLE_PERMIT_FIRST: at ") for one in told["clause"]["own"])


async def test_a_field_of_another_authority_is_refused_with_those_that_may_be_written(hub: Hub):
    residence = {"residenceDecision": {"outcome": "GRANTED", "date": "2026-03-20"}}
    refused = await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, {**GRANTED, **residence})
    told = explain(hub, refused.event.exchange, "--as", "BRUSSELS")
    assert (told["code"], failed(told)) == ("WIB13005", ["fields written"])
    assert "G28.outcome" in told["clause"]["own"]
    assert not [one for one in told["clause"]["own"] if one.startswith("G29.")]


async def test_a_provider_that_fails_is_a_stage_after_commit_1(hub: Hub):
    hub.answering["PLATFORM"] = lambda hub, provider, asked: sign_as(
        "NSSO", reply_body(asked, Outcome.NO_DATA_FOUND, ""), hub.now
    )
    refused = await hub.consult("BRUSSELS", "consultDossier", WORK)
    told = explain(hub, refused.event.exchange)
    assert (told["code"], failed(told)) == ("WIB09005", ["provider's answer"])
    assert [one["stage"] for one in told["stages"] if one["state"] == "passed"][-1] == "commit 1"
    assert told["clause"] is None


async def test_a_question_whose_answer_was_never_recorded_is_told_as_outcome_unknown(hub: Hub):
    await with_failing_log(hub, 2, persist=False)
    told = explain(hub, "0")
    assert told["outcome"] == "outcome unknown"
    assert told["remedy"].startswith("Ask the provider")


async def test_an_index_that_was_pruned_is_told_as_pruned_to_everybody(hub: Hub):
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    prune(hub, 1)
    assert [run(hub, "0", *options).output[:6] for options in ((), ("--as", "FLANDERS"))] == [
        "LOG650",
        "LOG650",
    ]


async def test_without_the_revision_the_exchange_is_told_and_no_clause(hub: Hub):
    refused = await hub.consult("BRUSSELS", "consultDossier", RESIDENCE)
    connection = apsw.Connection(str(hub.path))
    connection.execute("DELETE FROM agreements")
    connection.close()
    told = explain(hub, refused.event.exchange)
    assert (told["code"], told["clause"]) == ("WIB07002", None)
    assert "the store does not keep the revision" in run(hub, refused.event.exchange).output


@pytest.fixture
async def stranger(hub: Hub, tmp_path) -> tuple[str, Path]:
    """Flanders' TLS connection, Brussels' signature: not identified. Its incident, and the hub's operational log."""
    message = signed_question("BRUSSELS", "consultDossier", WORK, None, hub.now)
    refused = await hub.send("FLANDERS", message)
    assert refused.code == "WIB05003"
    stream = io.StringIO("no JSON\n[]\n")
    stream.seek(0, io.SEEK_END)
    OperationalLog(stream).emit(refused.event)
    path = tmp_path / "operational.jsonl"
    path.write_text(stream.getvalue())
    return refused.event.exchange, path


async def test_a_stranger_is_in_the_operational_log_only(hub: Hub, stranger):
    incident, path = stranger
    assert run(hub, incident).exit_code == 1
    told = explain(hub, incident, "--operational-log", path)
    assert (told["code"], failed(told), told["entries"]) == ("WIB05003", ["identity"], [])
    assert told["operational"]["signer"] == "BRUSSELS"


async def test_whose_signature_a_stranger_used_is_told_to_the_officer_only(hub: Hub, stranger):
    incident, path = stranger
    told = explain(hub, incident, "--operational-log", path, "--as", "FLANDERS")
    assert (told["code"], told["operational"]) == ("WIB05003", None)
    printed = run(hub, incident, "--operational-log", path, "--as", "FLANDERS").output
    assert "BRUSSELS" not in printed
    assert run(hub, incident, "--operational-log", path, "--as", "BRUSSELS").exit_code == 1


async def test_an_operational_log_that_cannot_be_read_is_a_code(hub: Hub, tmp_path):
    result = run(hub, "0", "--operational-log", tmp_path / "nowhere")
    assert result.exit_code == 1
    assert "LOG509" in result.output


async def test_nothing_of_a_person_or_a_dossier_is_printed(hub: Hub):
    await hub.consult("BRUSSELS", "consultDossier", WORK, ticket="T-PRIVATE")
    printed = run(hub, "0").output
    assert "BRUSSELS" in printed
    assert not [one for one in (SSIN, DOSSIER, "T-PRIVATE") if one in printed]


async def test_an_authoritys_officer_is_told_what_that_authority_may_know(hub: Hub):
    mine = await hub.consult("FLANDERS", "consultDossier", WORK)
    others = await hub.consult("BRUSSELS", "consultDossier", WORK)
    whole = explain(hub, mine.event.exchange, "--as", "FLANDERS")
    settings_of(hub, "FLANDERS")
    command = ["explain", "--config", str(hub.path.parent / "gateway.toml"), "--json"]
    told = CliRunner().invoke(app, [*command, mine.event.exchange])
    assert json.loads(told.stdout) == whole
    for asked, code in (
        ([others.event.exchange], "LOG751"),
        ([others.event.exchange, "--as", "BRUSSELS"], "LOG733"),
        ([mine.event.exchange, "--as", "BRUSSELS"], "LOG733"),
    ):
        refused = CliRunner().invoke(app, [*command, *asked])
        assert (refused.exit_code, refused.stdout, refused.stderr[:6]) == (1, "", code)


async def test_who_is_no_officer_is_told_nothing(hub: Hub):
    refused = await hub.consult("FLANDERS", "consultDossier", WORK)
    settings = settings_of(hub)
    text = settings.read_text()
    settings.write_text(text.replace(f'"{login()}"', '"somebody.else"'))
    for command in (["explain", refused.event.exchange], ["agreement", "simulate", "in-force"]):
        result = CliRunner().invoke(app, [*command, "--config", str(settings)])
        assert (result.exit_code, result.stdout, result.stderr[:6]) == (1, "", "LOG732")
