"""May it be asked: request × dossier scope × agreement → permitted, or the reason why not (PROTOCOL §7).

Default deny. The checks run from the general to the particular, so that a caller who may not ask at all
learns nothing about a dossier.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from gateway.agreement.load import Agreement, Operation
from gateway.agreement.register import Register
from gateway.agreement.terms import Context
from gateway.model import (
    Authority,
    Criteria,
    DossierScope,
    FieldId,
    LegalContext,
    OperationName,
    Pattern,
    Permitted,
    Request,
    Role,
    View,
)
from gateway.policy.person import require_person
from gateway.refusal import Code, Refusal

_CLOSED: Final = "CLOSED"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision depends on besides the question: one moment, one revision."""

    agreement: Agreement
    register: Register
    scope: DossierScope | None  # of the dossier asked about; None when the directory knows none
    now: datetime
    directory_key: bytes = field(repr=False)  # of the digests by which dossiers are bound to persons
    skew: timedelta = timedelta()  # how far the clock may have been set back since somebody got a part


@dataclass(frozen=True, slots=True)
class Grant:
    """Who is asked, and what of the answer may be released. `providers` is empty when the hub answers."""

    providers: tuple[Authority, ...]
    view: View


def decide(request: Request, facts: Facts) -> Permitted:
    """Raises Refusal with a code of the WIB07 family."""
    authority, criteria = request.caller.authority, request.criteria
    granted = grant(authority, request.operation, request.legal_context, criteria, facts)
    return Permitted(
        request=request,
        providers=granted.providers,
        view=granted.view,
        provided={
            provider.id: facts.agreement.provided(provider.role, request.operation, criteria.document_type)
            for provider in granted.providers
            if provider.role is not None
        },
        revision=facts.agreement.revision,
    )


def grant(
    authority: Authority, name: OperationName, legal_context: LegalContext, criteria: Criteria, facts: Facts
) -> Grant:
    """The decision itself, also asked by checkAccessControl. Without a dossier, row scope is left open.

    Raises Refusal with a code of the WIB07 family.
    """
    agreement = facts.agreement
    operation = agreement.operations[name]
    if operation.pattern is Pattern.NOTIFY:  # nothing to ask for: `policy.notify` decides on what is told
        raise Refusal(Code.OPERATION_DENIED)
    # §7.1 purpose
    role, context = require_purpose(authority, operation, legal_context, agreement)
    # §7.2 row scope; the hub's own answers disclose nothing of a dossier
    uploads = operation.pattern is Pattern.UPLOAD
    if criteria.dossier is not None and (uploads or not operation.hub):
        scope = _require_scope(authority, role, facts)
        if not context.applies(scope.permit_type, scope.procedure):
            raise Refusal(Code.CONTEXT_INAPPLICABLE)
    # §7.3 whose file, by role
    source = _source(operation, criteria)
    # §7.4 fields, of the question and of the answer
    _require_criteria(criteria, role, source, agreement)
    if uploads and criteria.document_type and not agreement.provided(role, name, criteria.document_type):
        raise Refusal(Code.DOCUMENT_DENIED)
    view = agreement.view(name, role, legal_context, source, criteria.document_type)
    if view.verdicts and all(reason is not None for reason in view.verdicts.values()):
        raise Refusal(_nothing_released(criteria, own=source is role))
    # §7.2 whom the dossier concerns; before who answers, which is told only to whom may name its worker
    if criteria.ssin is not None:
        require_person(facts.scope, facts.directory_key, criteria.ssin)
    # §7.3 who answers; last, for whether a source takes part in the dossier is told only to whom it may tell more
    return Grant(_providers(authority, operation, source, criteria, facts), view)


