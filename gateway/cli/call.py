"""`gateway call`: one signed question from the shell, as an authority of a sandbox."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import asdict
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
    place = Place(world)
    try:
        requester = Requester(place, place.authority(authority), soap12=soap12)
        _require_known(operation, authority, requester)
        answered = requester.ask(operation, context, given, ticket)
    except ExchangeFault as fault:
        _refused(fault, as_json=as_json)
    except Unsendable as trouble:
        raise ConfigError(
            "SBX011", f"Not sent: {trouble}.", "gateway call --help names every option."
        ) from trouble
    except NoReply as trouble:
        url = place.settings.listen.public_url
        raise ConfigError(
            "SBX007", f"No usable answer from {url}: {trouble}.", "Is the sandbox running?"
        ) from trouble
    except UntrustedReply as trouble:
        raise ConfigError(
            "SBX008", f"The reply is not the hub's: {trouble}.", "Do not use it; check --world."
        ) from trouble
    if save is not None:
        save.write_bytes(answered.message)
    typer.echo(
        json.dumps(_plain(answered), indent=2, default=_text) if as_json else "\n".join(_lines(answered))
    )


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


def _text(value: object) -> str:
    """What JSON has no word for: dates, decimals, documents."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _lines(answered: Answered) -> Iterator[str]:
    yield f"{answered.outcome}  {answered.code} {answered.description}"
    if answered.missing:
        yield f"missing  {', '.join(answered.missing)}"
    yield f"exchange {answered.exchange}, log index {answered.log_index}"
    yield from _values("", answered.payload)
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
                yield from _values(f"{path}/{name}" if path else str(name), inner)
        case list():
            for number, inner in enumerate(value, 1):
                yield from _values(f"{path}[{number}]", inner)
        case bytes():
            yield f"  {path}  {len(value)} bytes"
        case _:
            yield f"  {path or 'reply'}  {value}"
