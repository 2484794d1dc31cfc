"""The benchmark's results as a page: one file that loads nothing, for people who want to see before they read.

It says what was measured, on what, under which conditions and with how much spread; what failed stands at its top.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from gateway.bench import markup, plots
from gateway.bench.markup import e
from gateway.bench.place import CROWD
from gateway.bench.plots import Band, Line, Stack
from gateway.bench.trouble import BenchError
from gateway.soap.xml import Element

Told = Mapping[str, Any]  # what `--json` prints

# Parts of the hub's CPU in order of the path: stages that are shown as one, its CSS colour, and its words.
_PARTS: Final = (
    (("read", "verify"), plots.colour(0), "request read and verified"),
    (("identify", "admit", "recall", "decide"), plots.colour(3), "identified, admitted, permitted"),
    (("question",), plots.colour(2), "question made and signed"),
    (("answer",), plots.colour(4), "answer read, verified, accepted"),
    (("release",), plots.colour(5), "released"),
    (("sign",), plots.colour(1), "reply made and signed"),
    (("threads",), "var(--soft)", "commits (threads of the store)"),
    (("loop",), "var(--rest)", "HTTP, TLS, event loop, the rest"),
)
_FLOOR: Final = (
    ("crypto_ms", plots.colour(1), "signatures and digests"),
    ("xml_ms", plots.colour(0), "XML parse and C14N"),
    ("fsync_ms", "var(--soft)", "writes and fsync"),
)
_WIRE: Final = ("var(--rest)", "TLS on both legs, event loop")
LET_IN: Final = ", ".join(
    f"{section}.{line}" for section, lines in CROWD.items() for line in lines.strip().splitlines()
)
IN_REGISTER: Final = (
    "In the register everybody has the suite that is measured, and a quota that no load reaches."
)
# Of a load of many clients of one authority.
SETTINGS: Final = f"As shipped, but for {LET_IN}, so that a crowd of one authority is let in. {IN_REGISTER}"
_METHOD: Final = (
    (
        "load",
        "A closed loop: each client begins its next exchange when the last one is over. Messages are signed before the clock starts. Clients, providers and recipients run on the same machine as the hub, on other CPUs where there are any.",
    ),
    (
        "warm-up",
        "Every connection is opened before the clock starts, by twice as many exchanges as there are clients, which do not count. Where the number of exchanges is not given, a trial before the first round finds how many a round has.",
    ),
    (
        "an exchange",
        "consult: a question with its answer, two commits, four messages. notify: a notification until both recipients' endpoints have acknowledged it, five commits, six messages. mixed: 70 % consult, 15 % notify, 5 % to a mailbox, 10 % the mailbox's owner (list, fetch, acknowledge).",
    ),
    (
        "hub CPU",
        "All CPU time of the hub's processes, user and system, from the kernel's accounts, for each exchange.",
    ),
    (
        "floor",
        "A bare process that does the same signatures, digests, parsing, canonicalisation, TLS and fsyncs at the same sizes and concurrency, and nothing else: no HTTP, no agreement, no commitments, no queue. Measured before and after each round, on a CPU of the hub's.",
    ),
    ("ratio", "Hub CPU ÷ floor over all rounds; in brackets the lowest and the highest round."),
    (
        "by stage",
        "The hub's own histograms (gateway_stage_seconds). A stage that only computes is CPU time; where others had the CPU meanwhile, the kernel's count of that is taken off. Of the floor the pieces are measured one after the other, hot in the caches; what they cost more in an exchange is in its last part.",
    ),
    (
        "replies",
        "Each is looked at (status, signature element, ticket, content); the last one of each operation is verified in full. An exchange that fails is an error, and the command then fails.",
    ),
    ("memory", "Resident memory (RSS) of each worker at the end; shared pages count in each."),
    ("settings", SETTINGS),
)


def write(path: Path, text: str) -> None:
    """Write a page. Raises BenchError."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BenchError(
            "BEN009", f"{path} cannot be written: {error.strerror}.", "Name another file."
        ) from error


