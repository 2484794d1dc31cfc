"""The good world of notifications: the shipped register and matrix, a small course of an own, and what is told in it.

The course is a test's own so that each rule can be shown by one step; that the shipped courses are sound is tested
where they are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache

from lxml import etree

from gateway.agreement.course import Course, NisRule, Places, Routing, Step
from gateway.agreement.identifiers import dossier_number
from gateway.agreement.load import Agreement
from gateway.agreement.register import Register, load_register
from gateway.model import (
    DOSSIER,
    SERVICE,
    Accepted,
    Authority,
    AuthorityId,
    Caller,
    Criteria,
    DossierScope,
    FieldId,
    Inscription,
    LegalContext,
    OperationName,
    Request,
    Role,
    SoapVersion,
    Ticket,
    Verified,
)
from gateway.policy.decide import Facts
from gateway.policy.notify import accept
from gateway.policy.rectify import EarlierRelease
from gateway.refusal import Code, Refusal
from tests.rules.agreement_files import REGISTER, ROOT, shipped

NOW = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
BEFORE = NOW - timedelta(days=30)
NUMBER = dossier_number(2026, 1)
KEY = bytes(range(32))
SSIN, OTHER_SSIN = "90612400144", "85650304271"
ADMISSIBILITY = LegalContext("WIB:ADMISSIBILITY")
WORK = LegalContext("WIB:WORK_DECISION")
RESIDENCE = LegalContext("WIB:RESIDENCE_DECISION")
REGISTRATION = LegalContext("WIB:MUNICIPAL_REGISTRATION")
CARD = LegalContext("WIB:CARD_ISSUE")
VISA = LegalContext("WIB:VISA_ISSUE")
ALL = frozenset({"SUBMITTED", "INFO_REQUESTED", "ADMISSIBLE", "UNDER_REVIEW", "WORK_GRANTED", "REGISTERED"})
Fields = Mapping[str, str]


def step(operation: str, sender: Role, context: LegalContext, **given: object) -> Step:
    """A step that tells nobody anything and changes nothing, but for what is given."""
    usual: dict[str, object] = {
        "operation": OperationName(operation),
        "when": None,
        "senders": frozenset({sender}),
        "before": ALL,
        "after": None,
        "interrupts": False,
        "context": context,
        "recipients": {},
        "inscribes": (),
        "ends": frozenset(),
        "binds": False,
    }
    return Step(**{**usual, **given})


def course(*steps: Step) -> Course:
    return Course("FIRST", frozenset({"SINGLE_PERMIT"}), frozenset({"FIRST"}), steps, (), ("B",), "C")


@cache
def register() -> Register:
    return load_register((ROOT / REGISTER).read_bytes(), REGISTER)


def party(name: str) -> Authority:
    return register().by_id[AuthorityId(name)]


def suspended(*names: str) -> Register:
    """The register with some of its authorities suspended."""
    lines = tuple(replace(one, active=one.id not in names) for one in register().authorities)
    return replace(register(), authorities=lines, by_id={one.id: one for one in lines})


@cache
def places() -> Places:
    rules = {"21": "BRUSSELS", "6": "WALLONIA", "9": "WALLONIA", "63023": "GERMAN_COMMUNITY"}
    return Places(
        tuple(NisRule(prefix, region, date(2018, 1, 1), None) for prefix, region in rules.items()), ()
    )


def agreement(*steps: Step) -> Agreement:
    """The shipped agreement, with one course of these steps."""
    fields = {
        Role.REG: FieldId("G17.municipality"),
        Role.MUN: FieldId("G07.municipality"),
        Role.CONS: FieldId("G01.post"),
    }
    return replace(
        shipped(),
        courses={"FIRST": course(*steps)},
        routing=Routing(fields, FieldId("G17.main")),
        places=places(),
    )


def line(
    name: str, since: datetime = BEFORE, until: datetime | None = None, role: Role | None = None
) -> Inscription:
    plays = role or party(name).role
    assert plays is not None
    return Inscription(AuthorityId(name), plays, since, until)


def scope(status: str = "UNDER_REVIEW", *lines: Inscription, **given: object) -> DossierScope:
    """A dossier of Brussels that the platform and the Immigration Office take part in."""
    inscriptions = lines or (line("PLATFORM"), line("BRUSSELS"), line("IMMIGRATION_OFFICE"))
    plain = DossierScope(NUMBER, "SINGLE_PERMIT", "FIRST", status, BEFORE, inscriptions, version=7)
    return replace(plain, **given)


def payload(groups: Mapping[str, Fields | Sequence[Fields]]) -> etree._Element:
    """A dossier element: group → its fields, or several elements of the group."""
    root = etree.Element(f"{{{SERVICE}}}dossier")
    for name, content in groups.items():
        for fields in [content] if isinstance(content, Mapping) else content:
            group = etree.SubElement(root, f"{{{DOSSIER}}}{name}")
            for field, text in fields.items():
                etree.SubElement(group, f"{{{DOSSIER}}}{field}").text = text
    return root


APPLICATION: Mapping[str, Fields | Sequence[Fields]] = {
    "header": {"permitType": "SINGLE_PERMIT", "procedure": "FIRST"},
    "worker": {"ssin": SSIN, "familyName": "Zyxwvutsrq"},
    "workPlace": [{"municipality": "21004", "main": "true"}],
}


def request(
    sender: str,
    operation: str,
    context: LegalContext,
    groups: Mapping[str, Fields | Sequence[Fields]],
) -> Request:
    element = payload(groups)
    verified = Verified(SoapVersion.V11, b"", element, b"", b"", NOW, None, addressing_signed=False)
    return Request(
        caller=Caller(party(sender), verified),
        operation=OperationName(operation),
        ticket=Ticket("t-1"),
        timestamp_sent=NOW,
        legal_context=context,
        criteria=Criteria(NUMBER),
        payload=element,
    )


def facts(terms: Agreement, before: DossierScope | None, registered: Register | None = None) -> Facts:
    return Facts(terms, registered or register(), before, NOW, KEY)


def accepted(
    asked: Request, steps: Sequence[Step], before: DossierScope | None, *, registered: Register | None = None
) -> Accepted:
    return accept(asked, facts(agreement(*steps), before, registered), [])


def refused(
    asked: Request,
    steps: Sequence[Step],
    before: DossierScope | None,
    *,
    registered: Register | None = None,
    earlier: Sequence[EarlierRelease] = (),
) -> Code:
    try:
        accept(asked, facts(agreement(*steps), before, registered), earlier)
    except Refusal as refusal:
        return refusal.code
    raise AssertionError("it was accepted")
