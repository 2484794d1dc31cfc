"""What everybody said and heard in a world of canaries, and which words of it are no canaries."""

from __future__ import annotations

import random
import string
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web
from lxml import etree

from gateway.agreement.trees import leaves
from gateway.model import Role
from tests.path.hub import agreement, register
from tests.process.canaries.values import AWKWARD, Canary, kinds

if TYPE_CHECKING:
    from tests.process.canaries.parties import Party


def word(name: str, letters: str = string.ascii_lowercase + string.digits, length: int = 24) -> str:
    """A text of its own for each name, the same in every run."""
    return "".join(random.Random(f"word {name}").choices(letters, k=length))


# What a client's stack may send of itself: each a canary, none a part of the contract.
HEADERS = {
    name: f"{word(name)}{AWKWARD}".encode("ascii", "ignore").decode()
    for name in (
        "User-Agent", "X-Request-ID", "traceparent", "tracestate", "baggage", "Referer", "Cookie", "From",
        "Authorization", "Forwarded", "X-Forwarded-For", "X-Correlation-ID", "Via", "Origin", "Accept-Language",
    )
}  # fmt: skip


@dataclass(frozen=True)
class Heard:
    """What one party received, and which values may stand in it."""

    what: str  # the operation, and what became of it
    by: str
    data: bytes
    may: frozenset[str]
    must: frozenset[str] = frozenset()  # of these, those that are to arrive


Answer = Callable[["Party", etree._Element, web.Request], Awaitable[web.StreamResponse | None]]


@dataclass
class World:
    """Everything that was said. Owned by the story."""

    directory: Path
    urls: Mapping[str, str] = field(default_factory=dict)
    said: dict[tuple[str, str], Canary] = field(default_factory=dict)  # everything that was sent, by anybody
    exercised: set[str] = field(default_factory=set)  # paths that stood in some message
    given: set[str] = field(default_factory=set)  # identifiers that the hub gave: repeated by who got them
    accepted: set[str] = field(default_factory=set)  # paths that stood in messages that were not refused
    heard: list[Heard] = field(default_factory=list)
    parties: dict[str, Party] = field(default_factory=dict)  # register id → authority, once it can be called
    failing: set[str] = field(default_factory=set)  # recipients that take nothing now
    answer: Answer | None = None  # in place of an honest one, if it gives one

    def say(self, canaries: Iterable[Canary]) -> None:
        """Somebody sends these."""
        for one in canaries:
            self.exercised.add(one.id)
            if one.value not in self.given and (one.id in payload_paths() or one.value not in words()):
                self.said[one.id, one.value] = replace(one, closed=one.value in words())

    def say_header(self, name: str, value: str) -> str:
        """The same of something that is no leaf of a message; returns the value."""
        self.say([Canary(f"header {name}", value)])
        return value


@cache
def fields(operation: str) -> Mapping[str, str]:
    """Path → field of every leaf of an operation's payload."""
    ends = operation if agreement().contract.messages[operation].notification else f"{operation}Response"
    return {
        f"{ends}/{leaf.path}": str(leaf.field)
        for leaf in leaves(agreement().contract.messages[operation].payload)
        if leaf.field is not None
    }


def shown(operation: str, view) -> frozenset[str]:
    """Paths of a message that a view releases."""
    ends = operation if agreement().contract.messages[operation].notification else f"{operation}Response"
    return frozenset(f"{ends}/{path}" for path, reason in view.verdicts.items() if reason is None)


@cache
def payload_paths() -> frozenset[str]:
    """Where something of a dossier stands, and not only how a message is built."""
    return frozenset(path for operation in agreement().operations for path in fields(operation))


@cache
def words() -> frozenset[str]:
    """What every message says for itself: words of agreement, contract and register, of nobody's dossier."""
    known = {
        *agreement().contexts,
        *agreement().operations,
        *Role,
        *agreement().permit_types,
        "true",
        "false",
    }
    parties = {one.enterprise for one in (register().hub, *register().authorities)}
    known |= {text for one in parties for text in (one.cbe, one.unit) if text}
    known |= {
        text for one in register().authorities for text in (one.id, one.nis, one.post, one.region) if text
    }
    return frozenset(known).union(*(one.values for one in kinds().values()))
