"""An exported log in memory: a site of whole exchanges, and what somebody with a hand on its files can do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.exchangelog import merkle
from gateway.exchangelog.checkpoint import sign_checkpoint
from gateway.exchangelog.merkle import leaf_hash
from gateway.exchangelog.note import Signer
from gateway.exchangelog.tile import HEIGHT, WIDTH, TileId, bundle, resources
from gateway.refusal import Code
from tests.exchanges import exchange_entries, refusal_entry, request_entry

ORIGIN = "xlog.hub.example/2026"
SIGNER = Signer.of(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = Signer.of(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32)))
VERIFIER = SIGNER.verifier
SIZE = 530  # two full tiles, a partial one, and a level above them


class MemorySite(dict[str, bytes]):
    """Satisfies `site.Resources`."""

    def read(self, path: str) -> bytes | None:
        return self.get(path)

    def paths(self) -> Iterable[str]:
        return [path for path in self if path.startswith("tile/")]


@cache
def entries() -> tuple[bytes, ...]:
    """Whole exchanges, a refusal at 528, and a request without an outcome at 529."""
    pairs = [entry.leaf for number in range(264) for entry in exchange_entries(f"t{number}")]
    return (*pairs, refusal_entry(code=Code.STATUS_DENIED).leaf, request_entry("open").leaf)


def site_of(leaves: Sequence[bytes], signer: Signer = SIGNER) -> MemorySite:
    """By the definition of tlog-tiles, hash by hash: shares nothing with the code that exports."""
    hashes = [leaf_hash(leaf) for leaf in leaves]
    files = MemorySite(checkpoint=sign_checkpoint(len(leaves), merkle.root(hashes), [signer]))
    for name in resources(len(leaves)):
        first = name.n * WIDTH
        if name.level is None:
            files[name.path] = bundle(leaves[first : first + name.width])
            continue
        step = 1 << HEIGHT * name.level
        numbers = range(first, first + name.width)
        files[name.path] = b"".join(merkle.root(hashes[n * step : (n + 1) * step]) for n in numbers)
    return files


def good_site() -> MemorySite:
    return site_of(entries())


def with_entries(files: MemorySite, n: int, leaves: Sequence[bytes]) -> None:
    """Put these into a bundle of `SIZE`."""
    files[TileId(None, n, min(WIDTH, SIZE - n * WIDTH)).path] = bundle(leaves)
