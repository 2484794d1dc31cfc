"""The messages and log files that PROTOCOL.md quotes, made by the real broker from fixed keys, times and chance.

`python -m tests.examples` writes contracts/examples and the generated parts of PROTOCOL.md anew;
`test_examples` and `test_documents` hold both against what is made here. The keys follow from the words below: anybody can
compute them, so nothing may ever trust them. RSA throughout, because its signatures are the same each time.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from itertools import count
from math import gcd, lcm
from pathlib import Path
from unittest.mock import patch

import rfc8785
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.agreement import messages, notices
from gateway.agreement.admit import Terms
from gateway.agreement.identifiers import dossier_number
from gateway.agreement.load import Agreement, load_agreement
from gateway.agreement.register import Register, load_register
from gateway.assembly import Parts, broker_of, deliverer_of
from gateway.broker.bell import Bell
from gateway.broker.event import DeliveryEvent, Event
from gateway.broker.reply import Signer
from gateway.broker.rules import Received, Rules, RulesInForce
from gateway.config import DeliverySettings
from gateway.exchangelog import merkle
from gateway.exchangelog.checkpoint import Checkpoint, sign_checkpoint
from gateway.exchangelog.entry import Entry
from gateway.exchangelog.erasure import Erasing, Hand, Listed, erased_entries, pruned
from gateway.exchangelog.fields import SALT_SIZE, FieldPlan, disclosure, salts
from gateway.exchangelog.form import Basis, Ending, Ground, Kind, Query, SearchedBy
from gateway.exchangelog.indices import Indices
from gateway.exchangelog.note import Signer as LogSigner
from gateway.exchangelog.own_entry import Access, accessed, rotated, succeeded
from gateway.exchangelog.proof import TlogProof
from gateway.exchangelog.receipt import entry_proof
from gateway.identity.certify import Issuer, issue_crl, issue_issuing, issue_leaf, issue_root
from gateway.identity.chain import Certificates, Trust
from gateway.identity.enrolment import Enrolled, Enrolment
from gateway.identity.leaf import Purpose
from gateway.loading import contract_files
from gateway.model import (
    DOSSIER,
    SERVICE,
    Accepted,
    Acknowledgement,
    Authority,
    AuthorityId,
    Criteria,
    Delivery,
    DossierNumber,
    DossierScope,
    ExchangeId,
    Inscription,
    LegalContext,
    Notification,
    OperationName,
    Outcome,
    Receipt,
    Role,
    SoapVersion,
    Ticket,
)
from gateway.policy.person import person_digest
from gateway.refusal import Code, Refusal
from gateway.soap.envelope import read
from gateway.soap.xml import Limits, parse_verified
from gateway.wss.profile import Window
from gateway.wss.sign import Header, SigningKey, sign
from gateway.wss.verify import verify

ROOT = Path(__file__).parents[1]
DIRECTORY = ROOT / "contracts/examples"
NOW = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
ORIGIN = "gateway.example.be/exchange-log/2026"
NUMBER, FOREIGN = dossier_number(2026, 417), dossier_number(2026, 418)
SSIN = "90612400144"  # of the test range: can be no person's
SILENT = AuthorityId("GERMAN_COMMUNITY")
VALUE = "dossier/worker/familyName"  # the one value that the disclosure shows

_ODD_NUMBERS = lcm(*range(3, 2000, 2))  # sieves candidates for primes
_WORDS = "Working in Belgium exchange gateway, example key, never to be trusted: "
_D, _S = f' xmlns:d="{DOSSIER}"', f' xmlns:s="{SERVICE}"'
_FILE: Mapping[str, Mapping[str, str]] = {
    "header": {
        "dossierNumber": NUMBER,
        "permitType": "SINGLE_PERMIT",
        "procedure": "FIRST",
        "submittedAt": "2026-02-27T14:03:11Z",
        "language": "fr",
        "competentRegion": "BRUSSELS",
        "status": "SUBMITTED",
        "statusDate": "2026-02-27",
    },
    "worker": {
        "ssin": SSIN,
        "familyName": "Exemple",
        "givenNames": "Anna Maria",
        "birthDate": "1990-00-00",
        "sex": "F",
        "nationality": "MA",
    },
    "workerCivil": {"birthPlace": "Rabat", "birthCountry": "MA", "civilStatus": "SINGLE"},
    "travelDocument": {
        "type": "PASSPORT",
        "number": "EX1234567",
        "country": "MA",
        "expiryDate": "2031-05-01",
    },
    "employer": {"cbeNumber": "0999088808", "name": "Fictive SA", "legalForm": "SA"},
    "salary": {"amount": "4120.50", "period": "MONTH", "currency": "EUR"},
}


@cache
def agreement() -> Agreement:
    """The real one but for its hash: otherwise the slightest change of a contract would change every leaf."""
    return replace(load_agreement(contract_files(ROOT / "contracts")), revision=_bytes("revision", 32).hex())


@cache
def register() -> Register:
    return load_register((ROOT / "contracts/register.toml").read_bytes(), "contracts/register.toml")


def authority(name: str) -> Authority:
    return register().hub if name == "HUB" else register().by_id[AuthorityId(name)]


def _bytes(name: str, size: int) -> bytes:
    blocks = (sha256(f"{_WORDS}{name} {number}".encode()).digest() for number in count())
    return b"".join(next(blocks) for _ in range(-(-size // 32)))[:size]


def _prime(name: str) -> int:
    """The first number that passes Fermat's test from a starting point with its two highest bits set."""
    candidate = int.from_bytes(_bytes(name, 128)) | 3 << 1022 | 1
    while gcd(candidate, _ODD_NUMBERS) != 1 or pow(3, candidate - 1, candidate) != 1:
        candidate += 2
    return candidate


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    p, q = sorted((_prime(f"{name} p"), _prime(f"{name} q")), reverse=True)
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    return rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public).private_key()


