"""A process of a hub from its start to its end: signals, keys that stay within, and who hears that it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from contextlib import suppress
from threading import Thread
from typing import Final

from gateway.adapters.dumps import forbid_dumps
from gateway.app import Shared, hub
from gateway.config import Settings
from gateway.edge.fellows import Fellows
from gateway.edge.operational_log import LibraryLines, OperationalLog, tell_uncaught
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.loading import load

# New objects before a collection: an exchange makes a thousand, and next to none of them refer in circles.
_COLLECT: Final = 20_000, 20, 20


async def serve(settings: Settings, *, stop_with_stdin: bool = False, shared: Shared | None = None) -> None:
    """Run until SIGTERM or SIGINT, or until standard input closes, or the supervisor of `shared` ends; finish what
    is under way. SIGHUP: reload.

    The first SIGTERM or SIGINT begins to drain, a second one ends that. Raises StartError, ConfigError, ProofError, and
    LOG519 of those in a worker once a commit to a file has failed.
    """
    forbid_dumps()  # before there is a key
    stop, told, hurry = asyncio.Event(), asyncio.Event(), asyncio.Event()
    failed, loop = asyncio.Event(), asyncio.get_running_loop()
    if stop_with_stdin:
        Thread(target=_until_closed, args=(sys.stdin.fileno(), loop, stop), name="stdin", daemon=True).start()
    loop.add_signal_handler(signal.SIGHUP, told.set)  # which would otherwise end a hub that is starting
    fellows = shared.fellows if shared else Fellows()
    fellows.listen(told.set, stop.set)
    loaded = load(settings)

    def end() -> None:
        (hurry if stop.is_set() else stop).set()

    def give_up() -> None:
        if fellows.several:  # there is somebody to start another process: a hub of one goes on refusing
            for one in (failed, hurry, stop):
                one.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    log = OperationalLog(sys.stderr, worker=fellows.worker)
    logging.basicConfig(handlers=[LibraryLines(log)], level=logging.WARNING, force=True)
    tell_uncaught(log)  # nobody but the log prints: libraries, and Python itself, quote what a peer sent
    async with hub(settings, loaded, sys.stderr, told, shared, hurry, give_up):
        gc.set_threshold(*_COLLECT)
        gc.freeze()  # the agreement and its views live as long as the process: no collection need look at them
        await stop.wait()
    if failed.is_set():
        raise ProofError(Flaw.COMMIT, str(settings.log.store))


def _until_closed(descriptor: int, loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Whoever started the hub holds the other end of the pipe: the kernel closes it, however they die."""
    with suppress(OSError, RuntimeError):  # RuntimeError: the loop has ended before
        while os.read(descriptor, 4096):
            pass
        loop.call_soon_threadsafe(stop.set)
