"""Where words stand in the agreement: the sections in which its terms are told, and the place of a term."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.agreement.terms import Source
from gateway.model import LegalContext, OperationName, Role


class Section(StrEnum):
    """Parts of the agreement, in the order in which a reader asks about them."""

    RECEIVES = "fields received"
    WRITES = "fields written"
    DOCUMENTS = "documents"
    OPERATIONS = "operations"
    CONTEXTS = "legal contexts"
    STATUSES = "statuses"
    QUOTAS = "quotas"
    MATRIX = "matrix"
    COURSES = "courses"
    DEADLINES = "deadlines"
    PLACES = "routing and places"
    SCHEMA = "schema"
    HEAD = "head and retention"
    BASES = "legal bases"
    WORDING = "wording"


@dataclass(frozen=True, slots=True)
class Place:
    """Where words stand: of a term that concerns a role its role, and so on; `name` of what has no type here."""

    section: Section
    what: str  # "receives", "open at"
    role: Role | None = None
    context: LegalContext | None = None
    operation: OperationName | None = None
    source: Role | None = None  # who provides or tells
    name: str = ""  # a course, a group, a path


Words = frozenset[str]
Fact = tuple[Place, Words]
EVERY: Final[Words] = frozenset({"every"})


def source_words(source: Source) -> Words:
    """Where a term comes from, and how sure its drafters are."""
    return frozenset({*(f"basis {letter}" for letter in source.basis), f"certainty {source.certainty}"})
