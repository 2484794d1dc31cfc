"""ds:Signature read by enumeration: every child in its place, every algorithm in a closed list.

Nothing is computed here. A structure that passes is one whose meaning is unambiguous: no XPointer, no
external or empty URI, no implicit or second transform, no object, no unknown key form (PROTOCOL §4.2–4.4).
"""

from __future__ import annotations

import hashlib
import re
from binascii import a2b_base64, b2a_base64
from typing import Final

import msgspec

from gateway.refusal import Code, Refusal
from gateway.soap import names
from gateway.soap.xml import Element
from gateway.wss import profile

_FRAGMENT: Final = re.compile(r"#([A-Za-z_][A-Za-z0-9_.-]{0,127})")
_METHODS: Final = frozenset({*profile.RSA_SIGNATURES, *profile.ECDSA_SIGNATURES})
_DIGEST_SIZES: Final = {name: hashlib.new(name).digest_size for name in profile.DIGESTS.values()}
_UNKNOWN: Final = "an algorithm outside the profile"
_NAMED: Final = {  # the refused algorithms that clients still send by default, so that the fault can name them
    "http://www.w3.org/2000/09/xmldsig#rsa-sha1": "rsa-sha1",
    "http://www.w3.org/2000/09/xmldsig#sha1": "sha1",
    "http://www.w3.org/2000/09/xmldsig#hmac-sha1": "hmac-sha1",
    "http://www.w3.org/2000/09/xmldsig#enveloped-signature": "enveloped-signature",
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315": "inclusive C14N",
    "http://www.w3.org/2001/10/xml-exc-c14n#WithComments": "exclusive C14N with comments",
}


class Reference(msgspec.Struct, frozen=True):
    """One ds:Reference: an id of this message, how to canonicalise the element, and its digest."""

    id: str
    prefixes: tuple[str, ...]
    digest_name: str  # hashlib name
    digest: bytes


class SignedInfo(msgspec.Struct, frozen=True):
    """What ds:Signature says."""

    element: Element
    prefixes: tuple[str, ...]
    method: str
    references: tuple[Reference, ...]
    value: bytes
    token_id: str


def read(signature: Element) -> SignedInfo:
    """Raises Refusal: SECURITY_STRUCTURE, ALGORITHM, REFERENCE, TOKEN_FORM, SIGNATURE."""
    info, value, key_info = _exactly(
        signature, names.SIGNED_INFO, names.SIGNATURE_VALUE, names.KEY_INFO, code=Code.SECURITY_STRUCTURE
    )
    method, *references = list(info)[1:] or [info]
    canonicalisation = info[0] if len(info) else info
    if canonicalisation.tag != names.C14N_METHOD or method.tag != names.SIGNATURE_METHOD:
        raise Refusal(Code.SECURITY_STRUCTURE, "SignedInfo")
    prefixes = _exclusive(canonicalisation)
    algorithm = method.get("Algorithm", "")
    if len(method) or algorithm not in _METHODS:
        raise _refused_algorithm(algorithm)
    if not 1 <= len(references) <= profile.MAX_REFERENCES:  # counted before anything is hashed (attack S32)
        raise Refusal(Code.REFERENCE, "number of references")
    return SignedInfo(
        info,
        prefixes,
        algorithm,
        tuple(map(_reference, references)),
        decode(value, Code.SIGNATURE),
        _token_id(key_info),
    )


def decode(element: Element, code: Code) -> bytes:
    """Base64 text of a leaf element, canonical but for white space. Raises Refusal(code)."""
    if len(element):  # a comment or child would split the text (attack S20)
        raise Refusal(code)
    raw = (element.text or "").replace("\n", "").replace("\r", "").replace("\t", "").replace(" ", "")
    try:
        data = a2b_base64(raw, strict_mode=True)
    except ValueError as error:  # binascii.Error is one
        raise Refusal(code) from error
    if not data or b2a_base64(data, newline=False).decode() != raw:  # trailing bits: two texts, one value
        raise Refusal(code)
    return data


def _reference(reference: Element) -> Reference:
    match = _FRAGMENT.fullmatch(reference.get("URI", ""))
    if reference.tag != names.REFERENCE or match is None or reference.get("Type") is not None:
        raise Refusal(Code.REFERENCE, "URI")  # XPointer, files, whole document, Manifest (S23–S25, S41)
    transforms, method, value = _exactly(
        reference, names.TRANSFORMS, names.DIGEST_METHOD, names.DIGEST_VALUE, code=Code.REFERENCE
    )
    if [t.tag for t in transforms] != [names.TRANSFORM]:  # none would mean inclusive C14N (attack S31)
        raise Refusal(Code.ALGORITHM if len(transforms) else Code.REFERENCE, "one transform")
    digest_name = profile.DIGESTS.get(method.get("Algorithm", ""))
    if digest_name is None or len(method):
        raise _refused_algorithm(method.get("Algorithm", ""))
    digest = decode(value, Code.SIGNATURE)
    if len(digest) != _DIGEST_SIZES[digest_name]:
        raise Refusal(Code.SIGNATURE, "DigestValue")
    return Reference(match[1], _exclusive(transforms[0]), digest_name, digest)


def _exclusive(element: Element) -> tuple[str, ...]:
    """The PrefixList of an exclusive canonicalisation; any other algorithm is refused."""
    if element.get("Algorithm") != names.EXC_C14N:
        raise _refused_algorithm(element.get("Algorithm", ""))
    if not len(element):
        return ()
    if [child.tag for child in element] != [names.INCLUSIVE_NAMESPACES] or len(element[0]):
        raise Refusal(Code.ALGORITHM, "InclusiveNamespaces")
    prefixes = tuple(element[0].get("PrefixList", "").split())
    if len(prefixes) > profile.MAX_PREFIXES:
        raise Refusal(Code.REFERENCE, "PrefixList")
    return prefixes


def _token_id(key_info: Element) -> str:
    """KeyInfo = one SecurityTokenReference = one direct Reference to a binary security token."""
    (token_reference,) = _exactly(key_info, names.TOKEN_REFERENCE, code=Code.TOKEN_FORM)
    (direct,) = _exactly(token_reference, names.TOKEN_DIRECT, code=Code.TOKEN_FORM)
    match = _FRAGMENT.fullmatch(direct.get("URI", ""))
    if match is None or len(direct) or direct.get("ValueType", names.X509V3) != names.X509V3:
        raise Refusal(Code.TOKEN_FORM)
    return match[1]


def _exactly(parent: Element, *tags: str, code: Code) -> list[Element]:
    children = list(parent)
    if [child.tag for child in children] != list(tags):
        raise Refusal(code)
    return children


def _refused_algorithm(uri: str) -> Refusal:
    # Never the URI itself: what a peer wrote is not signed by us (attack G02).
    return Refusal(Code.ALGORITHM, _NAMED.get(uri, _UNKNOWN))
