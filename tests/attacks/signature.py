"""S: signatures, and messages wrapped so that a verifier and a reader see different things.

Most flaws are those of `tests/rules/test_wss_structure.py`, each here as a message of a known authority to a
running hub. Every one of them has a valid signature if only the profile did not stand against it, or is refused
before its signature could matter.
"""

from __future__ import annotations

import base64
import copy
import re
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from lxml import etree

from gateway.refusal import Code
from tests.attacks.case import MARK, Harmless, Refused, attack, attacks, known
from tests.attacks.target import Answer, Message, Target, holder_of
from tests.rules.test_soap_envelope import SECURITY_HEADERS
from tests.rules.test_wss_signature import P256_ORDER, value_of, with_value
from tests.rules.test_wss_structure import (
    ALGORITHM,
    ENDS,
    IDS,
    NOT_SIGNED,
    REFERENCE,
    STRUCTURE,
    before,
)
from tests.world import ACTION, DS, V12, WSA, WSSE, once, wsa
from tests.wrapping.moves import PLACES, TWINS

Made = Callable[[Message], bytes]
EC = "FLANDERS"  # has a key on P-256
ADDRESSED = "IMMIGRATION_OFFICE"  # the register requires its addressing to be signed
CONSULT = ACTION.replace("sendTestMessage", "consultDossier")


def replaced(old: str, new: str) -> Made:
    """M with something changed after it was signed."""
    return lambda message: once(message.data.decode(), old, new).encode()


def valued(name: str, value: Callable[[Message], bytes | str]) -> Made:
    """M with another value in its first element of that name."""
    return lambda message: with_value(name, value(message), message.data)


def raw(message: Message, name: str = "ds:SignatureValue") -> bytes:
    return base64.b64decode(value_of(name, message.data))


known("S01", Code.SECURITY_STRUCTURE, STRUCTURE, "no Signature", "an empty header")
attacks("S01", Code.SECURITY_HEADER, {
    "no security header": lambda m: re.sub(rb"<wsse:Security>.*</wsse:Security>", b"", m.data, flags=re.DOTALL),
})  # fmt: skip
attacks("S02", Code.SIGNATURE, {
    "no signature value": valued("ds:SignatureValue", lambda m: ""),
    "a signature value of one byte": valued("ds:SignatureValue", lambda m: b"\1"),
    "a signature value of 100,000 bytes": valued("ds:SignatureValue", lambda m: bytes(100_000)),
    "a signature value that is no base64": valued("ds:SignatureValue", lambda m: f"!{MARK}!"),
    "a signature value with one bit changed": valued("ds:SignatureValue", lambda m: bytes([raw(m)[0] ^ 1]) + raw(m)[1:]),
})  # fmt: skip
attacks("S03", Code.SIGNATURE, {
    "another legal context in the Body": replaced("WIB:WORK_DECISION", "WIB:RENEWAL"),
    "another ticket in the Body": lambda m: once(m.data.decode(), f">{m.ticket}<", f">{m.ticket}9<").encode(),
    "a later Expires": lambda m: once(m.data.decode(), m.draft.expires, m.draft.expires.replace("T", "T")[:-5] + ".999Z").encode(),
    "an attribute on the Timestamp": replaced("<wsu:Created>", '<wsu:Created x="">'),
    "white space in SignedInfo": replaced("<ds:SignedInfo>", "<ds:SignedInfo> "),
    "another digest": valued("ds:DigestValue", lambda m: bytes(32)),
})  # fmt: skip
known("S04", Code.NOT_SIGNED, NOT_SIGNED, *NOT_SIGNED)

BLOCKS = {
    "To": f"{WSA}/anonymous",
    "Action": CONSULT,
    "MessageID": "urn:uuid:0b7a3c4e-6f1d-4b7e-9a55-0d6a1f0d9b1c",
}
ALL = "".join(wsa(name, value, name.lower()) for name, value in BLOCKS.items())
COVERED = ("body", "time", *(name.lower() for name in BLOCKS))
RESIDENCE = {"context": "WIB:RESIDENCE_DECISION", "blocks": ALL, "signed": COVERED}
attacks("S04", Refused(Code.NOT_SIGNED, known=True), {
    f"wsa:{name} is not signed, although it must be": lambda m, name=name: m.build(signed=tuple(one for one in COVERED if one != name.lower()))
    for name in BLOCKS
}, name=ADDRESSED, base=RESIDENCE)  # fmt: skip

