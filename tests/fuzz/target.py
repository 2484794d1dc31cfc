"""What a fuzz target is, and the inputs that are known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).parents[1] / "corpus"


@dataclass(frozen=True)
class Target:
    """One kind of input and its judge, which raises when the code under test does what it must not."""

    name: str
    judge: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    largest: int = 4096  # bytes of an input that the fuzzer makes
    seconds: float = 1.0  # of CPU, for one input, with every branch counted; an honest message takes 5 ms
    guided: bool = (
        True  # by the branches that an input takes; otherwise by chance alone, and ten times as fast
    )
    replayed: int = 300  # inputs that every run of the tests makes of the seeds

    def kept(self) -> dict[str, bytes]:
        """Cases that were once found, by the flaw that they are named for."""
        return {path.name: path.read_bytes() for path in sorted((CORPUS / self.name).glob("*"))}
