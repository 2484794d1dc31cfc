"""Whose dossier it is, from the command line: a number is read, digested under the directory's key, and forgotten."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import typer

from gateway.agreement.identifiers import check_ssin
from gateway.app import directory_key
from gateway.config import ConfigError, load
from gateway.policy.person import person_digest
from gateway.refusal import Refusal


def typed(ssin: str | None) -> str | None:
    """Standard input for "-": it keeps the number out of the shell's history and the list of processes."""
    return sys.stdin.readline().strip() if ssin == "-" else ssin


def digest_under(config: Path | None, file: Path | None) -> Callable[[str], bytes]:
    """INSZ → what the directory keeps of it, under the key in `file` or else in the file that the settings name."""
    key, test_numbers = _key(config, file)

    def digest(ssin: str) -> bytes:
        try:
            return person_digest(key, check_ssin(ssin, test_numbers=test_numbers))
        except Refusal:  # the number is not repeated here: standard error may be kept
            stop(
                "DOS008",
                "This is no INSZ.",
                "Check its eleven digits; test numbers need test_numbers = true.",
            )

    return digest


def _key(config: Path | None, file: Path | None) -> tuple[bytes, bool]:
    """The key, and whether test numbers are accepted; without settings they are, for they are nobody's."""
    try:
        settings = None if config is None else load(config)
        path = file or (None if settings is None else settings.keys.directory_key)
        if path is None:
            stop(
                "DOS007",
                "The key of the directory is not named.",
                "Name it with --config or --directory-key.",
            )
        return directory_key(path), settings is None or settings.test_numbers
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def stop(code: str, sentence: str, remedy: str) -> NoReturn:
    """Ends the command."""
    typer.echo(f"{code} {sentence} {remedy}", err=True)
    raise typer.Exit(1)
