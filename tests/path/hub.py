"""A whole hub in memory: real agreement, register, certificates, broker and store; spokes are functions.

Providers answer as they should. A test breaks one thing: a request on its way in, or one provider's answer.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from lxml import etree

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.pki import write_pki
from gateway.adapters.shelf import Shelf
from gateway.adapters.spool import Spool
from gateway.adapters.store import LogReader, Store
from gateway.agreement import messages, notices
from gateway.agreement.admit import Terms
from gateway.agreement.identifiers import dossier_number
from gateway.agreement.load import Agreement, load_agreement
from gateway.agreement.register import Register, load_register
from gateway.assembly import Parts, broker_of
from gateway.broker.bell import Bell
from gateway.broker.content import Arrived
from gateway.broker.document import Parcel
from gateway.broker.event import Event
from gateway.broker.exchange import Broker
from gateway.broker.reply import Signer
from gateway.broker.rules import Received, Rules, RulesInForce
from gateway.config import DeliverySettings
from gateway.identity.chain import Certificates, Trust
from gateway.identity.enrolment import load_enrolment
from gateway.identity.issue import issue_pki, new_ec_key
from gateway.loading import contract_files
from gateway.model import (
    Acknowledgement,
    Authority,
    AuthorityId,
    Criteria,
    DossierNumber,
    DossierScope,
    ExchangeId,
    Inscription,
    LegalContext,
    OperationName,
    Outcome,
    Pattern,
    Role,
    SoapVersion,
    Ticket,
)
from gateway.policy.person import person_digest
from gateway.soap.envelope import read
from gateway.soap.xml import Limits, parse_verified
from gateway.wss.profile import Window
from gateway.wss.sign import SigningKey, sign
from gateway.wss.verify import verify
from tests.path.parcels import read_parcel
from tests.path.payloads import PAYLOADS

ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC).replace(microsecond=0)  # so that the same certificates serve a running hub
DOSSIER = dossier_number(2026, 1)
OTHER_DOSSIER = dossier_number(2026, 2)
SSIN = "90612400144"
HUB = AuthorityId("HUB")
DIRECTORY_KEY = bytes(range(32))
PAYLOAD_KEY = bytes(range(32, 64))
SPOOL = Path(tempfile.gettempdir())  # its files have no names
URL = "https://gateway.example.be/soap/v1"
Answering = Callable[["Hub", Authority, messages.Question], bytes]
Receiving = Callable[["Hub", Authority, notices.Notice], bytes]


@cache
def register() -> Register:
    return load_register((ROOT / "contracts/register.toml").read_bytes(), "contracts/register.toml")


@cache
def register_with_platform() -> Register:
    """The platform can be asked for documents."""
    text, line = (ROOT / "contracts/register.toml").read_text(), 'id = "PLATFORM"\n'
    assert line in text
    text = text.replace(line, f'{line}endpoint = "https://platform.example.be/soap"\n')
    return load_register(text.encode(), "contracts/register.toml")


@cache
def agreement() -> Agreement:
    return load_agreement(contract_files(ROOT / "contracts"))


@cache
def pki() -> dict[str, bytes]:
    """EC everywhere but for the hub's RSA signing key, which replies to most authorities need."""
    return dict(issue_pki(register().hub, register().authorities, NOW - timedelta(days=1), key=new_ec_key))


def place_pki(directory: Path) -> None:
    """`pki()` as files, in a new directory. Sixty, each of them synced: they are written once in a process, and copied."""
    shutil.copytree(Path(_written().name, "pki"), directory)


@cache
def _written() -> tempfile.TemporaryDirectory[str]:
    """Removed when the process ends."""
    directory = tempfile.TemporaryDirectory(prefix="pki-")
    write_pki(Path(directory.name, "pki"), pki())
    return directory


def authority(name: str) -> Authority:
    found = register().hub if name == HUB else register().by_id.get(AuthorityId(name))
    assert found is not None, name
    return replace(found, signed_addressing=False)


@cache
def signing_key(name: str, kind: str = "sign") -> SigningKey:
    key = load_pem_private_key(pki()[f"{name}/{kind}.key.pem"], None)
    certificate = x509.load_pem_x509_certificate(pki()[f"{name}/{kind}.crt.pem"])
    return SigningKey(key, certificate.public_bytes(Encoding.DER))


@dataclass
class Answered:
    """What came back: a response or a fault, verified as the hub's."""

    event: Event
    body: etree._Element
    attachment: bytes | None = None  # the content of a document, where it is not in the body

    @property
    def code(self) -> str | None:
        """The refusal code, from the fault string's fixed form; None for a response."""
        texts = self.body.itertext()
        found = [
            text for text in texts if text.startswith("WIB") and text[3:8].isdigit() and "[incident" in text
        ]
        return found[0][:8] if found else None

    def texts(self, name: str) -> list[str]:
        return [element.text or "" for element in self.body.iter(f"{{*}}{name}")]


