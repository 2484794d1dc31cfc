"""The command tree: one line for each command of PROTOCOL.md, annex D."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway import __version__
from gateway.cli import agreement, bench, call, check, demo, dossier, log, pki, queue, sandbox, serve

app = typer.Typer(
    name="gateway",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gateway {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Exchange gateway for single-permit dossiers."""


app.command()(serve.serve)
app.command()(check.check)
app.command()(demo.demo)
app.command()(sandbox.sandbox)
app.command()(call.call)
app.command()(bench.bench)
app.add_typer(agreement.app, name="agreement", help="The protocol agreement as code.")
app.add_typer(
    log.app, name="log", help="The exchange log: init, list, show, verify, prove, checkpoint, vkey."
)
app.add_typer(dossier.app, name="dossier", help="The dossier directory.")
app.add_typer(queue.app, name="queue", help="Notifications that wait for delivery.")
app.add_typer(
    pki.app, name="pki", help="Certificates: a development PKI; enrolment, withdrawal and rotation at a hub."
)
