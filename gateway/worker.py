"""A worker: one of several processes of a hub. `gateway serve --workers` starts it, as `python -m gateway.worker`.

Its arguments are the settings file and what it inherits (`adapters.channel.Inherited`). It ends when its supervisor
does.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import msgspec
import uvloop

from gateway.adapters import metrics
from gateway.adapters.channel import Channel, Inherited
from gateway.adapters.shared_moments import SharedMoments
from gateway.app import Shared
from gateway.config import load, share_of
from gateway.edge.fellows import Fellows
from gateway.reading import FORESEEN, in_words
from gateway.serving import serve


def main(config: Path, inherited: Inherited) -> None:
    """Serve until told to stop. Raises as `app.serve`."""
    metrics.share(Path(inherited.shared), inherited.number)
    settings = share_of(load(config), inherited.of)
    channel = Channel(socket.socket(fileno=inherited.channel))
    shared = Shared(
        Fellows(channel, number=inherited.number, of=inherited.of, joins=inherited.joins),
        socket.socket(fileno=inherited.soap),
        socket.socket(fileno=inherited.operations),
        SharedMoments(Path(inherited.shared) / "quotas"),
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, shared=shared))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=Inherited))
    except FORESEEN as error:
        sys.exit("\n".join(in_words(error)))
