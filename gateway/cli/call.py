"""`gateway call`: one signed question from the shell, as an authority of a sandbox."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from gateway.cli.sandbox import DEFAULT
from gateway.config import ConfigError
from gateway.sandbox.place import Place

if TYPE_CHECKING:
    from gateway.sandbox.client import Answered, ExchangeFault, Requester


def call(  # noqa: PLR0917 - one parameter for each option of the command
    operation: Annotated[
        str, typer.Argument(help="Operation of the served contract, such as consultDossier.")
    ],
    authority: Annotated[str, typer.Option("--as", help="Who asks: an id of the register.")],
    context: Annotated[str, typer.Option("--context", help="Legal context, such as WIB:WORK_DECISION.")],
    world: Annotated[Path, typer.Option("--world", help="Directory of a running sandbox.")] = DEFAULT,
    dossier: Annotated[str | None, typer.Option("--dossier", help="Dossier number.")] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Role whose file is meant: PLAT REG OE CONS MUN NSSO.")
    ] = None,
    ssin: Annotated[str | None, typer.Option("--ssin", help="INSZ of the worker.")] = None,
    period_start: Annotated[str | None, typer.Option("--period-start", help="First day, 2026-01-31.")] = None,
    period_end: Annotated[str | None, typer.Option("--period-end", help="Last day.")] = None,
    document_reference: Annotated[
        str | None, typer.Option("--document-reference", help="As the dossier names it.")
    ] = None,
    document_type: Annotated[str | None, typer.Option("--document-type", help="Such as CONTRACT.")] = None,
    document_sha256: Annotated[
        str | None, typer.Option("--document-sha256", help="As the dossier names it.")
    ] = None,
    echo: Annotated[str | None, typer.Option("--echo", help="sendTestMessage: what is to come back.")] = None,
    about: Annotated[
        str | None, typer.Option("--about", help="checkAccessControl: only this operation.")
    ] = None,
    ticket: Annotated[str, typer.Option("--ticket", help="Your own reference; by default a new UUID.")] = "",
    soap12: Annotated[bool, typer.Option("--soap12", help="Use SOAP 1.2 instead of 1.1.")] = False,
    save: Annotated[Path | None, typer.Option("--save", help="Write the signed reply to this file.")] = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="checkAccessControl: what is refused, too, and every field.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the reply as JSON.")] = False,
) -> None:
    """Ask one question and print the verified reply. Exit status 1 when it is refused."""
    from gateway.sandbox.client import (  # loads zeep
        ExchangeFault,
        NoReply,
        Requester,
        Unsendable,
        UntrustedReply,
    )

    criteria = {
        "dossierNumber": dossier,
        "operation": about,
        "source": source,
        "ssin": ssin,
        "periodStart": period_start,
        "periodEnd": period_end,
        "documentReference": document_reference,
        "documentType": document_type,
        "documentSha256": document_sha256,
        "echo": echo,
    }
    given = {name: value for name, value in criteria.items() if value is not None}
    if save is not None:
        _require_writable(save)
    place = Place(world)
    try:
        requester = Requester(place, place.authority(authority), soap12=soap12)
        _require_known(operation, authority, requester)
        _require_criteria(operation, given, requester.criteria(operation))
        answered = requester.ask(operation, context, given, ticket)
    except ExchangeFault as fault:
        _refused(fault, as_json=as_json)
    except Unsendable as trouble:
        raise ConfigError(
            "SBX011",
            "Not sent: the values do not have the form of the contract.",
            "gateway call --help names every option.",
        ) from trouble
    except NoReply as trouble:
        url = place.settings.listen.public_url
        raise ConfigError(
            "SBX007", f"No usable answer from {url}: {trouble}.", "Is the sandbox of --world running?"
        ) from trouble
    except UntrustedReply as trouble:
        raise ConfigError(
            "SBX008", f"The reply is not the hub's: {trouble}.", "Do not use it; check --world."
        ) from trouble
    except OSError as error:  # a file of the sandbox's own
        raise ConfigError(
            "SBX006",
            f"{error.filename or place.directory}: the sandbox is not complete.",
            "Start it again, or name another directory.",
        ) from error
    if save is not None:
        _save(save, answered.message)
    if as_json:
        typer.echo(json.dumps(_plain(answered), indent=2, default=_wire))
    else:
        rights = operation == "checkAccessControl" and not show_all
        typer.echo("\n".join((*_head(answered), *(_rights if rights else _values_of)(answered))))


def _require_writable(path: Path) -> None:
    """Before anything is asked: an exchange is recorded and uses up its ticket."""
    place = path if path.exists() else path.parent
    if path.is_dir() or not path.parent.is_dir() or not os.access(place, os.W_OK):
        raise ConfigError(
            "SBX014", f"{path}: cannot be written.", "Name a file in a directory that is there."
        )


def _save(path: Path, message: bytes) -> None:
    try:
        path.write_bytes(message)
    except OSError as error:
        raise ConfigError("SBX014", f"{path}: {error.strerror}.", "The exchange took place.") from error


def _require_criteria(operation: str, given: Mapping[str, str], known: Mapping[str, bool]) -> None:
    takes = ", ".join(_option(name) for name in known)
    for name in given:
        if name not in known:
            raise ConfigError("SBX011", f"{operation} has no {_option(name)}.", f"It takes {takes}.")
    missing = [_option(name) for name, needed in known.items() if needed and name not in given]
    if missing:
        raise ConfigError("SBX011", f"{operation} needs {', '.join(missing)}.", f"It takes {takes}.")


def _option(criterion: str) -> str:
    """The option of a criterion: dossierNumber → --dossier."""
    own = {"dossierNumber": "--dossier", "operation": "--about"}
    return own.get(criterion) or "--" + re.sub(r"(?=[A-Z])", "-", criterion).lower()


def _require_known(operation: str, authority: str, requester: Requester) -> None:
    if operation not in requester.operations:
        known = ", ".join(requester.operations)
        raise ConfigError(
            "SBX009", f"{operation} is not in the contract served to {authority}.", f"Use one of {known}."
        )


def _refused(fault: ExchangeFault, *, as_json: bool) -> NoReturn:
    if as_json:
        names = ("code", "label", "sentence", "remedy", "incident")
        typer.echo(json.dumps({"fault": {name: getattr(fault, name) for name in names}}, indent=2))
    remedy = f" {fault.remedy}" if fault.remedy else ""
    incident = f" Incident {fault.incident}." if fault.incident else ""
    typer.echo(f"{fault}{remedy}{incident}", err=True)
    raise typer.Exit(1)


def _plain(answered: Answered) -> dict[str, Any]:
    facts = asdict(answered)
    del facts["message"]
    return facts


def _wire(value: object) -> str:
    """As on the wire: what JSON has no word for, and what Python writes otherwise."""
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case bool():
            return str(value).lower()
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case _:
            return str(value)


def _head(answered: Answered) -> Iterator[str]:
    yield f"{answered.outcome}  {answered.code} {answered.description}"
    if answered.missing:
        yield f"missing  {', '.join(answered.missing)}"
    yield f"exchange {answered.exchange}, log index {answered.log_index}"


def _rights(answered: Answered) -> Iterator[str]:
    """What is permitted: each operation with its legal contexts, and its fields when they were asked for."""
    payload = answered.payload
    rows = payload.get("access") or [] if isinstance(payload, dict) else []
    permitted: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["permitted"]:
            permitted.setdefault(row["operation"], []).append(row)
    if not permitted:
        yield "  nothing is permitted"
    width = max(map(len, permitted), default=0)
    for operation, granted in permitted.items():
        if not any(row.get("field") for row in granted):
            yield f"  {operation:<{width}}  {' '.join(row['legalContext'] for row in granted)}"
            continue
        for row in granted:
            groups = sorted({field.partition(".")[0] for field in row.get("field") or ()})
            yield f"  {operation:<{width}}  {row['legalContext']}: {' '.join(groups)}"
    refused = sum(not row["permitted"] for row in rows)
    yield f"{refused} combinations are refused; --all shows them, and every field."


def _values_of(answered: Answered) -> Iterator[str]:
    yield from _values(answered.element, answered.payload)
    if answered.filtered:
        yield "withheld from you by the agreement, whether there is anything or not:"
        yield from (f"  {path}" for path in answered.filtered)


def _values(path: str, value: object) -> Iterator[str]:
    """`path  value` for every text of the payload."""
    match value:
        case None:
            return
        case dict():
            for name, inner in value.items():
                yield from _values(f"{path}/{name}", inner)
        case list():
            for number, inner in enumerate(value, 1):
                yield from _values(f"{path}[{number}]", inner)
        case bytes():
            yield f"  {path}  {len(value)} bytes"
        case _:
            yield f"  {path}  {_wire(value)}"
