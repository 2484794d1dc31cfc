"""The page of overload: what is left of the peak, and how long a calm authority waits beside a flood."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.bench import markup, plots
from gateway.bench.markup import e
from gateway.bench.page import Told, conditions, heading
from gateway.bench.plots import Stack

_METHOD: Final = (
    ("peak", "Throughput with as many clients as the hub is about best with, before and after."),
    ("overload", "Four times as many clients: such as come back when Retry-After says, and such as come back at once. Exchanges that were turned away are no throughput."),
    ("latency", "From the first time that a question is asked until its answer: whoever is turned away waits as long as it comes back for."),
    ("calm", "One authority that asks one question after the other on each of two connections: alone, beside another authority that asks with all its connections at once, and alone again."),
    ("quotas", "Without: none that the flood could reach. In its first burst: those of the shipped agreement, and it has not asked before. After its burst: the same, once the burst is used up."),
    ("settings", "As shipped, but for limits.connections_per_address = 1024 and limits.header_seconds = 120: many clients at one address, which wait until all have connected."),
)  # fmt: skip


def of_overload(told: Told) -> str:
    """The page of `gateway bench overload`: the very figures that `--json` prints."""
    (over, *fair), machine = told["runs"], told["machine"]
    loads = [*over["peak"], *over["over"]]
    return markup.document(
        "gateway bench overload",
        *heading("gateway bench overload", machine, [*loads, *fair]),
        markup.cards(_short(over, fair)),
        e("h2", "Throughput"),
        e("figure", plots.stacks("Throughput", [[_bar(one, over) for one in loads]], "exchanges/s")),
        e("h2", "A calm authority beside a flood"),
        e("figure", plots.stacks("Median", [_waits(one) for one in fair], "milliseconds")),
        e("h2", "All figures"),
        markup.table("Rounds of the overload.", *_loads(loads)),
        markup.table("Rounds of the calm authority.", *_calms(fair)),
        *conditions(machine, _METHOD),
    )  # fmt: skip


def _short(over: Told, fair: Sequence[Told]) -> Iterator[tuple[str, str]]:
    for one in over["over"]:
        yield f"{one['kept']:.0%}", f"of the peak left, {one['clients']} clients, {_who(one)}"
    for one in fair:
        yield f"{one['p99_times']:g} ×", f"percentile 99 of the calm beside a flood, {_quotas(one)}"


def _bar(one: Told, over: Told) -> Stack:
    peak = one in over["peak"]
    name = f"{one['clients']} clients" if peak else f"{one['clients']}, {_who(one)}"
    note = "" if peak else f"{one['kept']:.0%}"
    return Stack(
        name,
        [(plots.colour(0 if peak else 1), "exchanges/s", one["throughput"])],
        f"{one['throughput']:.0f} {note}",
    )


def _waits(one: Told) -> list[Stack]:
    rounds = [("alone", one["alone"][0]), ("beside", one["beside"]), ("alone again", one["alone"][1])]
    return [
        Stack(f"{name}, {_quotas(one)}", [(plots.colour(2), "median", calm["p50_ms"])], f"{calm['p50_ms']:.0f} / {calm['p99_ms']:.0f}")
        for name, calm in rounds
    ]  # fmt: skip


def _loads(loads: Sequence[Told]) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    heads = ("clients", "come back", "/s", "per hub-CPU-second", "p50 ms", "p99 ms", "turned away", "RSS MB")
    return heads, [
        (
            f"{one['clients']}", _who(one), f"{one['throughput']:.0f}", f"{one['per_cpu_second']:.0f}", f"{one['p50_ms']:.0f}",
            f"{one['p99_ms']:.0f}", f"{one['turned_away']}", f"{one['rss_mb']:.0f}",
        )
        for one in loads
    ]  # fmt: skip


def _calms(fair: Sequence[Told]) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    heads = (
        "",
        "connections of the flood",
        "its exchanges/s",
        "turned away",
        "calm turned away",
        "median ×",
        "percentile 99 ×",
    )
    return heads, [
        (
            _quotas(one), f"{one['flood']['connections']}", f"{one['flood']['throughput']:.0f}", f"{one['flood']['turned_away']}",
            f"{one['beside']['turned_away']}", f"{one['p50_times']:g}", f"{one['p99_times']:g}",
        )
        for one in fair
    ]  # fmt: skip


def _who(one: Told) -> str:
    return "when they are told to" if one["heeds_retry_after"] else "at once"


def _quotas(one: Told) -> str:
    return {"none": "without quotas", "burst": "in its first burst", "spent": "after its burst"}[
        one["quotas"]
    ]
