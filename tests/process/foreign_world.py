"""A running hub whose authorities have a key of each kind, and what they send it as foreign stacks write it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from gateway.identity.issue import issue_pki
from tests.path import hub as memory
from tests.process.emission import Asking, signed
from tests.process.post import Connection, Form, Reply, connected
from tests.process.running import Running
from tests.process.stacks import node_soap
from tests.rules.second_engine import token, tree_of, xmlsec_verifies
from tests.world import DS, MORE, SHA256, V11, WSU, Holder, once

KINDS = {
    "RSA-2048": lambda: rsa.generate_private_key(65537, 2048),
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RSA-3072": lambda: rsa.generate_private_key(65537, 3072),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "RSA-4096": lambda: rsa.generate_private_key(65537, 4096),
}
HOLDERS = dict(zip(KINDS, ("PLATFORM", "BRUSSELS", "FLANDERS", "WALLONIA", "GERMAN_COMMUNITY"), strict=True))
CONTEXTS = {"PLATFORM": "WIB:ADMISSIBILITY"}


@cache
def pki() -> dict[str, bytes]:
    """The first five authorities of the register have a key of each kind in turn, the others P-256."""

    def keys() -> Iterator[Callable[[], object]]:
        for kind in KINDS.values():
            yield from (kind, kind)  # to sign with, and for TLS
        while True:
            yield KINDS["P-256"]

    makers, known = keys(), memory.register()
    assert [one.id for one in known.authorities[: len(KINDS)]] == list(HOLDERS.values())
    since = memory.NOW - timedelta(days=1)
    return dict(issue_pki(known.hub, known.authorities, since, key=lambda _: next(makers)()))


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One message: how it is written, with which key, and how it travels.

    `edit`: (old, new), each said otherwise before it is signed; `after`: the same, once it is signed, and then
    whatever happens `on_the_way`.
    """

    stack: Callable[[Asking], str] = node_soap
    version: str = V11.value
    kind: str = "RSA-2048"
    method: str = ""  # by default SHA-256 with the key's own family
    digest: str = SHA256
    edit: tuple[tuple[str, str], ...] = ()
    after: tuple[tuple[str, str], ...] = ()
    on_the_way: Callable[[str], str] = str
    form: Form = field(default_factory=Form)
    bom: bool = False
    stranger: Holder | None = None  # signs in the place of the authority

    def asking(self, directory: Path) -> Asking:
        holder = memory.authority(HOLDERS[self.kind])
        own = directory / "pki" / holder.id
        certificate = x509.load_pem_x509_certificate((own / "sign.crt.pem").read_bytes())
        family = "rsa-sha256" if self.kind.startswith("RSA") else "ecdsa-sha256"
        return Asking(
            key=self.stranger.key_pem if self.stranger else (own / "sign.key.pem").read_bytes(),
            certificate=self.stranger.der if self.stranger else certificate.public_bytes(Encoding.DER),
            cbe=holder.enterprise.cbe,
            unit=holder.enterprise.unit,
            context=CONTEXTS.get(holder.id, "WIB:RENEWAL"),
            envelope=self.version,
            method=self.method or f"{MORE}{family}",
            digest=self.digest,
        )

    def written(self, ask: Asking) -> str:
        text = self.stack(ask)
        for old, new in self.edit:
            text = once(text, old, new)
        text = signed(text, ask.key)
        for old, new in self.after:
            text = once(text, old, new)
        return "\ufeff" * self.bom + self.on_the_way(text)


@dataclass(frozen=True)
class Answer:
    """A reply that another engine has verified as the hub's: its Body's element."""

    reply: Reply
    ask: Asking
    element: etree._Element

    def text(self, name: str) -> str | None:
        return self.element.findtext(f".//{{*}}{name}")


async def send(hub: Running, shape: Shape, connection: Connection | None = None) -> tuple[Asking, Reply]:
    ask = shape.asking(hub.directory)
    if connection is not None:
        return ask, await connection.post(shape.written(ask), ask.envelope, shape.form)
    async with connected(hub, HOLDERS[shape.kind]) as own:
        return ask, await own.post(shape.written(ask), ask.envelope, shape.form)


async def ask(hub: Running, shape: Shape, connection: Connection | None = None) -> Answer:
    """Send a message and verify what comes back. Fails when it is no signed message of the hub."""
    asked, reply = await send(hub, shape, connection)
    return Answer(reply, asked, verified(reply.body, hub_certificates(hub)))


def hub_certificates(hub: Running) -> set[bytes]:
    files = (hub.directory / "pki/HUB" / f"sign-{kind}.crt.pem" for kind in ("rsa", "ec"))
    return {x509.load_pem_x509_certificate(one.read_bytes()).public_bytes(Encoding.DER) for one in files}


def verified(data: bytes, certificates: set[bytes]) -> etree._Element:
    """The element in the Body that one of the certificates signed, by xmlsec's word."""
    xmlsec_verifies(data)
    tree = tree_of(data)
    assert token(tree) in certificates
    (body,) = tree.findall("{*}Body")
    (time,) = tree.iter(f"{{{WSU}}}Timestamp")
    covered = {one.get("URI") for one in tree.iter(f"{{{DS}}}Reference")}
    assert {f"#{one.get(f'{{{WSU}}}Id')}" for one in (body, time)} <= covered
    return body[0]