def of_runs(told: Told) -> str:
    """The page of `gateway bench`: the very figures that `--json` prints."""
    runs: Sequence[Told] = told["runs"]
    return markup.document(
        "gateway bench",
        *heading("gateway bench", told["machine"], runs),
        markup.cards(_best(runs)),
        e("h2", "Throughput"),
        e("p", "Exchanges a second by the number of clients that are at work at once; all evidence on.", class_="soft"),
        e("div", *_throughput(runs), class_="plots"),
        e("h2", "Latency"),
        e("figure", plots.bands("Latency of each run", [_band(run) for run in runs], "milliseconds, logarithmic"),
          e("figcaption", "Line: percentiles 1 to 99. Bar: the middle half. Mark, and first number: the median; second number:"
            " percentile 99. With a closed loop, latency grows with the number of clients once the hub is busy.")),
        e("h2", "Hub CPU, by stage, against the floor"),
        e("p", "All bars are in multiples of the run's own floor, so that runs of every size can be compared.", class_="soft"),
        e("h3", "Hub"), markup.key((colour, words) for _, colour, words in _PARTS),
        e("h3", "Floor"), markup.key([*((colour, words) for _, colour, words in _FLOOR), _WIRE]),
        e("figure", plots.stacks("CPU of one exchange", [_pair(run) for run in runs], "multiples of the floor"),
          e("figcaption", "At the end of a bar: CPU milliseconds of one exchange; of the hub's its ratio to the floor, too, with the lowest and the highest round.")),
        e("h2", "All figures"),
        _figures(runs),
        *(_stages(run) for run in runs),
        *conditions(told["machine"], _METHOD),
    )  # fmt: skip


def heading(title: str, machine: Told, runs: Sequence[Told]) -> Iterator[Element]:
    """Title, machine, and in the first place what failed."""
    when = datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC").lstrip("0")
    yield e(
        "header",
        e("h1", title),
        e(
            "p", f"{when} · {machine['cpu']}, {machine['cpus']} CPUs · store on {machine['store_filesystem']} · Python"
            f" {machine['python']} · gateway {machine['gateway']}", class_="soft",
        ),
    )  # fmt: skip
    errors = sum(run["errors"] for run in runs)
    if errors:
        yield e("p", f"{errors} exchanges failed: these figures are none.", class_="warn", role="alert")
    if machine["load_average"] > _IDLE * machine["cpus"]:
        words = f"The load average was {machine['load_average']:.1f} on {machine['cpus']} CPUs at the end: where others used the"
        yield e(
            "p", f"{words} machine, throughput and latency are worse than its own; ratios hold better.", class_="warn",
        )  # fmt: skip
    if machine["store_filesystem"] in {"tmpfs", "ramfs"}:
        yield e("p", "The store lay in memory: fsync cost nothing.", class_="warn")


_IDLE: Final = 1.5  # load average for each CPU up to which a benchmark has the machine to itself


def conditions(machine: Told, method: Iterable[tuple[str, str]]) -> Iterator[Element]:
    """How it was measured, and on what."""
    yield e("h2", "How it was measured")
    yield markup.facts("Method and conditions", method)
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    plain = [(name, str(value)) for name, value in machine.items() if name != "packages"]
    yield markup.facts("The machine", [*plain, ("packages", packages)])


def named(run: Told) -> str:
    """A run in a few words."""
    several = f" ×{run['workers']}" if run["workers"] > 1 else ""
    return f"{run['profile']} {run['suite']}{several} {run['size']:g} KB, {run['clients']}"


def _best(runs: Sequence[Told]) -> Iterator[tuple[str, str]]:
    for profile in dict.fromkeys(run["profile"] for run in runs):
        best = max((run for run in runs if run["profile"] == profile), key=lambda run: run["throughput"])
        yield f"{best['throughput']:.0f}/s", f"highest throughput, {named(best)} clients"
    lowest, highest = (choose(runs, key=lambda run: run["ratio"]) for choose in (min, max))
    yield f"{lowest['ratio']:.1f}–{highest['ratio']:.1f} ×", "hub CPU over the floor, of all runs"
    most = max(runs, key=lambda run: max(run["rss_mb_by_worker"]))
    yield f"{max(most['rss_mb_by_worker']):.0f} MB", "most memory of a worker"
    yield (
        f"{sum(run['errors'] for run in runs)}",
        f"errors in {sum(run['exchanges'] for run in runs)} exchanges",
    )


