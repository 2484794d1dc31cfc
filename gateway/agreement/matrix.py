"""[groups] of the agreement → the permitted-view matrix: 34 groups by 6 roles, every cell resolved.

A cell that is missing, or names what does not exist, is a finding; nothing is granted by omission.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gateway.agreement import rows
from gateway.agreement.finding import Findings
from gateway.agreement.rows import CellRow, Fields, GroupRow, resolve
from gateway.agreement.terms import Cell, Context, Group, Matrix, Operation, Source
from gateway.model import FieldId, LegalContext, OperationName, Role


def compile_groups(  # noqa: PLR0913, PLR0917 - what the rows refer to
    table: Mapping[str, object],
    schema: Mapping[str, tuple[FieldId, ...]],
    bases: Collection[str],
    contexts: Collection[str],
    operations: Mapping[OperationName, Operation],
    findings: Findings,
) -> dict[str, Group]:
    """`schema`: the groups of the contract. Every one has a row, and no other."""
    for code in sorted(set(schema) - set(table)):
        findings.add(f"groups.{code}", f"no row for group {code}, which the schemas use")
    groups: dict[str, Group] = {}
    for code, value in table.items():
        path = f"groups.{code}"
        if code not in schema:
            findings.add(path, f'no group "{code}" in the schemas')
            continue
        group = _Row(path, code, schema[code], bases, contexts, operations, findings).group(value)
        if group is not None:
            groups[code] = group
    return groups


class _Row:
    """Compiles the row of one group."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a row refers to
        self,
        path: str,
        code: str,
        fields: tuple[FieldId, ...],
        bases: Collection[str],
        contexts: Collection[str],
        operations: Mapping[OperationName, Operation],
        findings: Findings,
    ) -> None:
        self._path, self._code, self._fields = path, code, fields
        self._bases, self._contexts, self._operations = bases, contexts, operations
        self._findings = findings

    def group(self, value: object) -> Group | None:
        table = value if isinstance(value, dict) else {}
        about = {key: entry for key, entry in table.items() if key not in set(Role)}
        row = rows.decode(about, GroupRow, self._path, self._findings)
        cells = {role: self._cell(table, role) for role in Role}
        whole = {role: cell for role, cell in cells.items() if cell is not None}
        if row is None or len(whole) != len(Role):
            return None
        return Group(self._code, row.name, row.purpose, tuple(row.sensitivity), self._fields, whole)

    def _cell(self, table: Mapping[str, object], role: Role) -> Cell | None:
        path = f"{self._path}.{role}"
        if role not in table:
            self._findings.add(path, "no cell; write down that nothing is granted")
            return None
        row = rows.decode(table[role], CellRow, path, self._findings)
        if row is None:
            return None
        basis = resolve(row.basis, self._bases, "basis", f"{path}.basis", self._findings)
        if not row.basis:
            self._findings.add(f"{path}.basis", "a cell has a basis")
        return Cell(
            provide=self._resolved(row.provide, f"{path}.provide"),
            receive=self._resolved(row.receive, f"{path}.receive"),
            receive_under=self._under(row, f"{path}.receive_under"),
            provide_in=self._in(row, role, f"{path}.provide_in"),
            source=Source(basis, row.certainty, row.note),
        )

    def _under(self, row: CellRow, path: str) -> dict[LegalContext, frozenset[FieldId]]:
        resolve(tuple(row.receive_under), self._contexts, "context", path, self._findings)
        return {
            LegalContext(name): self._resolved(
                rows.fields(value, f'{path}."{name}"', self._findings), f'{path}."{name}"'
            )
            for name, value in row.receive_under.items()
        }

    def _in(self, row: CellRow, role: Role, path: str) -> dict[OperationName, frozenset[FieldId]]:
        granted: dict[OperationName, frozenset[FieldId]] = {}
        for name, value in row.provide_in.items():
            place = f"{path}.{name}"
            operation = self._operations.get(OperationName(name))
            if operation is None or role not in operation.providers:
                self._findings.add(place, f'role {role} tells no "{name}"')
            elif operation.groups is not None and self._code not in operation.groups:
                self._findings.add(place, f"{name} does not carry group {self._code}")
            fields = rows.fields(value, place, self._findings)
            granted[OperationName(name)] = self._resolved(fields, place)
        return granted

    def _resolved(self, fields: Fields | None, path: str) -> frozenset[FieldId]:
        """Field names of this group → fields. "all" is every field that the schema marks, also `present`."""
        if fields == "all":
            return frozenset(self._fields)
        if fields is None or fields == "none":
            return frozenset()
        if not fields:
            self._findings.add(path, 'an empty list; write "none"')
        known = [field.partition(".")[2] for field in self._fields]
        for index, name in enumerate(fields):
            if name not in known:
                self._findings.add(f"{path}[{index}]", f'no field "{name}" in group {self._code}')
            elif name in fields[:index]:
                self._findings.add(f"{path}[{index}]", f'field "{name}" stands twice')
        return frozenset(FieldId(f"{self._code}.{name}") for name in fields if name in known)


def compile_matrix(groups: Mapping[str, Group], contexts: Mapping[LegalContext, Context]) -> Matrix:
    """Sum the cells: per role what it may provide and ever receive, per role and context what it receives."""
    empty: frozenset[FieldId] = frozenset()
    cells = {role: [group.cells[role] for group in groups.values()] for role in Role}
    return Matrix(
        groups=groups,
        _provides={role: empty.union(*(cell.provide for cell in cells[role])) for role in Role},
        _provides_in={
            (role, name): empty.union(*(cell.provide_in.get(name, empty) for cell in cells[role]))
            for role in Role
            for name in {name for cell in cells[role] for name in cell.provide_in}
        },
        _ever={role: empty.union(*(cell.ever for cell in cells[role])) for role in Role},
        _receives={
            (role, name): empty.union(*(groups[code].cells[role].receives(name) for code in context.groups))
            for name, context in contexts.items()
            for role in context.roles
        },
    )
