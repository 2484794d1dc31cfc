"""`gateway demo`: the whole permit story on this machine, told step by step, and the exchange log verified."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated

import typer
from rich.console import Console

from gateway.config import ConfigError

AsJson = Annotated[bool, typer.Option("--json", help="Print the account as JSON, and nothing else.")]
Contracts = Annotated[
    Path | None,
    typer.Option("--contracts", help="Directory of the agreement, if not the one of this program."),
]
Keep = Annotated[
    Path | None, typer.Option("--keep", help="New directory in which to leave certificates, store and log.")
]
_PROVIDER_SECONDS = 2.0  # the story has one provider that is too slow


def demo(as_json: AsJson = False, keep: Keep = None, contracts: Contracts = None) -> None:
    """Run the permit story through signed SOAP, tell it, and verify the exchange log.

    Exit status 0 only if every expectation held.
    """
    # Here, so that no other command, and never the hub, loads zeep and xmlsec.
    from gateway.cli.account import Printer, summary
    from gateway.cli.account_report import report
    from gateway.sandbox.telling import tell
    from gateway.sandbox.world import World

    start = perf_counter()
    console = Console(highlight=False, soft_wrap=True, quiet=as_json)
    console.print("Making certificates, starting the hub and the back office of every authority …")
    with _directory(keep) as directory, stopped_by_sigterm():
        with World(directory, contracts, provider_seconds=_PROVIDER_SECONDS) as world:
            known, served = len(world.place.register.authorities), len(world.offices)
            console.print(
                f"The hub serves {world.urls['soap']} to {known} authorities, {known - served} of them with a mailbox."
            )
            printer = Printer(console, world.agreement)
            account = tell(world, printer.hear)
            printer.endings(account.endings)
            facts = report(account, world, perf_counter() - start)
        if as_json:
            typer.echo(json.dumps(facts, indent=2))
        else:
            summary(console, account, facts, keep)
    if account.troubles:
        raise typer.Exit(1)


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        if keep.is_dir() and any(keep.iterdir()):
            raise ConfigError("SBX003", f"{keep}: holds something already.", "Name a new directory.")
        yield keep
        return
    with TemporaryDirectory(prefix="gateway-demo-") as name:
        yield Path(name) / "world"


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """SIGTERM ends what was started, as Ctrl-C does."""

    def stop(*_: object) -> None:
        sys.exit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
