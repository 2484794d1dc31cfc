"""RFC 6960 as certs/README.md has it: which answer of a responder is worth something. Each flaw has its good twin."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.enrolment import Enrolled, Enrolment
from gateway.identity.leaf import Purpose
from gateway.identity.ocsp import OcspError, Question, judge
from gateway.identity.responders import Responder, to_ask
from gateway.identity.revocation import Word
from tests.rules.identity_world import (
    CERTIFICATES,
    CLIENT,
    COMMITMENT,
    DAY,
    ISSUING,
    ISSUING_LIST,
    NOW,
    ROOT,
    ROOT_LIST,
    SECOND,
    SIGNATURE,
    SIGNING,
    World,
    good_trust,
    key,
    named,
)
from tests.rules.ocsp_world import (
    DELEGATED,
    NONCE,
    RESPONDER,
    REVOKED,
    UNKNOWN,
    Plan,
    appointed,
    issuer,
    leaf,
    told_twice,
)
from tests.rules.test_identity_authority import authority

NAME = ocsp.OCSPResponderEncoding.NAME
OTHER = key(name="other")
CRITICAL = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)
LISTED = World(lists=(ROOT_LIST, replace(ISSUING_LIST, revoked=(RESPONDER.serial,))))
NO_CHECK = RESPONDER.extra


def lists(world: World | None = None):
    trust = good_trust() if world is None else world.trust()
    return next(one for one in trust.revocations.values() if one.crl.issuer == named("issuing"))


def question(nonce: bytes | None = NONCE) -> Question:
    return Question(leaf(), issuer(), nonce)


def worth(der: bytes, asked: Question | None = None, listed=None, now=NOW) -> Word:
    return judge(der, asked or question(), listed, now)


def worthless(der: bytes, *arguments, **named_) -> str:
    with pytest.raises(OcspError) as caught:
        worth(der, *arguments, **named_)
    return caught.value.reason


GOOD = {
    "signed by the issuer, named by its key": Plan(),
    "signed by the issuer, named by its name": Plan(encoding=NAME),
    "signed over SHA-512": Plan(hash=hashes.SHA512()),
    "current from this very second": Plan(since=NOW),
    "current until this very second": Plan(until=NOW),
    "of a clock a minute ahead": Plan(since=NOW + timedelta(seconds=60)),
    "by an appointed responder": DELEGATED,
    "by an appointed responder named by its name": replace(DELEGATED, encoding=NAME),
    "by an appointed responder that expires this very second": appointed(until=NOW),
    "with certificates of others in it": Plan(certificates=(leaf(),)),
}


@pytest.mark.parametrize("plan", GOOD.values(), ids=GOOD)
def test_answer_that_is_worth_something_says_good(plan):
    assert worth(plan.der()) == Word(min(plan.since, NOW), plan.until, revoked=False)


def test_answer_says_revoked():
    assert worth(Plan(REVOKED).der()).revoked


def test_issuer_with_an_rsa_key_and_its_responder_are_believed():
    ca = replace(ISSUING, key=key("RSA-2048", "issuing"))
    signed = replace(SIGNING, issuer_key=ca.key)
    asked = Question(signed.make(), ca.make(), NONCE)
    plan = Plan(certificate=asked.certificate, issuer=asked.issuer, responder=ca, encoding=NAME)
    assert not worth(plan.der(), asked).revoked
    forged = replace(plan, responder=replace(ca, key=key("RSA-2048", "other")))
    assert worthless(forged.der(), asked) == "signature"


FLAWS = {
    "about another certificate": (
        Plan(certificate=replace(SIGNING, serial=1001).make()),
        "certificate id",
    ),
    "about the same number of another issuer": (
        Plan(issuer=ROOT.make(), responder=ISSUING),
        "certificate id",
    ),
    "certificate named over SHA-1": (Plan(named_by=hashes.SHA1()), "certificate id"),
    "critical extension": (Plan(extra=(CRITICAL,)), "form"),
    "it does not know the certificate": (Plan(UNKNOWN), "unknown"),
    "ran out a second ago": (Plan(until=NOW - SECOND), "time"),
    "of the day after": (Plan(since=NOW + timedelta(seconds=61)), "time"),
    "without nextUpdate": (Plan(until=None), "time"),
    "another nonce": (Plan(nonce=NONCE[::-1]), "nonce"),
    "no nonce": (Plan(nonce=None), "nonce"),
    "signed by somebody of the issuer's name": (
        Plan(encoding=NAME, responder=replace(ISSUING, key=OTHER)),
        "signature",
    ),
    "signed over SHA-224": (Plan(hash=hashes.SHA224()), "algorithm"),
    "signed by somebody of the responder's name, whose certificate is there too": (
        replace(
            appointed(key=OTHER, issuer=RESPONDER.subject, issuer_key=OTHER),
            encoding=NAME,
            certificates=(RESPONDER.make(),),
        ),
        "signature",
    ),
    "responder whose certificate is left out": (replace(DELEGATED, sent=False), "responder"),
    "two responders of one name": (
        replace(DELEGATED, encoding=NAME, certificates=(replace(RESPONDER, serial=78).make(),)),
        "responder",
    ),
    "responder of another issuer": (appointed(issuer_key=OTHER), "responder"),
    "responder that signed its own certificate": (
        appointed(issuer=RESPONDER.subject, issuer_key=RESPONDER.key),
        "responder",
    ),
    "responder of the root, not of the issuer": (
        appointed(issuer=named("root"), issuer_key=ROOT.key),
        "responder",
    ),
    "responder that is not appointed to answer": (appointed(purposes=(CLIENT,)), "responder"),
    "responder without extendedKeyUsage": (appointed(purposes=None), "responder"),
    "responder for any purpose": (
        appointed(purposes=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)),
        "responder",
    ),
    "responder that is an authority": (
        appointed(
            constraints=x509.BasicConstraints(ca=True, path_length=None), usage=(SIGNATURE, CERTIFICATES)
        ),
        "responder",
    ),
    "responder that may not sign": (appointed(usage=(COMMITMENT,)), "responder"),
    "responder with an unknown critical extension": (appointed(extra=(*NO_CHECK, CRITICAL)), "responder"),
    "responder that expired a second ago": (appointed(until=NOW - SECOND), "responder"),
    "responder of the next second": (appointed(since=NOW + SECOND), "responder"),
    "responder with a weak key": (appointed(key=key("RSA-1024")), "responder"),
    "responder whose certificate is signed over SHA-224": (appointed(hash=hashes.SHA224()), "responder"),
    "an authority of the register that answers": (replace(DELEGATED, responder=SIGNING), "responder"),
    "responder that nobody vouches for": (appointed(extra=()), "responder"),
}


@pytest.mark.parametrize(("plan", "reason"), FLAWS.values(), ids=FLAWS)
def test_answer_with_a_flaw_is_worth_nothing(plan, reason):
    assert worthless(plan.der()) == reason


def test_two_answers_in_one_are_worth_nothing():
    twice = told_twice()
    assert len(list(ocsp.load_der_ocsp_response(twice).responses)) == 2
    assert worthless(twice) == "form"


def test_responder_is_cleared_by_the_list_of_its_issuer():
    unmarked = appointed(extra=())
    assert not worth(unmarked.der(), listed=lists()).revoked
    assert worthless(unmarked.der(), listed=lists(LISTED)) == "responder"
    assert (
        worthless(DELEGATED.der(), listed=lists(LISTED)) == "responder"
    )  # whatever its issuer says of checks
    late = NOW + 2 * DAY
    old = lists(World(lists=(ROOT_LIST, replace(ISSUING_LIST, until=NOW + DAY))))
    assert worthless(replace(unmarked, until=late + DAY).der(), listed=old, now=late) == "responder"


def test_nonce_that_was_not_sent_is_not_asked_for():
    for nonce in (None, NONCE):
        assert not worth(Plan(nonce=nonce).der(), question(None)).revoked


@pytest.mark.parametrize("status", [one for one in ocsp.OCSPResponseStatus if one.value])
def test_answer_that_is_none_is_worth_nothing(status):
    made = ocsp.OCSPResponseBuilder.build_unsuccessful(status)
    assert worthless(made.public_bytes(Encoding.DER)) == "status"


@pytest.mark.parametrize("changed", [b"", b"junk", Plan().der() + b"\0", Plan().der()[:-1]])
def test_anything_but_one_answer_in_der_is_worth_nothing(changed):
    assert worthless(changed) == "form"


@given(st.binary(max_size=200))
def test_any_bytes_are_worth_nothing(junk):
    worthless(junk)


def test_every_flipped_bit_is_worth_nothing_or_changes_nothing():
    """What is not signed, such as the wrapping, may differ; what is said may not."""
    good = DELEGATED.der()
    said, worth_something = worth(good), 0
    for position in range(8 * len(good)):
        der = bytearray(good)
        der[position // 8] ^= 1 << position % 8
        try:
            assert worth(bytes(der)) == said
        except OcspError:
            continue
        worth_something += 1
    assert worth_something < 16


def test_question_names_one_certificate_over_sha_256_and_carries_the_nonce():
    asked = ocsp.load_der_ocsp_request(question().der())
    assert isinstance(asked.hash_algorithm, hashes.SHA256)
    assert asked.serial_number == leaf().serial_number
    assert asked.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == NONCE
    assert not list(ocsp.load_der_ocsp_request(question(None).der()).extensions)


def line(certificate: x509.Certificate | None, **window) -> Enrolled:
    return Enrolled(authority("BRUSSELS"), Purpose.SIGN, bytes(32), certificate=certificate, **window)


def asked_about(*lines: Enrolled) -> list[x509.Certificate]:
    responders = [Responder(issuer(), "http://a.example/", nonce=True)]
    enrolment = Enrolment(dict(enumerate(lines)))  # type: ignore[arg-type]
    return [certificate for _, certificate in to_ask(responders, good_trust(), enrolment, NOW)]


def test_only_enrolled_certificates_of_the_responders_issuer_are_asked_about():
    elsewhere = replace(SIGNING, issuer_key=OTHER).make()
    assert asked_about(line(leaf()), line(elsewhere), line(None)) == [leaf()]
    assert asked_about(line(leaf(), valid_until=NOW)) == []
    assert asked_about(line(leaf(), valid_from=NOW + DAY)) == [leaf()]


def test_intermediates_are_asked_about_at_the_responder_of_their_issuer():
    responders = [Responder(good_trust().anchors[0], "http://a.example/", nonce=True)]
    found = [certificate for _, certificate in to_ask(responders, good_trust(), Enrolment({}), NOW)]
    assert found == list(good_trust().intermediates)
