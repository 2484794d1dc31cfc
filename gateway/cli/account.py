"""How the demo's account is told: line by line for a reader, as one object for a program."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from gateway.agreement.terms import Agreement
from gateway.cli.program import command
from gateway.model import DossierNumber
from gateway.sandbox.story import Chapter, Move
from gateway.sandbox.telling import Account, Told
from gateway.sandbox.world import World


class Printer:
    """Tells each step as it is done: who asked whom, for what, under which purpose, and what came of it."""

    def __init__(self, console: Console, agreement: Agreement) -> None:
        self._console = console
        self._agreement = agreement

    def hear(self, news: Chapter | Move | Told) -> None:
        match news:
            case Chapter():
                self._console.print(f"\n[bold]{escape(news.title)}[/bold]")
            case Move():
                joined = f"; takes part: {', '.join(news.inscribe)}" if news.inscribe else ""
                self._console.print(f"  · dossier {news.dossier} is now {news.status}{joined}")
            case Told():
                self._told(news)

    def _told(self, told: Told) -> None:
        step, mark = told.step, "FAILED" if told.trouble else "ok"
        asked = ", ".join(told.to) or "nobody was asked"
        entry = "not logged" if told.log_index is None else f"log {told.log_index}"
        why = f" ({step.why})" if step.why else ""
        line = f"  {mark:<6} {step.who} → {asked}: {step.operation}, WIB:{step.context}{why}"
        self._console.print(Text(line, style="bold red" if told.trouble else ""))
        outcome = f"refused {told.outcome} {told.label}: {told.sentence}" if told.refused else told.outcome
        if told.missing:
            outcome += f", without {', '.join(told.missing)}"
        self._console.print(
            Text(f"         {outcome} · {entry} · {told.ms:.0f} ms", style="" if told.refused else "green")
        )
        if told.trouble:
            self._console.print(Text(f"         {told.trouble}", style="bold red"))
        for word, fields in (("released", told.released), ("withheld", told.withheld)):
            if fields:
                self._console.print(Text(f"         {word} {by_group(fields, self._agreement)}", style="dim"))


def by_group(fields: Iterable[str], agreement: Agreement) -> str:
    """`G01 G08(number, expiryDate)`: a group alone stands for all its fields."""
    shown = []
    for code, members in groupby(sorted(fields), lambda one: one.partition(".")[0]):
        names = [one.partition(".")[2] for one in members]
        group = agreement.groups.get(code)
        whole = group is None or len(names) == len(group.fields)
        shown.append(code if whole else f"{code}({', '.join(names)})")
    return " ".join(shown)


def report(account: Account, world: World, seconds: float) -> dict[str, Any]:
    log = account.log
    assert log is not None
    register = world.place.register
    return {
        "authorities": [
            {
                "id": one.id,
                "name": one.name,
                "role": one.role,
                "enterprise": str(one.enterprise),
                "suite": one.suite,
            }
            for one in register.authorities
        ],
        "procedures": [
            {"dossier": number, **world.dossier(DossierNumber(number)), "status": status}
            for number, status in account.statuses.items()
        ],
        "exchanges": [_exchange(told) for told in account.told if not told.refused],
        "refusals": [_refusal(told) for told in account.told if told.refused],
        "log": {
            "size": log.size,
            "root": log.root,
            "verified": not log.findings,
            "findings": list(log.findings),
            "notices": list(log.notices),
        },
        "expectations": {"held": sum(not told.trouble for told in account.told), "failed": account.troubles},
        "agreement": world.agreement.revision,
        "seconds": round(seconds, 1),
    }


def _common(told: Told) -> dict[str, Any]:
    return {
        "from": told.step.who,
        "to": ", ".join(told.to),
        "operation": told.step.operation,
        "legal_context": f"WIB:{told.step.context}",
    }


def _exchange(told: Told) -> dict[str, Any]:
    return {
        **_common(told),
        "outcome": told.outcome,
        "released": list(told.released),
        "present": list(told.present),
        "withheld": list(told.withheld),
        "missing": list(told.missing),
        "log_index": told.log_index,
        "ms": told.ms,
    }


def _refusal(told: Told) -> dict[str, Any]:
    facts = {"code": told.outcome, "label": told.label, "sentence": told.sentence, "why": told.step.why}
    return {**facts, **_common(told), "log_index": told.log_index, "ms": told.ms}


def summary(console: Console, account: Account, facts: dict[str, Any], keep: Path | None) -> None:
    log = facts["log"]
    codes = {one["code"] for one in facts["refusals"]}
    console.print(f"\n[bold]{'All as expected' if not account.troubles else 'Not as expected'}[/bold]")
    console.print(
        f"  {len(facts['exchanges'])} exchanges and {len(facts['refusals'])} refusals with {len(codes)} different"
        f" codes, in {facts['seconds']} s."
    )
    state = (
        "verified: every entry, field record, tile and signature holds" if log["verified"] else "NOT VERIFIED"
    )
    console.print(f"  Exchange log: {log['size']} entries, root {log['root']}, {state}.")
    for sentence in account.troubles:
        console.print(Text(f"  FAILED {sentence}", style="bold red"))
    if keep is not None:
        look = command("log", "list", "--config", keep.absolute() / "gateway.toml")
        console.print(Text(f"  Everything is kept in {keep}; look at it with: {look}"))
