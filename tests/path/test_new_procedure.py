"""A procedure that nobody thought of when the code was written: added by editing the agreement, and run to its end."""

from __future__ import annotations

import ast
import re
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest

from gateway.agreement.load import Agreement, load_agreement
from gateway.loading import contract_files
from gateway.model import Criteria
from gateway.policy.deadlines import clocks_of
from tests.path.hub import ROOT, Hub, agreement, register
from tests.path.notifying import (
    ASKED,
    GRANTED,
    NEW,
    application,
    drain,
    findings,
    kinds,
    paths,
    scope,
    taking_part,
    tell,
    told_to,
)

SEASONAL = "WIB:SEASONAL"
TYPE = '\nSEASONAL_PERMIT = { nl = "Seizoensarbeid", fr = "Travail saisonnier", de = "Saisonarbeit", en = "Seasonal work" }\n'
CONTEXT = """
[contexts."WIB:SEASONAL"]
purpose = "Decide on the employment of a seasonal worker, and follow the season"
roles = ["PLAT", "REG", "CONS", "NSSO"]
groups = ["G01", "G02", "G08", "G10", "G14", "G15", "G16", "G17", "G27", "G28", "G31", "G33"]
permit_types = ["SEASONAL_PERMIT"]
basis = ["U"]
certainty = "J"

"""
ALLOWED = {  # operation: the roles that may use it in the new context
    "consultDossier": ["PLAT", "REG", "NSSO"],
    "submitApplication": ["PLAT"],
    "requestInformation": ["REG"],
    "supplyInformation": ["PLAT"],
    "notifyWorkDecision": ["REG"],
    "notifyPermit": ["REG"],
    "notifyVisa": ["CONS"],
    "notifySocialSecurityEvent": ["NSSO"],
    "closeDossier": ["REG"],
}
STEPS = [  # operation, senders, before, after, recipients, the rest
    ("submitApplication", "PLAT", [], "SUBMITTED", ["REG"], 'inscribes = ["PLAT", "REG", "CONS"]\nbinds = true'),
    ("requestInformation", "REG", ["SUBMITTED"], "INFO_REQUESTED", ["PLAT"], "interrupts = true"),
    ("supplyInformation", "PLAT", ["INFO_REQUESTED"], "RESUME", ["REG"], ""),
    (
        "notifyWorkDecision", "REG", ["SUBMITTED"], "WORK_GRANTED", ["PLAT", "NSSO"],
        'when = { "G28.outcome" = "GRANTED" }\ninscribes = ["NSSO"]',
    ),
    (
        "notifyPermit", "REG", ["WORK_GRANTED"], "PERMIT_GRANTED", ["PLAT", "CONS", "NSSO"],
        'when = { "G28.outcome" = "GRANTED" }',
    ),
    (
        "notifyVisa", "CONS", ["PERMIT_GRANTED"], "VISA_ISSUED", ["PLAT", "REG"],
        'when = { "G31.status" = "ISSUED" }',
    ),
    ("notifySocialSecurityEvent", "NSSO", ["VISA_ISSUED"], None, ["PLAT"], ""),
    ("closeDossier", "REG", ["VISA_ISSUED"], "CLOSED", ["PLAT", "CONS", "NSSO"], ""),
]  # fmt: skip
DEADLINE = """
[[courses.SEASONAL_PERMIT.deadlines]]
name = "SEASON"
starts = ["SUBMITTED"]
ends = ["WORK_GRANTED"]
suspended = ["INFO_REQUESTED"]
days = 30
working = false
valid_from = 2026-01-01
basis = ["U"]
certainty = "J"
"""


def quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def step(row: tuple) -> str:
    operation, sender, before, after, recipients, rest = row
    hear = ", ".join(f'{role} = "{SEASONAL}"' for role in recipients)
    lines = [
        "\n[[courses.SEASONAL_PERMIT.steps]]",
        f'operation = "{operation}"\nsenders = ["{sender}"]\ncontext = "{SEASONAL}"',
        f"before = [{quoted(before)}]" if before else "",
        f'after = "{after}"' if after else "",
        f'recipients = {{ {hear} }}\nbasis = ["U"]\ncertainty = "J"',
        rest,
    ]
    return "\n".join(line for line in lines if line) + "\n"


def with_context(text: str, operation: str, role: str) -> str:
    """The agreement's text, in which the role may use the operation in the new context too."""
    start = text.index(f"[operations.{operation}]")
    end = re.compile(rf"\[operations\.(?!{operation}\b)").search(text, start).start()
    section, count = re.subn(rf"\b{role} = \[", f'{role} = ["{SEASONAL}", ', text[start:end])
    assert count == 1, (operation, role)
    return text[:start] + section + text[end:]


