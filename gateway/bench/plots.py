"""Plots as inline SVG: static, each with a title and a description in words for whoever cannot see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Final

from gateway.bench.markup import COLOURS, e
from gateway.soap.xml import Element

_WIDTH: Final = 640.0  # of lines, two beside each other
_WIDE: Final = 940.0  # of rows, alone
_NOTE: Final = 190.0  # room for words at the end of a row
_LEFT: Final = 62.0  # room for numbers at an axis
_RIGHT: Final = 20.0
_ROW: Final = 22.0
_DASHES: Final = (("", "solid"), ("6 4", "dashed"), ("2 3", "dotted"), ("8 3 2 3", "dash and dot"))
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """A series of points in ascending order, and how it is drawn."""

    name: str
    points: Sequence[Point]
    colour: int = 0
    dash: int = 0


@dataclass(frozen=True, slots=True)
class Band:
    """A distribution, by its percentiles."""

    name: str
    at: Mapping[float, float]


@dataclass(frozen=True, slots=True)
class Stack:
    """A bar of several parts: CSS colour, name and length of each; `note` stands at its end."""

    name: str
    parts: Sequence[tuple[str, str, float]]
    note: str


def colour(number: int) -> str:
    """A CSS colour of the palette."""
    return f"var(--c{number % COLOURS})"


def figure(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def dash(number: int) -> str:
    """How a line of this number looks, in a word."""
    return _DASHES[number % len(_DASHES)][1]


def lines(  # noqa: PLR0913 - what an axis says is part of a plot
    title: str,
    series: Sequence[Line],
    *,
    x: str,
    y: str,
    logarithmic: bool = False,
    height: float = 260.0,
) -> Element:
    """Lines over an x axis, logarithmic where it doubles, and a y axis that begins at 0."""
    xs = sorted({point[0] for line in series for point in line.points})
    top = _nice(max((point[1] for line in series for point in line.points), default=1.0))
    place_x = _log(xs[0], xs[-1]) if logarithmic else _linear(xs[0], xs[-1])
    bottom = height - 40.0

    def across(value: float) -> float:
        return _LEFT + place_x(value) * (_WIDTH - _LEFT - _RIGHT)

    def up(value: float) -> float:
        return bottom - value / top * (bottom - 28.0)

    marks = xs if logarithmic else list(_ticks(xs[0], xs[-1]))
    drawn = [_grid_y(tick, up(tick)) for tick in _ticks(0.0, top)]
    drawn += [_words(across(mark), bottom + 16, f"{mark:g}", "middle") for mark in marks]
    drawn += [part for line in series for part in _line(line, across, up)]
    drawn += [
        _words(_LEFT, 14, y, class_="soft"),
        _words(_WIDTH - _RIGHT, height - 6, x, "end", class_="soft"),
    ]
    told = "; ".join(
        f"{line.name}: " + ", ".join(f"{a:g}: {b:.4g}" for a, b in _told(line)) for line in series
    )
    return _svg(title, f"{y} by {x}. {told}.", height, drawn)


def bands(title: str, rows: Sequence[Band], x: str) -> Element:
    """A row for each distribution on a logarithmic axis: a line from percentile 1 to 99, a bar over the middle half,
    a mark at the median.
    """
    label = _label_width([row.name for row in rows])
    low = min(row.at[1] for row in rows)
    high = max(row.at[99] for row in rows)
    place, bottom = _log(low, high), 24.0 + _ROW * len(rows)

    def across(value: float) -> float:
        return label + place(max(value, low)) * (_WIDE - label - _NOTE)

    drawn = [_grid_x(tick, across(tick), 20.0, bottom) for tick in _decades(low, high)]
    for number, row in enumerate(rows):
        middle = 24.0 + _ROW * number + _ROW / 2
        drawn += [
            _words(label - 8, middle + 4, row.name, "end"),
            _stroke((across(row.at[1]), middle), (across(row.at[99]), middle), colour(0), 1.5),
            _bar(
                across(row.at[25]), middle - 6, max(across(row.at[75]) - across(row.at[25]), 1.0), colour(0)
            ),
            _stroke((across(row.at[50]), middle - 8), (across(row.at[50]), middle + 8), colour(1), 3.0),
            _words(
                across(row.at[99]) + 6,
                middle + 4,
                f"{figure(row.at[50])} / {figure(row.at[99])}",
                class_="soft",
            ),
        ]
    drawn.append(_words(_WIDE - _NOTE, bottom + 34, x, "end", class_="soft"))
    told = "; ".join(
        f"{row.name}: median {figure(row.at[50])}, percentile 99 {figure(row.at[99])}" for row in rows
    )
    return _svg(title, f"{x}. {told}.", bottom + 40, drawn, _WIDE)


def stacks(title: str, groups: Sequence[Sequence[Stack]], x: str) -> Element:
    """Bars of several parts from 0, in groups that belong together."""
    label = _label_width([bar.name for group in groups for bar in group])
    longest = _nice(max(sum(part[2] for part in bar.parts) for group in groups for bar in group))

    def across(value: float) -> float:
        return label + value / longest * (_WIDE - label - _NOTE)

    drawn: list[Element] = []
    y = 24.0
    for group in groups:
        for bar in group:
            drawn += [_words(label - 8, y + 13, bar.name, "end"), *_parts(bar, across, y)]
            end = across(sum(part[2] for part in bar.parts))
            drawn.append(_words(end + 6, y + 13, bar.note, class_="soft"))
            y += 20.0
        y += 8.0
    grid = [_grid_x(tick, across(tick), 20.0, y) for tick in _ticks(0.0, longest)]
    drawn.append(_words(_WIDE - _NOTE, y + 34, x, "end", class_="soft"))
    told = "; ".join(
        f"{bar.name}: " + ", ".join(f"{name} {length:.3g}" for _, name, length in bar.parts)
        for group in groups
        for bar in group
    )
    return _svg(title, f"{x}. {told}.", y + 40, grid + drawn, _WIDE)


def _parts(bar: Stack, across: Callable[[float], float], y: float) -> Iterator[Element]:
    reached = 0.0
    for fill, name, length in bar.parts:
        left, right = across(reached), across(reached + length)
        reached += length
        drawn = _bar(left, y + 1, max(right - left - 0.75, 0.0), fill, 16.0)
        drawn.append(e("title", f"{bar.name}: {name} {length:.3g}"))
        yield drawn


def _line(line: Line, across: Callable[[float], float], up: Callable[[float], float]) -> Iterator[Element]:
    places = [(across(a), up(b)) for a, b in line.points]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    dashes = _DASHES[line.dash % len(_DASHES)][0]
    yield e(
        "polyline", e("title", line.name), points=path, fill="none", stroke=colour(line.colour), stroke_width="2",
        stroke_dasharray=dashes or "none", stroke_linejoin="round",
    )  # fmt: skip
    if len(places) <= _FEW:
        for a, b in places:
            yield e("circle", cx=f"{a:.1f}", cy=f"{b:.1f}", r="3", fill=colour(line.colour))


_FEW: Final = 30  # points that are marked, and told in words


def _told(line: Line) -> Sequence[Point]:
    return line.points if len(line.points) <= _FEW else (line.points[0], line.points[-1])


def _svg(title: str, told: str, height: float, drawn: Sequence[Element], width: float = _WIDTH) -> Element:
    return e(
        "svg", e("title", title), e("desc", told), *drawn,
        viewBox=f"0 0 {width:g} {height:g}", width=f"{width:g}", role="img", aria_label=f"{title}. {told}",
    )  # fmt: skip


def _words(x: float, y: float, words: str, anchor: str = "start", class_: str = "") -> Element:
    made = e("text", words, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)
    if class_:
        made.set("class", class_)
    return made


def _stroke(start: Point, end: Point, fill: str, width: float) -> Element:
    return e(
        "line", x1=f"{start[0]:.1f}", y1=f"{start[1]:.1f}", x2=f"{end[0]:.1f}", y2=f"{end[1]:.1f}", stroke=fill,
        stroke_width=f"{width:g}",
    )  # fmt: skip


def _bar(x: float, y: float, width: float, fill: str, height: float = 12.0) -> Element:
    return e(
        "rect", x=f"{x:.1f}", y=f"{y:.1f}", width=f"{width:.1f}", height=f"{height:g}", rx="1.5", fill=fill
    )


def _grid_y(value: float, y: float) -> Element:
    rule = e("line", x1=f"{_LEFT:g}", x2=f"{_WIDTH - _RIGHT:g}", y1=f"{y:.1f}", y2=f"{y:.1f}", class_="axis")
    return e("g", rule, _words(_LEFT - 8, y + 4, f"{value:g}", "end", class_="soft"))


def _grid_x(value: float, x: float, top: float, bottom: float) -> Element:
    rule = e("line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=f"{top:g}", y2=f"{bottom:g}", class_="axis")
    return e("g", rule, _words(x, bottom + 16, f"{value:g}", "middle", class_="soft"))


def _label_width(names: Sequence[str]) -> float:
    return 16.0 + 6.6 * max(map(len, names))


def _linear(low: float, high: float) -> Callable[[float], float]:
    return lambda value: (value - low) / (high - low) if high > low else 0.5


def _log(low: float, high: float) -> Callable[[float], float]:
    return lambda value: log10(value / low) / log10(high / low) if high > low else 0.5


def _nice(highest: float) -> float:
    """The end of an axis: a round number not below this one."""
    if highest <= 0:
        return 1.0
    unit = 10.0 ** floor(log10(highest))
    return next(step * unit for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * unit >= highest)


def _ticks(low: float, high: float) -> Iterator[float]:
    """Four to eight round numbers."""
    step = _nice((high - low) / 6) if high > low else 1.0
    number = ceil(low / step)
    while number * step <= high + step / 1000:
        yield round(number * step, 10)
        number += 1


def _decades(low: float, high: float) -> Iterator[float]:
    """1, 2 and 5 of each decade between the two."""
    for power in range(floor(log10(low)), ceil(log10(high)) + 1):
        for digit in (1, 2, 5):
            if low <= (value := digit * 10.0**power) <= high:
                yield value
