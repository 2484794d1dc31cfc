"""A dossier as it was: what the directory knows now, with the status of a past moment (PROTOCOL §15.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from gateway.model import DossierScope, Passage


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
