"""What an exchange leaves behind: the entries of its two commits, or of its refusal.

The broker makes an entry from a stage of the exchange; the store makes it durable. Beside the leaf an
entry carries what is kept outside the tree and may be erased: seeds, digests, the replay claim.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from hashlib import sha256
from typing import TYPE_CHECKING, TypeAlias

from gateway.exchangelog.fields import SEED_SIZE, FieldPlan, base64url, disclosure, salts
from gateway.exchangelog.leaf import INCOMPLETE, PERMITTED, RELEASED, Kind, Leaf

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.exchangelog.fields import FieldPlans
    from gateway.model import AuthorityId, DossierNumber, ExchangeId, Permitted, Refused, Released, Ticket

# n → n unpredictable bytes, as `os.urandom`.
Random: TypeAlias = Callable[[int], bytes]
NONCE_SIZE = 16  # bytes


@dataclass(frozen=True, slots=True)
class FieldDigests:
    """The field records of a response: the view's vector, kept once, and this exchange's digests."""

    vector: bytes
    vector_hash: bytes
    digests: bytes
    seed: bytes  # of the field salts; may be shared with the recipient


@dataclass(frozen=True, slots=True)
class Entry:
    """A leaf and what the store keeps beside it. Made by this module only."""

    leaf: bytes
    exchange: ExchangeId
    kind: Kind
    seed: bytes  # of the salts of `subj` and `body`; shared with nobody
    claim: tuple[AuthorityId, Ticket] | None = None  # request: the replay key
    fields: FieldDigests | None = None  # response


def forwarded(permitted: Permitted, exchange: ExchangeId, now: datetime, random: Random) -> Entry:
    """Commit 1: the request may be forwarded once this entry is durable."""
    request = permitted.request
    verified, caller = request.caller.verified, request.caller.authority
    seed = random(SEED_SIZE)
    leaf = Leaf(
        id=exchange,
        time=_timestamp(now),
        kind=Kind.REQUEST,
        caller=str(caller.enterprise),
        to=tuple(str(provider.enterprise) for provider in permitted.providers),
        operation=request.operation,
        legal_context=request.legal_context,
        revision=permitted.revision,
        decision=PERMITTED,
        fields_root=None,
        nfields=0,
        subject=subject_commitment(request.criteria.dossier, seed),
        body=body_commitment(verified.body, seed),
        signature=_digest(verified.signature),
        nonce=_nonce(random),
    )
    return Entry(leaf.seal(), exchange, Kind.REQUEST, seed, claim=(caller.id, request.ticket))


def returned(
    released: Released, exchange: ExchangeId, now: datetime, random: Random, plans: FieldPlans | None = None
) -> Entry:
    """Commit 2: the reply may be returned once this entry is durable.

    With `plans` the work that depends on the view alone is done once per view.
    """
    permitted, request = released.permitted, released.permitted.request
    plan = FieldPlan(permitted.view.verdicts) if plans is None else plans.of(permitted.view)
    seed, field_seed = random(SEED_SIZE), random(SEED_SIZE)
    commitment = plan.commit(released.values, field_seed)
    leaf = Leaf(
        id=exchange,
        time=_timestamp(now),
        kind=Kind.RESPONSE,
        caller=str(request.caller.authority.enterprise),
        to=tuple(str(answer.provider.enterprise) for answer in released.answers),
        operation=request.operation,
        legal_context=request.legal_context,
        revision=permitted.revision,
        # Whether anything was found must not show: `outcome` has no place in the entry.
        decision=INCOMPLETE if released.unanswered else RELEASED,
        fields_root=base64url(commitment.root).decode(),
        nfields=len(plan),
        subject=subject_commitment(request.criteria.dossier, seed),
        body=body_commitment(released.payload.encode(), seed),
        signature=_providers([answer.signature for answer in released.answers if answer.signature]),
        nonce=_nonce(random),
    )
    fields = FieldDigests(plan.vector, plan.vector_hash, commitment.digests, field_seed)
    return Entry(leaf.seal(), exchange, Kind.RESPONSE, seed, fields=fields)


def refused(refused: Refused, exchange: ExchangeId, now: datetime, random: Random) -> Entry:
    """A refusal after the caller was identified, before commit 1 or between the two commits."""
    seed = random(SEED_SIZE)
    leaf = Leaf(
        id=exchange,
        time=_timestamp(now),
        kind=Kind.REFUSAL,
        caller=str(refused.caller.enterprise),
        to=(),
        operation=refused.operation,
        legal_context=refused.legal_context,
        revision=refused.revision or None,
        decision=refused.code,
        fields_root=None,
        nfields=0,
        subject=subject_commitment(refused.dossier, seed),
        body=None,
        signature=None if refused.signature is None else _digest(refused.signature),
        nonce=_nonce(random),
    )
    return Entry(leaf.seal(), exchange, Kind.REFUSAL, seed)


def subject_commitment(dossier: DossierNumber | None, seed: bytes) -> str:
    """Salted commitment to the dossier number; of the same form when there is none."""
    return _commitment(0, "subj", dossier, seed)


def body_commitment(body: bytes, seed: bytes) -> str:
    """Salted commitment to the SHA-256 of the canonical body: bounded work for a document of any size."""
    return _commitment(1, "body", _digest(body), seed)


def _commitment(position: int, name: str, value: str | None, seed: bytes) -> str:
    return _digest(disclosure(salts(seed, position + 1)[position], name, value))


def _providers(signatures: Sequence[bytes]) -> str | None:
    """Hash over the hashes of the answers' signatures, in order; None when the hub answered, unsigned."""
    if not signatures:
        return None
    return _digest(b"".join(sha256(signature).digest() for signature in signatures))


def _digest(data: bytes) -> str:
    return base64url(sha256(data).digest()).decode("ascii")


def _nonce(random: Random) -> str:
    return base64url(random(NONCE_SIZE)).decode("ascii")


def _timestamp(now: datetime) -> str:
    """RFC 3339 in UTC with milliseconds; a naive time would be guessed at, so it is an error."""
    if now.tzinfo is None:
        raise ValueError("a time without a zone")
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