WRAPPED = Refused(
    Code.ID_FORM,
    or_else=(
        Code.SECURITY_STRUCTURE, Code.SECURITY_HEADER, Code.SOAP_STRUCTURE, Code.SIGNATURE, Code.REFERENCE,
        Code.NOT_SIGNED, Code.ADDRESSING,
    ),
)  # fmt: skip
PLACE = {  # where the original goes → the row that says so
    "S05": ("first in the header", "last in the header"),
    "S07": ("first in the envelope", "last in the envelope", "before the place", "after the place", "in a second Body", "in a second header"),
    "S08": ("in the signature", "in an object of the signature", "in SignedInfo", "in SignatureValue", "in KeyInfo", "in the token reference"),
    "S09": ("first in the security header", "last in the security header", "in the timestamp", "in the token", "in RelatesTo", "in the Body, first", "in the Body, last", "in the operation"),
    "S10": ("in a second security header",),
}  # fmt: skip


def moved(message: Message, place: str, twin: str, path: str = "/*/*[2]") -> bytes:
    """A signed part moved to another place, an evil twin where it stood. The signature stays valid by id."""
    root = etree.fromstring(message.data)
    genuine = root.xpath(path, namespaces={"a": WSA, "u": root.nsmap["wsu"], "w": WSSE})[0]
    evil = copy.deepcopy(genuine)
    leaf = next(one for one in evil.iter() if one.text and not len(one))
    leaf.text = leaf.text[:-1] + ("1" if leaf.text[-1] != "1" else "2")
    TWINS[twin](evil, genuine.get(f"{{{root.nsmap['wsu']}}}Id"))
    genuine.getparent().replace(genuine, evil)
    PLACES[place](root, evil, genuine)
    return etree.tostring(root)


for row, places in PLACE.items():
    for place in places:
        for twin in ("the same id", "no id", "another id"):
            attacks("S06" if twin == "the same id" else row, WRAPPED, {
                f"the Body moved {place}, an evil one with {twin}": lambda m, place=place, twin=twin: moved(m, place, twin)
            })  # fmt: skip
known(
    "S10",
    Code.SECURITY_HEADER,
    {flaw: broken for flaw, (broken, _) in SECURITY_HEADERS.items()},
    "two",
    "an actor",
)
attacks("S10", Code.SECURITY_HEADER, {
    f"the role {role}": lambda m, role=role: m.build(security=f' soap:role="{V12.value}/role/{role}"', version=V12)
    for role in ("next", "none", "ultimateReceiver")
}, base={"version": V12})  # fmt: skip


def nested(message: Message, place: str) -> bytes:
    """The whole original inside an evil envelope that carries its security header."""
    root = etree.fromstring(message.data)
    genuine = copy.deepcopy(root)
    body = root[1]
    ticket = next(one for one in body.iter("{*}ticket"))
    ticket.text = "evil"
    signed = genuine.find(f".//{{{DS}}}Signature")
    signed.getparent().remove(signed)
    PLACES[place](root, body, genuine)
    return etree.tostring(root)


for place in (
    "first in the header",
    "last in the header",
    "in the operation",
    "last in the envelope",
    "in an object of the signature",
):
    attacks("S11", WRAPPED, {f"the whole envelope {place}": lambda m, place=place: nested(m, place)})
PARTS = {"Timestamp": "/*/*[1]/w:Security/u:Timestamp", **{name: f"/*/*[1]/a:{name}" for name in BLOCKS}}
for part, path in PARTS.items():
    for place, twin in (
        ("last in the header", "no id"),
        ("first in the header", "the same id"),
        ("in an object of the signature", "another id"),
        ("in the Body, last", "Id"),
    ):
        attacks("S12", WRAPPED, {
            f"{part} moved {place}, an evil one with {twin}": lambda m, place=place, twin=twin, path=path: moved(m, place, twin, path)
        }, name=ADDRESSED, base=RESIDENCE)  # fmt: skip
for twin in ("Id", "ID", "id", "xml:id", "evil:Id"):
    attacks(
        "S13",
        WRAPPED,
        {
            f"a Body moved aside, an evil one with {twin}": lambda m, twin=twin: moved(
                m, "last in the header", twin
            )
        },
    )
