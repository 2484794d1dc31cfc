"""What an agreement says to an exchange of the log: the rules that decided it, asked again (PROTOCOL §7.5).

The log keeps who asked or told what in which legal context, and how that was decided; not the criteria, and
nothing of a payload. So every criterion that the contract allows is tried as a case. Cases that the agreement of
that time does not decide as the log says are not what happened. What a draft says to those that are left is what
can be known: one answer, or several, with what they depend on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, StrEnum
from itertools import product
from typing import Final

from gateway.agreement.load import Agreement
from gateway.agreement.register import Register
from gateway.exchangelog.form import ACCEPTED, PERMITTED
from gateway.model import (
    Authority,
    AuthorityId,
    Criteria,
    DossierNumber,
    DossierScope,
    LegalContext,
    OperationName,
    Pattern,
    Role,
    View,
)
from gateway.policy.decide import Facts, grant
from gateway.policy.notify import sendable
from gateway.policy.person import KEY_BYTES, person_digest
from gateway.policy.routing import is_open
from gateway.policy.step import fitting_steps
from gateway.refusal import Code, Refusal

_SOME: Final = DossierNumber("some dossier")  # rules ask whether there is a number, never which
_KEY: Final = bytes(KEY_BYTES)  # of nobody's directory: it binds `_WORKER` to a scope, or does not
_WORKER: Final = "worker"


class Unknown(Enum):
    """What the log cannot tell, and what that means for the answer."""

    DOSSIER = "Its seed is gone, or the key of its bucket: which dossier it was about is not known, so part, status and procedure were left open."
    DOCUMENT_TYPE = "The answer depends on the type of document, which is not kept."
    SOURCE = "The answer depends on the source that was named, which is not kept."
    WORKER = "The answer depends on whether the INSZ was that of the dossier's worker, which is not kept."
    PAYLOAD = "What a notification told is not kept: purpose, part, and whether some step is possible were asked again, not fields, route and recipients."
    FIELDS = (
        "The draft lets the sender write fewer fields: whether the notification had one of them is not kept."
    )
    CONTEXT = "The agreement did not know the legal context that was named, so it is not kept."
    REVISION = "The revision of that time is not kept in the store, or is damaged."
    PARTY = "The register has the authority no more."
    OTHERWISE = "The agreement of that time, asked again, decides otherwise than the log says: register or directory have changed, or it depended on what is not kept."
    ENTRY = "The entry does not have the closed form; see gateway log verify."


class About(StrEnum):
    """What is known of the dossier that an entry is about."""

    NONE = "none"  # it is about none
    SOME = "some"  # one, whose scope at that moment is known; None if the directory did not know it
    GONE = "gone"  # with the seed


def about(*, seeded: bool, known: bool) -> About:
    """`seeded`: the entry's seed is there; `known`: beside it stands a dossier."""
    if not seeded:
        return About.GONE
    return About.SOME if known else About.NONE


@dataclass(frozen=True, slots=True)
class Logged:
    """One decision of the log, with what register and directory say of that moment."""

    authority: Authority  # who asked or told
    operation: OperationName
    legal_context: LegalContext
    decision: str  # of the entry: PERMITTED, ACCEPTED or a refusal code
    asked: Role | None  # role of the providers that were asked; None: of none, or not known
    about: About
    scope: DossierScope | None
    now: datetime

    @property
    def granted(self) -> bool:
        """Was it let through?"""
        return self.decision in {PERMITTED, ACCEPTED}


@dataclass(frozen=True, slots=True)
class Case:
    """Criteria that may have been sent."""

    source: Role | None
    document_type: str | None
    own_worker: bool | None  # None: no INSZ is asked with


