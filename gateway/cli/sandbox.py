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
from gateway.model import Authority, AuthorityId
from gateway.sandbox.files import FIRST, OTHER_WORKER, RENEWAL, WORK_PERMIT, WORKER, read_files, told

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
# Who may tell what, of which dossier.
_TOLD = (
    ("NSSO", "notifySocialSecurityEvent", "WIB:WORK_DECISION", FIRST),
    ("PLATFORM", "submitApplication", "WIB:WORK_PERMIT", WORK_PERMIT),
)
_CONTEXTS = {"REG": "WIB:ADMISSIBILITY", "CONS": "WIB:VISA_ISSUE", "MUN": "WIB:MUNICIPAL_REGISTRATION"}


def sandbox(
    directory: Directory = DEFAULT,
    contracts: Contracts = None,
    as_json: Annotated[bool, typer.Option("--json", help="When all runs, print one JSON object.")] = False,
) -> None:
    """Run hub and back offices until Ctrl-C; print URLs, certificates and an example call for each authority."""
    from gateway.sandbox.world import World  # here: it loads zeep and xmlsec

    directory = directory.absolute()  # what is printed must work from anywhere
    with suppress(KeyboardInterrupt), stopped_by_sigterm(), World(directory, contracts) as world:
        _fill(world)
        facts = _facts(world, directory)
        if as_json:
            typer.echo(json.dumps(facts))
        else:
            _print(facts)
        world.hub.wait()


def _fill(world: World) -> None:
    """Both dossiers at the end of their way, so that every authority can see its part."""
    first = ["PLATFORM", "BRUSSELS", "IMMIGRATION_OFFICE", "POST_RABAT", "MUN_BRUSSELS", "NSSO"]
    world.records.enter(FIRST, "FIRST", "CARD_ISSUED", WORKER, first)
    second = ["PLATFORM", "WALLONIA", "IMMIGRATION_OFFICE", "MUN_LIEGE", "NSSO"]
    world.records.enter(RENEWAL, "RENEWAL", "CARD_ISSUED", OTHER_WORKER, second)


def _telling(directory: Path) -> list[dict[str, str]]:
    """Notifications to try, each with its payload as a file: one that may be told again and again, and a new dossier."""
    folder = directory / "payloads"
    folder.mkdir(exist_ok=True)
    examples = []
    for who, operation, context, number in _TOLD:
        path = folder / f"{operation}.xml"
        payload = told(read_files(AuthorityId(who))[number], operation)
        path.write_bytes(etree.tostring(payload, pretty_print=True, xml_declaration=True, encoding="UTF-8"))
        options = ["--as", who, "--context", context, "--dossier", number, "--payload", str(path)]
        call = command("call", operation, *options, "--world", directory)
        examples.append({"operation": operation, "as": who, "payload": str(path), "call": call})
    return examples


def _facts(world: World, directory: Path) -> dict[str, Any]:
    place = world.place
    return {
        **world.urls,
        "world": str(directory),
        "config": str(directory / "gateway.toml"),
        "anchor": str(directory / "pki" / "root.crt.pem"),
        "dossiers": [FIRST, RENEWAL],
        "notifications": _telling(directory),
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
    console.print("\n[bold]Notifications[/bold]  what is told reaches every back office at once:")
    for one in facts["notifications"]:
        console.print(Text(f"  {one['call']}"))
    console.print(Text(f"\nThe officer's view: {command('log', 'list', '--config', facts['config'])}"))
    console.print("Ctrl-C ends it all; certificates and exchange log stay.")
