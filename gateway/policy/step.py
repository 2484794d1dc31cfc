"""Which step of its course a notification takes (PROTOCOL §13.3). The table of steps is the agreement's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.agreement.course import RESUME, Course, Step
from gateway.agreement.load import Agreement
from gateway.model import DossierScope, FieldId, LegalContext, OperationName, Role
from gateway.policy.written import Written
from gateway.refusal import Code, Refusal


def require_course(agreement: Agreement, permit_type: str, procedure: str) -> Course:
    """The course of such dossiers. Raises Refusal: STEP_UNKNOWN."""
    course = agreement.course(permit_type, procedure)
    if course is None:
        raise Refusal(Code.STEP_UNKNOWN)
    return course


def opens(agreement: Agreement, name: OperationName) -> bool:
    """Does the operation open dossiers, in some course?"""
    steps = (step for course in agreement.courses.values() for step in course.steps)
    return any(step.operation == name and step.opens for step in steps)


def find_step(  # noqa: PLR0913, PLR0917 - what is told, by whom and why, and where the dossier stands
    course: Course,
    name: OperationName,
    role: Role,
    legal_context: LegalContext,
    scope: DossierScope | None,
    written: Written | None,
) -> Step:
    """The one step; of several that fit alike the one that is meant for a value which the payload has.

    A payload that contradicts a step is not meant by it: in the fields by which steps are told apart it says nothing
    else than the step does, or allows. A permit cannot say that it is refused.

    `written`: None to ask whether there is a step for some payload.
    Raises Refusal: STEP_UNKNOWN, DOSSIER_EXISTS, DOSSIER_DENIED, TRANSITION_DENIED, CONTEXT_DENIED.
    """
    fitting = fitting_steps(course, name, role, legal_context, scope, written)
    return max(fitting, key=lambda one: one.when is not None)  # the first of equals


def fitting_steps(  # noqa: PLR0913, PLR0917 - as above
    course: Course,
    name: OperationName,
    role: Role,
    legal_context: LegalContext,
    scope: DossierScope | None,
    written: Written | None,
) -> Sequence[Step]:
    """Every step that fits, at least one. Parameters and refusals as of `find_step`."""
    known = [
        one
        for one in course.steps
        if one.operation == name and role in one.senders and _meant(one, course.outcomes, written)
    ]
    if not known:
        raise Refusal(Code.STEP_UNKNOWN)
    possible = _possible(known, scope)
    fitting = [one for one in possible if one.context == legal_context]
    if not fitting:
        raise Refusal(Code.CONTEXT_DENIED)
    return fitting


def _meant(step: Step, outcomes: Iterable[FieldId], written: Written | None) -> bool:
    if written is None:
        return True
    if any(not step.values(field).issuperset(written.texts(field)) for field in outcomes):
        return False
    return step.when is None or step.when[1] in written.texts(step.when[0])


def _possible(steps: Sequence[Step], scope: DossierScope | None) -> list[Step]:
    """Those that may happen to the dossier now."""
    if scope is None:
        opening = [one for one in steps if one.opens]
        if not opening:
            raise Refusal(Code.DOSSIER_DENIED)
        return opening
    following = [one for one in steps if not one.opens]
    if not following:
        raise Refusal(Code.DOSSIER_EXISTS)
    possible = [one for one in following if scope.status in one.before and _resumes(one, scope)]
    if not possible:
        raise Refusal(Code.TRANSITION_DENIED)
    return possible


def _resumes(step: Step, scope: DossierScope) -> bool:
    """Only what was interrupted can be resumed."""
    return step.after != RESUME or scope.resumes is not None
