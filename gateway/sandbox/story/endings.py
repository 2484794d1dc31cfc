"""The ends that are not a permit: a refusal with an appeal, a withdrawal, a revocation."""

from __future__ import annotations

from typing import Final

from gateway.sandbox.files import REFUSED, REVOKED, WITHDRAWN
from gateway.sandbox.story.cast import BRUSSELS, CITY, FLANDERS, NSSO, OFFICE, PLATFORM, RABAT, WALLONIA
from gateway.sandbox.story.steps import Chapter, Tell, To

_A, _W, _R = "ADMISSIBILITY", "WORK_DECISION", "RESIDENCE_DECISION"
REFUSAL: Final = Chapter(
    "A refusal: work is granted, residence is not; the worker appeals",
    (
        Tell(PLATFORM, "submitApplication", _A, REFUSED, (To(WALLONIA, _A, shows=("G22.present",), hides=("G22.clear",)),)),
        Tell(
            WALLONIA, "notifyAdmissibility", _A, REFUSED,
            (To(PLATFORM, _A, shows=("G27.outcome",)), To(OFFICE, _R, shows=("G27.outcome",))),
        ),
        Tell(
            PLATFORM, "transferApplication", _R, REFUSED,
            (To(WALLONIA, _W, hides=("G22.clear",)), To(OFFICE, _R, shows=("G22.clear",))),
        ),
        Tell(
            WALLONIA, "notifyWorkDecision", _W, REFUSED,
            (
                To(PLATFORM, _W, shows=("G28.outcome",)),
                To(OFFICE, _R, shows=("G28.outcome",)),
                To(NSSO, _W, shows=("G28.outcome",)),
            ),
        ),
        Tell(
            OFFICE, "notifyResidenceDecision", _R, REFUSED,
            (
                To(PLATFORM, _R, shows=("G29.annexType", "G30.residence"), hides=("G30.publicOrder",)),
                To(WALLONIA, _W, shows=("G29.outcome",), hides=("G30.residence", "G30.publicOrder")),
                To(NSSO, _W, shows=("G29.outcome",), hides=("G30.residence", "G30.publicOrder")),
            ),
            why="annex 48; the post hears nothing, since there is nothing to issue",
        ),
        Tell(OFFICE, "notifyAppeal", "APPEAL", REFUSED, (To(PLATFORM, _R, shows=("G29.appealDate",)),)),
    ),
)  # fmt: skip
WITHDRAWAL: Final = Chapter(
    "A withdrawal",
    (
        Tell(PLATFORM, "submitApplication", _A, WITHDRAWN, (To(FLANDERS, _A, shows=("G10.name",)),)),
        Tell(
            FLANDERS, "notifyAdmissibility", _A, WITHDRAWN,
            (To(PLATFORM, _A, shows=("G27.outcome",)), To(OFFICE, _R, shows=("G27.outcome",))),
        ),
        Tell(
            PLATFORM, "withdrawApplication", _W, WITHDRAWN,
            (To(FLANDERS, _W, shows=("G01.status",)), To(OFFICE, _R, shows=("G01.status",))),
        ),
        Tell(
            FLANDERS, "notifyWorkDecision", _W, WITHDRAWN, expects="WIB13002", why="there is nothing to decide any more",
        ),
    ),
)  # fmt: skip
REVOCATION: Final = Chapter(
    "A revocation after the grant: everybody who was told of the permit hears of it",
    (
        Tell(PLATFORM, "submitApplication", _A, REVOKED, (To(BRUSSELS, _A, shows=("G10.name",)),)),
        Tell(BRUSSELS, "notifyAdmissibility", _A, REVOKED, (To(PLATFORM, _A), To(OFFICE, _R))),
        Tell(PLATFORM, "transferApplication", _R, REVOKED, (To(BRUSSELS, _W), To(OFFICE, _R, shows=("G06.street",)))),
        Tell(BRUSSELS, "notifyWorkDecision", _W, REVOKED, (To(PLATFORM, _W), To(OFFICE, _R), To(NSSO, _W))),
        Tell(OFFICE, "notifyResidenceDecision", _R, REVOKED, (To(PLATFORM, _R), To(BRUSSELS, _W), To(NSSO, _W))),
        Tell(
            OFFICE, "notifyPermit", _R, REVOKED,
            (
                To(PLATFORM, _R),
                To(BRUSSELS, _W),
                To(RABAT, "VISA_ISSUE", shows=("G29.annexType",)),
                To(CITY, "MUNICIPAL_REGISTRATION", shows=("G29.annexType",)),
                To(NSSO, _W),
            ),
        ),
        Tell(
            BRUSSELS, "notifyRevocation", _W, REVOKED,
            (
                To(PLATFORM, _W, shows=("G28.outcome", "G30.work")),
                To(OFFICE, _R, shows=("G28.outcome", "G30.work")),
                To(RABAT, "VISA_ISSUE", shows=("G28.outcome",), hides=("G28.date", "G30.work")),
                To(CITY, "MUNICIPAL_REGISTRATION", shows=("G28.outcome",), hides=("G28.date", "G30.work")),
                To(NSSO, _W, shows=("G28.outcome",), hides=("G28.date", "G30.work")),
            ),
        ),
    ),
)  # fmt: skip
CHAPTERS: Final = (REFUSAL, WITHDRAWAL, REVOCATION)
