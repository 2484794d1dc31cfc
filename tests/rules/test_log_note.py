"""Signed notes, keys, checkpoints and proof files, byte for byte."""

from __future__ import annotations

from base64 import b64decode, b64encode
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.exchangelog import merkle
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import Note, Signature, Signer, Verifier, open_note, parse_note
from gateway.exchangelog.proof import TlogProof
from tests.flaws import may_be_refused

# The example of golang.org/x/mod/sumdb/note, key included.
NEUMANN_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
NEUMANN_NOTE = (
    f"{NEUMANN_TEXT}\n\u2014 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()
# The example of C2SP signed-note.
EXAMPLE = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE_NOTE = (
    "This is an example message.\n\n\u2014 example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()

SIGNER = Signer.of("xlog.hub.example/2026", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = Signer.of("witness.example", Ed25519PrivateKey.from_private_bytes(bytes(32)))
TEXT = "one\n\ntwo\n"
LEAVES = [merkle.leaf_hash(b"%d" % index) for index in range(7)]
CHECKPOINT = sign_checkpoint(7, merkle.root(LEAVES), [SIGNER])
PROOF = TlogProof(5, tuple(merkle.prove_inclusion(merkle.nodes_of(LEAVES), 5, 7)), CHECKPOINT, b"5")


def flaw_of(call, *arguments) -> Flaw:
    with pytest.raises(ProofError) as caught:
        call(*arguments)
    return caught.value.flaw


def written(text: str, signers: list[Signer]) -> bytes:
    return Note(text, tuple(one.sign(text) for one in signers)).serialise()


def test_published_note_is_signed_byte_for_byte():
    seed = b64decode(NEUMANN_PRIVATE.split("+", 4)[4])[1:]
    signer = Signer.of("PeterNeumann", Ed25519PrivateKey.from_private_bytes(seed))
    assert signer.verifier.vkey == NEUMANN
    assert written(NEUMANN_TEXT, [signer]) == NEUMANN_NOTE


@pytest.mark.parametrize(("vkey", "data"), [(NEUMANN, NEUMANN_NOTE), (EXAMPLE, EXAMPLE_NOTE)])
def test_published_notes_verify_under_their_published_keys(vkey, data):
    note = open_note(data, [Verifier.parse(vkey)])
    assert note.serialise() == data
    assert Verifier.parse(vkey).vkey == vkey


@pytest.mark.parametrize(
    "vkey",
    [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",  # too long, id adjusted
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",  # unknown type, id adjusted
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a3+!!!!",
        "",
    ],
)
def test_malformed_keys_are_refused(vkey):
    assert flaw_of(Verifier.parse, vkey) is Flaw.KEY_FORM


def test_every_proper_part_of_a_key_is_refused():
    for start in range(len(NEUMANN)):
        for end in range(start, len(NEUMANN) + 1):
            if (start, end) != (0, len(NEUMANN)):
                assert flaw_of(Verifier.parse, NEUMANN[start:end]) is Flaw.KEY_FORM


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\u2003b", "a\nb", "a\x01b"])
def test_names_that_no_note_can_carry_are_refused(name):
    assert flaw_of(Signer.of, name, SIGNER.key) is Flaw.KEY_FORM


def test_text_with_empty_lines_is_split_at_the_last():
    note = open_note(written(TEXT, [SIGNER]), [SIGNER.verifier])
    assert note.text == TEXT


def test_lines_of_unknown_keys_are_kept_and_ignored():
    data = written(TEXT, [OTHER, SIGNER])
    assert len(open_note(data, [SIGNER.verifier]).signatures) == 2
    same_name = Verifier(SIGNER.name, OTHER.verifier.public)
    assert open_note(data, [same_name, SIGNER.verifier]).text == TEXT


def test_sixteen_signatures_are_accepted_and_a_hundred_and_one_are_not():
    signers = [
        Signer.of(f"witness{number}.example", Ed25519PrivateKey.from_private_bytes(bytes([number] * 32)))
        for number in range(101)
    ]
    assert len(open_note(written(TEXT, signers[:16]), [signers[15].verifier]).signatures) == 16
    assert flaw_of(parse_note, written(TEXT, signers)) is Flaw.NOTE_FORM


def test_note_without_a_line_of_a_known_key_is_refused():
    assert flaw_of(open_note, written(TEXT, [OTHER]), [SIGNER.verifier]) is Flaw.UNSIGNED
    assert flaw_of(open_note, written(TEXT, [SIGNER]), []) is Flaw.UNSIGNED


def test_one_wrong_line_of_a_known_key_refuses_the_note():
    good, wrong = SIGNER.sign(TEXT), Signature(OTHER.name, OTHER.verifier.key_id, bytes(64))
    data = Note(TEXT, (good, wrong)).serialise()
    assert open_note(data, [SIGNER.verifier]).text == TEXT
    assert flaw_of(open_note, data, [SIGNER.verifier, OTHER.verifier]) is Flaw.SIGNATURE


def test_every_bit_of_a_signed_note_matters():
    data = written(TEXT, [SIGNER])
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ProofError):
            open_note(bytes(changed), [SIGNER.verifier])


LINE = SIGNER.sign(TEXT).line
NON_CANONICAL = LINE.rstrip("=\n")[:-1] + "B==\n"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "text\n",
        "text\n\n",
        f"text\n{LINE}",
        f"\n\n{LINE}"[1:],
        f"text\n\n{LINE}"[:-1],
        f"text\n\n{LINE}trailing\n",
        f"te\rxt\n\n{LINE}",
        f"te\x00xt\n\n{LINE}",
        f"text\n\n{LINE.replace(chr(0x2014), '-')}",
        f"text\n\n{LINE.replace(' ', '  ', 1)}",
        "text\n\n\u2014 name AAAA\n",
        "text\n\n\u2014 name AAAAAA=\n",
        "text\n\n\u2014 na+me AAAAAAA=\n",
        "text\n\n\u2014 AAAAAAA=\n",
        f"text\n\n{NON_CANONICAL}",
    ],
)
def test_malformed_notes_are_refused(content):
    assert flaw_of(parse_note, content.encode()) is Flaw.NOTE_FORM


