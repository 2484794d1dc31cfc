"""Every way through a course: where a dossier can stand, and where each step leads it from there.

A way is followed with something that is remembered on it, a part of a role or a clock; only what differs in it
is another place.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.agreement.course import RESUME, Step

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Place(Generic[T]):
    """Where a dossier stands."""

    status: str
    resumes: str | None  # the status that was interrupted
    memory: T


@dataclass(frozen=True, slots=True)
class Move(Generic[T]):
    """One step from one place to another; `before` is None when it opens the dossier."""

    at: int  # the step's position in the course
    before: Place[T] | None
    after: Place[T]

    @property
    def enters(self) -> bool:
        """Does the status change?"""
        return self.before is None or self.before.status != self.after.status


def moves(
    steps: tuple[Step, ...], remember: Callable[[T, Step, str, bool], Iterable[T]], *, start: T
) -> Iterator[Move[T]]:
    """Every move that a dossier can make, each once.

    `start`: what is remembered before the dossier is opened. `remember`: what may be remembered after a step, from
    what was, the step, the status after it, and whether that was entered by it.
    """
    seen: set[Place[T]] = set()
    waiting: list[Place[T] | None] = [None]
    while waiting:
        place = waiting.pop()
        for at, step in enumerate(steps):
            found = follow(step, place)
            if found is None:
                continue
            status, resumes = found
            enters = place is None or place.status != status
            for memory in set(remember(start if place is None else place.memory, step, status, enters)):
                after = Place(status, resumes, memory)
                yield Move(at, place, after)
                if after not in seen:
                    seen.add(after)
                    waiting.append(after)


def follow(step: Step, place: Place[T] | None) -> tuple[str, str | None] | None:
    """Status and interrupted status after the step; None when it cannot be taken here."""
    if place is None:
        return None if not step.opens or step.after is None else (step.after, None)
    if place.status not in step.before:
        return None
    if step.after == RESUME:
        return None if place.resumes is None else (place.resumes, None)
    if step.after is None or step.after == place.status:
        return place.status, place.resumes
    return step.after, (place.resumes or place.status) if step.interrupts else None