known("S15", Code.ID_FORM, IDS, "an id twice that nothing refers to", "an id twice, on Timestamp and token")
known("S16", Code.ID_FORM, IDS, *(
    "Id without namespace on the Body", "ID", "id", "iD", "xml:id", "Id of another namespace", "two ids on the Body",
    "an id twice, in two styles", "an unqualified Id on a block", "an Id on the security header", "Id on a Transform",
))  # fmt: skip
known(
    "S17", Code.REFERENCE, REFERENCE, "an id that no element has", "an empty fragment", "the token reference"
)
known("S18", Code.SECURITY_STRUCTURE, STRUCTURE, "two SignedInfos", "a SignedInfo behind the value")
known("S19", Code.SECURITY_STRUCTURE, STRUCTURE, "a ds:Object with another SignedInfo")
attacks(
    "S20",
    Code.SIGNATURE,
    {"a child in a digest": lambda m: m.data.replace(b"</ds:DigestValue>", b"<x/></ds:DigestValue>", 1)},
)
attacks("S20", Code.XML_COMMENT, {
    "a comment before a digest": lambda m: m.data.replace(b"<ds:DigestValue>", b"<ds:DigestValue><!--x-->", 1),
    "an instruction in a digest": lambda m: m.data.replace(b"</ds:DigestValue>", b"<?x?></ds:DigestValue>", 1),
})  # fmt: skip
known("S21", Code.SECURITY_STRUCTURE, STRUCTURE, "two SignatureValues", "two canonicalisation methods")
known("S21", Code.REFERENCE, REFERENCE, "two signature methods", "two digest values", "no digest method")
attacks("S22", Code.SCHEMA, {
    "a digest value in the Body": lambda m: m.build(content=once(m.draft.content, "<s:criteria>", f'<s:criteria><d:DigestValue xmlns:d="{DS}">{value_of("ds:DigestValue", m.data)}</d:DigestValue>')),
})  # fmt: skip
attacks("S22", Harmless(), {
    "a digest value in an unknown block": lambda m: m.build(blocks=f'<d:DigestValue xmlns:d="{DS}">AAAA</d:DigestValue>'),
})  # fmt: skip
known("S23", Code.REFERENCE, REFERENCE, "no reference", "no URI", "the whole document")
known("S24", Code.REFERENCE, REFERENCE, *(
    "an XPointer to an id", "an XPointer to everything", "an XPointer that counts", "an element scheme",
    "a blank behind the id", "a line break behind the id", "an id in percent form",
))  # fmt: skip
known("S25", Code.REFERENCE, REFERENCE, "a relative path", "a device", "an attachment")


def referring(uri: Callable[[Target], str]) -> Callable[[Target, Message], bytes]:
    """M whose first reference leads somewhere else, after it was signed."""
    return lambda target, message: message.data.replace(b'URI="#body"', f'URI="{uri(target)}"'.encode(), 1)


attack("S25", "a file", Code.REFERENCE)(referring(lambda target: f"file://{target.secret}"))
attack("S25", "an absolute path", Code.REFERENCE)(referring(lambda target: str(target.secret)))
attack("S25", "a host", Code.REFERENCE)(referring(lambda target: target.trap.url))
attack("S25", "the environment of the process", Code.REFERENCE)(
    referring(lambda target: "/proc/self/environ")
)
known("S26", Code.ALGORITHM, ALGORITHM, "XPath", "XPath alone", "XPath filter 2")
STYLE = (
    '<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"><xsl:template match="/">{}'
    "</xsl:template></xsl:stylesheet>"
)
XSLT = {
    "that speaks": f"<xsl:message>{MARK}</xsl:message>",
    "that reads a document": "<xsl:copy-of select=\"document('{url}')\"/>",
    "that calls itself": '<xsl:apply-templates select="/"/><xsl:apply-templates select="/"/>',
}
TRANSFORM = '<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>'


for flaw, content in XSLT.items():

    @attack("S27", f"a style sheet {flaw}", Code.ALGORITHM)
    def _style(target: Target, message: Message, content: str = content) -> bytes:
        sheet = STYLE.format(content.replace("{url}", target.trap.url))
        transform = (
            f'<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116">{sheet}</ds:Transform>'
        )
        assert TRANSFORM.encode() in message.data
        return message.data.replace(TRANSFORM.encode(), transform.encode(), 1)


