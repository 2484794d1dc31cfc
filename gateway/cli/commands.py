"""The command tree: one line for each command of PROTOCOL.md, annex D, or for its group.

The module of a command is loaded when somebody calls it: all of them together take a second.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from gateway import __version__
from gateway.cli.lines import write

if TYPE_CHECKING:
    from collections.abc import Mapping

# Name → module in this package. A module with `app` has a group of commands, else a function of the same name.
_COMMANDS: Final = ("serve", "check", "demo", "sandbox", "call", "explain")
_GROUPS: Final[Mapping[str, str]] = {
    "bench": "Measure a hub under load; soak, documents, the exchange log alone; where its time goes.",
    "agreement": "The protocol agreement as code.",
    "log": "The exchange log: what is in it, whether it holds, and how it ends.",
    "witness": "A witness: cosign the logs of others.",
    "evidence": "An exchange in one file that anybody can check.",
    "dossier": "The dossier directory.",
    "store": "Where all of this is kept, and how it gets to a PostgreSQL server.",
    "queue": "Notifications that wait for delivery.",
    "pki": "Certificates: a development PKI; enrolment, withdrawal and rotation at a hub.",
}


class _Tree(TyperGroup):
    """Every command, by name; loaded when it is asked for. Typer has a click of its own, whose types are not public."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - Typer's
        return [*_COMMANDS, *_GROUPS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - Typer's
        if cmd_name in _GROUPS:
            return _group(cmd_name)
        return _one(cmd_name) if cmd_name in _COMMANDS else None


@cache
def _group(name: str) -> TyperGroup:
    """Made once in a process: that takes longer than most of its commands."""
    group = get_group(import_module(f"gateway.cli.{name}").app)
    group.name, group.help = name, _GROUPS[name]
    return group


@cache
def _one(name: str) -> Any:
    program = typer.Typer(add_completion=False)
    program.command(name)(getattr(import_module(f"gateway.cli.{name}"), name))
    return get_command(program)


def _print_version(wanted: bool) -> None:
    if wanted:
        write(f"gateway {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="gateway",
    cls=_Tree,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Exchange gateway for single-permit dossiers."""
