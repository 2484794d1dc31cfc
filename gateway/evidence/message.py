"""One signed message of an evidence file: judged by `wss` first, and then by xmlsec, which must agree.

xmlsec resolves what a reference names and canonicalises as it is told, so it is never given what `wss` has not
found to be of the profile, with ids by position and the key of the one token (design: two engines, one verdict).
"""
# xmlsec declares some of its types only:
# mypy: disable-error-code="attr-defined"

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import xmlsec

from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.model import Envelope
from gateway.refusal import Code, Refusal
from gateway.soap import names
from gateway.soap.envelope import read, read_packaged
from gateway.soap.kept import Apart, apart, restored
from gateway.soap.xml import Limits, parse
from gateway.wss import times
from gateway.wss.profile import Window
from gateway.wss.verify import Unfinished, verify

xmlsec.cleanup_callbacks()  # a reference may name no file

# From the receipt of a message to its entry: a provider may take its time, an attachment is received in minutes.
LATEST: Final = timedelta(hours=1)
_TIMES: Final = (Code.TIMESTAMP, Code.FUTURE, Code.EXPIRED)
_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Judged:
    """What of a message was verified."""

    certificate: bytes  # DER
    signature: bytes  # SignatureValue
    created: datetime
    bodies: tuple[bytes, ...]  # what an entry may commit to as its Body; none: its document is elsewhere
    without: Flaw | None = None  # why there is no Body


def judge(message: bytes, at: datetime, documents: Mapping[str, bytes]) -> Judged:
    """`at`: of its entry; `documents`: by their SHA-256 in lower-case hexadecimal.

    Raises `ProofError`: LOG667, LOG668, LOG671.
    """
    try:
        held = apart(parse(message, _LIMITS))
        if held is None:
            return _whole(message, at)
        attached = _attached(message, held, at)
        if held.in_lines or held.sha256 not in documents:
            without = Flaw.DOCUMENT_LINES if held.in_lines else Flaw.DOCUMENT_APART
            return Judged(*attached.signer, (), without)
        # An attachment is committed to by its digest, what came inside by itself: the signature is over the same.
        inside = _whole(restored(message, documents[held.sha256]), at)
        attached.update(documents[held.sha256])
        return replace(inside, bodies=(*inside.bodies, attached.finish().body))
    except Refusal as refusal:
        raise _told(refusal) from None


def _whole(message: bytes, at: datetime) -> Judged:
    envelope = read(message, _LIMITS)
    verified = verify(envelope, Window(), _moment(envelope, at))
    _agree(message, verified.certificate)
    return Judged(verified.certificate, verified.signature, verified.created, (verified.body,))


def _attached(message: bytes, held: Apart, at: datetime) -> Unfinished:
    envelope, place = read_packaged(message, _LIMITS, held.content_id)
    return Unfinished(envelope, place, Window(), _moment(envelope, at))


def _moment(envelope: Envelope, at: datetime) -> datetime:
    """When the hub may have received it: when it was made, if that is not long before its entry."""
    created = envelope.security.findtext(f"{names.TIMESTAMP}/{names.CREATED}") or ""
    try:
        return min(at, max(times.read(created.strip()), at - LATEST))
    except (ValueError, OverflowError):  # `verify` says so
        return at


def _agree(message: bytes, certificate: bytes) -> None:
    """The second engine. Raises `ProofError` (LOG668)."""
    root = parse(message, _LIMITS)
    header, body = root
    security = header.find(names.SECURITY)
    assert security is not None  # `wss` has seen both
    signature = security.find(names.SIGNATURE)
    assert signature is not None
    context = xmlsec.SignatureContext()
    try:
        context.key = xmlsec.Key.from_memory(certificate, xmlsec.KeyFormat.CERT_DER)
        for part in (body, *header, *security):
            if part.get(names.WSU_ID):
                context.register_id(part, "Id", names.WSU)
        context.verify(signature)
    except xmlsec.Error:
        raise ProofError(Flaw.MESSAGE_SIGNATURE, "xmlsec") from None


def _told(refusal: Refusal) -> ProofError:
    if refusal.code in _TIMES:
        return ProofError(Flaw.MESSAGE_TIME, refusal.code.row.code)
    flaw = Flaw.MESSAGE_SIGNATURE if refusal.code is Code.SIGNATURE else Flaw.MESSAGE_FORM
    return ProofError(flaw, refusal.code.row.code)
