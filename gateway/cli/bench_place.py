"""Where a benchmark works, and what the commands of the benchmark have in common."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.bench import machine
from gateway.bench.trouble import BenchError

_DISK: Final = Path("/var/tmp")  # noqa: S108 - a directory of our own is made in it; /tmp may be memory

Directory = Annotated[
    Path | None, typer.Option(help="Work here and keep everything. [default: below /var/tmp, then removed]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@contextmanager
def working(directory: Path | None) -> Iterator[Path]:
    """A new directory on a disk, removed in the end; or the one that was named, kept."""
    if directory is not None:
        if directory.exists() and any(directory.iterdir()):
            raise BenchError("BEN004", f"{directory} is not empty.", "Name a new directory.")
        directory.mkdir(parents=True, exist_ok=True)
        yield directory
        return
    with tempfile.TemporaryDirectory(prefix="gateway-bench-", dir=_DISK if _DISK.is_dir() else None) as name:
        yield Path(name)


def warn_if_volatile(place: Path) -> None:
    """Say so when fsync was free."""
    if machine.is_volatile(place):
        typer.echo(
            "Note: the store lies in memory, so fsync cost nothing. Name a --directory on a disk.", err=True
        )
