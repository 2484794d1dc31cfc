"""The page of a soak: the verdict first, then memory, throughput, latency, queue and store over its length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from gateway.bench import markup, plots
from gateway.bench.markup import e
from gateway.bench.memory import RULE
from gateway.bench.page import SETTINGS, Told, conditions, heading
from gateway.bench.plots import Line
from gateway.bench.soak import MODERATE
from gateway.soap.xml import Element

_Plot = tuple[str, Mapping[str, str]]  # what its y axis says; name of a figure → what it is called
_LOAD: Final[tuple[_Plot, ...]] = (
    ("exchanges/s", {"throughput": "throughput"}),
    ("milliseconds", {"p50_ms": "median", "p99_ms": "percentile 99"}),
)
_STORED: Final[tuple[_Plot, ...]] = (
    ("deliveries that wait", {"queue": "queue"}),
    ("entries of the log", {"log_entries": "entries"}),
    ("MB on disk", {"store_mb": "store"}),
)
_METHOD: Final = (
    (
        "load",
        f"Constant: {MODERATE * 100:g} % of the throughput that the hub had without a limit at the start; clients begin an exchange when it is due, or when they are done with the last, if that is later; its latency counts from when it was due. Between two rounds the next messages are signed, connections are opened anew and used once, which does not count, and the hub rests.",
    ),
    ("verdict", RULE),
    ("memory", "Resident memory (RSS) of each worker after each round; shared pages count in each."),
    ("queue", "Deliveries that wait, as the hub counts them every five seconds."),
    ("settings", SETTINGS),
)


def of_soak(told: Told) -> str:
    """The page of `gateway bench soak`: the very figures that `--json` prints."""
    soak, machine = told["soak"], told["machine"]
    return markup.document(
        "gateway bench soak",
        *heading("gateway bench soak", machine, [soak]),
        markup.cards(_short(soak)),
        e("p", soak["rule"], class_="soft"),
        e("h2", "Memory"),
        e("figure", _memory(soak)),
        _slopes(soak),
        e("h2", "Load and latency"),
        e("div", *_over(soak, _LOAD), class_="plots"),
        e("h2", "What is stored"),
        e("div", *_over(soak, _STORED), class_="plots"),
        *conditions(machine, _METHOD),
    )  # fmt: skip


def _short(soak: Told) -> Iterator[tuple[str, str]]:
    several = f"{soak['workers']} worker{'s' if soak['workers'] > 1 else ''}"
    yield soak["verdict"], f"memory of {several}, by the rule below"
    yield f"{soak['exchanges']:,}", f"exchanges in {soak['seconds'] / 60:.1f} minutes"
    yield (
        f"{soak['rate']:.0f}/s",
        f"{soak['profile']}, {soak['suite']}, {soak['size']:g} KB, {soak['clients']} clients",
    )
    yield f"{soak['errors']}", "errors"


def _memory(soak: Told) -> Element:
    series = [
        Line(
            f"worker {number + 1}",
            [(sample["exchanges"], sample["rss_mb"][number]) for sample in soak["samples"]],
            number,
        )
        for number in range(soak["workers"])
    ]
    return plots.lines("Resident memory of each worker", series, x="exchanges", y="MB")


def _slopes(soak: Told) -> Element:
    rows = []
    for number, one in enumerate(soak["memory"], start=1):
        slope = one["slope_mb_per_1000"]
        ends = (
            ("", "", "")
            if slope is None
            else tuple(f"{slope[key]:+.4f}" for key in ("estimate", "low", "high"))
        )
        rows.append(
            (f"worker {number}", f"{one['start_mb']:.1f}", f"{one['end_mb']:.1f}", *ends, one["verdict"])
        )
    heads = ("", "start MB", "end MB", "MB per 1000", "from", "to", "verdict")
    return markup.table("Slope after the warm-up, with its 95 % confidence interval.", heads, rows)


def _over(soak: Told, plotted: Iterable[_Plot]) -> Iterator[Element]:
    def points(name: str) -> list[tuple[float, float]]:
        return [(sample["seconds"] / 60, sample[name]) for sample in soak["samples"]]

    for words, names in plotted:
        series = [Line(said, points(name), number) for number, (name, said) in enumerate(names.items())]
        key = markup.key((plots.colour(number), said) for number, said in enumerate(names.values()))
        drawn = plots.lines(f"{words} over time", series, x="minutes", y=words, height=200.0)
        yield e("figure", drawn, key if len(names) > 1 else None)
