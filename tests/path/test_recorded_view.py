"""PROTOCOL §10.3: what an entry released and withheld is proven from the agreement, by who holds no personal data."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from msgspec import structs
from typer.testing import CliRunner

from gateway.adapters.store import LogReader
from gateway.agreement.views import RECEIVED
from gateway.cli.commands import app
from gateway.exchangelog.checkpoint import sign_checkpoint
from gateway.exchangelog.exhibit import Exhibit
from gateway.exchangelog.fields import FieldRecord, base64url, fields_root
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Kind
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.merkle import leaf_hash
from gateway.exchangelog.note import Signer
from gateway.exchangelog.proof import TlogProof
from gateway.model import Criteria, Role
from gateway.policy.recorded import Reading, RecordedView, prove_view
from tests.path.hub import DOSSIER, ROOT, SSIN, Hub, agreement, register
from tests.path.notifying import GRANTED, PERMIT, RESIDENCE, WORK, drain, tell
from tests.path.test_documents_release import criteria as of_document
from tests.path.test_receipt import keys
from tests.path.test_rectify import rectify
from tests.rules.test_log_receipt import SIGNER

KNOWN = {str(one.enterprise): one.role for one in register().authorities}
FAILURES = {flaw for flaw in Flaw if flaw.row.level == "failure"}


def exhibits(hub: Hub, kind: str) -> list[Exhibit]:
    """The entries of a kind, as `gateway log prove-view` reads them."""
    with LogReader.open(hub.path) as log:
        indices = [at for at in range(log.head().size) if Leaf.parse(log.entry(at)).kind == kind]
        found = [Exhibit(log.prove(at), log.records(at), None) for at in indices]
        return [replace(one, agreement=log.agreement(one.leaf.revision)) for one in found]


def judged(exhibit: Exhibit, roles=KNOWN, terms=None) -> RecordedView:
    index = exhibit.proof.index
    return prove_view(index, exhibit.leaf, exhibit.records, terms or agreement(), roles)


def flaws(found: RecordedView) -> set[Flaw]:
    return {one.flaw for one in found.findings}


@pytest.mark.parametrize(
    ("operation", "context", "criteria", "provider"),
    [
        ("consultDossier", WORK, None, Role.PLAT),
        ("consultDossier", WORK, Criteria(DOSSIER, source=Role.OE), Role.OE),
        ("consultStatus", WORK, None, Role.PLAT),
        ("consultPriorApplications", "WIB:PRIOR_APPLICATION_CHECK", Criteria(DOSSIER, ssin=SSIN), Role.REG),
        ("sendTestMessage", WORK, Criteria(None, echo="hello"), None),
    ],
)
async def test_an_honest_response_is_proven(hub: Hub, operation, context, criteria, provider):
    answered = await hub.consult("BRUSSELS", operation, context, criteria)
    assert answered.code is None
    [exhibit] = exhibits(hub, "response")
    assert exhibit.verify(keys()).size == 2
    assert exhibit.agreement == agreement().files
    found = judged(exhibit)
    assert found.readings == (Reading(Role.REG, provider, None),)
    assert flaws(found) == {Flaw.ROLE_ASSUMED}


async def test_without_a_register_every_role_is_tried(hub: Hub):
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    [exhibit] = exhibits(hub, "response")
    readings = judged(exhibit, {}).readings
    assert Reading(Role.REG, Role.PLAT, None) in readings
    assert all(
        agreement().view("consultDossier", one.recipient, WORK, one.provider).verdicts
        == {record.path: record.reason for record in exhibit.records}
        for one in readings
    )


async def test_the_type_of_a_document_is_left_open(hub: Hub):
    await hub.consult("BRUSSELS", "retrieveDocument", WORK, of_document())
    [exhibit] = exhibits(hub, "response")
    types = {one.document_type for one in judged(exhibit).readings}
    assert "CONTRACT" in types
    assert None not in types


async def test_each_delivery_is_proven_by_its_recipients_role(hub: Hub):
    await tell(hub, "BRUSSELS", "notifyWorkDecision", WORK, GRANTED)
    await drain(hub)
    found = [judged(one) for one in exhibits(hub, "delivery")]
    assert found
    assert all(flaws(one) == {Flaw.ROLE_ASSUMED} for one in found)
    assert {one.readings[0].provider for one in found} == {Role.REG}
    assert len({one.readings[0].recipient for one in found}) == len(found)


async def test_of_a_rectification_what_was_never_received_is_said_to_be_open(hub: Hub):
    """The region knew the outcome alone: of the date there is nothing to rectify."""
    await hub.dossier(DOSSIER, "RESIDENCE_GRANTED")
    await tell(hub, "IMMIGRATION_OFFICE", "notifyPermit", RESIDENCE, PERMIT)
    await drain(hub)
    both = {"residenceDecision": {"outcome": "GRANTED", "date": "2026-04-02"}}
    await rectify(hub, both, "IMMIGRATION_OFFICE")
    found = [one for one in exhibits(hub, "delivery") if one.leaf.operation == "rectifyData"]
    assert len(found) == 5
    assert any(record.reason == RECEIVED for one in found for record in one.records)
    assert all(flaws(judged(one)) == {Flaw.ROLE_ASSUMED, Flaw.NARROWED} for one in found)


# A hub that lies to its own log: entry, records and signature are in order, and the view is not the agreement's.


@cache
def honest() -> Exhibit:
    """A region's response under the real agreement, in a log of one entry."""
    view = agreement().view("consultDossier", Role.REG, WORK, Role.PLAT)
    released = [path for path, reason in view.verdicts.items() if reason is None]
    return recorded(
        [
            FieldRecord(path, base64url(bytes(32)).decode() if path in released else None, reason)
            for path, reason in view.verdicts.items()
        ]
    )


