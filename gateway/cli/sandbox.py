"""`gateway sandbox`: the world of the demo, kept running, with what is needed to ask something oneself."""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from lxml import etree
from rich.console import Console
from rich.text import Text

from gateway.cli.demo import Contracts, stopped_by_sigterm
from gateway.cli.program import command
from gateway.model import Authority, AuthorityId, DossierNumber
from gateway.sandbox.files import (
    FIRST,
    MOVED,
    OTHER_WORKER,
    RENEWAL,
    WORKER,
    read_files,
    read_payload,
    told,
)

if TYPE_CHECKING:
    from gateway.sandbox.world import World

DEFAULT = Path("var/sandbox")
Directory = Annotated[
    Path, typer.Option("--world", help="Directory of the sandbox; made when it is not there.")
]
# One question for each authority that plays a part in a dossier; the others say hello.
_EXAMPLES = {
    "PLATFORM": ["consultDossier", "--context", "WIB:SUBJECT_ACCESS", "--dossier", FIRST, "--source", "OE"],
    "BRUSSELS": ["consultDossier", "--context", "WIB:WORK_DECISION", "--dossier", FIRST],
    "WALLONIA": [
        "consultSocialSecurityStatus", "--context", "WIB:RENEWAL", "--dossier", RENEWAL, "--ssin", "85650304271",
    ],
    "IMMIGRATION_OFFICE": ["consultDossier", "--context", "WIB:RESIDENCE_DECISION", "--dossier", FIRST, "--source", "REG"],
    "POST_RABAT": ["consultDossier", "--context", "WIB:VISA_ISSUE", "--dossier", FIRST, "--source", "OE"],
    "MUN_BRUSSELS": ["consultDossier", "--context", "WIB:MUNICIPAL_REGISTRATION", "--dossier", FIRST, "--source", "CONS"],
    "MUN_LIEGE": ["consultStatus", "--context", "WIB:RENEWAL", "--dossier", RENEWAL],
    "NSSO": ["consultDossier", "--context", "WIB:CARD_ISSUE", "--dossier", FIRST, "--source", "MUN"],
}  # fmt: skip
_REGISTRATION = "WIB:MUNICIPAL_REGISTRATION"
_CONTEXTS = {"REG": "WIB:ADMISSIBILITY", "CONS": "WIB:VISA_ISSUE", "MUN": _REGISTRATION}


def sandbox(
    directory: Directory = DEFAULT,
    contracts: Contracts = None,
    as_json: Annotated[bool, typer.Option("--json", help="When all runs, print one JSON object.")] = False,
) -> None:
    """Run hub and back offices until Ctrl-C; print URLs, certificates and an example call for each authority."""
    from gateway.sandbox.world import World  # here: it loads zeep and xmlsec

    directory = directory.absolute()  # what is printed must work from anywhere
    with suppress(KeyboardInterrupt), stopped_by_sigterm(), World(directory, contracts) as world:
        facts = _facts(world, directory, _telling(directory, *_fill(world)))
        if as_json:
            typer.echo(json.dumps(facts))
        else:
            _print(facts)
        world.hub.wait()


def _fill(world: World) -> tuple[DossierNumber, DossierNumber]:
    """Dossiers at the end of their way, so that every authority can see its part; kept from an earlier run.

    Returns the number of a dossier that nobody has applied for, and of one whose worker may move: new ones, so
    that the examples work at every start.
    """
    first = ["PLATFORM", "BRUSSELS", "IMMIGRATION_OFFICE", "POST_RABAT", "MUN_BRUSSELS", "NSSO"]
    world.records.enter(FIRST, "FIRST", "CARD_ISSUED", WORKER, first)
    second = ["PLATFORM", "WALLONIA", "IMMIGRATION_OFFICE", "MUN_LIEGE", "NSSO"]
    world.records.enter(RENEWAL, "RENEWAL", "CARD_ISSUED", OTHER_WORKER, second)
    new, moving = world.records.unused(2)
    world.records.enter(moving, "FIRST", "CARD_ISSUED", WORKER, first)
    return new, moving


