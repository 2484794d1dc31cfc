"""What an exchange leaves behind: the entries of its two commits, of its refusal, or of a notification.

The broker makes an entry from a stage of the exchange; the store makes it durable. Beside the leaf an
entry carries what is kept outside the tree and may be erased: seeds, digests, the dossier, the replay claim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from gateway.exchangelog.commitment import (
    body_commitment,
    digest,
    signatures_digest,
    subject_commitment,
)
from gateway.exchangelog.fields import SEED_SIZE, FieldPlan, base64url
from gateway.exchangelog.form import (
    ACCEPTED,
    INCOMPLETE,
    PERMITTED,
    RELEASED,
    DropReason,
    Kind,
)
from gateway.exchangelog.leaf import Leaf
from gateway.model import ExchangeId

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.exchangelog.fields import FieldPlans
    from gateway.model import (
        Accepted,
        AuthorityId,
        Delivery,
        Dispatch,
        DossierNumber,
        LegalContext,
        OperationName,
        Permitted,
        Refused,
        Released,
        Settlement,
        Ticket,
        View,
    )

# n → n unpredictable bytes, as `os.urandom`.
Random: TypeAlias = Callable[[int], bytes]
NONCE_SIZE = 16  # bytes


class FieldDigests(msgspec.Struct, frozen=True):
    """The field records of a release: the view's vector, kept once, and this exchange's digests."""

    vector: bytes
    vector_hash: bytes
    digests: bytes
    seed: bytes  # of the field salts; may be shared with the recipient


class Entry(msgspec.Struct, frozen=True):
    """A leaf and what the store keeps beside it. Made by this module and by `own_entry` only."""

    leaf: bytes
    exchange: ExchangeId
    kind: Kind
    seed: bytes  # of the salts of `subj` and `body`; shared with nobody
    dossier: DossierNumber | None  # that `subj` commits to; kept with the seed, as a keyed digest
    claim: tuple[AuthorityId, Ticket] | None = None  # request, notification: the replay key
    fields: FieldDigests | None = None  # response, delivery
    messages: tuple[bytes, ...] = ()  # that others signed, as received, in the order of their signatures
    payload: bytes | None = None  # what `body` commits to, where that is no signed message's
    person: bytes | None = (
        None  # refusal, access: person digest of whom an INSZ named; kept as a keyed digest of it
    )


@dataclass(frozen=True, slots=True)
class Settling:
    """The end of a delivery, as the log is told of it."""

    sender: str  # enterprise, as in the entry of the notification
    recipient: str  # the same
    operation: OperationName
    legal_context: LegalContext  # the recipient's
    notification: ExchangeId
    dossier: DossierNumber
    revision: str  # hash of the agreement revision in force when the notification was accepted
    in_force: str  # and of the one in force now
    settlement: Settlement
    signature: bytes | None = None  # of the recipient's acknowledgement
    reason: DropReason | None = None
    message: bytes = b""  # the acknowledgement as received; none where the entry of its request keeps it

    @classmethod
    def of(  # noqa: PLR0913, PLR0917 - what the delivery itself does not know
        cls,
        delivery: Delivery,
        sender: str,
        recipient: str,
        settlement: Settlement,
        in_force: str,
        signature: bytes | None = None,
        message: bytes = b"",
    ) -> Settling:
        """How this delivery ends."""
        told = delivery.notification
        return cls(
            sender=sender,
            recipient=recipient,
            operation=told.operation,
            legal_context=delivery.legal_context,
            notification=told.exchange,
            dossier=told.dossier,
            revision=told.revision,
            in_force=in_force,
            settlement=settlement,
            signature=signature,
            message=message,
        )


def forwarded(permitted: Permitted, exchange: ExchangeId, now: datetime, random: Random) -> Entry:
    """Commit 1: the request may be forwarded once this entry is durable."""
    request = permitted.request
    verified, caller = request.caller.verified, request.caller.authority
    seed = random(SEED_SIZE)
    leaf = Leaf(
        id=exchange,
        time=timestamp(now),
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
        signature=digest(verified.signature),
        nonce=nonce(random),
    )
    claim = (caller.id, request.ticket)
    kept = _signed(verified.message)
    return Entry(leaf.seal(), exchange, Kind.REQUEST, seed, request.criteria.dossier, claim, messages=kept)


def returned(
    released: Released, exchange: ExchangeId, now: datetime, random: Random, plans: FieldPlans | None = None
) -> Entry:
    """Commit 2: the reply may be returned once this entry is durable.

    With `plans` the work that depends on the view alone is done once per view.
    """
    permitted, request = released.permitted, released.permitted.request
    seed = random(SEED_SIZE)
    root, count, fields = _records(permitted.view, released.values, random, plans)
    leaf = Leaf(
        id=exchange,
        time=timestamp(now),
        kind=Kind.RESPONSE,
        caller=str(request.caller.authority.enterprise),
        to=tuple(str(answer.provider.enterprise) for answer in released.answers),
        operation=request.operation,
        legal_context=request.legal_context,
        revision=permitted.revision,
        # Whether anything was found must not show: `outcome` has no place in the entry.
        decision=INCOMPLETE if released.unanswered else RELEASED,
        fields_root=root,
        nfields=count,
        subject=subject_commitment(request.criteria.dossier, seed),
        body=body_commitment(released.payload.encode(), seed),
        signature=signatures_digest([answer.signature for answer in released.answers if answer.signature]),
        nonce=nonce(random),
    )
    return Entry(
        leaf.seal(),
        exchange,
        Kind.RESPONSE,
        seed,
        request.criteria.dossier,
        fields=fields,
        messages=_signed(*(answer.message for answer in released.answers)),
        payload=released.payload.encode(),
    )


def refused(refused: Refused, exchange: ExchangeId, now: datetime, random: Random) -> Entry:
    """A refusal after the caller was identified, before commit 1 or between the two commits."""
    seed = random(SEED_SIZE)
    leaf = Leaf(
        id=exchange,
        time=timestamp(now),
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
        signature=None if refused.signature is None else digest(refused.signature),
        nonce=nonce(random),
    )
    kept = _signed(refused.message)
    return Entry(
        leaf.seal(), exchange, Kind.REFUSAL, seed, refused.dossier, messages=kept, person=refused.person
    )


def accepted(accepted: Accepted, exchange: ExchangeId, now: datetime, random: Random) -> Entry:
    """The acceptance of a notification: it will be delivered once this entry is durable."""
    request = accepted.request
    verified, sender = request.caller.verified, request.caller.authority
    seed = random(SEED_SIZE)
    leaf = Leaf(
        id=exchange,
        time=timestamp(now),
        kind=Kind.NOTIFICATION,
        caller=str(sender.enterprise),
        to=tuple(str(one.authority.enterprise) for one in accepted.recipients),
        operation=request.operation,
        legal_context=request.legal_context,
        revision=accepted.revision,
        decision=ACCEPTED,
        fields_root=None,
        nfields=0,
        subject=subject_commitment(accepted.scope.dossier, seed),
        body=body_commitment(verified.body, seed),
        signature=digest(verified.signature),
        nonce=nonce(random),
    )
    claim = (sender.id, request.ticket)
    kept, dossier = _signed(verified.message), accepted.scope.dossier
    return Entry(leaf.seal(), exchange, Kind.NOTIFICATION, seed, dossier, claim, messages=kept)


def delivered(
    dispatch: Dispatch, exchange: ExchangeId, now: datetime, random: Random, plans: FieldPlans | None = None
) -> Entry:
    """What the recipient may receive once this entry is durable.

    `exchange`: the delivery itself when it is carried to an endpoint, else the fetch of a mailbox.
    """
    delivery, told = dispatch.delivery, dispatch.delivery.notification
    seed = random(SEED_SIZE)
    root, count, fields = _records(dispatch.view, dispatch.values, random, plans)
    leaf = Leaf(
        id=exchange,
        time=timestamp(now),
        kind=Kind.DELIVERY,
        caller=str(dispatch.sender.enterprise),
        to=(str(dispatch.recipient.enterprise),),
        operation=told.operation,
        legal_context=delivery.legal_context,
        revision=told.revision,
        decision=RELEASED,
        fields_root=root,
        nfields=count,
        subject=subject_commitment(told.dossier, seed),
        body=body_commitment(dispatch.payload.encode(), seed),
        signature=None,
        nonce=nonce(random),
        notification=told.exchange,
        in_force=dispatch.in_force,
    )
    payload = dispatch.payload.encode()
    return Entry(leaf.seal(), exchange, Kind.DELIVERY, seed, told.dossier, fields=fields, payload=payload)


def settled(settling: Settling, exchange: ExchangeId, now: datetime, random: Random) -> Entry:
    """The end of a delivery. `exchange`: the delivery itself, or the acknowledgement of a mailbox."""
    seed = random(SEED_SIZE)
    leaf = Leaf(
        id=exchange,
        time=timestamp(now),
        kind=Kind.SETTLEMENT,
        caller=settling.sender,
        to=(settling.recipient,),
        operation=settling.operation,
        legal_context=settling.legal_context,
        revision=settling.revision,
        decision=settling.settlement.value,
        fields_root=None,
        nfields=0,
        subject=subject_commitment(settling.dossier, seed),
        body=None,
        signature=None if settling.signature is None else digest(settling.signature),
        nonce=nonce(random),
        notification=settling.notification,
        in_force=settling.in_force,
        reason=None if settling.reason is None else settling.reason.value,
    )
    kept = _signed(settling.message)
    return Entry(leaf.seal(), exchange, Kind.SETTLEMENT, seed, settling.dossier, messages=kept)


def _signed(*messages: bytes) -> tuple[bytes, ...]:
    return tuple(one for one in messages if one)


def _records(
    view: View, values: Mapping[str, tuple[str, ...]], random: Random, plans: FieldPlans | None
) -> tuple[str, int, FieldDigests]:
    """Root and number of the field records, and what the store keeps of them."""
    plan = FieldPlan(view.verdicts) if plans is None else plans.of(view)
    seed = random(SEED_SIZE)
    commitment = plan.commit(values, seed)
    kept = FieldDigests(plan.vector, plan.vector_hash, commitment.digests, seed)
    return base64url(commitment.root).decode(), len(plan), kept


def nonce(random: Random) -> str:
    """Of a leaf."""
    return base64url(random(NONCE_SIZE)).decode("ascii")


def timestamp(now: datetime) -> str:
    """RFC 3339 in UTC with milliseconds; a naive time would be guessed at, so it is an error."""
    if now.tzinfo is None:
        raise ValueError("a time without a zone")
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