def recorded(records: list[FieldRecord], **change: object) -> Exhibit:
    """An exhibit of an entry with these records."""
    usual = Leaf(
        id="95de9f6a-1036-4d73-a39e-bfc50cf57f6e", time="2026-03-02T09:15:00.035Z", kind=Kind.RESPONSE,
        caller="0999022202", to=("0999011116/PLATFORM",), operation="consultDossier", legal_context=WORK,
        revision=agreement().revision, decision="released", fields_root=None, nfields=len(records),
        subject=base64url(bytes(32)).decode(), body=base64url(bytes(32)).decode(), signature=None,
        nonce=base64url(bytes(16)).decode(),
    )  # fmt: skip

    root = base64url(fields_root(records)).decode()
    leaf = structs.replace(usual, fields_root=root, **change).seal()
    note = sign_checkpoint(1, leaf_hash(leaf), [SIGNER])
    return Exhibit(TlogProof(0, (), note, leaf), tuple(records), agreement().files)


def with_record(path: str, record: FieldRecord | None) -> Exhibit:
    """The honest response with one record replaced, or left out."""
    assert any(one.path == path for one in honest().records)
    records = [record if one.path == path else one for one in honest().records]
    return recorded([one for one in records if one is not None])


RELEASED, WITHHELD = "dossier/worker/familyName", "dossier/workerCivil/birthPlace"


def test_the_honest_twin_is_proven():
    assert honest().verify([SIGNER.verifier]).size == 1
    assert flaws(judged(honest())) == {Flaw.ROLE_ASSUMED}


@pytest.mark.parametrize(
    ("exhibit", "flaw"),
    [
        (lambda: with_record(WITHHELD, FieldRecord(WITHHELD, base64url(bytes(32)).decode(), None)), Flaw.VIEW),
        (lambda: with_record(RELEASED, FieldRecord(RELEASED, None, "ROLE")), Flaw.VIEW),
        (lambda: with_record(WITHHELD, FieldRecord(WITHHELD, None, "PROVIDER")), Flaw.VIEW),
        (lambda: with_record(RELEASED, FieldRecord(RELEASED, None, "RECEIVED")), Flaw.VIEW),
        (lambda: with_record(WITHHELD, None), Flaw.PARTITION),
        (lambda: with_record(WITHHELD, FieldRecord("dossier/worker/religion", None, "ROLE")), Flaw.PARTITION),
        (lambda: recorded([*honest().records, honest().records[0]]), Flaw.PARTITION),
        (lambda: recorded(list(honest().records), caller=str(register().by_id["POST_RABAT"].enterprise)), Flaw.NOT_GRANTED),
        (lambda: recorded(list(honest().records), legal_context="WIB:NOTHING"), Flaw.NOT_GRANTED),
        (lambda: recorded(list(honest().records), operation="consultNothing"), Flaw.NOT_GRANTED),
        (lambda: recorded(list(honest().records), legal_context="WIB:RENEWAL"), Flaw.VIEW),
    ],
    ids=[
        "a withheld field was released",
        "a released field was withheld",
        "another reason",
        "a reason of rectifications",
        "a path without record",
        "a path that the contract does not have",
        "a path with two records",
        "somebody who may not ask",
        "a purpose that the agreement does not know",
        "an operation that it does not know",
        "another purpose",
    ],
)  # fmt: skip
def test_a_view_that_is_not_the_agreements_is_found_out(exhibit, flaw):
    made = exhibit()
    made.verify([SIGNER.verifier])  # the log's own check finds nothing
    assert flaw in flaws(judged(made)) & FAILURES


