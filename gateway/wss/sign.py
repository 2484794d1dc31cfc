"""Sign a message that is built here, part by part, already in its canonical form (PROTOCOL §11).

Each signed part is written with the namespace declarations that exclusive C14N would give it, and goes
onto the wire as those very bytes. What was digested is what is sent: no second serialisation, nothing
copied from a message that came in. `tests/rules/test_wss_sign.py` holds this against lxml's C14N, our own
verifier and xmlsec.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from gateway.model import SoapVersion
from gateway.soap import names
from gateway.soap.xml import text
from gateway.wss import profile, times
from gateway.wss.content import AroundContent

_SHA256: Final = hashes.SHA256()
_PKCS1: Final = padding.PKCS1v15()
_ECDSA: Final = ec.ECDSA(_SHA256)


class HeldKey(Protocol):
    """A private key that something else holds, such as a token. Signing waits for that."""

    @property
    def suite(self) -> str:
        """The register's word for what it signs with."""
        ...

    def sign(self, data: bytes, /) -> bytes:
        """SignatureValue over `data`, as `SigningKey.sign`. Raises Refusal: SIGNING_UNAVAILABLE."""
        ...


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and its certificate. What kind of key it is, is asked once: abstract classes are slow to answer."""

    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | HeldKey
    certificate: bytes  # DER
    held: bool = field(init=False)  # whether signing waits for something outside this process's memory
    method: str = field(init=False)  # SignatureMethod of the suite that it signs with
    sign: Callable[[bytes], bytes] = field(init=False, repr=False, compare=False)
    """SignatureValue over data: PKCS #1 v1.5, or r‖s. Raises Refusal when a held key does not sign."""

    def __post_init__(self) -> None:
        suite, sign = _means(self.key)
        object.__setattr__(
            self, "held", not isinstance(self.key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
        )
        object.__setattr__(self, "method", profile.SUITES[suite])
        object.__setattr__(self, "sign", sign)


def _means(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | HeldKey,
) -> tuple[str, Callable[[bytes], bytes]]:
    """The suite, and what signs by it."""
    match key:
        case rsa.RSAPrivateKey():
            return "rsa-sha256", lambda data: key.sign(data, _PKCS1, _SHA256)
        case ec.EllipticCurvePrivateKey():
            return "ecdsa-sha256", partial(_concatenated, key, profile.CURVES[key.curve.name])
        case _:
            return key.suite, key.sign


def _concatenated(key: ec.EllipticCurvePrivateKey, octets: int, data: bytes) -> bytes:
    r, s = decode_dss_signature(key.sign(data, _ECDSA))
    return r.to_bytes(octets) + s.to_bytes(octets)


@dataclass(frozen=True, slots=True)
class Header:
    """One WS-Addressing header block of ours."""

    name: str
    value: str


def sign(  # noqa: PLR0913 - everything that decides the bytes, named at the call
    body: str,
    *,
    version: SoapVersion,
    key: SigningKey,
    now: datetime,
    lifetime: timedelta,
    unique: str,
    addressing: Sequence[Header] = (),
) -> bytes:
    """A signed message whose Body holds `body`, an element in canonical form.

    `unique` is a UUID: it makes the ids of this message differ from those of any other.
    """
    part = f"{_body(version, unique)}{body}{_BODY_END}"
    front = _front(_digest(part), version, key, now, lifetime, unique, addressing)
    return f"{front}{part}{_END}".encode()


@dataclass(frozen=True, slots=True)
class Frame:
    """A signed message but for the content that belongs between its two halves, as base64 or xop:Include."""

    head: bytes
    tail: bytes


class Framing:
    """Signs a message whose content comes as a stream: digested here, sent by somebody else.

    `before` and `after` are the halves of an element in canonical form.
    """

    def __init__(self, before: str, after: str, *, version: SoapVersion, unique: str) -> None:
        self._version, self._unique = version, unique
        self._before, self._after = _body(version, unique) + before, after + _BODY_END
        self._digest = AroundContent("sha256", self._before.encode())

    def update(self, content: bytes) -> None:
        """The next bytes of the content, not encoded."""
        self._digest.update(content)

    def sign(
        self, *, key: SigningKey, now: datetime, lifetime: timedelta, addressing: Sequence[Header] = ()
    ) -> Frame:
        """The content is complete. Call once."""
        digest = base64.b64encode(self._digest.finish(self._after.encode())).decode()
        front = _front(digest, self._version, key, now, lifetime, self._unique, addressing)
        return Frame(f"{front}{self._before}".encode(), f"{self._after}{_END}".encode())


_BODY_END: Final = "</soap:Body>"
_END: Final = "</soap:Envelope>"


def _front(  # noqa: PLR0913, PLR0917 - everything that decides the bytes before the Body
    body_digest: str,
    version: SoapVersion,
    key: SigningKey,
    now: datetime,
    lifetime: timedelta,
    unique: str,
    addressing: Sequence[Header],
) -> str:
    """The message up to its Body, of which the digest is enough."""
    timestamp = _timestamp(now, lifetime, f"time-{unique}")
    blocks = {f"wsa-{one.name}-{unique}": _block(one, f"wsa-{one.name}-{unique}") for one in addressing}
    digests = {f"body-{unique}": body_digest, f"time-{unique}": _digest(timestamp)}
    digests |= {id_: _digest(block) for id_, block in blocks.items()}
    info = _signed_info(digests, key.method)
    value = base64.b64encode(key.sign(info.encode())).decode()
    token = base64.b64encode(key.certificate).decode()
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<soap:Envelope xmlns:soap="{version.value}" xmlns:wsse="{names.WSSE}" xmlns:wsa="{names.WSA}"'
        f' xmlns:wsu="{names.WSU}"><soap:Header>{"".join(blocks.values())}<wsse:Security>{timestamp}'
        f'<wsse:BinarySecurityToken EncodingType="{names.BASE64}" ValueType="{names.X509V3}"'
        f' wsu:Id="token-{unique}">{token}</wsse:BinarySecurityToken>'
        f'<ds:Signature xmlns:ds="{names.DS}">{info}<ds:SignatureValue>{value}</ds:SignatureValue>'
        f'<ds:KeyInfo><wsse:SecurityTokenReference><wsse:Reference URI="#token-{unique}"'
        f' ValueType="{names.X509V3}"/></wsse:SecurityTokenReference></ds:KeyInfo></ds:Signature>'
        f"</wsse:Security></soap:Header>"
    )


