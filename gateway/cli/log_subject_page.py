"""The report for a person as a page: plain semantic HTML in one file, to be read on paper and by screen readers alike.

It loads nothing, has no script, and says everything in words: without its style sheet nothing is lost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from lxml import etree

from gateway.cli.log_subject_told import Part, Told
from gateway.exchangelog.note import base64
from gateway.policy.subject import Category, Disclosure, State
from gateway.soap.xml import Element

TITLE: Final = "Who received your data through the Working in Belgium gateway"
_STYLE: Final = """
body { font: 1rem/1.5 sans-serif; color: #111; background: #fff; max-width: 70rem; margin: 1rem auto; padding: 0 1rem }
h1, h2, h3 { line-height: 1.2 } h2 { margin-top: 2.5rem }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 }
caption { text-align: left; font-weight: bold; padding: .3rem 0 }
th, td { border: 1px solid #767676; padding: .4rem .5rem; text-align: left; vertical-align: top }
thead th { background: #eee } td ul { margin: 0; padding-left: 1.1rem }
time { white-space: nowrap } dt { font-weight: bold } dd { margin: 0 0 .5rem 1rem }
pre { white-space: pre-wrap; overflow-wrap: anywhere } .scroll { overflow-x: auto }
@media print { body { max-width: none; font-size: 9pt } tr { break-inside: avoid } .scroll { overflow: visible } }
"""
_STATES: Final = {
    State.ANSWERED: "Answered",
    State.NOT_RETURNED: "Released, but the answer could not be sent",
    State.UNDER_WAY: "Sent or fetched; not acknowledged yet",
    State.ACKNOWLEDGED: "Acknowledged by the recipient",
    State.LAPSED: "Ended: the recipient's part in the file was over",
    State.EXPIRED: "Ended: kept as long as the agreement allows, and not acknowledged",
    State.DROPPED: "Ended by the operator, not acknowledged",
}
_NOT_SHOWN: Final = (
    "The data themselves. The exchange log does not hold them; ask the authorities named here for a copy.",
    "Whether a category held anything. A category is listed when its recipient was permitted to receive it.",
    "Questions that were refused. Nothing was handed over.",
    "What the law asks or allows to keep back, such as for public order (GDPR art. 23), nor whether there is any.",
    "Files that are kept under another number of yours. Ask again with that number.",
    "What authorities exchange without this gateway.",
)


def page(told: Told) -> str:
    """The whole document."""
    title = _e("title", TITLE)
    viewport = _e("meta", name="viewport", content="width=device-width, initial-scale=1")
    head = _e("head", _e("meta", charset="utf-8"), viewport, title, _e("style", _STYLE))
    sections = (_short(told), _each(told), _waiting(told), _looked_up(told), _bases(told))
    ends = (_not_shown(told), _rights(told), _check(told))
    main = _e("main", *(one for one in (*sections, *ends) if one is not None))
    document = _e("html", head, _e("body", _e("header", *_header(told)), main), lang="en")
    return str(etree.tostring(document, method="html", encoding="unicode", doctype="<!DOCTYPE html>"))


def _header(told: Told) -> Iterable[Element]:
    yield _e("h1", TITLE)
    made = _e("time", f"{told.made[:10]} {told.made[11:16]} UTC", datetime=told.made)
    yield _e("p", "Made on ", made, " for the person who asked (GDPR art. 15).")
    if told.authority is not None:
        name = _named(told, told.authority)
        yield _e("p", "It covers only the exchanges in which ", name, " took part.")


def _short(told: Told) -> Element:
    """By recipient: what a reader wants to know first."""
    by_recipient: dict[str, list[Disclosure]] = defaultdict(list)
    for _, one in told.disclosures:
        by_recipient[one.recipient].append(one)
    if not by_recipient:
        return _section("In short", _e("p", "No exchange of your data is on record."))
    rows = [
        (
            _recipient(told, recipient),
            _list(_labels([category for one in given for category in one.categories])),
            str(len(given)),
            _time(given[0].time),
            _time(given[-1].time),
        )
        for recipient, given in by_recipient.items()
    ]
    head = ("Who received", "Which categories of data", "How often", "First", "Last")
    return _section("In short", _table("Recipients of your data", head, rows))


def _each(told: Told) -> Element | None:
    by_dossier: dict[str, list[tuple[str, Disclosure]]] = defaultdict(list)
    for log, one in told.disclosures:
        by_dossier[str(one.dossier)].append((log, one))
    if not by_dossier:
        return None
    head = (
        "When",
        "Who received",
        "From whom",
        "Which categories",
        "Why",
        "Legal basis",
        "What became of it",
        "Entry of the log",
    )
    tables = [
        _table(f"File {dossier}", head, [_row(told, log, one) for log, one in given])
        for dossier, given in by_dossier.items()
    ]
    return _section("Each exchange", *tables)


def _row(told: Told, log: str, one: Disclosure) -> Sequence[Element | str]:
    return (
        _time(one.time),
        _recipient(told, one.recipient),
        _named(told, *one.sources),
        _list(_labels(one.categories)),
        one.purpose,
        _letters(one),
        _STATES[one.state],
        f"{one.index} of {log}",
    )


def _waiting(told: Told) -> Element | None:
    if not told.waiting:
        return None
    rows = [
        (
            *(_time(one.time), _recipient(told, one.recipient), _named(told, one.source)),
            *(one.operation, f"{one.index} of {log}"),
        )
        for log, one in told.waiting
    ]
    head = ("Since", "Who will receive", "From whom", "Message", "Entry of the log")
    return _section("Still to be delivered", _table("Messages that wait for their recipient", head, rows))


def _looked_up(told: Told) -> Element:
    if not told.looked_up:
        return _section(
            "Looked up in the log", _e("p", "Before this report nobody looked you up in the log.")
        )
    rows = [
        (_time(one.time), _named(told, one.authority), f"{one.index} of {log}") for log, one in told.looked_up
    ]
    text = "Security officers who looked you up, to watch over the exchanges or to answer you:"
    head = ("When", "Officer of", "Entry of the log")
    return _section("Looked up in the log", _e("p", text), _table("Look-ups", head, rows))


def _bases(told: Told) -> Element | None:
    found = {letter: text for _, one in told.disclosures for letter, text in one.bases.items()}
    if not found:
        return None
    rows = [
        part
        for letter in sorted(found)
        for part in (_e("dt", letter, id=f"basis-{letter}"), _e("dd", found[letter]))
    ]
    return _section("Legal bases", _e("p", f"As {told.agreement.title} names them:"), _e("dl", *rows))


def _not_shown(told: Told) -> Element:
    gone = ["Exchanges of which nobody can tell any more whom they are about."] if told.unopened else []
    lost = [f"What the log {one} recorded: it is lost." for one in told.lost]
    return _section("What this report does not show", _list([*_NOT_SHOWN, *gone, *lost]))


def _rights(told: Told) -> Element:
    years = told.agreement.retention.log_years
    return _section(
        "How long, and your rights",
        _e(
            "p",
            f"The exchange log is kept for {years} years. The gateway decides nothing about you by itself.",
        ),
        _e(
            "p",
            "You may ask each authority to correct or erase data, or to restrict or stop their use, and complain to the "
            "Belgian Data Protection Authority (www.dataprotectionauthority.be).",
        ),
    )


def _check(told: Told) -> Element:
    text = "Which entries are about you was found with keys that only the gateway holds; an auditor there can repeat it."
    each = [part for one in told.parts for part in _checked(one, told.parts[-1].checkpoint.origin)]
    return _section("How this can be checked", *each, _e("p", text))


def _checked(one: Part, present: str) -> Iterator[Element]:
    """Of one log."""
    signed = one.checkpoint
    yield _e(
        "p",
        f"This report looked through all {one.end - one.start} entries that the log {signed.origin} keeps. They lead to "
        f"the root below, which is {'signed' if signed.origin == present else 'the one that its successor names'}: none "
        f"was missing or altered. That the report was made is entry {one.access} of {present}.",
    )
    facts = (("Size", str(signed.size)), ("Root", base64(signed.root)))
    yield _e(
        "dl",
        *(part for name, value in facts for part in (_e("dt", name), _e("dd", _e("code", value)))),
    )
    yield _e("pre", one.note)


def _recipient(told: Told, party: str) -> Element:
    name, role = told.name(party), told.role(party)
    return _e("span", name if role in {"", name} else f"{name} ({role})", lang=told.language)


def _named(told: Told, *parties: str) -> Element:
    return _e("span", told.names(parties), lang=told.language)


def _labels(categories: Sequence[Category]) -> Iterator[str]:
    """Each category once. Of a document only the kinds that it can be of are known."""
    yield from dict.fromkeys(one.name for one in categories if not one.document)
    if kinds := dict.fromkeys(one.name for one in categories if one.document):
        yield f"A document of one of these kinds: {', '.join(kinds)}"


def _letters(one: Disclosure) -> Element:
    """To the text of each further down."""
    letters = sorted(one.bases)
    links = [_e("a", letter, href=f"#basis-{letter}") for letter in letters]
    return _e("span", *(part for at, link in enumerate(links) for part in ((", ", link) if at else (link,))))


def _time(text: str) -> Element:
    """To the minute, for a narrow column."""
    return _e("time", text[:10], _e("br"), f"{text[11:16]} UTC", datetime=text)


def _section(heading: str, *children: Element) -> Element:
    return _e("section", _e("h2", heading), *children)


def _table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Element | str]]) -> Element:
    """The first cell of a row is its heading."""
    lines = [_e("tr", _e("th", row[0], scope="row"), *(_e("td", cell) for cell in row[1:])) for row in rows]
    top = _e("thead", _e("tr", *(_e("th", one, scope="col") for one in head)))
    table = _e("table", _e("caption", caption), top, _e("tbody", *lines))
    # Wide tables scroll by themselves, also by keyboard.
    return _e("div", table, **{"class": "scroll", "tabindex": "0", "role": "region", "aria-label": caption})


def _list(items: Iterable[str]) -> Element:
    return _e("ul", *(_e("li", one) for one in items))


def _e(tag: str, *children: Element | str, **attributes: str) -> Element:
    """An element; texts become text, so nothing in them is markup."""
    element = etree.Element(tag, attributes)
    for child in children:
        if not isinstance(child, str):
            element.append(child)
        elif len(element):
            element[-1].tail = (element[-1].tail or "") + child
        else:
            element.text = (element.text or "") + child
    return element
