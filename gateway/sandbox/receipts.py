"""Whether the exchange log recorded what a reply brings: checked of every reply before it is used (PROTOCOL §11.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import NoteKey
from gateway.exchangelog.receipt import Proven, verify_receipt
from gateway.kept import UNLOGGED, read_reply
from gateway.soap.xml import parse_verified


@dataclass(frozen=True, slots=True)
class Asked:
    """The question, as whoever put it knows it: what the reply says of it is not believed."""

    operation: str
    ticket: str
    enterprise: str
    legal_context: str


def check_reply(asked: Asked, body: bytes, verifiers: Sequence[NoteKey]) -> Proven | None:
    """The entry of the reply; None where there is nothing to record. Raises `ProofError`.

    `body`: exclusive C14N of the Body that the hub signed.
    """
    kept = read_reply(parse_verified(body)[0])
    if (kept.operation, kept.ticket) != (asked.operation, asked.ticket):
        raise ProofError(Flaw.RECEIPT_OTHER, "ticket")
    if kept.receipt is None and asked.operation in UNLOGGED:
        return None
    held = replace(kept.held, recipient=asked.enterprise, legal_context=asked.legal_context)
    return verify_receipt(held, kept.receipt, verifiers)
