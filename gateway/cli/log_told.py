"""What is told of entries, field records and findings: as lines for people, as values for --json."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence

import typer

from gateway.cli.lines import plain, table, write
from gateway.cli.log_place import Place
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.fields import FieldRecord
from gateway.exchangelog.flaw import Finding, Flaw, ProofError
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.merkle import leaf_hash
from gateway.exchangelog.note import base64
from gateway.exchangelog.quorum import LogKey

IN_STORE = "every entry, hash, tile, field record and the signature"
IN_SITE = "every entry, hash, tile and the signature"


def report(signed: Checkpoint | None, findings: list[Finding], checked: str) -> None:
    """`checked`: what was, in words."""
    report_findings(findings)
    failures = sum(finding.fails for finding in findings)
    if signed is not None:
        write(f"log   {signed.origin}\nsize  {signed.size}\nroot  {base64(signed.root)}")
    verdict = _counted(failures, "failure") if failures else f"verified: {checked}"
    write(f"{verdict}; {_counted(len(findings) - failures, 'notice')}.")


def report_findings(findings: Sequence[Finding]) -> None:
    """A line for each, failures on standard error."""
    for finding in findings:
        place = "" if finding.index is None else f", entry {finding.index}"
        about = f" ({finding.about})" if finding.about else ""
        row = finding.flaw.row
        line = plain(f"{row.code}: {row.level.value}{place}: {row.sentence}{about} {row.remedy}")
        if finding.fails:
            typer.echo(line, err=True)
        else:
            write(line)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def described(index: int, leaf: bytes, in_tree: bytes) -> dict[str, object]:
    flaws = flaws_of(leaf, leaf_hash(leaf), base64(in_tree))
    return {
        "index": index,
        "entry": None if Flaw.ENTRY_FORM in flaws else json.loads(leaf),
        "leaf_hash": base64(leaf_hash(leaf)),
        "hash_in_tree": base64(in_tree),
        "flaws": [flaw.row.code for flaw in flaws],
    }


def flaws_of(leaf: bytes, hash_: bytes, in_tree: object) -> list[Flaw]:
    """What is wrong with an entry by itself, and with it and the tree."""
    flaws = [] if base64(hash_) == in_tree else [Flaw.ALTERED]
    with contextlib.suppress(ProofError):
        Leaf.parse(leaf)
        return flaws
    return [*flaws, Flaw.ENTRY_FORM]


def listing(place: Place, found: list[tuple[int, bytes]], entries: list[dict[str, object]]) -> None:
    rows = []
    for (index, data), facts in zip(found, entries, strict=True):
        flaws = facts["flaws"]
        wrong = " ".join(flaws) if isinstance(flaws, list) else ""
        if facts["entry"] is None:
            rows.append((str(index), *(["-"] * 7), wrong))
            continue
        leaf = Leaf.parse(data)
        to = ",".join(map(place.name, leaf.to))
        what = (leaf.operation or "-", leaf.legal_context or "-", leaf.decision)
        rows.append(
            (str(index), leaf.time, leaf.kind.value, place.name(leaf.caller), to or "-", *what, wrong)
        )
    headings = ("Index", "Time", "Kind", "From", "To", "Operation", "Legal context", "Decision", "Flaws")
    table(headings, rows)


def records_table(records: tuple[FieldRecord, ...], fields: Mapping[str, str]) -> None:
    rows = []
    for record in records:
        verdict = "withheld" if record.digest is None else "released"
        field = [fields.get(record.path, "-")] if fields else []
        rows.append((*field, record.path, verdict, record.reason or record.digest or "-"))
    table((*(["Field"] if fields else []), "Path", "Verdict", "Reason or digest"), rows)


def field_told(record: FieldRecord, fields: Mapping[str, str]) -> dict[str, object]:
    field = fields.get(record.path)
    told: dict[str, object] = {"path": record.path}
    if fields:
        told |= {"group": None if field is None else field.partition(".")[0], "field": field}
    if record.digest is None:
        return told | {"verdict": "withheld", "reason": record.reason}
    return told | {"verdict": "released", "digest": record.digest}


def shown(place: Place, value: object) -> str:
    if isinstance(value, list):
        return ", ".join(place.name(str(one)) for one in value)
    return "-" if value is None else place.name(str(value))


def head_told(signed: Checkpoint | None) -> dict[str, object]:
    if signed is None:
        return {"origin": None, "size": None, "root": None}
    return {"origin": signed.origin, "size": signed.size, "root": base64(signed.root)}


def finding_told(finding: Finding) -> dict[str, object]:
    row = finding.flaw.row
    return {
        "code": row.code,
        "level": row.level.value,
        "index": finding.index,
        "about": finding.about,
        "sentence": row.sentence,
        "remedy": row.remedy,
    }


def print_json(value: object) -> None:
    write(json.dumps(value, indent=2))


def vkeys_told(verifiers: Sequence[LogKey]) -> dict[str, object]:
    """The log's verification key; `vkeys`: all that sign now, two while the log changes its key."""
    return {"vkey": verifiers[0].vkey, "vkeys": [one.vkey for one in verifiers]}