def edited() -> dict[str, bytes]:
    """The files of the agreement with the new procedure in them, and nothing else changed."""
    files = dict(contract_files(ROOT / "contracts"))
    terms, procedures = (
        next(name for name in files if name.endswith(end)) for end in ("agreement.toml", "procedures.toml")
    )
    text = files[terms].decode().replace("\n[permit_types]\n", f"\n[permit_types]{TYPE}", 1)
    text = text.replace('[contexts."WIB:ADMISSIBILITY"]', CONTEXT + '[contexts."WIB:ADMISSIBILITY"]', 1)
    for operation, roles in ALLOWED.items():
        for role in roles:
            text = with_context(text, operation, role)
    header = (
        '\n[courses.SEASONAL_PERMIT]\npermit_types = ["SEASONAL_PERMIT"]\nprocedures = ["FIRST"]\n'
        'basis = ["U"]\ncertainty = "J"\n'
    )
    course = header + "".join(map(step, STEPS)) + DEADLINE
    return {**files, terms: text.encode(), procedures: files[procedures] + course.encode()}


@cache
def seasonal() -> Agreement:
    return load_agreement(edited())


APPLICATION = application(
    header={"permitType": "SEASONAL_PERMIT", "post": "RABAT"},
    qualification={}, workerCivil={}, contact={}, feePayment={}, meansOfSubsistence={},
)  # fmt: skip
ISSUED = {"visa": {"status": "ISSUED", "stickerNumber": "B123456"}}
DECISION = {"workDecision": GRANTED["workDecision"]}
PERMIT = {"workDecision": {"outcome": "GRANTED", "validUntil": "2026-10-31"}}
STORY = [  # who tells what: the status after it, and who hears of it
    ("PLATFORM", "submitApplication", APPLICATION, "SUBMITTED", {"BRUSSELS"}),
    ("BRUSSELS", "requestInformation", ASKED, "INFO_REQUESTED", {"PLATFORM"}),
    ("PLATFORM", "supplyInformation", {"salary": {"amount": "2100.00"}}, "SUBMITTED", {"BRUSSELS"}),
    ("BRUSSELS", "notifyWorkDecision", DECISION, "WORK_GRANTED", {"PLATFORM", "NSSO"}),
    ("BRUSSELS", "notifyPermit", PERMIT, "PERMIT_GRANTED", {"PLATFORM", "POST_RABAT", "NSSO"}),
    ("POST_RABAT", "notifyVisa", ISSUED, "VISA_ISSUED", {"PLATFORM", "BRUSSELS"}),
    ("NSSO", "notifySocialSecurityEvent", {"socialSecurity": {"declared": "true"}}, "VISA_ISSUED", {"PLATFORM"}),
]  # fmt: skip


async def told(hub: Hub, until: str | None = None) -> None:
    """The story, a day for each step, up to and with the step that leads to this status."""
    for sender, operation, groups, status, recipients in STORY:
        hub.now += timedelta(days=1)
        hub.received.clear()
        assert (await tell(hub, sender, operation, SEASONAL, groups, NEW)).code is None
        await drain(hub)
        assert {str(one) for one, _ in hub.received} == recipients
        assert (await scope(hub, NEW)).status == status
        if operation == until:
            return


async def test_a_new_procedure_runs_from_submission_to_closing(hub: Hub):
    await hub.adopt(seasonal())
    await told(hub)
    hub.now += timedelta(days=1)
    foreign = await tell(hub, "BRUSSELS", "closeDossier", SEASONAL, {"header": {"language": "nl"}}, NEW)
    assert foreign.code == "WIB13005"
    closed = await tell(hub, "BRUSSELS", "closeDossier", SEASONAL, {"header": {"status": "CLOSED"}}, NEW)
    assert closed.code is None
    await drain(hub)
    history = [one.status for one in await hub.store.history(NEW)]
    assert history == [
        "SUBMITTED", "INFO_REQUESTED", "SUBMITTED", "WORK_GRANTED", "PERMIT_GRANTED", "VISA_ISSUED", "CLOSED",
    ]  # fmt: skip
    assert await taking_part(hub, NEW) == {"PLATFORM", "BRUSSELS", "POST_RABAT", "NSSO"}
    assert {entry["policy"] for entry in hub.entries()} == {seasonal().revision}
    assert not findings(hub)