def test_note_that_is_not_utf8_or_too_large_is_refused():
    assert flaw_of(parse_note, b"te\xffxt\n\n" + LINE.encode()) is Flaw.NOTE_FORM
    assert flaw_of(parse_note, b"x" * 1_000_001) is Flaw.NOTE_FORM


@settings(deadline=None)
@given(st.binary() | st.text().map(str.encode) | st.text().map(lambda text: f"{text}\n\n{LINE}".encode()))
def test_note_parser_refuses_or_returns_what_serialises_to_the_same(data):
    with may_be_refused(Flaw.NOTE_FORM):
        assert parse_note(data).serialise() == data


@settings(deadline=None)
@given(st.text())
def test_key_parser_refuses_or_returns_what_is_written_the_same(vkey):
    with may_be_refused(Flaw.KEY_FORM):
        assert Verifier.parse(vkey).vkey == vkey


# Checkpoints


def test_checkpoint_has_the_three_lines_of_the_format():
    root = b64encode(merkle.root(LEAVES)).decode()
    assert CHECKPOINT.startswith(
        f"xlog.hub.example/2026\n7\n{root}\n\n\u2014 xlog.hub.example/2026 ".encode()
    )
    assert open_checkpoint(CHECKPOINT, [SIGNER.verifier]) == Checkpoint(SIGNER.name, 7, merkle.root(LEAVES))


def test_checkpoint_of_another_log_under_the_same_key_is_refused():
    text = Checkpoint("other.example", 7, merkle.root(LEAVES)).text
    assert flaw_of(open_checkpoint, written(text, [SIGNER]), [SIGNER.verifier]) is Flaw.ORIGIN


ROOT = b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "o\n7\n",
        f"o\n7\n{ROOT}",
        f"\n7\n{ROOT}\n",
        f"o\n07\n{ROOT}\n",
        f"o\n-7\n{ROOT}\n",
        f"o\n+7\n{ROOT}\n",
        f"o\n７\n{ROOT}\n",
        f"o\n{1 << 63}\n{ROOT}\n",
        f"o\n{10**30}\n{ROOT}\n",
        f"o\n0\n{ROOT}\n",  # an empty tree has the root of nothing
        f"o\n7\n{ROOT[:-4]}\n",
        f"o\n7\n{ROOT[:-2]}B=\n",
        f"o\n7\n{ROOT}\n\n",
        f"o\n7\n{ROOT}\n\nextension\n",
    ],
)
def test_malformed_checkpoints_are_refused(text):
    assert flaw_of(Checkpoint.parse, text) is Flaw.CHECKPOINT_FORM


