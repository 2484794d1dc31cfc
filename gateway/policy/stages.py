"""How far an exchange came: the stages of its path in the order of PROTOCOL.md, and where it ended.

Follows from what the log holds of it. An entry proves that its caller was identified; a refusal names by its code
the stage that refused; an entry of a commit proves every stage before it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.agreement.load import Operation
from gateway.exchangelog.form import Kind
from gateway.model import Pattern
from gateway.refusal import Category, Code


class State(StrEnum):
    """What became of a stage."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_REACHED = "not reached"
    NOT_RECORDED = "not recorded"  # nothing in the log tells


class Stage(StrEnum):
    """A stage, named as PROTOCOL.md names what it is about."""

    WIRE = "wire"
    MESSAGE = "message"
    SIGNATURE = "signature"
    IDENTITY = "identity"
    REQUEST = "request"
    OPERATION = "operation"
    PURPOSE = "purpose"
    PART = "part in the dossier"
    STATUS = "status"
    PROCEDURE = "procedure"
    RIGHTS = "fields and source"
    WRITES = "fields written"
    STEP = "step of the course"
    ROUTE = "route"
    MAILBOX = "message of the mailbox"
    DOCUMENT = "document"
    COMMIT_1 = "commit 1"
    ACCEPTANCE = "acceptance"
    ANSWER = "provider's answer"
    RELEASE = "release"
    COMMIT_2 = "commit 2"
    REPLY = "signed reply"


_SECTION: Final[Mapping[Stage, str]] = {
    Stage.WIRE: "2",
    Stage.MESSAGE: "3",
    Stage.SIGNATURE: "4",
    Stage.IDENTITY: "5",
    Stage.REQUEST: "6",
    Stage.OPERATION: "7",
    Stage.PURPOSE: "7.1",
    Stage.PART: "7.2",
    Stage.STATUS: "7.2",
    Stage.PROCEDURE: "7.1",
    Stage.RIGHTS: "7.4",
    Stage.WRITES: "7.4",
    Stage.STEP: "13.3",
    Stage.ROUTE: "15.3",
    Stage.MAILBOX: "14",
    Stage.DOCUMENT: "17.4",
    Stage.COMMIT_1: "8.1",
    Stage.ACCEPTANCE: "13.4",
    Stage.ANSWER: "9",
    Stage.RELEASE: "10",
    Stage.COMMIT_2: "8.1",
    Stage.REPLY: "11",
}
_ARRIVAL: Final = (Stage.WIRE, Stage.MESSAGE, Stage.SIGNATURE, Stage.IDENTITY, Stage.REQUEST)
_DECIDED: Final = (Stage.OPERATION, Stage.PURPOSE)
_DOSSIER: Final = (Stage.PART, Stage.STATUS, Stage.PROCEDURE)
_ASKED: Final = (Stage.COMMIT_1, Stage.ANSWER, Stage.RELEASE, Stage.COMMIT_2, Stage.REPLY)
_SERVED: Final = (Stage.COMMIT_1, Stage.COMMIT_2, Stage.REPLY)
_PROVES: Final[Mapping[Kind, Stage]] = {
    Kind.REQUEST: Stage.COMMIT_1,
    Kind.NOTIFICATION: Stage.ACCEPTANCE,
    Kind.RESPONSE: Stage.COMMIT_2,
    Kind.DELIVERY: Stage.COMMIT_2,  # of a fetch
    Kind.SETTLEMENT: Stage.COMMIT_2,  # of an acknowledgement
}
# Each stage where a code may end an exchange, in the order of the path.
_ENDS: Final[Mapping[Code, tuple[Stage, ...]]] = {
    Code.OPERATION_DENIED: (Stage.OPERATION,),
    Code.CONTEXT_UNKNOWN: (Stage.PURPOSE,),
    Code.CONTEXT_DENIED: (Stage.PURPOSE, Stage.MAILBOX, Stage.STEP),
    Code.DOSSIER_DENIED: (Stage.PART,),
    Code.STATUS_DENIED: (Stage.STATUS,),
    Code.CONTEXT_INAPPLICABLE: (Stage.PROCEDURE,),
    Code.CRITERIA_DENIED: (Stage.RIGHTS,),
    Code.DOCUMENT_DENIED: (Stage.RIGHTS,),
    Code.VIEW_EMPTY: (Stage.RIGHTS,),
    Code.SOURCE_DENIED: (Stage.RIGHTS,),
    Code.TICKET: (Stage.COMMIT_1, Stage.ACCEPTANCE),
    Code.SENDER_RIGHT: (Stage.WRITES,),
    Code.STEP_UNKNOWN: (Stage.STEP,),
    Code.TRANSITION_DENIED: (Stage.STEP,),
    Code.DOSSIER_EXISTS: (Stage.STEP,),
    Code.ROUTE_UNKNOWN: (Stage.ROUTE,),
    Code.DOSSIER_CHANGED: (Stage.ACCEPTANCE,),
    Code.MESSAGE_UNKNOWN: (Stage.MAILBOX,),
    Code.MESSAGE_LEASED: (Stage.MAILBOX, Stage.COMMIT_2),
    Code.MESSAGE_ORDER: (Stage.MAILBOX, Stage.COMMIT_2),
    Code.MAILBOX_NONE: (Stage.MAILBOX,),
    Code.DOCUMENT_TOO_LARGE: (Stage.ANSWER,),
    Code.DOCUMENT_MISMATCH: (Stage.DOCUMENT,),
    Code.DOCUMENT_EXISTS: (Stage.COMMIT_1,),
    Code.SIGNING_UNAVAILABLE: (Stage.ANSWER, Stage.REPLY),
}
_ARRIVING: Final[Mapping[Category, Stage]] = {
    Category.TRANSPORT: Stage.WIRE,
    Category.XML: Stage.MESSAGE,
    Category.SOAP: Stage.MESSAGE,
    Category.SECURITY: Stage.SIGNATURE,
    Category.IDENTITY: Stage.IDENTITY,
}


