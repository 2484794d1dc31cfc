"""A whole development PKI for one register, as files in memory (certs/README.md).

In production the operator's own authority issues by the same profiles, and nothing here runs. Writing files
is for `adapters.pki`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.exchangelog.note import Signer
from gateway.identity.certify import (
    PrivateKey,
    issue_crl,
    issue_issuing,
    issue_leaf,
    issue_root,
)
from gateway.identity.enrolment import written_line
from gateway.identity.leaf import Purpose
from gateway.model import Authority, AuthorityId

PkiFiles = Mapping[
    str, bytes
]  # path below the PKI's directory → content; private keys end in ".key.pem" or ".key"


ENROLLED = "enrolled.toml"
_HEAD = """\
# Which certificates speak for which authority (certs/README.md §5). `gateway pki enrol` adds a line,
# `gateway pki withdraw` ends one.
"""


class KeyKind(StrEnum):
    """Keys that the development PKI makes."""

    RSA = "rsa-2048"
    P256 = "p-256"
    P384 = "p-384"


NewKey = Callable[[KeyKind], PrivateKey]


def new_key(kind: KeyKind) -> PrivateKey:
    """A fresh key; RSA takes some 50 ms."""
    if kind is KeyKind.RSA:
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1() if kind is KeyKind.P256 else ec.SECP384R1())


def new_ec_key(kind: KeyKind) -> PrivateKey:
    """As `new_key`, with P-256 instead of RSA: for those who would wait for RSA without need."""
    return new_key(KeyKind.P256 if kind is KeyKind.RSA else kind)


def key_kinds(authorities: Iterable[Authority]) -> Mapping[AuthorityId, KeyKind]:
    """P-256 for whoever wants ECDSA replies; the others get RSA and P-256 in turn, in register order."""
    kinds: dict[AuthorityId, KeyKind] = {}
    turn = 0
    for authority in authorities:
        ecdsa = authority.suite == "ecdsa-sha256"
        kinds[authority.id] = KeyKind.P256 if ecdsa or turn % 2 else KeyKind.RSA
        turn += not ecdsa
    return kinds


def issue_pki(
    hub: Authority,
    authorities: Sequence[Authority],
    now: datetime,
    *,
    key: NewKey = new_key,
    origin: str | None = None,
) -> PkiFiles:
    """Root, issuing authority, revocation lists, the hub and every authority, all of them enrolled.

    `key` makes the authorities' keys; the hub has an RSA and an ECDSA signing key, whatever `key` makes.
    `origin`: the exchange log's name in its verification key; by default the hub's name and "/log".
    Raises ProofError for an origin that no signed note can carry.
    """
    root = issue_root(new_key(KeyKind.P384), now)
    issuing = issue_issuing(new_key(KeyKind.P256), root, now)
    files = _log_key(hub, origin or f"{hub.tls_name}/log")
    for name in ("directory", "payload"):
        files[f"{hub.id}/{name}.key"] = f"{secrets.token_hex(32)}\n".encode()
    for name, issuer in (("root", root), ("issuing", issuing)):
        files |= pair(name, [issuer.certificate], issuer.key)
        files[f"{name}.crl.pem"] = issue_crl(issuer, now).public_bytes(Encoding.PEM)
    lines = [_HEAD]
    for holder, name, made in _pairs(hub, authorities, key):
        purpose = Purpose.TLS if name == Purpose.TLS else Purpose.SIGN
        certificate = issue_leaf(made.public_key(), holder, purpose, issuing, now)
        # A TLS certificate file ends with the issuing authority, as servers and clients must send it.
        chain = [certificate, issuing.certificate] if purpose is Purpose.TLS else [certificate]
        files |= pair(f"{holder.id}/{name}", chain, made)
        lines.append(written_line(holder.id, purpose, certificate))
    files[ENROLLED] = "".join(lines).encode()
    return files


def _pairs(
    hub: Authority, authorities: Sequence[Authority], key: NewKey
) -> Iterator[tuple[Authority, str, PrivateKey]]:
    """Whose pair it is, what its files are called, and its key."""
    for name, kind in (("tls", KeyKind.P256), ("sign-rsa", KeyKind.RSA), ("sign-ec", KeyKind.P256)):
        yield hub, name, new_key(kind)
    kinds = key_kinds(authorities)
    for holder in authorities:
        for purpose in Purpose:
            yield holder, purpose, key(kinds[holder.id])


def pair(name: str, certificates: Sequence[x509.Certificate], key: PrivateKey) -> dict[str, bytes]:
    """The two files of a key: its certificate, followed by the chain where there is one, and the key."""
    return {f"{name}.crt.pem": certificates_pem(certificates), f"{name}.key.pem": private_pem(key)}


def certificates_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def private_pem(key: PrivateKey | ed25519.Ed25519PrivateKey | mldsa.MLDSA44PrivateKey) -> bytes:
    """PKCS #8, not encrypted: the file's mode protects it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _log_key(hub: Authority, origin: str) -> dict[str, bytes]:
    key = ed25519.Ed25519PrivateKey.generate()
    vkey = Signer.of(origin, key).verifier.vkey
    return {f"{hub.id}/log.key.pem": private_pem(key), f"{hub.id}/log.vkey": f"{vkey}\n".encode()}
