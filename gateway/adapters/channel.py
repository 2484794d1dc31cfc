"""What a supervisor and the workers of a hub tell each other, over a pair of Unix sockets for each worker.

Nothing of an exchange: that a worker is ready, or in trouble; that a recipient has a message, that the files
changed. What is lost here costs a moment: every worker also looks by itself.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

import msgspec

_MOST: Final = 64 * 1024  # bytes of one message


class _Message(msgspec.Struct, frozen=True, tag=True):
    """A JSON object with the name of its class."""


class Ready(_Message, frozen=True):
    """A worker serves. It says where, and under which revision of the agreement."""

    url: str
    operations: str
    agreement: str


class State(_Message, frozen=True):
    """A worker is there, every second. `trouble`: why it is not ready; None when it is."""

    trouble: str | None


class Ring(_Message, frozen=True):
    """Something has come for these recipients."""

    recipients: tuple[str, ...]


class Look(_Message, frozen=True):
    """The files changed, or whoever runs the hub says that they did: look at them now."""


class Lead(_Message, frozen=True):
    """The worker does what is done once for all of them, until it ends."""


class Troubles(_Message, frozen=True):
    """For the worker that leads: which others are not ready, and why."""

    of: Mapping[str, str]  # number of the worker → words


Message = Ready | State | Ring | Look | Lead | Troubles
_DECODER: Final = msgspec.json.Decoder(Message)


class Inherited(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is given by its supervisor, as its last argument."""

    number: int  # from 0
    of: int  # workers
    joins: bool  # the hub served before this worker began
    shared: str  # directory that all share: what they count, and what is left of each quota
    soap: int  # file descriptors: of a listening socket of its own,
    operations: int  # of one that all share,
    channel: int  # and of its end of the channel


class Channel:
    """One end. Owns its socket; never waits."""

    def __init__(self, end: socket.socket) -> None:
        """`end`: SOCK_SEQPACKET, so that a message is whole and the end of the other side is noticed."""
        end.setblocking(False)  # noqa: FBT003 - the socket's own signature
        self._end = end

    @classmethod
    def pair(cls) -> tuple[Channel, socket.socket]:
        """One end, and the socket of the other, to be inherited."""
        mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(mine), other

    def fileno(self) -> int:
        return self._end.fileno()

    def send(self, message: Message) -> bool:
        """Whether it went: it does not when the other side has ended, or reads nothing for now."""
        with suppress(BlockingIOError, ConnectionError):
            self._end.send(msgspec.json.encode(message))
            return True
        return False

    def receive(self) -> Iterator[Message]:
        """What has come. Raises EOFError once the other side has ended."""
        while True:
            try:
                data = self._end.recv(_MOST)
            except BlockingIOError:
                return
            except ConnectionError as error:
                raise EOFError from error
            if not data:
                raise EOFError
            yield _DECODER.decode(data)

    def close(self) -> None:
        self._end.close()
