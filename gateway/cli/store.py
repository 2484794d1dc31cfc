"""`gateway store`: where the hub's store is, and how it gets to a PostgreSQL server."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.log_key import log_signers
from gateway.adapters.postgres_uri import PostgresUri
from gateway.adapters.store_copy import copy as copy_store
from gateway.adapters.store_migrate import migrate as migrate_tables
from gateway.adapters.store_reader import LogReader
from gateway.adapters.store_version import REVISION
from gateway.cli.lines import write
from gateway.cli.log_place import AsJson, Settled, explained, parse_store
from gateway.cli.log_progress import entries_done
from gateway.cli.log_told import print_json
from gateway.config import load
from gateway.exchangelog.flaw import Flaw, ProofError

app: Final = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command()
def migrate(
    config: Settled,
    grant: Annotated[
        str | None,
        typer.Option("--grant", help="A role of the database that hubs log in with: what they need."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bring the tables of a PostgreSQL database to the version of this program, while no hub runs; those of former logs, too.

    A file becomes one of this version when something is written to it. As the owner of the database; hubs need fewer rights, which --grant gives to their role.
    """
    with explained():
        settings = load(config).log
        places = [one for one in (settings.store, *settings.former) if isinstance(one, PostgresUri)]
        if not places:
            raise ProofError(Flaw.UNKNOWN_VALUE, "log.store: a file has no tables to migrate")
        for place in places:
            migrate_tables(place, grant)
    if as_json:
        print_json({"stores": [str(one) for one in places], "version": REVISION})
        return
    for place in places:
        write(f"{place} has the tables of version {REVISION}.")


@app.command()
def copy(
    config: Settled,
    to: Annotated[str, typer.Option("--to", metavar="URI", help="An empty PostgreSQL database.")],
    as_json: AsJson = False,
) -> None:
    """Move the store from the file that the settings name to a PostgreSQL database. The log stays the same, byte for byte.

    The file takes no entry from then on: name the database in log.store, and start the hub again.
    """
    with explained():
        settings, target = load(config), parse_store(to)
        old = settings.log.store
        if not isinstance(old, Path) or not isinstance(target, PostgresUri):
            raise ProofError(Flaw.UNKNOWN_VALUE, "a store is copied from a file to a database")
        verifiers = [one.verifier for one in log_signers(settings.keys.log_key, settings.log.origin)]
        keys = BucketKeys.open(settings.log.bucket_keys)
        with LogReader.open(old) as log:
            size = log.head().size
        with entries_done(size) as progress:
            head = copy_store(
                old, target, verifiers, keys, int(datetime.now(UTC).timestamp()), progress=progress
            )
    if as_json:
        print_json({"store": str(target), "size": head.size, "root": head.root.hex()})
        return
    write(f"{head.size} entries, the same checkpoint, verified there. Name it in log.store of the settings:")
    write(f'store = "{target}"')
