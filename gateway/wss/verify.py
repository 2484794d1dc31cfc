"""Strict WS-Security verification: an untrusted envelope in, the signed bytes and their signer out.

The order is part of the design: cheap and structural first, keys last (PROTOCOL §4). Elements are chosen
by their position, never by searching for an id, so that what was verified and what is processed cannot
differ: the root of every signature-wrapping attack. Whether the signer's certificate is trusted is for
`identity`; whether the message was seen before, for the exchange log.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any, Final, TypeAlias

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from lxml import etree

from gateway.model import Envelope, Verified
from gateway.refusal import Code, Refusal
from gateway.soap import names
from gateway.soap.envelope import PLACE
from gateway.soap.xml import Element, canonical, is_affordable
from gateway.wss import profile, signed_info, times
from gateway.wss.content import AroundContent

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

_IDS: Final = etree.XPath(  # not //@*, which looks for attributes of texts, too
    "/descendant::*/@*[local-name()='Id' or local-name()='ID' or local-name()='id' or local-name()='iD']"
)
_ELEMENTS: Final = etree.XPath("count(descendant-or-self::*)")
_MAX_IDS: Final = 32
_ONCE: Final = (names.SECURITY, names.TIMESTAMP, names.TOKEN, names.SIGNATURE)
_PKCS1: Final = padding.PKCS1v15()
_DIGESTS: Final = {name: getattr(hashlib, name) for name in profile.DIGESTS.values()}
_BARE_ID_ALLOWED: Final = frozenset(  # ds elements declare an unqualified Id; none of them may be referenced
    {names.SIGNATURE, names.SIGNED_INFO, names.SIGNATURE_VALUE, names.KEY_INFO, names.REFERENCE}
)


def verify(envelope: Envelope, window: profile.Window, now: datetime) -> Verified:
    """Check the profile and the signature of one message.

    Raises Refusal with a code of the WIB04 family.
    """
    signed = _signed(envelope)
    body = b""
    for element, reference in signed.parts.items():
        data = _verify_digest(element, reference)
        if element is envelope.body:
            body = data
    return _verified(envelope, signed, body, _verify_time(signed.timestamp, window, now))


class Unfinished:
    """A message of which everything is verified but the digest of its Body, whose content is still to come.

    Who signed is settled before a byte of the content is read; nothing of the message is known to be signed
    before `finish`. `place`: the element that `soap.envelope.read_packaged` returned with the envelope.
    """

    def __init__(self, envelope: Envelope, place: Element, window: profile.Window, now: datetime) -> None:
        """Raises Refusal with a code of the WIB04 family."""
        self._envelope, self._place = envelope, place
        self._signed = _signed(envelope)
        for element, reference in self._signed.parts.items():
            if element is not envelope.body:
                _verify_digest(element, reference)
        self._created = _verify_time(self._signed.timestamp, window, now)
        self._expected = self._signed.parts[envelope.body]
        self._before, self._after = _split(_canonical(envelope.body, self._expected))
        self._body = AroundContent(self._expected.digest_name, self._before)
        self._content = hashlib.sha256()

    @property
    def signer(self) -> tuple[bytes, bytes, datetime]:
        """DER of the certificate, SignatureValue and Created of what is signed, whatever the content."""
        return self._signed.certificate, self._signed.info.value, self._created

    def update(self, content: bytes) -> None:
        """The next bytes of the content."""
        self._body.update(content)
        self._content.update(content)

    def finish(self) -> Verified:
        """The content is complete. Its SHA-256 in hexadecimal now stands in its place, in element and body.

        Call once. Raises Refusal: SIGNATURE.
        """
        if not hmac.compare_digest(self._body.finish(self._after), self._expected.digest):
            raise Refusal(Code.SIGNATURE, "digest")
        digest = self._content.hexdigest()
        self._place.text = digest
        body = self._before + digest.encode() + self._after
        return _verified(self._envelope, self._signed, body, self._created)


class _Signed(msgspec.Struct, frozen=True):
    """A signature that verified over the references to these parts; their digests are still to be compared."""

    timestamp: Element
    certificate: bytes
    info: signed_info.SignedInfo
    parts: Mapping[Element, signed_info.Reference]


def _signed(envelope: Envelope) -> _Signed:
    # §4.1 exactly one Timestamp, token and signature, in any order
    timestamp, token, signature = _children(envelope)
    # §4.2 our own map from id to element, built from positions
    ids = _id_map(envelope, timestamp, token, signature)
    # §4.3 structure and algorithms, before anything is computed
    info = signed_info.read(signature)
    # §4.4 the parts that must be covered are covered, each once, by element identity
    parts = _parts(info, ids)
    _require_covered(parts, envelope.body, timestamp)
    # §4.5 the token that the signature names is the one token of the message
    if ids.get(info.token_id) is not token:
        raise Refusal(Code.TOKEN_FORM)
    certificate = _certificate(token)
    # §4.6 signature over SignedInfo; the caller then verifies the digest of each part
    _verify_signature(public_key(certificate), info)
    # §4.7 is the caller's too: time, read from the element that was verified
    return _Signed(timestamp, certificate, info, parts)


def _verified(envelope: Envelope, signed: _Signed, body: bytes, created: datetime) -> Verified:
    return Verified(
        version=envelope.version,
        body=body,
        element=envelope.body,
        certificate=signed.certificate,
        signature=signed.info.value,
        created=created,
        addressing=envelope.addressing,
        addressing_signed=_addressing_signed(envelope, signed.parts),
        message=envelope.data,
    )


def _children(envelope: Envelope) -> tuple[Element, Element, Element]:
    found = {child.tag: child for child in envelope.security}
    if len(envelope.security) != 3 or set(found) != {names.TIMESTAMP, names.TOKEN, names.SIGNATURE}:
        raise Refusal(Code.SECURITY_STRUCTURE)
    root = envelope.header.getparent()
    assert root is not None
    # Those four are there; one more of them anywhere is a wrapper (attacks S05–S13).
    if sum(1 for _ in root.iter(*_ONCE)) != len(_ONCE):
        raise Refusal(Code.SECURITY_STRUCTURE)
    return found[names.TIMESTAMP], found[names.TOKEN], found[names.SIGNATURE]


def _id_map(
    envelope: Envelope, timestamp: Element, token: Element, signature: Element
) -> Mapping[str, Element]:
    """Every id of the message, with the element that carries it; None of them elsewhere than allowed."""
    referenceable = {envelope.body, timestamp, token, *envelope.header} - {envelope.security}
    found = _IDS(envelope.header.getroottree())
    if len(found) > _MAX_IDS:
        raise Refusal(Code.ID_FORM)
    ids: dict[str, Element] = {}
    seen: set[str] = set()
    for attribute in found:
        carrier, value = attribute.getparent(), str(attribute)
        if value in seen:  # the first or the last would win, depending on the reader (attack S06)
            raise Refusal(Code.ID_FORM, "repeated")
        seen.add(value)
        if attribute.attrname == names.WSU_ID and carrier in referenceable:
            ids[value] = carrier
        elif not _harmless(attribute.attrname, carrier, signature, envelope.security):
            raise Refusal(Code.ID_FORM)
    return ids


def _harmless(attribute: str, carrier: Element, signature: Element, security: Element) -> bool:
    inside = carrier is signature or signature in carrier.iterancestors()
    if attribute == "Id":
        return inside and carrier.tag in _BARE_ID_ALLOWED
    return attribute == names.WSU_ID and (
        carrier is security or (inside and carrier.tag == names.TOKEN_REFERENCE)
    )


def _parts(info: signed_info.SignedInfo, ids: Mapping[str, Element]) -> dict[Element, signed_info.Reference]:
    parts: dict[Element, signed_info.Reference] = {}
    for reference in info.references:
        element = ids.get(reference.id)
        if element is None or element in parts:
            raise Refusal(Code.REFERENCE, "target")
        parts[element] = reference
    return parts


def _require_covered(
    parts: Mapping[Element, signed_info.Reference], body: Element, timestamp: Element
) -> None:
    if body not in parts:
        raise Refusal(Code.NOT_SIGNED, "Body")
    if timestamp not in parts:
        raise Refusal(Code.NOT_SIGNED, "Timestamp")


def _addressing_signed(envelope: Envelope, parts: Mapping[Element, signed_info.Reference]) -> bool:
    prefix = f"{{{names.WSA}}}"
    return all(block in parts for block in envelope.header if str(block.tag).startswith(prefix))


def _certificate(token: Element) -> bytes:
    if token.get("ValueType") != names.X509V3 or token.get("EncodingType", names.BASE64) != names.BASE64:
        raise Refusal(Code.TOKEN_FORM)
    certificate = signed_info.decode(token, Code.TOKEN)
    if len(certificate) > profile.MAX_CERTIFICATE:  # accepted keys are cached with their certificate
        raise Refusal(Code.TOKEN, "size")
    return certificate


@lru_cache(maxsize=1024)
def public_key(certificate: bytes) -> PublicKey:
    """The key in a DER certificate, if the profile allows it. A pure function; the cache saves 60 µs.

    Raises Refusal: TOKEN.
    """
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
    except Exception as error:  # the library raises ValueError, UnsupportedAlgorithm and its own
        raise Refusal(Code.TOKEN) from error
    match key:
        case rsa.RSAPublicKey() if (
            key.key_size in profile.RSA_BITS and key.public_numbers().e in profile.RSA_EXPONENTS
        ):
            return key
        case ec.EllipticCurvePublicKey() if key.curve.name in profile.CURVES:
            return key
        case _:
            raise Refusal(Code.TOKEN, "key")


def _verify_signature(key: PublicKey, info: signed_info.SignedInfo) -> None:
    require_signature(key, info.method, info.value, canonical(info.element, list(info.prefixes)))


def require_signature(key: PublicKey, method: str, value: bytes, data: bytes) -> None:
    """The SignatureValue is the key's over these bytes. Raises Refusal: SIGNATURE, ALGORITHM."""
    check = _checks(type(key)).get(method)
    if check is None:  # an algorithm of the other key family, whatever the value says (attack S37)
        raise Refusal(Code.ALGORITHM, "does not fit the key")
    try:
        check(key, value, data)
    except InvalidSignature as error:
        raise Refusal(Code.SIGNATURE) from error


