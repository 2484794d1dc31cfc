"""The page of the exchange log by itself: how fast entries become durable, then proofs and the check of all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.bench import markup, plots
from gateway.bench.markup import e
from gateway.bench.page import Told, conditions, heading
from gateway.bench.plots import Band, Line
from gateway.soap.xml import Element

_METHOD: Final = (
    ("an entry counts", "when its receipt is there: it is durable, in the tree, and under a signed checkpoint. A client waits for each before it appends the next."),
    ("log-only", "Requests and refusals, made before the clock runs; every other one claims a ticket."),
    ("fields", "Releases, each made on its way with commitments to its fields."),
    ("workers", "Processes that append to one store, with the clients shared out among them; a round begins in all of them together."),
    ("proof", "Of entries all over a tree of 10⁹, from the store, with the tiles that it reads; checked with its signature."),
    ("check", "As gateway log verify makes it: every leaf, tile, root and field record. Memory is that of the process that gathers what the others find."),
)  # fmt: skip


def of_log(told: Told) -> str:
    """The page of `gateway bench log`: the very figures that `--json` prints."""
    runs, machine, proof = told["runs"], told["machine"], told["proof"]
    return markup.document(
        "gateway bench log",
        *heading("gateway bench log", machine, []),
        markup.cards(_short(told)),
        e("h2", "Latency of an entry"),
        e("figure", plots.bands("Latency", [Band(_name(run), _at(run)) for run in runs], "milliseconds")),
        e("h2", "Memory"),
        e("figure", *_memory(runs)),
        e("h2", "All figures"),
        markup.table("Appended.", *appended(runs)),
        markup.table("Checked.", *verified(told["verification"])),
        markup.table("Proofs, of entries all over the tree.", *_proofs(proof)),
        *conditions(machine, _METHOD),
    )  # fmt: skip


def appended(runs: Sequence[Told]) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Headings and lines of the table."""
    heads = ("append", "workers", "clients", "entries", "/s", "p50 ms", "p99 ms", "CPU µs", "RSS MB")
    return heads, [
        (
            run["profile"], f"{run['workers']}", f"{run['clients']}", f"{run['entries']}", f"{run['throughput']:.0f}",
            f"{run['p50_ms']:.2f}", f"{run['p99_ms']:.2f}", f"{run['cpu_us']:.0f}",
            f"{run['memory']['start_mb']:.0f} to {run['memory']['end_mb']:.0f}, {run['memory']['verdict']}",
        )
        for run in runs
    ]  # fmt: skip


def verified(checks: Sequence[Told]) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """The same of the checks."""
    heads = ("check", "entries", "processes", "seconds", "/s", "RSS MB")
    return heads, [
        (
            one["profile"], f"{one['entries']}", f"{one['processes']}", f"{one['seconds']:.2f}", f"{one['throughput']:.0f}",
            f"{one['rss_before_mb']:.0f} to {one['rss_mb']:.0f}",
        )
        for one in checks
    ]  # fmt: skip


def _proofs(proof: Told) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    heads = ("", "entries", "proofs", "hashes of the longest", "p50 ms", "p99 ms")
    about = f"{proof['size']:,}", f"{proof['proofs']}", f"{proof['hashes']}"
    return heads, [
        (name, *about, f"{proof[f'{name}_p50_ms']:.2f}", f"{proof[f'{name}_p99_ms']:.2f}")
        for name in ("made", "checked")
    ]


def _short(told: Told) -> Iterator[tuple[str, str]]:
    for run in told["runs"]:
        yield f"{run['throughput']:,.0f}/s", f"entries, {_name(run)}"
    yield f"{told['proof']['made_p50_ms']} ms", f"a proof among {told['proof']['size']:,} entries"
    for one in told["verification"]:
        yield f"{one['throughput']:,.0f}/s", f"checked, {one['profile']}, by {one['processes']} processes"


def _name(run: Told) -> str:
    several = f" ×{run['workers']}" if run["workers"] > 1 else ""
    return f"{run['profile']}{several}, {run['clients']} clients"


def _at(run: Told) -> dict[float, float]:
    return {float(percent): value for percent, value in run["latency_ms"].items()}


def _memory(runs: Sequence[Told]) -> Iterator[Element]:
    series = [
        Line(_name(run), [(entries, mb) for entries, mb in run["resident"]], number)
        for number, run in enumerate(runs)
    ]
    yield plots.lines("Resident memory of the largest worker", series, x="entries", y="MB")
    yield markup.key((plots.colour(number), line.name) for number, line in enumerate(series))