def _body(version: SoapVersion, unique: str) -> str:
    return f'<soap:Body xmlns:soap="{version.value}" xmlns:wsu="{names.WSU}" wsu:Id="body-{unique}">'


def _timestamp(now: datetime, lifetime: timedelta, id_: str) -> str:
    return (
        f'<wsu:Timestamp xmlns:wsu="{names.WSU}" wsu:Id="{id_}"><wsu:Created>{times.write(now)}</wsu:Created>'
        f"<wsu:Expires>{times.write(now + lifetime)}</wsu:Expires></wsu:Timestamp>"
    )


def _block(header: Header, id_: str) -> str:
    return (
        f'<wsa:{header.name} xmlns:wsa="{names.WSA}" xmlns:wsu="{names.WSU}" wsu:Id="{id_}">'
        f"{text(header.value)}</wsa:{header.name}>"
    )


def _signed_info(digests: dict[str, str], method: str) -> str:
    references = "".join(
        f'<ds:Reference URI="#{id_}"><ds:Transforms><ds:Transform Algorithm="{names.EXC_C14N}"></ds:Transform>'
        f'</ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"></ds:DigestMethod>'
        f"<ds:DigestValue>{digest}</ds:DigestValue></ds:Reference>"
        for id_, digest in digests.items()
    )
    return (
        f'<ds:SignedInfo xmlns:ds="{names.DS}"><ds:CanonicalizationMethod Algorithm="{names.EXC_C14N}">'
        f'</ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="{method}"></ds:SignatureMethod>'
        f"{references}</ds:SignedInfo>"
    )


def _digest(part: str) -> str:
    return base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
