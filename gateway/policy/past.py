"""A dossier as it was: what the directory knows now, with the status of a past moment (PROTOCOL §15.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from gateway.model import DossierScope, Passage

_JUST_BEFORE: Final = timedelta(microseconds=1)  # the directory's times are as fine


def decided_at(entry: str, received: datetime | None) -> datetime:
    """The moment at which an exchange was decided, as near as is known. `entry`: the time of its entry.

    `received`: of a notification that was accepted: it moved its dossier at that very moment, and was decided on the
    dossier as it was before.
    """
    return datetime.fromisoformat(entry) if received is None else received - _JUST_BEFORE


def as_of(scope: DossierScope, passages: Sequence[Passage], moment: datetime) -> DossierScope | None:
    """None when the directory did not know the dossier yet. `passages`: in order.

    Type of permit, procedure and person are those of now: no step changes them but the one that binds a person.
    Who takes part is left as it is, since inscriptions have their times: a rule asks them with `moment` as now.
    """
    passed = [one for one in passages if one.since <= moment]
    if not passed:
        return None
    before = passed[-2].status if len(passed) > 1 else None  # what an interrupting status would resume
    return replace(scope, status=passed[-1].status, status_since=passed[-1].since, resumes=before)
