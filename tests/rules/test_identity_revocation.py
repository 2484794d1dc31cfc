"""PROTOCOL §5.1: lists and answers clear a certificate, what ran out counts under grace, *revoked* always counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.identity.chain import Certificates, Usage
from gateway.identity.enrolment import Enrolled, Enrolment
from gateway.identity.leaf import Purpose
from gateway.identity.revocation import Answers, Word
from gateway.refusal import Refusal
from tests.rules.identity_world import DAY, ISSUING_LIST, NOW, ROOT_LIST, SECOND, SIGNING, World
from tests.rules.test_identity_authority import authority

GRACE = timedelta(hours=1)
OLD = replace(ISSUING_LIST, until=NOW - SECOND)  # ran out a second ago
HOPELESS = replace(ISSUING_LIST, until=NOW - GRACE - SECOND)
GONE = replace(OLD, revoked=(SIGNING.serial,))
COMING = replace(ISSUING_LIST, since=NOW + SECOND)


@cache
def certificate():
    return SIGNING.make()


@cache
def der() -> bytes:
    return certificate().public_bytes(Encoding.DER)


def certificates(*lists, soft: bool = False, enrolled: bool = True, answers: Answers | None = None):
    holder = replace(authority("BRUSSELS"), revocation="soft" if soft else "hard")
    line = Enrolled(holder, Purpose.SIGN, sha256(der()).digest())
    trust = World(lists=(ROOT_LIST, *lists)).trust()
    return Certificates(trust, Enrolment.of([line] if enrolled else []), answers, grace=GRACE)


def judged(known: Certificates, now=NOW) -> str:
    """ "" when it is accepted, else why it is not."""
    try:
        known.validate(der(), Usage.SIGNING, now)
    except Refusal as refusal:
        return refusal.about
    return ""


def answered(*, revoked: bool = False, since=NOW - DAY, until=NOW + DAY) -> Answers:
    answers = Answers()
    answers.learn(certificate(), Word(since, until, revoked))
    return answers


UNKNOWN = "revocation unknown"
TABLE = {
    "hard: a current list": (certificates(ISSUING_LIST), ""),
    "hard: a list that ran out": (certificates(OLD), UNKNOWN),
    "hard: no list": (certificates(), UNKNOWN),
    "soft: a list that ran out, within its grace": (certificates(OLD, soft=True), ""),
    "soft: a list that ran out, after its grace": (certificates(HOPELESS, soft=True), UNKNOWN),
    "soft: never any list": (certificates(soft=True), UNKNOWN),
    "soft: a list that ran out and revokes": (certificates(GONE, soft=True), "revoked"),
    "soft: a list that is not valid yet": (certificates(COMING, soft=True), UNKNOWN),
    "a list that is not valid yet and a current answer": (certificates(COMING, answers=answered()), ""),
    "soft, but the certificate is not enrolled": (certificates(OLD, soft=True, enrolled=False), UNKNOWN),
    "hard: no list and a current answer": (certificates(answers=answered()), ""),
    "hard: a list that ran out and a current answer": (certificates(OLD, answers=answered()), ""),
    "hard: an answer that ran out": (certificates(answers=answered(until=NOW - SECOND)), UNKNOWN),
    "soft: an answer that ran out": (certificates(answers=answered(until=NOW - SECOND), soft=True), ""),
    "an answer that revokes beside a list that does not": (
        certificates(ISSUING_LIST, answers=answered(revoked=True)),
        "revoked",
    ),
    "an answer that ran out and revokes beside a current list": (
        certificates(ISSUING_LIST, answers=answered(revoked=True, until=NOW - SECOND)),
        "revoked",
    ),
    "a list that revokes beside an answer that does not": (
        certificates(replace(ISSUING_LIST, revoked=(SIGNING.serial,)), answers=answered()),
        "revoked",
    ),
    "a list that is not valid yet and revokes beside an answer that does not": (
        certificates(replace(COMING, revoked=(SIGNING.serial,)), answers=answered()),
        "revoked",
    ),
}


@pytest.mark.parametrize(("known", "about"), TABLE.values(), ids=TABLE)
def test_what_is_known_decides(known, about):
    assert judged(known) == about


def test_grace_ends_to_the_second():
    known = certificates(OLD, soft=True)
    assert judged(known, OLD.until + GRACE) == ""
    assert judged(known, OLD.until + GRACE + SECOND) == UNKNOWN


def test_an_answer_that_revokes_ends_a_verdict_that_is_remembered():
    """Attack K28: the list still holds, the responder knows better."""
    known = certificates(ISSUING_LIST)
    assert judged(known) == ""
    known.answers.learn(certificate(), Word(NOW, NOW + DAY, revoked=True))
    assert judged(known) == "revoked"


def test_a_renewed_answer_ends_no_verdict():
    known = certificates(answers=answered())
    first = known.validate(der(), Usage.SIGNING, NOW)
    known.answers.learn(certificate(), Word(NOW, NOW + 2 * DAY, revoked=False))
    assert known.validate(der(), Usage.SIGNING, NOW) is first
    assert known.validate(der(), Usage.SIGNING, NOW + 2 * DAY).valid_until == NOW + 2 * DAY


def test_a_renewed_answer_is_no_grace():
    """The verdict under the first answer would hold by grace, though the second is current."""
    known = certificates(answers=answered(until=NOW + SECOND), soft=True)
    known.validate(der(), Usage.SIGNING, NOW)
    known.answers.learn(certificate(), Word(NOW, NOW + DAY, revoked=False))
    later = NOW + 2 * SECOND
    assert known.validate(der(), Usage.SIGNING, later).current_until >= later


def test_an_answer_after_one_that_ran_out_ends_the_use_of_grace():
    known = certificates(answers=answered(until=NOW - SECOND), soft=True)
    assert known.validate(der(), Usage.SIGNING, NOW).current_until < NOW
    known.answers.learn(certificate(), Word(NOW, NOW + DAY, revoked=False))
    assert known.validate(der(), Usage.SIGNING, NOW).current_until == NOW + DAY


def test_an_older_answer_does_not_replace_a_newer_one():
    """Replayed: it was true once."""
    answers = answered(revoked=True, since=NOW - SECOND)
    answers.learn(certificate(), Word(NOW - DAY, NOW + DAY, revoked=False))
    assert judged(certificates(ISSUING_LIST, answers=answers)) == "revoked"
    answers.learn(certificate(), Word(NOW, NOW + DAY, revoked=False))  # a hold that was lifted
    assert judged(certificates(ISSUING_LIST, answers=answers)) == ""


def test_answers_outlive_lists_that_are_loaded_anew():
    first = certificates(answers=answered())
    assert judged(certificates(OLD, answers=first.answers)) == ""


def test_each_use_of_grace_is_told_and_nothing_else():
    for lists, told in (((OLD,), 2), ((ISSUING_LIST,), 0)):
        known, heard = certificates(*lists, soft=True), []
        known.graced = heard.append
        for _ in range(2):
            validated = known.validate(der(), Usage.SIGNING, NOW)
            known.require_enrolled(validated, Usage.SIGNING, authority("BRUSSELS"), NOW)
        assert [one.id for one in heard] == ["BRUSSELS"] * told
