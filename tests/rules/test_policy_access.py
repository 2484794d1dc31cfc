"""checkAccessControl: the answer of the rules that will decide, for questions, notifications and the mailbox."""

from __future__ import annotations

from dataclasses import replace

import pytest
from lxml import etree

from gateway.agreement.schema import leaves
from gateway.model import (
    SERVICE,
    Authority,
    Caller,
    Criteria,
    DossierNumber,
    DossierScope,
    LegalContext,
    OperationName,
    Request,
    Role,
    SoapVersion,
    Ticket,
    Verified,
)
from gateway.policy.access import own_payload
from gateway.policy.decide import Facts, decide, grant
from gateway.refusal import Code, Refusal
from tests.rules.agreement_files import shipped
from tests.rules.notify_world import ADMISSIBILITY, KEY, NOW, NUMBER, WORK, line, party, register, scope

CHECK = OperationName("checkAccessControl")
Row = tuple[str, str]


def rows(
    name: str,
    *,
    operation: str | None = None,
    dossier: DossierNumber | None = None,
    before: DossierScope | None = None,
) -> dict[Row, tuple[str, list[str]]]:
    """(operation, context) → "true" or the code, and the fields."""
    facts = Facts(shipped(), register(), before, NOW, KEY)
    answer = etree.fromstring(own_payload(decide(_asked(party(name), operation, dossier), facts), facts))

    def text(row: etree._Element, part: str) -> str:
        return row.findtext(f"{{{SERVICE}}}{part}", "")

    return {
        (text(row, "operation"), text(row, "legalContext")): (
            text(row, "code") or text(row, "permitted"),
            [one.text or "" for one in row.findall(f"{{{SERVICE}}}field")],
        )
        for row in answer
    }


def _asked(asking: Authority, operation: str | None, dossier: DossierNumber | None = None) -> Request:
    assert asking.role is not None
    context = min(shipped().operations[CHECK].requesters[asking.role])
    element = etree.Element("x")
    verified = Verified(SoapVersion.V11, b"", element, b"", b"", NOW, None, addressing_signed=False)
    asked = Criteria(dossier, operation=None if operation is None else OperationName(operation))
    return Request(Caller(asking, verified), CHECK, Ticket("t-1"), NOW, context, asked)


def code(name: str, operation: str, context: LegalContext, **given: object) -> str:
    return rows(name, operation=operation, **given)[operation, context][0]


def test_a_notification_may_be_sent_by_its_senders_in_their_contexts_only():
    assert code("BRUSSELS", "notifyWorkDecision", WORK) == "true"
    assert code("BRUSSELS", "notifyWorkDecision", ADMISSIBILITY) == Code.CONTEXT_DENIED.row.code
    assert code("PLATFORM", "notifyWorkDecision", WORK) == Code.OPERATION_DENIED.row.code


def test_the_fields_of_a_notification_are_those_that_may_be_written():
    _, fields = rows("BRUSSELS", operation="notifyWorkDecision")["notifyWorkDecision", WORK]
    assert fields == sorted(shipped().provided(Role.REG, OperationName("notifyWorkDecision")))
    assert "G28.outcome" in fields
    assert "G29.outcome" not in fields


def test_of_a_dossier_it_says_whether_the_step_may_be_taken_now():
    asked = {"operation": "notifyWorkDecision", "context": WORK, "dossier": NUMBER}
    assert code("BRUSSELS", before=scope("UNDER_REVIEW"), **asked) == "true"
    assert code("BRUSSELS", before=scope("SUBMITTED"), **asked) == Code.TRANSITION_DENIED.row.code
    foreign = scope("UNDER_REVIEW", line("FLANDERS"))
    assert code("BRUSSELS", before=foreign, **asked) == Code.DOSSIER_DENIED.row.code
    assert code("BRUSSELS", before=None, **asked) == Code.DOSSIER_DENIED.row.code


def test_a_dossier_that_is_not_there_may_be_opened_and_one_that_is_may_not():
    asked = {"operation": "submitApplication", "context": ADMISSIBILITY, "dossier": NUMBER}
    assert code("PLATFORM", before=None, **asked) == "true"
    assert code("PLATFORM", before=scope(), **asked) == Code.DOSSIER_EXISTS.row.code


def test_a_rectification_needs_no_step_but_a_part_and_a_context_of_the_procedure():
    asked = {"operation": "rectifyData", "dossier": NUMBER}
    assert code("BRUSSELS", context=WORK, before=scope("CLOSED"), **asked) == "true"
    other = LegalContext("WIB:WORK_PERMIT")
    assert (
        code("BRUSSELS", context=other, before=scope("CLOSED"), **asked) == Code.CONTEXT_INAPPLICABLE.row.code
    )
    assert code("BRUSSELS", context=WORK, before=None, **asked) == Code.DOSSIER_DENIED.row.code


@pytest.mark.parametrize("operation", ["listMessages", "fetchMessage", "acknowledgeMessage"])
def test_a_mailbox_is_served_in_every_context_of_the_role(operation: str):
    found = rows("MUN_LIEGE", operation=operation)
    may = {context for (_, context), (permitted, _) in found.items() if permitted == "true"}
    assert may == {name for name, one in shipped().contexts.items() if Role.MUN in one.roles}


@pytest.mark.parametrize("operation", ["listMessages", "fetchMessage", "acknowledgeMessage"])
def test_whose_messages_go_to_its_endpoint_is_told_that_it_has_no_mailbox(operation: str):
    asking = replace(party("MUN_LIEGE"), endpoint="https://liege.example.be/soap")
    facts = Facts(shipped(), register(), None, NOW, KEY)
    payload = own_payload(decide(_asked(asking, operation), facts), facts)
    told = {row.findtext(f"{{{SERVICE}}}code") for row in etree.fromstring(payload)}
    assert told == {Code.MAILBOX_NONE.row.code, Code.CONTEXT_DENIED.row.code}


def test_every_operation_has_a_row_for_every_context():
    found = rows("BRUSSELS")
    assert len(found) == len(shipped().operations) * len(shipped().contexts)
    access = shipped().operations[CHECK].messages.payload
    assert {leaf.name for leaf in leaves(access)} >= {"operation", "legalContext", "permitted", "code"}


def test_a_notification_is_nothing_to_ask_for():
    facts = Facts(shipped(), register(), scope(), NOW, KEY)
    with pytest.raises(Refusal) as caught:
        grant(party("BRUSSELS"), OperationName("notifyWorkDecision"), WORK, Criteria(NUMBER), facts)
    assert caught.value.code is Code.OPERATION_DENIED
