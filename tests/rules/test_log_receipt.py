"""What a recipient checks of its own exchange: an honest receipt passes, and each lie of a hub has its code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs

from gateway.exchangelog import merkle
from gateway.exchangelog.checkpoint import sign_checkpoint
from gateway.exchangelog.entry import Entry
from gateway.exchangelog.fields import FieldPlan, FieldRecord
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Kind
from gateway.exchangelog.note import Signer
from gateway.exchangelog.proof import TlogProof
from gateway.exchangelog.receipt import Held, entry_proof, records_of, verify_place, verify_receipt
from gateway.model import Receipt
from tests.exchanges import VALUES, exchange_entries

SIGNER = Signer.of("log.example/2026", Ed25519PrivateKey.generate())
OTHER_LOG = Signer.of("other.example/2026", Ed25519PrivateKey.generate())
KEYS = [SIGNER.verifier]
NAME, STATUS = (
    "dossier/worker/familyName",
    "dossier/header/status",
)  # released: absent in the dossier, present
WITHHELD = "dossier/contact/email"


@dataclass(frozen=True)
class Log:
    """A log in memory that may be asked for anything, at any of its sizes."""

    entries: tuple[Entry, ...]

    def receipt(self, index: int, size: int | None = None, signer: Signer = SIGNER) -> Receipt:
        known = [merkle.leaf_hash(one.leaf) for one in self.entries[:size]]
        note = sign_checkpoint(len(known), merkle.root(known), [signer])
        entry, nodes = self.entries[index], merkle.nodes_of(known)
        path = tuple(merkle.prove_inclusion(nodes, index, len(known))) if index < len(known) else ()
        tlog = TlogProof(index, path, note, entry.leaf)
        fields = entry.fields
        records = () if fields is None else FieldPlan.parse(fields.vector).records(fields.digests)
        seed = None if fields is None else fields.seed
        return Receipt(signer.name, index, note, entry_proof(tlog, records, seed))


@cache
def log() -> Log:
    """Three exchanges: requests at 0, 2 and 4, responses at 1, 3 and 5."""
    return Log(tuple(entry for ticket in ("a", "b", "c") for entry in exchange_entries(ticket)))


def held(index: int = 3, **change: object) -> Held:
    """What the requester of the second exchange holds."""
    usual = Held(
        exchange=log().entries[index].exchange,
        kind=Kind.RESPONSE,
        recipient="0999000110",
        legal_context="WIB:WORK_DECISION",
        operation="consultDossier",
        values={path: texts for path, texts in VALUES.items() if texts},
    )
    return replace(usual, **change)


def with_proof(receipt: Receipt, **change: object) -> Receipt:
    return structs.replace(receipt, proof=structs.replace(receipt.proof, **change))


def flaw_of(held: Held, receipt: Receipt | None, keys=KEYS) -> Flaw:
    with pytest.raises(ProofError) as caught:
        verify_receipt(held, receipt, keys)
    return caught.value.flaw


def test_an_honest_receipt_proves_the_entry_and_its_records():
    proven = verify_receipt(held(), log().receipt(3), KEYS)
    assert (proven.index, proven.checkpoint.size) == (3, 6)
    assert proven.leaf.seal() == log().entries[3].leaf
    assert [one.path for one in proven.records if one.digest is None] == [
        "dossier/contact/email",
        "dossier/contact/phone",
        "dossier/workPlace/address/street",
    ]


def test_any_checkpoint_that_covers_the_entry_will_do():
    assert verify_receipt(held(), log().receipt(3, size=4), KEYS).checkpoint.size == 4


def test_a_key_that_the_log_had_before_is_one_of_its_keys():
    former = Signer.of(SIGNER.name, Ed25519PrivateKey.generate())
    receipt = log().receipt(3)
    assert verify_receipt(held(), receipt, [former.verifier, *KEYS]).index == 3


@pytest.mark.parametrize(
    ("values", "flaw"),
    [
        ({**VALUES, STATUS: ("GRANTED",)}, Flaw.VALUE),
        ({**VALUES, STATUS: ("SUBMITTED", "SUBMITTED")}, Flaw.VALUE),
        ({**VALUES, NAME: ("Exemple",)}, Flaw.VALUE),
        ({STATUS: ("SUBMITTED",)}, Flaw.VALUE_MISSING),
        ({**VALUES, WITHHELD: ("anna@example.be",)}, Flaw.WITHHELD_CAME),
        ({**VALUES, "dossier/worker/shoeSize": ("38",)}, Flaw.UNRECORDED),
    ],
    ids=[
        "a value is changed",
        "a value stands twice",
        "a value came that was recorded as absent",
        "a value was dropped",
        "a withheld field came",
        "a field came that the log does not know",
    ],
)
def test_a_reply_that_is_not_what_was_recorded_is_found_out(values, flaw):
    came = {path: texts for path, texts in values.items() if texts}
    assert flaw_of(held(values=came), log().receipt(3)) is flaw


@pytest.mark.parametrize(
    ("change", "index"),
    [
        ({}, 1),
        ({}, 5),
        ({"kind": Kind.RESPONSE, "values": {}}, 2),
        ({"recipient": "0999000209/PLATFORM"}, 3),
        ({"legal_context": "WIB:RENEWAL"}, 3),
        ({"operation": "consultStatus"}, 3),
    ],
    ids=[
        "an earlier exchange",
        "a later exchange",
        "the request instead of the response",
        "somebody else's",
        "another purpose",
        "another operation",
    ],
)
def test_a_true_receipt_of_something_else_is_found_out(change, index):
    assert flaw_of(held(**change), log().receipt(index)) is Flaw.RECEIPT_OTHER


def test_a_checkpoint_from_before_the_entry_does_not_cover_it():
    old = log().receipt(1, size=2)
    for beyond in (2, 3, -1):
        assert flaw_of(held(), structs.replace(old, index=beyond)) is Flaw.RECEIPT_OLD


def test_the_signature_of_another_log_is_none():
    assert flaw_of(held(), log().receipt(3, signer=OTHER_LOG)) is Flaw.UNSIGNED
    forged = Signer.of(SIGNER.name, Ed25519PrivateKey.generate())
    assert flaw_of(held(), log().receipt(3, signer=forged)) is Flaw.UNSIGNED


def test_a_signature_that_does_not_verify_is_told_apart_from_none():
    receipt = log().receipt(3)
    altered = receipt.checkpoint.replace(b"\n6\n", b"\n7\n", 1)
    assert flaw_of(held(), structs.replace(receipt, checkpoint=altered)) is Flaw.SIGNATURE


def test_place_and_proof_must_name_the_same():
    receipt, other = log().receipt(3), log().receipt(3, size=4)
    assert flaw_of(held(), structs.replace(receipt, index=2)) is Flaw.RECEIPT_DIFFERS
    assert flaw_of(held(), structs.replace(receipt, checkpoint=other.checkpoint)) is Flaw.RECEIPT_DIFFERS
    assert flaw_of(held(), structs.replace(receipt, origin=OTHER_LOG.name)) is Flaw.RECEIPT_DIFFERS


def test_another_entry_or_path_does_not_lead_to_the_root():
    receipt = log().receipt(3)
    tlog = TlogProof.parse(receipt.proof.tlog)
    # The entry of the right exchange, rewritten so that it fits what came, and no other: it has another hash.
    rewritten = replace(tlog, extra=tlog.extra.replace(b'"released"', b'"incomplete"'))
    assert flaw_of(held(), with_proof(receipt, tlog=rewritten.serialise())) is Flaw.ROOT
    shorter = replace(tlog, hashes=tlog.hashes[:-1])
    assert flaw_of(held(), with_proof(receipt, tlog=shorter.serialise())) is Flaw.PROOF_LENGTH


@pytest.mark.parametrize("lie", ["moved to released", "left out", "another reason", "another digest"])
def test_other_records_than_those_in_the_entry_are_found_out(lie):
    receipt = log().receipt(3)
    proof = receipt.proof
    digest = proof.released[0][1]
    change = {
        "moved to released": {
            "released": (*proof.released, (WITHHELD, digest)),
            "withheld": proof.withheld[1:],
        },
        "left out": {"withheld": proof.withheld[1:]},
        "another reason": {"withheld": (*proof.withheld[:-1], (proof.withheld[-1][0], "ROLE"))},
        "another digest": {"released": ((STATUS, proof.released[1][1]), *proof.released[1:])},
    }[lie]
    assert proof.withheld[0][0] == WITHHELD
    assert flaw_of(held(), with_proof(receipt, **change)) is Flaw.FIELDS


def test_one_path_cannot_be_released_and_withheld():
    proof = log().receipt(3).proof
    both = structs.replace(proof, withheld=(*proof.withheld, (STATUS, "ROLE")))
    with pytest.raises(ProofError) as caught:
        records_of(both)
    assert caught.value.flaw is Flaw.FIELD_FORM


def test_the_seed_of_another_entry_opens_nothing():
    other = log().receipt(1).proof.seed
    assert flaw_of(held(), with_proof(log().receipt(3), seed=other)) is Flaw.VALUE


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_seed_of_another_length_is_none(size):
    assert flaw_of(held(), with_proof(log().receipt(3), seed=bytes(size))) is Flaw.RECEIPT_MISSING


@pytest.mark.parametrize("missing", ["all of it", "the proof", "the entry", "the seed"])
def test_what_was_asked_for_and_did_not_come_is_missed(missing):
    receipt = log().receipt(3)
    bare = replace(TlogProof.parse(receipt.proof.tlog), extra=None).serialise()
    given = {
        "all of it": None,
        "the proof": structs.replace(receipt, proof=None),
        "the entry": with_proof(receipt, tlog=bare),
        "the seed": with_proof(receipt, seed=None),
    }[missing]
    assert flaw_of(held(), given) is Flaw.RECEIPT_MISSING


def test_the_place_alone_is_checked_without_a_proof():
    bare = structs.replace(log().receipt(3), proof=None)
    assert verify_place(bare, KEYS).size == 6


def test_an_entry_without_field_records_lets_no_field_through():
    receipt = log().receipt(2)
    told = replace(held(2), kind=Kind.REQUEST)
    assert verify_receipt(replace(told, values={}), receipt, KEYS).records == ()
    assert flaw_of(told, receipt) is Flaw.UNRECORDED


def test_the_seed_of_the_dossier_and_the_body_is_not_handed_over():
    entry, proof = log().entries[3], log().receipt(3).proof
    assert proof.seed == entry.fields.seed != entry.seed
    assert FieldRecord(WITHHELD, None, "ROLE") in records_of(proof)