known("S28", Code.ALGORITHM, ALGORITHM, "enveloped signature alone", "enveloped signature, then exclusive")
known(
    "S29",
    Code.ALGORITHM,
    ALGORITHM,
    "base64",
    "decryption",
    "the token reference transform",
    "the attachment transform",
)
known("S30", Code.ALGORITHM, ALGORITHM, *(
    "SignedInfo in inclusive C14N", "SignedInfo in C14N 1.1", "SignedInfo with comments", "a reference in inclusive C14N",
    "a reference in C14N 1.1", "a reference with comments",
))  # fmt: skip
known("S31", Code.REFERENCE, REFERENCE, "no transforms", "an empty list of transforms")
known("S31", Code.ALGORITHM, ALGORITHM, "exclusive twice")
attacks(
    "S31",
    Code.ALGORITHM,
    {"two thousand transforms": lambda m: m.data.replace(TRANSFORM.encode(), TRANSFORM.encode() * 2_000, 1)},
)
known("S32", Code.REFERENCE, REFERENCE, "eleven references", "five hundred references", "the same part twice")
known("S33", Code.REFERENCE, REFERENCE, "seventeen prefixes", "ten thousand prefixes")
known("S33", Code.ALGORITHM, ALGORITHM, "two PrefixLists")
attacks("S34", Code.SCHEMA, {
    "a type named by a prefix that is bound outside": lambda m: once(m.build(
        envelope=' xmlns:p="http://workinginbelgium.be/types/Common/v1"',
        content=once(m.draft.content, "<s:criteria>", '<s:criteria xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="p:T">'),
    ).decode(), 'xmlns:p="http://workinginbelgium.be/types/Common/v1"', 'xmlns:p="urn:evil"').encode(),
})  # fmt: skip
known("S35", Code.ALGORITHM, ALGORITHM, *(
    "rsa-sha1", "a SHA-1 digest under rsa-sha256", "rsa-md5", "an MD5 digest", "rsa-ripemd160", "DSA with SHA-1", "rsa-sha224",
))  # fmt: skip
known(
    "S36",
    Code.ALGORITHM,
    ALGORITHM,
    "no algorithm",
    "urn:none",
    "a digest of nothing",
    "a blank behind the algorithm",
)
known("S37", Code.ALGORITHM, ALGORITHM, "HMAC with the certificate as its key", "ECDSA over an RSA key")
known("S38", Code.ALGORITHM, ALGORITHM, "HMAC of one bit", "a parameter in the signature method")
known("S39", Code.ALGORITHM, ALGORITHM, "RSA-PSS")


def halves(message: Message) -> tuple[int, int]:
    value = raw(message)
    return int.from_bytes(value[:32]), int.from_bytes(value[32:])


attacks("S39", Code.SIGNATURE, {
    "ECDSA in DER": valued("ds:SignatureValue", lambda m: encode_dss_signature(*halves(m))),
    "ECDSA with padding": valued("ds:SignatureValue", lambda m: b"\0" + raw(m)[:32] + b"\0" + raw(m)[32:]),
    "ECDSA of zeros": valued("ds:SignatureValue", lambda m: bytes(64)),
}, name="BRUSSELS")  # fmt: skip


@attack(
    "S40",
    "the second valid ECDSA value of a message that was accepted",
    Code.TICKET,
    name="BRUSSELS",
    burns=True,
)
def _malleable(target: Target, message: Message) -> bytes:
    assert target.post(message.data, "BRUSSELS").status == 200
    r, s = halves(message)
    return with_value("ds:SignatureValue", r.to_bytes(32) + (P256_ORDER - s).to_bytes(32), message.data)


known("S41", Code.SECURITY_STRUCTURE, STRUCTURE, "a Manifest")
known("S41", Code.REFERENCE, REFERENCE, "a Manifest type")
known("S42", Code.SECURITY_STRUCTURE, STRUCTURE, "two Signatures")


def second_signature(message: Message, *, first: bool) -> bytes:
    """Another authority's whole signature beside the attacker's own."""
    foreign = re.search(
        rb"<ds:Signature .*</ds:Signature>", message.build(holder=holder_of("PLATFORM")), re.DOTALL
    )[0]
    own = re.search(rb"<ds:Signature .*</ds:Signature>", message.data, re.DOTALL)[0]
    return message.data.replace(own, foreign + own if first else own + foreign)


