"""What pages of the benchmark are made of: elements, tables, and one style sheet for light, dark and paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from lxml import etree

from gateway.soap.xml import Element

SVG: Final = "http://www.w3.org/2000/svg"
# Hues that differ in lightness too, so that they can be told apart without colour vision, and in grey.
COLOURS: Final = 6
STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0; --ground: #ffffff; --card: #f6f8fa;
  --c0: #0b5cad; --c1: #c2410c; --c2: #15803d; --c3: #7c3aed; --c4: #a16207; --c5: #be185d; --rest: #8b949e; --floor: #6e7781 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9da7b1; --line: #30363d; --ground: #0d1117;
  --card: #161b22; --c0: #58a6ff; --c1: #f0883e; --c2: #56d364; --c3: #bc8cff; --c4: #e3b341; --c5: #ff7bba;
  --rest: #6e7681; --floor: #8b949e } }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); max-width: 72rem;
  margin: 0 auto; padding: 1.5rem 1rem 4rem }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem } h2 { font-size: 1.25rem; margin: 2.5rem 0 .4rem }
h3 { font-size: 1rem; margin: 1.2rem 0 .2rem } p { max-width: 46rem; margin: .4rem 0 } .soft { color: var(--soft) }
.cards { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.2rem 0; padding: 0; list-style: none }
.cards li { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .7rem 1rem;
  min-width: 11rem; flex: 1 }
.cards b { display: block; font-size: 1.5rem; line-height: 1.3; font-variant-numeric: tabular-nums }
.cards span { color: var(--soft); font-size: .85rem; display: block }
.warn { border-left: .3rem solid var(--c1); background: var(--card); padding: .6rem 1rem; max-width: none }
figure { margin: 1rem 0; overflow-x: auto } figcaption { color: var(--soft); font-size: .9rem; max-width: 46rem }
svg { display: block; max-width: 100%; height: auto; font: 12px system-ui, sans-serif; fill: var(--ink) }
svg .soft { fill: var(--soft) } svg .axis { stroke: var(--line); stroke-width: 1 } svg .strong { font-weight: 600 }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(28rem, 100%), 1fr)); gap: 1rem }
.plots figure { margin: .5rem 0 }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1rem; list-style: none; padding: 0; margin: .5rem 0; font-size: .85rem }
.key i { display: inline-block; width: .8rem; height: .8rem; border-radius: .15rem; margin-right: .35rem;
  vertical-align: -.05rem }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; margin: .6rem 0 }
caption { text-align: left; color: var(--soft); padding: .2rem 0 } th, td { padding: .25rem .5rem; text-align: right;
  border-bottom: 1px solid var(--line); white-space: nowrap } thead th { border-bottom: 2px solid var(--soft) }
th[scope=row] { text-align: left; font-weight: 400 }
.words td, .words th { text-align: left; white-space: normal; vertical-align: top }
.words th { font-weight: 600; white-space: nowrap } summary { cursor: pointer; margin: .6rem 0 }
@media print { body { max-width: none; font-size: 10pt } figure, tr { break-inside: avoid } details { display: block } }
"""


def e(tag: str, *content: Element | str | None, **attributes: object) -> Element:
    """An element; names of attributes may end in an underscore, and have one for a hyphen. None is left out."""
    made = etree.Element(tag, {_name(name): str(value) for name, value in attributes.items()})
    for one in content:
        if isinstance(one, str):
            _append(made, one)
        elif one is not None:
            made.append(one)
    return made


def document(title: str, *content: Element | None) -> str:
    """A whole page, which loads nothing and has no script."""
    head = e(
        "head",
        e("meta", charset="utf-8"),
        e("meta", name="viewport", content="width=device-width, initial-scale=1"),
        e("title", title),
        e("style", STYLE),
    )
    root = e("html", head, e("body", *content), lang="en")
    return str(etree.tostring(root, method="html", encoding="unicode", doctype="<!DOCTYPE html>"))


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Element:
    """A table of figures; the first cell of each row names it."""
    body = [
        e("tr", e("th", first, scope="row"), *(e("td", cell) for cell in cells)) for first, *cells in rows
    ]
    head = e("tr", *(e("th", one, scope="col") for one in heads))
    whole = e("table", e("caption", caption), e("thead", head), e("tbody", *body))
    return e("div", whole, class_="scroll")


def facts(caption: str, rows: Iterable[tuple[str, str]]) -> Element:
    """A table of words."""
    body = [e("tr", e("th", name, scope="row"), e("td", value)) for name, value in rows]
    return e("table", e("caption", caption), e("tbody", *body), class_="words")


def key(entries: Iterable[tuple[str, str]]) -> Element:
    """What colours mean: CSS colour and words."""
    return e(
        "ul",
        *(e("li", e("i", style=f"background:{colour}"), words) for colour, words in entries),
        class_="key",
    )


def cards(entries: Iterable[tuple[str, str]]) -> Element:
    """Figures that matter most, each with what it is."""
    return e("ul", *(e("li", e("b", figure), e("span", words)) for figure, words in entries), class_="cards")


def _append(made: Element, words: str) -> None:
    if len(made):
        made[-1].tail = (made[-1].tail or "") + words
    else:
        made.text = (made.text or "") + words


def _name(name: str) -> str:
    return name.removesuffix("_").replace("_", "-")
