"""Certificates of an evidence file are judged as of the time of the entry, by what was known then or later."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.evidence.moment import Moments
from gateway.exchangelog.flaw import Flaw, ProofError
from tests.rules.identity_world import (
    CBE,
    DAY,
    ISSUING,
    ISSUING_LIST,
    NOW,
    ROOT,
    ROOT_LIST,
    SECOND,
    SIGNING,
    TLS,
    ListPlan,
    key,
)
from tests.rules.ocsp_world import REVOKED
from tests.rules.ocsp_world import Plan as Answer

MINE = (SIGNING.serial,)


def pem(plan) -> bytes:
    return plan.make().public_bytes(Encoding.PEM)


def moments(*lists: ListPlan, **change: object) -> Moments:
    usual = {"anchors": [pem(ROOT)], "intermediates": [pem(ISSUING)], "crls": [one.pem() for one in lists]}
    return Moments(**{**usual, **change})


GOOD = moments(ROOT_LIST, ISSUING_LIST)


def told(known: Moments, certificate: bytes = SIGNING.der(), at=NOW) -> Flaw:
    with pytest.raises(ProofError) as caught:
        known.signer(certificate, at)
    return caught.value.flaw


def test_good_certificate_names_its_holder():
    assert GOOD.signer(SIGNING.der(), NOW) == CBE


@pytest.mark.parametrize(
    ("certificate", "flaw"),
    {
        "ended": (replace(SIGNING, until=NOW - SECOND).der(), Flaw.VALIDITY),
        "not begun": (replace(SIGNING, since=NOW + SECOND).der(), Flaw.VALIDITY),
        "on the list": (replace(SIGNING, serial=4711).der(), Flaw.REVOKED),
        "of another issuer": (replace(SIGNING, issuer_key=key(name="other")).der(), Flaw.PATH),
        "for something else": (TLS.der(), Flaw.PATH),
        "no certificate": (b"\x30\x00", Flaw.PATH),
    }.values(),
)
def test_certificate_that_was_not_to_be_believed_is_told(certificate, flaw):
    assert told(GOOD, certificate) is flaw


def test_path_must_lead_to_an_anchor_that_is_given():
    other = replace(ROOT, key=key("P-384", "other root"), issuer_key=key("P-384", "other root"))
    assert told(moments(anchors=[pem(other)])) is Flaw.PATH
    assert told(moments(ROOT_LIST, ISSUING_LIST, intermediates=[])) is Flaw.PATH
    assert told(moments(anchors=[b"no certificate"])) is Flaw.PATH
    assert told(moments(crls=[b"no list"])) is Flaw.PATH


def test_the_list_of_that_time_counts_not_the_newest():
    earlier = replace(ISSUING_LIST, since=NOW - 9 * DAY, until=NOW - 2 * DAY)
    later = replace(ISSUING_LIST, since=NOW + 20 * DAY, until=NOW + 27 * DAY)
    known = moments(ROOT_LIST, earlier, ISSUING_LIST, later)
    assert known.signer(SIGNING.der(), NOW) == CBE
    assert told(moments(ROOT_LIST, earlier)) is Flaw.REVOCATION
    assert told(moments(ROOT_LIST, later)) is Flaw.REVOCATION
    assert told(moments(ROOT_LIST)) is Flaw.REVOCATION


def test_revocation_counts_from_its_date_whichever_list_tells_it():
    """`identity_world` revokes a day before NOW."""
    later = replace(ISSUING_LIST, since=NOW + DAY, until=NOW + 27 * DAY, revoked=MINE)
    known = moments(ROOT_LIST, replace(ISSUING_LIST, since=NOW - 3 * DAY), later)
    assert told(known) is Flaw.REVOKED
    assert told(known, at=NOW - DAY) is Flaw.REVOKED
    # The certificate and the lists hold since then, but it was not revoked yet.
    before = NOW - DAY - SECOND
    earlier = replace(SIGNING, since=NOW - 9 * DAY)
    roots = replace(ROOT_LIST, since=NOW - 9 * DAY, revoked=())
    authorities = {
        "anchors": [pem(replace(ROOT, since=NOW - 9 * DAY))],
        "intermediates": [pem(replace(ISSUING, since=NOW - 9 * DAY))],
    }
    known = moments(roots, replace(ISSUING_LIST, since=NOW - 3 * DAY, revoked=()), later, **authorities)
    assert known.signer(earlier.der(), before) == CBE
    assert told(known, earlier.der(), NOW) is Flaw.REVOKED


def test_list_that_is_dated_back_was_not_known_before_what_it_tells():
    """It says to be of two days ago, and that somebody was revoked a day ago."""
    dated_back = replace(ISSUING_LIST, since=NOW - 2 * DAY, revoked=(7, *MINE))
    earlier = replace(ISSUING_LIST, since=NOW - 3 * DAY, revoked=())
    roots = replace(ROOT_LIST, since=NOW - 9 * DAY, revoked=())
    old = {"since": NOW - 9 * DAY}
    authorities = {"anchors": [pem(replace(ROOT, **old))], "intermediates": [pem(replace(ISSUING, **old))]}
    known, certificate = moments(roots, earlier, dated_back, **authorities), replace(SIGNING, **old).der()
    assert known.signer(certificate, NOW - DAY - SECOND) == CBE
    assert told(known, certificate, NOW) is Flaw.REVOKED


def test_a_list_that_another_authority_made_revokes_nobody():
    other = replace(ISSUING_LIST, since=NOW + DAY, revoked=MINE, key=key(name="other"))
    assert moments(ROOT_LIST, ISSUING_LIST, other).signer(SIGNING.der(), NOW) == CBE


def test_answer_of_a_responder_is_enough_at_its_time():
    known = moments(ROOT_LIST, answers=[Answer().der()])
    assert known.signer(SIGNING.der(), NOW) == CBE
    assert told(known, at=NOW + 2 * DAY) is Flaw.REVOCATION
    assert told(moments(ROOT_LIST, answers=[Answer(status=REVOKED).der()])) is Flaw.REVOKED
    assert told(moments(ROOT_LIST, answers=[b"no answer"])) is Flaw.REVOCATION
    other = replace(SIGNING, serial=1001)
    assert told(known, other.der()) is Flaw.REVOCATION
