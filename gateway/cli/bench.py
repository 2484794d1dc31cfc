"""`gateway bench`: a reproducible load on a real hub, and the floor beside it."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

import gateway
from gateway.bench import machine
from gateway.bench.dossiers import MAX_KB
from gateway.bench.place import SUITES
from gateway.bench.run import Plan, Run, Soak, Tell, checked, profile, runs, soak
from gateway.bench.trouble import BenchError
from gateway.cli import bench_log, bench_overload
from gateway.cli.bench_place import AsJson, Directory, warn_if_volatile, working

_CONTRACTS: Final = Path(gateway.__file__).parents[1] / "contracts"
_MAX_CLIENTS: Final = 512  # as many exchanges as the hub takes at once
_FULL: Final = Plan((1, 10, 100), tuple(SUITES), (1, 8, 32), seconds=2.5, exchanges=None, repetitions=200)
_QUICK: Final = Plan((1,), tuple(SUITES), (8,), seconds=2.5, exchanges=200, repetitions=80)

Sizes = Annotated[str | None, typer.Option(help=f"Payload in KB, at most {MAX_KB}. [default: 1,10,100]")]
Suites = Annotated[str | None, typer.Option(help="Signature suites of everybody. [default: rsa,ecdsa]")]
Clients = Annotated[str | None, typer.Option(help="Connections that ask at once. [default: 1,8,32]")]
Seconds = Annotated[float | None, typer.Option(min=0.2, max=60, help="Length of each load. [default: 2.5]")]
Exchanges = Annotated[int | None, typer.Option(min=1, help="Exchanges of each load, instead of a length.")]
SoakCount = Annotated[
    int | None, typer.Option("--soak", min=1, help="Watch memory over N exchanges instead.")
]
Quick = Annotated[bool, typer.Option("--quick", help="1 KB, both suites, 8 clients, 200 exchanges.")]
Profile = Annotated[
    bool, typer.Option("--profile", help="For developers: the hub's hottest functions instead.")
]
Contracts = Annotated[Path, typer.Option(help="Directory of the contracts.")]


app = typer.Typer(invoke_without_command=True)
app.command("log")(bench_log.log)
app.command("overload")(bench_overload.run)


@app.callback()
def bench(
    context: typer.Context,
    *,
    sizes: Sizes = None,
    suites: Suites = None,
    clients: Clients = None,
    seconds: Seconds = None,
    exchanges: Exchanges = None,
    soak_count: SoakCount = None,
    quick: Quick = False,
    hottest: Profile = False,
    directory: Directory = None,
    contracts: Contracts = _CONTRACTS,
    as_json: AsJson = False,
) -> None:
    """Measure throughput, latency, and the hub's CPU per exchange against the floor of the same run."""
    if context.invoked_subcommand is not None:
        return
    base = _QUICK if quick else _FULL
    try:
        plan = Plan(
            sizes=_numbers("--sizes", sizes, MAX_KB) or base.sizes,
            suites=_suites(suites) or base.suites,
            clients=_numbers("--clients", clients, _MAX_CLIENTS) or base.clients,
            seconds=seconds or base.seconds,
            exchanges=exchanges or (None if seconds else base.exchanges),
            repetitions=base.repetitions,
        )
        if not hottest and not soak_count:
            checked(plan)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # everything is stopped in order
        with working(directory) as place, _shown() as tell:
            if hottest:
                typer.echo(profile(plan, place, contracts, tell))
            elif soak_count:
                _soaked(soak(plan, soak_count, place, contracts, tell), place, as_json=as_json)
            else:
                _measured(list(runs(plan, place, contracts, tell)), place, as_json=as_json)
    except BenchError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _numbers(option: str, text: str | None, most: int) -> tuple[int, ...]:
    """Whole numbers between commas. Raises BenchError."""
    words = text.split(",") if text else []
    if not all(word.strip().isdecimal() and 1 <= int(word) <= most for word in words):
        raise BenchError(
            "BEN004", f"{option} {text}: not whole numbers from 1 to {most}.", f"E.g. {option} 1,10."
        )
    return tuple(map(int, words))


def _suites(text: str | None) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(",")) if text else ()
    if not set(words) <= set(SUITES):
        raise BenchError("BEN004", f"--suites {text}: unknown.", f"There are {' and '.join(SUITES)}.")
    return words


@contextmanager
def _shown() -> Iterator[Tell]:
    """What is being measured, on standard error."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: typer.echo(text, err=True)
        return
    with console.status("starting") as status:
        yield status.update


def _measured(results: list[Run], place: Path, *, as_json: bool) -> None:
    """Print the runs. Raises BenchError when an exchange failed: such figures are none."""
    facts = machine.facts(place)
    if as_json:
        typer.echo(json.dumps({"machine": facts, "runs": [run.json() for run in results]}, indent=2))
    else:
        Console().print(_table(results))
        typer.echo(
            f"{facts['cpu']}, {facts['cpus']} CPUs, store on {facts['store_filesystem']}.\n"
            "hub CPU: ms of CPU per exchange, of all the hub's threads. floor: the same cryptography, XML parse and\n"
            "C14N, TLS on both legs and two fsyncs, with nothing else, in the same run. /CPU s: exchanges per CPU second."
        )
    warn_if_volatile(place)
    _require_none_failed(sum(run.round.errors for run in results), [run.round.trouble for run in results])


def _table(results: list[Run]) -> Table:
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("suite", no_wrap=True)
    for heading in (
        "KB",
        "clients",
        "/s",
        "p50 ms",
        "p99 ms",
        "hub CPU",
        "floor",
        "ratio",
        "/CPU s",
        "RSS MB",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for run in results:
        table.add_row(
            run.suite, str(run.size), str(run.clients), f"{run.throughput:.0f}", f"{run.percentile_ms(50):.1f}",
            f"{run.percentile_ms(99):.1f}", f"{run.hub_cpu_ms:.2f}", f"{run.floor.total_ms:.2f}", f"{run.ratio:.2f}",
            f"{1000 / run.hub_cpu_ms:.0f}", f"{run.round.rss_mb:.0f}",
        )  # fmt: skip
    return table


def _soaked(result: Soak, place: Path, *, as_json: bool) -> None:
    shown = result.json()
    if as_json:
        typer.echo(json.dumps({"machine": machine.facts(place), "soak": shown}, indent=2))
    else:
        typer.echo(
            f"{shown['exchanges']} exchanges of {result.size} KB ({result.suite}): {shown['start_mb']} MB at the start,"
            f" {shown['end_mb']} MB at the end,\n{shown['slope_mb_per_1000']} MB per 1000 exchanges over all,"
            f" {shown['second_half_slope_mb_per_1000']} over the second half."
        )
    _require_none_failed(result.errors, [result.trouble])


def _require_none_failed(errors: int, troubles: list[str]) -> None:
    if errors:
        first = next(filter(None, troubles), "unknown")
        raise BenchError(
            "BEN002",
            f"{errors} exchanges failed; the first: {first}.",
            "Look into hub.log: --directory keeps it.",
        )
