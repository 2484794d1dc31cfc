"""Keys, tokens and values: what the signature itself must withstand (attacks S02, S03, S39, S40, K07–K12, K21)."""

from __future__ import annotations

import base64
import re

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.identity.leaf import accepted_key
from gateway.refusal import Code, Refusal
from gateway.wss.verify import public_key
from tests.rules.second_engine import xmlsec_verifies
from tests.world import ACTION, CONTENT, MORE, accept, build, certificate, holder, once, refused, wsa

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
GOOD = build()
SIGNED_HEADER = build(blocks=wsa("Action", ACTION, "action"), signed=("body", "time", "action"))
EC = build(holder=holder("p256"), method=f"{MORE}ecdsa-sha256")


def with_value(name: str, value: bytes | str, data: bytes = GOOD) -> bytes:
    """The message with other text in its first element of that name."""
    text = value if isinstance(value, str) else base64.b64encode(value).decode()
    # A function, for a template of a megabyte would be read letter by letter.
    return re.sub(rf"(<{name}[^>]*>)[^<]*".encode(), lambda found: found[1] + text.encode(), data, count=1)


def value_of(name: str, data: bytes = GOOD) -> str:
    return re.search(rf"<{name}[^>]*>([^<]*)".encode(), data)[1].decode()


def changed(old: str, new: str, data: bytes = GOOD) -> bytes:
    return once(data.decode(), old, new).encode()


SIGNATURE = base64.b64decode(value_of("ds:SignatureValue"))
EC_SIGNATURE = base64.b64decode(value_of("ds:SignatureValue", EC))
R, S = int.from_bytes(EC_SIGNATURE[:32]), int.from_bytes(EC_SIGNATURE[32:])
DIGEST = base64.b64decode(value_of("ds:DigestValue"))


