"""A first single permit for a worker abroad: from the application to its examination."""

from __future__ import annotations

from typing import Final

from gateway.sandbox.files import FIRST, OTHER_WORKER
from gateway.sandbox.mischief import Mischief
from gateway.sandbox.story.cast import (
    BRUSSELS,
    FLANDERS,
    OFFICE,
    PLATFORM,
    RABAT,
    document,
    dossier,
    worker,
)
from gateway.sandbox.story.steps import INCOMPLETE, Ask, Chapter, Tell, To

SUBMITTED: Final = Chapter(
    "The employer applies; the region examines whether the application is complete",
    (
        Tell(
            PLATFORM, "submitApplication", "ADMISSIBILITY", FIRST,
            (
                To(
                    BRUSSELS, "ADMISSIBILITY", shows=("G01.post", "G10.name", "G17.municipality", "G22.present"),
                    hides=("G03.birthPlace", "G07.street", "G08.scan", "G16.amount", "G21.amount", "G22.clear", "G25.amount"),
                ),
            ),
            why="present or not is all that the region learns of fee, record and certificate", ticket="application",
        ),
        Tell(
            PLATFORM, "submitApplication", "ADMISSIBILITY", FIRST, ticket="application",
            why="the same once more: the first receipt again, and nobody is told twice",
        ),
        Tell(
            PLATFORM, "submitApplication", "ADMISSIBILITY", FIRST, expects="WIB06005", ticket="application",
            says="rectifyData", why="the same ticket with other content",
        ),
        Tell(PLATFORM, "submitApplication", "ADMISSIBILITY", FIRST, expects="WIB13003", why="opened before"),
        Ask(BRUSSELS, "consultStatus", "ADMISSIBILITY", dossier(), shows=("G01.status",)),
        Ask(
            BRUSSELS, "consultPriorApplications", "PRIOR_APPLICATION_CHECK", worker(),
            why="all other regions at once", shows=("G34.hit", "G34.region", "G34.outcome"),
        ),
        Ask(
            BRUSSELS, "consultPriorApplications", "PRIOR_APPLICATION_CHECK", worker(), INCOMPLETE,
            why="one region is down: the reply says so", shows=("G34.hit",), mischief={FLANDERS: Mischief.DOWN},
        ),
        Ask(
            BRUSSELS, "consultPriorApplications", "PRIOR_APPLICATION_CHECK", worker(ssin=OTHER_WORKER), "WIB07007",
            why="a person whom the dossier does not concern",
        ),
        Ask(FLANDERS, "consultDossier", "ADMISSIBILITY", dossier(), "WIB07005", why="another region's dossier"),
        Ask(BRUSSELS, "consultDossier", "VISA_ISSUE", dossier(), "WIB07002", why="a purpose of other authorities"),
        Ask(BRUSSELS, "consultDossier", "RENEWAL", dossier(), "WIB07003", why="a first application is no renewal"),
        Ask(OFFICE, "consultDossier", "RESIDENCE_DECISION", dossier(), "WIB07005", why="not admissible yet: no part in it"),
        Ask(
            BRUSSELS, "consultStatus", "ADMISSIBILITY", dossier(number="WIB-2026-0000001-60"), "WIB06002",
            why="wrong check digits",
        ),
    ),
)  # fmt: skip
COMPLETED: Final = Chapter(
    "Something is missing: the region asks for it, and the clock stands still",
    (
        Ask(PLATFORM, "consultDossier", "ADMISSIBILITY", dossier("REG"), "NO_DATA_FOUND", why="not decided yet"),
        Tell(
            BRUSSELS, "requestInformation", "ADMISSIBILITY", FIRST,
            (To(PLATFORM, "ADMISSIBILITY", shows=("G27.outcome", "G27.requested", "G27.dueDate")),),
        ),
        Tell(
            PLATFORM, "supplyInformation", "ADMISSIBILITY", FIRST,
            (To(BRUSSELS, "ADMISSIBILITY", shows=("G20.document",)),),
            why="the dossier goes on where it was",
        ),
        Ask(
            BRUSSELS, "consultDossier", "ADMISSIBILITY", dossier(),
            shows=("G10.name", "G08.number", "G20.document", "G21.present", "G22.present", "G23.present"),
            hides=("G03.birthPlace", "G08.scan", "G16.amount", "G21.amount", "G22.clear", "G23.fit", "G25.amount"),
        ),
        Ask(BRUSSELS, "retrieveDocument", "ADMISSIBILITY", document("CONTRACT"), shows=("document.content",)),
        Ask(
            BRUSSELS, "retrieveDocument", "ADMISSIBILITY", document("CRIMINAL_RECORD"), "WIB07008",
            why="a document of another authority's concern",
        ),
    ),
)  # fmt: skip
ADMISSIBLE: Final = Chapter(
    "Admissible: the Immigration Office receives its part",
    (
        Tell(
            BRUSSELS, "notifyAdmissibility", "ADMISSIBILITY", FIRST,
            (To(PLATFORM, "ADMISSIBILITY", shows=("G27.outcome",)), To(OFFICE, "RESIDENCE_DECISION", shows=("G27.date",))),
        ),
        Ask(PLATFORM, "consultDossier", "ADMISSIBILITY", dossier("REG"), shows=("G27.outcome",)),
        Tell(
            PLATFORM, "transferApplication", "RESIDENCE_DECISION", FIRST,
            (
                To(
                    BRUSSELS, "WORK_DECISION", shows=("G16.amount", "G18.diploma", "G19.outcome"),
                    hides=("G03.birthPlace", "G08.scan", "G22.clear", "G25.amount"),
                ),
                To(
                    OFFICE, "RESIDENCE_DECISION",
                    shows=("G03.birthPlace", "G08.scan", "G16.amount", "G22.clear", "G23.fit", "G25.amount", "G26.relation"),
                    hides=("G11.unitNumber", "G18.diploma", "G19.outcome"),
                ),
            ),
        ),
        Tell(
            BRUSSELS, "transferApplication", "WORK_DECISION", FIRST,
            (To(OFFICE, "RESIDENCE_DECISION", shows=("G34.hit",)),), why="the region's own findings",
        ),
        Ask(
            OFFICE, "consultDossier", "RESIDENCE_DECISION", dossier(),
            shows=("G03.birthPlace", "G08.scan", "G16.amount", "G22.clear", "G23.fit", "G25.amount", "G26.relation"),
            hides=("G11.unitNumber", "G18.diploma", "G19.outcome"),
        ),
        Ask(OFFICE, "retrieveDocument", "RESIDENCE_DECISION", document("CRIMINAL_RECORD"), shows=("document.content",)),
        Ask(
            OFFICE, "retrieveDocument", "RESIDENCE_DECISION", document("MEDICAL_CERTIFICATE"),
            shows=("document.content",),
        ),
        Ask(OFFICE, "consultPriorApplications", "PRIOR_APPLICATION_CHECK", worker(), shows=("G34.hit", "G34.date")),
        Ask(
            BRUSSELS, "consultDossier", "WORK_DECISION", dossier("OE"),
            shows=("G09.title", "G09.expiryDate"), hides=("G09.fileNumber", "G09.cardNumber"),
        ),
        Ask(
            BRUSSELS, "consultDossier", "WORK_DECISION", dossier(),
            shows=("G16.amount", "G18.diploma", "G19.outcome"), hides=("G22.clear", "G22.present"),
        ),
        Ask(RABAT, "consultDossier", "VISA_ISSUE", dossier(), "WIB07006", why="no permit yet"),
        Tell(
            OFFICE, "notifyResidenceDecision", "RESIDENCE_DECISION", FIRST, expects="WIB13002",
            why="the decision on work comes first",
        ),
        Tell(
            BRUSSELS, "notifyWorkDecision", "WORK_DECISION", FIRST, expects="WIB13005", says="notOwn",
            why="a decision of another authority in it",
        ),
    ),
)  # fmt: skip
CHAPTERS: Final = (SUBMITTED, COMPLETED, ADMISSIBLE)
