"""`gateway agreement simulate`: a log of real exchanges against drafts in which one thing is changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import apsw
import msgspec
from typer.testing import CliRunner

from gateway.adapters.bucket_keys import BucketKeys
from gateway.agreement.load import load_agreement
from gateway.cli.commands import app
from gateway.exchangelog.leaf import Leaf
from gateway.model import Criteria, Role
from tests.path.hub import DOSSIER, NOW, OTHER_DOSSIER, ROOT, SSIN, Hub, agreement
from tests.path.notifying import ADMISSIBILITY, ADMISSIBLE, APPLICATION, NEW, declare, drain, submit, tell
from tests.path.settings import settings_of
from tests.path.test_permission import scan
from tests.rules.agreement_files import AGREEMENT, PROCEDURES, changed

WORK, RESIDENCE, PRIOR = "WIB:WORK_DECISION", "WIB:RESIDENCE_DECISION", "WIB:PRIOR_APPLICATION_CHECK"
REFUSED = "would be refused"
PASSPORT = 'receive = ["number", "issueDate", "expiryDate"], basis = ["G"]'


def write(directory: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory / "contracts"


def simulate(hub: Hub, draft: object, *options: str) -> dict[str, object]:
    command = ["agreement", "simulate", str(draft), "--config", str(settings_of(hub)), "--json", *options]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def outcomes(told) -> list[tuple[object, ...]]:
    return [
        (one["verdict"], one["authority"], one["operation"], one["logged"], one["draft"], one["examples"])
        for one in told["outcomes"]
    ]


async def some_of_everything(hub: Hub) -> None:
    """Questions that are granted and refused, a document, a search by INSZ, notifications and deliveries."""
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    await hub.consult("IMMIGRATION_OFFICE", "consultDossier", RESIDENCE, Criteria(DOSSIER, Role.PLAT))
    await hub.consult("BRUSSELS", "retrieveDocument", WORK, scan("CONTRACT"))
    await hub.consult("IMMIGRATION_OFFICE", "consultPriorApplications", PRIOR, Criteria(DOSSIER, ssin=SSIN))
    await hub.consult("BRUSSELS", "checkAccessControl", WORK, Criteria(None))
    await hub.consult("FLANDERS", "consultDossier", WORK)
    await hub.consult("BRUSSELS", "consultDossier", WORK, Criteria(OTHER_DOSSIER))
    await hub.consult("POST_RABAT", "consultStatus", "WIB:VISA_ISSUE")
    await hub.consult("BRUSSELS", "consultDossier", RESIDENCE)
    await hub.consult("BRUSSELS", "retrieveDocument", WORK, scan("TRAVEL_DOCUMENT_SCAN"))
    await submit(hub)
    hub.now += timedelta(minutes=1)
    await tell(hub, "BRUSSELS", "notifyAdmissibility", ADMISSIBILITY, ADMISSIBLE, NEW)
    await declare(hub)
    await drain(hub)
    hub.now += timedelta(minutes=1)


async def test_the_revision_that_decided_decides_the_same_again(hub: Hub):
    await some_of_everything(hub)
    told = simulate(hub, "in-force")
    assert told["entries"] == len(hub.entries())
    assert told["decisions"] == told["unchanged"] == 13
    assert told["outcomes"] == told["fields"] == []
    assert [one["what"] for one in told["unknown"]] == ["payload"]


def without_prior_applications() -> dict[str, bytes]:
    return changed(AGREEMENT, '\nOE = ["WIB:PRIOR_APPLICATION_CHECK"]', "")


def closed_to(role: str, status: str) -> dict[str, bytes]:
    """The agreement in which a dossier is not open to the role at this status."""
    text = agreement().files[AGREEMENT].decode()
    before, mark, after = text.partition(f"[roles.{role}]")
    assert f'"{status}", ' in after
    return {**agreement().files, AGREEMENT: (before + mark + after.replace(f'"{status}", ', "", 1)).encode()}


async def test_what_a_draft_refuses_is_told_with_code_and_entries(hub: Hub, tmp_path):
    await some_of_everything(hub)
    told = simulate(hub, write(tmp_path, without_prior_applications()))
    asked = [at for at, one in enumerate(hub.entries()) if one["svc"] == "consultPriorApplications"]
    assert outcomes(told) == [
        (REFUSED, "IMMIGRATION_OFFICE", "consultPriorApplications", "permitted", ["WIB07004"], asked[:1])
    ]
    assert told["fields"] == []  # what is refused shows nothing: it is not told twice


async def test_a_question_that_others_would_be_asked_is_told(hub: Hub, tmp_path):
    """One region, which takes part in the dossier, in the place of all."""
    await some_of_everything(hub)
    told = simulate(hub, write(tmp_path, changed(AGREEMENT, "scatter = true", "scatter = false")))
    asked = [at for at, one in enumerate(hub.entries()) if one["svc"] == "consultPriorApplications"]
    assert outcomes(told) == [
        (
            "may be asked of others",
            "IMMIGRATION_OFFICE",
            "consultPriorApplications",
            "permitted",
            ["permitted"],
            asked[:1],
        )
    ]
    assert told["unchanged"] == told["decisions"] - 1


async def test_what_a_draft_allows_that_was_refused_is_told(hub: Hub):
    await hub.adopt(load_agreement(without_prior_applications()))
    await hub.consult("IMMIGRATION_OFFICE", "consultPriorApplications", PRIOR, Criteria(DOSSIER, ssin=SSIN))
    told = simulate(hub, ROOT / "contracts")
    assert outcomes(told) == [
        (
            "may be allowed",
            "IMMIGRATION_OFFICE",
            "consultPriorApplications",
            "WIB07004",
            ["WIB07007", "permitted"],
            [0],
        )
    ]
    assert [one["what"] for one in told["unknown"]] == [
        "worker"
    ]  # if the INSZ was that of the dossier's worker
    await hub.adopt(load_agreement(closed_to("CONS", "CLOSED")))
    await hub.dossier(DOSSIER, "CLOSED")
    await hub.consult("POST_RABAT", "consultStatus", "WIB:VISA_ISSUE")
    told = simulate(hub, ROOT / "contracts")
    assert outcomes(told)[0] == (
        "would be allowed",
        "POST_RABAT",
        "consultStatus",
        "WIB07006",
        ["permitted"],
        [1],
    )


async def test_fields_are_told_by_authority_and_context_with_group_and_reason(hub: Hub, tmp_path):
    await some_of_everything(hub)
    told = simulate(hub, write(tmp_path, changed(AGREEMENT, PASSPORT, PASSPORT.replace('"issueDate", ', ""))))
    assert told["outcomes"] == []
    lost = {
        (one["authority"], one["legal_context"], one["operation"], one["field"]) for one in told["fields"]
    }
    assert lost == {
        ("BRUSSELS", WORK, "consultDossier", "G08.issueDate"),
        ("BRUSSELS", ADMISSIBILITY, "submitApplication", "G08.issueDate"),
    }
    assert {(one["change"], one["group"], one["withheld_for"], one["count"]) for one in told["fields"]} == {
        ("loses", "Travel document", "ROLE", 1)
    }


async def test_a_field_that_a_draft_opens_is_gained(hub: Hub, tmp_path):
    await some_of_everything(hub)
    told = simulate(
        hub, write(tmp_path, changed(AGREEMENT, PASSPORT, PASSPORT.replace('["number"', '["type", "number"')))
    )
    gained = [one for one in told["fields"] if one["operation"] == "consultDossier"]
    assert [(one["authority"], one["change"], one["field"]) for one in gained] == [
        ("BRUSSELS", "gains", "G08.type")
    ]


async def test_a_status_is_that_of_the_moment_of_the_exchange(hub: Hub, tmp_path):
    await hub.dossier(DOSSIER, "CLOSED")
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    hub.now += timedelta(hours=1)
    await hub.dossier(DOSSIER, "UNDER_REVIEW", status_since=hub.now)
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    told = simulate(hub, write(tmp_path, closed_to("REG", "CLOSED")))
    assert outcomes(told) == [(REFUSED, "BRUSSELS", "consultDossier", "permitted", ["WIB07006"], [0])]
    assert told["unchanged"] == 1


async def test_a_type_of_document_is_not_in_the_log_and_the_answer_says_so(hub: Hub, tmp_path):
    await hub.consult("IMMIGRATION_OFFICE", "retrieveDocument", RESIDENCE, scan("MEDICAL_CERTIFICATE"))
    text = agreement().files[AGREEMENT].decode()
    row = text[text.index("[groups.G23]") : text.index("[groups.G24]")]
    denied = row.replace(
        'OE   = { provide = "none", receive = "all"', 'OE   = { provide = "none", receive = "none"'
    )
    assert denied != row
    told = simulate(hub, write(tmp_path, changed(AGREEMENT, row, denied)))
    assert outcomes(told) == [
        (
            "may be refused",
            "IMMIGRATION_OFFICE",
            "retrieveDocument",
            "permitted",
            ["WIB07008", "permitted"],
            [0],
        )
    ]
    assert [one["what"] for one in told["unknown"]] == ["document_type"]


async def test_without_its_seed_an_exchange_is_judged_by_purpose_and_fields_alone(hub: Hub, tmp_path):
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    await hub.consult("FLANDERS", "consultDossier", WORK)
    connection = apsw.Connection(str(hub.path))
    connection.execute("DELETE FROM seeds")
    connection.close()
    told = simulate(hub, "in-force")
    assert told["unchanged"] == 1  # that Flanders has no part in the dossier cannot be told any more
    assert told["unknown"] == [
        {"what": "dossier", "sentence": told["unknown"][0]["sentence"], "count": 2, "examples": [0, 2]}
    ]


async def test_with_the_key_of_its_bucket_the_dossier_of_an_exchange_is_gone_too(hub: Hub):
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    keys = BucketKeys.open(hub.path.parent / "bucket-keys")
    (bucket,) = keys.held()
    keys.destroy(bucket)
    told = simulate(hub, "in-force")
    assert told["unchanged"] == 1
    assert [(one["what"], one["count"]) for one in told["unknown"]] == [("dossier", 1)]


class InMonth:
    """The real store, whose entries have their time in another month."""

    def __init__(self, store, month: str):
        self.store, self.month = store, month

    def __getattr__(self, name):
        return getattr(self.store, name)

    async def append(self, entry):
        leaf = Leaf.parse(entry.leaf)
        dated = msgspec.structs.replace(leaf, time=f"{self.month}-09{leaf.time[10:]}").seal()  # a day of each
        return await self.store.append(msgspec.structs.replace(entry, leaf=dated))


async def test_an_exchange_of_each_bucket_is_judged_by_its_dossier(hub: Hub):
    await hub.dossier(DOSSIER, "UNDER_REVIEW", status_since=NOW - timedelta(days=900))
    lines = tuple(
        replace(one, since=NOW - timedelta(days=900)) for one in (await hub.store.scope(DOSSIER)).inscriptions
    )
    await hub.dossier(DOSSIER, "UNDER_REVIEW", status_since=NOW - timedelta(days=900), inscriptions=lines)
    year = NOW.year - 1
    for month in (
        f"{year}-01",
        f"{year}-03",
        f"{year}-02",
        f"{year}-04",
        f"{year}-01",
    ):  # a clock may be set back
        hub.through = InMonth(hub.store, month)
        await hub.consult("BRUSSELS", "consultDossier", WORK)
    told = simulate(hub, "in-force")
    assert (told["unchanged"], told["unknown"]) == (5, [])


async def test_what_was_pruned_is_told_as_a_number(hub: Hub):
    for _ in range(2):
        await hub.consult("BRUSSELS", "consultDossier", WORK)
    prune(hub, 2)
    told = simulate(hub, "in-force")
    assert (told["pruned"], told["entries"], told["unchanged"]) == (2, 2, 1)


def prune(hub: Hub, below: int) -> None:
    connection = apsw.Connection(str(hub.path))
    connection.execute("UPDATE minimum SET idx = ?", (below,))
    connection.execute("DELETE FROM entries WHERE idx < ?", (below,))
    connection.close()


async def test_who_would_not_hear_of_a_notification_any_more_is_told(hub: Hub, tmp_path):
    await hub.dossier(DOSSIER, "WORK_GRANTED")
    await declare(hub)
    await drain(hub)
    step = 'operation = "notifySocialSecurityEvent"'
    text = agreement().files[PROCEDURES].decode()
    before, _, after = text.partition(step)
    mended = after.replace(', OE = "WIB:RESIDENCE_DECISION" }', " }", 1)
    assert mended != after
    told = simulate(
        hub, write(tmp_path, {**agreement().files, PROCEDURES: f"{before}{step}{mended}".encode()})
    )
    assert [one[:4] for one in outcomes(told)] == [
        ("would not be delivered", "IMMIGRATION_OFFICE", "notifySocialSecurityEvent", "released")
    ]


async def test_who_may_hear_of_a_notification_besides_is_told(hub: Hub):
    step = 'operation = "notifySocialSecurityEvent"'
    before, _, after = agreement().files[PROCEDURES].decode().partition(step)
    fewer = after.replace(', OE = "WIB:RESIDENCE_DECISION" }', " }", 1)
    await hub.adopt(load_agreement({**agreement().files, PROCEDURES: f"{before}{step}{fewer}".encode()}))
    await hub.dossier(DOSSIER, "WORK_GRANTED")
    await declare(hub)
    assert outcomes(simulate(hub, ROOT / "contracts")) == [
        ("may be told besides", "IMMIGRATION_OFFICE", "notifySocialSecurityEvent", "accepted", [], [0])
    ]


async def test_who_would_hear_by_no_step_that_is_possible_then_is_told(hub: Hub, tmp_path):
    """The draft still has a view for it: by a step at another status."""
    await hub.dossier(DOSSIER, "UNDER_REVIEW")
    assert (await tell(hub, "PLATFORM", "transferApplication", RESIDENCE, APPLICATION)).code is None
    before, status, after = agreement().files[PROCEDURES].decode().partition('before = ["UNDER_REVIEW", ')
    fewer = after.replace(', OE = "WIB:RESIDENCE_DECISION" }', " }", 1)
    draft = {**agreement().files, PROCEDURES: f"{before}{status}{fewer}".encode()}
    assert outcomes(simulate(hub, write(tmp_path, draft))) == [
        ("may not be told", "IMMIGRATION_OFFICE", "transferApplication", "accepted", [], [0])
    ]


async def test_of_what_comes_alike_the_number_is_told_and_the_first_entries(hub: Hub, tmp_path):
    for _ in range(5):
        await hub.consult("BRUSSELS", "consultDossier", WORK)
    told = simulate(hub, write(tmp_path, changed(AGREEMENT, PASSPORT, PASSPORT.replace('"issueDate", ', ""))))
    (lost,) = told["fields"]
    assert (lost["count"], lost["examples"]) == (5, [1, 3, 5])


async def test_a_period_is_taken_with_its_beginning_and_without_its_end(hub: Hub):
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    hub.now += timedelta(hours=1)
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    later = hub.now.strftime("%Y-%m-%dT%H:%M:%S")
    assert simulate(hub, "in-force", "--since", later)["decisions"] == 1
    assert simulate(hub, "in-force", "--until", later)["decisions"] == 1
    assert simulate(hub, "in-force")["decisions"] == 2


async def test_what_no_agreement_changes_is_counted_apart(hub: Hub):
    await hub.consult("BRUSSELS", "consultDossier", WORK, ticket="T-1")
    await hub.consult("BRUSSELS", "consultDossier", WORK, ticket="T-1")
    told = simulate(hub, "in-force")
    assert (told["decisions"], told["unchanged"], told["beside"]) == (1, 1, 1)


async def test_a_revision_that_is_not_kept_and_an_entry_that_is_none_are_told(hub: Hub, tmp_path):
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    connection = apsw.Connection(str(hub.path))
    connection.execute("DELETE FROM agreements")
    connection.execute("DROP TRIGGER entries_stay")
    connection.execute("UPDATE entries SET leaf = x'7b7d' WHERE idx = 1")
    connection.close()
    told = simulate(hub, write(tmp_path, changed(AGREEMENT, "revision = 1", "revision = 2")))
    assert [(one["what"], one["examples"]) for one in told["unknown"]] == [("entry", [1]), ("revision", [0])]
    assert told["unchanged"] == 0


async def test_a_context_that_was_not_known_and_an_authority_that_is_gone_are_told(hub: Hub):
    await hub.consult("BRUSSELS", "consultDossier", "SECRET:WORDS")
    await hub.consult("POST_RABAT", "consultStatus", "WIB:VISA_ISSUE")
    told = json.loads(CliRunner().invoke(app, without_rabat(hub)).stdout)
    assert [(one["what"], one["examples"]) for one in told["unknown"]] == [("context", [0]), ("party", [1])]


def without_rabat(hub: Hub) -> list[str]:
    """The command, with a register that has the post no more."""
    settings, register = settings_of(hub), hub.path.parent / "register.toml"
    lines = (ROOT / "contracts/register.toml").read_text().split("\n[[authority]]\n")
    register.write_text("\n[[authority]]\n".join(one for one in lines if 'id = "POST_RABAT"' not in one))
    settings.write_text(settings.read_text().replace(f"{ROOT}/contracts/register.toml", str(register)))
    return ["agreement", "simulate", "in-force", "--config", str(settings), "--json"]


async def test_a_provider_that_is_gone_is_told_and_no_other_taken_in_its_place(hub: Hub):
    await hub.dossier(DOSSIER, "VISA_ISSUED")
    await hub.consult("IMMIGRATION_OFFICE", "consultDossier", "WIB:VISA_ISSUE", Criteria(DOSSIER, Role.CONS))
    told = json.loads(CliRunner().invoke(app, without_rabat(hub)).stdout)
    assert (told["decisions"], told["unchanged"]) == (1, 0)
    assert [(one["what"], one["examples"]) for one in told["unknown"]] == [("party", [0])]


async def test_what_the_agreement_of_the_time_does_not_decide_again_is_not_guessed(hub: Hub):
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    await hub.dossier(
        DOSSIER, "UNDER_REVIEW", "FLANDERS"
    )  # by hand: the part of Brussels is gone without trace
    told = simulate(hub, "in-force")
    assert told["unchanged"] == 0
    assert told["outcomes"] == []
    assert [(one["what"], one["count"]) for one in told["unknown"]] == [("otherwise", 1)]


async def test_nothing_of_a_person_or_a_dossier_is_printed(hub: Hub):
    await some_of_everything(hub)
    command = ["agreement", "simulate", "in-force", "--config", str(settings_of(hub))]
    printed = CliRunner().invoke(app, command).output
    assert "13, of which 13 would be the same" in printed
    assert not [one for one in (SSIN, DOSSIER, OTHER_DOSSIER, NEW) if one in printed]
