"""Who received what of a dossier before: its releases, found by the seeds that stand beside their entries.

An entry whose seed was erased is found no more: erasing a seed takes away what ties the entry to the dossier.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import apsw

from gateway.adapters.store_delivery import reading
from gateway.adapters.store_work import ClaimKey
from gateway.exchangelog.fields import FieldPlan
from gateway.exchangelog.flaw import ProofError
from gateway.exchangelog.leaf import Kind, Leaf
from gateway.model import DossierNumber, LegalContext, OperationName
from gateway.policy.rectify import EarlierRelease
from gateway.refusal import Code, Refusal

_RELEASES: Final = """
SELECT e.leaf, v.vector FROM seeds s JOIN entries e ON e.idx = s.idx JOIN views v ON v.hash = e.view
WHERE s.dossier = ? ORDER BY e.idx
"""


def releases(connection: apsw.Connection, keys: ClaimKey, dossier: DossierNumber) -> list[EarlierRelease]:
    """The oldest first. Raises Refusal: LOG_UNAVAILABLE, also for an entry that is malformed."""
    with reading("log"):
        rows: list[tuple[Any, ...]] = connection.execute(_RELEASES, (keys.dossier(dossier),)).fetchall()
    try:
        return [_release(Leaf.parse(leaf), vector) for leaf, vector in rows]
    except ProofError as error:
        raise Refusal(Code.LOG_UNAVAILABLE, "log") from error


def _release(leaf: Leaf, vector: bytes) -> EarlierRelease:
    recipient = leaf.to[0] if leaf.kind is Kind.DELIVERY else leaf.caller
    return EarlierRelease(
        recipient, OperationName(leaf.operation or ""), LegalContext(leaf.legal_context or ""), _paths(vector)
    )


@lru_cache(maxsize=512)
def _paths(vector: bytes) -> frozenset[str]:
    """A view releases the same to everybody who has it."""
    return FieldPlan.parse(vector).released
