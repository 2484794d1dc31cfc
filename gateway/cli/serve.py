"""`gateway serve` and `gateway check`: run the hub, or say whether it could run."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from gateway import app as application
from gateway.config import load

Config = Annotated[Path, typer.Option("--config", help="Settings file; see deploy/gateway.toml.")]


def serve(config: Config) -> None:
    """Run the hub until it is told to stop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(application.serve(load(config)))


def check(
    config: Config, as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False
) -> None:
    """Validate settings, agreement, contracts, register, keys and certificates; serve nothing."""
    settings = load(config)
    loaded = application.load(settings)
    facts = {
        "agreement": {"number": loaded.rules.agreement.number, "revision": loaded.rules.agreement.revision},
        "authorities": [one.id for one in loaded.rules.register.authorities],
        "operations": sorted(loaded.rules.agreement.operations),
        "certificates": {name: end.isoformat() for name, end in loaded.certificates.items()},
    }
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    typer.echo(f"agreement   {loaded.rules.agreement.number}, revision {loaded.rules.agreement.revision}")
    for name in ("authorities", "operations"):
        typer.echo(f"{name:<12}{', '.join(facts[name])}")
    for name, end in loaded.certificates.items():
        typer.echo(f"certificate {name}: valid until {end:%Y-%m-%d}")
    typer.echo("All of it resolves. Nothing was served.")
