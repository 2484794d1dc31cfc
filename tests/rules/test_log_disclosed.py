"""One value shown to somebody else: it proves itself, opens nothing else, and cannot be another value."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import rfc8785

from gateway.exchangelog.disclosed import DisclosedValue
from gateway.exchangelog.fields import FieldRecord, disclosure
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import Verifier
from tests.flaws import may_be_refused
from tests.rules.test_log_receipt import KEYS, NAME, OTHER_LOG, STATUS, WITHHELD, held, log


def disclosed(path: str = STATUS) -> DisclosedValue:
    return DisclosedValue.of(path, held(), log().receipt(3), KEYS)


def flaw_of(call, *arguments) -> Flaw:
    with pytest.raises(ProofError) as caught:
        call(*arguments)
    return caught.value.flaw


def test_a_value_proves_itself_with_nothing_but_its_file_and_the_key():
    shown = DisclosedValue.parse(disclosed().serialise()).verify(KEYS)
    assert (shown.path, shown.value, shown.index) == (STATUS, ("SUBMITTED",), 3)
    assert shown.leaf.caller == held().recipient
    assert shown.checkpoint.size == 6


def test_that_there_was_no_value_can_be_shown_too():
    assert disclosed(NAME).verify(KEYS).value == ()


def test_the_file_is_canonical_and_reads_back():
    written = disclosed().serialise()
    assert rfc8785.dumps(json.loads(written)) == written
    assert DisclosedValue.parse(written).serialise() == written


def test_the_file_holds_no_other_value_salt_or_seed():
    written = disclosed().serialise()
    assert b"85073003328" not in written
    others = [disclosed(path).disclosure for path in (NAME, "dossier/worker/ssin")]
    assert not any(one in written for one in others)
    assert log().receipt(3).proof.seed.hex().encode() not in written


@pytest.mark.parametrize("path", [WITHHELD, "dossier/worker/shoeSize"])
def test_what_was_not_released_cannot_be_shown(path):
    assert flaw_of(disclosed, path) is Flaw.NOT_RELEASED


def test_of_a_reply_that_does_not_match_nothing_is_shown():
    wrong = held(values={**held().values, STATUS: ("GRANTED",)})
    assert flaw_of(DisclosedValue.of, STATUS, wrong, log().receipt(3), KEYS) is Flaw.VALUE


def forged(**change: object) -> Flaw:
    return flaw_of(replace(disclosed(), **change).verify, KEYS)


def test_another_value_under_the_same_record_is_found_out():
    assert forged(disclosure=disclosure(bytes(18), STATUS, ["GRANTED"])) is Flaw.DISCLOSURE
    assert forged(disclosure=disclosed(NAME).disclosure) is Flaw.DISCLOSURE


def test_a_record_that_is_not_of_the_entry_is_found_out():
    other = DisclosedValue.of(STATUS, held(1), log().receipt(1), KEYS)
    assert forged(record=other.record, disclosure=other.disclosure) is Flaw.ROOT
    assert forged(position=1) is Flaw.ROOT
    assert forged(position=6) is Flaw.RANGE
    assert forged(position=-1) is Flaw.RANGE
    assert forged(hashes=disclosed().hashes[:-1]) is Flaw.PROOF_LENGTH
    withheld = FieldRecord(WITHHELD, None, "ROLE")
    assert forged(record=withheld) is not None


def test_an_entry_of_another_log_is_found_out():
    other: list[Verifier] = [OTHER_LOG.verifier]
    assert flaw_of(disclosed().verify, other) is Flaw.UNSIGNED


def test_an_entry_that_released_nothing_discloses_nothing():
    assert forged(proof=log().receipt(2).proof.tlog) is Flaw.FIELDS


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"more": 1},
        {"record": ["w", STATUS, "ROLE"]},
        {"record": ["r", STATUS]},
        {"position": True},
        {"position": "2"},
        {"hashes": ["AA"]},
        {"hashes": 3},
        {"proof": None},
        {"disclosure": "é"},
    ],
    ids=str,
)
def test_a_file_of_another_form_is_refused(change):
    told = json.loads(disclosed().serialise()) | change
    assert flaw_of(DisclosedValue.parse, rfc8785.dumps(told)) is Flaw.DISCLOSED_FORM


def test_a_file_that_is_not_canonical_is_refused():
    spaced = json.dumps(json.loads(disclosed().serialise()), sort_keys=True).encode()
    assert flaw_of(DisclosedValue.parse, spaced) is Flaw.DISCLOSED_FORM


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000], ids=repr)
def test_what_is_no_such_file_at_all_is_refused(data):
    assert flaw_of(DisclosedValue.parse, data) is Flaw.DISCLOSED_FORM


def test_no_flipped_bit_of_the_file_shows_another_value():
    written = disclosed().serialise()
    for at in range(0, len(written), 7):
        altered = bytearray(written)
        altered[at] ^= 1
        with may_be_refused(*Flaw):
            shown = DisclosedValue.parse(bytes(altered)).verify(KEYS)
            assert (shown.path, shown.value, shown.index) == (STATUS, ("SUBMITTED",), 3)