def test_extension_lines_of_others_are_kept():
    assert Checkpoint.parse(f"o\n7\n{ROOT}\nextension\n").extensions == ("extension",)


@settings(deadline=None)
@given(st.text() | st.builds("o\n{}\n{}\n{}".format, st.integers(), st.just(ROOT), st.text()))
def test_checkpoint_parser_refuses_or_returns_what_is_written_the_same(text):
    with may_be_refused(Flaw.CHECKPOINT_FORM):
        assert Checkpoint.parse(text).text == text


# Proof files


def test_proof_file_has_the_lines_of_the_format():
    lines = PROOF.serialise().decode().split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra NQ==", "index 5"]
    assert [b64decode(line) for line in lines[3 : 3 + len(PROOF.hashes)]] == list(PROOF.hashes)
    assert PROOF.serialise().endswith(b"\n\n" + CHECKPOINT)


def test_proof_file_verifies_for_its_entry_only():
    assert TlogProof.parse(PROOF.serialise()).verify(b"5", [SIGNER.verifier]).size == 7
    assert flaw_of(PROOF.verify, b"6", [SIGNER.verifier]) is Flaw.ROOT
    assert flaw_of(PROOF.verify, b"5", [OTHER.verifier]) is Flaw.UNSIGNED


def parse_and_verify(data: bytes) -> None:
    found = TlogProof.parse(data)
    found.verify(found.extra or b"", [SIGNER.verifier])


def test_every_bit_of_a_proof_file_matters():
    data = PROOF.serialise()
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ProofError):
            parse_and_verify(bytes(changed))


def test_proof_of_a_single_entry_has_no_hashes():
    checkpoint = sign_checkpoint(1, LEAVES[0], [SIGNER])
    proof = TlogProof(0, (), checkpoint)
    assert proof.serialise() == b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + checkpoint
    assert TlogProof.parse(proof.serialise()).verify(b"0", [SIGNER.verifier]).size == 1


HASH = b64encode(sha256(b"").digest()).decode()


@pytest.mark.parametrize(
    "head",
    [
        "",
        "c2sp.org/tlog-proof@v2\nindex 0",
        "c2sp.org/tlog-proof@v1",
        "c2sp.org/tlog-proof@v1\nindex 00",
        "c2sp.org/tlog-proof@v1\nindex -1",
        "c2sp.org/tlog-proof@v1\nindex",
        f"c2sp.org/tlog-proof@v1\n{HASH}\nindex 0",
        "c2sp.org/tlog-proof@v1\nextra !\nindex 0",
        "c2sp.org/tlog-proof@v1\nextra AA==\nextra AA==\nindex 0",
        "c2sp.org/tlog-proof@v1\nindex 0\nextra AA==",
        f"c2sp.org/tlog-proof@v1\nindex 0\n{HASH}x",
        "c2sp.org/tlog-proof@v1\nindex 0" + f"\n{HASH}" * 64,
    ],
)
def test_malformed_proof_files_are_refused(head):
    assert flaw_of(TlogProof.parse, head.encode() + b"\n\n" + CHECKPOINT) is Flaw.PROOF_FORM


def test_proof_file_with_a_short_hash_or_without_checkpoint_is_refused():
    short = b"c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\n" + CHECKPOINT
    assert flaw_of(TlogProof.parse, short) is Flaw.HASH_LENGTH
    assert flaw_of(TlogProof.parse, b"c2sp.org/tlog-proof@v1\nindex 0\n\n") is Flaw.NOTE_FORM
    assert flaw_of(TlogProof.parse, b"c2sp.org/tlog-proof@v1\nindex 0\n") is Flaw.PROOF_FORM


@settings(deadline=None)
@given(st.binary() | st.binary().map(lambda data: b"c2sp.org/tlog-proof@v1\n" + data + b"\n\n" + CHECKPOINT))
def test_proof_parser_refuses_or_returns_what_serialises_to_the_same(data):
    with may_be_refused(*Flaw):
        assert TlogProof.parse(data).serialise() == data
