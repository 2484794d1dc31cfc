"""What `gateway log erase` and `prune` tell of what they did, or would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import typer

from gateway.adapters.store_eraser import Done
from gateway.cli.lines import write
from gateway.cli.log_told import print_json
from gateway.exchangelog.flaw import Flaw


@dataclass(frozen=True, slots=True)
class Erased:
    """What goes, or would go, of a log."""

    facts: Mapping[str, object]
    done: Done | None
    of: str | None = None  # origin of a former log

    def told(self) -> dict[str, object]:
        index, emptied = (None, None) if self.done is None else (self.done.index, self.done.truncated)
        return {**self.facts, "log_index": index, "write_ahead_log_emptied": emptied}


def tell_erased(told: Sequence[Erased], as_json: bool) -> None:
    """Of the log in force, and of former ones."""
    former = [one for one in told if one.of is not None]
    mine = next((one for one in told if one.of is None), Erased({"entries": "", "count": 0}, None))
    done = any(one.done is not None for one in told)
    if as_json:
        others = [{"log": one.of, **one.told()} for one in former]
        print_json({"erased": done, **mine.told(), "former": others})
    else:
        for one in told:
            for name, value in ([("log", one.of)] if one.of else []) + list(one.facts.items()):
                write(f"{name:<9}{value}")
            if one.done is not None:
                write(f"erased; entry {one.done.index}")
        if not done:
            write("Nothing was erased yet: repeat it with --confirm.")
    if any(one.done is not None and not one.done.truncated for one in told):
        _tell_write_ahead()


def tell_pruned(minimum: int, done: Done | None, as_json: bool) -> None:
    """`minimum`: the index below which entries go."""
    if as_json:
        print_json({"pruned": done is not None, **Erased({"minimum": minimum}, done).told()})
    else:
        write(f"minimum  {minimum}")
        write(
            "Nothing was pruned yet: repeat it with --confirm."
            if done is None
            else f"pruned; entry {done.index}"
        )
    if done is not None and not done.truncated:
        _tell_write_ahead()


def _tell_write_ahead() -> None:
    row = Flaw.WRITE_AHEAD.row
    typer.echo(f"{row.code}: {row.sentence} {row.remedy}", err=True)
