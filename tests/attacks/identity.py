"""I and Z: who speaks, and what they may ask."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from gateway.model import Criteria
from gateway.refusal import Code
from tests.attacks.case import MARK, Refused, attack, attacks, outcome_of, scenario, signed_body
from tests.attacks.target import BOUNDED, BURST, OTHER, SUSPENDED, Message, Target
from tests.path import hub as memory
from tests.path.payloads import DIGEST
from tests.process.running import ROOT
from tests.world import once

Made = Callable[[Message], bytes]


def said(old: str, new: str) -> Made:
    """M with something else in its Body, validly signed."""
    return lambda message: message.build(content=once(message.draft.content, old, new))


def of(name: str, **changes: object) -> Callable[[Target, Message], bytes]:
    """Another authority's own honest message."""
    return lambda target, _: target.message(name, **changes).data


CBE = {name: memory.authority(name).enterprise.cbe for name in ("WALLONIA", "BRUSSELS", "PLATFORM")}
attack("I01", "TLS of one authority, signature of another", Code.IDENTITIES_DIFFER)(of(OTHER))
attack(
    "I02",
    "TLS of one unit of a legal person, signature of the other",
    Code.IDENTITIES_DIFFER,
    name="PLATFORM",
    honest="WALLONIA",
)(of("NSSO"))
attack("I02", "the other way round", Code.IDENTITIES_DIFFER, name="NSSO", honest="WALLONIA")(of("PLATFORM"))
attacks("I03", Code.CUSTOMER, {
    "a body that names another authority": said(CBE["WALLONIA"], CBE["BRUSSELS"]),
    "a body that names the platform": said(CBE["WALLONIA"], CBE["PLATFORM"]),
})  # fmt: skip


def on_behalf(message: Message) -> bytes:
    """With the block that only the hub writes, in the name of somebody else."""
    block = (
        '<s:informationGateway><c:ticketGateway xmlns:c="http://workinginbelgium.be/types/Common/v1">'
        "d9428888-122b-41e1-b85a-61e6f7c7c9f0</c:ticketGateway></s:informationGateway><s:legalContext>"
    )
    return message.build(content=once(message.draft.content, "<s:legalContext>", block))


attacks(
    "I04",
    Refused(Code.RESERVED, or_else=(Code.SCHEMA,)),
    {"a question in the name of another authority": on_behalf},
)
attacks("I05", Code.SCHEMA, {
    "two customers": lambda m: m.build(content=m.draft.content.replace("<s:legalContext>", m.draft.content[m.draft.content.index("<s:informationCustomer"):m.draft.content.index("<s:legalContext>")] + "<s:legalContext>", 1)),
    "an official's number that the contract does not know": said("<s:criteria>", "<s:criteria><s:user>85073003328</s:user>"),
})  # fmt: skip


@attack("I07", "headers of a proxy that name the signer", Code.IDENTITIES_DIFFER)
def _proxied(target: Target, _: Message):
    names = (
        "X-SSL-Client-Cert",
        "X-Forwarded-Client-Cert",
        "X-SSL-Client-S-DN",
        "X_SSL_CLIENT_CERT",
        "Forwarded",
    )
    headers = dict.fromkeys(names, f'"{OTHER}"')
    return target.post(target.message(OTHER).data, headers=headers)


attack(
    "I08", "a suspended authority with valid certificates", Code.SUSPENDED, name=SUSPENDED, honest="WALLONIA"
)(of(SUSPENDED))
FULL_WIDTH = str.maketrans("0123456789", "\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19")
attacks("I09", Code.SCHEMA, {
    "a number in full-width digits": lambda m: m.build(content=once(m.draft.content, CBE["WALLONIA"], CBE["WALLONIA"].translate(FULL_WIDTH))),
    "a number with a blank": said(CBE["WALLONIA"], f"{CBE['WALLONIA']} "),
    "a context with a blank": said(">WIB:WORK_DECISION<", ">WIB:WORK_DECISION <"),
})  # fmt: skip
attacks("I09", Refused(Code.CONTEXT_UNKNOWN, or_else=(Code.SCHEMA,)), {
    "a context in other letters that look alike": said(">WIB:WORK_DECISION<", ">WIB:W\u041eRK_DECISION<"),
})  # fmt: skip

