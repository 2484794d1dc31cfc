"""Plain text on standard output: aligned columns with whole values, for people and for grep alike."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer


def write(text: str) -> None:
    """Print. A reader that has seen enough, such as `head -1`, is no error, and changes no exit status."""
    try:
        typer.echo(text)
    except BrokenPipeError:
        # Whatever else is printed, also by the interpreter at its end, goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def plain(text: str) -> str:
    """What others wrote, such as the name of a file, as part of one line: nothing in it ends the line, moves a cursor
    or cannot be printed.
    """
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns two spaces apart; nothing is ever cut or folded."""
    lines = [headings, *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(headings))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        write("  ".join(cells).rstrip())
