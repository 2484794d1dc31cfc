"""Options that the commands of the benchmark share, and what is read from them."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer
from rich.console import Console

import gateway
from gateway.bench.dossiers import MAX_KB, MIN_KB
from gateway.bench.place import SUITES
from gateway.bench.run import Tell
from gateway.bench.trouble import BenchError

CONTRACTS: Final = Path(gateway.__file__).parents[1] / "contracts"
MAX_CLIENTS: Final = 512
MAX_WORKERS: Final = 64
E = TypeVar("E", bound=StrEnum)

Contracts = Annotated[Path, typer.Option(help="Directory of the contracts.")]
Report = Annotated[
    Path | None, typer.Option(help="Write a page with plots and all figures to this file, too (HTML).")
]
Size = Annotated[float, typer.Option(min=MIN_KB, max=MAX_KB, help="Payload in KB.")]
Clients = Annotated[int, typer.Option(min=1, max=MAX_CLIENTS, help="Clients at work at once.")]
Workers = Annotated[int, typer.Option(min=1, max=MAX_WORKERS, help="Processes of the hub.")]
Suite = Annotated[str, typer.Option(help=f"Signature suite of everybody: {' or '.join(SUITES)}.")]


def numbers(option: str, text: str | None, least: float, most: float) -> tuple[float, ...]:
    """Numbers between commas. Raises BenchError."""
    words = [word.strip() for word in text.split(",")] if text else []
    if not all(_number(word) and least <= float(word) <= most for word in words):
        raise BenchError(
            "BEN004", f"{option} {text}: not numbers from {least:g} to {most:g}.", f"E.g. {option} 1,10."
        )
    return tuple(map(float, words))


def counts(option: str, text: str | None, most: int) -> tuple[int, ...]:
    """Whole numbers between commas. Raises BenchError."""
    found = numbers(option, text, 1, most)
    if any(one != int(one) for one in found):
        raise BenchError("BEN004", f"{option} {text}: not whole numbers.", f"E.g. {option} 1,8.")
    return tuple(map(int, found))


def suites(text: str | None) -> tuple[str, ...]:
    """Suites between commas. Raises BenchError."""
    return words("--suites", text, SUITES)


def members(option: str, text: str | None, kind: type[E]) -> tuple[E, ...]:
    """Members of an enumeration between commas. Raises BenchError."""
    return tuple(map(kind, words(option, text, list(kind))))


def words(option: str, text: str | None, known: Iterable[str]) -> tuple[str, ...]:
    """Known words between commas. Raises BenchError."""
    found = tuple(word.strip() for word in text.split(",")) if text else ()
    if not set(found) <= set(known):
        raise BenchError("BEN004", f"{option} {text}: unknown.", f"There are {', '.join(known)}.")
    return found


@contextmanager
def told() -> Iterator[None]:
    """A BenchError as its sentence and exit status 1; SIGTERM stops everything in order."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    except BenchError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


@contextmanager
def shown() -> Iterator[Tell]:
    """What is being measured, on standard error."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: typer.echo(text, err=True)
        return
    with console.status("starting") as status:
        yield status.update


def require_none_failed(errors: int, troubles: Iterable[str]) -> None:
    """Raises BenchError when an exchange failed: such figures are none."""
    if errors:
        first = next(filter(None, troubles), "unknown")
        raise BenchError(
            "BEN002",
            f"{errors} exchanges failed; the first: {first}.",
            "Look into hub.log: --directory keeps it.",
        )


def _number(word: str) -> bool:
    return word.replace(".", "", 1).isdecimal()
