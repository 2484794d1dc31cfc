"""PROTOCOL §5.3: who is who where identities overlap: two roles of one legal person, a municipality that merged into
another, an authority that is suspended between two messages."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.agreement.course import NisMerger
from gateway.agreement.register import Register, load_register
from gateway.identity.authority import identify, identify_provider, recognise
from gateway.identity.certify import issue_leaf
from gateway.identity.chain import Certificates, Usage
from gateway.identity.enrolment import Enrolled, Enrolment
from gateway.identity.issue import KeyKind, new_key
from gateway.identity.leaf import Purpose
from gateway.model import Authority, AuthorityId, Inscription, Role
from gateway.policy.routing import competent, moved
from gateway.refusal import Code, Refusal
from tests.rules.identity_world import NOW
from tests.rules.test_identity_authority import FILE, authority, certificates, der, issuer, verified
from tests.rules.test_policy_routing import HOME, agreement, told

OLD, NEW = AuthorityId("MUN_OLD"), AuthorityId("MUN_BRUSSELS")
OLD_CODE, NEW_CODE = "21099", "21004"
MERGED = date(2025, 1, 1)
LINE = f"""
[[authority]]
id = "{OLD}"
name = {{ nl = "Oud", fr = "Ancienne", de = "Alt", en = "Old" }}
role = "MUN"
cbe = "0998044480"
nis = "{OLD_CODE}"
region = "BRUSSELS"
tls_name = "mun-old.wib.example"
suite = "rsa-sha256"
signed_addressing = false
active = true
"""


@cache
def known() -> Register:
    """The register in which both municipalities have their line."""
    return load_register(FILE.read_bytes() + LINE.encode(), FILE.name)


def without(register: Register, name: AuthorityId) -> Register:
    """The same with one authority suspended."""
    text = FILE.read_text() + LINE
    start = text.index(f'id = "{name}"')
    text = text[:start] + text[start:].replace("active = true", "active = false", 1)
    return load_register(text.encode(), FILE.name)


@cache
def old(purpose: Purpose) -> bytes:
    """A certificate of the municipality that merged."""
    key = new_key(KeyKind.P256).public_key()
    return issue_leaf(key, known().by_id[OLD], purpose, issuer(), NOW).public_bytes(Encoding.DER)


def line(holder: Authority, certificate: bytes, purpose: Purpose = Purpose.SIGN, **window) -> Enrolled:
    return Enrolled(holder, purpose, sha256(certificate).digest(), **window)


def listed(*more: Enrolled, **window) -> Certificates:
    """The development PKI's list, the old municipality's two certificates, and more."""
    lines = [line(known().by_id[OLD], old(purpose), purpose, **window) for purpose in Purpose]
    lines += certificates().enrolment.by_fingerprint.values()
    return Certificates(certificates().trust, Enrolment.of([*lines, *more]))


def outcome(tls: bytes, signed: bytes, known_: Certificates | None = None, register: Register | None = None):
    """The caller's id, or the code and what it is about."""
    used, register = known_ or listed(), register or known()
    try:
        peer = recognise(tls, Usage.TLS_CLIENT, used, register, NOW)
        return identify(verified(signed), peer, used, register, NOW).authority.id
    except Refusal as refusal:
        return refusal.code, refusal.about


TLS, SIGN = Purpose.TLS, Purpose.SIGN
DIFFER = (Code.IDENTITIES_DIFFER, "")
NOT_ENROLLED = (Code.CERTIFICATE, "enrolment")


# Two roles of one legal person.


def test_each_role_of_one_legal_person_speaks_for_itself():
    for name in ("PLATFORM", "NSSO"):
        assert outcome(der(f"{name}/tls"), der(f"{name}/sign")) == name
    assert outcome(der("PLATFORM/tls"), der("NSSO/sign")) == DIFFER
    assert outcome(der("NSSO/tls"), der("PLATFORM/sign")) == DIFFER


