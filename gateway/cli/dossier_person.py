"""Whose dossier it is, from the command line: a number is read, digested under the directory's key, and forgotten."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import typer

from gateway.agreement.identifiers import check_ssin
from gateway.config import ConfigError, load
from gateway.loading import secret_key
from gateway.policy.person import person_digest
from gateway.refusal import Refusal


def typed(ssin: str | None) -> str | None:
    """Standard input for "-": it keeps the number out of the shell's history and the list of processes."""
    return sys.stdin.readline().strip() if ssin == "-" else ssin


def digest_under(config: Path) -> Callable[[str], bytes]:
    """INSZ → what the directory keeps of it, under the key that the settings name."""
    try:
        settings = load(config)
        key = secret_key(settings.keys.directory_key)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None

    def digest(ssin: str) -> bytes:
        try:
            return person_digest(key, check_ssin(ssin, test_numbers=settings.test_numbers))
        except Refusal:  # the number is not repeated here: standard error may be kept
            stop(
                "DOS008",
                "This is no INSZ.",
                "Check its eleven digits; test numbers need test_numbers = true.",
            )

    return digest


def stop(code: str, sentence: str, remedy: str) -> NoReturn:
    """Ends the command."""
    typer.echo(f"{code}: {sentence} {remedy}", err=True)
    raise typer.Exit(1)