def _throughput(runs: Sequence[Told]) -> Iterator[Element]:
    for profile in dict.fromkeys(run["profile"] for run in runs):
        mine = [run for run in runs if run["profile"] == profile]
        sizes, kinds = list(dict.fromkeys(map(_size, mine))), list(dict.fromkeys(map(_kind, mine)))
        series = [
            Line(f"{kind}, {size:g} KB", points, sizes.index(size), kinds.index(kind))
            for kind in kinds
            for size in sizes
            if (points := _points(mine, kind, size))
        ]
        plot = plots.lines(
            f"Throughput, {profile}", series, x="clients at once", y="exchanges/s", logarithmic=True
        )
        words = [(plots.colour(number), f"{size:g} KB") for number, size in enumerate(sizes)]
        dashes = ", ".join(f"{kind}: {plots.dash(number)}" for number, kind in enumerate(kinds))
        yield e("figure", e("h3", profile), plot, markup.key(words), e("figcaption", f"{dashes}."))


def _points(runs: Iterable[Told], kind: str, size: float) -> list[tuple[float, float]]:
    chosen = [run for run in runs if (_kind(run), _size(run)) == (kind, size)]
    return sorted((float(run["clients"]), float(run["throughput"])) for run in chosen)


def _size(run: Told) -> float:
    return float(run["size"])


def _kind(run: Told) -> str:
    workers = run["workers"]
    return f"{run['suite']}, {workers} worker{'s' if workers > 1 else ''}"


def _band(run: Told) -> Band:
    return Band(named(run), {float(percent): value for percent, value in run["latency_ms"].items()})


def _pair(run: Told) -> tuple[Stack, Stack]:
    cpu, pieces, floor = run["cpu_ms"], run["floor"], run["floor_cpu_ms"]
    parts = [
        (colour, words, sum(cpu.get(name, 0.0) for name in names) / floor) for names, colour, words in _PARTS
    ]
    spread = f"{run['ratio']:.2f} × ({run['ratio_min']:.2f}–{run['ratio_max']:.2f})"
    known = [(colour, words, pieces[name] / floor) for name, colour, words in _FLOOR]
    rest = max(1.0 - sum(length for _, _, length in known), 0.0)
    return (
        Stack(named(run), parts, f"{run['hub_cpu_ms']:.2f} ms, {spread}"),
        Stack("floor", [*known, (*_WIRE, rest)], f"{floor:.2f} ms"),
    )


def _figures(runs: Sequence[Told]) -> Element:
    heads = (
        "run, clients", "exchanges", "errors", "/s", "p50 ms", "p99 ms", "CPU ms", "floor ms", "ratio", "lowest", "highest",
        "/CPU s", "RSS MB", "by worker",
    )  # fmt: skip
    rows = [
        (
            named(run), str(run["exchanges"]), str(run["errors"]), f"{run['throughput']:.0f}", f"{run['p50_ms']:.1f}",
            f"{run['p99_ms']:.1f}", f"{run['hub_cpu_ms']:.2f}", f"{run['floor_cpu_ms']:.2f}", f"{run['ratio']:.2f}",
            f"{run['ratio_min']:.2f}", f"{run['ratio_max']:.2f}", f"{run['exchanges_per_cpu_second']:.0f}",
            f"{run['rss_mb']:.0f}", ", ".join(f"{one:.0f}" for one in run["rss_mb_by_worker"]),
        )
        for run in runs
    ]  # fmt: skip
    return markup.table("CPU and floor are of one exchange.", heads, rows)


def _stages(run: Told) -> Element:
    rows = [
        (name, f"{one['count']:.0f}", f"{one['mean_ms']:.3f}", f"{one['p50_ms']:.3f}", f"{one['p99_ms']:.3f}")
        for name, one in run["stages"].items()
    ]
    heads = ("stage", "times", "mean ms", "p50 ms", "p99 ms")
    words = f"Stages: {named(run)} clients"
    caption = "By the clock, waiting included; percentiles are interpolated in the histogram's buckets."
    return e(
        "details", e("summary", words), markup.table(caption, heads, rows), id=re.sub(r"\W+", "-", words)
    )
