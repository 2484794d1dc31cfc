"""The life of a first permit, and of a renewal, as data: who asks what, and what must come of it.

Chapters follow the procedure; the last two are the ways in which requesters and providers may go wrong.
`telling` runs it. What is expected here is the agreement read by a human, not by the program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.model import DossierNumber
from gateway.sandbox.files import FIRST, OTHER_WORKER, RENEWAL, WORKER
from gateway.sandbox.mischief import Mischief
from gateway.sandbox.tricks import Trick

INCOMPLETE: Final = "INCOMPLETE"  # beside KSZ's DATA_FOUND and NO_DATA_FOUND: some sources are missing


@dataclass(frozen=True, slots=True)
class Move:
    """A dossier gets a status, and further authorities a part in it: done in the dossier directory."""

    dossier: DossierNumber
    status: str
    inscribe: tuple[str, ...] = ()
    procedure: str | None = None  # given when the dossier is opened
    worker: str = ""  # whose INSZ it is bound to when it is opened


@dataclass(frozen=True, slots=True)
class Ask:
    """One question, and its expected end: an outcome, or the code of a refusal."""

    who: str
    operation: str
    context: str  # without its prefix "WIB:"
    criteria: Mapping[str, str]
    expects: str = "DATA_FOUND"
    why: str = ""  # one clause for the reader
    shows: tuple[str, ...] = ()  # fields that the reply must hold
    hides: tuple[str, ...] = ()  # fields that it must not, though the provider may have sent them
    soap12: bool = False
    trick: Trick | None = None
    mischief: Mapping[str, Mischief] = field(default_factory=dict)  # provider → what it does this time


@dataclass(frozen=True, slots=True)
class Chapter:
    """A phase of the procedure."""

    title: str
    steps: tuple[Move | Ask, ...]


# Documents of the first dossier: type → reference and digest, which a requester learns from the dossier.
DOCUMENTS: Final = {
    "CONTRACT": ("contract-0001", "2cb300236286d9fe9b866b172e8e725a5234a4fd9b5bb4ea0ebbaa0366dc03f6"),
    "TRAVEL_DOCUMENT_SCAN": (
        "passport-scan-0001",
        "5d8bfdd44ff64fa3d8397bb2ce9a02f0fe849175a9a69fc26f64ab0429df626f",
    ),
    "CRIMINAL_RECORD": (
        "criminal-record-0001",
        "717ff414ae3f56d530d457bb90ff246d09fb1ad1162a683978125d423650e12c",
    ),
    "MEDICAL_CERTIFICATE": (
        "medical-0001",
        "0b3f2f7b83e8f7c13f767e7919eb78285bf1aa61bd06a41caaf122975a1ff055",
    ),
}
PLATFORM, BRUSSELS, FLANDERS, WALLONIA = "PLATFORM", "BRUSSELS", "FLANDERS", "WALLONIA"
OFFICE, RABAT, NEW_DELHI, NSSO = "IMMIGRATION_OFFICE", "POST_RABAT", "POST_NEW_DELHI", "NSSO"
CITY, LIEGE = "MUN_BRUSSELS", "MUN_LIEGE"


def dossier(source: str | None = None, number: str = FIRST) -> dict[str, str]:
    """Criteria that name a dossier, and whose file of it is meant: the platform's when none is named."""
    return {"dossierNumber": number} | ({"source": source} if source else {})


def document(kind: str) -> dict[str, str]:
    """Criteria of retrieveDocument."""
    reference, digest = DOCUMENTS[kind]
    return {**dossier(), "documentReference": reference, "documentType": kind, "documentSha256": digest}


