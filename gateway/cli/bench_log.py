"""`gateway bench log`: the exchange log by itself: appending, proofs from a tree of 10⁹ entries, the whole check."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from gateway.bench import log_page, log_tree, machine, page
from gateway.bench.log_append import ORIGIN, Appended, Load, Profile, append
from gateway.bench.log_entries import FIELDS
from gateway.bench.process import resident_mb
from gateway.bench.trouble import BenchError
from gateway.cli.bench_options import Report
from gateway.cli.bench_place import AsJson, Directory, warn_if_volatile, working
from gateway.cli.lines import table, write
from gateway.cli.log_place import Place
from gateway.cli.log_processes import processes_for
from gateway.cli.log_verify import check
from gateway.exchangelog.flaw import Flaw
from gateway.exchangelog.note import Signer

Entries = Annotated[
    int, typer.Option(min=100, max=10_000_000, help="Entries to append, and to check, for each profile.")
]
Clients = Annotated[int, typer.Option(min=1, max=512, help="Clients that append at once.")]
Workers = Annotated[int, typer.Option(min=1, max=64, help="Processes that append to the one log.")]
Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Verified:
    """The check of a whole log, as `gateway log verify` makes it."""

    profile: Profile
    entries: int
    seconds: float
    rss_before_mb: float
    rss_mb: float

    def json(self) -> Json:
        return {
            "profile": self.profile,
            "entries": self.entries,
            "processes": processes_for(self.entries),
            "seconds": round(self.seconds, 2),
            "throughput": round(self.entries / self.seconds, 1),
            "rss_before_mb": round(self.rss_before_mb, 1),
            "rss_mb": round(self.rss_mb, 1),
        }


def log(
    *,
    entries: Entries = 50_000,
    clients: Clients = 64,
    workers: Workers = 1,
    directory: Directory = None,
    report: Report = None,
    as_json: AsJson = False,
) -> None:
    """Measure the exchange log alone: entries a second, proofs from a tree of 10⁹ entries, the check of a whole log."""
    try:
        with working(directory) as place:
            key = Ed25519PrivateKey.generate()
            appended = [
                _appended(place, key, Load(profile, entries, max(clients // workers, 1) * workers, workers))
                for profile in Profile
            ]
            proved = log_tree.prove(place / "tree.db", Signer.of(ORIGIN, key))
            verified = [_verified(place, key, profile) for profile in Profile]
            told = {
                "machine": machine.facts(place),
                "runs": [one.json() for one in appended],
                "proof": proved.json(),
                "verification": [one.json() for one in verified],
            }
            if report is not None:
                page.write(report, log_page.of_log(told))
            _tell(told, as_json=as_json)
            warn_if_volatile(place)
    except BenchError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _appended(place: Path, key: Ed25519PrivateKey, load: Load) -> Appended:
    with _bar(f"append, {load.profile}", load.entries) as bar:
        return append(place / f"{load.profile}.db", key, load, bar)


def _verified(place: Path, key: Ed25519PrivateKey, profile: Profile) -> Verified:
    """Raises BenchError when the check of what the benchmark itself appended finds anything wrong."""
    before, began = resident_mb(os.getpid()), perf_counter()
    store = Place(place / f"{profile}.db", [Signer.of(ORIGIN, key).verifier])
    signed, findings = check(store, None)
    seconds = perf_counter() - began
    # Nothing was received for these entries, so there is nothing to keep.
    wrong = next((one for one in findings if one.fails and one.flaw is not Flaw.MESSAGE_GONE), None)
    if signed is None or wrong is not None:
        code = wrong.flaw.row.code if wrong else "no checkpoint"
        raise BenchError(
            "BEN007",
            f"the log that was appended does not verify: {code}.",
            "Keep it with --directory, and tell.",
        )
    return Verified(profile, signed.size, seconds, before, resident_mb(os.getpid()))


@contextmanager
def _bar(what: str, entries: int) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    columns = TextColumn(what), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=entries)
        yield lambda done: progress.update(task, completed=done)


def _tell(told: page.Told, *, as_json: bool) -> None:
    if as_json:
        write(json.dumps(told, indent=2))
        return
    facts, proof = told["machine"], told["proof"]
    table(*log_page.appended(told["runs"]))
    write("")
    table(*log_page.verified(told["verification"]))
    write(
        f"\nProof of one among {proof['size']:,} entries, {proof['hashes']} hashes: made in {proof['made_p50_ms']} ms (p50),"
        f" {proof['made_p99_ms']} ms (p99); checked in {proof['checked_p50_ms']} ms, signature included.\n"
        f"{facts['cpu']}, {facts['cpus']} CPUs, Python {facts['python']}, store on {facts['store_filesystem']},"
        f" load {facts['load_average']:.1f}.\n"
        f"An entry counts when it is durable, in the tree and under a signed checkpoint. log-only: requests and refusals,\n"
        f"made beforehand. fields: releases, each made on its way with {FIELDS} field commitments. CPU: of all threads, an entry."
    )
