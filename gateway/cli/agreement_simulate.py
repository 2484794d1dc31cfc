"""`gateway agreement simulate`: the logged exchanges against a draft."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.adapters.store_reader import LogReader
from gateway.adapters.store_replay import Recorded, ReplayReader
from gateway.agreement.finding import AgreementError
from gateway.agreement.load import Agreement
from gateway.cli.agreement_named import kept, named
from gateway.cli.agreement_simulated import Report, described, print_report
from gateway.cli.log_officer import acting
from gateway.cli.log_place import AsJson, Settled, explained, find
from gateway.cli.log_told import print_json
from gateway.cli.typed_time import time_option
from gateway.config import Right
from gateway.exchangelog.fields import FieldPlan
from gateway.exchangelog.flaw import ProofError
from gateway.exchangelog.leaf import Leaf
from gateway.policy.past import as_of, decided_at
from gateway.policy.replay import about
from gateway.policy.simulation import Past, Simulation

_REVISIONS: Final = 8  # that are kept compiled
_VECTORS: Final = 1_024  # of views that are kept read


def simulate(
    draft: Annotated[
        str, typer.Argument(help="Directory of contracts, or the hash of a revision that the store keeps.")
    ],
    *,
    config: Settled,
    since: Annotated[
        datetime | None,
        time_option("--since", "Only exchanges from this time on (UTC)."),
    ] = None,
    until: Annotated[
        datetime | None,
        time_option("--until", "Only exchanges before this time (UTC)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask the exchanges of the log again under a draft: what would be refused, allowed, shown, withheld.

    Decides by the rules that serve, with the dossier's status of that moment where the directory has it. What
    cannot be known from the log is counted and told. Changes nothing.
    """
    with explained():
        terms = named(draft, None, config)
        place = find(None, config)
        assert place.register is not None  # with settings there is one
        officer = acting(config, place)
        assert officer is not None
        officer.require(Right.SEARCH)
        officer.require_whole("agreement simulate")
        simulation = Simulation(terms, place.register)
        keys = place.opened_keys()
        assert keys is not None  # with settings there are some
        with ReplayReader.open(place.store, keys) as reader, LogReader.open(place.store) as log:
            minimum = reader.minimum()
            read = _run(simulation, _Evidence(reader, log, terms), since, until)
    report = Report(terms, simulation, read, minimum, since, until)
    if as_json:
        print_json(described(report))
    else:
        print_report(report)


class _Evidence:
    """What the store still knows about an entry, looked up."""

    def __init__(self, reader: ReplayReader, log: LogReader, draft: Agreement) -> None:
        self.reader = reader
        self._revision = lru_cache(maxsize=_REVISIONS)(
            lambda revision: draft if revision == draft.revision else _revision(log, revision)
        )
        self._verdicts = lru_cache(maxsize=_VECTORS)(
            lambda hash_: FieldPlan.parse(reader.vector(hash_)).verdicts
        )

    def past(self, recorded: Recorded, leaf: Leaf) -> Past:
        """Raises `ProofError`."""
        at = decided_at(leaf.time, recorded.received)
        known = self.reader.dossier(recorded)
        return Past(
            None if leaf.revision is None else self._revision(leaf.revision),
            about(seeded=recorded.bucket is not None, known=recorded.dossier is not None),
            None if known is None else as_of(*known, at),
            at,
            None if recorded.view is None else self._verdicts(recorded.view),
        )


def _revision(log: LogReader, revision: str) -> Agreement | None:
    try:
        return kept(log, revision)
    except (ProofError, AgreementError):
        return None


def _run(simulation: Simulation, evidence: _Evidence, since: datetime | None, until: datetime | None) -> int:
    """How many entries were taken. What is read, and told, ends with the present head."""
    size, taken = evidence.reader.size(), 0
    columns = TextColumn("entries"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("entries", total=size)
        for recorded in evidence.reader.recorded(size):
            progress.advance(task)
            try:
                leaf = Leaf.parse(recorded.leaf)
                if _within(leaf, since, until):
                    taken += 1
                    simulation.take(recorded.index, leaf, evidence.past(recorded, leaf))
            except ProofError:
                simulation.unreadable(recorded.index)
    return taken


def _within(leaf: Leaf, since: datetime | None, until: datetime | None) -> bool:
    at = datetime.fromisoformat(leaf.time)
    return (since is None or since <= at) and (until is None or at < until)