@dataclass(frozen=True, slots=True)
class Decided:
    """What one agreement says to one case. `view` and `providers`: of a consultation that it grants."""

    code: Code | None
    view: View | None = None
    providers: frozenset[AuthorityId] = frozenset()


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the draft says to the exchange as far as it is known. No `answers`: nothing can be said."""

    answers: frozenset[Decided]
    unknown: frozenset[Unknown]
    elsewhere: bool = False  # in some case it is granted, and others are asked

    @property
    def codes(self) -> frozenset[Code | None]:
        """None among them: it may be granted."""
        return frozenset(one.code for one in self.answers)


def replay(logged: Logged, then: Agreement, draft: Agreement, register: Register) -> Replayed:
    """`then`: the revision under which the exchange was decided."""
    cases = [one for one in _cases(logged, then, draft) if _happened(logged, one, then, register)]
    if not cases:
        return Replayed(frozenset(), frozenset({_unexplained(logged, then)}))
    answers = [_decided(logged, one, draft, register) for one in cases]
    unknown = {*_limits(logged, then), *_dependence(cases, answers)}
    elsewhere = any(
        one.code is None and one.providers != _decided(logged, case, then, register).providers
        for case, one in zip(cases, answers, strict=True)
    )
    if _may_lack_right(logged, then, draft, answers):
        answers.append(Decided(Code.SENDER_RIGHT))
        unknown.add(Unknown.FIELDS)
    return Replayed(frozenset(answers), frozenset(unknown), elsewhere)


def hearing(logged: Logged, agreement: Agreement) -> frozenset[tuple[AuthorityId, LegalContext]]:
    """Who of those that take part may hear of a notification, by some step that it may have taken, and why.

    Whom the step itself brings in is not told: the payload names it. Nobody where the dossier is not known.
    """
    scope, role = logged.scope, logged.authority.role
    operation = agreement.operations.get(logged.operation)
    course = None if scope is None else agreement.course(scope.permit_type, scope.procedure)
    if scope is None or role is None or course is None or operation is None or operation.follows_log:
        return frozenset()
    try:
        steps = fitting_steps(course, logged.operation, role, logged.legal_context, scope, None)
    except Refusal:
        return frozenset()
    return frozenset(
        (line.authority, step.recipients[line.role])
        for step in steps
        for line in scope.inscriptions
        if line.role in step.recipients
        and line.since <= logged.now
        and is_open(line, logged.now)
        and line.authority != logged.authority.id
    )


def _cases(logged: Logged, then: Agreement, draft: Agreement) -> Iterator[Case]:
    """Everything that a valid request of the operation may have asked with, as far as a rule looks at it."""
    operation = then.operations.get(logged.operation)
    if operation is None:
        return
    criteria = next(one for one in operation.messages.request.children if one.name == "criteria")
    names = {one.name for one in criteria.children}
    default = next(iter(operation.providers), None)
    sources: tuple[Role | None, ...] = operation.providers if "source" in names else ()
    if not sources or default is not _default(logged.operation, draft):
        sources = (
            None,
            *sources,
        )  # to name none is to name the default: a case of its own where that differs
    kinds = dict.fromkeys((*then.documents, *draft.documents)) if "documentType" in names else (None,)
    workers = (True, False) if "ssin" in names else (None,)
    for case in (Case(*one) for one in product(sources, kinds, workers)):
        if logged.asked is None or (case.source or default) is logged.asked:
            yield case


def _default(name: OperationName, agreement: Agreement) -> Role | None:
    operation = agreement.operations.get(name)
    return None if operation is None else next(iter(operation.providers), None)


def _happened(logged: Logged, case: Case, then: Agreement, register: Register) -> bool:
    decided = _decided(logged, case, then, register)
    return logged.granted if decided.code is None else decided.code.row.code == logged.decision


def _decided(logged: Logged, case: Case, agreement: Agreement, register: Register) -> Decided:
    """By the rules themselves. An operation that the agreement does not have is no operation (PROTOCOL §6)."""
    operation = agreement.operations.get(logged.operation)
    if operation is None:
        return Decided(Code.OPERATION)
    scope = _bound(logged, case)
    facts = Facts(agreement, register, scope, logged.now, _KEY)
    number = _SOME if logged.about is About.SOME else None
    party, name, context = logged.authority, logged.operation, logged.legal_context
    try:
        if operation.pattern is Pattern.NOTIFY:
            sendable(party, name, context, number, facts)
            return Decided(None)
        ssin = None if case.own_worker is None else _WORKER
        asked = Criteria(number, case.source, ssin, document_type=case.document_type)
        granted = grant(party, name, context, asked, facts)
        return Decided(None, granted.view, frozenset(one.id for one in granted.providers))
    except Refusal as refusal:
        return Decided(refusal.code)


def _bound(logged: Logged, case: Case) -> DossierScope | None:
    """Whose dossier it is follows from the case: the directory's own key and number are not needed."""
    scope = logged.scope
    if case.own_worker is None:
        return scope
    if scope is None and logged.about is About.GONE:  # of a scope that is left open the person alone is asked
        scope = DossierScope(_SOME, "", "", "", logged.now, ())
    person = person_digest(_KEY, _WORKER) if case.own_worker else None
    return None if scope is None else replace(scope, person=person)


def _limits(logged: Logged, then: Agreement) -> Iterator[Unknown]:
    if logged.about is About.GONE:
        yield Unknown.DOSSIER
    if then.operations[logged.operation].pattern is Pattern.NOTIFY:
        yield Unknown.PAYLOAD


def _dependence(cases: Sequence[Case], answers: Sequence[Decided]) -> Iterator[Unknown]:
    """On which criterion the answer depends: for some values of it there are other answers than for others."""
    if len({one.code for one in answers}) == 1:
        return
    for name, unknown in (
        ("source", Unknown.SOURCE),
        ("document_type", Unknown.DOCUMENT_TYPE),
        ("own_worker", Unknown.WORKER),
    ):
        told: dict[object, set[Code | None]] = {}
        for case, answer in zip(cases, answers, strict=True):
            told.setdefault(getattr(case, name), set()).add(answer.code)
        if any(codes != next(iter(told.values())) for codes in told.values()):
            yield unknown


def _may_lack_right(logged: Logged, then: Agreement, draft: Agreement, answers: Collection[Decided]) -> bool:
    """Of a notification that is let in: may it have had a field that its sender may write no more?"""
    role, name = logged.authority.role, logged.operation
    if role is None or then.operations[name].pattern is not Pattern.NOTIFY:
        return False
    granted = any(one.code is None for one in answers)
    return granted and not then.provided(role, name) <= draft.provided(role, name)


def _unexplained(logged: Logged, then: Agreement) -> Unknown:
    """Why no case leads to what the log says."""
    operation = then.operations.get(logged.operation)
    if logged.about is About.GONE:
        return Unknown.DOSSIER
    if operation is not None and operation.pattern is Pattern.NOTIFY and not logged.granted:
        return Unknown.PAYLOAD
    return Unknown.OTHERWISE
