"""What of a notification its recipient receives, and whether it may have it now (PROTOCOL §13.6).

The view is that of the revision of the agreement which was in force when the notification was accepted.
"""

from __future__ import annotations

from datetime import datetime

from gateway.agreement.load import Agreement
from gateway.model import Authority, Delivery, Dispatch, DossierScope
from gateway.policy.view import render
from gateway.refusal import Code, Refusal
from gateway.soap.xml import parse_verified


def dispatch(  # noqa: PLR0913, PLR0917 - two parties, two revisions, one moment
    delivery: Delivery,
    sender: Authority,
    recipient: Authority,
    at_acceptance: Agreement,
    in_force: Agreement,
    scope: DossierScope | None,
    now: datetime,
) -> Dispatch | None:
    """None when the recipient's part in the dossier has ended since: then it may not have it any more."""
    told = delivery.notification
    assert recipient.role is not None  # policy.notify names authorities of a role only
    if not _follows_log(delivery, at_acceptance) and not _takes_part(delivery, recipient, scope, now):
        return None
    view = at_acceptance.view(told.operation, recipient.role, delivery.legal_context, sender.role)
    rendered = render(view, [parse_verified(told.payload)])
    return Dispatch(
        delivery=delivery,
        sender=sender,
        recipient=recipient,
        view=view,
        payload=rendered.payload,
        values=rendered.values,
        in_force=in_force.revision,
    )


def may_fetch(delivery: Delivery, owner: Authority, scope: DossierScope | None, agreement: Agreement) -> None:
    """What waits in a mailbox is fetched at a status that opens the dossier to its owner, or that it led to.

    A rectification is owed at every status (GDPR art. 19). Raises Refusal: STATUS_DENIED.
    """
    if scope is None or _follows_log(delivery, agreement):
        return  # of no dossier nothing is dispatched
    assert owner.role is not None  # as in `dispatch`
    if scope.status not in agreement.roles[owner.role].statuses | {delivery.notification.status}:
        raise Refusal(Code.STATUS_DENIED)


def _follows_log(delivery: Delivery, agreement: Agreement) -> bool:
    operation = agreement.operations.get(delivery.notification.operation)
    return operation is not None and operation.follows_log


def _takes_part(delivery: Delivery, recipient: Authority, scope: DossierScope | None, now: datetime) -> bool:
    """Whose part ended with the notification itself still hears of it; whose part ended later does not."""
    if scope is None:
        return False
    own = [one for one in scope.inscriptions if (one.authority, one.role) == (recipient.id, recipient.role)]
    newest = max(own, key=lambda one: one.since, default=None)
    if newest is None:
        return False
    return newest.until is None or now < newest.until or newest.until <= delivery.notification.accepted
