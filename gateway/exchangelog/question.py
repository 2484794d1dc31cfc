"""What an officer asks of the log, as far as a leaf shows whether it is an answer.

A store finds entries faster; this is the plain definition, by which anybody checks an answer offline. Whom or
which dossier an entry is about, and which fields it released, no leaf shows: see `answer`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from gateway.exchangelog.form import ACCEPTED, INCOMPLETE, RELEASED, Kind
from gateway.exchangelog.leaf import Leaf
from gateway.model import Settlement


class Outcome(StrEnum):
    """How an exchange, or a delivery, came out."""

    RELEASED = RELEASED
    INCOMPLETE = INCOMPLETE
    REFUSED = "refused"  # whatever the code
    ACCEPTED = ACCEPTED
    ACKNOWLEDGED = Settlement.ACKNOWLEDGED.value
    LAPSED = Settlement.LAPSED.value
    EXPIRED = Settlement.EXPIRED.value
    DROPPED = Settlement.DROPPED.value


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a list is narrowed to; None does not narrow. A party is a number, with or without its unit."""

    kind: str | None = None
    authority: str | None = None  # who asks or tells, or is asked or told
    sender: str | None = None  # `from`
    recipient: str | None = None  # among `to`
    operation: str | None = None
    context: str | None = None
    code: str | None = None  # decision: "released" and so on, or a refusal code
    outcome: str | None = None
    since: str | None = None  # UTC, as in the entries
    until: str | None = None  # the same; not included
    notification: str | None = None  # deliveries and settlements of the notification with this id
    party: str | None = None  # only what this authority, by number and unit, took part in

    def matches(self, leaf: Leaf) -> bool:
        """Whether the entry is an answer to it."""
        exact = (
            (self.kind, leaf.kind.value),
            (self.operation, leaf.operation),
            (self.context, leaf.legal_context),
            (self.code, leaf.decision),
            (self.outcome, _outcome(leaf)),
            (self.notification, leaf.notification),
        )
        parties = (
            (self.authority, (leaf.caller, *leaf.to)),
            (self.sender, (leaf.caller,)),
            (self.recipient, leaf.to),
        )
        return (
            all(wanted is None or wanted == found for wanted, found in exact)
            and all(wanted is None or any(_is(wanted, one) for one in found) for wanted, found in parties)
            and (self.since is None or leaf.time >= self.since)
            and (self.until is None or leaf.time < self.until)
            and (self.party is None or takes_part(self.party, leaf))
        )


def takes_part(party: str, leaf: Leaf) -> bool:
    """Whether the exchange is this authority's own.

    A notification names all its recipients, so it is its sender's; each recipient has its delivery.
    """
    return leaf.caller == party or (leaf.kind is not Kind.NOTIFICATION and party in leaf.to)


def _outcome(leaf: Leaf) -> str:
    return Outcome.REFUSED if leaf.kind is Kind.REFUSAL else leaf.decision


_UNIT: Final = "/"


def _is(wanted: str, party: str) -> bool:
    """A number without a unit means every unit of it."""
    return party == wanted or party.startswith(wanted + _UNIT)