def test_the_finding_names_the_path():
    made = with_record(WITHHELD, FieldRecord(WITHHELD, base64url(bytes(32)).decode(), None))
    [finding] = [one for one in judged(made).findings if one.flaw is Flaw.VIEW]
    assert finding.about == WITHHELD


def test_an_exhibit_reads_back_and_holds_no_seed():
    written = honest().serialise()
    assert Exhibit.parse(written) == honest()
    assert json.loads(written).keys() == {"v", "proof", "records", "agreement"}


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"v":1,"proof":3,"records":[],"agreement":{}}'])
def test_what_is_no_exhibit_is_refused(data):
    with pytest.raises(ProofError) as caught:
        Exhibit.parse(data)
    assert caught.value.flaw is Flaw.FIELD_FORM


def test_records_of_another_entry_are_found_out():
    other = replace(honest(), records=honest().records[1:])
    with pytest.raises(ProofError) as caught:
        other.verify([SIGNER.verifier])
    assert caught.value.flaw is Flaw.FIELDS


# The command.


def run(*arguments: object, key: Signer | None = None):
    vkeys = ["--vkey", (key.verifier if key else keys()[0]).vkey]
    return CliRunner().invoke(app, ["log", "prove-view", *map(str, arguments), *vkeys])


async def test_the_command_proves_from_the_log_and_then_offline_from_a_file(hub: Hub, tmp_path: Path):
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    store, file = ("--store", hub.path), tmp_path / "view.json"
    known = ("--register", ROOT / "contracts/register.toml")
    done = run(1, *store, *known, "--output", file, "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["proven"]) == (0, True)
    assert told["readings"] == [{"recipient": "REG", "provider": "PLAT", "document_type": None}]
    assert [one["code"] for one in told["findings"]] == ["LOG638"]
    offline = run("--exhibit", file, *known)
    assert offline.exit_code == 0, offline.stderr
    assert "proven" in offline.stdout


def exhibit_file(directory: Path, exhibit: Exhibit) -> Path:
    path = directory / "view.json"
    path.write_bytes(exhibit.serialise())
    return path


@pytest.mark.parametrize(
    ("exhibit", "code"),
    [
        (lambda: with_record(WITHHELD, FieldRecord(WITHHELD, base64url(bytes(32)).decode(), None)), "LOG636"),
        (lambda: replace(honest(), agreement={**agreement().files, "contracts/places.toml": b""}), "LOG634"),
        (lambda: replace(honest(), agreement={}), "LOG634"),
        (lambda: recorded(list(honest().records), revision="ab" * 32), "LOG634"),
    ],
    ids=["another view", "an agreement that does not compile", "no agreement", "another revision"],
)
def test_the_command_fails_with_a_code_and_a_remedy(tmp_path, exhibit, code):
    done = run("--exhibit", exhibit_file(tmp_path, exhibit()), key=SIGNER)
    assert done.exit_code == 1
    assert done.stderr.startswith(code)
    assert "Traceback" not in done.stderr


async def test_a_refusal_has_no_view_and_an_index_may_not_be_there(hub: Hub):
    await hub.consult("FLANDERS", "consultDossier", WORK)
    assert run(0, "--store", hub.path).stderr.startswith("LOG632")
    assert run(7, "--store", hub.path).stderr.startswith("LOG503")
    assert run("--store", hub.path).stderr.startswith("LOG503")
    assert run(0, "--store", hub.path, key=SIGNER).stderr.startswith("LOG204")


async def test_a_revision_that_the_store_never_had_is_asked_for(hub: Hub):
    terms = replace(agreement(), revision="cd" * 32)
    hub.rules_change = lambda rules: replace(rules, agreement=terms)  # not remembered
    await hub.consult("BRUSSELS", "consultDossier", WORK)
    assert run(1, "--store", hub.path).stderr.startswith("LOG633")
    given = run(1, "--store", hub.path, "--agreement", ROOT / "contracts")
    assert given.stderr.startswith("LOG634")
