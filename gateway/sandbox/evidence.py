"""What the exchange log and a message's own content say of an exchange: what expectations are held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_reader import LogReader
from gateway.agreement.answer import leaves
from gateway.agreement.schema import leaves as nodes
from gateway.agreement.terms import Agreement
from gateway.agreement.views import PROVIDER
from gateway.exchangelog.audit import audit
from gateway.exchangelog.leaf import Leaf
from gateway.model import AuthorityId, LegalContext, OperationName
from gateway.sandbox.story.steps import Tell
from gateway.sandbox.world import World
from gateway.soap.xml import Element, Limits, parse


@dataclass(frozen=True, slots=True)
class LogCheck:
    """What the check of the whole exchange log found."""

    size: int
    root: str
    findings: tuple[str, ...]  # failures; empty: verified
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class View:
    """The field records of an entry, as fields."""

    released: frozenset[str]
    withheld: frozenset[str]  # but for what the provider or sender may not write anyway


class Evidence:
    """Looks things up for one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._views: dict[int, View] = {}  # by index: what is in the log stays as it is

    @contextmanager
    def log(self) -> Iterator[LogReader]:
        """The exchange log, beside the running hub."""
        settings = self._world.place.settings.log
        with LogReader.open(settings.store, BucketKeys.open(settings.bucket_keys)) as log:
            yield log

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Enterprise as in the entries → id of the authority."""
        register = self._world.place.register
        return {str(one.enterprise): str(one.id) for one in register.authorities}

    def entry(self, log: LogReader, index: int) -> Leaf:
        return Leaf.parse(log.entry(index))

    def view(self, log: LogReader, index: int | None, operation: str) -> View:
        """What an entry released and withheld of an operation's payload; nothing without an entry."""
        if index is None:
            return View(frozenset(), frozenset())
        if index not in self._views:
            fields, records = _fields(self._world.agreement, operation), log.records(index)
            released = frozenset(fields[one.path] for one in records if one.reason is None)
            withheld = frozenset(fields[one.path] for one in records if one.reason not in (None, PROVIDER))
            self._views[index] = View(released, withheld - released)
        return self._views[index]

    def replied(self, operation: str, message: bytes) -> set[str]:
        """The fields of which a reply holds a value."""
        return self.held(operation, parse(message, Limits())[-1][0][-1])

    def held(self, operation: str, element: Element | None) -> set[str]:
        """The fields of which a payload holds a value; none when the element is something else."""
        payload = self._world.agreement.operations[OperationName(operation)].messages.payload
        if element is None or element.tag != f"{{{payload.namespace}}}{payload.name}":
            return set()
        return {leaf.field for leaf, _ in leaves(payload, element) if leaf.field is not None}

    def declared(self, step: Tell, name: str) -> tuple[str, ...]:
        """What the agreement wants declared as withheld from a recipient of the step."""
        register = self._world.place.register.by_id
        sender, recipient = register[AuthorityId(step.who)].role, register[AuthorityId(name)].role
        assert recipient is not None  # the hub receives nothing
        context = LegalContext(f"WIB:{next(to.context for to in step.to if to.name == name)}")
        return self._world.agreement.view(OperationName(step.operation), recipient, context, sender).filtered

    def check(self) -> LogCheck:
        """Verify the whole exchange log against the key that belongs to it."""
        with self.log() as log:
            head = log.head()
            found = list(audit(log, head, self._world.place.log_keys()))
        words = {
            fails: tuple(
                _finding(one.flaw.row.code, one.index, one.flaw.row.sentence)
                for one in found
                if one.fails is fails
            )
            for fails in (True, False)
        }
        return LogCheck(head.size, head.root.hex(), words[True], words[False])


def _fields(agreement: Agreement, operation: str) -> Mapping[str, str]:
    """Leaf path of the payload → its field."""
    payload = agreement.operations[OperationName(operation)].messages.payload
    return {leaf.path: leaf.field for leaf in nodes(payload) if leaf.field is not None}


def _finding(code: str, index: int | None, sentence: str) -> str:
    return f"{code} entry {index}: {sentence}" if index is not None else f"{code}: {sentence}"