_Check: TypeAlias = Callable[[Any, bytes, bytes], None]  # key, SignatureValue, what is signed


def _rsa(hash_: hashes.HashAlgorithm, key: rsa.RSAPublicKey, value: bytes, data: bytes) -> None:
    key.verify(value, data, _PKCS1, hash_)


def _ecdsa(
    algorithm: ec.EllipticCurveSignatureAlgorithm, key: ec.EllipticCurvePublicKey, value: bytes, data: bytes
) -> None:
    key.verify(_der(value, profile.CURVES[key.curve.name]), data, algorithm)


_RSA: Final = {method: partial(_rsa, hash_) for method, hash_ in profile.RSA_SIGNATURES.items()}
_ECDSA: Final = {
    method: partial(_ecdsa, ec.ECDSA(hash_)) for method, hash_ in profile.ECDSA_SIGNATURES.items()
}


@lru_cache(maxsize=16)
def _checks(kind: type[PublicKey]) -> Mapping[str, _Check]:
    """SignatureMethod → how a key of this type verifies. By type: an abstract class is slow to recognise its own."""
    if issubclass(kind, rsa.RSAPublicKey):
        return _RSA
    return _ECDSA if issubclass(kind, ec.EllipticCurvePublicKey) else {}


def _der(value: bytes, octets: int) -> bytes:
    """RFC 9231 §2.3.6: r and s, each of the curve's length; DER or padding is refused (attack S39)."""
    if len(value) != 2 * octets:
        raise Refusal(Code.SIGNATURE, "ECDSA value")
    return encode_dss_signature(int.from_bytes(value[:octets]), int.from_bytes(value[octets:]))


