"""`gateway bench`: a reproducible load on a real hub, and the floor beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.bench import machine, page
from gateway.bench.dossiers import MAX_KB, MIN_KB
from gateway.bench.place import SUITES
from gateway.bench.profiles import Profile
from gateway.bench.run import Plan, Run, checked, runs
from gateway.cli import (
    bench_developer,
    bench_documents,
    bench_log,
    bench_options,
    bench_overload,
    bench_soak,
)
from gateway.cli.bench_options import CONTRACTS, MAX_CLIENTS, MAX_WORKERS, Contracts, Report
from gateway.cli.bench_place import AsJson, Directory, warn_if_volatile, working
from gateway.cli.lines import table

_FULL: Final = Plan(
    (Profile.CONSULT,), (1, 10, 100), tuple(SUITES), (1, 8, 32), (1,), 2.5, None, rounds=3, repetitions=80
)
_QUICK: Final = Plan((Profile.CONSULT,), (1,), tuple(SUITES), (8,), (1,), 2.5, 200, rounds=1, repetitions=80)

Profiles = Annotated[str | None, typer.Option(help="Which loads: consult, notify, mixed. [default: consult]")]
Sizes = Annotated[
    str | None, typer.Option(help=f"Payload in KB, from {MIN_KB:g} to {MAX_KB:g}. [default: 1,10,100]")
]
Suites = Annotated[str | None, typer.Option(help="Signature suites of everybody. [default: rsa,ecdsa]")]
Clients = Annotated[str | None, typer.Option(help="Clients at work at once. [default: 1,8,32]")]
Workers = Annotated[str | None, typer.Option(help="Processes of the hub, each with a CPU. [default: 1]")]
Seconds = Annotated[float | None, typer.Option(min=0.2, max=60, help="Length of each load. [default: 2.5]")]
Exchanges = Annotated[int | None, typer.Option(min=1, help="Exchanges of each load, instead of a length.")]
Rounds = Annotated[
    int | None, typer.Option(min=1, max=50, help="Loads of each run, between floors. [default: 3]")
]
Quick = Annotated[bool, typer.Option("--quick", help="1 KB, both suites, 8 clients, 200 exchanges once.")]

_HEADS: Final = (
    "profile", "suite", "KB", "clients", "/s", "p50 ms", "p99 ms", "hub CPU", "floor", "ratio", "spread", "/CPU s", "RSS MB",
)  # fmt: skip

app = typer.Typer(invoke_without_command=True)
app.command("log")(bench_log.log)
app.command("overload")(bench_overload.run)
app.command("documents")(bench_documents.documents)
app.command("soak")(bench_soak.soak)
app.command("hottest")(bench_developer.hottest)
app.command("flame")(bench_developer.flame)


@app.callback()
def bench(
    context: typer.Context,
    *,
    profiles: Profiles = None,
    sizes: Sizes = None,
    suites: Suites = None,
    clients: Clients = None,
    workers: Workers = None,
    seconds: Seconds = None,
    exchanges: Exchanges = None,
    rounds: Rounds = None,
    quick: Quick = False,
    report: Report = None,
    directory: Directory = None,
    contracts: Contracts = CONTRACTS,
    as_json: AsJson = False,
) -> None:
    """Measure throughput, latency, and the hub's CPU per exchange against the floor of the same run."""
    if context.invoked_subcommand is not None:
        return
    base = _QUICK if quick else _FULL
    with bench_options.told():
        counted = exchanges or (None if seconds else base.exchanges)
        plan = Plan(
            profiles=bench_options.members("--profiles", profiles, Profile) or base.profiles,
            sizes=bench_options.numbers("--sizes", sizes, MIN_KB, MAX_KB) or base.sizes,
            suites=bench_options.suites(suites) or base.suites,
            clients=bench_options.counts("--clients", clients, MAX_CLIENTS) or base.clients,
            workers=bench_options.counts("--workers", workers, MAX_WORKERS) or base.workers,
            seconds=seconds or base.seconds,
            exchanges=counted,
            rounds=rounds or base.rounds,
            repetitions=min(
                base.repetitions, counted or base.repetitions
            ),  # a floor is no longer than its load
        )
        checked(plan)
        with working(directory) as place, bench_options.shown() as tell:
            results = list(runs(plan, place, contracts, tell))
            _tell(results, place, report, as_json=as_json)


def _tell(results: list[Run], place: Path, report: Path | None, *, as_json: bool) -> None:
    """Print the runs. Raises BenchError when an exchange failed: such figures are none."""
    facts = machine.facts(place)
    told = {"machine": facts, "runs": [run.json() for run in results]}
    if report is not None:
        page.write(report, page.of_runs(told))
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        table(_HEADS, [_row(run) for run in results])
        typer.echo(
            f"{facts['cpu']}, {facts['cpus']} CPUs, store on {facts['store_filesystem']}.\n"
            "hub CPU: ms of CPU per exchange, of all the hub's threads. floor: the same cryptography, XML parse and\n"
            "C14N, TLS on both legs and fsyncs, with nothing else, in the same run. /CPU s: exchanges per CPU second."
        )
    warn_if_volatile(place)
    bench_options.require_none_failed(sum(run.errors for run in results), [run.trouble for run in results])


def _row(run: Run) -> tuple[str, ...]:
    several = f" ×{run.workers}" if run.workers > 1 else ""
    return (
        run.load.profile.value, run.suite + several, f"{run.load.kilobytes:g}", str(run.load.clients),
        f"{run.throughput:.0f}", f"{run.percentile_ms(50):.1f}", f"{run.percentile_ms(99):.1f}",
        f"{run.hub_cpu_ms:.2f}", f"{run.floor.total_ms:.2f}", f"{run.ratio:.2f}",
        f"{run.ratios[0]:.2f}-{run.ratios[-1]:.2f}", f"{1000 / run.hub_cpu_ms:.0f}", f"{sum(run.memory_mb):.0f}",
    )  # fmt: skip
