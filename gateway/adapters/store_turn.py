"""Processes that write to one file take turns: by a lock on its directory, which a process that ends gives up.

SQLite's own lock is asked for by polling: of several processes that write all the time one could wait for long.
"""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from gateway.adapters.store_session import Occupied

TURN_SECONDS: Final = 12.0  # that anybody is waited for; a token may sign for ten within a turn
_LOOK: Final = 0.01  # seconds, of whoever does not stand in line


class Turn:
    """Of one session. For one thread, but for `give_up`."""

    def __init__(self, directory: Path) -> None:
        self._descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        self._gate = threading.Lock()  # guards the two below
        self._asked: float | None = None  # since when it stands in line
        self._given_up = False

    def take(self) -> None:
        """Look for a moment between two turns. Raises `Occupied` when there was none in time."""
        end = monotonic() + TURN_SECONDS
        while not self._taken():
            if monotonic() > end:
                raise Occupied
            sleep(_LOOK)

    def take_in_line(self) -> None:
        """In order of arrival, however long it takes. Raises `Occupied` when `give_up` was called meanwhile."""
        with self._gate:
            self._asked, self._given_up = monotonic(), False
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        with self._gate:
            given_up, self._asked = self._given_up, None
        if given_up:
            self.pass_on()
            raise Occupied

    def give_up(self) -> bool:
        """Whether it has stood in line for too long: then it will not take its turn when that comes."""
        with self._gate:
            self._given_up = self._asked is not None and monotonic() - self._asked > TURN_SECONDS
            return self._given_up

    def pass_on(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """And with it the lock, if a transaction was never ended."""
        os.close(self._descriptor)

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
