"""`gateway queue`: notifications that wait for delivery. Works beside a running hub, which sees changes.

What waits is delivered by itself. A delivery that failed for too long is dead: it waits for the operator, and
holds back what follows about the same dossier to the same recipient.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Annotated, NoReturn

import typer

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_delivery import Row
from gateway.adapters.store_operator import OperatorQueue
from gateway.adapters.store_session import StorePlace
from gateway.adapters.store_work import instant, moment
from gateway.cli.dossier_person import stop
from gateway.cli.lines import table, write
from gateway.cli.log_filter import known_authority
from gateway.cli.log_operator import appending
from gateway.cli.log_place import AsJson, Settled, StoreFile, Unverified, explained, find
from gateway.config import load
from gateway.exchangelog.form import DropReason
from gateway.model import AuthorityId
from gateway.refusal import Code, Refusal

app = typer.Typer(no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="Id of the delivery; see gateway queue list.")]


@app.command("list")
def list_deliveries(
    recipient: Annotated[
        str | None, typer.Option("--recipient", help="Only deliveries to this authority, e.g. BRUSSELS.")
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Only those that wait for the operator.")] = False,
    store: StoreFile = None,
    config: Unverified = None,
    as_json: AsJson = False,
) -> None:
    """List what waits, in the order of acceptance."""
    with explained():
        place = find(store, config)
        wanted = None if recipient is None else AuthorityId(known_authority("--recipient", recipient, place))
    with _queue(place.store) as queue:
        rows, behind = queue.listed(wanted, dead=dead), queue.behind()
    if as_json:
        write(json.dumps([_described(row, behind) for row in rows], indent=2))
        return
    if not rows:
        write("Nothing waits" + (" for the operator." if dead else "."))
        return
    headings = (
        "Delivery",
        "Recipient",
        "Operation",
        "From",
        "Dossier",
        "Accepted",
        "State",
        "Attempts",
        "Last",
    )
    table(headings, [_line(row, behind) for row in rows])


@app.command()
def show(delivery: Id, store: StoreFile = None, config: Unverified = None, as_json: AsJson = False) -> None:
    """Show a delivery that waits."""
    with explained():
        place = find(store, config)
    with _queue(place.store) as queue:
        described = _described(_waiting(queue, delivery), queue.behind())
    if as_json:
        write(json.dumps(described, indent=2))
        return
    for name, value in described.items():
        write(f"{name:<14}{'-' if value is None else value}")


@app.command()
def retry(delivery: Id, config: Settled, as_json: AsJson = False) -> None:
    """Try a dead delivery again now."""
    with explained():
        place = find(None, config)
    with _queue(place.store, writes=True) as queue:
        if not queue.retry(delivery, datetime.now(UTC)):
            row = _waiting(queue, delivery)
            stop("QUE003", f"{row.id} is not dead.", "It is tried again by itself; see gateway queue show")
        described = _described(_waiting(queue, delivery), queue.behind())
    write(json.dumps(described, indent=2) if as_json else f"{delivery} is tried again now.")


@app.command()
def drop(
    delivery: Id,
    reason: Annotated[str, typer.Option("--reason", help=f"Why: {', '.join(DropReason)}.")],
    config: Settled,
    as_json: AsJson = False,
) -> None:
    """End a delivery undelivered: its payload is purged, and the exchange log says so. For good."""
    if reason not in set(DropReason):
        stop(
            "QUE004", f"--reason {reason!r} is none of the reasons.", f"Give one of {', '.join(DropReason)}."
        )
    with explained():
        settings = load(config)
        signers, pinned = appending(settings)
        keys = BucketKeys.open(settings.log.bucket_keys)
    with _queue(settings.log.store) as queue:
        row, now = _waiting(queue, delivery), datetime.now(UTC)
        if row.lease_until > instant(now):
            until = moment(row.lease_until).isoformat(timespec="seconds")
            stop("QUE005", f"{delivery} is under way.", f"Wait until {until}, and see how it went.")
        try:
            index = queue.drop(row, DropReason(reason), signers, keys, now, pinned, settings.log.former)
        except Refusal as refusal:
            if refusal.code is Code.LOG_UNAVAILABLE:
                stop(
                    "QUE006",
                    "The entry could not be signed or kept, so nothing was dropped.",
                    "Look after the token and the bucket keys, and repeat.",
                )
            _missing(delivery, row.exchange)  # acknowledged in this very moment
    if as_json:
        write(json.dumps({"delivery": row.id, "reason": reason, "log_index": index}, indent=2))
    else:
        write(f"{row.id} dropped; entry {index}")


@contextmanager
def _queue(store: StorePlace, *, writes: bool = False) -> Iterator[OperatorQueue]:
    with explained(), closing(OperatorQueue.open(store, writes=writes)) as queue:
        yield queue


def _waiting(queue: OperatorQueue, delivery: str) -> Row:
    row = queue.one(delivery)
    if row is None:
        _missing(delivery, queue.settled(delivery))
    return row


def _missing(delivery: str, notification: str | None) -> NoReturn:
    """`notification`: that of a delivery that has ended."""
    if notification is not None:
        how = f"How it ended: gateway log list --kind settlement --notification {notification}"
        stop("QUE002", f"{delivery} is settled.", how)
    stop("QUE001", f"There is no delivery {delivery}.", "See what waits: gateway queue list")


def _line(row: Row, behind: Mapping[str, str]) -> tuple[str, ...]:
    accepted = moment(row.accepted).isoformat(timespec="seconds")
    held = row.state == "waiting" and row.id in behind
    return (
        *(row.id, row.recipient, row.operation, row.sender, row.dossier, accepted),
        *(f"behind {behind[row.id]}" if held else row.state, str(row.attempts), row.last_code or "-"),
    )


def _described(row: Row, behind: Mapping[str, str]) -> dict[str, object]:
    leased = moment(row.lease_until)
    return {
        "delivery": row.id,
        "notification": row.exchange,
        "dossier": row.dossier,
        "operation": row.operation,
        "sender": row.sender,
        "recipient": row.recipient,
        "legal_context": row.context,
        "accepted": moment(row.accepted).isoformat(),
        "revision": row.revision,
        "state": row.state,
        "behind": behind.get(row.id),
        "attempts": row.attempts,
        "recorded": bool(row.recorded),
        "due": None if row.state == "dead" else moment(row.due).isoformat(),  # a dead one is not tried again
        "leased_until": leased.isoformat() if row.lease_until else None,
        "last_code": row.last_code,
    }
