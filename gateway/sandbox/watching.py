"""What an authority has seen of the exchange log: kept from one call to the next, so that no other log is shown to it.

A reply proves its entry under one checkpoint. That two replies come from one log, which only grew, shows when their
checkpoints are compared (PROTOCOL §8.16).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.adapters.pin import keep_evidence, read_pin, write_pin
from gateway.exchangelog.checkpoint import open_checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import NoteKey
from gateway.exchangelog.pin import compare, prover
from gateway.exchangelog.tile import TileId


@dataclass(frozen=True, slots=True)
class Watch:
    """One authority's eye on the log."""

    path: Path  # of its pin; made by the first reply
    resource: Callable[[str], bytes]  # of the log as the hub serves it (PROTOCOL §2.7)
    verifiers: Sequence[NoteKey]

    def seen(self, note: bytes) -> None:
        """Keep the checkpoint of a reply, if it is the newest, once one log has both it and the one kept.

        Replies may come in another order than their checkpoints. Raises `ProofError`: LOG413, LOG702; what
        contradicts the pin is kept beside it.
        """
        signed = open_checkpoint(note, self.verifiers)
        if not self.path.exists():
            write_pin(self.path, note)
            return
        before = read_pin(self.path, self.verifiers)
        try:
            _, newer = compare(before, signed, prover(max(before.size, signed.size), self._tile))
        except ProofError as error:
            keep_evidence(self.path, note)
            # The proof is of the log's own making, so the fault is the log's.
            if error.flaw is Flaw.ROOT:
                raise ProofError(Flaw.ROLLBACK, f"seen at size {before.size}, now {signed.size}") from error
            raise
        if newer.size > before.size:
            write_pin(self.path, note)

    def _tile(self, level: int, n: int, width: int) -> bytes:
        return self.resource(TileId(level, n, width).path)
