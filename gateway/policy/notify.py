"""May it be told, and whom: request × dossier scope × course → accepted, or the reason why not (PROTOCOL §13.3).

Default deny. As in `decide` the checks run from the general to the particular, so that a sender who has no part
in a dossier learns nothing about it.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.agreement.course import Course, Step
from gateway.agreement.load import Operation
from gateway.agreement.terms import Context
from gateway.model import (
    Accepted,
    Authority,
    DossierNumber,
    DossierScope,
    FieldId,
    Inscription,
    LegalContext,
    OperationName,
    Recipient,
    Request,
    Role,
)
from gateway.policy.decide import Facts, is_inscribed, require_open, require_purpose
from gateway.policy.rectify import EarlierRelease, Outstanding, earlier_recipients
from gateway.policy.routing import is_open
from gateway.policy.scope import PERMIT_TYPE, PROCEDURE, after_rectification, after_step
from gateway.policy.step import find_step, opens, require_course
from gateway.policy.written import Written
from gateway.refusal import Code, Refusal


def accept(
    request: Request, facts: Facts, earlier: Sequence[EarlierRelease], waiting: Sequence[Outstanding] = ()
) -> Accepted:
    """`earlier`: releases of the dossier's data, oldest first; `waiting`: deliveries that are not settled, read
    before the releases were. Both are only read for an operation that follows the log.

    Raises Refusal with a code of the WIB07 or WIB13 family.
    """
    agreement, sender, before = facts.agreement, request.caller.authority, facts.scope
    operation, number = agreement.operations[request.operation], request.criteria.dossier
    assert request.payload is not None  # agreement.admit refuses a notification that tells nothing
    assert number is not None  # the contract: every notification is about a dossier
    # §7.1 purpose
    role, context = require_purpose(sender, operation, request.legal_context, agreement)
    # §7.2 row scope
    _require_part(sender, operation, facts)
    # §7.4 fields: writers are restricted too
    written = Written.of(request.payload, operation.messages.payload)
    _require_right(written, agreement.provided(role, operation.name))
    # §13.3 what comes of it, and who hears of it
    if operation.follows_log:
        assert before is not None  # it opens no dossier
        _require_rectifiable(role, context, before, facts)
        after = after_rectification(before, role, written, facts)
        recipients = earlier_recipients(written, sender, operation, earlier, waiting, facts)
    else:
        course = _course(before, written, facts)
        step = find_step(course, operation.name, role, request.legal_context, before, written)
        after = after_step(number, step, written, facts)
        recipients = _recipients(step, sender, before, after, facts)
    return Accepted(
        request=request,
        scope=after,
        expected=0 if before is None else before.version,
        recipients=recipients,
        revision=agreement.revision,
        newest=max((one.index for one in earlier), default=-1) if operation.follows_log else None,
    )


def sendable(
    authority: Authority,
    name: OperationName,
    legal_context: LegalContext,
    dossier: DossierNumber | None,
    facts: Facts,
) -> frozenset[FieldId]:
    """The fields that the authority may write, as far as can be said before it tells anything.

    Without a dossier, row scope and status are left open. Raises Refusal as `accept`.
    """
    agreement, before = facts.agreement, facts.scope
    operation = agreement.operations[name]
    role, context = require_purpose(authority, operation, legal_context, agreement)
    if dossier is not None:
        _require_part(authority, operation, facts)
        if before is not None and operation.follows_log:
            _require_rectifiable(role, context, before, facts)
        elif before is not None:
            course = require_course(agreement, before.permit_type, before.procedure)
            find_step(course, name, role, legal_context, before, None)
    return agreement.provided(role, name)


def _require_part(sender: Authority, operation: Operation, facts: Facts) -> None:
    """The sender takes part in the dossier now, or the operation may open it.

    At which statuses a dossier is open to the role is no matter here: the steps say when they may happen.
    """
    if facts.scope is None:
        known = opens(facts.agreement, operation.name)
    else:
        known = is_inscribed(facts.scope, sender, facts.now, facts.skew)
    if not known:
        raise Refusal(Code.DOSSIER_DENIED)  # one answer for unknown and foreign dossiers (attack Z04)


def _require_rectifiable(role: Role, context: Context, scope: DossierScope, facts: Facts) -> None:
    """What a step's own status and context say, said of what takes no step: as of a question."""
    require_open(scope, role, facts)
    if not context.applies(scope.permit_type, scope.procedure):
        raise Refusal(Code.CONTEXT_INAPPLICABLE)


def _course(scope: DossierScope | None, written: Written, facts: Facts) -> Course:
    """That of the dossier, or of the one that the payload opens."""
    if scope is not None:
        return require_course(facts.agreement, scope.permit_type, scope.procedure)
    return require_course(facts.agreement, written.text(PERMIT_TYPE) or "", written.text(PROCEDURE) or "")


def _require_right(written: Written, may: frozenset[FieldId]) -> None:
    """A region cannot tell a residence decision."""
    for field in sorted(written.fields - may):
        raise Refusal(Code.SENDER_RIGHT, field)


def _recipients(
    step: Step, sender: Authority, before: DossierScope | None, after: DossierScope, facts: Facts
) -> tuple[Recipient, ...]:
    """Who takes part in the dossier after the step, or until it, in a role that hears of the step.

    Since when does not matter: the clock may have been set back since.
    """
    known = () if before is None else before.inscriptions
    taking = {
        (line.authority, line.role)
        for line in after.inscriptions
        if is_open(line, facts.now) or _ended(line, known)
    }
    return tuple(
        Recipient(one, step.recipients[one.role])
        for one in facts.register.authorities
        if one.role is not None
        and one.role in step.recipients
        and (one.id, one.role) in taking
        and one.id != sender.id
    )


def _ended(line: Inscription, known: Sequence[Inscription]) -> bool:
    """By this very step: before it the line did not stand there like this."""
    return line.until is not None and line not in known