def _telling(directory: Path, new: DossierNumber, moving: DossierNumber) -> list[dict[str, str]]:
    """Notifications to try, each with its payload as a file, and what to look at then."""
    folder, config = directory / "payloads", directory / "gateway.toml"
    folder.mkdir(exist_ok=True)
    application = told(read_files(AuthorityId("PLATFORM"))[FIRST], "submitApplication")
    for number in application.iter("{*}dossierNumber"):
        number.text = new
    admitted = told(read_files(AuthorityId("BRUSSELS"))[FIRST], "notifyAdmissibility")
    event = told(read_files(AuthorityId("NSSO"))[FIRST], "notifySocialSecurityEvent")
    clock = command("dossier", "clock", new, "--config", config)
    logged = command("log", "list", "--config", config, "--kind", "delivery")
    mailbox = command(
        "call", "listMessages", "--as", "MUN_EUPEN", "--context", _REGISTRATION, "--world", directory
    )
    examples = []
    for who, operation, context, dossier, payload, then in (  # the second of a dossier follows the first
        ("NSSO", "notifySocialSecurityEvent", "WIB:WORK_DECISION", FIRST, event, logged),
        ("PLATFORM", "submitApplication", "WIB:ADMISSIBILITY", new, application, clock),
        ("BRUSSELS", "notifyAdmissibility", "WIB:ADMISSIBILITY", new, admitted, clock),
        ("MUN_BRUSSELS", "notifyRegistration", _REGISTRATION, moving, read_payload(MOVED), mailbox),
    ):
        path = folder / f"{operation}.xml"
        path.write_bytes(etree.tostring(payload, pretty_print=True, xml_declaration=True, encoding="UTF-8"))
        options = ["--as", who, "--context", context, "--dossier", dossier, "--payload", str(path)]
        call = command("call", operation, *options, "--world", directory)
        about = {"operation": operation, "as": who, "dossier": dossier, "payload": str(path)}
        examples.append({**about, "call": call, "then": then})
    return examples


def _facts(world: World, directory: Path, telling: list[dict[str, str]]) -> dict[str, Any]:
    place = world.place
    return {
        **world.urls,
        "world": str(directory),
        "config": str(directory / "gateway.toml"),
        "anchor": str(directory / "pki" / "root.crt.pem"),
        "reload": shlex.join(["kill", "-HUP", str(world.hub.process.pid)]),
        "log": str(place.hub_log),
        "export": command(
            "log", "export", "--config", directory / "gateway.toml", "--output", directory / "site"
        ),
        "dossiers": [FIRST, RENEWAL],
        "notifications": telling,
        "authorities": [_authority(one, world, directory) for one in place.register.authorities],
    }


def _authority(one: Authority, world: World, directory: Path) -> dict[str, Any]:
    folder, suite = directory / "pki" / one.id, world.place.hub_certificate(one.suite).name
    facts = {
        "id": one.id,
        "name": one.name,
        "role": str(one.role),
        "cbe": one.enterprise.cbe,
        "unit": one.enterprise.unit,
        "endpoint": one.endpoint,  # None: it has a mailbox
        "tls_certificate": str(folder / "tls.crt.pem"),
        "tls_key": str(folder / "tls.key.pem"),
        "sign_certificate": str(folder / "sign.crt.pem"),
        "sign_key": str(folder / "sign.key.pem"),
        "hub_certificate": str(directory / "pki" / "HUB" / suite),
    }
    return {**facts, "call": _call(one, directory), "plain": _plain(facts, world.urls["soap"], directory)}


def _call(one: Authority, directory: Path) -> str:
    hello = ["sendTestMessage", "--context", _CONTEXTS.get(str(one.role), ""), "--echo", "hello"]
    operation, *options = _EXAMPLES.get(one.id, hello)
    return command("call", operation, "--as", one.id, "--world", directory, *options)


def _plain(facts: dict[str, Any], url: str, directory: Path) -> str:
    """Without a program of ours: the authority's own WSDL, for any SOAP tool to start from."""
    anchor = str(directory / "pki" / "root.crt.pem")
    keys = ["--cacert", anchor, "--cert", facts["tls_certificate"], "--key", facts["tls_key"]]
    return shlex.join(["curl", *keys, f"{url}?singleWsdl"])


def _print(facts: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"The hub serves signed SOAP at {facts['soap']}; metrics and health at {facts['operations']}."
    )
    console.print(
        Text(
            f"Settings {facts['config']}; trust anchor {facts['anchor']}; dossiers {', '.join(facts['dossiers'])}."
        )
    )
    console.print(Text(f"Have the hub look at its files: {facts['reload']}; its log: {facts['log']}"))
    for one in facts["authorities"]:
        console.print(
            f"\n[bold]{one['id']}[/bold]  {one['name']}, role {one['role']}, {one['cbe']} {one['unit'] or ''}"
        )
        for line in (
            f"back office  {one['endpoint'] or 'none: what it is told waits in its mailbox (listMessages)'}",
            f"certificates {one['tls_certificate']}, {one['sign_certificate']}; pin {one['hub_certificate']}",
            one["call"],
            one["plain"],
        ):
            console.print(Text(f"  {line}"))
    console.print("\n[bold]Notifications[/bold]  what is told reaches every back office at once; then look:")
    for one in facts["notifications"]:
        console.print(Text(f"  {one['call']}\n    then  {one['then']}"))
    console.print(Text(f"\nThe officer's view: {command('log', 'list', '--config', facts['config'])}"))
    console.print(Text(f"The exchange log as files, for any verifier of C2SP tlog-tiles: {facts['export']}"))
    console.print("Ctrl-C ends it all; certificates and exchange log stay.")
