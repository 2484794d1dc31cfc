"""Consistency proofs as files: the form of a witness's request, and what does not verify."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.exchangelog import merkle
from gateway.exchangelog.checkpoint import Checkpoint, sign_checkpoint
from gateway.exchangelog.consistency import ConsistencyProof
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.merkle import leaf_hash
from tests.flaws import may_be_refused
from tests.sites import ORIGIN, OTHER, SIGNER, VERIFIER

LEAVES = [leaf_hash(b"%d" % index) for index in range(300)]


def at(size: int) -> Checkpoint:
    return Checkpoint(ORIGIN, size, merkle.root(LEAVES[:size]))


def proof(old: int = 100, new: int = 300, signer=SIGNER) -> ConsistencyProof:
    hashes = merkle.prove_consistency(merkle.nodes_of(LEAVES[:new]), old, new)
    return ConsistencyProof(old, tuple(hashes), sign_checkpoint(new, at(new).root, [signer]))


def test_the_file_is_the_body_that_a_witness_takes():
    made = proof()
    lines = made.serialise().decode().split("\n")
    hashes = [b64encode(one).decode() for one in made.hashes]
    assert lines[: len(hashes) + 2] == ["old 100", *hashes, ""]
    assert "\n".join(lines[len(hashes) + 2 :]).encode() == made.checkpoint


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 300))
def test_every_later_checkpoint_is_proved_to_extend_every_earlier_one(one, other):
    old, new = sorted((one, other))
    read = ConsistencyProof.parse(proof(old, new).serialise())
    assert read == proof(old, new)
    assert read.verify(at(old), [VERIFIER]) == at(new)


def test_a_proof_between_equal_checkpoints_has_no_hashes():
    assert proof(300, 300).hashes == ()


REFUSED = {
    "of another key": (lambda: proof(signer=OTHER), at(100), Flaw.UNSIGNED),
    "from another size": (proof, at(101), Flaw.OTHER_SIZE),
    "from another tree": (proof, Checkpoint(ORIGIN, 100, bytes(32)), Flaw.ROOT),
    "from another log": (proof, Checkpoint("x", 100, at(100).root), Flaw.ORIGIN),
    "a hash too few": (
        lambda: ConsistencyProof(100, proof().hashes[1:], proof().checkpoint),
        at(100),
        Flaw.PROOF_LENGTH,
    ),
    "from the empty log": (lambda: ConsistencyProof(0, (), proof().checkpoint), at(0), Flaw.RANGE),
    "to an earlier one": (lambda: ConsistencyProof(300, (), proof(50, 100).checkpoint), at(300), Flaw.RANGE),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_proves_nothing_is_refused(what):
    made, earlier, flaw = REFUSED[what]
    with pytest.raises(ProofError) as caught:
        made().verify(earlier, [VERIFIER])
    assert caught.value.flaw is flaw


MALFORMED = {
    "empty": b"",
    "no size": b"\n" + proof().checkpoint,
    "another word": proof().serialise().replace(b"old ", b"new "),
    "a leading zero": proof().serialise().replace(b"old 100", b"old 0100"),
    "a sign": proof().serialise().replace(b"old 100", b"old -100"),
    "no empty line": proof().serialise().replace(b"\n\n", b"\n", 1),
    "a hash that is none": proof().serialise().replace(b"old 100\n", b"old 100\nAAAA\n"),
    "no base64": proof().serialise().replace(b"old 100\n", b"old 100\n!\n"),
    "64 hashes": ConsistencyProof(100, tuple(LEAVES[:64]), proof().checkpoint).serialise(),
    "no ASCII": b"old \xb2\n\n" + proof().checkpoint,
    "no checkpoint": b"old 100\n\n",
}


@pytest.mark.parametrize("what", MALFORMED)
def test_what_has_another_form_is_refused(what):
    with pytest.raises(ProofError) as caught:
        ConsistencyProof.parse(MALFORMED[what])
    assert caught.value.flaw in {Flaw.CONSISTENCY_FORM, Flaw.HASH_LENGTH, Flaw.NOTE_FORM}


@settings(deadline=None)
@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda data: b"old 7\n" + data))
def test_the_parser_refuses_or_returns_what_serialises_to_the_same(data):
    with may_be_refused(Flaw.CONSISTENCY_FORM, Flaw.HASH_LENGTH, Flaw.NOTE_FORM):
        assert ConsistencyProof.parse(data).serialise() == data


def test_a_flipped_bit_anywhere_is_refused():
    data = proof().serialise()
    for at_, byte in enumerate(data):
        for bit in range(8):
            flipped = data[:at_] + bytes([byte ^ 1 << bit]) + data[at_ + 1 :]
            with pytest.raises(ProofError):
                ConsistencyProof.parse(flipped).verify(at(100), [VERIFIER])
