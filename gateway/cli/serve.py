"""`gateway serve`: run the hub."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from gateway import app as application
from gateway.config import load

Config = Annotated[Path, typer.Option("--config", help="Settings file; see deploy/gateway.toml.")]


def serve(
    config: Config,
    stop_with_stdin: Annotated[
        bool,
        typer.Option(
            "--stop-with-stdin",
            help="Stop when standard input closes too: for a program that starts a hub of its own.",
        ),
    ] = False,
) -> None:
    """Run the hub until it is told to stop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(application.serve(load(config), stop_with_stdin=stop_with_stdin))
