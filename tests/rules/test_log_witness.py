"""What a witness accepts, and the texts between it and a log (C2SP tlog-witness)."""

from __future__ import annotations

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchangelog import merkle
from gateway.exchangelog.checkpoint import Checkpoint, sign_checkpoint
from gateway.exchangelog.cosignature import Cosigner
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import Note, Signature, parse_note
from gateway.exchangelog.witness import (
    AddCheckpoint,
    Latest,
    WitnessError,
    monitored,
    named,
    read_cosignature,
    read_size,
    require_consistent,
    signed_by_log,
    write_size,
)
from tests.flaws import may_be_refused
from tests.witness_world import LOG, ORIGIN, OTHER, checkpoint, leaves, request

KNOWN = {ORIGIN: [LOG.verifier]}


def latest(size: int, fork: int | None = None) -> Latest:
    return Latest(size, merkle.root(leaves(size, fork)))


def answered(data: bytes, held: Latest) -> int:
    """The status of HTTP."""
    try:
        asked, found = named(data, KNOWN)
        require_consistent(asked, found, held)
    except WitnessError as error:
        return error.status
    return 200


def wrong(asked: AddCheckpoint, *hashes: bytes) -> bytes:
    return AddCheckpoint(asked.old, hashes, asked.note).serialise()


def test_a_request_is_written_as_the_specification_has_it():
    asked = request(5, 7)
    lines = asked.serialise().decode().split("\n")
    assert lines[0] == "old 5"
    assert lines[len(asked.proof) + 1] == ""
    assert lines[len(asked.proof) + 2] == ORIGIN
    assert AddCheckpoint.parse(asked.serialise()) == asked


@pytest.mark.parametrize(
    ("asked", "held", "status"),
    [
        (request(0, 7), latest(0), 200),
        (request(0, 0), latest(0), 200),
        (request(5, 7), latest(5), 200),
        (request(7, 7), latest(7), 200),
        (request(7, 5), latest(7), 400),
        (request(5, 7), latest(7), 409),
        (request(0, 7), latest(5), 409),
        (request(7, 7, fork=3), latest(7), 422),
        (request(5, 7, fork=3), latest(5), 422),
        (request(5, 7, fork=6), latest(5), 200),
        (request(0, 7, signer=OTHER), latest(0), 403),
    ],
)
def test_statuses_are_those_of_the_specification(asked, held, status):
    assert answered(asked.serialise(), held) == status


H = bytes(32)


@pytest.mark.parametrize(
    ("data", "held"),
    [
        (wrong(request(5, 7)), latest(5)),
        (wrong(request(5, 7), *request(5, 7).proof[::-1]), latest(5)),
        (wrong(request(5, 7), *request(5, 7).proof, H), latest(5)),
        (wrong(request(0, 7), H), latest(0)),
        (wrong(request(0, 0), H), latest(0)),
        (wrong(request(7, 7), H), latest(7)),
    ],
)
def test_a_proof_that_does_not_hold_is_422(data, held):
    assert answered(data, held) == 422


@pytest.mark.parametrize(
    ("data", "held", "kept"),
    [
        (wrong(request(5, 7)), latest(5), True),
        (request(5, 7, fork=3).serialise(), latest(5), True),
        (wrong(request(7, 7), H), latest(7), False),
        (wrong(request(0, 7), H), latest(0), False),
        (wrong(request(0, 0), H), latest(0), False),
    ],
)
def test_a_wrong_proof_is_evidence_only_where_one_was_needed(data, held, kept):
    with pytest.raises(WitnessError) as caught:
        require_consistent(*named(data, KNOWN), held)
    assert (caught.value.status, caught.value.evidence) == (422, kept)


