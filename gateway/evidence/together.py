"""Which entries belong into one evidence file: those of one exchange or notification, in agreement with each other."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping

from gateway.exchangelog.commitment import digest
from gateway.exchangelog.flaw import Finding, Flaw
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.pairing import Pairing


def check_together(leaves: Mapping[int, Leaf]) -> Iterator[Finding]:
    """Everything that is wrong with the entries as a whole. `leaves`: by index, in order."""
    pairing, joined = Pairing(), _joined(leaves)
    for index, leaf in leaves.items():
        yield from (Finding(Flaw.APART, index, one.about) for one in pairing.check(index, leaf))
        if not joined & _keys(leaf):
            yield Finding(Flaw.APART, index, "of another exchange")


def _joined(leaves: Mapping[int, Leaf]) -> set[str]:
    """What the entries that belong to the first one have in common with others."""
    rest = [_keys(leaf) for leaf in leaves.values()]
    joined = rest.pop(0) if rest else set[str]()
    while near := [one for one in rest if one & joined]:
        joined |= set().union(*near)
        rest = [one for one in rest if not one & joined]
    return joined


def _keys(leaf: Leaf) -> set[str]:
    """Its exchange, its notification, and its signature, also as a response writes that of a document uploaded before."""
    keys = {leaf.id, leaf.notification, leaf.signature} - {None}
    if leaf.signature is not None:
        keys.add(digest(urlsafe_b64decode(leaf.signature + "=")))
    return {str(one) for one in keys}
