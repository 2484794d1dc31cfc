"""What other permits differ in: a work permit, a professional card, a permit of indefinite duration. Only data."""

from __future__ import annotations

from typing import Final

from gateway.sandbox.files import INDEFINITE, PROFESSIONAL_CARD, WORK_PERMIT
from gateway.sandbox.story.cast import (
    BRUSSELS,
    CITY,
    COMMUNITY,
    EUPEN,
    FLANDERS,
    NEW_DELHI,
    NSSO,
    OFFICE,
    PLATFORM,
)
from gateway.sandbox.story.steps import Ask, Chapter, MessageOf, Tell, To

_W, _P, _I = "WORK_PERMIT", "PROFESSIONAL_CARD", "INDEFINITE_PERMIT"
_MAIL: Final = {"messageId": MessageOf(NEW_DELHI)}
ALONE: Final = Chapter(
    "A work permit: the region decides alone",
    (
        Tell(
            PLATFORM, "submitApplication", _W, WORK_PERMIT,
            (To(FLANDERS, _W, shows=("G16.amount", "G17.municipality", "G18.diploma")),),
            why="of two places of work the main one tells the region",
        ),
        Tell(FLANDERS, "notifyAdmissibility", _W, WORK_PERMIT, (To(PLATFORM, _W, shows=("G27.outcome",)),)),
        Tell(
            FLANDERS, "notifyWorkDecision", _W, WORK_PERMIT,
            (
                To(PLATFORM, _W, shows=("G28.conditions", "G30.work")),
                To(NSSO, _W, shows=("G28.validUntil",), hides=("G28.conditions", "G30.work")),
            ),
        ),
        Tell(
            FLANDERS, "notifyPermit", _W, WORK_PERMIT,
            (To(PLATFORM, _W, shows=("G28.validUntil",)), To(NSSO, _W, shows=("G28.validUntil",))),
        ),
    ),
)  # fmt: skip
SELF_EMPLOYED: Final = Chapter(
    "A professional card: the Community decides, the post has a mailbox",
    (
        Tell(
            PLATFORM, "submitApplication", _P, PROFESSIONAL_CARD,
            (To(COMMUNITY, _P, shows=("G14.title", "G18.diploma"), hides=("G03.birthPlace", "G25.amount")),),
        ),
        Tell(COMMUNITY, "notifyAdmissibility", _P, PROFESSIONAL_CARD, (To(PLATFORM, _P, shows=("G27.outcome",)),)),
        Tell(
            COMMUNITY, "notifyWorkDecision", _P, PROFESSIONAL_CARD,
            (To(PLATFORM, _P, shows=("G30.work",)), To(OFFICE, _P, shows=("G28.outcome", "G30.work"))),
        ),
        Tell(
            PLATFORM, "transferApplication", _P, PROFESSIONAL_CARD,
            (To(OFFICE, _P, shows=("G03.birthPlace", "G22.clear", "G25.amount"), hides=("G18.diploma",)),),
        ),
        Tell(
            OFFICE, "notifyResidenceDecision", _P, PROFESSIONAL_CARD,
            (
                To(PLATFORM, _P, shows=("G29.annexType", "G30.residence")),
                To(COMMUNITY, _P, shows=("G29.outcome",), hides=("G29.annexType", "G30.residence")),
            ),
        ),
        Tell(
            COMMUNITY, "notifyPermit", _P, PROFESSIONAL_CARD,
            (
                To(PLATFORM, _P, shows=("G28.validUntil",)),
                To(OFFICE, _P, shows=("G28.validUntil",)),
                To(NEW_DELHI, "VISA_ISSUE", left=True),
                To(EUPEN, "MUNICIPAL_REGISTRATION", shows=("G28.outcome",), hides=("G28.validUntil",)),
            ),
            why="post and municipality have no service of their own: it waits for them",
        ),
    ),
)  # fmt: skip
MAILBOX: Final = Chapter(
    "How a mailbox is emptied",
    (
        Ask(NEW_DELHI, "listMessages", "VISA_ISSUE", {}),
        Ask(
            NEW_DELHI, "fetchMessage", "VISA_ISSUE", _MAIL, shows=("G28.outcome",), hides=("G28.validUntil",),
            why="only the outcome is for the post",
        ),
        Ask(NEW_DELHI, "listMessages", "VISA_ISSUE", {}, "NO_DATA_FOUND", why="fetched, and kept for who fetched it"),
        Ask(NEW_DELHI, "fetchMessage", "VISA_ISSUE", _MAIL, "WIB14002", why="twice at the same time"),
        Ask(EUPEN, "acknowledgeMessage", "MUNICIPAL_REGISTRATION", _MAIL, "WIB14001", why="somebody else's message"),
        Ask(NEW_DELHI, "acknowledgeMessage", "VISA_ISSUE", _MAIL, "OK", why="the payload is purged"),
        Ask(NEW_DELHI, "acknowledgeMessage", "VISA_ISSUE", _MAIL, "OK", why="once more does no harm"),
        Ask(NEW_DELHI, "fetchMessage", "VISA_ISSUE", _MAIL, "WIB14001", why="it is gone"),
        Ask(BRUSSELS, "listMessages", "ADMISSIBILITY", {}, "WIB14004", why="who has a service has no mailbox"),
    ),
)  # fmt: skip
SETTLED: Final = Chapter(
    "Visa and card, told by those who have a mailbox",
    (
        Tell(
            NEW_DELHI, "notifyVisa", "VISA_ISSUE", PROFESSIONAL_CARD,
            (
                To(PLATFORM, "VISA_ISSUE", shows=("G31.status",), hides=("G31.stickerNumber",)),
                To(COMMUNITY, _P, shows=("G31.status",), hides=("G31.stickerNumber",)),
                To(OFFICE, "VISA_ISSUE", shows=("G31.stickerNumber",)),
                To(EUPEN, "MUNICIPAL_REGISTRATION", shows=("G31.stickerNumber",)),
            ),
        ),
        Tell(
            EUPEN, "notifyRegistration", "MUNICIPAL_REGISTRATION", PROFESSIONAL_CARD,
            (
                To(PLATFORM, "MUNICIPAL_REGISTRATION", shows=("G32.status",)),
                To(OFFICE, "MUNICIPAL_REGISTRATION", shows=("G32.annex49From",)),
            ),
        ),
        Tell(
            EUPEN, "notifyCard", "CARD_ISSUE", PROFESSIONAL_CARD,
            (
                To(PLATFORM, "CARD_ISSUE", shows=("G02.ssin", "G32.status"), hides=("G32.cardNumber",)),
                To(COMMUNITY, _P, shows=("G32.cardExpiry",), hides=("G32.cardNumber",)),
                To(OFFICE, "CARD_ISSUE", shows=("G32.cardNumber",)),
            ),
        ),
    ),
)  # fmt: skip
UNLIMITED: Final = Chapter(
    "A permit of indefinite duration: the worker applies, social security tells of the work done",
    (
        Tell(
            PLATFORM, "submitApplication", _I, INDEFINITE,
            (To(BRUSSELS, _I, shows=("G24.insurer", "G25.amount", "G26.present"), hides=("G26.relation", "G22.clear")),),
            why="here the region does learn of means and insurance",
        ),
        Tell(
            NSSO, "notifySocialSecurityEvent", _I, INDEFINITE,
            (To(PLATFORM, _I, shows=("G33.dmfa",)), To(BRUSSELS, _I, shows=("G33.dmfa",))),
        ),
        Tell(
            BRUSSELS, "notifyAdmissibility", _I, INDEFINITE,
            (To(PLATFORM, _I, shows=("G27.outcome",)), To(OFFICE, _I, shows=("G27.outcome",))),
        ),
        Tell(
            PLATFORM, "transferApplication", _I, INDEFINITE,
            (To(OFFICE, _I, shows=("G07.street", "G22.clear", "G26.relation")),),
        ),
        Tell(
            BRUSSELS, "notifyWorkDecision", _I, INDEFINITE,
            (
                To(PLATFORM, _I, shows=("G30.work",)),
                To(OFFICE, _I, shows=("G30.work",)),
                To(NSSO, _I, shows=("G28.validFrom",), hides=("G30.work",)),
            ),
        ),
        Tell(
            PLATFORM, "notifyDeemedDecision", _I, INDEFINITE,
            (
                To(BRUSSELS, _I, shows=("G29.outcome",), hides=("G29.annexType",)),
                To(OFFICE, _I, shows=("G29.annexType",)),
                To(NSSO, _I, shows=("G29.outcome",), hides=("G29.annexType",)),
            ),
            why="no decision in time: annex 47, computed by the platform and never by the gateway",
        ),
        Tell(
            OFFICE, "notifyPermit", _I, INDEFINITE,
            (
                To(PLATFORM, _I, shows=("G29.annexType",)),
                To(BRUSSELS, _I, shows=("G29.outcome",), hides=("G09.cardNumber",)),
                To(CITY, "MUNICIPAL_REGISTRATION", shows=("G09.cardNumber", "G29.annexType")),
                To(NSSO, _I, shows=("G29.validFrom",), hides=("G09.cardNumber",)),
            ),
        ),
        Tell(
            OFFICE, "instructMunicipality", "MUNICIPAL_REGISTRATION", INDEFINITE,
            (To(CITY, "MUNICIPAL_REGISTRATION", shows=("G09.cardNumber", "G29.annexType")),),
        ),
        Tell(
            CITY, "notifyCard", "CARD_ISSUE", INDEFINITE,
            (
                To(PLATFORM, "CARD_ISSUE", shows=("G32.status",), hides=("G32.cardNumber",)),
                To(BRUSSELS, _I, shows=("G32.cardExpiry",), hides=("G32.cardNumber",)),
                To(OFFICE, "CARD_ISSUE", shows=("G32.cardNumber",)),
                To(NSSO, "CARD_ISSUE", shows=("G32.cardExpiry",), hides=("G32.cardNumber",)),
            ),
        ),
    ),
)  # fmt: skip
CHAPTERS: Final = (ALONE, SELF_EMPLOYED, MAILBOX, SETTLED, UNLIMITED)
