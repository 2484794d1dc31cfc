"""Who is asked about whom: a configured responder about each certificate that its issuer issued and that counts here.

Certificates that count are the enrolled ones that have not ended, where the list holds them whole, and the
intermediates. Nobody becomes worth a question by showing a certificate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from gateway.identity.enrolment import Enrolment
from gateway.identity.trust import Trust


@dataclass(frozen=True, slots=True)
class Responder:
    """An OCSP responder of the settings. Its issuer is an anchor or an intermediate."""

    issuer: x509.Certificate
    url: str
    nonce: bool  # it must repeat ours; one that signs its answers in advance cannot


def to_ask(
    responders: Sequence[Responder], trust: Trust, enrolment: Enrolment, now: datetime
) -> Iterator[tuple[Responder, x509.Certificate]]:
    """Every question that is to be put."""
    lines = enrolment.by_fingerprint.values()
    living = (one for one in lines if one.valid_until is None or now < one.valid_until)
    enrolled = [one.certificate for one in living if one.certificate is not None]
    for certificate in (*trust.intermediates, *enrolled):
        for responder in responders:
            if issued(certificate, responder.issuer):
                yield responder, certificate


def issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Name and signature are the issuer's."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
