"""The command tree: one line for each command of PROTOCOL.md, annex D."""

from __future__ import annotations

import typer

from gateway.cli import agreement, bench, call, demo, dossier, log, pki, sandbox, serve

app = typer.Typer(
    name="gateway",
    help="Exchange gateway for single-permit dossiers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve.serve)
app.command()(serve.check)
app.command()(demo.demo)
app.command()(sandbox.sandbox)
app.command()(call.call)
app.command()(bench.bench)
app.add_typer(agreement.app, name="agreement", help="The protocol agreement as code.")
app.add_typer(log.app, name="log", help="The exchange log: list, show, verify, prove.")
app.add_typer(dossier.app, name="dossier", help="The dossier directory.")
app.add_typer(pki.app, name="pki", help="Development certificates.")
