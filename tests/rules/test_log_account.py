"""Accounts: what a successor says was erased of a log that ended, and what is none of that (PROTOCOL §8.19)."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs

from gateway.exchangelog import merkle, own_entry
from gateway.exchangelog.account import Account, Placed
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.checkpoint import Checkpoint, sign_checkpoint
from gateway.exchangelog.erasure import Erasing, Hand, Listed, erased_bucket, erased_entries, pruned
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Basis, Ending, Ground, Kind, Query, SearchedBy
from gateway.exchangelog.indices import Indices
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.merkle import leaf_hash
from gateway.exchangelog.note import Signer
from gateway.exchangelog.own_entry import Access
from gateway.exchangelog.pairing import Pairing
from tests.exchanges import NOW, exchange_id, refusal_entry

HUB = "0999000110"
COURT = Erasing(Hand(HUB, "officer-1"), Basis.COURT, Ground.ORDERED)
LISTED = Listed(Indices.parse("1-2"), bytes(18))
OLD, NEXT, LAST = (Signer.of(f"log/{year}", Ed25519PrivateKey.generate()) for year in (2025, 2026, 2027))


def erased(of_log: str | None = "log/2025") -> bytes:
    return erased_entries(COURT, LISTED, 2, exchange_id(), NOW, os.urandom, of_log).leaf


def bucket() -> bytes:
    return erased_bucket(COURT, Bucket("exchange", "2025-03"), 2, exchange_id(), NOW, os.urandom).leaf


class Tree:
    """A log in memory."""

    def __init__(self, signer: Signer, *leaves: bytes, after: Tree | None = None) -> None:
        first = (
            []
            if after is None
            else [own_entry.succeeded(after.checkpoint, Ending.ENDED, HUB, NOW, os.urandom).leaf]
        )
        self.leaves, self.signer = [*first, *leaves], signer

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.signer.name, len(self.leaves), merkle.root(list(map(leaf_hash, self.leaves))))

    @property
    def note(self) -> str:
        signed = self.checkpoint
        return sign_checkpoint(signed.size, signed.root, [self.signer]).decode()

    def placed(self, index: int) -> Placed:
        hashes = list(map(leaf_hash, self.leaves))

        def nodes(level: int, n: int) -> bytes:
            return merkle.root(hashes[n << level : (n + 1) << level])

        path = merkle.prove_inclusion(nodes, index, len(hashes))
        return Placed(index, self.leaves[index], tuple(path))


def account(*after: Tree, index: int = 2) -> Account:
    """Of the last of these logs, the newest of which says it."""
    last = after[-1]
    return Account(last.placed(index), tuple(one.placed(0) for one in after), last.note)


ENDED = Tree(OLD, *(refusal_entry().leaf for _ in range(5)))
VERIFIERS = [one.verifier for one in (OLD, NEXT, LAST)]


def successor(*leaves: bytes, after: Tree = ENDED, signer: Signer = NEXT) -> Tree:
    return Tree(signer, refusal_entry().leaf, *leaves, after=after)


def believed(one: Account, verifiers=VERIFIERS) -> Leaf:
    return Account.parse(one.serialise()).verify("log/2025", lambda held: held == ENDED.checkpoint, verifiers)


def flaw(one: Account, verifiers=VERIFIERS) -> Flaw:
    with pytest.raises(ProofError) as caught:
        believed(one, verifiers)
    return caught.value.flaw


@pytest.mark.parametrize("leaf", [erased(), bucket()])
def test_what_a_successor_says_is_believed_by_its_key_alone(leaf):
    next_log = successor(leaf, refusal_entry().leaf)
    assert believed(account(next_log), [NEXT.verifier]) == Leaf.parse(leaf)
    between = successor(refusal_entry().leaf)
    last = successor(leaf, after=between, signer=LAST)
    assert believed(account(between, last), [LAST.verifier]) == Leaf.parse(leaf)
    assert flaw(account(between, last), [OLD.verifier, NEXT.verifier]) is Flaw.SUCCESSOR_KEY


def two_later() -> Account:
    between = successor()
    return account(between, successor(erased(), after=between, signer=LAST))


def in_the_middle() -> Account:
    """The log of an officer who has its key, and who only later has it succeed another."""
    other = Tree(NEXT, refusal_entry().leaf, successor().leaves[0], erased())
    return Account(other.placed(2), (other.placed(1),), other.note)


FORGED = {
    "of a log that succeeds nothing": lambda: account(Tree(NEXT, *(refusal_entry().leaf, erased(), erased()))),
    "of a successor of another log": lambda: account(
        successor(erased(), after=Tree(Signer.of("log/2024", OLD.key), *ENDED.leaves))
    ),
    "of a successor of the same name and another history": lambda: account(
        successor(erased(), after=Tree(OLD, *ENDED.leaves[:4]))
    ),
    "about another log": lambda: account(successor(erased("log/2024"))),
    "about the successor itself": lambda: account(successor(erased(None))),
    "of no erasure": lambda: account(successor(refusal_entry().leaf)),
    "of a pruning": lambda: account(successor(pruned(COURT.hand, 256, exchange_id(), NOW, os.urandom).leaf)),
    "without the succession": lambda: structs.replace(account(successor(erased())), succession=()),
    "with a log left out": lambda: structs.replace(
        two_later(), succession=two_later().succession[1:]
    ),
    "with an entry that is not in the tree": lambda: structs.replace(
        account(successor(erased())), entry=successor(erased()).placed(2)
    ),
    "under a checkpoint that its key has not signed": lambda: account(
        successor(erased(), signer=Signer.of("log/2026", LAST.key))
    ),
    "with a successor entry in the middle": in_the_middle,
}  # fmt: skip


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_account_is_not_believed(forged):
    assert flaw(FORGED[forged]()) is Flaw.ACCOUNT


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 10_000, b'{"entry":1}', b'{"entry":{"leaf":"\xff'])
def test_what_is_no_account_is_told(data):
    with pytest.raises(ProofError) as caught:
        Account.parse(data)
    assert caught.value.flaw is Flaw.ACCOUNT


def test_any_bit_that_is_changed_is_found():
    data = account(successor(erased())).serialise()
    for at in range(0, len(data), 11):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(ProofError) as caught:
            Account.parse(changed).verify("log/2025", lambda held: held == ENDED.checkpoint, VERIFIERS)
        assert caught.value.flaw in {Flaw.ACCOUNT, Flaw.SUCCESSOR_KEY}


# The entries.


def test_an_erasure_of_a_former_log_names_it_and_no_bucket():
    leaf = Leaf.parse(erased())
    assert (leaf.kind, leaf.of_log, leaf.more["bucket"]) == (Kind.ERASURE, "log/2025", None)
    assert leaf.more["erased"] == LISTED.commitment
    assert Leaf.parse(erased(None)).of_log is None
    assert b"of_log" not in erased(None)


def looked_up(of_log: str | None) -> bytes:
    access = Access(
        "officer-1", HUB, Query.LIST, SearchedBy.PERSON, 0, 900, b"{}", person=bytes(32), of_log=of_log
    )
    return own_entry.accessed(access, exchange_id(), NOW, os.urandom).leaf


def test_a_look_up_in_a_former_log_covers_entries_of_that():
    leaf = Leaf.parse(looked_up("log/2025"))
    assert (leaf.of_log, leaf.more["end"]) == ("log/2025", 900)
    assert list(Pairing().check(5, leaf)) == []
    assert [one.flaw for one in Pairing().check(5, Leaf.parse(looked_up(None)))] == [Flaw.ACCESS]


@pytest.mark.parametrize(
    ("leaf", "old", "new"),
    [
        (erased(), b'"of_log":"log/2025"', b'"of_log":null'),
        (erased(), b'"of_log":"log/2025"', b'"of_log":"a log"'),
        (erased(), b'"bucket":null', b'"bucket":"exchange/2025-03"'),
        (bucket(), b'"policy"', b'"of_log":"log/2025","policy"'),
        (looked_up("log/2025"), b'"of_log":"log/2025"', b'"of_log":1'),
        (refusal_entry().leaf, b'"policy"', b'"of_log":"log/2025","policy"'),
    ],
)
def test_what_names_a_log_out_of_form_is_no_entry(leaf, old, new):
    assert old in leaf
    with pytest.raises(ProofError) as caught:
        Leaf.parse(leaf.replace(old, new))
    assert caught.value.flaw is Flaw.ENTRY_FORM


def test_a_list_that_is_changed_is_not_the_one_that_was_said():
    assert replace(LISTED, indices=Indices.parse("1-3")).commitment != LISTED.commitment
