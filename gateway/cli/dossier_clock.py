"""`gateway dossier clock` and `scope`: how long dossiers may still take, and who took part in one at a past moment.

Both are for the operator and the officer. They read the directory's own records and decide nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import typer

from gateway.adapters.store_directory import Directory
from gateway.agreement.load import load_agreement
from gateway.cli.dossier_directory import opened
from gateway.cli.dossier_person import stop
from gateway.cli.lines import table, write
from gateway.cli.log_place import AsJson, Settled, StoreFile, Unverified, explained, find
from gateway.cli.typed_time import time_option
from gateway.model import DossierNumber, DossierScope, Inscription, Passage
from gateway.policy.days import day_of
from gateway.policy.deadlines import Running, clocks_of
from gateway.reading import contract_files

Number = Annotated[str, typer.Argument(help="Dossier number, WIB-YYYY-NNNNNNN-CC.")]
At = Annotated[
    datetime | None,
    time_option("--at", "As it was at this time (UTC); now when left out."),
]
_HEADINGS = ("Dossier", "Term", "State", "Left", "Due", "Days", "Elapsed", "Suspended", "Since", "Basis")


@dataclass(frozen=True, slots=True)
class _Clock:
    """A clock and the dossier that it belongs to."""

    dossier: DossierNumber
    running: Running


def clock(
    number: Annotated[
        str | None, typer.Argument(help="Dossier number; every dossier of the directory when left out.")
    ] = None,
    *,
    config: Settled,
    ended: Annotated[
        bool, typer.Option("--ended", help="Show clocks that ended too, and how long they took.")
    ] = False,
    at: At = None,
    as_json: AsJson = False,
) -> None:
    """Show the terms that run, those that end first at the top: days left, and the rule behind each."""
    now = at or datetime.now(UTC)
    with explained():
        place = find(None, config)
        assert place.register is not None  # with settings there are both
        assert place.contracts is not None
        register, agreement = place.register, load_agreement(contract_files(place.contracts))
    with opened(place.store, writes=False) as directory:
        scopes = list(directory.all()) if number is None else [_known(directory, number)]
        if number is not None and agreement.course(scopes[0].permit_type, scopes[0].procedure) is None:
            stop(
                "DOS017",
                f"The agreement has no course for {scopes[0].permit_type} {scopes[0].procedure}.",
                "See those that it has: gateway agreement show --courses",
            )
        found = [
            _Clock(scope.dossier, one)
            for scope in scopes
            for one in clocks_of(scope, directory.history(scope.dossier), agreement, register, now)
            if ended or one.ended is None
        ]
    found.sort(key=lambda one: (one.running.ended is not None, one.running.left, one.dossier))
    if as_json:
        write(json.dumps([_described(one) for one in found], indent=2))
    elif not found:
        write("No term runs." if number is None else f"No term runs for {number}.")
    else:
        table(_HEADINGS, [_row(one) for one in found])


def scope(
    number: Number,
    *,
    at: At = None,
    store: StoreFile = None,
    config: Unverified = None,
    as_json: AsJson = False,
) -> None:
    """Show which authority had which part in a dossier at a moment, and the status that the dossier had then."""
    now = at or datetime.now(UTC)
    if at is not None and now > datetime.now(UTC):
        stop("DOS018", f"{now.isoformat()} has not come yet.", "Ask about a time that has passed.")
    with explained():
        place = find(store, config)
    with opened(place.store, writes=False) as directory:
        known = _known(directory, number)
        passed = [one for one in directory.history(known.dossier) if one.since <= now]
    if not passed:
        stop("DOS016", f"{number} was not in the directory at {now.isoformat()}.", "Ask about a later time.")
    status = passed[-1]
    parts = [one for one in known.inscriptions if one.since <= now and (one.until is None or now < one.until)]
    if as_json:
        write(json.dumps(_scope_described(known, now, status, parts), indent=2))
        return
    write(f"{known.dossier} at {now.isoformat()}: {status.status} since {status.since.isoformat()}")
    rows = [(one.authority, one.role.value, one.since.isoformat(), _time(one.until)) for one in parts]
    table(("Authority", "Role", "Since", "Until"), rows)


def _known(directory: Directory, number: str) -> DossierScope:
    found = directory.get(DossierNumber(number))
    if found is None:
        stop("DOS001", f"{number} is not in the directory.", "Enter it with: gateway dossier put")
    return found


def _state(one: Running) -> str:
    """In words: state is never told by a sign alone."""
    if one.ended is not None:
        return "ended late" if one.overdue else "ended"
    if one.overdue:
        return "overdue"
    return "stands still" if one.stands_still else "runs"


def _row(clock: _Clock) -> tuple[str, ...]:
    one, rule = clock.running, clock.running.rule
    return (
        *(clock.dossier, one.name, _state(one), str(one.left), _due(one)),
        f"{rule.days} {'working' if rule.working else 'calendar'}",
        *(str(one.elapsed), str(one.suspended), day_of(one.started).isoformat()),
        f"{','.join(rule.basis)} ({rule.certainty})",
    )


def _due(one: Running) -> str:
    moved = _moved_from(one)
    return one.due.isoformat() + ("" if moved is None else f" (moved from {moved.isoformat()})")


def _moved_from(one: Running) -> date | None:
    """The day on which the term would end if that were a working day; None when it is one."""
    last = day_of(one.started) + timedelta(days=one.rule.days + one.suspended)
    return None if one.rule.working or last >= one.due else last


def _described(clock: _Clock) -> dict[str, object]:
    one, rule, moved = clock.running, clock.running.rule, _moved_from(clock.running)
    return {
        "dossier": clock.dossier,
        "name": one.name,
        "state": _state(one),
        "started": one.started.isoformat(),
        "ended": _time(one.ended) or None,
        "due": one.due.isoformat(),
        "moved_from": None if moved is None else moved.isoformat(),
        "left": one.left,
        "overdue": one.overdue,
        "elapsed": one.elapsed,
        "suspended": one.suspended,
        "days": rule.days,
        "working": rule.working,
        "basis": list(rule.basis),
        "certainty": rule.certainty,
        "note": rule.note,
    }


def _scope_described(
    scope: DossierScope, now: datetime, status: Passage, parts: Sequence[Inscription]
) -> dict[str, object]:
    return {
        "dossier": scope.dossier,
        "at": now.isoformat(),
        "status": status.status,
        "status_since": status.since.isoformat(),
        "inscriptions": [
            {
                "authority": one.authority,
                "role": one.role.value,
                "since": one.since.isoformat(),
                "until": _time(one.until) or None,
            }
            for one in parts
        ],
    }


def _time(time: datetime | None) -> str:
    return "" if time is None else time.isoformat()
