"""`gateway bench soak`: a long, constant, moderate load, and whether memory stays flat."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gateway.bench import machine, page, soak_page
from gateway.bench.load import Load
from gateway.bench.profiles import Profile
from gateway.bench.soak import Length, Soak
from gateway.bench.soak import soak as soaked
from gateway.cli import bench_options
from gateway.cli.bench_options import CONTRACTS, Clients, Contracts, Report, Size, Suite, Workers
from gateway.cli.bench_place import AsJson, Directory, warn_if_volatile, working

Minutes = Annotated[float, typer.Option(min=0.1, max=10_080, help="How long.")]
Exchanges = Annotated[int | None, typer.Option(min=1, help="How many exchanges, instead of how long.")]
What = Annotated[Profile, typer.Option("--profile", help="Which load.")]


def soak(
    *,
    minutes: Minutes = 10.0,
    exchanges: Exchanges = None,
    profile: What = Profile.CONSULT,
    size: Size = 1.0,
    suite: Suite = "ecdsa",
    clients: Clients = 8,
    workers: Workers = 1,
    report: Report = None,
    directory: Directory = None,
    contracts: Contracts = CONTRACTS,
    as_json: AsJson = False,
) -> None:
    """Put a constant, moderate load on a hub for long, and say whether the memory of its workers stays flat."""
    with bench_options.told():
        (known,) = bench_options.suites(suite)
        load, length = Load(profile, size, clients), Length(minutes, exchanges)
        with working(directory) as place, bench_options.shown() as tell:
            result = soaked(load, known, workers, length, place, contracts, tell)
            _tell(result, place, report, as_json=as_json)


def _tell(result: Soak, place: Path, report: Path | None, *, as_json: bool) -> None:
    """Print the soak. Raises BenchError when an exchange failed."""
    told = {"machine": machine.facts(place), "soak": result.json()}
    if report is not None:
        page.write(report, soak_page.of_soak(told))
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        last = result.samples[-1]
        typer.echo(
            f"{last.exchanges} exchanges of {result.load.kilobytes:g} KB ({result.load.profile.value}, {result.suite}) in"
            f" {last.seconds / 60:.1f} minutes: memory is {result.verdict.value}."
        )
        for number, one in enumerate(result.memory, start=1):
            slope = one.slope
            grown = (
                f", {slope.estimate:+.4f} MB per 1000 ({slope.low:+.4f} to {slope.high:+.4f})"
                if slope
                else ""
            )
            typer.echo(
                f"worker {number}: {one.start_mb:.1f} MB at the start, {one.end_mb:.1f} MB at the end{grown}"
            )
    warn_if_volatile(place)
    bench_options.require_none_failed(result.errors, [result.trouble])
