"""Which clause of the agreement stands behind a refusal, with its legal basis.

A clause is the agreement's own text, never the case: what a dossier or another authority has to do with it is
left to whoever may know that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.agreement.course import Step
from gateway.agreement.load import Agreement
from gateway.agreement.terms import Context, Operation, Source
from gateway.model import FieldId, LegalContext, OperationName, Role
from gateway.refusal import Code

_SSIN: Final = FieldId("G02.ssin")


@dataclass(frozen=True, slots=True)
class Clause:
    """A place in the agreement's files."""

    place: str  # 'contexts."WIB:APPEAL".roles'
    says: tuple[str, ...]
    own: tuple[str, ...]  # what it grants to the role that asked: no more than checkAccessControl would tell
    basis: tuple[str, ...]  # texts
    certainty: str = ""  # "C", "L" or "J"; "" where the agreement has none


@dataclass(frozen=True, slots=True)
class _Question:
    """Who asked or told what, and why, in the agreement's terms."""

    role: Role
    operation: Operation
    context: Context | None  # None: the agreement did not know it
    agreement: Agreement

    @property
    def contexts(self) -> tuple[LegalContext, ...]:
        """In which the role may call the operation."""
        return tuple(sorted(self.operation.requesters.get(self.role, ())))


def clause(
    code: Code, role: Role, name: OperationName, legal_context: LegalContext | None, agreement: Agreement
) -> Clause | None:
    """None for a code that rests on no clause, such as part in a dossier: the directory decides that."""
    operation, find = agreement.operations.get(name), _CLAUSES.get(code)
    if operation is None or find is None:
        return None
    context = None if legal_context is None else agreement.contexts.get(legal_context)
    return find(_Question(role, operation, context, agreement))


def granted_purpose(
    role: Role, name: OperationName, legal_context: LegalContext | None, agreement: Agreement
) -> bool:
    """May the role invoke the legal context for the operation?"""
    operation = agreement.operations.get(name)
    return operation is not None and legal_context in operation.requesters.get(role, ())


def texts(basis: Iterable[str], agreement: Agreement) -> tuple[str, ...]:
    """Letters of [bases] → what they stand for."""
    return tuple(f"{letter}: {agreement.bases[letter]}" for letter in basis)


def _of_source(
    place: str, says: Iterable[str], own: Iterable[str], source: Source, asked: _Question
) -> Clause:
    return Clause(place, tuple(says), tuple(own), texts(source.basis, asked.agreement), source.certainty)


def _of_operation(asked: _Question, what: str, says: Iterable[str], own: Iterable[str]) -> Clause:
    place = f"operations.{asked.operation.name}.{what}"
    return Clause(place, tuple(says), tuple(own), texts(asked.operation.basis, asked.agreement))


def _callers(asked: _Question) -> Clause:
    mine = (name for name, one in asked.agreement.operations.items() if asked.role in one.requesters)
    return _of_operation(asked, "requesters", sorted(asked.operation.requesters), sorted(mine))


def _purpose(asked: _Question) -> Clause:
    """The context's own roles, where the role is none of them; else the operation's contexts, or its steps."""
    context, mine = asked.context, asked.contexts
    if context is None or asked.role in context.roles:
        granted = context is not None and context.name in mine
        return _steps(asked) if granted else _of_operation(asked, f"requesters.{asked.role}", mine, mine)
    place = f'contexts."{context.name}".roles'
    return _of_source(place, sorted(context.roles), mine, context.source, asked)


def _limits(asked: _Question) -> Clause | None:
    context = asked.context
    if context is None:
        return None
    says = (
        f"permit types: {', '.join(sorted(context.permit_types or {'every'}))}",
        f"procedures: {', '.join(sorted(context.procedures or {'every'}))}",
    )
    return _of_source(f'contexts."{context.name}"', says, says, context.source, asked)


def _statuses(asked: _Question) -> Clause:
    terms, days = asked.agreement.roles[asked.role], asked.agreement.closed_read_days
    says = tuple(f"{one} for {days} days" if one == "CLOSED" else one for one in sorted(terms.statuses))
    return _of_source(f"roles.{asked.role}.statuses", says, says, terms.source, asked)


def _sources(asked: _Question) -> Clause:
    others = (one for one in asked.operation.providers if one is not asked.role)
    return _of_operation(asked, "providers", asked.operation.providers, others)


def _documents(asked: _Question) -> Clause:
    """The types of document that the role may have in this context, or may upload."""
    operation, agreement = asked.operation, asked.agreement
    kinds = tuple(sorted(agreement.documents))
    mine = tuple(one for one in kinds if _may_have(one, asked))
    return Clause("documents", kinds, mine, texts(operation.basis, agreement))


def _may_have(kind: str, asked: _Question) -> bool:
    operation, agreement = asked.operation, asked.agreement
    if operation.hub:
        return bool(agreement.provided(asked.role, operation.name, kind))
    if asked.context is None:
        return False
    keys = ((operation.name, asked.role, asked.context.name, source, kind) for source in operation.providers)
    return any(agreement.released_fields(agreement.views[key]) for key in keys if key in agreement.views)


def _criteria(asked: _Question) -> Clause:
    held = (_SSIN,) if asked.agreement.may_hold(asked.role, _SSIN) else ()
    cell = asked.agreement.groups["G02"].cells[asked.role]
    return _of_source(f"groups.G02.{asked.role}", held, held, cell.source, asked)


def _needs(asked: _Question) -> Clause | None:
    context = asked.context
    if context is None:
        return None
    groups = tuple(f"{one} {asked.agreement.groups[one].name}" for one in sorted(context.groups))
    return _of_source(f'contexts."{context.name}".groups', groups, (), context.source, asked)


def _writes(asked: _Question) -> Clause:
    fields = sorted(asked.agreement.provided(asked.role, asked.operation.name))
    return _of_operation(asked, "groups", sorted(asked.operation.groups or ("all",)), fields)


def _steps(asked: _Question) -> Clause:
    """Where in each course the role may tell this."""
    says = tuple(
        f"{course.name}: {_when(step)} ({step.context})"
        for course in asked.agreement.courses.values()
        for step in course.steps
        if step.operation == asked.operation.name and asked.role in step.senders
    )
    place = f"courses.*.steps of {asked.operation.name}"
    return Clause(place, says, says, texts(asked.operation.basis, asked.agreement))


def _when(step: Step) -> str:
    return "opens a dossier" if step.opens else f"at {', '.join(sorted(step.before))}"


def _route(asked: _Question) -> Clause:
    fields = tuple(sorted(f"{role} by {field}" for role, field in asked.agreement.routing.fields.items()))
    return Clause("routing", fields, fields, ())


_CLAUSES: Final[Mapping[Code, Callable[[_Question], Clause | None]]] = {
    Code.OPERATION_DENIED: _callers,
    Code.CONTEXT_UNKNOWN: _purpose,
    Code.CONTEXT_DENIED: _purpose,
    Code.CONTEXT_INAPPLICABLE: _limits,
    Code.STATUS_DENIED: _statuses,
    Code.SOURCE_DENIED: _sources,
    Code.DOCUMENT_DENIED: _documents,
    Code.CRITERIA_DENIED: _criteria,
    Code.VIEW_EMPTY: _needs,
    Code.SENDER_RIGHT: _writes,
    Code.STEP_UNKNOWN: _steps,
    Code.TRANSITION_DENIED: _steps,
    Code.DOSSIER_EXISTS: _steps,
    Code.ROUTE_UNKNOWN: _route,
}
