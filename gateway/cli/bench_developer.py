"""`gateway bench hottest` and `gateway bench flame`: for developers, where a hub's time goes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.bench import flame as flames
from gateway.bench.load import Load
from gateway.bench.profiles import Profile
from gateway.bench.run import profile as profiled
from gateway.cli import bench_options
from gateway.cli.bench_options import CONTRACTS, Clients, Contracts, Size, Suite
from gateway.cli.bench_place import Directory, working

What = Annotated[Profile, typer.Option("--profile", help="Which load.")]
Exchanges = Annotated[int, typer.Option(min=8, max=20_000, help="Exchanges that are sampled.")]
Seconds = Annotated[int, typer.Option(min=1, max=120, help="How long samples are taken.")]
Output = Annotated[Path, typer.Option(help="File to write: an SVG that a browser shows.")]


def hottest(
    *,
    profile: What = Profile.CONSULT,
    size: Size = 1.0,
    suite: Suite = "ecdsa",
    clients: Clients = 8,
    exchanges: Exchanges = 1500,
    directory: Directory = None,
    contracts: Contracts = CONTRACTS,
) -> None:
    """Print the hub's hottest functions: microseconds of each exchange, of the event loop's thread."""
    with bench_options.told():
        (known,) = bench_options.suites(suite)
        with working(directory) as place, bench_options.shown() as tell:
            typer.echo(profiled(Load(profile, size, clients), known, exchanges, place, contracts, tell))


def flame(
    *,
    output: Output = Path("flame.svg"),
    seconds: Seconds = 10,
    profile: What = Profile.CONSULT,
    size: Size = 1.0,
    suite: Suite = "ecdsa",
    clients: Clients = 8,
    directory: Directory = None,
    contracts: Contracts = CONTRACTS,
) -> None:
    """Draw a flame graph of a hub under load, a flame for each thread. Needs py-spy."""
    with bench_options.told():
        (known,) = bench_options.suites(suite)
        with working(directory) as place, bench_options.shown() as tell:
            flames.flame(Load(profile, size, clients), known, seconds, output, place, contracts, tell)
        typer.echo(f"written: {output}")
