"""The kinds of step of which the story is made. What is expected of each is the agreement read by a human."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.model import DossierNumber
from gateway.sandbox.mischief import Mischief, Neglect
from gateway.sandbox.tricks import Trick

INCOMPLETE: Final = "INCOMPLETE"  # beside KSZ's DATA_FOUND and NO_DATA_FOUND: some sources are missing


@dataclass(frozen=True, slots=True)
class MessageOf:
    """In criteria: the message that this authority found first when it last listed its mailbox."""

    owner: str


@dataclass(frozen=True, slots=True)
class Ask:
    """One question, and its expected end: an outcome, or the code of a refusal."""

    who: str
    operation: str
    context: str  # without its prefix "WIB:"
    criteria: Mapping[str, str | MessageOf]
    expects: str = "DATA_FOUND"
    why: str = ""  # one clause for the reader
    shows: tuple[str, ...] = ()  # fields that the reply must hold
    hides: tuple[str, ...] = ()  # fields that it must not, though the provider may have sent them
    soap12: bool = False
    trick: Trick | None = None
    mischief: Mapping[str, Mischief] = field(default_factory=dict)  # provider → what it does this time


@dataclass(frozen=True, slots=True)
class To:
    """A recipient, and its view of what is told."""

    name: str
    context: str  # under which it receives, without its prefix
    shows: tuple[str, ...] = ()
    hides: tuple[str, ...] = ()
    left: bool = False  # the message stays in its mailbox: the steps that follow take it out


@dataclass(frozen=True, slots=True)
class Tell:
    """One notification, its expected end, and everybody who must hear of it."""

    who: str
    operation: str
    context: str
    dossier: DossierNumber
    to: tuple[To, ...] = ()
    expects: str = "OK"  # or the code of a refusal
    why: str = ""
    says: str = ""  # which notification of the sender's file is sent, when not that of the operation's name
    ticket: str = ""  # a name for it in the story: who repeats it names it again
    neglect: Mapping[str, Neglect] = field(default_factory=dict)  # recipient → what it does the first time

    @property
    def notification(self) -> str:
        """What of the sender's file is told."""
        return self.says or self.operation


@dataclass(frozen=True, slots=True)
class Outage:
    """A recipient is down while several things are told; then it must receive them all, in their order."""

    who: str
    tells: tuple[Tell, ...]


@dataclass(frozen=True, slots=True)
class Chapter:
    """A phase of a procedure."""

    title: str
    steps: tuple[Ask | Tell | Outage, ...]