async def test_each_recipient_of_it_gets_its_view(hub: Hub):
    await hub.adopt(seasonal())
    await told(hub, "notifyPermit")
    seen = {str(one): paths(notice.payload, "notifyPermit", seasonal()) for one, notice in hub.received}
    outcome, until = "dossier/workDecision/outcome", "dossier/workDecision/validUntil"
    assert seen == {"PLATFORM": {outcome, until}, "POST_RABAT": {outcome}, "NSSO": {outcome, until}}
    (told_post,) = told_to(hub, "POST_RABAT")
    assert told_post.question.legal_context == SEASONAL


async def test_its_dossiers_are_consulted_in_its_context(hub: Hub):
    await hub.adopt(seasonal())
    await told(hub, "submitApplication")
    asked = Criteria(NEW)
    answered = await hub.consult("BRUSSELS", "consultDossier", SEASONAL, asked)
    assert (answered.code, answered.texts("amount")) == (None, ["4120.50"])
    assert answered.texts("email") == []  # contact is no group of the context
    assert (await hub.consult("POST_RABAT", "consultStatus", SEASONAL, asked)).code == "WIB07006"
    assert (await hub.consult("BRUSSELS", "consultDossier", "WIB:WORK_DECISION", asked)).code == "WIB07003"
    assert (await hub.consult("FLANDERS", "consultDossier", SEASONAL, asked)).code == "WIB07005"
    assert (await hub.consult("BRUSSELS", "consultDossier", SEASONAL)).code == "WIB07003"  # a single permit


async def test_its_order_is_kept(hub: Hub):
    await hub.adopt(seasonal())
    await told(hub, "submitApplication")
    early = await tell(hub, "BRUSSELS", "notifyPermit", SEASONAL, PERMIT, NEW)
    assert early.code == "WIB13002"
    other = await tell(
        hub,
        "BRUSSELS",
        "notifyAdmissibility",
        "WIB:ADMISSIBILITY",
        {"admissibility": {"outcome": "ADMISSIBLE"}},
        NEW,
    )
    assert other.code == "WIB13001"


async def test_its_deadline_runs_and_stands_still(hub: Hub):
    await hub.adopt(seasonal())
    await told(hub, "supplyInformation")
    hub.now += timedelta(days=3)

    async def clock():
        history = await hub.store.history(NEW)
        (found,) = clocks_of(await scope(hub, NEW), history, seasonal(), register(), hub.now)
        return found

    running = await clock()
    assert (running.name, running.ended, running.suspended) == ("SEASON", None, 1)
    assert running.elapsed == 4
    await tell(hub, "BRUSSELS", "notifyWorkDecision", SEASONAL, DECISION, NEW)
    assert (await clock()).ended == hub.now


async def test_without_it_in_the_agreement_nothing_of_it_is_taken_in(hub: Hub):
    answered = await tell(hub, "PLATFORM", "submitApplication", SEASONAL, APPLICATION, NEW)
    assert answered.code == "WIB07001"
    answered = await tell(hub, "PLATFORM", "submitApplication", "WIB:ADMISSIBILITY", APPLICATION, NEW)
    assert answered.code == "WIB13001"
    assert "notification" not in kinds(hub)


def test_the_other_procedures_are_as_they_were():
    assert {name: course for name, course in seasonal().courses.items() if name != "SEASONAL_PERMIT"} == dict(
        agreement().courses
    )


def mentions(path: Path, name: str) -> bool:
    """A module of the program may not even have the word; a command may give it as an example, in a sentence."""
    text = path.read_text()
    if path.parent.name != "cli":
        return re.search(rf"\b{name}\b", text) is not None
    words = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant | ast.Name))
    return any(name in {getattr(node, "value", None), getattr(node, "id", None)} for node in words)


def modules() -> list[Path]:
    """All but the sandbox, its command, and the benchmark: they have dossiers of their own to play with."""
    root = ROOT / "gateway"
    found = [path.relative_to(root) for path in sorted(root.rglob("*.py"))]
    playing = {"sandbox", "bench"}
    return [root / one for one in found if one.parts[0] not in playing and one != Path("cli/sandbox.py")]


def test_a_mention_is_found():
    assert any(mentions(path, "SINGLE_PERMIT") for path in (ROOT / "gateway/sandbox").rglob("*.py"))


@pytest.mark.parametrize("name", sorted(agreement().permit_types))
def test_no_code_knows_a_type_of_permit(name: str):
    assert len(modules()) > 100
    assert [str(path) for path in modules() if mentions(path, name)] == []
