"""Other people's verifiers, as witnesses: what we accept they must accept, what we sign they must verify.

xmlsec is given the ids by position and the key from the token. That it verifies proves nothing about what an
application reads; `test_wss_wrapping` counts how often it would be deceived.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from zeep.wsse.signature import MemorySignature

from tests.world import DS, EXCLUSIVE, WSSE, WSU, XMLENC

xmlsec.cleanup_callbacks()
_IDENTIFIED = "/*/*[2] | /*/*[1]/* | /*/*[1]/w:Security/*[not(self::d:Signature)]"
_PREFIXES = {"w": WSSE, "d": DS}


def tree_of(data: bytes):
    return etree.fromstring(data, etree.XMLParser(resolve_entities=False, collect_ids=False))


def xmlsec_verifies(data: bytes, pinned: bytes | None = None) -> None:
    """Raise xmlsec.Error unless xmlsec verifies the signature of `data` with the certificate in it.

    `pinned`: a public key in PEM instead, which is not read from the message.
    """
    tree = tree_of(data)
    context = xmlsec.SignatureContext()
    key, form = (token(tree), xmlsec.KeyFormat.CERT_DER) if pinned is None else (pinned, xmlsec.KeyFormat.PEM)
    context.key = xmlsec.Key.from_memory(key, form)
    for element in tree.xpath(_IDENTIFIED, namespaces=_PREFIXES):
        if element.get(f"{{{WSU}}}Id"):
            context.register_id(element, "Id", WSU)
    context.verify(signature(tree))


def xmlsec_as_usually_called_verifies(data: bytes) -> bool:
    """The recipe of tutorials: every attribute named Id is an id, the first signature is the signature."""
    tree = tree_of(data)
    xmlsec.tree.add_ids(tree, ["Id"])
    return _first_signature_verifies(tree, xmlsec.SignatureContext())


def xmlsec_with_registered_ids_verifies(data: bytes) -> bool:
    """The recipe of the careful: every wsu:Id is registered, and one that stands twice is refused."""
    tree = tree_of(data)
    context = xmlsec.SignatureContext()
    try:
        for element in tree.xpath("//*[@u:Id]", namespaces={"u": WSU}):
            context.register_id(element, "Id", WSU)
    except xmlsec.Error:
        return False
    return _first_signature_verifies(tree, context)


def _first_signature_verifies(tree, context: xmlsec.SignatureContext) -> bool:
    """With the key of the first token, as if whoever sends a certificate were trusted."""
    found = signature(tree)
    try:
        context.key = _key(token(tree))
        if found is not None:
            context.verify(found)
    except xmlsec.Error:
        return False
    return found is not None


@lru_cache(maxsize=64)
def _key(certificate: bytes) -> xmlsec.Key:
    return xmlsec.Key.from_memory(certificate, xmlsec.KeyFormat.CERT_DER)


def zeep_verifies(data: bytes) -> None:
    """Raise zeep's SignatureVerificationFailed unless a zeep client would take `data` as a signed reply."""
    tree = tree_of(data)
    certificate = x509.load_der_x509_certificate(token(tree)).public_bytes(Encoding.PEM)
    MemorySignature(b"", certificate).verify(tree)


def lxml_digests_agree(data: bytes) -> None:
    """Assert that each signed part stands in `data` in canonical form and has the digest that is stated."""
    tree = tree_of(data)
    for reference in signature(tree).iter(f"{{{DS}}}Reference"):
        (part,) = tree.xpath("//*[@w:Id=$id]", namespaces={"w": WSU}, id=reference.get("URI")[1:])
        canonical = etree.tostring(part, method="c14n", exclusive=True, with_comments=False)
        assert canonical in data
        assert reference.find(f"{{{DS}}}Transforms/{{{DS}}}Transform").get("Algorithm") == EXCLUSIVE
        assert reference.find(f"{{{DS}}}DigestMethod").get("Algorithm") == f"{XMLENC}sha256"
        stated = base64.b64decode(reference.findtext(f"{{{DS}}}DigestValue"))
        assert stated == hashlib.sha256(canonical).digest()


def token(tree) -> bytes:
    """DER of the first binary security token."""
    return base64.b64decode(tree.findtext(f".//{{{WSSE}}}BinarySecurityToken") or "")


def signature(tree):
    return tree.find(f".//{{{DS}}}Signature")
