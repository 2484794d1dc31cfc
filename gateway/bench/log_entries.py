"""Entries as exchanges leave them, made without any: for the benchmark of the exchange log.

They have the closed form and belong together, so that the log which they fill is a good one to the check.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from gateway.exchangelog.commitment import body_commitment, digest, subject_commitment
from gateway.exchangelog.entry import NONCE_SIZE, Entry, FieldDigests
from gateway.exchangelog.exchange_id import new_exchange_id
from gateway.exchangelog.fields import SEED_SIZE, FieldPlan, base64url
from gateway.exchangelog.form import ACCEPTED, PERMITTED, RELEASED, Kind
from gateway.exchangelog.leaf import Leaf
from gateway.model import AuthorityId, DossierNumber, ExchangeId, Ticket
from gateway.refusal import Code

FIELDS: Final = 20  # released, and as many withheld
_VALUES: Final = {f"dossier/part/field{number:02}": (f"value {number}",) for number in range(FIELDS)}
_PLAN: Final = FieldPlan(
    dict.fromkeys(_VALUES) | {path.replace("part", "withheld"): "ROLE" for path in _VALUES}
)
_DOSSIER: Final = DossierNumber("WIB-2026-0000001-59")
_ASKING, _ASKED, _AUTHORITY = "0999022202", "0999011116/PLATFORM", AuthorityId("BRUSSELS")
_REVISION: Final = "ab" * 32
_SIGNATURE: Final = digest(b"a signature value")
_BODY: Final = b"a canonical body"


def refused_exchanges() -> Iterator[Entry]:
    """Requests, each with the refusal that ends it: every other entry claims a ticket, none has field records."""
    while True:
        exchange = new_exchange_id(datetime.now(UTC), os.urandom)
        yield _request(exchange)
        yield _refusal(exchange)


def deliveries(notification: Entry) -> Iterator[Entry]:
    """Releases of what was told, again and again, each with commitments to all `FIELDS`."""
    while True:
        yield _delivery(new_exchange_id(datetime.now(UTC), os.urandom), notification.exchange)


def notification() -> Entry:
    """What the deliveries deliver."""
    exchange, seed = new_exchange_id(datetime.now(UTC), os.urandom), os.urandom(SEED_SIZE)
    leaf = _leaf(exchange, Kind.NOTIFICATION, ACCEPTED, seed, body=_BODY, signature=_SIGNATURE)
    claim = (_AUTHORITY, Ticket(exchange))
    return Entry(leaf.seal(), exchange, Kind.NOTIFICATION, seed, _DOSSIER, claim)


def _request(exchange: ExchangeId) -> Entry:
    seed = os.urandom(SEED_SIZE)
    leaf = _leaf(exchange, Kind.REQUEST, PERMITTED, seed, body=_BODY, signature=_SIGNATURE)
    claim = (_AUTHORITY, Ticket(exchange))
    return Entry(leaf.seal(), exchange, Kind.REQUEST, seed, _DOSSIER, claim)


def _refusal(exchange: ExchangeId) -> Entry:
    seed = os.urandom(SEED_SIZE)
    leaf = _leaf(exchange, Kind.REFUSAL, Code.PROVIDER_TIMEOUT.row.code, seed, to=())
    return Entry(leaf.seal(), exchange, Kind.REFUSAL, seed, _DOSSIER)


def _delivery(exchange: ExchangeId, told: ExchangeId) -> Entry:
    seed, fields_seed = os.urandom(SEED_SIZE), os.urandom(SEED_SIZE)
    commitment = _PLAN.commit(_VALUES, fields_seed)
    leaf = _leaf(exchange, Kind.DELIVERY, RELEASED, seed, body=_BODY, root=commitment.root, notification=told)
    fields = FieldDigests(_PLAN.vector, _PLAN.vector_hash, commitment.digests, fields_seed)
    return Entry(leaf.seal(), exchange, Kind.DELIVERY, seed, _DOSSIER, fields=fields)


def _leaf(  # noqa: PLR0913 - what differs between the kinds
    exchange: ExchangeId,
    kind: Kind,
    decision: str,
    seed: bytes,
    *,
    to: tuple[str, ...] = (_ASKED,),
    body: bytes | None = None,
    signature: str | None = None,
    root: bytes | None = None,
    notification: ExchangeId | None = None,
) -> Leaf:
    return Leaf(
        id=exchange,
        time=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        kind=kind,
        caller=_ASKING,
        to=to,
        operation="consultDossier",
        legal_context="WIB:WORK_DECISION",
        revision=_REVISION,
        decision=decision,
        fields_root=None if root is None else base64url(root).decode(),
        nfields=0 if root is None else len(_PLAN),
        subject=subject_commitment(_DOSSIER, seed),
        body=None if body is None else body_commitment(body, seed),
        signature=signature,
        nonce=base64url(os.urandom(NONCE_SIZE)).decode(),
        notification=notification,
        in_force=None if notification is None else _REVISION,
    )
