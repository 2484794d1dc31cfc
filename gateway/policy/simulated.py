"""What a simulation finds: decisions and fields that would be other ones, each with its number and first entries."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gateway.model import AuthorityId, LegalContext, OperationName

EXAMPLES: Final = 3  # indices that are kept of what comes alike


class Verdict(StrEnum):
    """What would become of an exchange."""

    REFUSED = "would be refused"
    MAY_BE_REFUSED = "may be refused"
    ALLOWED = "would be allowed"
    MAY_BE_ALLOWED = "may be allowed"
    OTHERWISE = "would be refused otherwise"
    ELSEWHERE = "may be asked of others"
    UNTOLD = "would not be delivered"
    MAY_BE_UNTOLD = "may not be told"
    MAY_BE_TOLD = "may be told besides"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Decisions that would be other ones, alike. `draft`: what it may say, as codes; PERMITTED when it grants."""

    verdict: Verdict
    authority: AuthorityId  # that asks, tells, or would have received
    operation: OperationName
    legal_context: LegalContext
    logged: str
    draft: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field that would be shown or withheld, unlike before. `reason`: why it was or would be withheld."""

    authority: AuthorityId
    legal_context: LegalContext
    operation: OperationName
    field: str
    gained: bool
    reason: str | None  # None: the schema of the other revision does not have it


@dataclass(slots=True)
class Tally:
    """How often, and where first."""

    count: int = 0
    examples: list[int] = field(default_factory=list)

    def add(self, index: int) -> None:
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(index)