def _elliptic() -> ec.EllipticCurvePrivateKey:
    """For questions to providers that want ECDSA; its signatures differ each time, so none of them is kept."""
    return ec.derive_private_key(int.from_bytes(_bytes("elliptic", 31)), ec.SECP256R1())


@contextmanager
def _same_serials() -> Iterator[None]:
    numbers = (int.from_bytes(_bytes(f"serial {number}", 19)) for number in count())
    with patch("cryptography.x509.random_serial_number", lambda: next(numbers)):
        yield


@cache
def _issuers() -> tuple[Issuer, Issuer]:
    with _same_serials():
        root = issue_root(rsa_key("issuers"), NOW - timedelta(days=60))
        return root, issue_issuing(rsa_key("issuers"), root, NOW - timedelta(days=59))


@cache
def signing_key(name: str, *, elliptic: bool = False) -> SigningKey:
    """The hub and the requester have a key of their own, the providers one for all of them."""
    key = _elliptic() if elliptic else rsa_key(name if name in {"HUB", "BRUSSELS"} else "providers")
    serial = int.from_bytes(_bytes(f"serial of {name}", 19))
    with patch("cryptography.x509.random_serial_number", lambda: serial):
        certificate = issue_leaf(
            key.public_key(), authority(name), Purpose.SIGN, _issuers()[1], NOW - timedelta(days=30)
        )
    return SigningKey(key, certificate.public_bytes(Encoding.DER))


@cache
def certificates() -> Certificates:
    root, issuing = _issuers()
    lists = [
        issue_crl(issuer, NOW - timedelta(days=1)).public_bytes(Encoding.PEM) for issuer in (root, issuing)
    ]
    return Certificates(
        Trust.load(*([one.certificate.public_bytes(Encoding.PEM)] for one in (root, issuing)), lists),
        Enrolment.of(map(_enrolled, (authority("HUB"), *register().authorities))),
    )


def _enrolled(holder: Authority) -> Enrolled:
    return Enrolled(holder, Purpose.SIGN, sha256(signing_key(holder.id).certificate).digest())


def log_signer() -> LogSigner:
    return LogSigner.of(ORIGIN, ed25519.Ed25519PrivateKey.from_private_bytes(_bytes("exchange log", 32)))


