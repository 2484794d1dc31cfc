"""Accounts: what a log that succeeds another one says was erased of it, proved to whoever has the old store.

A log that ended takes no entry any more, so what is erased of it later is an entry of the log in force. The account
of it stands in the old store: that entry, and entry 0 of each log in between, by which the one leads to the other.
Each is proved by its place in a tree: the last one under a checkpoint that the successor's key has signed, every
earlier one under the checkpoint that the next log names. So one key is enough, that of the log that says it.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec

from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Kind
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.merkle import leaf_hash, verify_inclusion
from gateway.exchangelog.note import NoteKey, of_log, parse_note

# Whether the log is one that had this checkpoint.
Held: TypeAlias = Callable[[Checkpoint], bool]


class Placed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry, and the inclusion proof of its place in a tree, the leaf's sibling first."""

    index: int
    leaf: bytes
    proof: tuple[bytes, ...]

    def within(self, tree: Checkpoint) -> Leaf:
        """Raises `ProofError`."""
        verify_inclusion(self.index, tree.size, leaf_hash(self.leaf), self.proof, tree.root)
        return Leaf.parse(self.leaf)


class Account(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of a log, and how that log succeeds the one that the account stands beside."""

    entry: Placed
    succession: tuple[Placed, ...]  # entry 0 of each log after that one, the oldest first
    checkpoint: str  # of the last of them, verbatim

    def serialise(self) -> bytes:
        """JSON; bytes are base64."""
        return msgspec.json.encode(self)

    @classmethod
    def parse(cls, data: bytes) -> Account:
        """The form alone. Raises `ProofError` (LOG658)."""
        try:
            return msgspec.json.decode(data, type=cls)
        except (ValueError, RecursionError):  # also of bytes that are no UTF-8
            raise ProofError(Flaw.ACCOUNT, "form") from None

    @property
    def origin(self) -> str:
        """Of the log that says it, as it calls itself. Raises `ProofError`."""
        return Checkpoint.parse(parse_note(self.checkpoint.encode()).text).origin

    def verify(self, origin: str, held: Held, verifiers: Sequence[NoteKey]) -> Leaf:
        """The entry, once it is one of a log that succeeds the log of this origin, and about that log.

        `verifiers`: of any logs. Raises `ProofError`: LOG657 when none is of the log that says it, else LOG658.
        """
        try:
            leaf, by = Leaf.parse(self.entry.leaf), self.origin
            # A bucket is of all logs whose entries are in it, so its erasure names none.
            about = leaf.kind is Kind.ERASURE and (leaf.of_log == origin or leaf.more["bucket"])
            _require(bool(about), "about another log")
            if keys := of_log(by, verifiers):
                signed = open_checkpoint(self.checkpoint.encode(), keys)
                self.entry.within(signed)
                before = self._begun_with(signed)
                _require(before.origin == origin and held(before), "of no successor")
                return leaf
        except ProofError as error:
            about_it = error.about if error.flaw is Flaw.ACCOUNT else error.flaw.row.code
            raise ProofError(Flaw.ACCOUNT, about_it) from error
        raise ProofError(Flaw.SUCCESSOR_KEY, by)

    def _begun_with(self, signed: Checkpoint) -> Checkpoint:
        """The last checkpoint of the log that the first of the succession goes on for. Raises `ProofError`."""
        tree = signed
        for first in reversed(self.succession):
            tree = succeeded_by(first, tree)
        _require(bool(self.succession), "of no successor")
        return tree


def succeeded_by(first: Placed, tree: Checkpoint) -> Checkpoint:
    """The last checkpoint of the log before, by entry 0 of the log of this tree. Raises `ProofError` (LOG658)."""
    leaf = first.within(tree)
    _require(not first.index and leaf.kind is Kind.SUCCESSOR, f"{tree.origin} is no successor")
    root = urlsafe_b64decode(str(leaf.more["of_root"]) + "=")
    return Checkpoint(str(leaf.of_log), int(str(leaf.more["of_size"])), root)


def _require(sound: bool, about: str) -> None:  # noqa: FBT001 - a condition, in words
    if not sound:
        raise ProofError(Flaw.ACCOUNT, about)
