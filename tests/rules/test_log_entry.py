"""Entries and field records: closed form, nothing personal, nothing that depends on data."""

from __future__ import annotations

import hashlib
import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import count

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.exchangelog import entry, merkle
from gateway.exchangelog.commitment import actor_commitment
from gateway.exchangelog.erasure import Hand, pruned
from gateway.exchangelog.fields import (
    FieldPlan,
    FieldPlans,
    FieldRecord,
    base64url,
    disclosure,
    fields_root,
    salts,
    verify_disclosure,
)
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.leaf import Kind, Leaf
from gateway.model import Outcome
from gateway.refusal import Code
from tests.exchanges import (
    BRUSSELS,
    NOW,
    NSSO,
    PLATFORM,
    REVISION,
    VALUES,
    VERDICTS,
    exchange_id,
    permitted,
    refused,
    released,
)
from tests.flaws import may_be_refused

EXCHANGE = exchange_id()


def counting():
    """A source of bytes that can be repeated."""
    number = count()
    return lambda size: bytes([next(number)]) * size


def entries():
    return {
        "request": entry.forwarded(permitted(), EXCHANGE, NOW, os.urandom),
        "response": entry.returned(released(), EXCHANGE, NOW, os.urandom),
        "refusal": entry.refused(refused(), EXCHANGE, NOW, os.urandom),
    }


def flaw_of(call, *arguments) -> Flaw:
    with pytest.raises(ProofError) as caught:
        call(*arguments)
    return caught.value.flaw


KEYS = {
    "v", "id", "t", "kind", "from", "to", "svc", "schema", "purpose", "policy", "decision", "fields_root",
    "nfields", "subj", "actor", "body", "msgsig", "ret", "nonce",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["request", "response", "refusal"])
def test_entry_is_canonical_json_with_exactly_the_keys_of_the_form(kind):
    leaf = entries()[kind].leaf
    assert json.loads(leaf).keys() == KEYS
    assert rfc8785.dumps(json.loads(leaf)) == leaf
    assert Leaf.parse(leaf).seal() == leaf
    assert len(leaf) < 800


def test_request_says_who_asks_whom_for_what():
    made = entry.forwarded(permitted("ticket-7", providers=(PLATFORM, NSSO)), EXCHANGE, NOW, os.urandom)
    leaf = Leaf.parse(made.leaf)
    assert (leaf.id, leaf.kind, leaf.decision) == (EXCHANGE, Kind.REQUEST, "permitted")
    assert (leaf.caller, leaf.to) == ("0999000110", ("0999000209/PLATFORM", "0999000209/SOCIAL-SECURITY"))
    assert (leaf.operation, leaf.legal_context, leaf.revision) == (
        "consultDossier",
        "WIB:WORK_DECISION",
        REVISION,
    )
    assert (leaf.fields_root, leaf.nfields) == (None, 0)
    assert made.claim == ("BRUSSELS", "ticket-7")
    assert made.fields is None


def test_message_signature_is_the_hash_of_the_signature_value():
    wanted = urlsafe_b64encode(hashlib.sha256(b"signature of Brussels").digest()).rstrip(b"=").decode()
    assert Leaf.parse(entries()["request"].leaf).signature == wanted
    assert Leaf.parse(entries()["refusal"].leaf).signature == wanted


def test_response_covers_the_signatures_of_all_answers_in_order():
    first, second = (
        released().answers[0],
        structs.replace(released().answers[0], provider=NSSO, signature=b"other"),
    )
    leaves = [
        Leaf.parse(entry.returned(released(answers=answers), EXCHANGE, NOW, os.urandom).leaf)
        for answers in ((first, second), (second, first))
    ]
    hashes = b"".join(hashlib.sha256(one.signature).digest() for one in (first, second))
    assert leaves[0].signature == base64url(hashlib.sha256(hashes).digest()).decode()
    assert leaves[0].signature != leaves[1].signature
    assert leaves[0].to == ("0999000209/PLATFORM", "0999000209/SOCIAL-SECURITY")