class World:
    """One hub whose clock ticks by seven milliseconds and whose chance is arithmetic."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.files: dict[str, bytes] = {}
        self.opened: DossierScope | None = None
        self.queue: list[Delivery] = []
        self._ticks = count(1)
        self._draws = count()

    def clock(self) -> datetime:
        return NOW + next(self._ticks) * timedelta(milliseconds=7)

    def random(self, size: int) -> bytes:
        return _bytes(f"random {next(self._draws)}", size)

    async def append(self, entry: Entry) -> Receipt:
        self.entries.append(entry)
        return Receipt(ORIGIN, len(self.entries) - 1, self._checkpoint())

    async def prove(self, receipt: Receipt) -> Receipt:
        fields = self.entries[receipt.index].fields
        assert fields is not None
        hashes = [merkle.leaf_hash(one.leaf) for one in self.entries]
        path = merkle.prove_inclusion(merkle.nodes_of(hashes), receipt.index, len(hashes))
        note, leaf = self._checkpoint(), self.entries[receipt.index].leaf
        tlog = TlogProof(receipt.index, tuple(path), note, leaf)
        records = FieldPlan.parse(fields.vector).records(fields.digests)
        return Receipt(ORIGIN, receipt.index, note, entry_proof(tlog, records, fields.seed))

    def _checkpoint(self) -> bytes:
        hashes = [merkle.leaf_hash(one.leaf) for one in self.entries]
        return sign_checkpoint(len(hashes), merkle.root(hashes), [log_signer()])

    async def scope(self, dossier: DossierNumber) -> DossierScope:
        if self.opened is not None:
            return self.opened
        region = "BRUSSELS" if dossier == NUMBER else "FLANDERS"
        since = NOW - timedelta(days=2)
        lines = (
            Inscription(AuthorityId("PLATFORM"), Role.PLAT, since, None),
            Inscription(AuthorityId(region), Role.REG, since, None),
        )
        person = person_digest(_bytes("directory", 32), SSIN)
        return DossierScope(dossier, "SINGLE_PERMIT", "FIRST", "SUBMITTED", since, lines, person)

    async def ask(self, provider: Authority, message: bytes, action: str) -> bytes:
        assert action.startswith(SERVICE)
        if provider.id == SILENT:
            raise Refusal(Code.PROVIDER_TIMEOUT)
        body = parse_verified(verify(read(message, Limits()), Window(), NOW).body)[0]
        if action == f"{SERVICE}/notifyAdmissibility":
            return self._take_over(provider, message, notices.read_notification(body))
        question = messages.read_question(body)
        payloads = {
            "consultDossier": _dossier,
            "consultStatus": _header,
            "consultPriorApplications": lambda: _earlier(provider),
        }
        payload = payloads[question.operation]()
        outcome = Outcome.DATA_FOUND
        asked = messages.Question(
            question.operation, question.customer, None, question.legal_context, question.criteria
        )
        body = messages.write_reply(asked, "", messages.answered(outcome, ()), (), payload)
        answer = _signed(provider.id, body, _uuid(f"answer {provider.id} {question.operation}"))
        if question.operation == "consultDossier":
            self.files |= {"question.xml": message, "answer.xml": answer}
        return answer

    def _take_over(self, recipient: Authority, message: bytes, notice: notices.Notice) -> bytes:
        body = notices.write_acknowledgement(replace(notice.question, on_behalf=None), "", Acknowledgement.OK)
        answer = _signed(recipient.id, body, _uuid(f"acknowledgement of {recipient.id}"))
        if recipient.id == "PLATFORM":  # messages to others are signed with ECDSA, and differ each time
            self.files |= {"delivery.xml": message, "acknowledgement.xml": answer}
        return answer

    async def told(self, *_: object) -> None:
        """Nothing was told before."""

    async def accept(
        self, entry: Entry, accepted: Accepted, payload: bytes, content: bytes, received: datetime, ids: list
    ) -> Receipt:
        request, self.opened = accepted.request, accepted.scope
        notification = Notification(
            entry.exchange, request.caller.authority.id, request.operation, NUMBER, received, accepted.revision,
            accepted.scope.status, payload,
        )  # fmt: skip
        self.queue = [
            Delivery(one, notification, to.authority.id, to.legal_context, 0, recorded=False)
            for one, to in zip(ids, accepted.recipients, strict=True)
        ]
        return await self.append(entry)

    async def record(self, delivery: Delivery, entry: Entry) -> Receipt:
        return await self.append(entry)

    settle = record

    async def parties(self, delivery: ExchangeId) -> tuple[str, str]:
        (one,) = (one for one in self.queue if one.id == delivery)
        names = one.notification.sender, one.recipient
        return tuple(str(authority(name).enterprise) for name in names)

    def rules(self) -> Rules:
        keys = {"rsa-sha256": signing_key("HUB"), "ecdsa-sha256": signing_key("HUB", elliptic=True)}
        return Rules(
            agreement(),
            register(),
            certificates(),
            Limits(),
            Terms("https://gateway.example.be/soap/v1", Window(), test_numbers=True),
            _bytes("directory", 32),
            Signer(keys, register().hub, Window()),
        )

    def parts(self) -> Parts:
        return Parts(
            RulesInForce(self.rules()),
            self,
            self,
            Bell(),
            DeliverySettings(),
            self.clock,
            self.random,
            sources=self,  # no example is a document
            keeping=self,
            shelf=self,
        )

    async def exchange(self, name: str, request: bytes, version: SoapVersion = SoapVersion.V11) -> bytes:
        event = Event(ExchangeId(_uuid(f"exchange {name}")), authority("BRUSSELS"), len(request))
        message = Received(self.rules(), request, version, None, NOW)
        return await broker_of(self.parts()).answer(message, event)

    async def deliver(self) -> None:
        for delivery in self.queue:
            await deliverer_of(self.parts()).carry(delivery, DeliveryEvent(delivery), self.rules())


def _uuid(name: str) -> str:
    return str(uuid.UUID(bytes=_bytes(name, 16), version=4))


def _signed(
    name: str,
    body: str,
    unique: str,
    version: SoapVersion = SoapVersion.V11,
    addressing: tuple[Header, ...] = (),
) -> bytes:
    return sign(
        body,
        version=version,
        key=signing_key(name),
        now=NOW,
        lifetime=timedelta(minutes=5),
        unique=unique,
        addressing=addressing,
    )


def _request(
    ticket: str,
    operation: str,
    context: str,
    criteria: Criteria,
    version: SoapVersion = SoapVersion.V11,
    addressing: tuple[Header, ...] = (),
    *,
    proof: bool = False,
) -> bytes:
    customer = messages.Customer(Ticket(ticket), NOW, authority("BRUSSELS").enterprise, proof)
    question = messages.Question(OperationName(operation), customer, None, LegalContext(context), criteria)
    return _signed("BRUSSELS", messages.write_question(question), _uuid(ticket), version, addressing)


def _notification(ticket: str, groups: Mapping[str, Mapping[str, str]]) -> bytes:
    customer = messages.Customer(Ticket(ticket), NOW, authority("BRUSSELS").enterprise)
    context = LegalContext("WIB:ADMISSIBILITY")
    operation = OperationName("notifyAdmissibility")
    question = messages.Question(operation, customer, None, context, Criteria(NUMBER))
    return _signed("BRUSSELS", notices.write_notification(question, (), _dossier(groups)), _uuid(ticket))


def _dossier(file: Mapping[str, Mapping[str, str]] | None = None) -> str:
    groups = (
        f"<d:{group}{_D}>{''.join(f'<d:{name}>{value}</d:{name}>' for name, value in fields.items())}</d:{group}>"
        for group, fields in (file or _FILE).items()
    )
    return f"<s:dossier>{''.join(groups)}</s:dossier>"


def _header() -> str:
    fields = "".join(f"<d:{name}{_D}>{value}</d:{name}>" for name, value in _FILE["header"].items())
    return f"<s:header>{fields}</s:header>"


def _earlier(provider: Authority) -> str:
    if provider.id != "FLANDERS":
        return "<s:priorApplications></s:priorApplications>"
    fields = {"hit": "true", "region": "FLANDERS", "date": "2025-09-18", "outcome": "REFUSED"}
    inner = "".join(f"<d:{name}{_D}>{value}</d:{name}>" for name, value in fields.items())
    return f"<s:priorApplications><s:priorApplication>{inner}</s:priorApplication></s:priorApplications>"


async def _play(world: World) -> None:
    request = _request("BXL-2026-000417", "consultDossier", "WIB:WORK_DECISION", Criteria(NUMBER))
    foreign = _request("BXL-2026-000418", "consultDossier", "WIB:WORK_DECISION", Criteria(FOREIGN))
    headers = (
        Header("Action", f"{SERVICE}/sendTestMessage"),
        Header("MessageID", f"urn:uuid:{_uuid('message')}"),
    )
    weak = _request(
        "BXL-2026-000419",
        "sendTestMessage",
        "WIB:WORK_DECISION",
        Criteria(None, echo="hello"),
        SoapVersion.V12,
        headers,
    ).replace(b"2001/04/xmldsig-more#rsa-sha256", b"2000/09/xmldsig#rsa-sha1")
    earlier = _request(
        "BXL-2026-000420",
        "consultPriorApplications",
        "WIB:PRIOR_APPLICATION_CHECK",
        Criteria(NUMBER, ssin=SSIN),
    )
    world.files["request.xml"] = request
    world.files["reply.xml"] = await world.exchange("reply", request)
    world.files["fault-soap11.xml"] = await world.exchange("foreign dossier", foreign)
    world.files["fault-soap12.xml"] = await world.exchange("weak algorithm", weak, SoapVersion.V12)
    world.files["reply-incomplete.xml"] = await world.exchange("incomplete", earlier)
    told = _notification(
        "BXL-2026-000421", {"admissibility": {"outcome": "ADMISSIBLE", "date": "2026-03-02"}}
    )
    world.files["notification.xml"] = told
    world.files["receipt.xml"] = await world.exchange("admissibility", told)
    await world.deliver()
    proving = _request("BXL-2026-000422", "consultStatus", "WIB:WORK_DECISION", Criteria(NUMBER), proof=True)
    world.files["request-with-proof.xml"] = proving
    world.files["reply-with-proof.xml"] = await world.exchange("proof", proving)


def _own_files() -> dict[str, bytes]:
    """What the gateway did with its own log, years later."""
    hub, then = str(authority("HUB").enterprise), NOW + timedelta(days=400)
    listed = Listed(Indices(((1, 1),)), _bytes("salt of the erasure", SALT_SIZE))
    erasing = Erasing(Hand(hub, "officer-1"), Basis.COURT, Ground.ORDERED)
    erased = erased_entries(
        erasing, listed, 1, ExchangeId(_uuid("erasure")), then, lambda size: _bytes("erasure", size)
    )
    of_former = erased_entries(
        erasing,
        Listed(Indices(((3, 3), (77, 80))), _bytes("salt of the erasure in a former log", SALT_SIZE)),
        *(5, ExchangeId(_uuid("erasure in a former log")), then),
        lambda size: _bytes("erasure in a former log", size),
        of_log="xlog.gateway.example/2025",
    )
    pruning = pruned(
        Hand(hub, "officer-1"), 512, ExchangeId(_uuid("pruning")), then, lambda size: _bytes("pruning", size)
    )
    question = rfc8785.dumps({"dossier": NUMBER})
    access = Access("officer-1", hub, Query.LIST, SearchedBy.DOSSIER, 0, 10, question, NUMBER)
    looked = accessed(access, ExchangeId(_uuid("look-up")), then, lambda size: _bytes("look-up", size))
    another = ed25519.Ed25519PrivateKey.from_private_bytes(_bytes("log key of the next year", 32))
    vkey = LogSigner.of(log_signer().name, another).verifier.vkey
    rotation = rotated(vkey, hub, then, lambda size: _bytes("rotation", size))
    last = Checkpoint(log_signer().name, 512, merkle.leaf_hash(b"the last root"))
    successor = succeeded(last, Ending.ENDED, hub, then, lambda size: _bytes("successor", size))
    return {
        "leaf-erasure.json": erased.leaf,
        "leaf-erasure-former.json": of_former.leaf,
        "leaf-pruning.json": pruning.leaf,
        "leaf-access.json": looked.leaf,
        "leaf-key-rotation.json": rotation.leaf,
        "leaf-successor.json": successor.leaf,
    }


def _log_files(entries: list[Entry]) -> dict[str, bytes]:
    signer = log_signer()
    hashes = [merkle.leaf_hash(entry.leaf) for entry in entries]
    checkpoint = sign_checkpoint(len(hashes), merkle.root(hashes), [signer])
    path = merkle.prove_inclusion(merkle.nodes_of(hashes), 1, len(hashes))
    response = entries[1]
    assert response.fields is not None
    plan = FieldPlan.parse(response.fields.vector)
    records = [json.loads(record.canonical) for record in plan.records(response.fields.digests)]
    released = [path for kind, path, _ in records if kind == "r"]
    salt = salts(response.fields.seed, len(released))[released.index(VALUE)]
    text = disclosure(salt, VALUE, [_FILE["worker"]["familyName"]])
    return {
        "leaf-request.json": entries[0].leaf,
        "leaf-response.json": response.leaf,
        "leaf-refusal.json": entries[2].leaf,
        "leaf-notification.json": next(one.leaf for one in entries if one.kind is Kind.NOTIFICATION),
        "leaf-delivery.json": next(one.leaf for one in entries if one.kind is Kind.DELIVERY),
        "leaf-settlement.json": next(one.leaf for one in entries if one.kind is Kind.SETTLEMENT),
        **_own_files(),
        "field-records.json": ("[\n" + ",\n".join(map(json.dumps, records)) + "\n]\n").encode(),
        "disclosure.txt": text + b"\n",
        "checkpoint": checkpoint,
        "log.vkey": f"{signer.verifier.vkey}\n".encode(),
        "response.tlog-proof": TlogProof(1, tuple(path), checkpoint, response.leaf).serialise(),
    }


@cache
def build() -> Mapping[str, bytes]:
    """File name → content, the same on every machine."""
    world = World()
    asyncio.run(_play(world))
    return world.files | _log_files(world.entries)


if __name__ == "__main__":
    from tests import documents

    for name, content in build().items():
        (DIRECTORY / name).write_bytes(content)
    documents.regenerate()