@dataclass(frozen=True, slots=True)
class Reached:
    """A stage of this exchange."""

    stage: Stage
    state: State

    @property
    def section(self) -> str:
        """Of PROTOCOL.md."""
        return _SECTION[self.stage]


def reached(
    operation: Operation | None, kinds: Collection[Kind], code: Code | None, *, purpose: bool = False
) -> Sequence[Reached]:
    """`operation`: None when it is not known. `kinds`: of its entries; none for one that only the operational log
    has. `code`: that refused it, if any.

    `purpose`: the agreement grants it, so that what refused the legal context was a step or a message of its own.
    """
    path = (*_ARRIVAL, *(() if operation is None else _path(operation)))
    passed = [*_proven(path, kinds), *([Stage.PURPOSE] if purpose and Stage.PURPOSE in path else [])]
    proven = max(map(path.index, passed), default=-1)
    failed = None if code is None else _failed(path, proven, code, logged=bool(kinds))
    return [Reached(stage, _state(at, proven, failed)) for at, stage in enumerate(path)]


def _path(operation: Operation) -> Sequence[Stage]:
    """From the decision on. What a rule does not ask of such an operation is no stage of it."""
    match operation.pattern:
        case Pattern.CONSULT if operation.hub:
            return (*_DECIDED, Stage.RIGHTS, *_ASKED)
        case Pattern.CONSULT:
            return (*_DECIDED, *_DOSSIER, Stage.RIGHTS, *_ASKED)
        case Pattern.UPLOAD:
            return (*_DECIDED, *_DOSSIER, Stage.RIGHTS, Stage.DOCUMENT, *_SERVED)
        case Pattern.MAILBOX:
            return (*_DECIDED, Stage.MAILBOX, *_SERVED)
        case Pattern.NOTIFY if operation.follows_log:
            told = (Stage.PART, Stage.WRITES, Stage.STATUS, Stage.PROCEDURE)
        case Pattern.NOTIFY:
            told = (Stage.PART, Stage.WRITES, Stage.STEP, Stage.ROUTE)
    return (*_DECIDED, *told, Stage.ACCEPTANCE, Stage.REPLY)


def _proven(path: Sequence[Stage], kinds: Collection[Kind]) -> list[Stage]:
    """An entry names a caller, so that at least its identity is known."""
    found = [_PROVES[kind] for kind in kinds if kind in _PROVES and _PROVES[kind] in path]
    return [*found, Stage.IDENTITY] if kinds else found


def _failed(path: Sequence[Stage], proven: int, code: Code, *, logged: bool) -> int | None:
    """The place in the path; None when the code does not tell: a bug may be anywhere."""
    category = code.row.category
    if not logged and category in _ARRIVING:
        return path.index(_ARRIVING[category])
    if category is Category.PROVIDER and Stage.ANSWER in path:
        return path.index(Stage.ANSWER)
    later = [path.index(stage) for stage in _ENDS.get(code, ()) if stage in path]
    if found := [at for at in later if at > proven]:
        return found[0]
    return path.index(Stage.REQUEST) if category in {*_ARRIVING, Category.REQUEST} else None


def _state(at: int, proven: int, failed: int | None) -> State:
    if at <= proven or (failed is not None and at < failed):
        return State.PASSED
    if failed is None:
        return State.NOT_RECORDED
    return State.FAILED if at == failed else State.NOT_REACHED
