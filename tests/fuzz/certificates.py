"""Certificates, keys, revocation lists and responders' answers: bytes as they come, and bodies that a real issuer signs after they were changed."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from gateway.config import ConfigError
from gateway.identity.certify import issue_crl
from gateway.identity.chain import Trust, Usage, validate
from gateway.identity.issue import private_pem
from gateway.identity.leaf import read_leaf
from gateway.identity.ocsp import OcspError, Question
from gateway.identity.ocsp import judge as judge_answer
from gateway.identity.revocation import Word
from gateway.identity.trust import TrustError
from gateway.reading import StartError, read_pair
from gateway.refusal import Refusal
from gateway.wss.verify import public_key
from tests.examples import NOW, _issuers, rsa_key, signing_key
from tests.fuzz.target import Target

FOREIGN = (Refusal, TrustError, StartError, ConfigError, OcspError)  # what each reader may raise
warnings.filterwarnings("ignore", module="tests.fuzz")  # the library's own, about what it reads


@cache
def _files() -> dict[str, bytes]:
    """Of the examples: the same on every machine."""
    issuers = dict(zip(("root", "issuing"), _issuers(), strict=True))
    lists = {name: issue_crl(one, NOW - timedelta(days=1)) for name, one in issuers.items()}
    return {
        **{f"{name}.crt.pem": one.certificate.public_bytes(Encoding.PEM) for name, one in issuers.items()},
        **{f"{name}.crl.pem": one.public_bytes(Encoding.PEM) for name, one in lists.items()},
        "sign.key.pem": private_pem(rsa_key("BRUSSELS")),
    }


@cache
def _trust() -> Trust:
    return _trusting(_files()["root.crl.pem"], _files()["issuing.crl.pem"])


def _trusting(*lists: bytes) -> Trust:
    return Trust.load([_files()["root.crt.pem"]], [_files()["issuing.crt.pem"]], lists)


@cache
def _leaf() -> x509.Certificate:
    return x509.load_der_x509_certificate(signing_key("BRUSSELS").certificate)


@cache
def _list(name: str = "issuing") -> x509.CertificateRevocationList:
    return x509.load_pem_x509_crl(_files()[f"{name}.crl.pem"])


def _certificate(data: bytes) -> object:
    """Nobody has an issuer's key: what is believed is a certificate that was issued."""
    found = [_refused(lambda usage=usage: validate(data, usage, _trust(), NOW)) for usage in Usage]
    assert all(one is None or one.certificate == _leaf() for one in found)
    return any(found)


def _anchor(data: bytes) -> object:
    return _refused(lambda: Trust.load([data], [], []))


def _revocations(data: bytes) -> object:
    found = _refused(lambda: _trusting(data))
    known = [_list(name).tbs_certlist_bytes for name in ("root", "issuing")]
    assert found is None or all(one.crl.tbs_certlist_bytes in known for one in found.revocations.values())
    return found


def _token(data: bytes) -> object:
    return _refused(lambda: public_key(data))


def _pair(data: bytes) -> object:
    """As files: certificate and key, one behind the other."""
    with tempfile.NamedTemporaryFile() as file:  # mode 0600
        file.write(data)
        file.flush()
        return _refused(lambda: read_pair(Path(file.name), Path(file.name)))


def _signed_leaf(data: bytes) -> object:
    """A certificate that the real issuer signed with these changes, three bytes each: position and value."""
    made = _resigned(_changed(_leaf().tbs_certificate_bytes, data))
    for usage in Usage:
        _refused(lambda usage=usage: read_leaf(made, usage))
    return any(_refused(lambda usage=usage: validate(made, usage, _trust(), NOW)) for usage in Usage)


def _signed_list(data: bytes) -> object:
    made = _resigned(_changed(_list().tbs_certlist_bytes, data))
    found = _refused(lambda: _trusting(_files()["root.crl.pem"], made))
    if found is None:
        return None
    return _refused(lambda: validate(_leaf().public_bytes(Encoding.DER), Usage.SIGNING, found, NOW))


@cache
def _question() -> Question:
    return Question(_leaf(), _issuers()[1].certificate, bytes(32))


@cache
def _good() -> ocsp.OCSPResponse:
    """A responder's answer that the certificate is good."""
    asked, until = _question(), NOW + timedelta(days=1)
    builder = ocsp.OCSPResponseBuilder().responder_id(ocsp.OCSPResponderEncoding.HASH, asked.issuer)
    builder = builder.add_response(
        asked.certificate, asked.issuer, hashes.SHA256(), ocsp.OCSPCertStatus.GOOD, NOW, until, None, None
    )
    nonce = x509.OCSPNonce(bytes(32))
    return builder.add_extension(nonce, critical=False).sign(rsa_key("issuers"), hashes.SHA256())


def _answer(data: bytes) -> object:
    """Nobody has the issuer's key: what is believed is what it said."""
    word = _refused(lambda: judge_answer(data, _question(), None, NOW))
    assert word is None or word == Word(NOW, NOW + timedelta(days=1), revoked=False)
    return word


def _signed_answer(data: bytes) -> object:
    made = _resigned(_changed(_good().tbs_response_bytes, data))
    basic = bytes.fromhex("06092b0601050507300101")
    answer = _der(0xA0, _der(0x30, basic + _der(0x04, made)))
    return _refused(
        lambda: judge_answer(_der(0x30, bytes.fromhex("0a0100") + answer), _question(), None, NOW)
    )


def _refused(step: Callable[[], object]) -> object:
    try:
        return step()
    except FOREIGN:
        return None


def _changed(body: bytes, changes: bytes) -> bytes:
    changed = bytearray(body)
    for at in range(0, len(changes) - 2, 3):
        changed[int.from_bytes(changes[at : at + 2]) % len(changed)] = changes[at + 2]
    return bytes(changed)


def _resigned(body: bytes) -> bytes:
    """RFC 5280 §4.1: body, sha256WithRSAEncryption, signature."""
    algorithm = bytes.fromhex("300d06092a864886f70d01010b0500")
    signature = rsa_key("issuers").sign(body, padding.PKCS1v15(), hashes.SHA256())
    return _der(0x30, body + algorithm + _der(0x03, b"\0" + signature))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([0x82]) + size.to_bytes(2)
    return bytes([tag]) + length + content


READERS: tuple[Callable[[bytes], object], ...] = (
    _certificate, _anchor, _revocations, _token, _pair, _signed_leaf, _signed_list, _answer, _signed_answer,
)  # fmt: skip


def judge(data: bytes) -> object:
    """The first byte says whose turn it is. Returns what was accepted, if anything was."""
    return READERS[(data[0] if data else 0) % len(READERS)](data[1:])


def seeds() -> list[bytes]:
    files = _files()
    leaf, root = _leaf().public_bytes(Encoding.DER), x509.load_pem_x509_certificate(files["root.crt.pem"])
    known = {
        _certificate: [leaf],
        _anchor: [files["root.crt.pem"], root.public_bytes(Encoding.DER)],
        _revocations: [files["issuing.crl.pem"], _list().public_bytes(Encoding.DER)],
        _token: [leaf],
        _pair: [_leaf().public_bytes(Encoding.PEM) + files["sign.key.pem"]],
        _signed_leaf: [b"", b"\x00\x000"],
        _signed_list: [b"", b"\x00\x000"],
        _answer: [_good().public_bytes(Encoding.DER)],
        _signed_answer: [b"", b"\x00\x000"],
    }
    return [bytes([READERS.index(reader)]) + data for reader, given in known.items() for data in given]


TARGETS = (Target("certificate", judge, seeds, largest=8192, replayed=1_500),)
