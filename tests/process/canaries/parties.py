"""One authority: its keys, its client, and its requests, of which every leaf is a canary."""

from __future__ import annotations

import random
import string
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from gateway.adapters.tls import client_context
from gateway.model import SERVICE, Authority, SoapVersion
from gateway.wss.sign import Header, SigningKey, sign
from tests.process.canaries.values import Canary, Part, canary, messages, written
from tests.process.canaries.world import HEADERS, Heard, World, word
from tests.process.running import TRUST

XML = "text/xml; charset=utf-8"


@dataclass
class Party:
    """One authority: its keys, its client, and what it answers when it is asked."""

    world: World
    authority: Authority
    session: aiohttp.ClientSession | None = None
    name: str = ""  # of its keys, if not the register's

    @property
    def id(self) -> str:
        return self.name or str(self.authority.id)

    @cached_property
    def key(self) -> SigningKey:
        folder = self.world.directory / "pki" / self.id
        key = load_pem_private_key((folder / "sign.key.pem").read_bytes(), None)
        certificate = x509.load_pem_x509_certificate((folder / "sign.crt.pem").read_bytes())
        return SigningKey(key, certificate.public_bytes(Encoding.DER))

    @cached_property
    def tls(self):
        pki = self.world.directory / "pki"
        return client_context(
            pki / self.id / "tls.crt.pem", pki / self.id / "tls.key.pem", [pki / one for one in TRUST]
        )

    def sign(self, body: str, addressing: Iterable[Header] = (), **change: object) -> bytes:
        given = {"version": SoapVersion.V11, "key": self.key, "now": datetime.now(UTC), **change}
        unique = (
            f"{self.world.say_header('wsu:Id', word('wsu:Id', string.ascii_lowercase))}-{uuid.uuid4().hex}"
        )
        return sign(body, lifetime=timedelta(minutes=5), unique=unique, addressing=tuple(addressing), **given)

    async def post(self, data: bytes, path: str = "", **headers: str) -> tuple[int, bytes]:
        """POST with every header that a stack may send; what comes back, whatever it is."""
        given = {"Content-Type": XML, **HEADERS, **headers}
        self.world.say(Canary(f"header {name}", value) for name, value in HEADERS.items())
        if self.session is None or self.session.closed:
            self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self.tls))
        async with self.session.post(
            self.world.urls["url"] + path, data=data, headers=given, server_hostname="gateway.wib.example"
        ) as reply:
            head = "".join(f"{name}: {value}\n" for name, value in reply.headers.items())
            return reply.status, head.encode() + await reply.read()


@dataclass
class Message:
    """A request that is all canaries, but for what must be true so that it is understood."""

    party: Party
    operation: str
    values: dict[str, str]  # path → text
    ticket: str

    @classmethod
    def of(
        cls, party: Party, operation: str, wanted: Callable[[Part], bool], fixed: Mapping[str, str]
    ) -> Message:
        """`fixed`: paths below the operation, with what is said there instead."""
        ticket = word(f"ticket {uuid.uuid4()}")
        own = party.authority.enterprise
        sent = datetime.now(UTC) - timedelta(seconds=5)
        blocks = {
            "informationCustomer/ticket": ticket,
            "informationCustomer/timestampSent": f"{sent:%Y-%m-%dT%H:%M:%S}.{random.randrange(10**6, 10**7)}Z",
            "informationCustomer/customerIdentification/cbeNumber": own.cbe,
            **({"informationCustomer/customerIdentification/unit": own.unit} if own.unit else {}),
            "informationCustomer/proofRequested": "true",
            **fixed,
        }
        said = {f"{operation}/{path}": text for path, text in blocks.items()}
        made = {one.path: canary(one).value for one in messages()[operation].leaves() if wanted(one)}
        return cls(party, operation, {**made, **said}, ticket)

    @property
    def body(self) -> str:
        part = messages()[self.operation]
        self.party.world.say(
            replace(canary(one), value=self.values[one.path])
            for one in part.leaves()
            if one.path in self.values
        )
        return written(part, self.values)

    def addressing(self) -> list[Header]:
        """WS-Addressing of a stack that gives every header a meaning of its own."""
        say = self.party.world.say_header
        return [
            Header("Action", f"{SERVICE}/{self.operation}"),
            Header("MessageID", say("wsa:MessageID", f"urn:canary:{word(self.ticket)}")),
            Header("RelatesTo", say("wsa:RelatesTo", f"urn:canary:{word('relates')}")),
        ]

    @property
    def echoed(self) -> frozenset[str]:
        """PROTOCOL §11.2: validated identifiers may come back to who sent them."""
        blocks = (
            f"{self.operation}/informationCustomer/",
            f"{self.operation}/criteria/",
            f"{self.operation}/legal",
        )
        own = {text for path, text in self.values.items() if path.startswith(blocks)}
        return frozenset({*own, f"urn:canary:{word(self.ticket)}"})

    async def send(self, *, may: Iterable[str] = (), must: Iterable[str] = (), **headers: str) -> str | None:
        """Send it and keep what comes back. Returns the refusal code, None for a reply."""
        data = self.party.sign(self.body, self.addressing())
        headers = {"SOAPAction": f'"{SERVICE}/{self.operation}"', **headers}
        _, reply = await self.party.post(data, **headers)
        found = refusal_code(reply)
        world, seen = self.party.world, frozenset() if found else frozenset(may)
        what = f"{self.operation} {found or 'reply'}"
        world.heard.append(
            Heard(what, self.party.id, reply, self.echoed | seen, frozenset(must if not found else ()))
        )
        if found is None:
            world.accepted.update(self.values)
        return found


def refusal_code(reply: bytes) -> str | None:
    """The code of a fault or of a bare refusal."""
    at = reply.find(b"WIB")
    while at >= 0:
        code = reply[at : at + 8].decode("ascii", "replace")
        if code[3:].isdigit() and reply[at + 8 : at + 9] == b" ":
            return code
        at = reply.find(b"WIB", at + 1)
    return None
