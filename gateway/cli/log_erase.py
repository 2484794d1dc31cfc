"""`gateway log erase`, `prune` and `retention`: what the log keeps comes to its end, and the log says so.

Nothing is destroyed without `--confirm`: without it a command tells what it would do. To erase and to prune is for
officers of the whole log; who did it is committed to in the entry that says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from gateway.adapters.store_eraser import BucketState, Done, Eraser
from gateway.adapters.store_former import LogAt, require_all
from gateway.adapters.store_session import StorePlace
from gateway.cli.lines import table
from gateway.cli.log_erasable import Erasable
from gateway.cli.log_erased import Erased, tell_erased, tell_pruned
from gateway.cli.log_filter import one_of
from gateway.cli.log_look_up import Sought, sought
from gateway.cli.log_officer import Acting, acting
from gateway.cli.log_operator import Operator
from gateway.cli.log_place import AsJson, Settled, Which, explained, find
from gateway.cli.log_told import print_json
from gateway.config import Right, load
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.erasure import Erasing, Hand
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import GROUNDS, Basis, Ground
from gateway.exchangelog.indices import Indices
from gateway.reading import clock

Confirm = Annotated[
    bool, typer.Option("--confirm", help="Do it, for good. Without this, only tell what would be done.")
]
_GROUNDS = "; ".join(f"{basis}: {', '.join(sorted(grounds))}" for basis, grounds in GROUNDS.items())


def erase(
    *,
    config: Settled,
    log: Which = None,
    basis: Annotated[str, typer.Option("--basis", help=f"The legal basis: {', '.join(Basis)}.")],
    ground: Annotated[str, typer.Option("--ground", help=f"The case of it; of {_GROUNDS}.")],
    dossier: Annotated[
        list[str] | None,
        typer.Option(
            "--dossier",
            help="Entries about this dossier. Again for others: erased with it. Recorded as a look-up before it is told.",
        ),
    ] = None,
    person: Annotated[
        str | None,
        typer.Option(
            "--person",
            help="Entries about the dossiers that are bound to this INSZ, and refusals and look-ups that named it; "
            '"-" reads it from standard input. Recorded as with --dossier.',
        ),
    ] = None,
    entries: Annotated[str | None, typer.Option("--entries", help="These entries: 3,77-80.")] = None,
    bucket: Annotated[
        str | None, typer.Option("--bucket", help="All of a retention class and month: exchange/2026-11.")
    ] = None,
    confirm: Confirm = False,
    as_json: AsJson = False,
) -> None:
    """Destroy the seeds of entries, or the key of a bucket: nothing tells any more what they were about.

    The entries stay, and every proof of them. The erasure becomes an entry itself: of the log in force, also where it
    is of a log that this one succeeds. --dossier and --person reach all of them, unless --log names one; --entries the
    log in force, unless --log names another; --bucket always all.
    """
    told = list[Erased]()
    with explained(), _told(told, as_json):
        officer, operator, now = *_at_work(config), clock()
        erasing = _erasing(_hand(officer, operator), basis, ground)
        one_by_one = bool(dossier) or person is not None or entries is not None
        if one_by_one == (bucket is not None) or (bucket is not None and log is not None):
            raise ProofError(
                Flaw.NOT_ERASABLE, "give --bucket, or --dossier, --person or --entries, with --log"
            )
        place = find(None, config, log=log)
        if log is None and (dossier or person is not None or bucket is not None):
            require_all(place.succession(), operator.years, now)
        with _eraser(operator) as eraser:
            if confirm:
                eraser.settle(operator.signers)  # what was begun is not left to erase
            if bucket is not None:
                told.append(_bucket(eraser, bucket, erasing, operator, now, confirm=confirm))
            else:
                _require_not_retention(erasing)
                looked_for = _sought(dossier or (), person, config, operator.store)
                wanted = Erasable(operator, officer, erasing, now)
                if entries is not None:
                    wanted.named(place, entries)
                places = [place] if log is not None or not looked_for else place.every(place.succession())
                wanted.about(places, looked_for)
                found = wanted.judged([*(one for one in places if one.of), place.recording])
                for one in _entries(eraser, found, erasing, operator, now, confirm=confirm):
                    told.append(one)


def _bucket(
    eraser: Eraser, name: str, erasing: Erasing, operator: Operator, now: datetime, *, confirm: bool
) -> Erased:
    state = eraser.state(Bucket.parse(name), now)
    _require(state, erasing, operator.years, now)
    done = eraser.erase_bucket(state.bucket, erasing, operator.signers, now) if confirm else None
    return Erased({"bucket": str(state.bucket), "count": state.seeds}, done)


def _entries(
    eraser: Eraser,
    found: Sequence[tuple[LogAt | None, Indices]],
    erasing: Erasing,
    operator: Operator,
    now: datetime,
    *,
    confirm: bool,
) -> Iterator[Erased]:
    """Log by log, once all of it is known to be there."""
    standing = [(of, eraser.standing(indices, of)) for of, indices in found]
    for of, wanted in standing:
        done = eraser.erase_entries(wanted, erasing, operator.signers, now, of) if confirm else None
        facts = {"entries": str(wanted), "count": len(wanted)}
        yield Erased(facts, done, None if of is None else of.origin)


@contextmanager
def _told(told: Sequence[Erased], as_json: bool) -> Iterator[None]:
    """What was erased is told also when an error came before the rest."""
    try:
        yield
    finally:
        if told:
            tell_erased(told, as_json)


def prune(config: Settled, confirm: Confirm = False, as_json: AsJson = False) -> None:
    """Remove the entries of erased buckets whose retention period has ended, in whole bundles of 256.

    The hashes stay, and so every proof still verifies. The minimum index becomes an entry.
    """
    with explained():
        officer, operator, now = *_at_work(config), clock()
        hand = _hand(officer, operator)
        with _eraser(operator) as eraser:
            minimum = eraser.minimum(operator.years, now)
            done = _prune(eraser, operator, hand, minimum, now) if confirm else None
    tell_pruned(minimum, done, as_json)


def retention(config: Settled, as_json: AsJson = False) -> None:
    """List the buckets, and which of them are due to be erased by the agreement's years. Exit status 1 when one is."""
    with explained():
        operator, now = Operator.of(load(config)), clock()
        require_all(find(None, config).succession(), operator.years, now)
        with _eraser(operator) as eraser:
            states = eraser.buckets()
    due = [one for one in states if _is_due(one, operator.years, now)]
    if as_json:
        told = [_state_told(one, operator.years, now) for one in states]
        print_json({"years": operator.years, "buckets": told, "due": [str(one.bucket) for one in due]})
    else:
        table(
            ("Bucket", "Seeds", "Key", "Kept until", "State"), [_line(one, operator, now) for one in states]
        )
    if due:
        raise typer.Exit(1)


