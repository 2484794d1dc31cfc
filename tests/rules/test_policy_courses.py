"""Every step of every shipped course: it can be taken, leads where it says, and tells its recipients something."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lxml import etree

from gateway.agreement.course import RESUME, Course, Step
from gateway.agreement.schema import leaves
from gateway.model import (
    AuthorityId,
    Caller,
    Criteria,
    Delivery,
    DossierScope,
    ExchangeId,
    FieldId,
    Node,
    Notification,
    Request,
    Role,
    SoapVersion,
    Ticket,
    Verified,
)
from gateway.policy.decide import Facts
from gateway.policy.dispatch import dispatch
from gateway.policy.notify import accept, sendable
from gateway.soap.xml import canonical
from tests.rules.agreement_files import shipped
from tests.rules.notify_world import BEFORE, KEY, NOW, NUMBER, line, party, register

PARTIES = {
    Role.PLAT: "PLATFORM",
    Role.REG: "BRUSSELS",
    Role.OE: "IMMIGRATION_OFFICE",
    Role.CONS: "POST_RABAT",
    Role.MUN: "MUN_LIEGE",
    Role.NSSO: "NSSO",
}
Case = tuple[Course, Step, Role]


def cases() -> Iterator[Case]:
    for course in shipped().courses.values():
        for step in course.steps:
            yield from ((course, step, sender) for sender in sorted(step.senders))


def told_as(case: Case) -> str:
    course, step, sender = case
    return "-".join([course.name, step.operation, *(step.when or ())[1:], sender, *sorted(step.before)[:1]])


CASES = [pytest.param(case, id=told_as(case)) for case in cases()]


def build(node: Node, values: dict[FieldId, str]) -> etree._Element:
    """The payload that has these values: each in the place that the contract has for it."""
    root = etree.Element(f"{{{node.namespace}}}{node.name}")
    for leaf in leaves(node):
        if leaf.field not in values:
            continue
        at, above = root, node
        for name in leaf.path.split("/")[1:]:
            above = next(child for child in above.children if child.name == name)
            tag = f"{{{above.namespace}}}{above.name}"
            found = at.find(tag)
            at = etree.SubElement(at, tag) if found is None else found
        at.text = values[leaf.field]
    return root


def values(case: Case) -> dict[FieldId, str]:
    """What the step needs, and one field that the sender may write."""
    course, step, sender = case
    written = {} if step.when is None else {step.when[0]: step.when[1]}
    if not step.before:
        written[FieldId("G01.permitType")] = min(course.permit_types)
        written[FieldId("G01.procedure")] = min(course.procedures)
        written[FieldId("G17.municipality")] = "21004"
    return written or {max(shipped().provided(sender, step.operation)): "x"}


def before(case: Case) -> DossierScope | None:
    course, step, _ = case
    if not step.before:
        return None
    inscriptions = tuple(line(name) for name in PARTIES.values())
    status = min(step.before)
    return DossierScope(
        NUMBER,
        min(course.permit_types),
        min(course.procedures),
        status,
        BEFORE,
        inscriptions,
        resumes="SUBMITTED" if step.after == RESUME else None,
        version=3,
    )


def request(case: Case) -> Request:
    _, step, sender = case
    element = build(shipped().operations[step.operation].messages.payload, values(case))
    verified = Verified(SoapVersion.V11, b"", element, b"", b"", NOW, None, addressing_signed=False)
    caller = Caller(party(PARTIES[sender]), verified)
    return Request(caller, step.operation, Ticket("t-1"), NOW, step.context, Criteria(NUMBER), element)


def facts(case: Case) -> Facts:
    return Facts(shipped(), register(), before(case), NOW, KEY)


@pytest.mark.parametrize("case", CASES)
def test_the_step_can_be_taken_and_leads_where_it_says(case: Case):
    _, step, _ = case
    found = accept(request(case), facts(case), [])
    expected = {None: min(step.before, default=""), RESUME: "SUBMITTED"}.get(step.after, step.after)
    assert found.scope.status == expected
    assert found.scope.version == found.expected + 1


@pytest.mark.parametrize("case", CASES)
def test_whoever_takes_part_in_a_role_that_it_names_hears_of_it(case: Case):
    _, step, sender = case
    found = accept(request(case), facts(case), [])
    told = {one.authority.role: one.legal_context for one in found.recipients}
    expected = {role: context for role, context in step.recipients.items() if role is not sender}
    if not step.before:
        expected = {
            role: context for role, context in expected.items() if role in step.inscribes and role is Role.REG
        }
    assert told == expected


@pytest.mark.parametrize("case", CASES)
def test_each_recipient_may_have_it_at_once(case: Case):
    asked = request(case)
    found = accept(asked, facts(case), [])
    assert asked.payload is not None
    told = Notification(
        exchange=ExchangeId("e-1"),
        sender=asked.caller.authority.id,
        operation=asked.operation,
        dossier=NUMBER,
        accepted=NOW,
        revision=shipped().revision,
        status=found.scope.status,
        payload=canonical(asked.payload),
    )
    for one in found.recipients:
        name = AuthorityId(one.authority.id)
        waiting = Delivery(ExchangeId("d-1"), told, name, one.legal_context, 0, recorded=False)
        sent = dispatch(
            waiting, asked.caller.authority, one.authority, shipped(), shipped(), found.scope, NOW
        )
        assert sent is not None
        assert None in sent.view.verdicts.values()


@pytest.mark.parametrize("case", CASES)
def test_access_control_says_what_will_be_accepted(case: Case):
    _, step, sender = case
    may = sendable(party(PARTIES[sender]), step.operation, step.context, NUMBER, facts(case))
    assert set(values(case)) <= may
