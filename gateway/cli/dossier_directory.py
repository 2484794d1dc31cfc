"""The dossier directory of a store, for a command: what is wrong with the store is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from gateway.adapters.store_directory import Directory
from gateway.adapters.store_session import StorePlace, database_errors, unreadable
from gateway.cli.log_place import explained


@contextmanager
def opened(place: StorePlace, *, writes: bool) -> Iterator[Directory]:
    """Ends the command with status 1 for a store that cannot be opened, or not be read while it is."""
    with explained(), closing(Directory.open(place, writes=writes)) as directory:
        try:
            yield directory
        except database_errors() as error:
            raise unreadable(error, place) from error