def test_answer_of_the_hub_itself_has_no_message_signature():
    own = structs.replace(released().answers[0], signature=b"")
    assert (
        Leaf.parse(entry.returned(released(answers=(own,)), EXCHANGE, NOW, os.urandom).leaf).signature is None
    )


def test_response_without_every_provider_is_incomplete():
    assert Leaf.parse(entries()["response"].leaf).decision == "released"
    made = entry.returned(released(unanswered=(NSSO.id,)), EXCHANGE, NOW, os.urandom)
    assert Leaf.parse(made.leaf).decision == "incomplete"


def test_refusal_carries_its_code_and_may_know_nothing_else():
    early = refused(
        Code.SCHEMA, operation=None, legal_context=None, dossier=None, signature=None, revision=""
    )
    leaf = Leaf.parse(entry.refused(early, EXCHANGE, NOW, os.urandom).leaf)
    assert (leaf.decision, leaf.caller, leaf.to) == ("WIB06001", "0999000110", ())
    assert (leaf.operation, leaf.legal_context, leaf.revision, leaf.signature) == (None, None, None, None)


def test_time_is_utc_in_milliseconds():
    early = datetime(2026, 1, 1, 0, 30, 0, 999_999, timezone(timedelta(hours=1)))
    made = entry.refused(refused(), EXCHANGE, early, os.urandom)
    assert Leaf.parse(made.leaf).time == "2025-12-31T23:30:00.999Z"
    with pytest.raises(ValueError, match="zone"):
        entry.refused(refused(), EXCHANGE, datetime(2026, 1, 1), os.urandom)  # noqa: DTZ001 - on purpose


def masked(leaf: bytes) -> dict:
    """What an observer sees: commitments, hashes and the nonce are random to him, their length is not."""
    record = json.loads(leaf)
    return record | {key: len(record[key]) for key in ("subj", "body", "fields_root", "nonce") if record[key]}


def test_whether_data_was_found_does_not_show():
    full = entry.returned(released(), EXCHANGE, NOW, os.urandom)
    nothing = dict.fromkeys(VALUES, ())
    empty_answer = structs.replace(released().answers[0], outcome=Outcome.NO_DATA_FOUND)
    change = {"outcome": Outcome.NO_DATA_FOUND, "payload": "", "values": nothing, "answers": (empty_answer,)}
    empty = entry.returned(released(**change), EXCHANGE, NOW, os.urandom)
    assert masked(full.leaf) == masked(empty.leaf)
    assert (full.fields.vector, len(full.fields.digests)) == (empty.fields.vector, len(empty.fields.digests))


def test_repetition_of_a_field_does_not_show():
    many = VALUES | {"dossier/worker/familyName": ("a", "b", "c" * 1000)}
    made = entry.returned(released(values=many), EXCHANGE, NOW, os.urandom)
    assert masked(made.leaf) == masked(entries()["response"].leaf)


def test_no_personal_value_nor_its_unsalted_hash_is_kept():
    made = [*entries().values()]
    kept = b"".join(
        one.leaf
        + one.seed
        + (one.fields.vector + one.fields.digests + one.fields.seed if one.fields else b"")
        for one in made
    )
    for value in (b"85073003328", b"WIB-2026-0000001-59", b"SUBMITTED"):
        digest = hashlib.sha256(value).digest()
        for trace in (value, digest, digest.hex().encode(), base64url(digest)):
            assert trace not in kept


def test_commitments_of_two_entries_differ_for_the_same_dossier():
    subjects = {Leaf.parse(one.leaf).subject for one in entries().values()}
    assert len(subjects) == 3


def test_subject_and_body_can_be_opened_with_the_seed():
    made = entries()["request"]
    record = json.loads(made.leaf)
    first, second = salts(made.seed, 2)
    opened = disclosure(first, "subj", "WIB-2026-0000001-59")
    assert base64url(hashlib.sha256(opened).digest()).decode() == record["subj"]
    body = base64url(hashlib.sha256(b"<soap:Body/>").digest()).decode()
    opened = disclosure(second, "body", body)
    assert base64url(hashlib.sha256(opened).digest()).decode() == record["body"]


