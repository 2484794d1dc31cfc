"""`gateway dossier`: the dossier directory, by hand. Works beside a running hub, which sees changes at once.

In operation the directory follows status events; these commands are for setting up and for repair.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway.adapters.store_directory import Directory
from gateway.adapters.store_session import StorePlace
from gateway.cli import dossier_clock
from gateway.cli.dossier_change import Change, bound, changed, parse, scoped
from gateway.cli.dossier_directory import opened
from gateway.cli.dossier_person import digest_under, stop, typed
from gateway.cli.dossier_rules import Rules
from gateway.cli.lines import table, write
from gateway.cli.log_filter import known_authority
from gateway.cli.log_place import AsJson, StoreFile, Unverified, explained, find
from gateway.model import AuthorityId, DossierNumber, DossierScope
from gateway.policy.routing import is_open

app = typer.Typer(no_args_is_help=True)
app.command()(dossier_clock.clock)
app.command()(dossier_clock.scope)

Number = Annotated[str, typer.Argument(help="Dossier number, WIB-YYYY-NNNNNNN-CC.")]


@app.command()
def put(
    number: Annotated[
        str | None, typer.Argument(help="Dossier number, e.g. WIB-2026-0000001-59, unless --file is given.")
    ] = None,
    *,
    config: Annotated[
        Path,
        typer.Option(
            "--config", help="The hub's settings file: its store, agreement, register and directory key."
        ),
    ],
    permit_type: Annotated[
        str | None, typer.Option("--permit-type", help="E.g. SINGLE_PERMIT, BLUE_CARD, WORK_PERMIT.")
    ] = None,
    procedure: Annotated[str | None, typer.Option("--procedure", help="FIRST, RENEWAL or CHANGE.")] = None,
    status: Annotated[
        str | None,
        typer.Option("--status", help="State of the contract, e.g. SUBMITTED, UNDER_REVIEW, CLOSED."),
    ] = None,
    inscribe: Annotated[
        list[str] | None,
        typer.Option("--inscribe", help="AUTHORITY:ROLE to add, e.g. BRUSSELS:REG; may be repeated."),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option("--remove", help="AUTHORITY:ROLE whose inscription ends now; may be repeated."),
    ] = None,
    ssin: Annotated[
        str | None,
        typer.Option(
            "--ssin", help="INSZ of the worker, kept as a keyed digest only; - reads it from standard input."
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="JSON file: one dossier, or a list, whole; see show --json."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Enter a dossier into the directory, or change what is given of it; the rest stays.

    Everything is checked against the agreement and the register that the settings name.
    """
    typed_options = (number, permit_type, procedure, status, inscribe, remove, ssin)
    if file is not None and any(typed_options):
        stop("DOS010", "--file describes dossiers whole.", "Give it alone, with --config.")
    with explained():
        rules = Rules.of(config)
    person = typed(ssin)  # before the directory is held: standard input may take its time
    change = Change(number or "", permit_type, procedure, status, inscribe or [], remove or [], person)
    given = None if file is None else parse(file)
    with _directory(None, config, writes=True) as directory, directory.change():
        now = datetime.now(UTC)  # from here on nobody else enters anything
        described = [changed(change, directory, now)] if given is None else given
        digest = digest_under(config) if any(one.ssin is not None for one in described) else None
        scopes = [bound(one, scoped(one, directory, now), directory, digest) for one in described]
        for scope in scopes:
            rules.check(scope, directory.history(scope.dossier), now)
        for scope in scopes:
            directory.put(scope)
    if as_json:
        write(json.dumps([_described(scope) for scope in scopes], indent=2))
    else:
        write("\n".join(scope.dossier for scope in scopes))


@app.command("list")
def list_dossiers(
    authority: Annotated[
        str | None, typer.Option("--authority", help="Only dossiers in which this authority is inscribed.")
    ] = None,
    store: StoreFile = None,
    config: Unverified = None,
    as_json: AsJson = False,
) -> None:
    """List the directory."""
    with explained():
        place = find(store, config)
        named = None if authority is None else AuthorityId(known_authority("--authority", authority, place))
    with _directory(store, config, writes=False) as directory:
        scopes = list(directory.all(named))
    if as_json:
        write(json.dumps([_described(scope) for scope in scopes], indent=2))
        return
    rows = [
        (scope.dossier, scope.permit_type, scope.procedure, scope.status, _told(scope), _inscribed(scope))
        for scope in scopes
    ]
    table(("Dossier", "Permit type", "Procedure", "Status", "Person", "Inscribed"), rows)


def _inscribed(scope: DossierScope) -> str:
    now = datetime.now(UTC)
    return ",".join(
        f"{one.authority}:{one.role.value}{'' if is_open(one, now) else '(ended)'}"
        for one in scope.inscriptions
    )


@app.command()
def show(number: Number, store: StoreFile = None, config: Unverified = None, as_json: AsJson = False) -> None:
    """Show what the directory knows of one dossier."""
    with _directory(store, config, writes=False) as directory:
        scope = directory.get(DossierNumber(number))
    if scope is None:
        stop("DOS001", f"{number} is not in the directory.", "Enter it with: gateway dossier put")
    described = _described(scope)
    if as_json:
        write(json.dumps(described, indent=2))
        return
    for name in ("dossier", "permit_type", "procedure", "status", "status_since"):
        write(f"{name:<14}{described[name]}")
    if scope.resumes is not None:
        write(f"{'resumes':<14}{scope.resumes}")
    write(f"{'person':<14}{_told(scope)}")
    for one in scope.inscriptions:
        until = "" if one.until is None else f" until {one.until.isoformat()}"
        write(f"{'inscribed':<14}{one.authority} as {one.role.value} since {one.since.isoformat()}{until}")


@contextmanager
def _directory(store: StorePlace | None, config: Path | None, *, writes: bool) -> Iterator[Directory]:
    with explained():
        place = find(store, config)
    with opened(place.store, writes=writes) as directory:
        yield directory


def _told(scope: DossierScope) -> str:
    return "not bound" if scope.person is None else "bound"


def _described(scope: DossierScope) -> dict[str, object]:
    return {
        "dossier": scope.dossier,
        "permit_type": scope.permit_type,
        "procedure": scope.procedure,
        "status": scope.status,
        "status_since": scope.status_since.isoformat(),
        "person": scope.person is not None,
        "resumes": scope.resumes,
        "inscriptions": [
            {
                "authority": one.authority,
                "role": one.role.value,
                "since": one.since.isoformat(),
                "until": None if one.until is None else one.until.isoformat(),
            }
            for one in scope.inscriptions
        ],
    }
