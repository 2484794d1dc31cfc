"""What a load consists of: the kinds of exchange, and in which proportion each profile mixes them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a client does in one go."""

    CONSULT = "consult"  # asks for a dossier: request, question, answer, reply
    TELL = "tell"  # tells of a dossier, until both recipients have acknowledged it
    POST = "post"  # tells of a dossier whose recipient has a mailbox, until it has the receipt
    MAILBOX = "mailbox"  # the recipient's turn: lists, fetches or acknowledges, whichever is next


class Profile(StrEnum):
    """A load on a whole hub, with everything on."""

    CONSULT = "consult"
    NOTIFY = "notify"
    MIXED = "mixed"


# Percent. What is posted is fetched and acknowledged, so that mailboxes neither grow nor run dry.
SHARES: Final[Mapping[Profile, Mapping[Kind, int]]] = {
    Profile.CONSULT: {Kind.CONSULT: 100},
    Profile.NOTIFY: {Kind.TELL: 100},
    Profile.MIXED: {Kind.CONSULT: 70, Kind.TELL: 15, Kind.POST: 5, Kind.MAILBOX: 10},
}
RECIPIENTS: Final = 2  # endpoints that what is told goes to


def schedule(profile: Profile, count: int) -> list[Kind]:
    """`count` kinds in the profile's proportion, spread evenly: each step goes to the kind that lags most."""
    shares, done = SHARES[profile], dict.fromkeys(SHARES[profile], 0)
    kinds = []
    for step in range(1, count + 1):
        kind = max(shares, key=lambda one: shares[one] * step - 100 * done[one])
        done[kind] += 1
        kinds.append(kind)
    return kinds