def test_seeds_and_nonce_are_drawn_anew_each():
    made = entry.returned(released(), EXCHANGE, NOW, counting())
    assert len({made.seed, made.fields.seed}) == 2
    assert {len(made.seed), len(made.fields.seed)} == {32}
    assert made.seed[:16] not in urlsafe_b64decode(json.loads(made.leaf)["nonce"] + "==")


# The closed form

BROKEN = {
    "unknown key": {"note": "x"},
    "free text in the operation": {"svc": "consult dossier"},
    "other version": {"v": 2},
    "version as a boolean": {"v": True},
    "version as a float": {"v": 1.5},
    "id is no UUID": {"id": "x"},
    "upper-case UUID": {"id": EXCHANGE.upper()[:-1] + "F"},
    "time without milliseconds": {"t": "2026-01-01T00:00:00Z"},
    "time that does not exist": {"t": "2026-02-30T00:00:00.000Z"},
    "other digits in the time": {"t": "２026-01-01T00:00:00.000Z"},
    "unknown kind": {"kind": "access"},
    "kind of another type": {"kind": []},
    "sender is no enterprise": {"from": "BRUSSELS"},
    "recipient is no list": {"to": "0999000110"},
    "recipient is no enterprise": {"to": ["0999000110", None]},
    "too many recipients": {"to": ["0999000110"] * 257},
    "another decision": {"decision": "denied"},
    "decision of another kind": {"decision": "WIB06001"},
    "schema differs from policy": {"schema": "cd" * 32},
    "revision is no hash": {"policy": "ab", "schema": "ab"},
    "fields root in a request": {"fields_root": "A" * 43},
    "fields in a request": {"nfields": 1},
    "commitment too short": {"subj": "A" * 42},
    "commitment with unused bits": {"subj": "A" * 42 + "B"},
    "commitment in the standard alphabet": {"subj": "+" + "A" * 42},
    "subject missing": {"subj": None},
    "official named": {"actor": "A" * 43},
    "no message signature": {"msgsig": None},
    "other retention class": {"ret": "forever"},
    "nonce too short": {"nonce": "A" * 21},
    "nested object": {"body": {"x": 1}},
}


@pytest.mark.parametrize(
    ("broken", "about"),
    {
        "unknown key": "keys",
        "unknown kind": "keys",
        "time that does not exist": "t",
        "schema differs from policy": "schema",
        "nonce too short": "nonce",
        "nested object": "body",
    }.items(),
)
def test_what_is_out_of_form_is_named(broken, about):
    record = json.loads(entries()["request"].leaf)
    with pytest.raises(ProofError) as caught:
        Leaf.parse(rfc8785.dumps(record | BROKEN[broken]))
    assert caught.value.about == about


@pytest.mark.parametrize("broken", BROKEN)
def test_request_out_of_form_is_refused(broken):
    record = json.loads(entries()["request"].leaf)
    Leaf.parse(rfc8785.dumps(record))
    assert flaw_of(Leaf.parse, rfc8785.dumps(record | BROKEN[broken])) is Flaw.ENTRY_FORM


@pytest.mark.parametrize("kind", ["request", "response", "refusal"])
def test_entry_without_one_of_its_keys_is_refused(kind):
    record = json.loads(entries()[kind].leaf)
    for key in record:
        shorter = {name: value for name, value in record.items() if name != key}
        assert flaw_of(Leaf.parse, rfc8785.dumps(shorter)) is Flaw.ENTRY_FORM


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("response", {"fields_root": None}),
        ("response", {"nfields": -1}),
        ("response", {"nfields": 65_536}),
        ("response", {"nfields": True}),
        ("response", {"decision": "permitted"}),
        ("response", {"svc": None}),
        ("refusal", {"to": ["0999000110"]}),
        ("refusal", {"decision": "WIB99999"}),
        ("refusal", {"decision": "permitted"}),
        ("refusal", {"body": "A" * 43}),
        ("refusal", {"purpose": "work decision"}),
    ],
)
def test_response_or_refusal_out_of_form_is_refused(kind, change):
    record = json.loads(entries()[kind].leaf)
    assert flaw_of(Leaf.parse, rfc8785.dumps(record | change)) is Flaw.ENTRY_FORM


