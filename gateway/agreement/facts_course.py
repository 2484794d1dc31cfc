"""The courses of a revision written out: each step and each deadline as a place of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from gateway.agreement.course import Course, Deadline, Step
from gateway.agreement.section import Fact, Place, Section, source_words
from gateway.agreement.terms import Agreement, Source


def course_facts(agreement: Agreement) -> Iterator[Fact]:
    """Every course."""
    for course in agreement.courses.values():
        yield Place(Section.COURSES, "for permits", name=course.name), course.permit_types
        yield Place(Section.COURSES, "for procedures", name=course.name), course.procedures
        yield from _numbered(Section.COURSES, "step", ((_step(course, one), one) for one in course.steps))
        terms = ((_deadline(course, one), one) for one in course.deadlines)
        yield from _numbered(Section.DEADLINES, "term", terms)


def _numbered(section: Section, what: str, terms: Iterable[tuple[str, Step | Deadline]]) -> Iterator[Fact]:
    """Steps of one name are told apart by their order, which decides between them too."""
    seen = Counter[str]()
    for name, one in terms:
        seen[name] += 1
        numbered = name if seen[name] == 1 else f"{name} ({seen[name]})"
        words = _step_words(one) if isinstance(one, Step) else _deadline_words(one)
        yield Place(section, what, name=numbered), frozenset(words)


def _step(course: Course, step: Step) -> str:
    when = "" if step.when is None else f" with {step.when[0]} = {step.when[1]}"
    return f"{course.name}: {step.operation}{when} by {', '.join(sorted(step.senders))} ({step.context})"


def _step_words(step: Step) -> Iterator[str]:
    yield from (f"at {status}" for status in step.before)
    yield f"to {step.after or 'the same status'}{', interrupting' if step.interrupts else ''}"
    yield from (f"heard by {role} ({context})" for role, context in step.recipients.items())
    yield from (f"begins the part of {role}" for role in step.inscribes)
    yield from (f"ends the part of {role}" for role in step.ends)
    yield from (f"may say {field} = {value}" for field, values in step.allows.items() for value in values)
    if step.binds:
        yield "binds the dossier to its worker"
    yield from source_words(Source(step.basis, step.certainty))


def _deadline(course: Course, one: Deadline) -> str:
    only = sorted((one.regions or frozenset()) | (one.permit_types or frozenset()))
    return f"{course.name}: {one.name} for {', '.join(only) or 'all'} from {one.valid_from}"


def _deadline_words(one: Deadline) -> Iterator[str]:
    yield f"{one.days} {'working ' if one.working else ''}days"
    yield f"until {one.valid_until}" if one.valid_until else "without end"
    yield from (f"starts at {status}" for status in one.starts)
    yield from (f"stands still at {status}" for status in one.suspended)
    yield from (f"ends at {status}" for status in one.ends)
    yield from source_words(Source(one.basis, one.certainty))
