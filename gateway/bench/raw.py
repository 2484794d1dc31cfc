"""The work that no gateway of this profile can avoid, stripped of everything else: pieces of the floor.

Each piece is done with the same libraries, keys, suites and bytes as in the exchange that was sampled.
`gateway.bench.floor` runs and times them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from gateway.bench.messages import READER_LIMITS
from gateway.refusal import Code
from gateway.soap import names
from gateway.soap.envelope import read
from gateway.soap.xml import Element, canonical, parse_verified
from gateway.wss.sign import SigningKey
from gateway.wss.signed_info import decode
from gateway.wss.verify import public_key

_ENTRY: Final = b"x" * 600  # bytes of a typical entry of the exchange log with what is kept beside it


@dataclass(frozen=True, slots=True)
class Sample:
    """The four messages of one exchange, as they went over the wire."""

    request: bytes
    question: bytes
    answer: bytes
    reply: bytes

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        return len(self.request), len(self.question), len(self.answer), len(self.reply)


@dataclass(frozen=True, slots=True)
class _Signed:
    """What of a message is digested, signed or verified: canonical bytes, made beforehand."""

    parts: tuple[bytes, bytes]
    info: bytes
    verify: Callable[[], None]


def cryptography(sample: Sample, key: SigningKey) -> Callable[[], None]:
    """Verify the request, sign the question, verify the answer, sign the reply; SHA-256 of every part."""
    request, question, answer, reply = map(
        _signed, (sample.request, sample.question, sample.answer, sample.reply)
    )
    digest, sign = hashlib.sha256, _signer(key)

    def once() -> None:
        for message in (request, question, answer, reply):
            for part in message.parts:
                digest(part).digest()
        request.verify()
        sign(question.info)
        answer.verify()
        sign(reply.info)

    return once


def xml(sample: Sample) -> Callable[[], None]:
    """Parse the two incoming messages and canonicalise what is signed in each."""

    def once() -> None:
        for message in (sample.request, sample.answer):
            for element in _signed_elements(parse_verified(message)):
                canonical(element)

    return once


def legs(sample: Sample, key: SigningKey) -> tuple[Callable[[], None], Callable[[], None]]:
    """The work between receiving the request and sending the question, and between answer and reply."""
    return (
        _leg(sample.request, sample.question, _signer(key)),
        _leg(sample.answer, sample.reply, _signer(key)),
    )


def _leg(incoming: bytes, outgoing: bytes, sign: Callable[[bytes], bytes]) -> Callable[[], None]:
    """Parse, canonicalise and digest the parts, verify; digest the parts of the next message, sign."""
    received, sent, digest = _signed(incoming), _signed(outgoing), hashlib.sha256

    def once() -> None:
        for element in _signed_elements(parse_verified(incoming)):
            digest(canonical(element)).digest()
        received.verify()
        for part in sent.parts:
            digest(part).digest()
        sign(sent.info)

    return once


def fsync(directory: Path, writes: int = 2) -> tuple[Callable[[], None], Callable[[], None]]:
    """Appends, each made durable, as the two commits of an exchange; and what closes the file."""
    path = directory / "floor.log"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def once() -> None:
        for _ in range(writes):
            os.write(file, _ENTRY)
            os.fdatasync(file)

    def close() -> None:
        os.close(file)
        path.unlink()

    return once, close


def _signed(message: bytes) -> _Signed:
    envelope = read(message, READER_LIMITS)
    token = next(child for child in envelope.security if child.tag == names.TOKEN)
    signature = next(child for child in envelope.security if child.tag == names.SIGNATURE)
    info, timestamp, body = map(canonical, _signed_elements(envelope.header.getroottree().getroot()))
    value = decode(signature[1], Code.SIGNATURE)
    return _Signed((body, timestamp), info, _verifier(decode(token, Code.TOKEN), value, info))


def _signed_elements(root: Element) -> tuple[Element, Element, Element]:
    """SignedInfo, Timestamp and Body, by their places in a message of `wss.sign`."""
    header, body = root
    timestamp, _, signature = header[-1]
    return signature[0], timestamp, body


def _verifier(certificate: bytes, value: bytes, data: bytes) -> Callable[[], None]:
    key = public_key(certificate)
    if isinstance(key, rsa.RSAPublicKey):
        return lambda: key.verify(value, data, padding.PKCS1v15(), hashes.SHA256())
    half = len(value) // 2
    der = encode_dss_signature(int.from_bytes(value[:half]), int.from_bytes(value[half:]))
    return lambda: key.verify(der, data, ec.ECDSA(hashes.SHA256()))


def _signer(key: SigningKey) -> Callable[[bytes], bytes]:
    private = key.key
    if isinstance(private, rsa.RSAPrivateKey):
        return lambda data: private.sign(data, padding.PKCS1v15(), hashes.SHA256())
    assert isinstance(private, ec.EllipticCurvePrivateKey)  # the bench's own keys are files
    return lambda data: private.sign(data, ec.ECDSA(hashes.SHA256()))
