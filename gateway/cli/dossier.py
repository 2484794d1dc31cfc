"""`gateway dossier`: the dossier directory, by hand. Works beside a running hub, which sees changes at once.

In operation the directory follows status events; these commands are for setting up and for repair.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

from gateway.adapters.store_directory import Directory
from gateway.agreement.identifiers import check_dossier
from gateway.cli.dossier_person import digest_under, stop, typed
from gateway.cli.log_place import AsJson, Config, StoreFile, explained, find
from gateway.model import AuthorityId, DossierNumber, DossierScope, Inscription, Role
from gateway.refusal import Refusal

app = typer.Typer(no_args_is_help=True)

Number = Annotated[str, typer.Argument(help="Dossier number, WIB-YYYY-NNNNNNN-CC.")]


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An inscription in a JSON file."""

    authority: str
    role: Role
    since: datetime | None = None  # from now on when left out
    until: datetime | None = None


class _Dossier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A dossier in a JSON file: what `show --json` prints."""

    dossier: str
    permit_type: str
    procedure: str
    status: str
    status_since: datetime | None = None  # now when left out
    inscriptions: list[_Line] = []
    ssin: str | None = None  # never printed: the directory has no number, only a digest of it
    person: bool | None = None  # with no number: true or left out keeps whom it is bound to, false frees it


@app.command()
def put(
    number: Annotated[str | None, typer.Argument(help="Dossier number, unless --file is given.")] = None,
    *,
    permit_type: Annotated[str, typer.Option("--permit-type", help="E.g. SINGLE_PERMIT.")] = "",
    procedure: Annotated[str, typer.Option("--procedure", help="E.g. FIRST_APPLICATION.")] = "",
    status: Annotated[str, typer.Option("--status", help="Machine state, e.g. SUBMITTED.")] = "",
    inscribe: Annotated[
        list[str] | None, typer.Option("--inscribe", help="AUTHORITY:ROLE; may be repeated.")
    ] = None,
    ssin: Annotated[
        str | None,
        typer.Option(
            "--ssin", help="INSZ of the worker, kept as a keyed digest only; - reads it from standard input."
        ),
    ] = None,
    directory_key: Annotated[
        Path | None, typer.Option("--directory-key", help="Key of that digest, unless --config names it.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="JSON file: one dossier, or a list.")] = None,
    store: StoreFile = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Enter dossiers into the directory, replacing what it knew of them; without --ssin the person stays."""
    if file is not None and ssin is None:
        described = _parse(file)
    elif number and permit_type and procedure and status:
        lines = [_inscription(one) for one in inscribe or []]
        described = [_Dossier(number, permit_type, procedure, status, None, lines, typed(ssin))]
    else:
        stop(
            "DOS002",
            "The dossier is not described.",
            "Give its number, --permit-type, --procedure and --status, or --file alone.",
        )
    now = datetime.now(UTC)
    digest = digest_under(config, directory_key) if any(one.ssin is not None for one in described) else None
    with _directory(store, config, writes=True) as directory:
        scopes = [_bound(one, _scope(one, now), directory, digest) for one in described]
        for scope in scopes:
            directory.put(scope)
    if as_json:
        typer.echo(json.dumps([_described(scope) for scope in scopes], indent=2))
    else:
        typer.echo("\n".join(scope.dossier for scope in scopes))


@app.command("list")
def list_dossiers(
    authority: Annotated[
        str | None, typer.Option("--authority", help="Only dossiers in which this authority is inscribed.")
    ] = None,
    store: StoreFile = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List the directory."""
    with _directory(store, config, writes=False) as directory:
        scopes = list(directory.all(None if authority is None else AuthorityId(authority)))
    if as_json:
        typer.echo(json.dumps([_described(scope) for scope in scopes], indent=2))
        return
    table = Table(
        Column("Dossier", no_wrap=True, min_width=19),
        "Permit type",
        "Procedure",
        "Status",
        "Person",
        "Inscribed",
    )
    for scope in scopes:
        inscribed = ", ".join(f"{one.authority}:{one.role.value}" for one in scope.inscriptions)
        table.add_row(
            scope.dossier, scope.permit_type, scope.procedure, scope.status, _told(scope), inscribed
        )
    Console().print(table)


@app.command()
def show(number: Number, store: StoreFile = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show what the directory knows of one dossier."""
    with _directory(store, config, writes=False) as directory:
        scope = directory.get(DossierNumber(number))
    if scope is None:
        stop("DOS001", f"{number} is not in the directory.", "Enter it with: gateway dossier put")
    described = _described(scope)
    if as_json:
        typer.echo(json.dumps(described, indent=2))
        return
    for name in ("dossier", "permit_type", "procedure", "status", "status_since"):
        typer.echo(f"{name:<14}{described[name]}")
    typer.echo(f"{'person':<14}{_told(scope)}")
    for one in scope.inscriptions:
        until = "" if one.until is None else f" until {one.until.isoformat()}"
        typer.echo(
            f"{'inscribed':<14}{one.authority} as {one.role.value} since {one.since.isoformat()}{until}"
        )


@contextmanager
def _directory(store: Path | None, config: Path | None, *, writes: bool) -> Iterator[Directory]:
    with explained(), closing(Directory.open(find(store, config).store, writes=writes)) as directory:
        yield directory


def _parse(path: Path) -> list[_Dossier]:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Dossier | list[_Dossier])
    except OSError as error:
        stop("DOS003", f"{path}: {error.strerror}.", "Name an existing file.")
    except msgspec.DecodeError as error:
        stop("DOS004", f"{path}: {error}.", "Take the form from: gateway dossier show --json")
    return found if isinstance(found, list) else [found]


def _inscription(text: str) -> _Line:
    authority, _, role = text.partition(":")
    if role not in set(Role) or not authority:
        stop("DOS005", f"--inscribe {text} is not AUTHORITY:ROLE.", f"Roles are {', '.join(Role)}.")
    return _Line(authority, Role(role))


def _scope(line: _Dossier, now: datetime) -> DossierScope:
    try:
        number = check_dossier(line.dossier)
    except Refusal:
        stop("DOS006", f"{line.dossier} is no dossier number.", "Check its form and its check digits.")
    inscriptions = tuple(
        Inscription(
            AuthorityId(one.authority), one.role, _aware(one.since or now), one.until and _aware(one.until)
        )
        for one in line.inscriptions
    )
    since = _aware(line.status_since or now)
    return DossierScope(number, line.permit_type, line.procedure, line.status, since, inscriptions)


def _bound(
    line: _Dossier, scope: DossierScope, directory: Directory, digest: Callable[[str], bytes] | None
) -> DossierScope:
    """The scope with its person: a new one, the one it has, or none."""
    if line.ssin is not None and digest is not None:
        return replace(scope, person=digest(line.ssin))
    before = directory.get(scope.dossier) if line.person is not False else None
    if line.person and (before is None or before.person is None):
        stop("DOS009", f"{scope.dossier} is bound to no person here.", "Give its ssin instead of person.")
    return replace(scope, person=None if before is None else before.person)


def _told(scope: DossierScope) -> str:
    return "not bound" if scope.person is None else "bound"


def _aware(time: datetime) -> datetime:
    """A time without a zone is UTC."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _described(scope: DossierScope) -> dict[str, object]:
    return {
        "dossier": scope.dossier,
        "permit_type": scope.permit_type,
        "procedure": scope.procedure,
        "status": scope.status,
        "status_since": scope.status_since.isoformat(),
        "person": scope.person is not None,
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
