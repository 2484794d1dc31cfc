"""What a step makes of a dossier's scope: its status, who takes part, and of whom it is (PROTOCOL §13.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.agreement.course import RESUME, Step
from gateway.model import DossierNumber, DossierScope, FieldId, Role
from gateway.policy.days import day_of
from gateway.policy.decide import Facts
from gateway.policy.person import person_digest
from gateway.policy.routing import competent, moved, require_region
from gateway.policy.written import Written

PERMIT_TYPE: Final = FieldId("G01.permitType")
PROCEDURE: Final = FieldId("G01.procedure")
_SSIN: Final = FieldId("G02.ssin")


def after_step(number: DossierNumber, step: Step, written: Written, facts: Facts) -> DossierScope:
    """The scope as the step leaves it: a new dossier's when the directory knows none.

    Raises Refusal: ROUTE_UNKNOWN.
    """
    before = facts.scope if facts.scope is not None else _unopened(number, step, written, facts)
    status, resumes = _status(step, before)
    new = competent(step.inscribes, written, facts.agreement, facts.register, day_of(facts.now))
    lines = moved(before.inscriptions, step.ends, new, facts.now)
    require_region(step, written, lines, facts.register, facts.now)
    after = replace(
        before,
        status=status,
        status_since=before.status_since if status == before.status else max(facts.now, before.status_since),
        inscriptions=lines,
        resumes=resumes,
        version=before.version + 1,
    )
    return bound(after, written, facts) if step.binds else after


def after_rectification(before: DossierScope, role: Role, written: Written, facts: Facts) -> DossierScope:
    """The status stays, and so does who takes part. `role`: of the sender.

    The person is bound anew only by a role that binds one in some step of the dossier's course.
    """
    after = replace(before, version=before.version + 1)
    course = facts.agreement.course(before.permit_type, before.procedure)
    steps = () if course is None else course.steps
    binds = any(step.binds and role in step.senders for step in steps)
    return bound(after, written, facts) if binds else after


def bound(scope: DossierScope, written: Written, facts: Facts) -> DossierScope:
    """An INSZ in the payload is from now on the person of the dossier; without one it stays whose it is."""
    ssin = written.text(_SSIN)
    return scope if ssin is None else replace(scope, person=person_digest(facts.directory_key, ssin))


def _unopened(number: DossierNumber, step: Step, written: Written, facts: Facts) -> DossierScope:
    """Of a dossier that this step opens: nobody takes part in it yet."""
    permit_type, procedure = written.text(PERMIT_TYPE), written.text(PROCEDURE)
    assert permit_type is not None  # policy.notify found the course by them
    assert procedure is not None
    assert step.after is not None  # the agreement: an opening step leads to a status
    return DossierScope(number, permit_type, procedure, step.after, facts.now, ())


def _status(step: Step, before: DossierScope) -> tuple[str, str | None]:
    """The status that the step leads to, and the one that is interrupted by it, if any."""
    if step.after is None or step.after == before.status:
        return before.status, before.resumes
    if step.after == RESUME:
        assert before.resumes is not None  # policy.step
        return before.resumes, None
    return step.after, (before.resumes or before.status) if step.interrupts else None