attacks("Z01", Refused(Code.CONTEXT_UNKNOWN, or_else=(Code.SCHEMA,)), {
    "an unknown purpose": said(">WIB:WORK_DECISION<", f">WIB:{MARK.upper()}<"),
    "an empty purpose": said(">WIB:WORK_DECISION<", "><"),
})  # fmt: skip
attacks(
    "Z01",
    Code.CONTEXT_DENIED,
    {"a purpose of another role": said(">WIB:WORK_DECISION<", ">WIB:RESIDENCE_DECISION<")},
)
attacks("Z01", Code.SCHEMA, {
    "no purpose": said("<s:legalContext>WIB:WORK_DECISION</s:legalContext>", ""),
    "two purposes": said("<s:legalContext>", "<s:legalContext>WIB:RENEWAL</s:legalContext><s:legalContext>"),
})  # fmt: skip
PRIOR = {
    "operation": "consultPriorApplications",
    "context": "WIB:VISA_ISSUE",
    "criteria": Criteria(memory.DOSSIER, ssin=memory.SSIN),
}
attack(
    "Z02",
    "an operation that the role may not call",
    Code.OPERATION_DENIED,
    name="POST_RABAT",
    honest="WALLONIA",
)(of("POST_RABAT", **PRIOR))
attacks("Z03", Code.SCHEMA, {
    "a list of fields": said("</s:criteria>", "<s:field>G22.result</s:field></s:criteria>"),
    "every field": said("</s:criteria>", "<s:field>*</s:field></s:criteria>"),
})  # fmt: skip


def document(kind: str) -> Criteria:
    return Criteria(
        memory.OTHER_DOSSIER, document_reference="DOC-1", document_type=kind, document_sha256=DIGEST
    )


@attack("Z03", "a document of a kind that the view does not name", Code.DOCUMENT_DENIED)
def _document(target: Target, _: Message) -> bytes:
    return target.message(operation="retrieveDocument", criteria=document("MEDICAL_CERTIFICATE")).data


@attack("Z04", "the dossier of another region", Code.DOSSIER_DENIED)
def _foreign(target: Target, _: Message) -> bytes:
    return target.message(criteria=Criteria(memory.DOSSIER)).data


@scenario("Z04", "a dossier of others and one that does not exist", "the same answer")
def _oracle(target: Target) -> str:
    told = []
    for number in (memory.DOSSIER, memory.dossier_number(2026, 999_999)):
        answer = target.post(target.message(criteria=Criteria(number)).data)
        assert outcome_of(answer) == "WIB07005"
        body = signed_body(answer.body)
        told.append(
            [one.text for one in body.iter() if one.tag.endswith(("reasonCode", "diagnostic", "severity"))]
        )
    assert told[0] == told[1]
    return "the same answer"


DOSSIER = str(memory.OTHER_DOSSIER)
attacks("Z05", Code.SCHEMA, {
    f"a dossier number with {name}": said(DOSSIER, value)
    for name, value in {
        "a sign": "+" + DOSSIER, "a leading zero": DOSSIER.replace("-0000002-", "-00000002-"), "an exponent": "WIB-2026-2e00000-59",
        "another one behind": f"{DOSSIER} {memory.DOSSIER}", "a wildcard": "WIB-2026-%-59", "small letters": DOSSIER.lower(),
    }.items()
})  # fmt: skip
attacks("Z05", Code.SCHEMA, {
    "two dossier numbers, one of them foreign": said("</s:criteria>", f"<s:dossierNumber>{memory.DOSSIER}</s:dossierNumber></s:criteria>"),
})  # fmt: skip
attacks(
    "Z05",
    Code.IDENTIFIER,
    {
        "a dossier number with wrong check digits": said(
            DOSSIER, DOSSIER[:-2] + ("11" if DOSSIER[-2:] != "11" else "12")
        )
    },
)
attacks("Z06", Code.SOAP_STRUCTURE, {
    "two operations, the permitted one first": lambda m: m.build(content=m.draft.content + m.draft.content.replace("consultDossier", "consultStatus")),
})  # fmt: skip


