"""What a notification tells, by field: read once from its payload, for the rules that need a value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.model import FieldId, Node
from gateway.soap.xml import Element

Together = Mapping[FieldId, Sequence[str]]  # the texts that stand in one element, by their fields


@dataclass(frozen=True, slots=True)
class Written:
    """The texts of a payload."""

    elements: tuple[
        Together, ...
    ]  # one for each element that has texts in it, so that a main place is one place

    @classmethod
    def of(cls, payload: Element, node: Node) -> Written:
        """`payload`: schema-valid; `node`: its place in the contract."""
        return cls(tuple(_elements(payload, node)))

    @property
    def fields(self) -> frozenset[FieldId]:
        """Every field that is written."""
        return frozenset(field for one in self.elements for field in one)

    def texts(self, field: FieldId) -> tuple[str, ...]:
        """Every text of the field, in the order of the payload."""
        return tuple(text for one in self.elements for text in one.get(field, ()))

    def text(self, field: FieldId) -> str | None:
        """The text of a field that the contract does not repeat; None when it is not written."""
        return next(iter(self.texts(field)), None)


def _elements(element: Element, node: Node) -> Iterator[Together]:
    own: dict[FieldId, list[str]] = {}
    by_tag = {f"{{{child.namespace}}}{child.name}": child for child in node.children}
    for child in element:
        part = by_tag[str(child.tag)]
        if part.children:
            yield from _elements(child, part)
        elif part.field is not None:
            own.setdefault(part.field, []).append((child.text or "").strip())  # as xs:token is read
    if own:
        yield own
