"""What of a notification its recipient receives, and whether it may have it still (PROTOCOL §13.6).

The view is that of the revision of the agreement which was in force when the notification was accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gateway.agreement.load import Agreement
from gateway.model import Authority, Delivery, Dispatch, DossierScope, View
from gateway.policy.rectify import EarlierRelease, Owed, owed_to, rectified
from gateway.policy.view import Rendered, narrowed, render
from gateway.policy.written import Written
from gateway.soap.xml import parse_verified


def dispatch(  # noqa: PLR0913, PLR0917 - two parties, two revisions, one moment
    delivery: Delivery,
    sender: Authority,
    recipient: Authority,
    at_acceptance: Agreement,
    in_force: Agreement,
    scope: DossierScope | None,
    now: datetime,
    earlier: Sequence[EarlierRelease] | None = None,
) -> Dispatch | None:
    """None when the recipient may not have it any more, because its part in the dossier has ended since; or when
    it is a rectification of what did not reach it after all.

    `earlier`: releases of the dossier's data, oldest first; only read for an operation that follows the log, of
    which nothing is told without it.
    """
    told, follows = delivery.notification, follows_log(delivery, at_acceptance)
    assert recipient.role is not None  # policy.notify names authorities of a role only
    if not follows and not _takes_part(delivery, recipient, scope, now):
        return None
    view = at_acceptance.view(told.operation, recipient.role, delivery.legal_context, sender.role)
    if follows:
        owed = owed_to(recipient, told.exchange, earlier or (), at_acceptance)
        if not _concerns(owed, delivery, view):
            return None
        view, rendered = _rectified(owed, delivery, view)
    else:
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


def follows_log(delivery: Delivery, agreement: Agreement) -> bool:
    """Is it a rectification: told to whoever received the field before, by the log?"""
    operation = agreement.operations.get(delivery.notification.operation)
    return operation is not None and operation.follows_log


def _concerns(owed: Owed, delivery: Delivery, view: View) -> bool:
    """By the rule that found its recipients; a delivery that they waited for may have ended otherwise."""
    written = Written.of(parse_verified(delivery.notification.payload), view.payload)
    return bool(rectified(written) & owed.shown)


def _rectified(owed: Owed, delivery: Delivery, view: View) -> tuple[View, Rendered]:
    """Only what the recipient knows; the view says what it was shown, so that it tells nothing of the data."""
    shown, known = narrowed(view, owed.shown), narrowed(view, owed.shown & owed.known)
    rendered = render(known, [parse_verified(delivery.notification.payload)])
    values = {
        path: rendered.values.get(path, ()) for path, reason in shown.verdicts.items() if reason is None
    }
    return shown, Rendered(rendered.payload, values)


def _takes_part(delivery: Delivery, recipient: Authority, scope: DossierScope | None, now: datetime) -> bool:
    """Whose part ended with the notification itself still hears of it; whose part ended later does not."""
    if scope is None:
        return False
    own = [one for one in scope.inscriptions if (one.authority, one.role) == (recipient.id, recipient.role)]
    if not own or any(one.until is None for one in own):
        return bool(own)
    ended = max(one.until for one in own if one.until is not None)  # not the newest: clocks are set back
    return now < ended or ended <= delivery.notification.accepted
