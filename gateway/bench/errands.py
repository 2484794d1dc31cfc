"""What a client has to do in a round: signed beforehand as far as it can be, and what to expect of each reply.

A mailbox cannot be asked beforehand for messages that are not in it yet: its owner's requests are signed as they
are made, by the process that makes the load.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gateway.bench import notifications
from gateway.bench.messages import OPERATION, Asked, ask, plausible
from gateway.bench.notifications import ACKNOWLEDGE, FETCH, LIST, TRANSFER
from gateway.bench.place import MAILBOX_OWNER, PROVIDER, REQUESTER, Party
from gateway.bench.profiles import Kind
from gateway.model import AuthorityId, Enterprise, OperationName
from gateway.wss.sign import SigningKey

_EXPECTED = {  # what a good reply holds, besides a signature and the ticket
    TRANSFER: b">OK</",
    LIST: b"DATA_FOUND<",  # NO_DATA_FOUND as well: an empty mailbox is no error
    FETCH: b">DATA_FOUND</",
    ACKNOWLEDGE: b">OK</",
}


@dataclass(frozen=True, slots=True)
class Errand:
    """One signed request."""

    kind: Kind
    who: AuthorityId  # that makes it, under its own TLS certificate
    operation: OperationName
    asked: Asked
    message: str | None = None  # of the mailbox

    def wrong(self, reply: bytes) -> str | None:
        """What is wrong with a reply at first sight. None: nothing."""
        if self.kind is Kind.CONSULT:
            return plausible(reply, self.asked.ticket)
        if b"<ds:SignatureValue>" not in reply or self.asked.ticket not in reply:
            return f"the reply to {self.operation} is not signed, or does not echo the ticket"
        return (
            None if _EXPECTED[self.operation] in reply else f"the reply to {self.operation} holds no result"
        )


@dataclass(slots=True)
class Mailbox:
    """What its owner knows: what may be fetched, and what was fetched and is to be acknowledged."""

    waiting: deque[str] = field(default_factory=deque)
    fetched: deque[str] = field(default_factory=deque)
    seen: set[str] = field(default_factory=set)

    def next(self) -> tuple[OperationName, str | None]:
        """The next request: acknowledging goes before fetching, fetching before listing."""
        if self.fetched:
            return ACKNOWLEDGE, self.fetched.popleft()
        return (FETCH, self.waiting.popleft()) if self.waiting else (LIST, None)

    def learn(self, errand: Errand, reply: bytes) -> None:
        """Take from a good reply what comes next."""
        if errand.operation == LIST:
            new = [one for one in notifications.messages_in(reply) if one not in self.seen]
            self.seen.update(new)
            self.waiting.extend(new)
        elif errand.operation == FETCH and errand.message is not None:
            self.fetched.append(errand.message)


class Desk:
    """Where errands are prepared. Owns the parties' keys and the mailbox."""

    def __init__(self, parties: Mapping[AuthorityId, Party]) -> None:
        self._signers: Mapping[AuthorityId, tuple[Enterprise, SigningKey]] = {
            name: (party.authority.enterprise, party.signing_key()) for name, party in parties.items()
        }
        self.mailbox = Mailbox()

    def prepare(self, kind: Kind, kilobytes: float, lane: int) -> Errand | None:
        """What can be signed beforehand; None for the mailbox's owner."""
        match kind:
            case Kind.CONSULT:
                return Errand(kind, REQUESTER, OPERATION, ask(kilobytes, *self._signers[REQUESTER]))
            case Kind.TELL:
                told = notifications.tell(kilobytes, lane, *self._signers[PROVIDER])
                return Errand(kind, PROVIDER, TRANSFER, told)
            case Kind.POST:
                told = notifications.post(kilobytes, lane, *self._signers[PROVIDER])
                return Errand(kind, PROVIDER, TRANSFER, told)
            case Kind.MAILBOX:
                return None

    def visit(self) -> Errand:
        """The next request of the mailbox's owner."""
        operation, message = self.mailbox.next()
        asked = notifications.visit(operation, message, *self._signers[MAILBOX_OWNER])
        return Errand(Kind.MAILBOX, MAILBOX_OWNER, operation, asked, message)


def dealt(kinds: Iterator[Kind], lanes: int) -> Iterator[tuple[int, Kind]]:
    """Each kind with the lane, a client, whose dossiers it is about: in turn, so that no dossier is told of most."""
    turns = dict.fromkeys(Kind, 0)
    for kind in kinds:
        yield turns[kind] % lanes, kind
        turns[kind] += 1
