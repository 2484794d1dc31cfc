"""`gateway serve`: run the hub."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.config import load

Config = Annotated[Path, typer.Option("--config", help="Settings file; see deploy/gateway.toml.")]
_MOST = 64  # workers; the limits of a hub are shared among them


def serve(
    config: Config,
    workers: Annotated[
        int,
        typer.Option("--workers", min=1, max=_MOST, help="Processes; more than one use more than one core."),
    ] = 1,
    stop_with_stdin: Annotated[
        bool,
        typer.Option(
            "--stop-with-stdin",
            help="Stop when standard input closes too: for a program that starts a hub of its own.",
        ),
    ] = False,
) -> None:
    """Run the hub until it is told to stop."""
    if workers > 1:  # in this process there is nothing of the hub then, and no key
        from gateway.edge.operational_log import OperationalLog
        from gateway.supervisor import supervise

        log = OperationalLog(sys.stderr)
        status = supervise(config, load(config), workers, stop_with_stdin=stop_with_stdin, log=log)
        raise typer.Exit(status)
    import uvloop

    from gateway.serving import serve as run_hub

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_hub(load(config), stop_with_stdin=stop_with_stdin))
