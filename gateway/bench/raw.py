"""The work that no gateway of this profile can avoid, stripped of everything else: pieces of the floor.

Each piece is done with the same libraries, keys, suites and bytes as in the exchange that was sampled.
`gateway.bench.floor` runs and times them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
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
Work = Callable[[], None]


class Act(Enum):
    """What is done in a step of an exchange."""

    TAKE = "take"  # a message of whoever began the exchange: parse, canonicalise, digest, verify
    GIVE = "give"  # the response to it: digest, sign
    ASK = "ask"  # a message to another peer: digest, sign
    HEAR = "hear"  # that peer's answer: as TAKE
    COMMIT = "commit"  # append, and make it durable


@dataclass(frozen=True, slots=True)
class Step:
    """One step, with the message as it went over the wire; a commit has none."""

    act: Act
    message: bytes = b""


Sample = Sequence[Step]  # one exchange, in order
COMMIT: Final = Step(Act.COMMIT)


def consultation(request: bytes, question: bytes, answer: bytes, reply: bytes) -> Sample:
    """Request, commit, question, answer, commit, reply."""
    return (
        Step(Act.TAKE, request), COMMIT, Step(Act.ASK, question), Step(Act.HEAR, answer), COMMIT,
        Step(Act.GIVE, reply),
    )  # fmt: skip


def notification(request: bytes, receipt: bytes, deliveries: Sequence[tuple[bytes, bytes]]) -> Sample:
    """Request, commit, receipt; for each delivery commit, message, acknowledgement, commit.

    The receipt is put last, so that a client begins its next exchange when this one is over altogether.
    """
    delivered = [
        step
        for message, acknowledgement in deliveries
        for step in (COMMIT, Step(Act.ASK, message), Step(Act.HEAR, acknowledgement), COMMIT)
    ]
    return Step(Act.TAKE, request), COMMIT, *delivered, Step(Act.GIVE, receipt)


def visit(request: bytes, reply: bytes) -> Sample:
    """Fetching from a mailbox, or acknowledging: request, two commits, reply."""
    return Step(Act.TAKE, request), COMMIT, COMMIT, Step(Act.GIVE, reply)


@dataclass(frozen=True, slots=True)
class _Signed:
    """What of a message is digested, signed or verified: canonical bytes, made beforehand."""

    parts: tuple[bytes, bytes]
    info: bytes
    verify: Work


def step(one: Step, key: SigningKey, durable: Work) -> Work:
    """All the work of a step, but for the bytes on the wire."""
    if one.act is Act.COMMIT:
        return durable
    signed, digest, sign = _signed(one.message), hashlib.sha256, _signer(key)

    def take() -> None:
        for element in _signed_elements(parse_verified(one.message)):
            digest(canonical(element)).digest()
        signed.verify()

    def give() -> None:
        for part in signed.parts:
            digest(part).digest()
        sign(signed.info)

    return take if one.act in {Act.TAKE, Act.HEAR} else give


def cryptography(sample: Sample, key: SigningKey) -> Work:
    """Every signature verified or made; SHA-256 of every part."""
    digest, sign = hashlib.sha256, _signer(key)
    messages = [(one.act, _signed(one.message)) for one in sample if one.act is not Act.COMMIT]

    def once() -> None:
        for act, message in messages:
            for part in message.parts:
                digest(part).digest()
            if act in {Act.TAKE, Act.HEAR}:
                message.verify()
            else:
                sign(message.info)

    return once


def xml(sample: Sample) -> Work:
    """Parse the incoming messages and canonicalise what is signed in each."""
    incoming = [one.message for one in sample if one.act in {Act.TAKE, Act.HEAR}]

    def once() -> None:
        for message in incoming:
            for element in _signed_elements(parse_verified(message)):
                canonical(element)

    return once


def durable(directory: Path) -> tuple[Work, Work]:
    """An append that is made durable, as a commit; and what closes the file."""
    path = directory / "floor.log"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def once() -> None:
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


def _verifier(certificate: bytes, value: bytes, data: bytes) -> Work:
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