def test_enrolment_for_the_other_role_gives_that_role_nothing():
    """A slip of the operator: the line says NSSO, the certificate says PLATFORM."""
    wrong = {
        Purpose.SIGN: line(authority("NSSO"), der("PLATFORM/sign")),
        Purpose.TLS: line(authority("NSSO"), der("PLATFORM/tls"), Purpose.TLS),
    }
    assert outcome(der("PLATFORM/tls"), der("PLATFORM/sign"), listed(wrong[SIGN])) == NOT_ENROLLED
    assert outcome(der("NSSO/tls"), der("PLATFORM/sign"), listed(wrong[SIGN])) == NOT_ENROLLED
    assert outcome(der("PLATFORM/tls"), der("NSSO/sign"), listed(wrong[TLS])) == (Code.STRANGER, "enrolment")


def test_a_provider_answers_in_the_role_that_was_asked():
    """Attack K27."""

    def answered(signer: str, expected: str) -> str:
        return identify_provider(
            verified(der(f"{signer}/sign")), authority(expected), listed(), known(), NOW
        ).authority.id

    assert answered("NSSO", "NSSO") == "NSSO"
    with pytest.raises(Refusal) as caught:
        answered("PLATFORM", "NSSO")
    assert caught.value.code is Code.PROVIDER_IDENTITY


# A municipality that became part of another.


def test_a_municipality_that_merged_stays_who_it_was_as_long_as_its_line_is_there():
    assert outcome(old(TLS), old(SIGN)) == OLD
    assert outcome(der(f"{NEW}/tls"), der(f"{NEW}/sign")) == NEW


def test_it_never_speaks_for_its_successor_nor_its_successor_for_it():
    assert outcome(old(TLS), der(f"{NEW}/sign")) == DIFFER
    assert outcome(der(f"{NEW}/tls"), old(SIGN)) == DIFFER
    heir = line(known().by_id[NEW], old(SIGN))
    assert outcome(der(f"{NEW}/tls"), old(SIGN), listed(heir)) == NOT_ENROLLED


def test_a_file_that_names_its_code_goes_to_its_successor_alone():
    for code in (OLD_CODE, NEW_CODE):
        found = competent([Role.MUN], told({HOME: code}), agreement(), known(), NOW.date())
        assert found[Role.MUN].id == NEW
    before = competent([Role.MUN], told({HOME: OLD_CODE}), agreement(), known(), MERGED - timedelta(days=1))
    assert before[Role.MUN].id == OLD
    assert NisMerger(OLD_CODE, NEW_CODE, MERGED) in agreement().places.mergers


def test_its_part_in_a_dossier_ends_when_its_successor_gets_it():
    since = NOW - timedelta(days=30)
    kept = Inscription(OLD, Role.MUN, since, None)
    after = moved([kept], frozenset(), {Role.MUN: known().by_id[NEW]}, NOW)
    assert after == (replace(kept, until=NOW), Inscription(NEW, Role.MUN, NOW, None))


def test_its_end_is_a_suspension_or_the_end_of_its_lines():
    assert outcome(old(TLS), old(SIGN), register=without(known(), OLD)) == (Code.SUSPENDED, "")
    assert outcome(old(TLS), old(SIGN), listed(valid_until=NOW)) == (Code.STRANGER, "enrolment")
    for used, register in ((listed(), without(known(), OLD)), (listed(valid_until=NOW), known())):
        assert outcome(der(f"{NEW}/tls"), der(f"{NEW}/sign"), used, register) == NEW


# Suspension between two messages.


def test_suspension_takes_effect_with_the_next_message_of_a_connection():
    """Attack I08: the verdict on the certificate is remembered, the register is not."""
    used = listed()
    peer = recognise(der("BRUSSELS/tls"), Usage.TLS_CLIENT, used, known(), NOW)
    message = verified(der("BRUSSELS/sign"))
    assert identify(message, peer, used, known(), NOW).authority.id == "BRUSSELS"
    suspended = without(known(), AuthorityId("BRUSSELS"))
    for first in (peer, recognise(der("BRUSSELS/tls"), Usage.TLS_CLIENT, used, suspended, NOW)):
        with pytest.raises(Refusal) as caught:
            identify(message, first, used, suspended, NOW)
        assert caught.value.code is Code.SUSPENDED
    assert identify(message, peer, used, known(), NOW).authority.id == "BRUSSELS"
