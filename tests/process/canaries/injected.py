"""`gateway` with bugs: in the stage that the file `break` names, whoever is called raises what it was called with.

    python -m tests.process.canaries.injected serve --config FILE

The error quotes what is in reach, as bugs do: the message, its payload, its criteria. Started in a directory of
its own; the file lies in the one above.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from gateway.broker.rules import Received
from gateway.model import Request

BREAK = Path("../break")
# What can break, by a name for it: where it is looked up when it is called.
STAGES = {
    "read": "gateway.broker.receive:read",
    "verify": "gateway.broker.receive:verify",
    "identify": "gateway.broker.receive:identify",
    "admit": "gateway.broker.receive:admit",
    "decide": "gateway.broker.consult:decide",
    "release": "gateway.broker.consult:apply_view",
    "answer": "gateway.broker.ask:accept",
    "question": "gateway.broker.ask:write_question",
    "notification": "gateway.broker.notify:accept",
    "entry": "gateway.exchangelog.entry:refused",
    "action": "gateway.edge.soap:soap_action",
    "reply": "gateway.broker.reply:Signer.reply",
    "fault": "gateway.broker.reply:Signer.fault",
    "metrics": "gateway.adapters.metrics:Metrics.emit",
    "delivery": "gateway.broker.deliver:Deliverer.attempt",
    "upload": "gateway.broker.upload:Uploading.upload",
    "document": "gateway.broker.document:Retrieval.retrieve",
}
# And what goes wrong outside of a stage, where Python itself or a library would tell of it.
AROUND = ("thread", "task", "callback", "unraisable", "warning", "library", "executor")


def wanted() -> str:
    try:
        return BREAK.read_text()
    except FileNotFoundError:
        return ""


def broken(name: str, real: Callable) -> Callable:
    @functools.wraps(real)
    def call(*args: object, **named: object) -> object:
        if wanted() == name:
            raise RuntimeError(f"{name} of {in_reach(args)}")
        if name == "read" and wanted() in AROUND:
            around(wanted(), in_reach(args))
        return real(*args, **named)

    return call


def in_reach(args: tuple[object, ...]) -> str:
    """Every text in the arguments, and in what each frame above holds, as a debugger would show them."""
    frame, found = sys._getframe(2), list(texts(args))
    while frame is not None:
        found += texts(frame.f_locals.values())
        frame = frame.f_back
    return " ".join(found)


def texts(values: Iterable[object]) -> Iterator[str]:
    for one in values:
        if isinstance(one, Received):
            yield one.data.decode("utf-8", "replace")
        elif isinstance(one, Request):
            yield repr(one.criteria)
        elif isinstance(one, str | bytes):
            yield repr(one)


def around(name: str, text: str) -> None:
    """A bug that no caller catches, with the message in its words."""

    def fail() -> None:
        raise RuntimeError(text)

    async def fail_later() -> None:
        fail()

    match name:
        case "thread":
            threading.Thread(target=fail).start()
        case "task":
            asyncio.ensure_future(fail_later())  # noqa: RUF006 - nobody asks how it ended
        case "callback":
            asyncio.get_running_loop().call_soon(fail)
        case "executor":
            asyncio.get_running_loop().run_in_executor(None, fail)
        case "unraisable":
            type("Dying", (), {"__del__": lambda self: fail()})()
        case "warning":
            warnings.warn(text, RuntimeWarning, stacklevel=1)
        case "library":
            logging.getLogger("aiohttp.client").error("of %s", text, exc_info=ValueError(text))


def main() -> None:
    for name, place in STAGES.items():
        module, _, inner = place.partition(":")
        owner, _, attribute = inner.rpartition(".")
        holder = importlib.import_module(module)
        holder = getattr(holder, owner) if owner else holder
        setattr(holder, attribute, broken(name, getattr(holder, attribute)))
    from gateway.cli import main as program

    program()


if __name__ == "__main__":
    main()
