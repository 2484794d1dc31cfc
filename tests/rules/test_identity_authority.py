"""PROTOCOL §5.2-§5.4: who is behind a certificate, and whether the two legs name the same authority."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from msgspec import structs

from gateway.agreement.register import Register, load_register
from gateway.identity.authority import identify, identify_provider, recognise
from gateway.identity.certify import Issuer, issue_crl, issue_leaf
from gateway.identity.chain import Certificates, Trust, Usage
from gateway.identity.enrolment import Enrolled, Enrolment, load_enrolment
from gateway.identity.issue import KeyKind, issue_pki, new_ec_key, new_key
from gateway.identity.leaf import Purpose
from gateway.model import AuthorityId, Enterprise, SoapVersion, Verified
from gateway.refusal import Code, Refusal
from tests.rules.identity_world import NOW

FILE = Path(__file__).parents[2] / "contracts/register.toml"


@cache
def register(suspended: str | None = None) -> Register:
    text = FILE.read_text()
    if suspended:
        start = text.index(f'id = "{suspended}"')
        text = text[:start] + text[start:].replace("active = true", "active = false", 1)
    return load_register(text.encode(), FILE.name)


@cache
def pki() -> dict[str, bytes]:
    return dict(issue_pki(register().hub, register().authorities, NOW, key=new_ec_key))


@cache
def certificates(revoked: str | None = None) -> Certificates:
    files = pki()
    lists = [files["root.crl.pem"], files["issuing.crl.pem"]]
    if revoked:
        serial = x509.load_pem_x509_certificate(files[revoked]).serial_number
        lists[1] = issue_crl(issuer(), NOW, revoke=[serial]).public_bytes(Encoding.PEM)
    trust = Trust.load([files["root.crt.pem"]], [files["issuing.crt.pem"]], lists)
    return Certificates(trust, enrolment())


def enrolment(*more: Enrolled) -> Enrolment:
    listed = load_enrolment(pki()["enrolled.toml"], "enrolled.toml", register())
    return Enrolment.of([*listed.by_fingerprint.values(), *more])


def enrolled(name: str, certificate: bytes, purpose: Purpose = Purpose.SIGN, **window) -> Enrolled:
    return Enrolled(authority(name), purpose, sha256(certificate).digest(), **window)


def issuer() -> Issuer:
    certificate = x509.load_pem_x509_certificate(pki()["issuing.crt.pem"])
    return Issuer(certificate, load_pem_private_key(pki()["issuing.key.pem"], None))


def der(name: str) -> bytes:
    return x509.load_pem_x509_certificate(pki()[f"{name}.crt.pem"]).public_bytes(Encoding.DER)


def verified(certificate: bytes) -> Verified:
    return Verified(SoapVersion.V11, b"<Body/>", None, certificate, b"", NOW, None, addressing_signed=False)


def authority(name: str, known: Register | None = None):
    known = known or register()
    return known.hub if name == "HUB" else known.by_id[AuthorityId(name)]


def other_leaf(name: str, **change: str | None) -> bytes:
    """A certificate as `name`'s but for its legal identity."""
    holder = authority(name)
    holder = replace(holder, enterprise=structs.replace(holder.enterprise, **change))
    key = new_key(KeyKind.P256).public_key()
    return issue_leaf(key, holder, Purpose.SIGN, issuer(), NOW).public_bytes(Encoding.DER)


def asked(tls: str, certificate: bytes, known: Register | None = None, *more: Enrolled, now=NOW):
    known = known or register()
    listed = Certificates(certificates().trust, enrolment(*more)) if more else certificates()
    return identify(verified(certificate), authority(tls, known), listed, known, now)


def code(tls: str, certificate: bytes, known: Register | None = None) -> Code:
    with pytest.raises(Refusal) as caught:
        asked(tls, certificate, known)
    return caught.value.code


def unenrolled(tls: str, certificate: bytes, *more: Enrolled, now=NOW) -> None:
    with pytest.raises(Refusal) as caught:
        asked(tls, certificate, None, *more, now=now)
    assert (caught.value.code, caught.value.about) == (Code.CERTIFICATE, "enrolment")


