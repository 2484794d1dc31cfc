"""A first single permit for a worker abroad: from the decisions over visa and card to a rectification."""

from __future__ import annotations

from typing import Final

from gateway.sandbox.files import FIRST
from gateway.sandbox.story.cast import (
    BRUSSELS,
    CITY,
    LIEGE,
    NEW_DELHI,
    NSSO,
    OFFICE,
    PLATFORM,
    RABAT,
    document,
    dossier,
    worker,
)
from gateway.sandbox.story.steps import Ask, Chapter, Tell, To

DECIDED: Final = Chapter(
    "Two decisions, each from its own authority, and the permit",
    (
        Tell(
            BRUSSELS, "notifyWorkDecision", "WORK_DECISION", FIRST,
            (
                To(PLATFORM, "WORK_DECISION", shows=("G28.outcome", "G28.conditions", "G30.work")),
                To(OFFICE, "RESIDENCE_DECISION", shows=("G28.outcome", "G30.work")),
                To(NSSO, "WORK_DECISION", shows=("G28.outcome", "G28.validUntil"), hides=("G28.conditions", "G30.work")),
            ),
        ),
        Ask(
            OFFICE, "consultDossier", "RESIDENCE_DECISION", dossier("REG"),
            shows=("G28.outcome", "G28.conditions", "G30.work"),
        ),
        Ask(PLATFORM, "consultDossier", "WORK_DECISION", dossier("REG"), shows=("G28.validUntil", "G30.work")),
        Ask(
            NSSO, "consultDossier", "WORK_DECISION", dossier(),
            shows=("G10.cbeNumber", "G11.unitNumber", "G17.municipality"), hides=("G16.amount", "G05.email"),
        ),
        Tell(
            OFFICE, "notifyResidenceDecision", "RESIDENCE_DECISION", FIRST,
            (
                To(
                    PLATFORM, "RESIDENCE_DECISION", shows=("G29.annexType", "G30.residence"), hides=("G30.publicOrder",),
                ),
                To(
                    BRUSSELS, "WORK_DECISION", shows=("G29.outcome",),
                    hides=("G29.validFrom", "G30.residence", "G30.publicOrder"),
                ),
                To(NSSO, "WORK_DECISION", shows=("G29.outcome", "G29.validUntil"), hides=("G29.annexType", "G30.residence")),
            ),
            why="grounds of public order leave the Office to nobody",
        ),
        Ask(
            PLATFORM, "consultDossier", "RESIDENCE_DECISION", dossier("OE"),
            shows=("G29.annexType", "G30.residence"), hides=("G30.publicOrder",),
        ),
        Ask(
            BRUSSELS, "consultDossier", "WORK_DECISION", dossier("OE"),
            shows=("G29.outcome",), hides=("G29.validFrom", "G30.residence", "G30.publicOrder"),
        ),
        Tell(
            OFFICE, "notifyPermit", "RESIDENCE_DECISION", FIRST,
            (
                To(PLATFORM, "RESIDENCE_DECISION", shows=("G09.fileNumber", "G29.annexType")),
                To(BRUSSELS, "WORK_DECISION", shows=("G09.title", "G29.outcome"), hides=("G09.fileNumber", "G29.annexType")),
                To(RABAT, "VISA_ISSUE", shows=("G09.fileNumber", "G29.annexType", "G29.validUntil")),
                To(CITY, "MUNICIPAL_REGISTRATION", shows=("G09.fileNumber", "G29.validUntil")),
                To(NSSO, "WORK_DECISION", shows=("G29.validUntil",), hides=("G09.fileNumber", "G29.annexType")),
            ),
            why="annex 46, to the post that the applicant named",
        ),
        Ask(
            RABAT, "consultDossier", "VISA_ISSUE", dossier(),
            shows=("G06.street", "G08.scan", "G10.name"), hides=("G07.street", "G10.cbeNumber", "G16.amount"),
        ),
        Ask(RABAT, "retrieveDocument", "VISA_ISSUE", document("TRAVEL_DOCUMENT_SCAN"), shows=("document.content",)),
        Ask(RABAT, "consultDossier", "VISA_ISSUE", dossier("OE"), shows=("G29.annexType",), hides=("G30.residence",)),
        Ask(
            NEW_DELHI, "consultDossier", "VISA_ISSUE", dossier(), "WIB07005",
            why="another post, though of the same legal person",
        ),
    ),
)  # fmt: skip
ARRIVED: Final = Chapter(
    "Visa, registration, card",
    (
        Tell(
            RABAT, "notifyVisa", "VISA_ISSUE", FIRST,
            (
                To(PLATFORM, "VISA_ISSUE", shows=("G31.status",), hides=("G31.stickerNumber",)),
                To(BRUSSELS, "WORK_DECISION", shows=("G31.status",), hides=("G31.stickerNumber",)),
                To(OFFICE, "VISA_ISSUE", shows=("G31.stickerNumber",)),
                To(CITY, "MUNICIPAL_REGISTRATION", shows=("G31.validUntil",)),
            ),
        ),
        Ask(OFFICE, "consultDossier", "VISA_ISSUE", dossier("CONS"), shows=("G31.stickerNumber",)),
        Ask(
            PLATFORM, "consultDossier", "VISA_ISSUE", dossier("CONS"),
            shows=("G31.status",), hides=("G31.stickerNumber", "G08.number"),
        ),
        Ask(CITY, "consultDossier", "MUNICIPAL_REGISTRATION", dossier("CONS"), shows=("G31.validUntil",)),
        Ask(
            CITY, "consultDossier", "MUNICIPAL_REGISTRATION", dossier(),
            shows=("G03.civilStatus", "G07.street"), hides=("G05.email", "G06.street", "G16.amount", "G22.clear"),
        ),
        Ask(LIEGE, "consultDossier", "MUNICIPAL_REGISTRATION", dossier(), "WIB07005", why="another municipality"),
        Tell(
            CITY, "notifyRegistration", "MUNICIPAL_REGISTRATION", FIRST,
            (
                To(PLATFORM, "MUNICIPAL_REGISTRATION", shows=("G32.status",), hides=("G07.street", "G32.residenceCheck")),
                To(OFFICE, "MUNICIPAL_REGISTRATION", shows=("G07.street", "G32.residenceCheck", "G32.annex49From")),
            ),
            why="annex 49",
        ),
        Ask(
            OFFICE, "consultDossier", "MUNICIPAL_REGISTRATION", dossier("MUN"),
            shows=("G32.residenceCheck", "G32.annex49From"),
        ),
        Tell(
            CITY, "notifyCard", "CARD_ISSUE", FIRST,
            (
                To(PLATFORM, "CARD_ISSUE", shows=("G02.ssin", "G32.status"), hides=("G32.cardNumber",)),
                To(BRUSSELS, "WORK_DECISION", shows=("G32.cardExpiry",), hides=("G32.status", "G32.cardNumber")),
                To(OFFICE, "CARD_ISSUE", shows=("G02.ssin", "G32.cardNumber")),
                To(NSSO, "CARD_ISSUE", shows=("G02.ssin", "G32.cardExpiry"), hides=("G32.cardNumber",)),
            ),
            why="the INSZ is known",
        ),
        Ask(
            PLATFORM, "consultDossier", "CARD_ISSUE", dossier("MUN"),
            shows=("G32.status", "G02.ssin"), hides=("G32.cardNumber", "G32.residenceCheck"),
        ),
        Ask(NSSO, "consultDossier", "CARD_ISSUE", dossier("MUN"), shows=("G32.cardExpiry",), hides=("G32.cardNumber",)),
        Tell(
            NSSO, "notifySocialSecurityEvent", "WORK_DECISION", FIRST,
            (
                To(PLATFORM, "WORK_DECISION", shows=("G33.declared",), hides=("G11.unitNumber",)),
                To(OFFICE, "RESIDENCE_DECISION", shows=("G33.declarationType",), hides=("G11.unitNumber",)),
            ),
            why="Dimona",
        ),
        Ask(
            OFFICE, "consultSocialSecurityStatus", "RESIDENCE_DECISION", worker(),
            shows=("G33.declared", "G33.declarationType"),
        ),
        Ask(
            PLATFORM, "consultDossier", "SUBJECT_ACCESS", dossier("OE"), why="the worker asks what is known",
            shows=("G29.outcome", "G30.residence"), hides=("G30.publicOrder",),
        ),
        Ask(PLATFORM, "consultSocialSecurityStatus", "SUBJECT_ACCESS", worker(), shows=("G33.periodStart",)),
    ),
)  # fmt: skip
RECTIFIED: Final = Chapter(
    "The salary was wrong: everybody who received it hears of it, and nobody else",
    (
        Tell(
            PLATFORM, "rectifyData", "SUBJECT_ACCESS", FIRST,
            (
                To(BRUSSELS, "WORK_DECISION", shows=("G16.amount",)),
                To(OFFICE, "RESIDENCE_DECISION", shows=("G16.amount",)),
            ),
            why="recipients as the exchange log has them",
        ),
        Ask(BRUSSELS, "consultDossier", "WORK_DECISION", dossier(), shows=("G16.amount",), why="corrected at the source, too"),
    ),
)  # fmt: skip
CHAPTERS: Final = (DECIDED, ARRIVED, RECTIFIED)
