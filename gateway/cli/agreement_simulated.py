"""What `gateway agreement simulate` found: as tables for people, as values for --json."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from gateway.agreement.load import Agreement
from gateway.cli.lines import table, write
from gateway.policy.simulated import FieldChange, Outcome, Tally, Verdict
from gateway.policy.simulation import Simulation


@dataclass(frozen=True, slots=True)
class Report:
    """A simulation that is over."""

    draft: Agreement
    simulation: Simulation
    entries: int  # that were taken
    minimum: int  # index: entries below it were pruned
    since: datetime | None
    until: datetime | None


def print_report(report: Report) -> None:
    """Decisions, then fields, then what cannot be known."""
    done, draft = report.simulation, report.draft
    write(f"draft      {draft.revision}  {draft.id} number {draft.number}, from {draft.valid_from}")
    write(f"entries    {report.entries}{_period(report)}")
    if report.minimum:
        write(f"pruned     {report.minimum} earlier entries are no longer kept")
    write(f"decisions  {done.decisions}, of which {done.unchanged} would be the same")
    write(f"refused for a reason that no agreement changes  {done.beside}")
    _print_outcomes(_outcomes(done))
    _print_fields(draft, _fields(done))
    if done.unknown:
        write("\nWhat the log cannot tell")
        for unknown, tally in sorted(done.unknown.items(), key=lambda one: one[0].name):
            write(f"  {unknown.name.lower()}: {tally.count}, {_examples(tally)}\n    {unknown.value}")


def described(report: Report) -> dict[str, object]:
    """The same, for machines."""
    done, draft = report.simulation, report.draft
    return {
        "draft": {"id": draft.id, "number": draft.number, "revision": draft.revision},
        "since": None if report.since is None else report.since.isoformat(),
        "until": None if report.until is None else report.until.isoformat(),
        "entries": report.entries,
        "pruned": report.minimum,
        "decisions": done.decisions,
        "unchanged": done.unchanged,
        "beside": done.beside,
        "outcomes": [_outcome(*one) for one in _outcomes(done)],
        "fields": [_field(draft, *one) for one in _fields(done)],
        "unknown": [
            {"what": unknown.name.lower(), "sentence": unknown.value, **_tally(tally)}
            for unknown, tally in sorted(done.unknown.items(), key=lambda one: one[0].name)
        ],
    }


def _period(report: Report) -> str:
    since = "" if report.since is None else f" from {report.since.isoformat()}"
    return since + ("" if report.until is None else f" until {report.until.isoformat()}")


def _print_outcomes(found: Iterable[tuple[Outcome, Tally]]) -> None:
    rows = [
        (
            one.verdict.value,
            one.authority,
            one.operation,
            one.legal_context,
            one.logged,
            " or ".join(one.draft) or "-",
            str(tally.count),
            _examples(tally),
        )
        for one, tally in found
    ]
    if rows:
        write("")
        table(
            ("Verdict", "Authority", "Operation", "Legal context", "Log", "Draft", "Count", "Entries"), rows
        )


def _print_fields(draft: Agreement, found: Iterable[tuple[FieldChange, Tally]]) -> None:
    rows = [
        (
            one.authority,
            one.legal_context,
            one.operation,
            "gains" if one.gained else "loses",
            one.field,
            _group(draft, one),
            one.reason or "-",
            str(tally.count),
            _examples(tally),
        )
        for one, tally in found
    ]
    if rows:
        write("")
        headings = (
            "Authority",
            "Legal context",
            "Operation",
            "",
            "Field",
            "Group",
            "Withheld for",
            "Count",
            "Entries",
        )
        table(headings, rows)


def _outcomes(done: Simulation) -> list[tuple[Outcome, Tally]]:
    """Refusals first; of one verdict the most frequent first."""
    order = list(Verdict)
    return sorted(done.outcomes.items(), key=lambda one: (order.index(one[0].verdict), -one[1].count))


def _fields(done: Simulation) -> list[tuple[FieldChange, Tally]]:
    return sorted(
        done.fields.items(),
        key=lambda one: (
            one[0].authority,
            one[0].legal_context,
            one[0].operation,
            one[0].gained,
            one[0].field,
        ),
    )


def _outcome(one: Outcome, tally: Tally) -> dict[str, object]:
    return {
        "verdict": one.verdict.value,
        "authority": one.authority,
        "operation": one.operation,
        "legal_context": one.legal_context,
        "logged": one.logged,
        "draft": list(one.draft),
        **_tally(tally),
    }


def _field(draft: Agreement, one: FieldChange, tally: Tally) -> dict[str, object]:
    return {
        "authority": one.authority,
        "legal_context": one.legal_context,
        "operation": one.operation,
        "change": "gains" if one.gained else "loses",
        "field": one.field,
        "group": _group(draft, one),
        "withheld_for": one.reason,
        **_tally(tally),
    }


def _group(draft: Agreement, one: FieldChange) -> str:
    group = draft.groups.get(one.field.partition(".")[0])
    return "-" if group is None else group.name


def _tally(tally: Tally) -> dict[str, object]:
    return {"count": tally.count, "examples": tally.examples}


def _examples(tally: Tally) -> str:
    more = ", …" if tally.count > len(tally.examples) else ""
    return ("entry " if tally.count == 1 else "entries ") + ", ".join(map(str, tally.examples)) + more