def test_409_names_the_size_and_422_keeps_what_the_log_signed():
    with pytest.raises(WitnessError) as caught:
        require_consistent(*named(request(5, 9).serialise(), KNOWN), latest(7))
    assert (caught.value.latest, caught.value.evidence) == (7, False)
    with pytest.raises(WitnessError) as caught:
        require_consistent(*named(request(5, 7, fork=2).serialise(), KNOWN), latest(7))
    assert (caught.value.latest, caught.value.evidence) == (
        7,
        True,
    )  # two roots of one size, whatever was asked
    with pytest.raises(WitnessError) as caught:
        require_consistent(*named(request(7, 7, fork=2).serialise(), KNOWN), latest(7))
    assert (caught.value.flaw, caught.value.evidence) == (Flaw.FORK, True)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"old 0\n",
        b"old 0\n\n",
        b"old 00\n\n" + checkpoint(7),
        b"old -1\n\n" + checkpoint(7),
        b"old 0 \n\n" + checkpoint(7),
        b"new 0\n\n" + checkpoint(7),
        b"old 0\r\n\r\n" + checkpoint(7),
        b"old 5\n" + b"AAAA\n" + b"\n" + checkpoint(7),
        b"old 5\n" + b"\xff\n" + b"\n" + checkpoint(7),
        b"old 5\n" + b"KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n" * 64 + b"\n" + checkpoint(7),
        b"old 0\n\n" + checkpoint(7)[:-1],
        b"old 0\n\n" + checkpoint(7).replace(b"\n7\n", b"\n07\n"),
        b"old 0\n\n" + sign_checkpoint(0, H, [LOG]),
        b"old 0\n\n" + b"x" * 300_000,
    ],
)
def test_what_is_malformed_is_400(data):
    assert answered(data, latest(0)) == 400


def test_a_log_that_nobody_named_is_404():
    with pytest.raises(WitnessError) as caught:
        named(request(0, 7).serialise(), {"another.example/log": [LOG.verifier]})
    assert caught.value.status == 404


def test_a_log_in_the_overlap_of_two_keys_is_known_by_each():
    known = {ORIGIN: [LOG.verifier, OTHER.verifier]}
    for signer in (LOG, OTHER):
        assert named(request(0, 7, signer=signer).serialise(), known)[1].size == 7


def test_lines_of_strangers_are_not_repeated():
    note = parse_note(checkpoint(7))
    stranger = Signature("stranger.example", b"1234", bytes(64))
    more = Note(note.text, (stranger, *note.signatures, *note.signatures)).serialise()
    assert signed_by_log(more, [LOG.verifier]) == note


def test_the_path_of_a_monitor_is_the_hash_of_the_origin():
    assert monitored("example.com/log") == f"{sha256(b'example.com/log').hexdigest()}/checkpoint"


COSIGNER = Cosigner.of("witness.example/w1", Ed25519PrivateKey.from_private_bytes(bytes([7] * 32)))
TEXT = Checkpoint(ORIGIN, 7, merkle.root(leaves(7))).text


def test_of_the_lines_that_a_witness_answers_with_the_known_one_counts():
    line = COSIGNER.sign(TEXT, 99).line.encode()
    other = Cosigner.of("another.example", OTHER.key).sign(TEXT, 98).line.encode()
    for answer in (line, other + line, line + other):
        assert read_cosignature(answer, TEXT, COSIGNER.public)[1] == 99
    for answer, flaw in (
        (other, Flaw.UNSIGNED),
        (b"", Flaw.NOTE_FORM),
        (line[:-1], Flaw.NOTE_FORM),
        (b"\xff\n", Flaw.NOTE_FORM),
        (COSIGNER.sign(TEXT.replace("\n7\n", "\n8\n"), 99).line.encode(), Flaw.SIGNATURE),
    ):
        with pytest.raises(ProofError) as caught:
            read_cosignature(answer, TEXT, COSIGNER.public)
        assert caught.value.flaw is flaw


@pytest.mark.parametrize(
    "answer", [b"", b"7", b"07\n", b"7\n\n", b"-1\n", b"9999999999999999999\n", b"\xff\n"]
)
def test_a_size_has_one_form(answer):
    assert read_size(write_size(7)) == 7
    with pytest.raises(ProofError) as caught:
        read_size(answer)
    assert caught.value.flaw is Flaw.REQUEST_FORM


@given(st.binary(max_size=300))
def test_a_request_of_any_bytes_is_read_or_refused(data):
    with may_be_refused(Flaw.REQUEST_FORM, Flaw.PROOF_FORM, Flaw.HASH_LENGTH):
        assert AddCheckpoint.parse(data).serialise() == data
