"""The life of permits as data: who asks and tells what, and what must come of it.

Everybody says hello; a first permit and a renewal; what other permits differ in; the ends that are not a permit;
the ways in which others may go wrong. `telling` runs it.
"""

from __future__ import annotations

from typing import Final

from gateway.sandbox.story import endings, first, granted, others, renewal, troubles
from gateway.sandbox.story.cast import (
    BRUSSELS,
    CITY,
    COMMUNITY,
    EUPEN,
    FLANDERS,
    LIEGE,
    NEW_DELHI,
    NSSO,
    OFFICE,
    PLATFORM,
    RABAT,
    WALLONIA,
)
from gateway.sandbox.story.steps import Ask, Chapter


def _hello(who: str, context: str, *, soap12: bool = False) -> Ask:
    criteria = {"echo": f"hello-from-{who.lower().replace('_', '-')}"}
    return Ask(who, "sendTestMessage", context, criteria, soap12=soap12)


GREETING: Final = Chapter(
    "Everybody is connected",
    (
        _hello(PLATFORM, "ADMISSIBILITY"),
        _hello(BRUSSELS, "ADMISSIBILITY", soap12=True),
        _hello(FLANDERS, "ADMISSIBILITY"),
        _hello(WALLONIA, "ADMISSIBILITY"),
        _hello(COMMUNITY, "ADMISSIBILITY", soap12=True),
        _hello(OFFICE, "RESIDENCE_DECISION"),
        _hello(RABAT, "VISA_ISSUE"),
        _hello(NEW_DELHI, "VISA_ISSUE", soap12=True),
        _hello(CITY, "MUNICIPAL_REGISTRATION"),
        _hello(LIEGE, "MUNICIPAL_REGISTRATION"),
        _hello(EUPEN, "MUNICIPAL_REGISTRATION"),
        _hello(NSSO, "WORK_DECISION", soap12=True),
        Ask(
            BRUSSELS,
            "checkAccessControl",
            "ADMISSIBILITY",
            {"operation": "consultDossier"},
            why="what may I ask?",
        ),
    ),
)
STORY: Final = (
    GREETING,
    *first.CHAPTERS,
    *granted.CHAPTERS,
    *renewal.CHAPTERS,
    *others.CHAPTERS,
    *endings.CHAPTERS,
    *troubles.CHAPTERS,
)