def test_number_of_fields_is_any_that_two_bytes_hold_and_written_in_one_way():
    leaf = entries()["response"].leaf
    before, after = leaf.split(f'"nfields":{len(VERDICTS)}'.encode())

    def is_taken(text: str) -> bool:
        with may_be_refused(Flaw.ENTRY_FORM):
            Leaf.parse(before + f'"nfields":{text}'.encode() + after)
            return True
        return False

    numbers = [*range(300), *range(999, 66_700, 7), *range(65_500, 65_600), 99_999, 655_350]
    assert [number for number in numbers if is_taken(str(number))] == [
        number for number in numbers if number <= 0xFFFF
    ]
    assert not any(map(is_taken, ("", "00", "07", "-1", "1.0", "1e1", "0x1", "٣")))


def spellings(leaf: bytes) -> dict[str, bytes]:
    record = json.loads(leaf)
    return {
        "white space": json.dumps(record, sort_keys=True).encode(),
        "another order": json.dumps(record, separators=(",", ":")).encode()[:-1] + b',"v":1}',
        "repeated key": leaf[:-1] + b',"v":1}',
        "needless escape": leaf.replace(b"consult", b"\\u0063onsult"),
        "trailing newline": leaf + b"\n",
        "byte order mark": b"\xef\xbb\xbf" + leaf,
        "number spelt otherwise": leaf.replace(b'"v":1', b'"v":1.0'),
        "array": b"[" + leaf + b"]",
        "nothing": b"",
        "not ASCII": leaf.replace(b"consult", "c\u00f6nsult".encode()),
        "deep": b"[" * 60_000,
        "too large": leaf + b" " * 70_000,
    }


@pytest.mark.parametrize("spelling", spellings(entries()["request"].leaf))
def test_other_spellings_of_an_entry_are_refused(spelling):
    assert flaw_of(Leaf.parse, spellings(entries()["request"].leaf)[spelling]) is Flaw.ENTRY_FORM


def test_every_bit_of_an_entry_matters():
    leaf = entries()["response"].leaf
    for bit in range(len(leaf) * 8):
        changed = bytearray(leaf)
        changed[bit // 8] ^= 1 << bit % 8
        assert merkle.leaf_hash(bytes(changed)) != merkle.leaf_hash(leaf)
        with may_be_refused(Flaw.ENTRY_FORM):
            assert Leaf.parse(bytes(changed)).seal() == bytes(changed)


@settings(deadline=None)
@given(
    st.binary()
    | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists)
    .map(json.dumps)
    .map(str.encode)
)
def test_entry_parser_never_crashes(data):
    assert flaw_of(Leaf.parse, data) is Flaw.ENTRY_FORM


def test_caller_with_a_unit_stands_as_number_and_unit():
    leaf = Leaf.parse(entry.refused(refused(caller=NSSO), EXCHANGE, NOW, os.urandom).leaf)
    assert leaf.caller == "0999000209/SOCIAL-SECURITY"
    assert str(BRUSSELS.enterprise) == "0999000110"


# Field records


