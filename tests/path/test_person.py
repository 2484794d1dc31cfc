"""PROTOCOL §7.2: a dossier is a reason to ask about its own worker, and about nobody else."""

from __future__ import annotations

from dataclasses import replace

import apsw
import pytest

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_seeds import named
from gateway.agreement.identifiers import check_ssin
from gateway.exchangelog.bucket import Bucket
from gateway.model import Criteria, Role
from gateway.policy.person import KEY_BYTES, parse_key, person_digest
from tests.path.hub import DIRECTORY_KEY, DOSSIER, OTHER_DOSSIER, SSIN, Hub

OTHER = "85073003328"  # valid, of nobody in this dossier
PRIOR, STATUS = "WIB:PRIOR_APPLICATION_CHECK", "WIB:RESIDENCE_DECISION"
QUESTIONS = {
    "a region, earlier applications": ("BRUSSELS", "consultPriorApplications", PRIOR),
    "the Immigration Office, earlier applications": ("IMMIGRATION_OFFICE", "consultPriorApplications", PRIOR),
    "the Immigration Office, social security": ("IMMIGRATION_OFFICE", "consultSocialSecurityStatus", STATUS),
}


@pytest.fixture(params=QUESTIONS)
async def question(request, hub: Hub):
    await hub.dossier(DOSSIER, "WORK_GRANTED")
    return QUESTIONS[request.param]


async def bind(hub: Hub, person: bytes | None) -> None:
    scope = await hub.store.scope(DOSSIER)
    await hub.store.put_scope(replace(scope, person=person))


async def test_the_dossiers_worker_may_be_asked_about(hub: Hub, question):
    assert (await hub.consult(*question, Criteria(DOSSIER, ssin=SSIN))).code is None


async def test_another_person_may_not_and_nobody_learns_of_the_question(hub: Hub, question):
    check_ssin(OTHER, test_numbers=False)
    answered = await hub.consult(*question, Criteria(DOSSIER, ssin=OTHER))
    assert answered.code == "WIB07007"
    assert hub.asked == []
    assert (hub.entries()[-1]["kind"], hub.entries()[-1]["decision"]) == ("refusal", "WIB07007")


async def test_whom_a_refused_question_named_is_found_by_a_digest_beside_the_seed(hub: Hub, question):
    for ssin in (SSIN, OTHER):
        await hub.consult(*question, Criteria(DOSSIER, ssin=ssin))
    keys = BucketKeys.open(hub.path.parent / "bucket-keys")
    connection = apsw.Connection(str(hub.path), flags=apsw.SQLITE_OPEN_READONLY)
    found = connection.execute("SELECT e.kind, s.bucket, s.person FROM seeds s JOIN entries e USING (idx)")
    kinds = [(kind, bucket, person) for kind, bucket, person in found if person is not None]
    assert kinds == [
        ("refusal", bucket, keys.digest(Bucket.parse(bucket), named(person_digest(DIRECTORY_KEY, OTHER))))
        for _, bucket, _ in kinds
    ]
    assert len(kinds) == 1


@pytest.mark.parametrize(
    "person",
    [None, bytes(KEY_BYTES), person_digest(bytes(KEY_BYTES), SSIN), person_digest(DIRECTORY_KEY, OTHER)],
    ids=["nobody", "zeros", "digest under another key", "another person"],
)
async def test_a_dossier_bound_to_nobody_or_to_another_is_no_reason_to_ask(hub: Hub, question, person):
    await bind(hub, person)
    assert (await hub.consult(*question, Criteria(DOSSIER, ssin=SSIN))).code == "WIB07007"
    await bind(hub, person_digest(DIRECTORY_KEY, SSIN))
    assert (await hub.consult(*question, Criteria(DOSSIER, ssin=SSIN))).code is None


async def test_a_number_that_fits_nowhere_and_a_dossier_bound_to_nobody_get_the_same_answer(hub: Hub):
    told = []
    for person in (person_digest(DIRECTORY_KEY, SSIN), None):
        await bind(hub, person)
        answered = await hub.consult(
            *QUESTIONS["a region, earlier applications"], Criteria(DOSSIER, ssin=OTHER)
        )
        told.append([answered.texts(name) for name in ("reasonCode", "diagnostic", "remedy")])
    assert told[0] == told[1]


@pytest.mark.parametrize("ssin", [SSIN, OTHER])
@pytest.mark.parametrize("dossier", [DOSSIER, OTHER_DOSSIER])
async def test_who_has_no_part_in_the_dossier_learns_nothing_of_its_worker(hub: Hub, dossier, ssin):
    answered = await hub.consult("FLANDERS", "consultPriorApplications", PRIOR, Criteria(dossier, ssin=ssin))
    assert answered.code == "WIB07005"


async def test_who_takes_part_is_not_told_to_who_cannot_name_the_worker(hub: Hub):
    await hub.dossier(DOSSIER, "WORK_GRANTED")
    scope = await hub.store.scope(DOSSIER)
    await hub.store.put_scope(
        replace(scope, inscriptions=tuple(i for i in scope.inscriptions if i.role is not Role.NSSO))
    )
    question = QUESTIONS["the Immigration Office, social security"]
    assert (await hub.consult(*question, Criteria(DOSSIER, ssin=OTHER))).code == "WIB07007"
    assert (await hub.consult(*question, Criteria(DOSSIER, ssin=SSIN))).code == "WIB07010"


async def test_questions_without_a_person_need_no_binding(hub: Hub):
    await bind(hub, None)
    assert (await hub.consult("BRUSSELS", "consultDossier", "WIB:WORK_DECISION")).code is None


async def test_the_store_holds_neither_number_nor_key(hub: Hub):
    await hub.consult(
        *QUESTIONS["a region, earlier applications"], Criteria(DOSSIER, ssin=SSIN), ticket=f"for-{SSIN}"
    )
    stored = b"".join(path.read_bytes() for path in hub.path.parent.glob("store.db*"))
    assert person_digest(DIRECTORY_KEY, SSIN) in stored
    assert SSIN.encode() not in stored
    assert DIRECTORY_KEY not in stored


async def test_neither_key_nor_facts_are_printed_with_the_rules(hub: Hub):
    assert repr(DIRECTORY_KEY) not in repr(hub.rules())


def test_a_digest_is_hmac_sha256_of_the_digits():
    # made with: printf 90612400144 | openssl dgst -sha256 -mac HMAC -macopt hexkey:000102…1f
    expected = "1f1791f0d0df73e81d0b3bee45a3f8cccac1a77f8dab3916617a16f75138abcb"
    assert person_digest(DIRECTORY_KEY, SSIN).hex() == expected


@pytest.mark.parametrize(
    "content", [bytes(range(32)), DIRECTORY_KEY.hex().encode(), DIRECTORY_KEY.hex().upper().encode() + b"\n"]
)
def test_a_key_is_read_raw_or_in_hexadecimal(content):
    assert parse_key(content) == DIRECTORY_KEY


@pytest.mark.parametrize(
    "content", [b"", bytes(31), bytes(33), b"0" * 63, b"0" * 65, b"g" * 64, b"0" * 63 + b"\n"]
)
def test_anything_else_is_no_key(content):
    with pytest.raises(ValueError, match="32 bytes"):
        parse_key(content)
