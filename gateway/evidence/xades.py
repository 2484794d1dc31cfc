"""Signatures over files: XAdES-B-B (ETSI EN 319 132-1 §6.3), detached, in the element of ASiC-E (EN 319 162-1 §4.4.3).

The hub's over an evidence file, which has all that it signs beside it; and a party's over a revision of the agreement.

It is read as it is written: what the file says is put into the one form that there is, and must give the file
back, byte for byte. So nothing in it can mean anything else, and no XML of others is canonicalised.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from lxml import etree

from gateway.evidence.container import MEDIA_TYPE
from gateway.exchangelog.flaw import Finding, Flaw, ProofError
from gateway.refusal import Refusal
from gateway.soap import names
from gateway.soap.xml import Limits, parse
from gateway.wss.sign import SigningKey
from gateway.wss.verify import public_key, require_signature

SIGNATURE: Final = "META-INF/signatures.xml"
MANIFEST: Final = "META-INF/manifest.xml"
_ASIC: Final = "http://uri.etsi.org/02918/v1.2.1#"
_XADES: Final = "http://uri.etsi.org/01903/v1.3.2#"
_SHA256: Final = "http://www.w3.org/2001/04/xmlenc#sha256"
_ODF: Final = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
_TYPES: Final = {"xml": "text/xml", "json": "application/json", "crt": "application/pkix-cert",
                 "crl": "application/pkix-crl", "tsr": "application/timestamp-reply"}  # fmt: skip
_DS: Final = {"ds": names.DS, "xades": _XADES}
_LIMITS: Final = Limits(elements=200_000, all_attributes=200_000)


@dataclass(frozen=True, slots=True)
class Sealed:
    """Who signed, and when by its own clock."""

    certificate: bytes  # DER
    time: datetime


def seal(members: Mapping[str, bytes], key: SigningKey, now: datetime) -> dict[str, bytes]:
    """The members with manifest and signature before them. Raises Refusal when a held key does not sign."""
    return {MANIFEST: _manifest(members), SIGNATURE: signature_over(members, key, now), **members}


def signature_over(files: Mapping[str, bytes], key: SigningKey, now: datetime) -> bytes:
    """The signature alone, of all these files by their names. Raises Refusal when a held key does not sign."""
    stated = {name: _digest(data) for name, data in files.items()}
    properties = _properties(key.certificate, now.astimezone(UTC), stated)
    info = _signed_info(stated, properties, key.method)
    return _signature(info, key.sign(info.encode()), key.certificate, properties)


def check_seal(members: Mapping[str, bytes]) -> tuple[Sealed | None, list[Finding]]:
    """Who signed these members, if the signature verifies; and everything that is wrong with it and with them."""
    signature = members.get(SIGNATURE)
    if signature is None:
        return None, [Finding(Flaw.PIECE_MISSING, about=SIGNATURE)]
    try:
        sealed, stated = _read(signature)
    except ProofError as error:
        return None, [Finding(error.flaw, about=error.about)]
    return sealed, list(_compare(stated, members))


def signer_of(signature: bytes, files: Mapping[str, bytes]) -> Sealed | None:
    """Who signed exactly these files; None: the signature verifies, and is of others. Raises `ProofError` (LOG665)."""
    sealed, stated = _read(signature)
    return sealed if stated == {name: _digest(data) for name, data in files.items()} else None


def _compare(stated: Mapping[str, str], members: Mapping[str, bytes]) -> Iterator[Finding]:
    found = {name: data for name, data in members.items() if name not in {SIGNATURE, MANIFEST}}
    for name in sorted(stated.keys() - found.keys()):
        yield Finding(Flaw.PIECE_MISSING, about=name)
    for name, data in found.items():
        if name not in stated:
            yield Finding(Flaw.PIECE_SURPLUS, about=name)
        elif stated[name] != _digest(data):
            yield Finding(Flaw.PIECE_ALTERED, about=name)
    if members.get(MANIFEST) != _manifest(found):
        yield Finding(Flaw.PIECE_ALTERED, about=MANIFEST)


def _read(data: bytes) -> tuple[Sealed, Mapping[str, str]]:
    """Who signed, and the digests of the files by name. Raises `ProofError` (LOG665)."""
    try:
        root = parse(data, _LIMITS)
        (time,) = root.iterfind(".//xades:SigningTime", _DS)
        (holder,) = root.iterfind(".//ds:X509Certificate", _DS)
        (value,) = root.iterfind(".//ds:SignatureValue", _DS)
        (method,) = root.iterfind(".//ds:SignatureMethod", _DS)
        references = list(root.iterfind(".//ds:Reference", _DS))[:-1]
        stated = {one.get("URI", ""): one.findtext("ds:DigestValue", "", _DS) for one in references}
        certificate, signature = b64decode(holder.text or ""), b64decode(value.text or "")
        moment = datetime.strptime(time.text or "", "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        properties = _properties(certificate, moment, stated)
        info = _signed_info(stated, properties, method.get("Algorithm", ""))
        if _signature(info, signature, certificate, properties) != data:
            raise ProofError(Flaw.SEAL, "form")
        require_signature(public_key(certificate), method.get("Algorithm", ""), signature, info.encode())
    except (Refusal, ValueError, etree.LxmlError) as error:
        about = str(error) if isinstance(error, Refusal) else "form"
        raise ProofError(Flaw.SEAL, about) from None
    return Sealed(certificate, moment), stated


def _signature(info: str, value: bytes, certificate: bytes, properties: str) -> bytes:
    return (
        f'<asic:XAdESSignatures xmlns:asic="{_ASIC}"><ds:Signature xmlns:ds="{names.DS}" Id="signature">{info}'
        f"<ds:SignatureValue>{_base64(value)}</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>"
        f"{_base64(certificate)}</ds:X509Certificate></ds:X509Data></ds:KeyInfo><ds:Object>"
        f'<xades:QualifyingProperties xmlns:xades="{_XADES}" Target="#signature">{properties}'
        "</xades:QualifyingProperties></ds:Object></ds:Signature></asic:XAdESSignatures>"
    ).encode()


def _signed_info(stated: Mapping[str, str], properties: str, method: str) -> str:
    """In the form that exclusive C14N gives it, so that its bytes are what is signed."""
    files = "".join(
        f'<ds:Reference Id="piece-{n}" URI="{name}">{_digested(value)}</ds:Reference>'
        for n, (name, value) in enumerate(stated.items(), 1)
    )
    own = (
        '<ds:Reference Type="http://uri.etsi.org/01903#SignedProperties" URI="#properties"><ds:Transforms>'
        f'<ds:Transform Algorithm="{names.EXC_C14N}"></ds:Transform></ds:Transforms>'
        f"{_digested(_digest(properties.encode()))}</ds:Reference>"
    )
    return (
        f'<ds:SignedInfo xmlns:ds="{names.DS}"><ds:CanonicalizationMethod Algorithm="{names.EXC_C14N}">'
        f'</ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="{method}"></ds:SignatureMethod>'
        f"{files}{own}</ds:SignedInfo>"
    )


def _properties(certificate: bytes, now: datetime, stated: Mapping[str, str]) -> str:
    """In the form that exclusive C14N gives it, as well."""
    formats = "".join(
        f'<xades:DataObjectFormat ObjectReference="#piece-{n}"><xades:MimeType>{_type(name)}</xades:MimeType>'
        "</xades:DataObjectFormat>"
        for n, name in enumerate(stated, 1)
    )
    # Alone, without the elements around them, these two would declare their prefix themselves.
    digested = _digested(_digest(certificate), f' xmlns:ds="{names.DS}"')
    return (
        f'<xades:SignedProperties xmlns:xades="{_XADES}" Id="properties"><xades:SignedSignatureProperties>'
        f"<xades:SigningTime>{now:%Y-%m-%dT%H:%M:%SZ}</xades:SigningTime>"
        f"<xades:SigningCertificateV2><xades:Cert><xades:CertDigest>{digested}</xades:CertDigest></xades:Cert>"
        "</xades:SigningCertificateV2></xades:SignedSignatureProperties><xades:SignedDataObjectProperties>"
        f"{formats}</xades:SignedDataObjectProperties></xades:SignedProperties>"
    )


def _digested(value: str, declared: str = "") -> str:
    return (
        f'<ds:DigestMethod{declared} Algorithm="{_SHA256}"></ds:DigestMethod>'
        f"<ds:DigestValue{declared}>{value}</ds:DigestValue>"
    )


def _manifest(members: Mapping[str, bytes]) -> bytes:
    """OASIS ODF 1.2 part 3, which readers of ASiC-E expect."""
    rows = {"/": MEDIA_TYPE, **{name: _type(name) for name in members}}
    lines = "".join(
        f'<manifest:file-entry manifest:full-path="{name}" manifest:media-type="{media}"/>'
        for name, media in rows.items()
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><manifest:manifest xmlns:manifest="{_ODF}"'
        f' manifest:version="1.2">{lines}</manifest:manifest>'
    ).encode()


def _type(name: str) -> str:
    return _TYPES.get(name.rpartition(".")[2], "application/octet-stream")


def _digest(data: bytes) -> str:
    return _base64(hashlib.sha256(data).digest())


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
