"""`gateway log list`: entries of the exchange log, narrowed, as a page or as all that match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gateway.adapters.store_filter import Filter
from gateway.adapters.store_reader import LogReader
from gateway.cli.log_answer import answered, export, write_answer
from gateway.cli.log_filter import DECISIONS, Wanted, understood
from gateway.cli.log_look_up import Sought, sought
from gateway.cli.log_officer import Acting, LookUp, acting
from gateway.cli.log_place import (
    AsJson,
    BucketKeysDirectory,
    Place,
    StoreFile,
    Unverified,
    Which,
    explained,
    find,
    require_new,
)
from gateway.cli.log_told import described, listing, print_json
from gateway.cli.typed_time import time_option
from gateway.config import Right
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Kind, Query
from gateway.exchangelog.question import Outcome


class Format(StrEnum):
    """How the entries are printed."""

    TABLE = "table"
    CSV = "csv"  # RFC 4180, UTF-8, a line of headings
    JSONL = "jsonl"  # a JSON object on each line


@dataclass(frozen=True, slots=True)
class _Asked:
    """The question in all its parts."""

    place: Place
    officer: Acting | None
    wanted: Filter
    sought: Sought | None
    start: int
    end: int
    size: int  # of the log when it was asked
    covered: int  # the entries below it are looked through: a page tells how many match in all
    options: Mapping[str, str | Sequence[str] | None]  # as typed; the record of a look-up commits to them


def list_entries(
    *,
    store: StoreFile = None,
    config: Unverified = None,
    log: Which = None,
    bucket_keys: BucketKeysDirectory = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help=f"Only entries of this kind: {', '.join(Kind)}.")
    ] = None,
    authority: Annotated[
        str | None,
        typer.Option(
            "--authority",
            help="Only this authority, asking, asked or answering, telling or told: enterprise number, "
            "or id with --config.",
        ),
    ] = None,
    sender: Annotated[
        str | None, typer.Option("--from", help="Only what this authority asked or told: the same.")
    ] = None,
    recipient: Annotated[
        str | None, typer.Option("--to", help="Only what this authority was asked, answered or was told.")
    ] = None,
    operation: Annotated[
        str | None, typer.Option("--operation", help="Only this operation, e.g. consultDossier.")
    ] = None,
    context: Annotated[
        str | None, typer.Option("--context", help="Only this legal context, e.g. WIB:WORK_DECISION.")
    ] = None,
    outcome: Annotated[
        str | None, typer.Option("--outcome", help=f"Only this outcome: {', '.join(Outcome)}.")
    ] = None,
    code: Annotated[
        str | None,
        typer.Option("--code", help=f"Only this decision: {', '.join(DECISIONS)}, or a refusal code."),
    ] = None,
    since: Annotated[
        datetime | None,
        time_option("--since", "Only entries from this time on (UTC)."),
    ] = None,
    until: Annotated[
        datetime | None,
        time_option("--until", "Only entries before this time (UTC)."),
    ] = None,
    dossier: Annotated[
        str | None,
        typer.Option(
            "--dossier",
            help="Only entries about this dossier: opens their commitments with the seeds in the store and the bucket "
            "keys, so entries without a seed are not found. Recorded in the log before it is answered; needs --config.",
        ),
    ] = None,
    person: Annotated[
        str | None,
        typer.Option(
            "--person",
            help="Only entries about the dossiers that are bound to this INSZ, and refusals and look-ups that "
            'named it; "-" reads it from standard input. Found and recorded as with --dossier.',
        ),
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(
            "--field",
            help="Only releases of this field (G16.amount) or of one of this group (G16); "
            "needs --config. By the contracts as they are now.",
        ),
    ] = None,
    notification: Annotated[
        str | None,
        typer.Option("--notification", help="Only deliveries and settlements of this notification: its id."),
    ] = None,
    start: Annotated[int, typer.Option("--start", min=0, help="Only entries from this index on.")] = 0,
    before: Annotated[
        int | None, typer.Option("--before", min=0, help="Only entries below this index: the next page.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Entries on a page.")] = 50,
    form: Annotated[
        Format, typer.Option("--format", help="csv and jsonl: all entries that match, the oldest first.")
    ] = Format.TABLE,
    proof: Annotated[
        Path | None,
        typer.Option(
            "--proof",
            help="New directory for what shows others that nothing was left out: every entry of the range.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List entries, the newest first. With settings: those that the officer may see, whose login this is."""
    wanted = Wanted(
        kind,
        authority,
        sender,
        recipient,
        operation,
        context,
        code,
        outcome,
        since,
        until,
        field,
        notification,
    )
    if as_json and form is not Format.TABLE:
        raise typer.BadParameter("is for a page; all entries as JSON: --format jsonl", param_hint="--json")
    with explained():
        place = find(store, config, bucket_keys=bucket_keys, log=log)
        officer = acting(config, place)
        _require(officer, exports=form is not Format.TABLE or proof is not None, proves=proof is not None)
        if proof is not None:
            require_new("--proof", proof)
        looked_up = sought(dossier, person, config, place.recording.store)
        about = None if looked_up is None else replace(looked_up.about, every=proof is not None)
        narrowed = understood(wanted, place, None if officer is None else officer.party, about)
        with LogReader.open(place.store, place.opened_keys()) as reader:
            size = reader.head().size
            end = size if before is None else min(before, size)
            start = min(max(start, reader.minimum), end)  # what was pruned is not there
            options = {
                **{name: _plain(getattr(wanted, name)) for name in Wanted.__slots__},
                "dossier": dossier,
                "person": None if looked_up is None or person is None else looked_up.value,
            }
            paged = form is Format.TABLE and proof is None
            covered = size if paged else end
            asked = _Asked(place, officer, narrowed, looked_up, start, end, size, covered, options)
            _answer(reader, asked, form, limit, proof, as_json)