@pytest.mark.parametrize("name", [one.id for one in register().authorities])
def test_authority_is_the_caller_when_tls_and_signature_agree(name):
    message = verified(der(f"{name}/sign"))
    caller = identify(message, authority(name), certificates(), register(), NOW)
    assert caller.authority is authority(name)
    assert caller.verified is message


def test_tls_of_one_and_signature_of_another_are_refused():
    assert code("BRUSSELS", der("FLANDERS/sign")) is Code.IDENTITIES_DIFFER


def test_tls_and_signature_of_two_units_of_one_legal_person_are_refused():
    assert authority("PLATFORM").enterprise.cbe == authority("NSSO").enterprise.cbe
    assert code("PLATFORM", der("NSSO/sign")) is Code.IDENTITIES_DIFFER
    assert code("POST_RABAT", der("POST_NEW_DELHI/sign")) is Code.IDENTITIES_DIFFER


@pytest.mark.parametrize(
    "unit",
    [None, "OTHER", "platform", "PLATFORM ", "ＰＬＡＴＦＯＲＭ"],
    ids=["none", "other", "case", "blank", "wide"],
)
def test_unit_that_the_register_does_not_have_is_refused(unit):
    same = other_leaf("PLATFORM", unit="PLATFORM")
    assert asked("PLATFORM", same, None, enrolled("PLATFORM", same)).authority.id == "PLATFORM"
    assert code("PLATFORM", other_leaf("PLATFORM", unit=unit)) is Code.AUTHORITY_UNKNOWN


def test_unit_where_the_register_has_none_is_refused():
    assert code("BRUSSELS", other_leaf("BRUSSELS", unit="EAST")) is Code.AUTHORITY_UNKNOWN


def test_legal_person_outside_the_register_is_refused():
    assert register().by_enterprise(Enterprise("0566988259")) is None
    assert code("BRUSSELS", other_leaf("BRUSSELS", cbe="0566988259")) is Code.AUTHORITY_UNKNOWN


def test_the_hubs_own_message_sent_back_to_it_is_refused():
    for name in ("HUB/sign-rsa", "HUB/sign-ec"):
        assert code("HUB", der(name)) is Code.AUTHORITY_UNKNOWN
        assert code("BRUSSELS", der(name)) is Code.AUTHORITY_UNKNOWN


def test_suspended_authority_is_refused():
    assert code("BRUSSELS", der("BRUSSELS/sign"), register(suspended="BRUSSELS")) is Code.SUSPENDED
    assert asked("BRUSSELS", der("BRUSSELS/sign"), register(suspended="FLANDERS")).authority.active


def test_tls_certificate_does_not_sign():
    assert code("BRUSSELS", der("BRUSSELS/tls")) is Code.CERTIFICATE


def test_revoked_signing_certificate_is_refused():
    message = verified(der("BRUSSELS/sign"))
    identify(message, authority("BRUSSELS"), certificates("FLANDERS/sign.crt.pem"), register(), NOW)
    with pytest.raises(Refusal) as caught:
        identify(message, authority("BRUSSELS"), certificates("BRUSSELS/sign.crt.pem"), register(), NOW)
    assert caught.value.code is Code.CERTIFICATE


def test_renewed_certificate_is_accepted_beside_the_old_one_once_it_is_enrolled():
    """Attack K13: same subject, same issuer, another serial number."""
    renewed = other_leaf("BRUSSELS")
    unenrolled("BRUSSELS", renewed)
    line = enrolled("BRUSSELS", renewed)
    for certificate in (renewed, der("BRUSSELS/sign")):
        assert asked("BRUSSELS", certificate, None, line).authority is authority("BRUSSELS")


def test_certificate_enrolled_for_another_authority_or_purpose_is_refused():
    certificate = other_leaf("BRUSSELS")
    unenrolled("BRUSSELS", certificate, enrolled("FLANDERS", certificate))
    unenrolled("BRUSSELS", certificate, enrolled("BRUSSELS", certificate, Purpose.TLS))


