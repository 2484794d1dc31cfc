"""Who received what of a dossier before: its releases, found by the seeds that stand beside their entries.

An entry whose seed was erased is found no more: erasing a seed takes away what ties the entry to the dossier.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_connect import connect
from gateway.adapters.store_delivery import reading
from gateway.adapters.store_reading import reads
from gateway.adapters.store_seeds import digests, due, fields_of
from gateway.adapters.store_session import Session, StorePlace, Use, database_errors, placeholders, unreadable
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.fields import FieldPlan, disclosure, plan_of, salts
from gateway.exchangelog.flaw import ProofError
from gateway.exchangelog.leaf import Kind, Leaf
from gateway.exchangelog.merkle import HASH_SIZE
from gateway.model import AuthorityId, DossierNumber, ExchangeId, LegalContext, OperationName
from gateway.policy.rectify import EarlierRelease, Outstanding
from gateway.refusal import Code, Refusal

_RELEASES: Final = """
SELECT e.idx, e.leaf, v.vector, e.digests, s.bucket, s.fields
FROM seeds s JOIN entries e ON e.idx = s.idx JOIN views v ON v.hash = e.view
WHERE s.dossier IN ({digests}) ORDER BY e.idx
"""
_NEWER: Final = """
SELECT 1 FROM seeds s JOIN entries e ON e.idx = s.idx
WHERE s.dossier IN ({digests}) AND s.idx > ? AND e.view IS NOT NULL LIMIT 1
"""
_OUTSTANDING: Final = (
    "SELECT recipient, sender, operation, context FROM outstanding WHERE dossier = ? ORDER BY position"
)


def releases(connection: Session, keys: BucketKeys, dossier: DossierNumber) -> list[EarlierRelease]:
    """The oldest first.

    Raises Refusal: LOG_UNAVAILABLE, also for an entry that is malformed or a seed that does not open.
    """
    try:
        with reading("log"):
            about = digests(connection, keys, dossier)
            rows: list[tuple[Any, ...]] = []
            if about:
                rows = connection.execute(_for(_RELEASES, about), about).fetchall()
        return [_release(keys, *row) for row in rows]
    except (ProofError, ValueError) as error:
        raise Refusal(Code.LOG_UNAVAILABLE, "log") from error


class Former:
    """The releases of a log that this one succeeds, as they stand in its store, which is only read."""

    def __init__(self, place: StorePlace, keys: BucketKeys, after: int) -> None:
        """`after`: entries of the logs between it and this one. Raises `ProofError`."""
        self._keys = keys
        try:
            with closing(connect(place, Use.READ)) as session:
                ((size,),) = session.execute("SELECT size FROM head")
        except database_errors() as error:
            raise unreadable(error, place) from error
        self.entries = int(size) + after  # to the beginning of this log: there its indices would be 0
        self._reads = reads(place, sessions=1)

    async def releases(self, dossier: DossierNumber) -> list[EarlierRelease]:
        """As of this log, with indices below 0. Raises Refusal: LOG_UNAVAILABLE."""
        found = await self._reads.look(lambda at: releases(at, self._keys, dossier))
        return [replace(one, index=one.index - self.entries) for one in found]

    async def due(self, years: int, now: datetime) -> set[Bucket]:
        """As `store_seeds.due`."""
        return await self._reads.look(lambda at: due(at, years, now))

    def close(self) -> None:
        self._reads.close()


def outstanding(connection: Session, dossier: DossierNumber) -> list[Outstanding]:
    """In the order of acceptance. Raises Refusal: LOG_UNAVAILABLE."""
    with reading("queue"):
        rows: list[tuple[Any, ...]] = connection.execute(_OUTSTANDING, (dossier,)).fetchall()
    return [
        Outstanding(
            AuthorityId(recipient), AuthorityId(sender), OperationName(operation), LegalContext(context)
        )
        for recipient, sender, operation, context in rows
    ]


def any_newer(connection: Session, keys: BucketKeys, dossier: DossierNumber, index: int) -> bool:
    """Was anything of the dossier released after the entry of this index? Raises Refusal: LOG_UNAVAILABLE."""
    try:
        about = digests(connection, keys, dossier)
    except ProofError as error:
        raise Refusal(Code.LOG_UNAVAILABLE, "bucket key") from error
    if not about:
        return False
    return connection.execute(_for(_NEWER, about), (*about, index)).fetchone() is not None


def _for(sql: str, about: Sequence[bytes]) -> str:
    return sql.format(digests=placeholders(about))


def _release(  # noqa: PLR0913, PLR0917 - a row
    keys: BucketKeys,
    index: int,
    entry: bytes,
    vector: bytes,
    digests: bytes,
    bucket: str,
    wrapped: bytes | None,
) -> EarlierRelease:
    leaf, plan = Leaf.parse(entry), plan_of(vector)
    seed = None if wrapped is None else keys.unwrap(Bucket.parse(bucket), wrapped, fields_of(index))
    return EarlierRelease(
        index=index,
        enterprise=leaf.to[0] if leaf.kind is Kind.DELIVERY else leaf.caller,
        operation=OperationName(leaf.operation or ""),
        legal_context=LegalContext(leaf.legal_context or ""),
        released=plan.released,
        present=frozenset() if seed is None else _present(plan, digests, seed),
        notification=ExchangeId(leaf.notification) if leaf.notification else None,
    )


def _present(plan: FieldPlan, digests: bytes, seed: bytes) -> frozenset[str]:
    """The released paths of which there was a value: those whose digest is not that of absence."""
    paths = sorted(plan.released)
    each = zip(paths, salts(seed, len(paths)), _split(digests), strict=True)
    return frozenset(
        path for path, salt, digest in each if sha256(disclosure(salt, path, None)).digest() != digest
    )


def _split(digests: bytes) -> list[bytes]:
    return [digests[at : at + HASH_SIZE] for at in range(0, len(digests), HASH_SIZE)]
