"""`gateway log succeed`: a log goes on under another name, because its year is over or because it was forked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.log_key import log_signers
from gateway.adapters.pin import read_pin, write_pin
from gateway.adapters.store_connect import exists, prepare
from gateway.adapters.store_reader import LogReader
from gateway.adapters.store_succession import begin, end
from gateway.agreement.register import load_register
from gateway.cli.lines import write
from gateway.cli.log_filter import one_of
from gateway.cli.log_place import (
    AsJson,
    Settled,
    Vkey,
    VkeyFile,
    explained,
    given_keys,
    parse_store,
    read_file,
)
from gateway.cli.log_told import head_told, print_json
from gateway.config import StorePlace, load
from gateway.exchangelog import own_entry
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Ending
from gateway.exchangelog.pin import require_held
from gateway.exchangelog.quorum import LogKey


def succeed(
    config: Settled,
    reason: Annotated[str, typer.Option("--reason", help=f"Why: {', '.join(Ending)}.")],
    *,
    old: Annotated[
        StorePlace | None,
        typer.Option(
            "--from",
            parser=parse_store,
            metavar="FILE|URI",
            help="Store of the old log. It takes no entry any more.",
        ),
    ] = None,
    agreed: Annotated[
        Path | None,
        typer.Option(
            "--agreed",
            help="The last checkpoint of the old log that everybody agrees on; without it that of the store.",
        ),
    ] = None,
    vkey: Vkey = None,
    vkey_file: VkeyFile = None,
    as_json: AsJson = False,
) -> None:
    """End a log, and begin its successor where the settings say: another store, another origin.

    The first entry of the successor names the old log. --vkey: keys of the old log.
    """
    with explained():
        ending = Ending(one_of("--reason", reason, list(Ending)))
        settings, now = load(config), datetime.now(UTC)
        signers, pin = log_signers(settings.keys.log_key, settings.log.origin), settings.log.pin
        store = settings.log.store
        if exists(store):
            raise ProofError(Flaw.STORE_EXISTS, str(store))
        if pin is not None and pin.exists():
            raise ProofError(Flaw.PIN_EXISTS, str(pin))
        keys = given_keys(vkey or (), vkey_file)
        if settings.log.origin in {one.name for one in keys}:
            raise ProofError(Flaw.ORIGIN, f"log.origin is that of the old log: {settings.log.origin}")
        # The old log does not end before there is a place for the new one, and the keys that it needs.
        prepare(store)
        bucket_keys = BucketKeys.create(settings.log.bucket_keys)
        register = settings.contracts.register
        hub = load_register(read_file("contracts.register", register), str(register)).hub
        last, left = _last(old, agreed, ending, keys, now)
        first = own_entry.succeeded(last, ending, str(hub.enterprise), now, os.urandom)
        begin(store, signers, bucket_keys, first, old)
        if pin is not None:
            with LogReader.open(store) as log:
                write_pin(pin, log.checkpoint)
    if as_json:
        print_json(
            {"origin": settings.log.origin, "store": str(store), "old": head_told(last), "undelivered": left}
        )
        return
    write(f"{settings.log.origin} succeeds {last.origin}, which was agreed on up to size {last.size}.")
    if left:
        write(
            f"{left} deliveries wait in the old store for good: inform their recipients. gateway queue list names them, with"
            " the old settings."
        )
    if old is not None:
        named = old.resolve() if isinstance(old, Path) else old
        write(
            f"Name {named} last in log.former of the settings: rectifications, officers and reports find the old log by it."
        )


def _last(
    old: StorePlace | None, agreed: Path | None, ending: Ending, keys: Sequence[LogKey], now: datetime
) -> tuple[Checkpoint, int]:
    """What the old log was, by its store, by what is agreed, or by both; and how many deliveries its store keeps for good.
    Raises `ProofError`.
    """
    if not keys:
        raise ProofError(Flaw.KEY_MISSING)
    known = None if agreed is None else read_pin(agreed, keys)
    if old is None or (known is None and ending is not Ending.ENDED):
        # What a forked or lost log was is for people to agree on; its store alone does not tell.
        if known is None or ending is not Ending.LOST:
            raise ProofError(Flaw.AGREED_MISSING)
        return known, 0
    if known is not None:
        with LogReader.open(old) as log:  # what it holds now it holds when it ends
            require_held(known, log.head().size, log.tile)
    last, left = end(old, keys, ending, int(now.timestamp()))
    return known or last, left
