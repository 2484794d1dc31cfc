"""The page of large documents: memory against size first, then speed and cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gateway.bench import markup, plots
from gateway.bench.markup import e
from gateway.bench.page import IN_REGISTER, LET_IN, Told, conditions, heading
from gateway.bench.plots import Line

_METHOD: Final = (
    ("documents", "Each goes alone through a hub of one worker: retrieved from a platform's endpoint by a region, then uploaded by the platform. Sent as an attachment (MTOM), streamed at every leg; the client verifies signature and content as they come."),
    ("memory", "VmHWM of the hub's process, forgotten before each document: the most resident memory that it had meanwhile."),
    ("speed", "From the first byte of the request to the last of the verified reply. The hub passes nothing on before the whole document is verified, so that it travels twice one after the other."),
    ("floor", "The raw work on each MB: TLS in and out, SHA-256 of its base64 for the signature that is verified and for the one that is made, SHA-256 of itself, AES-GCM sealing and opening. An upload makes no second signature over the content."),
    ("settings", f"As shipped, but for {LET_IN}. {IN_REGISTER}"),
)  # fmt: skip


def of_documents(told: Told) -> str:
    """The page of `gateway bench documents`: the very figures that `--json` prints."""
    rows, machine = told["documents"], told["machine"]
    most = max(max(one["peak_mb"]) for one in rows)
    largest = max(one["size_mb"] for one in rows)
    heads, figures_ = figures(rows)
    return markup.document(
        "gateway bench documents",
        *heading("gateway bench documents", machine, rows),
        markup.cards([(f"{most:.0f} MB", "most memory that the hub ever had"), (f"{largest:g} MB", "largest document")]),
        e("h2", "Memory and speed"),
        e(
            "div",
            e("figure", _plot(rows, "most memory of the hub, MB", "peak"), _key(rows)),
            e("figure", _plot(rows, "MB/s", "mb_per_second"), _key(rows)),
            class_="plots",
        ),
        e("h2", "All figures"),
        markup.table("CPU is of each MB.", heads, figures_),
        *conditions(machine, _METHOD),
    )  # fmt: skip


def figures(rows: Sequence[Told]) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Headings and lines of the table."""
    heads = ("operation", "MB", "seconds", "MB/s", "hub CPU ms/MB", "floor", "ratio", "RSS before", "peak MB")
    return heads, [
        (
            one["operation"], f"{one['size_mb']:g}", f"{one['seconds']:.2f}", f"{one['mb_per_second']:.0f}",
            f"{one['hub_cpu_ms_per_mb']:.1f}", f"{one['floor_cpu_ms_per_mb']:.1f}", f"{one['ratio']:.2f}",
            f"{sum(one['rss_before_mb']):.0f}", f"{sum(one['peak_mb']):.0f}",
        )
        for one in rows
    ]  # fmt: skip


def _plot(rows: Sequence[Told], words: str, name: str) -> Any:
    series = [
        Line(operation, [(one["size_mb"], _value(one, name)) for one in rows if one["operation"] == operation], number)
        for number, operation in enumerate(_operations(rows))
    ]  # fmt: skip
    return plots.lines(f"{words}, by size", series, x="MB of the document", y=words)


def _value(one: Told, name: str) -> float:
    return float(max(one["peak_mb"]) if name == "peak" else one[name])


def _operations(rows: Sequence[Told]) -> list[str]:
    return list(dict.fromkeys(one["operation"] for one in rows))


def _key(rows: Sequence[Told]) -> Any:
    return markup.key((plots.colour(number), name) for number, name in enumerate(_operations(rows)))