def test_disclosure_of_the_rfc_9901_example():
    disclosed = b"WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0"
    digest = base64url(hashlib.sha256(disclosed).digest()).decode()
    assert digest == "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"
    assert json.loads(urlsafe_b64decode(disclosed + b"="))[1:] == ["family_name", "M\u00f6bius"]


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32), st.integers(0, 200))
def test_salts_are_the_stream_of_shake256(seed, count):
    assert b"".join(salts(seed, count)) == hashlib.shake_256(seed).digest(18 * count)


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8")), st.none() | st.lists(st.text(st.characters(codec="utf-8"))))
def test_disclosures_records_and_vectors_are_canonical_json(name, value):
    salt = bytes(range(18))
    plain = rfc8785.dumps([base64url(salt).decode(), name, value])
    assert disclosure(salt, name, value) == base64url(plain)
    assert FieldRecord(name, None, name).canonical == rfc8785.dumps(["w", name, name])
    assert FieldRecord(name, name, None).canonical == rfc8785.dumps(["r", name, name])
    assert FieldPlan({name: None}).vector == rfc8785.dumps([[name]])


def plain_records(verdicts, values, seed) -> list[FieldRecord]:
    """Field records by their definition."""
    records = []
    released = sorted(path for path, reason in verdicts.items() if reason is None)
    for path, reason in verdicts.items():
        if reason is not None:
            records.append(FieldRecord(path, None, reason))
            continue
        salt = salts(seed, len(released))[released.index(path)]
        disclosed = disclosure(salt, path, list(values[path]) or None)
        records.append(FieldRecord(path, base64url(hashlib.sha256(disclosed).digest()).decode(), None))
    return records


paths = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
texts = st.lists(st.text(st.characters(codec="utf-8")), max_size=3).map(tuple)


@settings(deadline=None)
@given(st.dictionaries(paths, st.none() | st.sampled_from(["ROLE", "CONTEXT"]), max_size=40), st.data())
def test_plan_gives_the_records_and_root_of_the_definition(verdicts, data):
    values = {path: data.draw(texts) for path, reason in verdicts.items() if reason is None}
    seed = bytes(range(32))
    plan = FieldPlan(verdicts)
    commitment = plan.commit(values, seed)
    wanted = sorted(plain_records(verdicts, values, seed), key=lambda record: record.path)
    assert list(plan.records(commitment.digests)) == wanted
    assert commitment.root == fields_root(wanted) == plan.root(commitment.digests)
    assert len(plan) == len(verdicts)


def test_record_of_the_withheld_has_no_digest_and_of_the_released_no_value():
    made = entries()["response"]
    records = {record.path: record for record in FieldPlan(VERDICTS).records(made.fields.digests)}
    assert records["dossier/contact/email"].canonical == b'["w","dossier/contact/email","ROLE"]'
    digest = records["dossier/worker/ssin"].digest
    assert records["dossier/worker/ssin"].canonical == f'["r","dossier/worker/ssin","{digest}"]'.encode()


def salt_of(path: str, records, made) -> bytes:
    released = [record.path for record in records if record.digest is not None]
    return salts(made.fields.seed, len(released))[released.index(path)]


def test_one_released_value_can_be_proved_without_the_others():
    made = entries()["response"]
    records = FieldPlan.parse(made.fields.vector).records(made.fields.digests)
    position = [record.path for record in records].index("dossier/worker/ssin")
    salt = salt_of("dossier/worker/ssin", records, made)
    disclosed = disclosure(salt, "dossier/worker/ssin", ["85073003328"])
    assert verify_disclosure(disclosed, records[position]) == ["85073003328"]
    leaves = [merkle.leaf_hash(record.canonical) for record in records]
    proof = merkle.prove_inclusion(merkle.nodes_of(leaves), position, len(leaves))
    root = urlsafe_b64decode(Leaf.parse(made.leaf).fields_root + "=")
    merkle.verify_inclusion(position, len(leaves), leaves[position], proof, root)


def test_absent_value_is_disclosed_as_null():
    made = entries()["response"]
    records = FieldPlan(VERDICTS).records(made.fields.digests)
    record = next(one for one in records if one.path.endswith("familyName"))
    salt = salt_of(record.path, records, made)
    assert verify_disclosure(disclosure(salt, record.path, None), record) is None