@pytest.mark.parametrize(("moment", "accepted"), [(-1, False), (0, True), (59, True), (60, False)])
def test_line_of_the_list_holds_from_its_first_moment_until_before_its_last(moment, accepted):
    certificate = other_leaf("BRUSSELS")
    window = {"valid_from": NOW, "valid_until": NOW + timedelta(seconds=60)}
    line, now = enrolled("BRUSSELS", certificate, **window), NOW + timedelta(seconds=moment)
    if accepted:
        asked("BRUSSELS", certificate, None, line, now=now)
    else:
        unenrolled("BRUSSELS", certificate, line, now=now)


def test_line_that_ends_between_two_messages_ends_a_verdict_that_is_remembered():
    """Attack K28."""
    certificate = other_leaf("BRUSSELS")
    line = enrolled("BRUSSELS", certificate, valid_until=NOW + timedelta(seconds=1))
    listed = Certificates(certificates().trust, enrolment(line))
    message = verified(certificate)
    identify(message, authority("BRUSSELS"), listed, register(), NOW)
    with pytest.raises(Refusal) as caught:
        identify(message, authority("BRUSSELS"), listed, register(), NOW + timedelta(seconds=1))
    assert caught.value.about == "enrolment"


def peer(certificate: bytes, usage: Usage = Usage.TLS_CLIENT, known: Certificates | None = None, now=NOW):
    return recognise(certificate, usage, known or certificates(), register(), now)


@pytest.mark.parametrize("usage", [Usage.TLS_CLIENT, Usage.TLS_SERVER])
@pytest.mark.parametrize("name", ["PLATFORM", "NSSO", "MUN_LIEGE", "HUB"])
def test_tls_peer_is_recognised(name, usage):
    assert peer(der(f"{name}/tls"), usage) is authority(name)


def stranger(*arguments, **named) -> None:
    with pytest.raises(Refusal) as caught:
        peer(*arguments, **named)
    assert caught.value.code is Code.STRANGER


def test_tls_peer_that_is_no_authority_now_is_a_stranger():
    tls = der("BRUSSELS/tls")
    stranger(der("BRUSSELS/sign"))
    stranger(b"")
    stranger(tls, known=certificates("BRUSSELS/tls.crt.pem"))
    stranger(tls, now=NOW + timedelta(days=400))
    peer(tls, known=certificates("BRUSSELS/sign.crt.pem"))


def test_valid_tls_certificate_of_no_authority_is_a_stranger():
    holder = replace(authority("BRUSSELS"), enterprise=Enterprise("0566988259"))
    key = new_key(KeyKind.P256).public_key()
    stranger(issue_leaf(key, holder, Purpose.TLS, issuer(), NOW).public_bytes(Encoding.DER))


def answered(signer: str, expected: str, known: Certificates | None = None, listed: Register | None = None):
    listed = listed or register()
    return identify_provider(
        verified(der(signer)), authority(expected, listed), known or certificates(), listed, NOW
    )


def test_provider_that_was_asked_is_identified():
    assert answered("NSSO/sign", "NSSO").authority is authority("NSSO")


def test_back_office_identifies_the_hub():
    assert answered("HUB/sign-rsa", "HUB").authority is register().hub
    assert answered("HUB/sign-ec", "HUB").authority is register().hub


@pytest.mark.parametrize(
    ("signer", "expected"),
    [("FLANDERS/sign", "BRUSSELS"), ("PLATFORM/sign", "NSSO"), ("HUB/sign-ec", "NSSO"), ("NSSO/tls", "NSSO")],
)
def test_answer_of_another_party_is_refused(signer, expected):
    with pytest.raises(Refusal) as caught:
        answered(signer, expected)
    assert caught.value.code is Code.PROVIDER_IDENTITY


def test_answer_under_a_revoked_certificate_is_refused():
    with pytest.raises(Refusal) as caught:
        answered("NSSO/sign", "NSSO", certificates("NSSO/sign.crt.pem"))
    assert caught.value.code is Code.PROVIDER_IDENTITY


def test_answer_of_a_suspended_provider_is_refused():
    with pytest.raises(Refusal) as caught:
        answered("NSSO/sign", "NSSO", listed=register(suspended="NSSO"))
    assert caught.value.code is Code.PROVIDER_IDENTITY
