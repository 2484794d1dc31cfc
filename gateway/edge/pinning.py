"""Pinning: from time to time, and at the end, the log's checkpoint is kept on another path than the store's.

A hub that starts behind its pin does not append (PROTOCOL.md §8.16). Written at a bounded rate: what was
acknowledged in the last moment before a machine is lost may be missing from the pin, never from the store.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import time
from typing import Final

from gateway.adapters.metrics import Metrics
from gateway.adapters.pin import write_pin
from gateway.broker.event import trace
from gateway.edge.operational_log import OperationalLog
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.refusal import Refusal

_PAUSE: Final = 1.0  # seconds from one look at the log to the next
_LOOKS: Final = 200  # for a moment in which no other process writes the pin
_LOOK: Final = 0.05  # seconds from one to the next


class Pinning:
    """Owns the file of the pin, together with the other processes of its hub."""

    def __init__(
        self, path: Path, checkpoint: Callable[[], Awaitable[bytes]], metrics: Metrics, log: OperationalLog
    ) -> None:
        """`checkpoint`: the log's, as it is at that moment; a log that is open only grows."""
        self._path = path
        self._checkpoint = checkpoint
        self._metrics = metrics
        self._log = log
        self._kept = b""
        metrics.pin_written(_written(path))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.keep()
            await asyncio.sleep(_PAUSE)

    async def keep(self) -> None:
        """Once more at the end, when this process appends nothing any more.

        An old pin is weaker, not wrong: exchanges go on while it cannot be written, and the metric tells.
        """
        try:
            async with _alone(self._path.parent):
                note = await self._checkpoint()
                if note != self._kept:
                    await asyncio.to_thread(write_pin, self._path, note)
                    self._kept = note
            self._metrics.pinned()
        except ProofError as error:
            self._log.note("pin", code=error.flaw.row.code)
        except Refusal as refusal:  # the store is away
            self._log.note("pin", code=refusal.code.row.code)
        except Exception as error:  # noqa: BLE001 - the pinning outlives a bug
            self._log.note("failed", trace=trace(error))


def _written(path: Path) -> float:
    """When the pin was. It was read a moment ago: the hub starts behind none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return time()


@asynccontextmanager
async def _alone(directory: Path) -> AsyncIterator[None]:
    """No other process of the hub writes a pin meanwhile, so that none is replaced by an older one.

    Raises OSError, and `ProofError` (LOG520) for one that does not come to an end.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for _ in range(_LOOKS):
            if _taken(descriptor):
                break
            await asyncio.sleep(_LOOK)
        else:
            raise ProofError(Flaw.OCCUPIED, str(directory))
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