def record_of(disclosed: bytes, path: str = "a") -> FieldRecord:
    return FieldRecord(path, base64url(hashlib.sha256(disclosed).digest()).decode(), None)


@pytest.mark.parametrize(
    ("disclosed", "record"),
    [
        (disclosure(b"s", "a", ["1"]), record_of(disclosure(b"s", "a", ["2"]))),
        (disclosure(b"s", "a", ["1"]), FieldRecord("a", None, "ROLE")),
        (disclosure(b"s", "b", ["1"]), record_of(disclosure(b"s", "b", ["1"]))),
        (disclosure(b"s", "a", "1"), record_of(disclosure(b"s", "a", "1"))),
        (disclosure(b"s", "a", [1]), record_of(disclosure(b"s", "a", [1]))),
        (disclosure(b"s", "a", []), record_of(disclosure(b"s", "a", []))),
        (b"!", record_of(b"!")),
        (b"W10", record_of(b"W10")),
        (b"MQ", record_of(b"MQ")),
    ],
)
def test_disclosure_that_does_not_belong_to_its_record_is_refused(disclosed, record):
    assert flaw_of(verify_disclosure, disclosed, record) is Flaw.DISCLOSURE


@pytest.mark.parametrize(
    "vector",
    [
        b"",
        b"{}",
        b'[["b"],["a"]]',
        b'[["a"],["a"]]',
        b'[["a","ROLE","x"]]',
        b"[[1]]",
        b'[ ["a"] ]',
        b'["a"]',
        b"null",
        b'[["\\ud800"]]',
        b"[" * 100_000,
    ],
)
def test_malformed_vectors_are_refused(vector):
    assert flaw_of(FieldPlan.parse, vector) is Flaw.FIELD_FORM


def test_digests_of_another_number_than_the_released_are_refused():
    plan = FieldPlan(VERDICTS)
    for digests in (b"", bytes(32 * 2), bytes(32 * 3 + 1), bytes(32 * 4)):
        assert flaw_of(plan.root, digests) is Flaw.FIELD_FORM
        assert flaw_of(plan.records, digests) is Flaw.FIELD_FORM


def test_values_of_other_paths_than_the_released_stop_the_exchange():
    plan = FieldPlan(VERDICTS)
    surplus = VALUES | {"dossier/contact/email": ("x@example.org",)}
    missing = {path: value for path, value in VALUES.items() if path != "dossier/worker/ssin"}
    swapped = missing | {"dossier/contact/email": ("x@example.org",)}
    for values in (surplus, missing, swapped):
        with pytest.raises((ValueError, KeyError)):
            plan.commit(values, bytes(32))


def test_payload_without_fields_has_the_root_of_nothing():
    plan = FieldPlan({})
    assert plan.commit({}, bytes(32)).root == merkle.EMPTY_ROOT
    assert plan.vector == b"[]"


def test_plans_are_made_once_for_each_view_and_bounded():
    plans, views = FieldPlans(limit=2), [replace(permitted().view) for _ in range(3)]
    assert plans.of(views[0]) is plans.of(views[0])
    first = plans.of(views[0])
    assert plans.of(views[1]) is not first
    plans.of(views[2])
    assert plans.of(views[0]) is not first


def test_plan_from_the_cache_commits_to_the_same():
    with_plans = entry.returned(released(), EXCHANGE, NOW, counting(), FieldPlans())
    assert with_plans == entry.returned(released(), EXCHANGE, NOW, counting())


def test_an_erasure_names_who_did_it_and_one_of_before_names_nobody():
    hand = Hand("0999000104", "officer-1")
    made = pruned(hand, 256, EXCHANGE, NOW, os.urandom)
    record = json.loads(made.leaf)
    assert record["actor"] == actor_commitment("officer-1", made.seed)
    assert Leaf.parse(rfc8785.dumps(record | {"actor": None})).actor is None
    assert flaw_of(Leaf.parse, rfc8785.dumps(record | {"actor": "officer-1"})) is Flaw.ENTRY_FORM