@dataclass
class Hub:
    """Build with `Hub.start`; ask with `ask`."""

    store: Store
    path: Path
    answering: dict[str, Answering] = field(default_factory=dict)
    now: datetime = NOW
    asked: list[tuple[AuthorityId, messages.Question]] = field(default_factory=list)
    receiving: dict[str, Receiving] = field(default_factory=dict)
    received: list[tuple[AuthorityId, notices.Notice]] = field(default_factory=list)
    bell: Bell = field(default_factory=Bell)
    spool: Spool = field(default_factory=lambda: Spool(SPOOL, 2**30))
    shelf: Shelf = None  # type: ignore[assignment] # beside the store
    caller: str = "PLATFORM"
    rules_change: Callable[[Rules], Rules] = lambda rules: rules
    through: object = None  # stands before the store, in its place
    in_force: RulesInForce | None = None  # of a courier that is at work

    @classmethod
    async def start(cls, directory: Path) -> Hub:
        path = directory / "store.db"
        hub = cls(
            open_store(path, create=True),
            path,
            shelf=Shelf(directory / "documents", Spool(SPOOL, 2**30).claim),
        )
        await hub.store.remember(agreement().revision, agreement().files)
        await hub.store.believe(certificates().trust, NOW - timedelta(days=1))
        await hub.dossier(DOSSIER, "UNDER_REVIEW")
        return hub

    async def restart(self) -> None:
        """A new process on the same file: nothing that was only in memory is left."""
        await self.store.close()
        self.store, self.bell, self.through = open_store(self.path), Bell(), None

    async def adopt(self, terms: Agreement) -> None:
        """From now on the hub serves under another revision of the agreement."""
        await self.store.remember(terms.revision, terms.files)
        self.rules_change = lambda rules: replace(rules, agreement=terms)

    async def dossier(
        self, number: DossierNumber, status: str, region: str = "BRUSSELS", **change: str
    ) -> None:
        parts = [
            ("PLATFORM", Role.PLAT), (region, Role.REG), ("IMMIGRATION_OFFICE", Role.OE),
            ("POST_RABAT", Role.CONS), ("MUN_BRUSSELS", Role.MUN), ("NSSO", Role.NSSO),
        ]  # fmt: skip
        lines = tuple(
            Inscription(AuthorityId(name), role, NOW - timedelta(days=30), None) for name, role in parts
        )
        since = NOW - timedelta(days=10)
        person = person_digest(DIRECTORY_KEY, SSIN)
        scope = DossierScope(number, "SINGLE_PERMIT", "FIRST", status, since, lines, person)
        await self.store.put_scope(replace(scope, **change))

    def rules(self) -> Rules:
        """The platform has a mailbox when it calls, and an endpoint when others do."""
        terms = Terms(URL, Window(), test_numbers=True)
        known = register() if self.caller == "PLATFORM" else register_with_platform()
        rules = Rules(agreement(), known, certificates(), Limits(), terms, DIRECTORY_KEY, self.signer())
        return self.rules_change(rules)

    def signer(self) -> Signer:
        keys = {"rsa-sha256": signing_key(HUB, "sign-rsa"), "ecdsa-sha256": signing_key(HUB, "sign-ec")}
        return Signer(keys, register().hub, Window())

    def parts(self, store: object = None) -> Parts:
        """`store`: something in the place of the real one."""
        used = store or self.through or self.store
        return Parts(
            RulesInForce(self.rules()),
            used,
            self,
            self.bell,
            DeliverySettings(),
            lambda: self.now,
            sources=self,
            keeping=self.spool,
            shelf=self.shelf,
        )

    def broker(self) -> Broker:
        return broker_of(self.parts())

    async def ask(self, provider: Authority, message: bytes, action: str) -> bytes:
        """The spokes: hand the hub's message to the provider's function."""
        body = parse_verified(verify(read(message, Limits()), Window(), self.now).body)[0]
        if agreement().operations[etree.QName(body).localname].pattern is Pattern.NOTIFY:
            notice = notices.read_notification(body)
            self.received.append((provider.id, notice))
            return self.receiving.get(provider.id, take_well)(self, provider, notice)
        question = messages.read_question(body)
        self.asked.append((provider.id, question))
        return self.answering.get(provider.id, answer_well)(self, provider, question)

    @asynccontextmanager
    async def fetch(self, provider: Authority, message: bytes, action: str):
        """The same for a document. A provider's function may also give what arrives, in parts."""
        answer = await self.ask(provider, message, action)
        yield answer if isinstance(answer, Arrived) else Arrived(answer, None)

    async def send(self, name: str, data: bytes, **received: object) -> Answered:
        """Send raw bytes over the TLS connection of `name`."""
        event = Event(ExchangeId(str(uuid.uuid4())), authority(name), len(data))
        version = received.get("version", SoapVersion.V11)
        mtom = bool(received.get("mtom"))
        action, attachment = received.get("soap_action"), received.get("attachment")
        self.caller = name
        rules, self.caller = self.rules(), "PLATFORM"
        message = Received(rules, data, version, action, self.now, mtom, attachment)
        reply = await self.broker().answer(message, event)
        if isinstance(reply, Parcel):
            hub, attachment = await read_parcel(reply, self.now)
        else:
            hub, attachment = verify(read(reply, Limits()), Window(), self.now), None
        assert hub.certificate in {signing_key(HUB, kind).certificate for kind in ("sign-rsa", "sign-ec")}
        return Answered(event, parse_verified(hub.body)[0], attachment)

    async def consult(
        self, name: str, operation: str, context: str, criteria: Criteria | None = None, **change: object
    ) -> Answered:
        """Ask as `name`, signed with its own key."""
        return await self.send(name, signed_question(name, operation, context, criteria, self.now, **change))

    def entries(self) -> list[dict[str, object]]:
        """The leaves of the exchange log, as an officer reads them."""
        with LogReader.open(self.path) as reader:
            return [json.loads(reader.entry(index)) for index in range(reader.head().size)]


