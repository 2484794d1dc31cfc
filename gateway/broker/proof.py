"""The proof of an entry in the reply that it stands for (PROTOCOL §11.4)."""

from __future__ import annotations

from gateway.broker.ports import Proving
from gateway.model import Receipt, Request


async def proved(log: Proving, receipt: Receipt, request: Request) -> Receipt:
    """The receipt with its proof for who asks for it: others need not carry its size. Raises Refusal."""
    return await log.prove(receipt) if request.proof else receipt
