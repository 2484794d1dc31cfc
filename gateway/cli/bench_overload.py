"""`gateway bench overload`: more clients than the hub can serve, and a flood beside a calm authority."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

import gateway
from gateway.bench import machine, overload_page, page
from gateway.bench.dossiers import MAX_KB
from gateway.bench.overload import Trial, fairness, overload
from gateway.bench.overload_figures import Fairness, Overload, Quotas
from gateway.bench.place import SUITES
from gateway.bench.trouble import BenchError
from gateway.cli.bench_options import Report
from gateway.cli.bench_place import AsJson, Directory, warn_if_volatile, working

_CONTRACTS: Final = Path(gateway.__file__).parents[1] / "contracts"

_BOUND: Final = {
    Quotas.NONE: "that no quota binds",
    Quotas.BURST: "in the first burst that its quota lets in",
    Quotas.SPENT: "whose burst is used up",
}

Size = Annotated[int, typer.Option(min=1, max=MAX_KB, help="Payload in KB, under overload.")]
Suite = Annotated[str, typer.Option(help="Signature suite of everybody: rsa or ecdsa.")]
Clients = Annotated[
    int,
    typer.Option(
        min=4, max=125, help="With which the hub is at its peak; there are four times as many then."
    ),
]
Seconds = Annotated[float, typer.Option(min=0.5, max=60, help="Length of each round.")]
Contracts = Annotated[Path, typer.Option(help="Directory of the contracts.")]


def run(
    *,
    size: Size = 100,
    suite: Suite = "rsa",
    clients: Clients = 125,
    seconds: Seconds = 10.0,
    directory: Directory = None,
    contracts: Contracts = _CONTRACTS,
    report: Report = None,
    as_json: AsJson = False,
) -> None:
    """Measure what is left of the throughput under overload, and how much a flood slows another authority."""
    try:
        _require_known(suite)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # everything is stopped in order
        with working(directory) as place:
            over = overload(Trial(suite, size, clients, seconds, place / "overload", contracts), _tell)
            fair = [
                fairness(Trial(suite, 1, clients, seconds, place / quotas.value, contracts), _tell, quotas)
                for quotas in Quotas
            ]
            told = {"machine": machine.facts(place), "runs": [over.json(), *(one.json() for one in fair)]}
            if report is not None:
                page.write(report, overload_page.of_overload(told))
            if as_json:
                typer.echo(json.dumps(told, indent=2))
            else:
                _print(over, fair)
            warn_if_volatile(place)
        _require_none_failed([over, *fair])
    except BenchError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _require_known(suite: str) -> None:
    if suite not in SUITES:
        raise BenchError("BEN004", f"--suite {suite}: unknown.", f"There are {' and '.join(SUITES)}.")


def _require_none_failed(results: Sequence[Overload | Fairness]) -> None:
    """Who was turned away did not fail; a broken connection or another refusal did."""
    errors = sum(one.errors for one in results)
    if errors:
        trouble = next(one.trouble for one in results if one.trouble)
        raise BenchError(
            "BEN002",
            f"{errors} exchanges failed; the first: {trouble}.",
            "Look into hub.log: --directory keeps it.",
        )


def _tell(text: str) -> None:
    typer.echo(text, err=True)


def _print(over: Overload, fair: list[Fairness]) -> None:
    peak = sum(load.throughput for load in over.peaks) / len(over.peaks)
    typer.echo(
        f"{over.size} KB, {over.suite}: {peak:.0f} exchanges a second with {over.peaks[0].clients} clients."
    )
    for load in over.over:
        who = "come back when they are told to" if load.heeds else "come back at once"
        typer.echo(
            f"With {load.clients} clients that {who}: {over.kept(load):.0%} of that, {over.kept_per_cpu(load):.0%} for"
            f" each CPU second of the hub; {load.result.turned_away} times somebody was turned away."
        )
    for one in fair:
        typer.echo(
            f"Beside a flood {_BOUND[one.quotas]} a calm authority waits {one.slower(50):.1f} times as long (median),"
            f" {one.slower(99):.1f} times (99 of 100), as alone."
        )
