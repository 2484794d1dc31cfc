"""Which authority stands behind a certificate, and whether it may speak here (PROTOCOL §5).

An authority is known by the legal identity that a trusted issuer certified, never by what a message says of
itself (attack I03), by a subject string or by an address; and the very certificate is enrolled for it (attack
K13). Its role comes from the register alone.
"""

from __future__ import annotations

from datetime import datetime

from gateway.agreement.register import Register
from gateway.identity.chain import Certificates, Usage
from gateway.model import Authority, Caller, Enterprise, Verified
from gateway.refusal import Code, Refusal


def recognise(
    der: bytes, usage: Usage, certificates: Certificates, register: Register, now: datetime
) -> Authority:
    """The authority, or the hub, at the other end of a TLS connection.

    Asked for every request, since a connection may outlive a certificate (attack I06).
    Raises Refusal: STRANGER, whatever is wrong with the certificate.
    """
    try:
        authority = _speaker(der, usage, certificates, register, now)
    except Refusal as refusal:
        raise Refusal(Code.STRANGER, refusal.about) from refusal
    if authority is None:
        raise Refusal(Code.STRANGER)
    return authority


def identify(
    verified: Verified, peer: Authority, certificates: Certificates, register: Register, now: datetime
) -> Caller:
    """The authority that signed a request: it is the TLS peer, it is known and it is not suspended.

    Raises Refusal: CERTIFICATE, AUTHORITY_UNKNOWN, SUSPENDED, IDENTITIES_DIFFER.
    """
    authority = _speaker(verified.certificate, Usage.SIGNING, certificates, register, now)
    if authority is None or authority.id == register.hub.id:  # our own message sent back to us: attack K26
        raise Refusal(Code.AUTHORITY_UNKNOWN)
    if not authority.active:  # attack I08
        raise Refusal(Code.SUSPENDED)
    if authority.id != peer.id:  # attacks I01, I02: another unit of one legal person is another authority
        raise Refusal(Code.IDENTITIES_DIFFER, signer=authority.id)
    return Caller(authority, verified)


def identify_provider(
    verified: Verified, expected: Authority, certificates: Certificates, register: Register, now: datetime
) -> Caller:
    """The provider that signed an answer: the very one that was asked (attack K27).

    Raises Refusal: PROVIDER_IDENTITY, whatever is wrong with the certificate.
    """
    try:
        authority = _speaker(verified.certificate, Usage.SIGNING, certificates, register, now)
    except Refusal as refusal:
        raise Refusal(Code.PROVIDER_IDENTITY, refusal.about) from refusal
    if authority is None or not authority.active or authority.id != expected.id:
        raise Refusal(Code.PROVIDER_IDENTITY)
    return Caller(authority, verified)


def _speaker(
    der: bytes, usage: Usage, certificates: Certificates, register: Register, now: datetime
) -> Authority | None:
    """For whom a certificate speaks; None when it is sound and names no line of the register.

    Raises Refusal: CERTIFICATE.
    """
    validated = certificates.validate(der, usage, now)
    authority = named(validated.enterprise, register)
    if authority is not None:
        certificates.require_enrolled(validated, usage, authority, now)
    return authority


def named(enterprise: Enterprise, register: Register) -> Authority | None:
    """The authority of this identity, or the hub, which the register finds by no lookup."""
    return register.hub if enterprise == register.hub.enterprise else register.by_enterprise(enterprise)