def with_spare_bit(padded: str) -> str:
    """Base64 that stands for the same octets if the bits behind their end are ignored."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    text = padded.rstrip("=")
    spare = text[:-1] + alphabet[alphabet.index(text[-1]) + 1] + "=" * (len(padded) - len(text))
    assert base64.b64decode(spare) == base64.b64decode(padded) != b""
    return spare


NOT_MATCHING = {
    "another word in the Body": changed(">good<", ">evil<"),
    "white space in the Body": changed(CONTENT, f" {CONTENT}"),
    "a new attribute on the Body": changed(' wsu:Id="body"', ' wsu:Id="body" x=""'),
    "a new namespace in the Body, visibly used": changed(">good<", '><x xmlns="urn:x"/>good<'),
    "a later Expires": changed("09:05:00", "09:06:00"),
    "an attribute on the Timestamp": changed("<wsu:Created>", '<wsu:Created x="">'),
    "another action in a signed header": changed(ACTION, ACTION[:-1], SIGNED_HEADER),
    "a signed header that is no longer in its namespace": changed("addressing", "addressinG", SIGNED_HEADER),
    "a bit of the signature": with_value("ds:SignatureValue", bytes([SIGNATURE[0] ^ 1]) + SIGNATURE[1:]),
    "no signature value": with_value("ds:SignatureValue", ""),
    "white space for a signature value": with_value("ds:SignatureValue", " \n"),
    "a signature value of one byte": with_value("ds:SignatureValue", b"\1"),
    "a signature value of a megabyte": with_value("ds:SignatureValue", bytes(1_000_000)),
    "a signature value that is no base64": with_value("ds:SignatureValue", "!!!!"),
    "a signature value with junk in it": with_value("ds:SignatureValue", "!" + value_of("ds:SignatureValue")),
    "a signature value in the URL alphabet": with_value("ds:SignatureValue", "-_-_" * 64),
    "a signature value without its padding": with_value("ds:SignatureValue", value_of("ds:SignatureValue").rstrip("=")),
    "a signature value with other bits behind its end": with_value("ds:SignatureValue", with_spare_bit(value_of("ds:SignatureValue"))),
    "a signature value with a child": changed("</ds:SignatureValue>", "<x/></ds:SignatureValue>"),
    "a digest of zeros": with_value("ds:DigestValue", bytes(32)),
    "no digest": with_value("ds:DigestValue", ""),
    "a digest too short": with_value("ds:DigestValue", DIGEST[:31]),
    "a digest too long": with_value("ds:DigestValue", DIGEST + b"\0"),
    "a digest with other bits behind its end": with_value("ds:DigestValue", value_of("ds:DigestValue")[:-2] + "B="),
    "a digest with a child": GOOD.replace(b"</ds:DigestValue>", b"<x/></ds:DigestValue>", 1),
    "white space in SignedInfo": changed("<ds:SignedInfo>", "<ds:SignedInfo> "),
    "one more reference": changed("</ds:SignedInfo>", re.search("<ds:Reference.*?</ds:Reference>", GOOD.decode())[0].replace("#body", "#token") + "</ds:SignedInfo>"),
    "a PrefixList": GOOD.replace(b'<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>', b'<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"><i:InclusiveNamespaces xmlns:i="http://www.w3.org/2001/10/xml-exc-c14n#" PrefixList="wsse"/></ds:Transform>', 1),
    "the certificate of a stranger": with_value("wsse:BinarySecurityToken", holder("rsa-2048 of a stranger").der),
    "ECDSA in DER": with_value("ds:SignatureValue", encode_dss_signature(R, S), EC),
    "ECDSA with padding": with_value("ds:SignatureValue", b"\0" + EC_SIGNATURE[:32] + b"\0" + EC_SIGNATURE[32:], EC),
    "ECDSA with a zero before s": with_value("ds:SignatureValue", EC_SIGNATURE[:32] + b"\0" + EC_SIGNATURE[32:], EC),
    "ECDSA of half the length": with_value("ds:SignatureValue", EC_SIGNATURE[:32], EC),
    "ECDSA of zeros": with_value("ds:SignatureValue", bytes(64), EC),
    "ECDSA with r and s exchanged": with_value("ds:SignatureValue", EC_SIGNATURE[32:] + EC_SIGNATURE[:32], EC),
    "ECDSA with s beyond the order": with_value("ds:SignatureValue", EC_SIGNATURE[:32] + b"\xff" * 32, EC),
    "ECDSA of a longer curve": with_value("ds:SignatureValue", bytes(96), EC),
    "SHA-384 stated for SHA-256": EC.replace(b"ecdsa-sha256", b"ecdsa-sha384"),
}  # fmt: skip


@pytest.mark.parametrize("broken", NOT_MATCHING.values(), ids=NOT_MATCHING)
def test_a_signature_or_digest_that_does_not_match_is_refused(broken: bytes):
    assert refused(broken) is Code.SIGNATURE


@pytest.mark.parametrize("data", [GOOD, SIGNED_HEADER, EC], ids=["RSA", "a signed header", "ECDSA"])
def test_the_messages_that_were_broken_are_good(data: bytes):
    assert accept(data)


OUTSIDE = {
    "white space between header blocks": changed("<wsse:Security>", "\n  <wsse:Security>"),
    "white space in KeyInfo": changed("<ds:KeyInfo>", "\n<ds:KeyInfo>\n"),
    "white space in the values": with_value("ds:SignatureValue", value_of("ds:SignatureValue").replace("\n", " \r\n\t")),
    "other namespaces on the envelope": changed("<soap:Envelope ", '<soap:Envelope xmlns:x="urn:x" '),
    "an unknown block more": changed("<wsse:Security>", '<x:x xmlns:x="urn:x"/><wsse:Security>'),
    "a reference for a character": changed(">good<", ">goo&#100;<"),
}  # fmt: skip


@pytest.mark.parametrize("rewritten", OUTSIDE.values(), ids=OUTSIDE)
def test_what_was_not_signed_changes_nothing_that_is_read(rewritten: bytes):
    """Such a copy is a replay; it is caught by the ticket, which is in the Body (attack S48)."""
    assert accept(rewritten).body == accept(GOOD).body
    xmlsec_verifies(rewritten)


def test_an_ecdsa_signature_has_a_valid_twin_with_the_same_body():
    """Anyone can turn (r, s) into (r, n − s): the SignatureValue is no replay key (attack S40)."""
    twin = with_value("ds:SignatureValue", R.to_bytes(32) + (P256_ORDER - S).to_bytes(32), EC)
    assert accept(twin).body == accept(EC).body
    assert accept(twin).signature != accept(EC).signature


PEM = holder().certificate.public_bytes(Encoding.PEM)
DER = holder().der
TOKENS = {
    "nothing": "",
    "no base64": "!!!!",
    "base64 with junk": "!" + base64.b64encode(DER).decode(),
    "base64 in the URL alphabet": base64.urlsafe_b64encode(b"\xff\xfe\xff" + DER).decode(),
    "base64 with data behind its padding": base64.b64encode(b"x").decode() + base64.b64encode(DER).decode(),
    "base64 without padding": base64.b64encode(DER).decode().rstrip("=")[: len(DER) // 3 * 4 - 2],
    "PEM": PEM.decode(),
    "PEM in base64": PEM,
    "a byte behind the certificate": DER + b"\0",
    "a certificate cut short": DER[:-1],
    "two certificates": DER + DER,
    "one byte": b"\0",
    "a megabyte of junk": b"\x30\x83" + bytes(1_000_000),
    "a child": base64.b64encode(DER).decode() + "<x/>",
    "a key of 1,024 bits": holder("rsa-1024").der,
    "a key with exponent 3": holder("rsa-2048 with exponent 3").der,
    "a key on P-521": holder("p521").der,
    "a key on secp256k1": holder("k256").der,
    "an Ed25519 key": holder("ed25519").der,
    "a DSA key": holder("dsa").der,
}


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
def test_a_token_that_is_not_one_certificate_with_a_key_of_the_profile_is_refused(token):
    assert refused(with_value("wsse:BinarySecurityToken", token)) is Code.TOKEN


def test_the_key_is_refused_although_its_signature_is_valid():
    weak = build(holder=holder("rsa-1024"))
    xmlsec_verifies(weak)
    assert refused(weak) is Code.TOKEN


@pytest.mark.parametrize(("bits", "accepted"), [(2047, False), (2048, True), (4096, True), (4097, False)])
def test_rsa_moduli_have_2048_to_4096_bits(bits: int, accepted: bool):
    key = rsa.RSAPublicNumbers(65537, (1 << (bits - 1)) + 15).public_key()
    der = certificate(key, holder().key).public_bytes(Encoding.DER)
    if accepted:
        assert public_key(der).key_size == bits
    else:
        with pytest.raises(Refusal) as caught:
            public_key(der)
        assert caught.value.code is Code.TOKEN


EXPONENTS = [
    (65_535, False),
    (65_537, True),
    (2**32 - 1, True),
    (2**32 + 1, False),
    ((1 << 3_071) + 1, False),
]


@pytest.mark.parametrize(("exponent", "accepted"), EXPONENTS)
def test_rsa_exponents_have_17_to_32_bits(exponent: int, accepted: bool):
    """One as long as its modulus costs a hundred verifications, whosever the certificate is (attack K21)."""
    key = rsa.RSAPublicNumbers(exponent, (1 << 3_071) + 15).public_key()
    der = certificate(key, holder().key).public_bytes(Encoding.DER)
    for judge, judged in ((public_key, der), (accepted_key, key)):
        if accepted:
            assert judge(judged).public_numbers().e == exponent
        else:
            with pytest.raises(Refusal):
                judge(judged)


@pytest.mark.parametrize("kind", ["rsa-2048", "rsa-3072", "p256", "p384"])
def test_the_key_in_a_certificate_is_the_key_that_verifies(kind: str):
    assert public_key(holder(kind).der) == holder(kind).key.public_key()


def padded(octets: int) -> bytes:
    return certificate(holder().key.public_key(), holder().key, octets).public_bytes(Encoding.DER)


@pytest.mark.parametrize(("octets", "accepted"), [(16_384, True), (16_385, False)])
def test_a_certificate_has_at_most_16_kib(octets: int, accepted: bool):
    """Accepted keys are cached with their certificate, so one of megabytes would stay in memory."""
    frame = len(padded(octets)) - octets
    assert len(padded(octets - frame)) == octets
    data = with_value("wsse:BinarySecurityToken", padded(octets - frame))
    if accepted:
        assert accept(data)
    else:
        assert refused(data) is Code.TOKEN


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@given(st.integers(0, len(DER) - 1), st.integers(1, 255), st.sampled_from(["rsa-2048", "p256"]))
@settings(deadline=None, derandomize=True, max_examples=400)
def test_a_certificate_with_a_wrong_byte_is_a_refusal_or_a_key(position: int, bits: int, kind: str):
    der = bytearray(holder(kind).der)
    der[position % len(der)] ^= bits
    try:
        key = public_key(bytes(der))
    except Refusal as refusal:
        outcome = refusal.code
    else:
        outcome = type(key)
    assert outcome is Code.TOKEN or issubclass(outcome, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_a_message_with_any_wrong_byte_in_its_certificate_never_raises_anything_else():
    """The key itself is under attack here: even moduli, points off the curve, exponents of any kind."""
    for data, kind in ((GOOD, "rsa-2048"), (EC, "p256")):
        der = holder(kind).der
        body = accept(data).body
        for position in range(len(der)):
            broken = bytearray(der)
            broken[position] ^= 1 << position % 8
            try:
                verified = accept(with_value("wsse:BinarySecurityToken", bytes(broken), data))
            except Refusal as refusal:
                outcome = refusal.code
            else:
                outcome = (
                    verified.body
                )  # the key is untouched; whether the certificate is ours is for `identity`
            assert outcome in {Code.TOKEN, Code.SIGNATURE, Code.ALGORITHM, body}
