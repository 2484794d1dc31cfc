"""How the demo's account is told to a reader, line by line. For a program it is `account_report`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from gateway.agreement.terms import Agreement
from gateway.cli.program import command
from gateway.policy.days import day_of
from gateway.policy.deadlines import Running
from gateway.sandbox.ending import Disclosure, Ending
from gateway.sandbox.story.steps import Chapter
from gateway.sandbox.telling import Account
from gateway.sandbox.told import Delivered, Told


class Printer:
    """Tells each step as it is done: who asked or told whom, for what purpose, and what came of it."""

    def __init__(self, console: Console, agreement: Agreement) -> None:
        self._console = console
        self._agreement = agreement

    def hear(self, news: Chapter | Told) -> None:
        match news:
            case Chapter():
                self._console.print(f"\n[bold]{escape(news.title)}[/bold]")
            case Told():
                self._told(news)

    def endings(self, endings: Iterable[Ending]) -> None:
        """Each dossier at its end: who received what, and its clocks."""
        for one in endings:
            kind = f"{one.permit_type}, {one.procedure}"
            self._console.print(f"\n[bold]Dossier {one.dossier}[/bold] {kind}: {one.status}")
            for line in _received(one.disclosures, self._agreement):
                self._line(f"  {line}", "dim")
            for clock in one.clocks:
                self._line(f"  {_clock(clock)}")

    def _told(self, told: Told) -> None:
        step, mark = told.step, "FAILED" if told.troubles else "ok"
        whom = ", ".join(told.to) or ("nobody was asked" if told.refused else "nobody is told")
        entry = "not logged" if told.log_index is None else f"log {told.log_index}"
        why = f" ({step.why})" if step.why else ""
        line = f"  {mark:<6} {step.who} → {whom}: {step.operation}, WIB:{step.context}{why}"
        self._line(line, "bold red" if told.troubles else "")
        outcome = f"refused {told.outcome} {told.label}: {told.sentence}" if told.refused else told.outcome
        if told.missing:
            outcome += f", without {', '.join(told.missing)}"
        self._line(f"         {outcome} · {entry} · {told.ms:.0f} ms", "" if told.refused else "green")
        for trouble in told.troubles:
            self._line(f"         {trouble}", "bold red")
        for word, fields in (("released", told.released), ("withheld", told.withheld)):
            if fields:
                self._line(f"         {word} {by_group(fields, self._agreement)}", "dim")
        for delivered in told.deliveries:
            self._line(f"         {self._delivered(told, delivered)}", "dim")

    def _delivered(self, told: Told, one: Delivered) -> str:
        """Of what was told: what came, and what was kept from this recipient."""
        if one.log_index is None:
            return f"{one.name}: waits in its mailbox"
        received = by_group(one.present, self._agreement) or "nothing"
        kept = by_group(set(told.present) - set(one.present), self._agreement)
        withheld = f" · withheld {kept}" if kept else ""
        return f"{one.name}, WIB:{one.context}: {received}{withheld} · log {one.log_index}"

    def _line(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style))


def by_group(fields: Iterable[str], agreement: Agreement) -> str:
    """`G01 G08(number, expiryDate)`: a group alone stands for all its fields."""
    shown = []
    for code, members in groupby(sorted(fields), lambda one: one.partition(".")[0]):
        names = [one.partition(".")[2] for one in members]
        group = agreement.groups.get(code)
        whole = group is None or len(names) == len(group.fields)
        shown.append(code if whole else f"{code}({', '.join(names)})")
    return " ".join(shown)


def state_of(clock: Running) -> str:
    """met, late, open, overdue or suspended."""
    if clock.ended is not None:
        return "late" if clock.overdue else "met"
    if clock.stands_still:
        return "suspended"
    return "overdue" if clock.overdue else "open"


def _received(disclosures: Iterable[Disclosure], agreement: Agreement) -> list[str]:
    """One line for each authority and purpose."""
    by_purpose: dict[tuple[str, str], list[Disclosure]] = {}
    for one in disclosures:
        by_purpose.setdefault((one.to, one.context), []).append(one)
    lines = []
    for (to, context), several in by_purpose.items():
        groups = sorted({field.partition(".")[0] for one in several for field in one.fields})
        times = [datetime.fromisoformat(one.time).strftime("%H:%M:%S") for one in (several[0], several[-1])]
        when = times[0] if len(several) == 1 else f"{times[0]} to {times[1]}, {len(several)} times"
        known = " ".join(code for code in groups if code in agreement.groups) or "documents"
        lines.append(f"{to}, {context}: {known} · {when}")
    return lines


def _clock(clock: Running) -> str:
    kind = "working days" if clock.rule.working else "days"
    still = f", {clock.suspended} suspended" if clock.suspended else ""
    return (
        f"{clock.name}: {clock.elapsed} of {clock.rule.days} {kind}{still}, {state_of(clock)}"
        f" · since {day_of(clock.started)}, due {clock.due}"
    )


def summary(console: Console, account: Account, facts: dict[str, Any], keep: Path | None) -> None:
    """What it all came to."""
    log = facts["log"]
    codes = {one["code"] for one in facts["refusals"]}
    delivered = sum(len(one.deliveries) for one in account.told)
    console.print(f"\n[bold]{'All as expected' if not account.troubles else 'Not as expected'}[/bold]")
    console.print(
        f"  {len(facts['exchanges'])} exchanges, {delivered} deliveries, and {len(facts['refusals'])} refusals with"
        f" {len(codes)} different codes, in {facts['seconds']} s."
    )
    waits = "" if account.waiting else " Nothing waits any more."
    state = (
        "verified: every entry, field record, tile and signature holds" if log["verified"] else "NOT VERIFIED"
    )
    console.print(f"  Exchange log: {log['size']} entries, root {log['root']}, {state}.{waits}")
    for sentence in account.troubles:
        console.print(Text(f"  FAILED {sentence}", style="bold red"))
    if keep is not None:
        look = command("log", "list", "--config", keep.absolute() / "gateway.toml")
        console.print(Text(f"  Everything is kept in {keep}; look at it with: {look}"))
