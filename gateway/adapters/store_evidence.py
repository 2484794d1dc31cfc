"""What an evidence file is made of, read from the store: entries that belong together, and what is kept of them.

Reads only, beside a running hub or without one. Nothing is judged here: whoever exports checks what comes out.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from gateway.adapters import store_agreements, store_messages, store_trust
from gateway.adapters.store_filter import Filter
from gateway.adapters.store_reader import LogReader
from gateway.adapters.store_session import database_errors, unreadable
from gateway.evidence.contents import Contents, Known, Recorded
from gateway.exchangelog import merkle
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.commitment import body_salt, digest
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Kind
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.note import parse_note
from gateway.exchangelog.proof import TlogProof
from gateway.exchangelog.tile import TileNodes
from gateway.refusal import Refusal

_WITH_FIELDS: Final = (Kind.RESPONSE, Kind.DELIVERY)


class EvidenceReader(LogReader):
    """Opened with the bucket keys."""

    def contents(
        self,
        index: int,
        now: datetime,
        note: bytes | None,
        token: bytes | None,
        present: EvidenceReader | None = None,
    ) -> Contents:
        """All about the exchange of an entry, under a checkpoint of this log: the present one where none is given.

        `present`: the log in force where this one has ended, whose hub signs the file and knows whom it believes now.
        Raises `ProofError`: LOG104, LOG503, LOG643 to LOG645, LOG684, LOG685.
        """
        checkpoint = self.checkpoint if note is None else note
        leaves = {one: Leaf.parse(self.entry(one)) for one in self._related(index)}
        entries = [self._recorded(one, leaf, checkpoint) for one, leaf in leaves.items()]
        revisions = {one for leaf in leaves.values() for one in (leaf.revision, leaf.in_force) if one}
        agreements = {one: self._agreement(one) for one in sorted(revisions)}
        then = self._believed(*(datetime.fromisoformat(leaf.time) for leaf in leaves.values()))
        found = [*then, *(present or self)._believed(now)]  # noqa: SLF001 - of the same class
        return Contents(entries, checkpoint, agreements, _known(found), token)

    def _related(self, index: int) -> Sequence[int]:
        """The entries of its exchange; of a notification all, of a delivery those to the same recipient."""
        leaf = Leaf.parse(self.entry(index))
        told = leaf.id if leaf.kind is Kind.NOTIFICATION else leaf.notification
        parts = self.notification(told) if told else self.exchange(leaf.id)
        if leaf.kind is not Kind.NOTIFICATION and told:
            parts = [one for one in parts if self._concerns(one, leaf.to)]
        if (deposit := self._deposit(index, leaf)) is not None:
            parts = [*parts, deposit]
        around = {one for part in parts for one in self.exchange(Leaf.parse(self.entry(part)).id)}
        return sorted(around | set(parts))

    def _concerns(self, index: int, recipients: tuple[str, ...]) -> bool:
        leaf = Leaf.parse(self.entry(index))
        return leaf.kind is Kind.NOTIFICATION or leaf.to == recipients

    def _deposit(self, index: int, leaf: Leaf) -> int | None:
        """The upload that a response hands out in its provider's name: its message is kept there. Reads every entry."""
        if leaf.kind is not Kind.RESPONSE or leaf.signature is None or self._messages(index, leaf)[1]:
            return None
        for one, data in self.listed(Filter(kind=Kind.REQUEST), index, index):
            signature = Leaf.parse(data).signature
            if signature is not None and digest(urlsafe_b64decode(signature + "=")) == leaf.signature:
                return one
        return None

    def _recorded(self, index: int, leaf: Leaf, note: bytes) -> Recorded:
        payload, messages = self._messages(index, leaf)
        return Recorded(
            index,
            self._proof(index, note).serialise(),
            self.records(index) if leaf.kind in _WITH_FIELDS else None,
            messages,
            payload,
            None if leaf.body is None else body_salt(self.seed(index)),
        )

    def _messages(self, index: int, leaf: Leaf) -> tuple[bytes | None, Sequence[bytes]]:
        return store_messages.opened(self._connection, index, leaf.id, leaf.kind, self.seed(index))

    def _proof(self, index: int, note: bytes) -> TlogProof:
        """As `prove`, under a checkpoint of any size. Raises `ProofError`."""
        signed, head = Checkpoint.parse(parse_note(note).text), self.head()
        if not index < signed.size <= head.size:
            raise ProofError(Flaw.RANGE, f"index {index}, checkpoint of size {signed.size}")
        leaf = self.entry(index)
        path = merkle.prove_inclusion(TileNodes(head.size, self.tile), index, signed.size)
        merkle.verify_inclusion(index, signed.size, merkle.leaf_hash(leaf), path, signed.root)
        return TlogProof(index, tuple(path), note, leaf)

    def _agreement(self, revision: str) -> Mapping[str, bytes]:
        try:
            files = store_agreements.agreement(self._connection, revision)
        except Refusal:
            files = None
        if files is None:
            raise ProofError(Flaw.NO_REVISION, revision)
        return files

    def _believed(self, *moments: datetime) -> Sequence[Mapping[str, Sequence[bytes]]]:
        """What was believed at each of these moments. Raises `ProofError`."""
        try:
            return [store_trust.believed(self._connection, one) for one in moments]
        except database_errors() as error:
            raise unreadable(error) from error


def _known(found: Sequence[Mapping[str, Sequence[bytes]]]) -> Known:
    """All of it, each once."""
    kinds = (store_trust.ANCHORS, store_trust.INTERMEDIATES, store_trust.CRLS, store_trust.ANSWERS)
    return Known(*(sorted({der for one in found for der in one[kind]}) for kind in kinds))