def serve_with(target: Target, change: Callable[[str], str], name: str) -> tuple[int, str]:
    """Exit status and words of a hub that is started with one file changed."""
    contracts = target.directory / f"contracts-{name}"
    subprocess.run(["cp", "-r", str(ROOT / "contracts"), str(contracts)], check=True)
    agreement = contracts / "agreement.toml"
    agreement.write_text(change(agreement.read_text()))
    settings = target.directory / f"{name}.toml"
    text = (target.directory / "gateway.toml").read_text()
    settings.write_text(once(text, f'"{ROOT}/contracts"', f'"{contracts}"'))
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(settings)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    return done.returncode, done.stderr


GAPS: dict[str, Callable[[str], str]] = {
    "empty": lambda text: "",
    "half written": lambda text: text[: len(text) // 2],
    "unparsable": lambda text: text + "\n[[",
}
for flaw, change in GAPS.items():

    @scenario("Z07", f"an agreement that is {flaw}", "the hub does not start")
    def _gap(target: Target, flaw: str = flaw, change: Callable[[str], str] = change) -> str:
        status, words = serve_with(target, change, flaw.replace(" ", "-"))
        assert status != 0
        assert "Traceback" not in words
        return "the hub does not start"


attacks("Z09", Refused(Code.CONTEXT_UNKNOWN, or_else=(Code.SCHEMA,)), {
    f"a purpose {name}": said(">WIB:WORK_DECISION<", f">{value}<")
    for name, value in {"in small letters": "wib:work_decision", "with a slash": "WIB:WORK_DECISION/", "without its domain": "WORK_DECISION"}.items()
})  # fmt: skip


@scenario(
    "Z10", "two hundred dossier numbers, one after the other", "each refused and recorded, none told apart"
)
def _enumerated(target: Target) -> str:
    began = target.reading()
    criteria = (Criteria(memory.dossier_number(2026, number)) for number in range(100, 300))
    answers = target.post_in_turn(target.message(criteria=one).data for one in criteria)
    told = {(outcome_of(answer), len(answer.body)) for answer in answers}
    ended = target.reading()
    assert {outcome for outcome, _ in told} == {"WIB07005"}
    assert ended.entries - began.entries == 200  # an officer sees who asked for what, and how often
    assert (ended.refusals - began.refusals)["dossier-denied"] == 200  # for the alert on refusals
    assert ended.asked == began.asked
    return "each refused and recorded, none told apart"


@scenario("Z10", "more dossier numbers than its quota has messages", "turned away unread, others are served")
def _beyond_quota(target: Target) -> str:
    """Signed or not: what is turned away is not read."""
    began, outcomes = target.reading(), []
    for number in range(100, 100 + BURST + 20):
        criteria = Criteria(memory.dossier_number(2026, number))
        answer = target.post(target.message(BOUNDED, criteria=criteria).data, BOUNDED)
        outcomes.append(outcome_of(answer))
    assert outcomes == ["WIB07005"] * BURST + ["WIB07011"] * 20
    assert int(answer.headers["Retry-After"]) > 1
    signed_body(answer.body)
    target.require_served()
    ended = target.reading()
    assert ended.entries - began.entries == BURST + 2  # and the two of whoever is served besides
    assert (ended.refusals - began.refusals)["quota"] == 20  # for the alert on quotas
    assert ended.asked == began.asked
    return "turned away unread, others are served"