attacks("S42", Code.SECURITY_STRUCTURE, {
    "a second signature behind": lambda m: second_signature(m, first=False),
    "a second signature before": lambda m: second_signature(m, first=True),
})  # fmt: skip


def token(name: str) -> str:
    return f"<wsse:BinarySecurityToken>{base64.b64encode(holder_of(name).der).decode()}</wsse:BinarySecurityToken>"


attacks("S43", Code.SECURITY_STRUCTURE, {
    "the token of the signer first, that of another later": lambda m: once(m.data.decode(), ENDS, token("PLATFORM") + ENDS).encode(),
    "the token of another first, that of the signer later": lambda m: once(m.data.decode(), "<wsse:Security>", f"<wsse:Security>{token('PLATFORM')}").encode(),
})  # fmt: skip
known("S45", Code.SECURITY_STRUCTURE, STRUCTURE, "encrypted data", "an encrypted key", "a reference list")
attacks("S45", Code.OPERATION, {
    "an encrypted Body": lambda m: m.build(content='<e:EncryptedData xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:CipherData><e:CipherValue>AAAA</e:CipherValue></e:CipherData></e:EncryptedData>'),
})  # fmt: skip
known(
    "S46",
    Code.SECURITY_STRUCTURE,
    STRUCTURE,
    "a user name",
    "a SAML assertion",
    "a derived key",
    "a confirmation",
    "a foreign element",
)
known(
    "S47",
    Code.SECURITY_STRUCTURE,
    STRUCTURE,
    "a second security header in a block",
    "a second Timestamp in a block",
    "two Timestamps",
)
known(
    "S47",
    Code.SECURITY_STRUCTURE,
    {"a security header in the security header": before((ENDS, f"<wsse:Security/>{ENDS}"))},
    "a security header in the security header",
)
attacks("S47", Harmless(), {
    f"Security in the order {', '.join(order)}": lambda m, order=order: m.build(order=order)
    for order in (("signature", "token", "time"), ("time", "signature", "token"))
})  # fmt: skip


def rewritten(message: Message, how: str) -> bytes:
    """The same message, written differently outside its signed parts."""
    text = message.data.decode()
    match how:
        case "a namespace more on the envelope":
            return once(text, "<soap:Envelope ", '<soap:Envelope xmlns:x="urn:x" ').encode()
        case "white space between blocks":
            return once(text, "<wsse:Security>", "\n  <wsse:Security>").encode()
        case "a reference for a character":
            return once(
                text, f">{message.ticket}<", f">&#{ord(message.ticket[0])};{message.ticket[1:]}<"
            ).encode()
        case _:
            return once(text, 'wsu:Id="body"', "wsu:Id='body'").encode()


for how in (
    "a namespace more on the envelope",
    "white space between blocks",
    "a reference for a character",
    "other quotes",
):

    @attack("S48", f"sent again with {how}", Code.TICKET, burns=True)
    def _again(target: Target, message: Message, how: str = how) -> bytes | Answer:
        assert target.post(message.data).status == 200
        return rewritten(message, how)


DATA = "<ds:X509Data><ds:X509Certificate>AAAA</ds:X509Certificate></ds:X509Data>"
attacks(
    "S49",
    Code.TOKEN_FORM,
    {
        "1,500 X509Data in KeyInfo": lambda m: once(
            m.data.decode(), "<ds:KeyInfo>", f"<ds:KeyInfo>{DATA * 1_500}"
        ).encode()
    },
)
attacks(
    "S49",
    Code.TOO_LARGE,
    {
        "900 KB of KeyInfo": lambda m: once(
            m.data.decode(), "<ds:KeyInfo>", f"<ds:KeyInfo>{DATA * 13_000}"
        ).encode()
    },
)
known("S50", Code.REFERENCE, REFERENCE, "an id with quotes", "an id of 10,000 characters")
attacks("S50", Code.REFERENCE, {
    "an id with a blank": lambda m: m.data.replace(b'wsu:Id="body"', b'wsu:Id="a b"').replace(b'URI="#body"', b'URI="#a b"'),
})  # fmt: skip