def _answer(  # noqa: PLR0917 - how the answer is printed
    log: LogReader, asked: _Asked, form: Format, limit: int, proof: Path | None, as_json: bool
) -> None:
    access = _recorded(asked, exports=form is not Format.TABLE or proof is not None)
    # From here on: who asked about whom is durable, so it may be answered.
    if proof is not None:
        answer = answered(log, asked.place, asked.wanted, (asked.start, asked.end))
        write_answer(proof, log, answer, asked.place)
    if form is Format.TABLE:
        _page(log, asked, limit, access, as_json)
        return
    number = export(log, asked.place, asked.wanted, asked.start, asked.end, as_csv=form is Format.CSV)
    typer.echo(f"{number} entries{_looked(asked, access)}", err=True)


def _page(log: LogReader, asked: _Asked, limit: int, access: int | None, as_json: bool) -> None:
    start, size = asked.start, asked.size
    found, total, left = _found(log, asked, limit)
    entries = [described(index, leaf, log.hash(index)) for index, leaf in found]
    following = found[-1][0] if found and left else None
    if as_json:
        told: dict[str, object] = {"size": size, "total": total, "next": following, "entries": entries}
        covered = {"range": {"start": start, "end": asked.end}, "checkpoint": log.checkpoint.decode()}
        print_json(told | covered | {"access": access})
        return
    listing(asked.place, found, entries)
    page = "" if following is None else f"; next: --before {following}"
    typer.echo(f"{len(found)} of {total} entries{page}{_looked(asked, access)}", err=True)


def _found(log: LogReader, asked: _Asked, limit: int) -> tuple[list[tuple[int, bytes]], int, int]:
    """The page, how many match in all, and how many of them stand below the page."""
    wanted, start, size = asked.wanted, asked.start, max(asked.size, asked.start)
    found = log.listed(wanted, asked.end, limit, start)
    last = found[-1][0] if found else start
    return found, _count(log, wanted, start, size), _count(log, wanted, start, last)


def _require(officer: Acting | None, *, exports: bool, proves: bool) -> None:
    if officer is None:
        if proves:
            raise ProofError(Flaw.SETTINGS, "--proof: what is written is verified with the key of the log")
        return
    officer.require(Right.SEARCH)
    if exports:
        officer.require(Right.EXPORT)
    if proves:
        officer.require_whole("--proof")


def _recorded(asked: _Asked, *, exports: bool) -> int | None:
    """The index of the record of a look-up, None when nobody is looked up. Raises `ProofError`."""
    if asked.sought is None:
        return None
    assert asked.officer is not None  # a look-up needs settings
    query = Query.EXPORT if exports else Query.LIST
    one = asked.sought
    look_up = LookUp(query, one.by, asked.start, asked.covered, asked.options, one.dossier, one.person)
    return asked.officer.record(asked.place, look_up)


def _plain(value: str | datetime | None) -> str | None:
    return value.isoformat() if isinstance(value, datetime) else value


def _looked(asked: _Asked, access: int | None) -> str:
    """What a look-up says of itself."""
    if access is None:
        return ""
    number = asked.covered - asked.start
    return f"; looked through {number} entries from index {asked.start}; recorded as entry {access}"


def _count(log: LogReader, wanted: Filter, start: int, before: int) -> int:
    """How many entries match; without a filter their number is known."""
    return before - start if wanted == Filter() else log.counted(wanted, before, start)
