"""Trust policies (C2SP tlog-policy): which logs are believed, and whose cosignatures that takes.

Names of witnesses and groups have a meaning within the file only; the format takes them as bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.cosignature import CosignerKey
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import ED25519, PUBLIC_KEY_SIZE, Verifier, open_note, parse_note, unbase64

MAX_POLICY = 1_000_000  # bytes
MAX_LINES = 1_000  # of logs, witnesses and groups together; the format asks for at least 32 of each
FUTURE = 300  # seconds that a cosigner's clock may be ahead of ours; a later time counts for nothing
_NONE: Final = "none"
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_DECIMAL = re.compile(r"[1-9]\d{0,5}", re.ASCII)

LogKey: TypeAlias = Verifier | CosignerKey


@dataclass(frozen=True, slots=True)
class Witness:
    """Who cosigns; `url`: its submission prefix."""

    name: str
    key: CosignerKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Counts as one when at least `threshold` of its members have cosigned."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A checkpoint that fulfils a policy, and when each of its witnesses cosigned it."""

    checkpoint: Checkpoint
    times: Mapping[str, int]


@dataclass(slots=True)
class TrustPolicy:
    """One policy file, found consistent."""

    logs: list[LogKey] = field(default_factory=list)
    witnesses: dict[str, Witness] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)  # each after its members
    quorum: str = ""

    @classmethod
    def parse(cls, data: bytes) -> TrustPolicy:
        """Raises `ProofError` (LOG705), with the number of the line."""
        if len(data) > MAX_POLICY or _FORBIDDEN.search(data) or (data and not data.endswith(b"\n")):
            raise ProofError(Flaw.POLICY_FORM, "size, control character, or no newline at the end")
        reading = _Reading(cls())
        for number, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), 1):
            words = [word for word in re.split(r"[ \t]+", line) if word]
            if words and not words[0].startswith("#"):
                reading.line(number, words)
        if not reading.policy.quorum:
            raise ProofError(Flaw.POLICY_FORM, "no quorum line")
        return reading.policy

    def verify(self, note: bytes, now: int, also: Sequence[LogKey] = ()) -> Cosigned:
        """The checkpoint, signed by a log that is believed and cosigned by a quorum.

        `now`: seconds since 1970. `also`: keys of a log that is known otherwise. Raises `ProofError`, also when
        a line of a known key does not verify.
        """
        checkpoint = Checkpoint.parse(parse_note(note).text)
        keys = [key for key in (*self.logs, *also) if key.name == checkpoint.origin]
        open_note(note, keys)
        times = self.times(note, now)
        if not self.is_met(times):
            raise ProofError(Flaw.QUORUM, f"size {checkpoint.size}, cosigned by {', '.join(times) or 'none'}")
        return Cosigned(checkpoint, times)

    def times(self, note: bytes, now: int) -> Mapping[str, int]:
        """Which witnesses have cosigned it, and when last. Raises `ProofError` for a line that does not verify."""
        parsed, found = parse_note(note), dict[str, int]()
        for witness in self.witnesses.values():
            for signature in parsed.signatures:
                if (signature.name, signature.key_id) == (witness.key.name, witness.key.key_id):
                    time = witness.key.verify(parsed.text, signature)
                    if time <= now + FUTURE:
                        found[witness.name] = max(time, found.get(witness.name, 0))
        return found

    def is_met(self, times: Mapping[str, int]) -> bool:
        """Whether these witnesses are enough."""
        if self.quorum == _NONE:
            return True
        fulfilled = set(times)
        for name, group in self.groups.items():
            if sum(member in fulfilled for member in group.members) >= group.threshold:
                fulfilled.add(name)
        return self.quorum in fulfilled


class _Reading:
    """One pass over a policy file."""

    def __init__(self, policy: TrustPolicy) -> None:
        self.policy = policy
        self._placed: set[str] = set()  # members of a group: each can count in one way only
        self._kinds: dict[str, Callable[[list[str]], None]] = {
            "log": self._log,
            "witness": self._witness,
            "group": self._group,
            "quorum": self._quorum,
        }

    def line(self, number: int, words: list[str]) -> None:
        policy = self.policy
        kind = self._kinds.get(words[0], self._unknown)
        try:
            lines = len(policy.logs) + len(policy.witnesses) + len(policy.groups)
            _require(lines < MAX_LINES, "too many lines")
            kind(words[1:])
        except ProofError as error:
            about = ascii(error.about).strip("'")
            raise ProofError(Flaw.POLICY_FORM, f"line {number}: {error.flaw.row.code} {about}") from error

    def _unknown(self, _words: list[str]) -> None:
        _require(sound=False, about="log, witness, group or quorum")

    def _log(self, words: list[str]) -> None:
        _require(len(words) in {1, 2}, "log <vkey> [<url>]")
        key = parse_log_key(words[0])
        _require(all(key.public != one.public for one in self.policy.logs), "the key of another log")
        self.policy.logs.append(key)

    def _witness(self, words: list[str]) -> None:
        _require(len(words) in {2, 3}, "witness <name> <vkey> [<url>]")
        name = self._new(words[0])
        key = CosignerKey.parse(words[1])
        others = self.policy.witnesses.values()
        _require(all(key.public != one.key.public for one in others), "the key of another witness")
        self.policy.witnesses[name] = Witness(name, key, words[2] if len(words) == 3 else None)

    def _group(self, words: list[str]) -> None:
        _require(len(words) >= 3, "group <name> all|any|<k> <name>...")
        name, members = self._new(words[0]), words[2:]
        for member in members:
            _require(self._known(member) and member not in self._placed, member)
            self._placed.add(member)
        counts = {"all": len(members), "any": 1}
        threshold = counts.get(words[1]) or (int(words[1]) if _DECIMAL.fullmatch(words[1]) else 0)
        _require(1 <= threshold <= len(members), words[1])
        self.policy.groups[name] = Group(threshold, tuple(members))

    def _quorum(self, words: list[str]) -> None:
        _require(len(words) == 1 and not self.policy.quorum, "one quorum <name>|none")
        _require(words[0] == _NONE or self._known(words[0]), words[0])
        self.policy.quorum = words[0]

    def _new(self, name: str) -> str:
        _require(name != _NONE and not self._known(name), name)
        return name

    def _known(self, name: str) -> bool:
        return name in self.policy.witnesses or name in self.policy.groups


def parse_log_key(vkey: str) -> LogKey:
    """tlog-checkpoint: Ed25519 (01) or ML-DSA-44 (06); a cosignature key of type 04 is no log's.

    Raises `ProofError`.
    """
    kind = unbase64(vkey.split("+", 2)[-1], Flaw.KEY_FORM)[:1]
    if kind == ED25519:
        return Verifier.parse(vkey)
    key = CosignerKey.parse(vkey)
    _require(len(key.public) != PUBLIC_KEY_SIZE, "the key of a witness")
    return key


def _require(sound: bool, about: str) -> None:  # noqa: FBT001 - a condition, in words
    if not sound:
        raise ProofError(Flaw.POLICY_FORM, about)
