"""What is in an evidence file, and under which names: a closed list, both ways."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from gateway.exchangelog.fields import FieldRecord
from gateway.exchangelog.flaw import Finding, Flaw, ProofError

CHECKPOINT: Final = "checkpoint"
TOKEN: Final = "checkpoint.tsr"  # noqa: S105 - of a time-stamping authority, no secret
_PROOF: Final = "entry.tlog-proof"
_FIELDS: Final = "fields.json"
_PAYLOAD: Final = "payload.xml"
_SALT: Final = "body.salt"
_MESSAGE: Final = re.compile(r"message-([1-9]\d{0,3})\.xml", re.ASCII)
_MAX_FIELDS: Final = (
    8 * 1024 * 1024
)  # bytes of field records: 65,535 of them at most; as values they take far more
_ENTRY: Final = re.compile(r"entries/(0|[1-9]\d{0,17})/([a-z0-9.-]+)", re.ASCII)
_AGREEMENT: Final = re.compile(r"agreement/([0-9a-f]{64})/(.+)", re.ASCII)
_TRUST: Final = re.compile(r"trust/(anchors|intermediates|crls|answers)/.+", re.ASCII)
_ENDINGS: Final = {"anchors": "crt", "intermediates": "crt", "crls": "crl", "answers": "ors"}


@dataclass(frozen=True, slots=True)
class Recorded:
    """One entry of the log, and what was kept of it."""

    index: int
    proof: bytes  # C2SP tlog-proof that carries the leaf
    fields: Sequence[FieldRecord] | None = None  # of a response or delivery
    messages: Sequence[bytes] = ()  # signed by others, in the order of `msgsig`
    payload: bytes | None = None  # what `body` commits to, where that is no message
    salt: bytes | None = None  # base64url; opens `body`


@dataclass(frozen=True, slots=True)
class Known:
    """Certificates and revocation data, DER."""

    anchors: Sequence[bytes] = ()
    intermediates: Sequence[bytes] = ()
    crls: Sequence[bytes] = ()
    answers: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class Contents:
    """All of it."""

    entries: Sequence[Recorded]
    checkpoint: bytes
    agreements: Mapping[str, Mapping[str, bytes]]  # revision → file → content
    known: Known
    token: bytes | None = None  # RFC 3161 response over the checkpoint


def pack(contents: Contents) -> dict[str, bytes]:
    """Name → content, in the order of the file."""
    members = {CHECKPOINT: contents.checkpoint}
    if contents.token is not None:
        members[TOKEN] = contents.token
    for one in contents.entries:
        members |= {f"entries/{one.index}/{name}": data for name, data in _packed(one).items()}
    for revision, files in contents.agreements.items():
        members |= {f"agreement/{revision}/{name}": files[name] for name in sorted(files)}
    for kind in _ENDINGS:
        members |= {_trusted(kind, data): data for data in getattr(contents.known, kind)}
    return members


def _trusted(kind: str, data: bytes) -> str:
    """Of certificates and revocation data the name tells the content."""
    return f"trust/{kind}/{hashlib.sha256(data).hexdigest()}.{_ENDINGS[kind]}"


def _packed(one: Recorded) -> dict[str, bytes]:
    members = {_PROOF: one.proof}
    members |= {f"message-{n}.xml": data for n, data in enumerate(one.messages, 1)}
    if one.payload is not None:
        members[_PAYLOAD] = one.payload
    if one.salt is not None:
        members[_SALT] = one.salt
    if one.fields is not None:
        members[_FIELDS] = b"[" + b",\n".join(record.canonical for record in one.fields) + b"]\n"
    return members


def unpack(members: Mapping[str, bytes]) -> tuple[Contents, list[Finding]]:
    """What is there, and what has no place or is missing."""
    findings = list[Finding]()
    entries: defaultdict[int, dict[str, bytes]] = defaultdict(dict)
    agreements: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
    known: dict[str, list[bytes]] = {kind: [] for kind in _ENDINGS}
    for name, data in members.items():
        if match := _ENTRY.fullmatch(name):
            entries[int(match[1])][match[2]] = data
        elif match := _AGREEMENT.fullmatch(name):
            agreements[match[1]][match[2]] = data
        elif (match := _TRUST.fullmatch(name)) and name == _trusted(match[1], data):
            known[match[1]].append(data)
        elif name not in {CHECKPOINT, TOKEN}:
            findings.append(Finding(Flaw.PIECE_SURPLUS, about=name))
    if CHECKPOINT not in members:
        findings.append(Finding(Flaw.PIECE_MISSING, about=CHECKPOINT))
    if not entries:
        findings.append(Finding(Flaw.PIECE_MISSING, about="entries"))
    recorded = [_recorded(index, entries[index], findings) for index in sorted(entries)]
    checkpoint, token = members.get(CHECKPOINT, b""), members.get(TOKEN)
    return Contents(recorded, checkpoint, agreements, Known(**known), token), findings


def _recorded(index: int, members: Mapping[str, bytes], findings: list[Finding]) -> Recorded:
    messages, known = dict[int, bytes](), {_PROOF, _FIELDS, _PAYLOAD, _SALT}
    for name, data in members.items():
        if match := _MESSAGE.fullmatch(name):
            messages[int(match[1])] = data
        elif name not in known:
            findings.append(Finding(Flaw.PIECE_SURPLUS, index, name))
    if _PROOF not in members:
        findings.append(Finding(Flaw.PIECE_MISSING, index, _PROOF))
    if sorted(messages) != list(range(1, len(messages) + 1)):
        findings.append(Finding(Flaw.PIECE_MISSING, index, "messages"))
    fields = None
    try:
        fields = _records(members[_FIELDS]) if _FIELDS in members else None
    except ProofError as error:
        findings.append(Finding(error.flaw, index, error.about))
    ordered = [messages[n] for n in sorted(messages)]
    proof = members.get(_PROOF, b"")
    return Recorded(index, proof, fields, ordered, members.get(_PAYLOAD), members.get(_SALT))


def _records(data: bytes) -> Sequence[FieldRecord]:
    """Raises `ProofError` (LOG302)."""
    if len(data) > _MAX_FIELDS:
        raise ProofError(Flaw.FIELD_FORM, "too large")
    try:
        rows = _rows(data)
    except (ValueError, RecursionError):
        raise ProofError(Flaw.FIELD_FORM, "no field records") from None
    return [
        FieldRecord(path, said, None) if sort == "r" else FieldRecord(path, None, said)
        for sort, path, said in rows
    ]


_rows: Final = msgspec.json.Decoder(list[tuple[Literal["r", "w"], str, str]]).decode