def _at_work(config: Path) -> tuple[Acting, Operator]:
    """Raises `ProofError` (LOG732 to LOG734), and the errors of `reading.FORESEEN`."""
    officer = acting(config, find(None, config))
    assert officer is not None  # there are settings
    officer.require(Right.ERASE)
    officer.require_whole("to erase and to prune")
    return officer, Operator.of(officer.settings)


def _eraser(operator: Operator) -> Eraser:
    return Eraser(operator.store, operator.keys, operator.pinned, operator.former)


def _hand(officer: Acting, operator: Operator) -> Hand:
    return Hand(operator.hub, officer.officer.id)


def _erasing(hand: Hand, basis: str, ground: str) -> Erasing:
    by = Basis(one_of("--basis", basis, list(Basis)))
    return Erasing(hand, by, Ground(one_of("--ground", ground, sorted(GROUNDS[by]))))


def _sought(dossiers: Sequence[str], person: str | None, config: Path, store: StorePlace) -> list[Sought]:
    asked = [*((one, None) for one in dossiers), *([] if person is None else [(None, person)])]
    return [found for one in asked if (found := sought(*one, config, store)) is not None]


def _require(state: BucketState, erasing: Erasing, years: int, now: datetime) -> None:
    """A basis that says what is plainly not so must not come into the log."""
    if erasing.basis is Basis.DATA_SUBJECT:
        about = f"{erasing.basis} is one person's right, and a bucket is everybody's: --person, --dossier or --entries"
        raise ProofError(Flaw.NOT_ERASABLE, about)
    if erasing.basis is Basis.RETENTION and state.bucket.due(years) > now:
        raise ProofError(Flaw.NOT_DUE, f"{state.bucket} until {state.bucket.due(years):%Y-%m-%d}")
    if erasing.basis is Basis.BREACH and state.keyed:
        raise ProofError(Flaw.NOT_ERASABLE, f"the key of {state.bucket} is not lost")


def _require_not_retention(erasing: Erasing) -> None:
    if erasing.basis in {Basis.RETENTION, Basis.BREACH}:
        raise ProofError(Flaw.NOT_ERASABLE, f"{erasing.basis} is for a whole bucket: --bucket")


def _prune(eraser: Eraser, operator: Operator, hand: Hand, minimum: int, now: datetime) -> Done:
    console = Console(stderr=True)
    columns = TextColumn("entries"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("entries", total=minimum)
        return eraser.prune(
            hand,
            minimum,
            operator.signers,
            now,
            lambda removed: progress.update(task, completed=removed),
        )


def _is_due(state: BucketState, years: int, now: datetime) -> bool:
    return state.erased is None and state.bucket.due(years) <= now


def _state(state: BucketState, years: int, now: datetime) -> str:
    if state.erased is not None:
        return f"erased, entry {state.erased}"
    return "due" if _is_due(state, years, now) else "kept"


def _line(state: BucketState, operator: Operator, now: datetime) -> tuple[str, ...]:
    until = f"{state.bucket.due(operator.years):%Y-%m-%d}"
    key = "yes" if state.keyed else "no"
    return str(state.bucket), str(state.seeds), key, until, _state(state, operator.years, now)


def _state_told(state: BucketState, years: int, now: datetime) -> dict[str, object]:
    return {
        "bucket": str(state.bucket),
        "seeds": state.seeds,
        "key": state.keyed,
        "kept_until": f"{state.bucket.due(years):%Y-%m-%d}",
        "erased": state.erased,
        "due": _is_due(state, years, now),
    }
