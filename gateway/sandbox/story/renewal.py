"""A renewal: the worker is in Belgium, so that there is no consular leg."""

from __future__ import annotations

from typing import Final

from gateway.sandbox.files import OTHER_WORKER, RENEWAL
from gateway.sandbox.story.cast import BRUSSELS, LIEGE, NSSO, OFFICE, PLATFORM, WALLONIA, dossier, worker
from gateway.sandbox.story.steps import Ask, Chapter, Tell, To

_C: Final = "RENEWAL"
EXAMINED: Final = Chapter(
    "Another worker's renewal, in another region",
    (
        Tell(
            PLATFORM, "submitApplication", _C, RENEWAL,
            (To(WALLONIA, _C, shows=("G15.endDate", "G16.amount", "G20.document"), hides=("G07.street",)),),
        ),
        Ask(
            WALLONIA, "consultSocialSecurityStatus", _C,
            {**worker(RENEWAL, OTHER_WORKER), "periodStart": "2026-01-01", "periodEnd": "2026-09-30"},
            why="proof of actual employment", shows=("G33.dmfa",),
        ),
        Tell(
            WALLONIA, "notifyAdmissibility", _C, RENEWAL,
            (To(PLATFORM, _C, shows=("G27.outcome",)), To(OFFICE, _C, shows=("G27.outcome",))),
        ),
        Tell(
            PLATFORM, "transferApplication", _C, RENEWAL,
            (To(OFFICE, _C, shows=("G07.street", "G16.amount"), hides=("G11.unitNumber",)),),
        ),
        Ask(
            WALLONIA, "consultDossier", _C, dossier(number=RENEWAL),
            shows=("G15.endDate", "G16.amount"), hides=("G07.street",),
        ),
        Tell(
            NSSO, "notifySocialSecurityEvent", _C, RENEWAL,
            (
                To(PLATFORM, _C, shows=("G33.dmfa",)),
                To(WALLONIA, _C, shows=("G33.dmfa",)),
                To(OFFICE, _C, shows=("G33.dmfa",)),
            ),
            why="another quarter was declared",
        ),
        Ask(OFFICE, "consultSocialSecurityStatus", _C, worker(RENEWAL, OTHER_WORKER), shows=("G33.declared",)),
        Ask(
            WALLONIA, "consultDossier", _C, dossier("MUN", RENEWAL),
            shows=("G32.cardExpiry",), hides=("G32.cardNumber",),
        ),
        Ask(
            WALLONIA, "consultDossier", "WORK_DECISION", dossier(number=RENEWAL), "WIB07003",
            why="a purpose of first applications",
        ),
        Ask(BRUSSELS, "consultDossier", _C, dossier(number=RENEWAL), "WIB07005", why="another region's"),
    ),
)  # fmt: skip
RENEWED: Final = Chapter(
    "Renewed: the municipality is instructed, and issues the card",
    (
        Tell(
            WALLONIA, "notifyWorkDecision", _C, RENEWAL,
            (
                To(PLATFORM, _C, shows=("G28.validUntil",)),
                To(OFFICE, _C, shows=("G28.validUntil",)),
                To(NSSO, _C, shows=("G28.validUntil",), hides=("G28.date",)),
            ),
        ),
        Tell(
            OFFICE, "notifyResidenceDecision", _C, RENEWAL,
            (
                To(PLATFORM, _C, shows=("G29.validUntil", "G30.residence")),
                To(WALLONIA, _C, shows=("G29.outcome",), hides=("G29.validUntil", "G30.residence")),
                To(NSSO, _C, shows=("G29.validUntil",), hides=("G30.residence",)),
            ),
        ),
        Tell(
            OFFICE, "notifyPermit", _C, RENEWAL,
            (
                To(PLATFORM, _C, shows=("G29.validUntil",)),
                To(WALLONIA, _C, shows=("G29.outcome",), hides=("G09.cardNumber",)),
                To(LIEGE, _C, shows=("G09.cardNumber", "G29.validUntil")),
                To(NSSO, _C, shows=("G29.validUntil",), hides=("G09.cardNumber",)),
            ),
        ),
        Tell(
            OFFICE, "instructMunicipality", _C, RENEWAL,
            (To(LIEGE, _C, shows=("G09.cardNumber", "G29.validUntil")),),
        ),
        Tell(
            LIEGE, "notifyCard", _C, RENEWAL,
            (
                To(PLATFORM, _C, shows=("G32.status",), hides=("G32.cardNumber",)),
                To(WALLONIA, _C, shows=("G32.cardExpiry",), hides=("G32.cardNumber",)),
                To(OFFICE, _C, shows=("G32.cardNumber",)),
                To(NSSO, _C, shows=("G32.cardExpiry",), hides=("G32.cardNumber",)),
            ),
        ),
        Tell(
            PLATFORM, "closeDossier", _C, RENEWAL,
            (
                To(WALLONIA, _C, shows=("G01.status",)),
                To(OFFICE, _C, shows=("G01.status",)),
                To(LIEGE, _C, shows=("G01.status",)),
                To(NSSO, _C, shows=("G01.status",)),
            ),
        ),
    ),
)  # fmt: skip
CHAPTERS: Final = (EXAMINED, RENEWED)