def require_purpose(
    authority: Authority, operation: Operation, legal_context: LegalContext, agreement: Agreement
) -> tuple[Role, Context]:
    """The role in which the authority calls, and the purpose for which.

    Raises Refusal: OPERATION_DENIED, CONTEXT_UNKNOWN, CONTEXT_DENIED.
    """
    role = authority.role
    if role is None or role not in operation.requesters:
        raise Refusal(Code.OPERATION_DENIED)
    context = agreement.contexts.get(legal_context)
    if context is None:
        raise Refusal(Code.CONTEXT_UNKNOWN)
    if role not in context.roles or legal_context not in operation.requesters[role]:
        raise Refusal(Code.CONTEXT_DENIED)
    return role, context


def _nothing_released(criteria: Criteria, *, own: bool) -> Code:
    """A function of policy alone: it tells nothing about who takes part in the dossier."""
    if criteria.document_type:
        return Code.DOCUMENT_DENIED
    return Code.SOURCE_DENIED if own else Code.VIEW_EMPTY


def _require_scope(authority: Authority, role: Role, facts: Facts) -> DossierScope:
    """The second filter: this authority, in this role, in this dossier, at this status (KSZ: inscription)."""
    scope = facts.scope
    if scope is None or not is_inscribed(scope, authority, facts.now):
        raise Refusal(Code.DOSSIER_DENIED)  # one answer for unknown and foreign dossiers (attack Z04)
    require_open(scope, role, facts)
    return scope


def require_mailbox(authority: Authority) -> None:
    """Whose messages go to its endpoint has none (PROTOCOL §14). Raises Refusal: MAILBOX_NONE."""
    if authority.endpoint is not None:
        raise Refusal(Code.MAILBOX_NONE)


def require_open(scope: DossierScope, role: Role, facts: Facts) -> None:
    """The dossier is open to the role at the status where it stands; a closed one not for ever.

    Raises Refusal: STATUS_DENIED.
    """
    lapse = timedelta(days=facts.agreement.closed_read_days)
    if scope.status == _CLOSED and facts.now > scope.status_since + lapse:
        raise Refusal(Code.STATUS_DENIED)
    if scope.status not in facts.agreement.roles[role].statuses:
        raise Refusal(Code.STATUS_DENIED)


def is_inscribed(
    scope: DossierScope, authority: Authority, now: datetime, skew: timedelta = timedelta()
) -> bool:
    """Does the authority take part in the dossier, in its role, now? `skew`: how early its part may begin."""
    return any(
        line.authority == authority.id
        and line.role == authority.role
        and line.since <= now + skew
        and (line.until is None or now < line.until)
        for line in scope.inscriptions
    )


def _source(operation: Operation, criteria: Criteria) -> Role | None:
    """The role whose file is consulted; None when the hub answers."""
    if operation.hub:
        return None
    source = criteria.source or operation.providers[0]
    if source not in operation.providers:
        raise Refusal(Code.SOURCE_DENIED)
    return source


def _providers(
    requester: Authority, operation: Operation, source: Role | None, criteria: Criteria, facts: Facts
) -> tuple[Authority, ...]:
    """Never the requester itself: nobody is shown its own file through the hub."""
    if source is None or criteria.dossier is None:
        return ()
    others = [a for a in facts.register.active(source) if a.id != requester.id]
    scope = facts.scope
    found = [
        a for a in others if operation.scatter or (scope is not None and is_inscribed(scope, a, facts.now))
    ]
    if not found or (len(found) > 1 and not operation.scatter):
        raise Refusal(Code.SOURCE_DENIED)
    return tuple(found)


def _require_criteria(
    criteria: Criteria, requester: Role, provider: Role | None, agreement: Agreement
) -> None:
    """A criterion is a disclosure too: only what both ends may hold may be asked with."""
    if criteria.document_type is not None and criteria.document_type not in agreement.documents:
        raise Refusal(Code.DOCUMENT_DENIED)
    if criteria.ssin is None:
        return
    ssin = FieldId("G02.ssin")
    ends = (requester,) if provider is None else (requester, provider)
    if not all(agreement.may_hold(end, ssin) for end in ends):
        raise Refusal(Code.CRITERIA_DENIED)
