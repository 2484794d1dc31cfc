"""Field records: which fields were released or withheld, provable one by one, without their values.

A record is `["r", path, digest]` or `["w", path, reason]`; an RFC 6962 tree over the records, sorted by
path, gives the root that stands in the entry. A digest is that of an RFC 9901 disclosure, so that common
tools can recompute it. There is no commitment to withheld values: nobody needs to open one, and a leaked
seed would let them be guessed. The vector of released and withheld is a function of policy alone.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from binascii import b2a_base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256, shake_256
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from gateway.exchangelog import merkle
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.merkle import HASH_SIZE, PartialTree

if TYPE_CHECKING:
    from gateway.model import View

SALT_SIZE = 18  # bytes, 24 characters; RFC 9901 §4.2.1 recommends at least 128 bits
_SALT_TEXT = SALT_SIZE * 4 // 3  # its characters
SEED_SIZE = 32  # bytes
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
# For strings, null and lists of them this encoder writes what RFC 8785 asks, and faster; a test compares.
_canonical = msgspec.json.Encoder().encode


def base64url(data: bytes) -> bytes:
    """RFC 4648 §5 without padding."""
    return b2a_base64(data, newline=False).translate(_URL_SAFE, b"=")


def _each_base64url(pieces: Iterable[bytes]) -> list[bytes]:
    """`base64url` of each piece; all of them, a line each, are translated at once."""
    return b"".join(map(b2a_base64, pieces)).translate(_URL_SAFE, b"=").splitlines()


def _each_salt(seed: bytes, count: int) -> list[bytes]:
    """`base64url` of each of the `salts`: three bytes are four characters, so the stream is encoded as a whole."""
    text = base64url(_stream(seed, count))
    return [text[at : at + _SALT_TEXT] for at in range(0, len(text), _SALT_TEXT)]


def _stream(seed: bytes, count: int) -> bytes:
    if len(seed) != SEED_SIZE:
        raise ValueError("a seed has 32 bytes")
    return shake_256(seed).digest(SALT_SIZE * count)


@dataclass(frozen=True, slots=True)
class FieldRecord:
    """One leaf path of the payload. Exactly one of `digest` (released) and `reason` (withheld) is set."""

    path: str
    digest: str | None
    reason: str | None

    @property
    def canonical(self) -> bytes:
        if self.digest is not None:
            return _canonical(["r", self.path, self.digest])
        return _canonical(["w", self.path, self.reason])


class Commitment(msgspec.Struct, frozen=True):
    """What an entry keeps of its released values: the root, and the digests in the order of the paths."""

    root: bytes
    digests: bytes


def salts(seed: bytes, count: int) -> list[bytes]:
    """`count` salts of `SALT_SIZE` bytes, in order: successive output of SHAKE256(seed) (FIPS 202).

    One salt tells nothing of the seed or of the others, so that one value can be disclosed alone.
    """
    stream = _stream(seed, count)
    return [stream[at : at + SALT_SIZE] for at in range(0, len(stream), SALT_SIZE)]


def disclosure(salt: bytes, name: str, value: object) -> bytes:
    """RFC 9901 §4.2.1 with the JSON in canonical form."""
    return base64url(_canonical([base64url(salt).decode(), name, value]))


def verify_disclosure(disclosed: bytes, record: FieldRecord) -> list[str] | None:
    """The value that a released record commits to, None when it was absent. Raises `ProofError`."""
    if record.digest is None or base64url(sha256(disclosed).digest()).decode() != record.digest:
        raise ProofError(Flaw.DISCLOSURE, "digest")
    try:
        _, path, value = _opened(urlsafe_b64decode(disclosed + b"=" * (-len(disclosed) % 4)))
    except (ValueError, RecursionError):
        raise ProofError(Flaw.DISCLOSURE, "form") from None
    if path != record.path:
        raise ProofError(Flaw.DISCLOSURE, "path")
    return value


# Salt, path, and the texts at the path, one at least; null where there was none.
_opened: Final = msgspec.json.Decoder(tuple[str, str, Annotated[list[str], Meta(min_length=1)] | None]).decode


def fields_root(records: Sequence[FieldRecord]) -> bytes:
    """The plain definition; `FieldPlan` computes the same, faster."""
    ordered = sorted(records, key=lambda record: record.path)
    return merkle.root([merkle.leaf_hash(record.canonical) for record in ordered])


@dataclass(frozen=True, slots=True)
class _Released:
    """The constant parts of a released path: of its disclosure (after the salt) and of its record."""

    position: int  # among all paths
    path: str
    disclosed: bytes
    record: bytes


class FieldPlan:
    """All of a view's field records that does not depend on the exchange, computed once.

    `vector` is the canonical list of `[path]` (released) and `[path, reason]` (withheld), sorted by path;
    a store keeps it once per `vector_hash`, and with an entry only the digests.
    """

    __slots__ = ("_hashes", "_reasons", "_released", "_tree", "vector", "vector_hash")

    def __init__(self, verdicts: Mapping[str, str | None]) -> None:
        paths = sorted(verdicts)
        self._reasons = tuple((path, verdicts[path]) for path in paths)
        self.vector = _canonical(
            [[path] if reason is None else [path, reason] for path, reason in self._reasons]
        )
        self.vector_hash = sha256(self.vector).digest()
        self._released = tuple(
            _released(position, path)
            for position, (path, reason) in enumerate(self._reasons)
            if reason is None
        )
        # A template: withheld records have their leaf hash, released ones get theirs in each exchange.
        self._hashes = [
            b"" if reason is None else merkle.leaf_hash(FieldRecord(path, None, reason).canonical)
            for path, reason in self._reasons
        ]
        self._tree = PartialTree(self._hashes)

    @classmethod
    def parse(cls, vector: bytes) -> FieldPlan:
        """The plan of a stored vector. Raises `ProofError`."""
        try:
            verdicts = dict(_verdict(item) for item in json.loads(vector))
            plan = cls(verdicts)
        except (ValueError, TypeError, RecursionError):
            raise ProofError(Flaw.FIELD_FORM) from None
        if plan.vector != vector:
            raise ProofError(Flaw.FIELD_FORM, "not canonical")
        return plan

    def __len__(self) -> int:
        return len(self._reasons)

    @property
    def verdicts(self) -> Mapping[str, str | None]:
        """Every path → None when it is released, else the reason for which it is withheld."""
        return dict(self._reasons)

    @property
    def released(self) -> frozenset[str]:
        """The paths that the view releases."""
        return frozenset(one.path for one in self._released)

    def commit(self, values: Mapping[str, tuple[str, ...]], seed: bytes) -> Commitment:
        """Digests and root for the values of one exchange: every released path, () when absent."""
        if len(values) != len(self._released):
            raise ValueError("values of other paths than the view releases")
        encoded = _each_salt(seed, len(self._released))
        disclosed = [
            b'["%b%b%b]' % (salt, one.disclosed, _canonical(values[one.path] or None))
            for one, salt in zip(self._released, encoded, strict=True)
        ]
        digests = [sha256(text).digest() for text in _each_base64url(disclosed)]
        return Commitment(self._root(digests), b"".join(digests))

    def root(self, digests: bytes) -> bytes:
        """The root over stored digests. Raises `ProofError`."""
        return self._root(self._split(digests))

    def records(self, digests: bytes) -> tuple[FieldRecord, ...]:
        """The field records of an entry, sorted by path. Raises `ProofError`."""
        each = iter(self._split(digests))
        return tuple(
            FieldRecord(path, base64url(next(each)).decode(), None)
            if reason is None
            else FieldRecord(path, None, reason)
            for path, reason in self._reasons
        )

    def _split(self, digests: bytes) -> list[bytes]:
        if len(digests) != HASH_SIZE * len(self._released):
            raise ProofError(Flaw.FIELD_FORM, "digests")
        return [digests[at : at + HASH_SIZE] for at in range(0, len(digests), HASH_SIZE)]

    def _root(self, digests: Sequence[bytes]) -> bytes:
        hashes = self._hashes.copy()
        for one, digest in zip(self._released, _each_base64url(digests), strict=True):
            hashes[one.position] = sha256(one.record + digest + b'"]').digest()
        return self._tree.root(hashes)


@lru_cache(maxsize=512)
def plan_of(vector: bytes) -> FieldPlan:
    """A view releases the same to everybody who has it: its vector is read once. Raises `ProofError`."""
    return FieldPlan.parse(vector)


class FieldPlans:
    """Plans by view: the agreement makes each view once and hands it out again, so identity is enough.

    Its owner keeps it for as long as it likes; it holds at most `limit` plans and drops the oldest.
    """

    def __init__(self, limit: int = 512) -> None:
        self._limit = limit
        self._plans: dict[View, FieldPlan] = {}

    def of(self, view: View) -> FieldPlan:
        plan = self._plans.get(view)
        if plan is None:
            if len(self._plans) >= self._limit:
                del self._plans[next(iter(self._plans))]
            plan = self._plans[view] = FieldPlan(view.verdicts)
        return plan


def _released(position: int, path: str) -> _Released:
    quoted = _canonical(path)
    # merkle.leaf_hash's prefix stands before the record, to hash both in one call.
    return _Released(position, path, b'",' + quoted + b",", b'\x00["r",' + quoted + b',"')


def _verdict(item: object) -> tuple[str, str | None]:
    match item:
        case [str(path)]:
            return path, None
        case [str(path), str(reason)]:
            return path, reason
    raise ValueError
