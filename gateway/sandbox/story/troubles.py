"""The ways in which requesters, providers and recipients may go wrong, and what becomes of it."""

from __future__ import annotations

from typing import Final

from gateway.sandbox.files import FIRST
from gateway.sandbox.mischief import Mischief, Neglect
from gateway.sandbox.story.cast import BRUSSELS, NSSO, OFFICE, PLATFORM, RABAT, document, dossier
from gateway.sandbox.story.steps import Ask, Chapter, Outage, Tell, To
from gateway.sandbox.tricks import Trick


def _event(why: str = "", **neglect: Neglect) -> Tell:
    """Something that may be told over and over: the status stays."""
    return Tell(
        NSSO, "notifySocialSecurityEvent", "WORK_DECISION", FIRST,
        (To(PLATFORM, "WORK_DECISION", shows=("G33.declared",)), To(OFFICE, "RESIDENCE_DECISION", shows=("G33.declared",))),
        why=why, neglect=neglect,
    )  # fmt: skip


BAD_RECIPIENTS: Final = Chapter(
    "What recipients may do: nothing is lost, nothing comes twice, and all of it in its order",
    (
        *(
            _event(f"{PLATFORM} {neglect.value}", **{PLATFORM: neglect})
            for neglect in (Neglect.GARBAGE, Neglect.NOK, Neglect.OTHER_TICKET, Neglect.LOST)
        ),
        Outage(
            OFFICE,
            (_event(f"{OFFICE} {Neglect.DOWN.value}"), _event("it receives this after the one before")),
        ),
    ),
)


def _tried(trick: Trick, expects: str) -> Ask:
    return Ask(RABAT, "consultDossier", "VISA_ISSUE", dossier(), expects, why=trick.value, trick=trick)


BAD_REQUESTERS: Final = Chapter(
    "What requesters may try, and what it gets them",
    (
        Ask(RABAT, "consultDossier", "VISA_ISSUE", dossier(), why="an honest message, to compare"),
        _tried(Trick.REPLAYED, "WIB06005"),
        _tried(Trick.TAMPERED, "WIB04009"),
        _tried(Trick.WRAPPED, "WIB04003"),
        _tried(Trick.UNSIGNED_TIME, "WIB04006"),
        _tried(Trick.SHA1, "WIB04004"),
        _tried(Trick.STALE, "WIB04011"),
        _tried(Trick.OTHER_CUSTOMER, "WIB05004"),
        _tried(Trick.OTHER_TLS, "WIB05003"),
    ),
)


def _answered(mischief: Mischief, expects: str) -> Ask:
    return Ask(
        OFFICE, "consultDossier", "RESIDENCE_DECISION", dossier("REG"), expects,
        why=f"{BRUSSELS} {mischief.value}", mischief={BRUSSELS: mischief},
    )  # fmt: skip


BAD_PROVIDERS: Final = Chapter(
    "What providers may do, and what the requester gets instead",
    (
        _answered(Mischief.UNSIGNED, "WIB09004"),
        _answered(Mischief.TAMPERED, "WIB09004"),
        _answered(Mischief.OTHER_SIGNER, "WIB09005"),
        _answered(Mischief.SCHEMA_INVALID, "WIB09006"),
        _answered(Mischief.OTHER_TICKET, "WIB09007"),
        _answered(Mischief.BEYOND_RIGHT, "WIB09008"),
        _answered(Mischief.FAULT, "WIB09009"),
        _answered(Mischief.HTML, "WIB09003"),
        _answered(Mischief.DOWN, "WIB09001"),
        _answered(Mischief.SLOW, "WIB09002"),
        Ask(
            OFFICE, "consultDossier", "RESIDENCE_DECISION", dossier(), "WIB09007",
            why=f"{PLATFORM} {Mischief.OTHER_DOSSIER.value}", mischief={PLATFORM: Mischief.OTHER_DOSSIER},
        ),
        Ask(
            OFFICE, "retrieveDocument", "RESIDENCE_DECISION", document("CONTRACT"), "WIB09010",
            why=f"{PLATFORM} {Mischief.OTHER_DOCUMENT.value}", mischief={PLATFORM: Mischief.OTHER_DOCUMENT},
        ),
    ),
)  # fmt: skip
CHAPTERS: Final = (BAD_RECIPIENTS, BAD_REQUESTERS, BAD_PROVIDERS)