def open_store(path: Path, *, create: bool = False) -> Store:
    key = load_pem_private_key(pki()["HUB/log.key.pem"], None)
    bucket_keys = BucketKeys.create(path.parent / "bucket-keys")
    return Store.open(
        path, key, "test.example/log", payload_key=PAYLOAD_KEY, bucket_keys=bucket_keys, create=create
    )


@cache
def certificates() -> Certificates:
    files = pki()
    return Certificates(
        Trust.load(
            [files["root.crt.pem"]],
            [files["issuing.crt.pem"]],
            [files["root.crl.pem"], files["issuing.crl.pem"]],
        ),
        load_enrolment(files["enrolled.toml"], "enrolled.toml", register()),
    )


def question(
    name: str, operation: str, context: str, criteria: Criteria | None, now: datetime, **change: object
) -> messages.Question:
    customer = messages.Customer(
        Ticket(str(change.pop("ticket", uuid.uuid4()))),
        change.pop("sent", now),
        change.pop("enterprise", authority(name).enterprise),
    )
    asked = Criteria(dossier=DOSSIER) if criteria is None else criteria
    plain = messages.Question(OperationName(operation), customer, None, LegalContext(context), asked)
    return replace(plain, **change)


def signed_question(
    name: str, operation: str, context: str, criteria: Criteria | None, now: datetime, **change: object
) -> bytes:
    signer, version = change.pop("signer", name), change.pop("version", SoapVersion.V11)
    body = messages.write_question(question(name, operation, context, criteria, now, **change))
    return sign_as(signer, body, now, version)


def sign_as(
    name: str, body: str, now: datetime, version: SoapVersion = SoapVersion.V11, kind: str = "sign"
) -> bytes:
    return sign(
        body,
        version=version,
        key=signing_key(name, kind),
        now=now,
        lifetime=timedelta(minutes=5),
        unique=str(uuid.uuid4()),
    )


def reply_body(question: messages.Question, outcome: Outcome, payload: str, **change: object) -> str:
    answered = replace(question, on_behalf=None, **change)
    status = messages.answered(outcome, ())
    return messages.write_reply(answered, "", status, (), payload)


def answer_well(hub: Hub, provider: Authority, asked: messages.Question) -> bytes:
    """What an honest provider answers."""
    body = reply_body(asked, Outcome.DATA_FOUND, payload(asked, provider))
    return sign_as(provider.id, body, hub.now)


def take_well(hub: Hub, recipient: Authority, notice: notices.Notice) -> bytes:
    """What an honest recipient answers to a notification."""
    return sign_as(recipient.id, acknowledgement(notice.question), hub.now)


def acknowledgement(question: messages.Question, value: Acknowledgement = Acknowledgement.OK) -> str:
    return notices.write_acknowledgement(replace(question, on_behalf=None), "", value)


def payload(asked: messages.Question, provider: Authority) -> str:
    """The payload element of an honest answer: only what the provider's role may provide."""
    return PAYLOADS[asked.operation](asked, provider)