def worker(number: str = FIRST, ssin: str = WORKER) -> dict[str, str]:
    return {"dossierNumber": number, "ssin": ssin}


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
        _hello("GERMAN_COMMUNITY", "ADMISSIBILITY", soap12=True),
        _hello(OFFICE, "RESIDENCE_DECISION"),
        _hello(RABAT, "VISA_ISSUE"),
        _hello(NEW_DELHI, "VISA_ISSUE", soap12=True),
        _hello(CITY, "MUNICIPAL_REGISTRATION"),
        _hello(LIEGE, "MUNICIPAL_REGISTRATION"),
        _hello("MUN_EUPEN", "MUNICIPAL_REGISTRATION"),
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
SUBMITTED: Final = Chapter(
    "The employer applies; the region examines whether the application is complete",
    (
        Move(FIRST, "SUBMITTED", (PLATFORM, BRUSSELS, OFFICE, RABAT), procedure="FIRST", worker=WORKER),
        Ask(BRUSSELS, "consultStatus", "ADMISSIBILITY", dossier(), shows=("G01.status",)),
        Ask(
            BRUSSELS, "consultDossier", "ADMISSIBILITY", dossier(),
            why="present or not is all that the region learns of fee, record and certificate",
            shows=("G10.name", "G08.number", "G20.document", "G21.present", "G22.present", "G23.present"),
            hides=("G03.birthPlace", "G08.scan", "G16.amount", "G21.amount", "G22.clear", "G23.fit", "G25.amount"),
        ),
        Ask(BRUSSELS, "retrieveDocument", "ADMISSIBILITY", document("CONTRACT"), shows=("document.content",)),
        Ask(
            BRUSSELS, "retrieveDocument", "ADMISSIBILITY", document("CRIMINAL_RECORD"), "WIB07008",
            why="a document of another authority's concern",
        ),
        Ask(PLATFORM, "consultDossier", "ADMISSIBILITY", dossier("REG"), "NO_DATA_FOUND", why="not decided yet"),
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
        Ask(OFFICE, "consultDossier", "RESIDENCE_DECISION", dossier(), "WIB07006", why="not admissible yet"),
        Ask(
            BRUSSELS, "consultStatus", "ADMISSIBILITY", dossier(number="WIB-2026-0000001-60"), "WIB06002",
            why="wrong check digits",
        ),
    ),
)  # fmt: skip
ADMISSIBLE: Final = Chapter(
    "Admissible: the Immigration Office receives its part",
    (
        Move(FIRST, "ADMISSIBLE"),
        Ask(PLATFORM, "consultDossier", "ADMISSIBILITY", dossier("REG"), shows=("G27.outcome",)),
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
        Ask(OFFICE, "consultDossier", "RESIDENCE_DECISION", dossier("REG"), shows=("G27.date",), hides=("G34.hit",)),
        Ask(OFFICE, "consultPriorApplications", "PRIOR_APPLICATION_CHECK", worker(), shows=("G34.hit", "G34.date")),
        Move(FIRST, "UNDER_REVIEW"),
        Ask(
            BRUSSELS, "consultDossier", "WORK_DECISION", dossier("OE"),
            shows=("G09.title", "G09.expiryDate"), hides=("G09.fileNumber", "G09.cardNumber"),
        ),
        Ask(
            BRUSSELS, "consultDossier", "WORK_DECISION", dossier(),
            shows=("G16.amount", "G18.diploma", "G19.outcome"), hides=("G22.clear", "G22.present"),
        ),
        Ask(RABAT, "consultDossier", "VISA_ISSUE", dossier(), "WIB07006", why="no permit yet"),
    ),
)  # fmt: skip
DECIDED: Final = Chapter(
    "Two decisions, each from its own authority, and the permit",
    (
        Move(FIRST, "WORK_GRANTED", (NSSO,)),
        Ask(
            OFFICE, "consultDossier", "RESIDENCE_DECISION", dossier("REG"),
            shows=("G28.outcome", "G28.conditions", "G30.work"),
        ),
        Ask(PLATFORM, "consultDossier", "WORK_DECISION", dossier("REG"), shows=("G28.validUntil", "G30.work")),
        Ask(
            NSSO, "consultDossier", "WORK_DECISION", dossier(),
            shows=("G10.cbeNumber", "G11.unitNumber", "G17.municipality"), hides=("G16.amount", "G05.email"),
        ),
        Move(FIRST, "RESIDENCE_GRANTED"),
        Ask(
            PLATFORM, "consultDossier", "RESIDENCE_DECISION", dossier("OE"),
            why="grounds of public order leave the Office to nobody",
            shows=("G29.annexType", "G30.residence"), hides=("G30.publicOrder",),
        ),
        Ask(
            BRUSSELS, "consultDossier", "WORK_DECISION", dossier("OE"),
            shows=("G29.outcome",), hides=("G29.validFrom", "G30.residence", "G30.publicOrder"),
        ),
        Move(FIRST, "PERMIT_GRANTED", (CITY,)),
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
        Move(FIRST, "VISA_ISSUED"),
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
        Move(FIRST, "REGISTERED"),
        Ask(
            OFFICE, "consultDossier", "MUNICIPAL_REGISTRATION", dossier("MUN"),
            shows=("G32.residenceCheck", "G32.annex49From"),
        ),
        Move(FIRST, "CARD_ISSUED"),
        Ask(
            PLATFORM, "consultDossier", "CARD_ISSUE", dossier("MUN"),
            shows=("G32.status", "G02.ssin"), hides=("G32.cardNumber", "G32.residenceCheck"),
        ),
        Ask(NSSO, "consultDossier", "CARD_ISSUE", dossier("MUN"), shows=("G32.cardExpiry",), hides=("G32.cardNumber",)),
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
RENEWED: Final = Chapter(
    "Another worker's renewal, in another region",
    (
        Move(
            RENEWAL, "UNDER_REVIEW", (PLATFORM, WALLONIA, OFFICE, NSSO, LIEGE), procedure="RENEWAL",
            worker=OTHER_WORKER,
        ),
        Ask(
            WALLONIA, "consultDossier", "RENEWAL", dossier(number=RENEWAL),
            shows=("G15.endDate", "G16.amount"), hides=("G07.street",),
        ),
        Ask(
            WALLONIA, "consultSocialSecurityStatus", "RENEWAL",
            {**worker(RENEWAL, OTHER_WORKER), "periodStart": "2026-01-01", "periodEnd": "2026-09-30"},
            why="proof of actual employment", shows=("G33.dmfa",),
        ),
        Ask(OFFICE, "consultSocialSecurityStatus", "RENEWAL", worker(RENEWAL, OTHER_WORKER), shows=("G33.declared",)),
        Ask(
            WALLONIA, "consultDossier", "RENEWAL", dossier("MUN", RENEWAL),
            shows=("G32.cardExpiry",), hides=("G32.cardNumber",),
        ),
        Ask(
            WALLONIA, "consultDossier", "WORK_DECISION", dossier(number=RENEWAL), "WIB07003",
            why="a purpose of first applications",
        ),
        Ask(BRUSSELS, "consultDossier", "RENEWAL", dossier(number=RENEWAL), "WIB07005", why="another region's"),
    ),
)  # fmt: skip


def _tried(trick: Trick, expects: str, who: str = RABAT) -> Ask:
    context = "VISA_ISSUE" if who == RABAT else "CARD_ISSUE"
    return Ask(who, "consultDossier", context, dossier(), expects, why=trick.value, trick=trick)


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
        why=f"BRUSSELS {mischief.value}", mischief={BRUSSELS: mischief},
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
            why=f"PLATFORM {Mischief.OTHER_DOSSIER.value}", mischief={PLATFORM: Mischief.OTHER_DOSSIER},
        ),
        Ask(
            OFFICE, "retrieveDocument", "RESIDENCE_DECISION", document("CONTRACT"), "WIB09010",
            why=f"PLATFORM {Mischief.OTHER_DOCUMENT.value}", mischief={PLATFORM: Mischief.OTHER_DOCUMENT},
        ),
    ),
)  # fmt: skip
STORY: Final = (GREETING, SUBMITTED, ADMISSIBLE, DECIDED, ARRIVED, RENEWED, BAD_REQUESTERS, BAD_PROVIDERS)
