"""Bytes as decisions, so that one fuzzer's bytes become another one's message; and bytes made of seeds.

The same bytes give the same decisions on every machine: a found case needs no engine to be played again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")
_TAGS = re.compile(r"(?<=>)(?=<)|(?<=>)(?=[^<])|(?<=[^>])(?=<)")


class Choices:
    """Decisions read from bytes; when they are used up, each further one is the first possibility."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, limit: int) -> int:
        """At least 0 and below `limit`."""
        size = 1 if limit <= 256 else 2
        taken = self.take(size)
        return int.from_bytes(taken) % limit

    def one_of(self, known: Sequence[T]) -> T:
        return known[self.number(len(known))]

    def take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def text(self) -> str:
        """A few characters."""
        return self.take(self.number(9)).decode("latin-1")

    def left(self) -> bool:
        return self._at < len(self._data)

    def edited(self, pieces: Sequence[str], words: Sequence[str]) -> str:
        """The pieces joined, once they were changed for as long as there are decisions."""
        found = list(pieces)
        while self.left() and found:
            self._edit(found, words)
        return "".join(found)

    def _edit(self, found: list[str], words: Sequence[str]) -> None:
        at = self.number(len(found))
        match self.number(8):
            case 0:
                del found[at]
            case 1:
                found.insert(at, self.one_of(found))
            case 2:
                found.insert(self.number(len(found)), found.pop(at))
            case 3:
                found[at] = self.one_of(words)
            case 4:
                found.insert(at, self.one_of(words))
            case 5:
                found[at] = self.one_of(found)
            case 6:
                cut = self.number(len(found[at]) + 1)
                found[at] = found[at][:cut] + self.one_of(words) + found[at][cut:]
            case _:
                cut = self.number(len(found[at]) + 1)
                found[at] = found[at][:cut] + self.text() + found[at][cut + self.number(4) :]


def tags(xml: str) -> list[str]:
    """A document as its tags and the texts between them."""
    return _TAGS.split(xml)


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def mutated(seeds: Sequence[bytes], random: Random, largest: int) -> bytes:
    """A seed with some of its bytes changed, or bytes of chance alone."""
    if not seeds or random.random() < 0.2:
        return random.randbytes(random.randrange(1, 80))
    data = bytearray(random.choice(seeds))
    for _ in range(random.randrange(1, 6)):
        at, length = random.randrange(len(data) + 1), random.choice((1, 2, 4, 16, 64))
        match random.randrange(5):
            case 0:
                data[at : at + 1] = random.randbytes(1)
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                data[at:at] = random.randbytes(length % 5)
            case _:
                other = random.choice(seeds)
                start = random.randrange(len(other) + 1)
                data[at:at] = other[start : start + length]
    return bytes(data[:largest])