def _verify_digest(element: Element, reference: signed_info.Reference) -> bytes:
    """The canonical bytes of a part, which are what was signed."""
    data = _canonical(element, reference)
    if not hmac.compare_digest(_DIGESTS[reference.digest_name](data).digest(), reference.digest):
        raise Refusal(Code.SIGNATURE, "digest")
    return data


def _canonical(element: Element, reference: signed_info.Reference) -> bytes:
    if reference.prefixes and not _may_look_up(element, len(reference.prefixes)):
        raise Refusal(Code.REFERENCE, "PrefixList")
    return canonical(element, list(reference.prefixes))


def _may_look_up(element: Element, tokens: int) -> bool:
    """Each token of a PrefixList is looked up at each element (attack S33); few elements are not walked through."""
    few = tokens * _ELEMENTS(element) <= profile.FEW_LOOKUPS
    return few or is_affordable(element, profile.MAX_LOOKUPS // tokens)


def _split(body: bytes) -> tuple[bytes, bytes]:
    before, *after = body.split(PLACE.encode())
    if len(after) != 1:  # a peer may have written it too
        raise Refusal(Code.SOAP_STRUCTURE, "xop:Include")
    return before, after[0]


def _verify_time(timestamp: Element, window: profile.Window, now: datetime) -> datetime:
    if [child.tag for child in timestamp] != [names.CREATED, names.EXPIRES] or any(len(c) for c in timestamp):
        raise Refusal(Code.TIMESTAMP)
    try:
        created, expires = (times.read((child.text or "").strip(" \t\r\n")) for child in timestamp)
    except (ValueError, OverflowError) as error:
        raise Refusal(Code.TIMESTAMP) from error
    if not timedelta() < expires - created <= window.lifetime:  # a sum could pass the year 9999
        raise Refusal(Code.TIMESTAMP)
    if created > now + window.future:
        raise Refusal(Code.FUTURE)
    if expires <= now or created < now - window.past:
        raise Refusal(Code.EXPIRED)
    return created
