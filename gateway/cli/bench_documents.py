"""`gateway bench documents`: large documents through a hub whose memory stays flat."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gateway.bench import documents_page, machine, page
from gateway.bench.documents import Passed
from gateway.bench.documents import documents as passed
from gateway.bench.scan import MB
from gateway.cli import bench_options
from gateway.cli.bench_options import CONTRACTS, Contracts, Report, Suite
from gateway.cli.bench_place import AsJson, Directory, warn_if_volatile, working
from gateway.cli.lines import table

_MOST = 268.0  # MB: what the contract allows
Sizes = Annotated[str, typer.Option(help="Documents in MB of 10⁶ bytes.")]


def documents(
    *,
    sizes: Sizes = "1,10,100,250",
    suite: Suite = "ecdsa",
    report: Report = None,
    directory: Directory = None,
    contracts: Contracts = CONTRACTS,
    as_json: AsJson = False,
) -> None:
    """Retrieve and upload documents of these sizes, one at a time: speed, CPU for each MB, and the hub's memory."""
    with bench_options.told():
        megabytes = bench_options.numbers("--sizes", sizes, 0.001, _MOST)
        (known,) = bench_options.suites(suite)
        with working(directory) as place, bench_options.shown() as tell:
            counted = tuple(round(one * MB) for one in megabytes)
            results = list(passed(counted, known, place, contracts, tell))
            _tell(results, place, report, as_json=as_json)


def _tell(results: list[Passed], place: Path, report: Path | None, *, as_json: bool) -> None:
    rows = [one.json() for one in results]
    told = {"machine": machine.facts(place), "documents": rows}
    if report is not None:
        page.write(report, documents_page.of_documents(told))
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        table(*documents_page.figures(rows))
    warn_if_volatile(place)
