"""Certificates, keys and revocation lists: bytes as they come, and bodies that a real issuer signs after they were changed."""

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

from gateway.config import ConfigError
from gateway.identity.certify import issue_crl
from gateway.identity.chain import Trust, Usage, validate
from gateway.identity.issue import private_pem
from gateway.identity.leaf import read_leaf
from gateway.identity.trust import TrustError
from gateway.reading import StartError, read_pair
from gateway.refusal import Refusal
from gateway.wss.verify import public_key
from tests.examples import NOW, _issuers, rsa_key, signing_key
from tests.fuzz.target import Target

FOREIGN = (Refusal, TrustError, StartError, ConfigError)  # what each reader may raise
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


def _certificate(data: bytes) -> None:
    """Nobody has an issuer's key: what is believed is a certificate that was issued."""
    for usage in Usage:
        found = _refused(lambda usage=usage: validate(data, usage, _trust(), NOW))
        assert found is None or found.certificate == _leaf()


def _anchor(data: bytes) -> None:
    _refused(lambda: Trust.load([data], [], []))


def _revocations(data: bytes) -> None:
    found = _refused(lambda: _trusting(data))
    known = [_list(name).tbs_certlist_bytes for name in ("root", "issuing")]
    assert found is None or all(one.crl.tbs_certlist_bytes in known for one in found.revocations.values())


def _token(data: bytes) -> None:
    _refused(lambda: public_key(data))


def _pair(data: bytes) -> None:
    """As files: certificate and key, one behind the other."""
    with tempfile.NamedTemporaryFile() as file:  # mode 0600
        file.write(data)
        file.flush()
        _refused(lambda: read_pair(Path(file.name), Path(file.name)))


def _signed_leaf(data: bytes) -> None:
    """A certificate that the real issuer signed with these changes, three bytes each: position and value."""
    made = _resigned(_changed(_leaf().tbs_certificate_bytes, data))
    for usage in Usage:
        _refused(lambda usage=usage: read_leaf(made, usage))
        _refused(lambda usage=usage: validate(made, usage, _trust(), NOW))


def _signed_list(data: bytes) -> None:
    made = _resigned(_changed(_list().tbs_certlist_bytes, data))
    found = _refused(lambda: _trusting(_files()["root.crl.pem"], made))
    if found is not None:
        _refused(lambda: validate(_leaf().public_bytes(Encoding.DER), Usage.SIGNING, found, NOW))


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


READERS: tuple[Callable[[bytes], None], ...] = (
    _certificate, _anchor, _revocations, _token, _pair, _signed_leaf, _signed_list,
)  # fmt: skip


def judge(data: bytes) -> None:
    """The first byte says whose turn it is."""
    READERS[(data[0] if data else 0) % len(READERS)](data[1:])


def seeds() -> list[bytes]:
    files = _files()
    leaf, root = _leaf().public_bytes(Encoding.DER), x509.load_pem_x509_certificate(files["root.crt.pem"])
    known = {
        _certificate: [leaf],
        _anchor: [files["root.crt.pem"], root.public_bytes(Encoding.DER)],
        _revocations: [files["issuing.crl.pem"], _list().public_bytes(Encoding.DER)],
        _token: [leaf],
        _pair: [_leaf().public_bytes(Encoding.PEM) + files["sign.key.pem"]],
        _signed_leaf: [b"", bytes(3)],
        _signed_list: [b"", bytes(3)],
    }
    return [bytes([READERS.index(reader)]) + data for reader, given in known.items() for data in given]


TARGETS = (Target("certificate", judge, seeds, largest=8192, replayed=1_500),)
