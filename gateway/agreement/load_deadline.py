"""One deadline of a course in contracts/procedures.toml: a dated rule, every name resolved."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from gateway.agreement import rows
from gateway.agreement.course import Deadline
from gateway.agreement.course_rows import DeadlineRow
from gateway.agreement.finding import Findings
from gateway.agreement.rows import require_between, resolve

_LONGEST: Final = 3_660  # days: ten years; the longest term in the law is one of months


@dataclass(frozen=True, slots=True)
class Scales:
    """What a deadline of one course may refer to."""

    statuses: Collection[str]
    regions: Collection[str]
    permit_types: Collection[str]  # of the course
    bases: Collection[str]


def load_deadline(value: object, path: str, scales: Scales, findings: Findings) -> Deadline | None:
    """None when the row has not the shape of one."""
    row = rows.decode(value, DeadlineRow, path, findings)
    if row is None:
        return None
    require_between(row.days, _LONGEST, f"{path}.days", findings)
    if row.valid_until is not None and row.valid_until < row.valid_from:
        findings.add(f"{path}.valid_until", "ends before it begins")

    def some(names: list[str] | None, known: Collection[str], what: str, key: str) -> frozenset[str] | None:
        return None if names is None else frozenset(resolve(names, known, what, f"{path}.{key}", findings))

    def statuses(names: list[str], key: str) -> frozenset[str]:
        return frozenset(resolve(names, scales.statuses, "status", f"{path}.{key}", findings))

    return Deadline(
        name=row.name,
        starts=statuses(row.starts, "starts"),
        ends=statuses(row.ends, "ends"),
        suspended=statuses(row.suspended, "suspended"),
        days=row.days,
        working=row.working,
        regions=some(row.regions, scales.regions, "region", "regions"),
        permit_types=some(row.permit_types, scales.permit_types, "permit type of the course", "permit_types"),
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        basis=resolve(row.basis, scales.bases, "basis", f"{path}.basis", findings),
        certainty=row.certainty,
        note=row.note,
    )
