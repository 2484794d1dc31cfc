"""Whether an answer to an officer's question is whole: checked from leaves and a checkpoint alone."""

from __future__ import annotations

import os

import msgspec
import pytest

from gateway.exchangelog import own_entry
from gateway.exchangelog.answer import Answer, Hidden, Range, verify_answer
from gateway.exchangelog.checkpoint import sign_checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Query, SearchedBy
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.merkle import leaf_hash
from gateway.exchangelog.own_entry import Access
from gateway.exchangelog.pairing import Pairing
from gateway.exchangelog.question import Question, takes_part
from gateway.exchangelog.tile import Edge
from tests.exchanges import BRUSSELS, NOW, NSSO, PLATFORM, exchange_entries, exchange_id, refusal_entry
from tests.notifications import OFFICE, accepted, accepted_entry, delivered_entry, delivery, settled_entry
from tests.process.store_world import OTHER_KEY, SIGNER, VERIFIER

LEAVES = [one.leaf for n in range(150) for one in (*exchange_entries(str(n)), refusal_entry())]
SIZE = len(LEAVES)
REFUSALS = tuple(range(2, SIZE, 3))


def tiles(leaves):
    edge, grown = Edge().extend([leaf_hash(one) for one in leaves])
    by_name = {(one.level, one.n): one.hashes for one in grown}
    return edge, lambda level, n, width: by_name[level, n][: width * 32]


EDGE, READ = tiles(LEAVES)
CHECKPOINT = sign_checkpoint(SIZE, EDGE.root(), [SIGNER])


def answer(start: int = 0, end: int = SIZE, **change: object) -> Answer:
    """All refusals of a range."""
    usual = Answer(
        question=Question(kind="refusal"),
        range=Range.of(start, end, CHECKPOINT, READ),
        indices=tuple(one for one in REFUSALS if start <= one < end),
    )
    return msgspec.structs.replace(usual, **change)


def verdict(one: Answer, leaves: list[bytes] | None = None) -> Flaw | None:
    leaves = LEAVES[one.range.start : one.range.end] if leaves is None else leaves
    try:
        verify_answer(one, leaves, [VERIFIER])
    except ProofError as error:
        return error.flaw
    return None


@pytest.mark.parametrize("end", [0, 1, 2, 255, 256, 257, 449, SIZE])
@pytest.mark.parametrize("start", [0, 1, 3, 255, 256, 300])
def test_an_answer_about_any_range_is_whole(start, end):
    if start <= end:
        assert verdict(answer(start, end)) is None


def test_an_answer_is_read_as_it_was_written():
    assert Answer.parse(answer(3, 300).serialise()) == answer(3, 300)


def test_the_checkpoint_of_a_whole_answer_is_returned():
    assert verify_answer(answer(), LEAVES, [VERIFIER]).size == SIZE


@pytest.mark.parametrize(
    ("indices", "flaw"),
    {
        "one is left out": (REFUSALS[:7] + REFUSALS[8:], Flaw.ANSWER),
        "the last is left out": (REFUSALS[:-1], Flaw.ANSWER),
        "one does not match": ((0, *REFUSALS), Flaw.ANSWER),
        "one is given twice": ((REFUSALS[0], *REFUSALS), Flaw.ANSWER),
        "one lies beyond the range": ((*REFUSALS, SIZE + 1), Flaw.ANSWER),
        "two are exchanged": ((REFUSALS[1], REFUSALS[0], *REFUSALS[2:]), Flaw.ANSWER),
    }.values(),
)
def test_an_answer_that_is_not_whole_is_told(indices, flaw):
    assert verdict(answer(indices=indices)) is flaw


def test_of_what_no_leaf_shows_entries_may_be_left_out_and_none_added():
    hidden = answer(hidden=(Hidden.PERSON,), indices=REFUSALS[3:5])
    assert verdict(hidden) is None
    assert verdict(msgspec.structs.replace(hidden, indices=(3,))) is Flaw.ANSWER


@pytest.mark.parametrize(
    ("leaves", "flaw"),
    {
        "an entry is missing": (LEAVES[:5] + LEAVES[6:], Flaw.PROOF_LENGTH),
        "an entry is added": ([*LEAVES, LEAVES[0]], Flaw.PROOF_LENGTH),
        "an entry is another": ([LEAVES[3], *LEAVES[1:]], Flaw.ROOT),
        "two entries are exchanged": ([LEAVES[3], *LEAVES[1:3], LEAVES[0], *LEAVES[4:]], Flaw.ROOT),
        "an entry is altered": (
            [LEAVES[0].replace(b'"request"', b'"refused"'), *LEAVES[1:]],
            Flaw.ENTRY_FORM,
        ),
    }.values(),
)
def test_a_range_that_is_not_the_logs_is_told(leaves, flaw):
    assert verdict(answer(), leaves) is flaw


