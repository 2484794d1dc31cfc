"""contracts/procedures.toml → routing and courses: every name resolved, every step such that it can be taken.

A step that tells nobody anything, is told by who may not, or could be meant by the same message as another one
is a finding. What makes no sense in a course as a whole is found by `course_sense`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.agreement import course_sense, rows
from gateway.agreement.course import RESUME, Course, Routing, Step
from gateway.agreement.course_rows import CourseRow, StepRow
from gateway.agreement.finding import Findings
from gateway.agreement.load_deadline import Scales, load_deadline
from gateway.agreement.load_words import PROCEDURE, STATUS, Words
from gateway.agreement.rows import is_known, resolve
from gateway.agreement.schema import Contract
from gateway.agreement.terms import Matrix, Operation
from gateway.model import FieldId, LegalContext, OperationName, Pattern, Role

REGION: Final = FieldId("G01.competentRegion")
_SSIN: Final = FieldId("G02.ssin")
# Of these roles the register has many authorities: a field must tell which (PROTOCOL §1.2).
_ROUTED: Final = (Role.REG, Role.MUN, Role.CONS)


@dataclass(frozen=True, slots=True)
class Known:
    """What the rows of courses refer to."""

    contract: Contract
    words: Words
    operations: Mapping[OperationName, Operation]
    matrix: Matrix
    routing: Routing


def load_routing(tables: rows.Table, contract: Contract, findings: Findings) -> Routing:
    """[routing]: role → the field that names its authority; `main` marks which of several counts."""
    entries = {
        name: rows.decode(value, str, f"routing.{name}", findings)
        for name, value in rows.entries(tables, "routing", findings).items()
    }
    known = [*_ROUTED, "main"]
    fields = {
        name: FieldId(field)
        for name, field in entries.items()
        if field is not None
        and is_known(name, known, "role that is routed", f"routing.{name}", findings)
        and is_known(field, contract.fields, "field", f"routing.{name}", findings)
    }
    main = fields.pop("main", None)
    if main is not None and all(_group(main) != _group(field) for field in fields.values()):
        findings.add("routing.main", f"{main} stands beside no field that names an authority")
    return Routing({Role(name): field for name, field in fields.items()}, main)


def load_courses(tables: rows.Table, known: Known, findings: Findings) -> dict[str, Course]:
    """Raises nothing: what is wrong is in `findings`."""
    courses: dict[str, Course] = {}
    for name, value in rows.entries(tables, "courses", findings).items():
        course = _Reader(f"courses.{name}", known, findings).course(name, value)
        if course is not None:
            courses[name] = course
    course_sense.check_pairs(courses, findings)
    for operation in known.operations.values():
        told = any(operation.name == step.operation for one in courses.values() for step in one.steps)
        if operation.pattern is Pattern.NOTIFY and not operation.follows_log and not told:
            findings.add("courses", f"no course has a step {operation.name}")
    return courses


class _Reader:
    """Compiles one course."""

    def __init__(self, path: str, known: Known, findings: Findings) -> None:
        self._path, self._known, self._findings = path, known, findings
        self._statuses = known.contract.values_of(STATUS)

    def course(self, name: str, value: object) -> Course | None:
        path, contract, words, found = self._path, self._known.contract, self._known.words, self._findings
        row = rows.decode(value, CourseRow, path, found)
        if row is None:
            return None
        types = resolve(row.permit_types, words.permit_types, "permit type", f"{path}.permit_types", found)
        procedures = resolve(
            row.procedures, contract.values_of(PROCEDURE), "procedure", f"{path}.procedures", found
        )
        pairs = [(one, other) for one in types for other in procedures]
        steps = [
            step
            for n, value in enumerate(row.steps)
            if (step := self._step(value, f"{path}.steps[{n}]", pairs)) is not None
        ]
        scales = Scales(self._statuses, contract.values_of(REGION), types, words.bases)
        deadlines = [
            deadline
            for n, value in enumerate(row.deadlines)
            if (deadline := load_deadline(value, f"{path}.deadlines[{n}]", scales, found)) is not None
        ]
        course = Course(
            name=name,
            permit_types=frozenset(types),
            procedures=frozenset(procedures),
            steps=tuple(steps),
            deadlines=tuple(deadlines),
            basis=self._basis(row, path),
            certainty=row.certainty,
        )
        if len(steps) == len(row.steps) and len(deadlines) == len(row.deadlines):
            statuses = {role: terms.statuses for role, terms in words.roles.items()}
            course_sense.check_course(course, statuses, path, found)
        return course

    def _step(self, value: object, path: str, pairs: Collection[tuple[str, str]]) -> Step | None:
        row = rows.decode(value, StepRow, path, self._findings)
        if row is None:
            return None
        step = Step(
            operation=OperationName(row.operation),
            when=self._when(row.when, f"{path}.when"),
            senders=self._roles(row.senders, f"{path}.senders"),
            before=self._known_statuses(row.before, f"{path}.before"),
            after=row.after,
            interrupts=row.interrupts,
            context=LegalContext(row.context),
            recipients=self._recipients(row.recipients, f"{path}.recipients"),
            inscribes=tuple(
                Role(r)
                for r in resolve(row.inscribes, set(Role), "role", f"{path}.inscribes", self._findings)
            ),
            ends=self._roles(row.ends, f"{path}.ends"),
            binds=row.binds,
            basis=self._basis(row, path),
            certainty=row.certainty,
            note=row.note,
            allows=self._allows(row.allows, f"{path}.allows"),
        )
        if row.after is not None:
            is_known(row.after, {*self._statuses, RESUME}, "status", f"{path}.after", self._findings)
        self._check_contexts(step, path, pairs)
        operation = self._known.operations.get(step.operation)
        if operation is None or operation.pattern is not Pattern.NOTIFY or operation.follows_log:
            self._findings.add(f"{path}.operation", f'no notification "{row.operation}" that takes a step')
        else:
            self._check_told(step, operation, path)
        return step

    def _when(self, value: Mapping[str, str], path: str) -> tuple[FieldId, str] | None:
        if len(value) > 1:
            self._findings.add(path, "one field with one value")
        for field, wanted in value.items():
            values = self._known.contract.values_of(FieldId(field))
            if is_known(field, self._known.contract.fields, "field", path, self._findings):
                is_known(wanted, values, f"value of {field}", path, self._findings)
            return FieldId(field), wanted
        return None

    def _allows(self, value: Mapping[str, list[str]], path: str) -> dict[FieldId, frozenset[str]]:
        contract = self._known.contract
        return {
            FieldId(field): frozenset(
                resolve(
                    values,
                    contract.values_of(FieldId(field)),
                    f"value of {field}",
                    f"{path}.{field}",
                    self._findings,
                )
            )
            for field, values in value.items()
            if is_known(field, contract.fields, "field", path, self._findings)
        }

    def _recipients(self, value: Mapping[str, str], path: str) -> dict[Role, LegalContext]:
        return {
            Role(role): LegalContext(context)
            for role, context in value.items()
            if is_known(role, set(Role), "role", f"{path}.{role}", self._findings)
        }

    def _check_contexts(self, step: Step, path: str, pairs: Collection[tuple[str, str]]) -> None:
        """Every context exists, is one that the role may invoke, and is meant for such dossiers."""
        own = [(f"{path}.context", role, step.context) for role in sorted(step.senders)]
        others = [(f"{path}.recipients.{role}", role, name) for role, name in step.recipients.items()]
        for place, role, name in (*own, *others):
            context = self._known.words.contexts.get(name)
            if context is None:
                self._findings.add(place, f'no context "{name}"')
            elif role not in context.roles:
                self._findings.add(place, f'role {role} may not invoke context "{name}"')
            elif inapplicable := [
                f"{one}/{other}" for one, other in pairs if not context.applies(one, other)
            ]:
                self._findings.add(place, f'context "{name}" is not meant for {", ".join(inapplicable)}')

    def _check_told(self, step: Step, operation: Operation, path: str) -> None:
        """Every sender may write what the step depends on, and every recipient hears something from each sender."""
        for role in sorted(step.senders):
            if step.context not in operation.requesters.get(role, ()):
                self._findings.add(
                    f"{path}.senders", f'role {role} may not tell it in context "{step.context}"'
                )
                continue
            writes = self._known.matrix.writes(role, operation)
            if step.when is not None and step.when[0] not in writes:
                self._findings.add(f"{path}.when", f"role {role} may not write {step.when[0]}")
            for field in sorted(set(step.allows) - writes):
                self._findings.add(f"{path}.allows", f"role {role} may not write {field}")
            if step.binds and _SSIN not in writes:
                self._findings.add(f"{path}.binds", f"role {role} may not write {_SSIN}")
            self._check_routed(step, role, writes, path)
        for sender, role, context in step.tellings():
            writes = self._known.matrix.writes(sender, operation)
            if writes.isdisjoint(self._known.matrix.receives(role, context)):
                self._findings.add(
                    f"{path}.recipients.{role}", f"hears nothing of what role {sender} may tell"
                )

    def _check_routed(self, step: Step, sender: Role, writes: frozenset[FieldId], path: str) -> None:
        """A field that names the authority is one that the sender may write."""
        for role in step.inscribes:
            field = self._known.routing.fields.get(role)
            if role in _ROUTED and field is None:
                self._findings.add(f"{path}.inscribes", f"no field names the authority of role {role}")
            elif field is not None and field not in writes:
                self._findings.add(
                    f"{path}.inscribes", f"role {sender} may not write {field}, which names {role}"
                )

    def _known_statuses(self, names: list[str], path: str) -> frozenset[str]:
        return frozenset(resolve(names, self._statuses, "status", path, self._findings))

    def _roles(self, names: list[str], path: str) -> frozenset[Role]:
        return frozenset(Role(name) for name in resolve(names, set(Role), "role", path, self._findings))

    def _basis(self, row: CourseRow | StepRow, path: str) -> tuple[str, ...]:
        return resolve(row.basis, self._known.words.bases, "basis", f"{path}.basis", self._findings)


def _group(field: FieldId) -> str:
    return field.partition(".")[0]
