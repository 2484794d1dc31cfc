"""`gateway agreement diff`: who gains and who loses what between two revisions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from textwrap import wrap
from typing import Annotated, Final

import typer

from gateway.agreement.difference import Change, Difference, compare, withheld
from gateway.agreement.load import Agreement
from gateway.agreement.section import Place, Section
from gateway.cli.agreement_named import named
from gateway.cli.lines import write
from gateway.cli.log_place import AsJson, StoreFile, Unverified, explained
from gateway.model import FieldId

TROUBLE: Final = 2  # exit status; 1 says that the revisions differ
_WIDTH: Final = 100
_Revision = Annotated[
    str,
    typer.Argument(
        help="Directory of contracts; or with --config or --store: in-force, or a revision's hash."
    ),
]


def diff(
    old: _Revision,
    new: _Revision,
    *,
    store: StoreFile = None,
    config: Unverified = None,
    as_json: AsJson = False,
) -> None:
    """Compare two revisions of the agreement: rights, courses, deadlines, schema, legal bases.

    Exit status 0 when both are the same revision, 1 when they differ, 2 for trouble.
    """
    with explained(TROUBLE):
        before, after = named(old, store, config), named(new, store, config)
    found = compare(before, after)
    if as_json:
        write(json.dumps(_described(before, after, found), indent=2))
    else:
        write("\n".join(_lines(before, after, found)))
    if not found.same:
        raise typer.Exit(1)


def _lines(before: Agreement, after: Agreement, found: Difference) -> Iterator[str]:
    yield f"old  {_head(before)}"
    yield f"new  {_head(after)}"
    for section, changes in groupby(found.changes, key=lambda one: one.place.section):
        yield f"\n{section}"
        if section is Section.RECEIVES:
            yield from _fields(list(changes), before, after)
        else:
            yield from _terms(changes, after)
    yield ""
    if found.same:
        yield "The same revision."
    elif found.changes:
        yield f"{len(found.changes)} places differ, in {', '.join(found.files)}"
    else:
        yield f"No term differs; other words or another layout in {', '.join(found.files)}"


def _head(agreement: Agreement) -> str:
    return f"{agreement.revision}  {agreement.id} number {agreement.number}, from {agreement.valid_from}"


def _terms(changes: Iterable[Change], after: Agreement) -> Iterator[str]:
    for subject, same in groupby(changes, key=lambda one: _subject(one.place, after)):
        yield f"  {subject}" if subject else "  the agreement"
        for one in same:
            signed = [f"+ {word}" for word in sorted(one.gains)] + [f"- {word}" for word in sorted(one.loses)]
            yield from _folded(f"{one.place.what}:", signed, indent=6)


def _fields(changes: Sequence[Change], before: Agreement, after: Agreement) -> Iterator[str]:
    """What is shown alike in several operations is told once, with all of them."""
    alike: dict[tuple[str, str, tuple[str, ...], tuple[str, ...]], list[Place]] = {}
    for one in changes:
        place = one.place
        gains = tuple(_named(field, after) for field in sorted(one.gains))
        why = {field: withheld(after, place, FieldId(field)) for field in sorted(one.loses)}
        loses = tuple(_named(field, before, reason) for field, reason in why.items())
        alike.setdefault((place.role or "", place.context or "", gains, loses), []).append(place)
    for (role, context, gains, loses), places in alike.items():
        yield f"  {role} in {context}"
        yield from _folded("gains", gains, indent=6)
        yield from _folded("loses", loses, indent=6)
        yield from _folded("where", [_where(one) for one in places], indent=6)


def _named(field: str, agreement: Agreement, reason: str | None = None) -> str:
    code, _, name = field.partition(".")
    group = agreement.groups[code].name if code in agreement.groups else code
    return f"{code}.{name} ({group}{f'; {reason}' if reason else ''})"


def _where(place: Place) -> str:
    return f"{place.operation} of {place.source}" if place.source else str(place.operation)


def _subject(place: Place, after: Agreement) -> str:
    group = after.groups.get(place.name)
    name = place.name if group is None else f"{place.name} {group.name}"
    parts = (place.role, place.operation, place.context, name or None)
    source = f" of {place.source}" if place.source else ""
    return ", ".join(str(one) for one in parts if one is not None) + source


def _folded(what: str, words: Sequence[str], indent: int) -> list[str]:
    """No line for no word."""
    if not words:
        return []
    text, below = f"{what} {', '.join(words)}", " " * (indent + 4)
    return wrap(
        text,
        _WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=below,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _described(before: Agreement, after: Agreement, found: Difference) -> dict[str, object]:
    return {
        "same": found.same,
        "old": _revision(before),
        "new": _revision(after),
        "files": list(found.files),
        "changes": [_change(one, before, after) for one in found.changes],
    }


def _revision(agreement: Agreement) -> dict[str, object]:
    return {
        "id": agreement.id,
        "number": agreement.number,
        "valid_from": agreement.valid_from.isoformat(),
        "revision": agreement.revision,
    }


def _change(one: Change, before: Agreement, after: Agreement) -> dict[str, object]:
    place = one.place
    told: dict[str, object] = {
        "section": place.section.value,
        "what": place.what,
        "role": place.role,
        "context": place.context,
        "operation": place.operation,
        "source": place.source,
        "name": place.name or None,
        "gains": sorted(one.gains),
        "loses": sorted(one.loses),
    }
    if place.section is Section.RECEIVES:
        told["fields"] = [
            _field(FieldId(field), place, before, after) for field in sorted(one.gains | one.loses)
        ]
    return told


def _field(field: FieldId, place: Place, before: Agreement, after: Agreement) -> dict[str, object]:
    """A field that is released under one of the two; the reason for which the other withholds it, if it has one."""
    code = field.partition(".")[0]
    group = after.groups.get(code) or before.groups[code]
    return {
        "field": field,
        "group": group.name,
        "withheld_before": withheld(before, place, field),
        "withheld_after": withheld(after, place, field),
    }