@pytest.mark.parametrize(
    ("change", "flaw"),
    {
        "it ends beyond the log": ({"end": SIZE + 1}, Flaw.RANGE),
        "it ends before it starts": ({"start": 301}, Flaw.RANGE),
        "it starts before the log": ({"start": -1}, Flaw.RANGE),
        "the proof is too short": ({"proof": answer(258, 300).range.proof[:-1]}, Flaw.PROOF_LENGTH),
        "the proof is too long": ({"proof": (*answer(258, 300).range.proof, bytes(32))}, Flaw.PROOF_LENGTH),
        "the proof is another": ({"proof": (bytes(32), *answer(258, 300).range.proof[1:])}, Flaw.ROOT),
        "a hash of the proof is too short": (
            {"proof": (bytes(31), *answer(258, 300).range.proof[1:])},
            Flaw.HASH_LENGTH,
        ),
        "the checkpoint is signed by another": (
            {
                "checkpoint": sign_checkpoint(
                    SIZE, EDGE.root(), [type(SIGNER).of("xlog.hub.example/2026", OTHER_KEY)]
                ).decode()
            },
            Flaw.UNSIGNED,
        ),
    }.values(),
)
def test_a_range_that_is_tied_to_no_checkpoint_is_told(change, flaw):
    one = answer(258, 300)
    changed = msgspec.structs.replace(one, range=msgspec.structs.replace(one.range, **change))
    assert verdict(changed, LEAVES[258:300]) is flaw


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[" * 10_000,
        answer().serialise().replace(b'"start"', b'"begin"'),
        answer().serialise().replace(b'"checkpoint": "', b'"checkpoint": "\xff'),
    ],
)
def test_what_is_no_answer_is_told(data):
    with pytest.raises(ProofError) as raised:
        Answer.parse(data)
    assert raised.value.flaw is Flaw.ANSWER_FORM


# Who took part.


def test_a_notification_is_its_senders_and_a_delivery_its_recipients():
    taken, to_platform = accepted(), delivery()
    told = Leaf.parse(accepted_entry(taken).leaf)
    given = Leaf.parse(delivered_entry(to_platform).leaf)
    ended = Leaf.parse(settled_entry(to_platform).leaf)
    brussels, platform, office = (str(one.enterprise) for one in (BRUSSELS, PLATFORM, OFFICE))
    assert {platform, office} == set(told.to)
    assert [takes_part(brussels, one) for one in (told, given, ended)] == [True, True, True]
    assert [takes_part(platform, one) for one in (told, given, ended)] == [False, True, True]
    assert [takes_part(office, one) for one in (told, given, ended)] == [False, False, False]
    assert not takes_part(str(NSSO.enterprise), given)  # another unit of the same number


# Look-ups.


def access(**change: object) -> Access:
    usual = {"officer": "officer-7", "authority": "0999000110", "query": Query.LIST, "by": SearchedBy.PERSON}
    return Access(**{**usual, "start": 0, "end": 5, "asked": b"{}", "person": bytes(32), **change})


def accessed(**change: object):
    return own_entry.accessed(access(**change), exchange_id(), NOW, os.urandom)


def test_a_look_up_says_who_only_to_whom_the_seed_is_shown():
    one = accessed()
    leaf = Leaf.parse(one.leaf)
    assert leaf.actor is not None
    assert leaf.more == {"query": "list", "by": "person", "start": 0, "end": 5}
    assert b"officer-7" not in one.leaf
    assert leaf.actor != Leaf.parse(accessed().leaf).actor


@pytest.mark.parametrize(
    "change", [{"start": 6}, {"start": -1}, {"end": 1 << 53}, {"end": True}, {"start": 0.0}]
)
def test_a_range_that_is_none_is_not_recorded(change):
    with pytest.raises(ProofError) as raised:
        accessed(**change)
    assert raised.value.flaw is Flaw.ENTRY_FORM


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"to":[]', b'"to":["0999000110"]'),
        (b'"query":"list"', b'"query":"all"'),
        (b'"by":"person"', b'"by":"name"'),
    ],
)
def test_an_access_of_another_form_is_none(old, new):
    leaf = accessed().leaf
    assert old in leaf
    with pytest.raises(ProofError) as raised:
        Leaf.parse(leaf.replace(old, new))
    assert raised.value.flaw is Flaw.ENTRY_FORM


@pytest.mark.parametrize(("index", "found"), [(4, [Flaw.ACCESS]), (5, []), (9, [])])
def test_a_look_up_covers_only_what_stands_before_it(index, found):
    leaf = Leaf.parse(accessed().leaf)
    assert [one.flaw for one in Pairing().check(index, leaf)] == found
