"""`gateway log`: the officer's view of the exchange log. Reads only, beside a running hub or without one."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gateway.adapters.store_reader import Filter, LogReader
from gateway.cli.log_place import (
    AsJson,
    Config,
    Place,
    StoreFile,
    Vkey,
    VkeyFile,
    explained,
    find,
    read_file,
    write_file,
)
from gateway.exchangelog.audit import audit
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.fields import FieldRecord
from gateway.exchangelog.flaw import Finding, Flaw, ProofError
from gateway.exchangelog.leaf import Kind, Leaf
from gateway.exchangelog.merkle import leaf_hash
from gateway.exchangelog.note import Verifier, base64
from gateway.exchangelog.proof import TlogProof

app = typer.Typer(no_args_is_help=True)

Index = Annotated[int, typer.Argument(min=0, help="Index of the entry.")]


@app.command("list")
def list_entries(
    *,
    store: StoreFile = None,
    config: Config = None,
    kind: Annotated[Kind | None, typer.Option("--kind", help="Only entries of this kind.")] = None,
    authority: Annotated[
        str | None,
        typer.Option("--authority", help="Only this authority: enterprise number, or id with --config."),
    ] = None,
    operation: Annotated[str | None, typer.Option("--operation", help="Only this operation.")] = None,
    code: Annotated[str | None, typer.Option("--code", help="Only this decision or refusal code.")] = None,
    since: Annotated[
        datetime | None, typer.Option("--since", help="Only entries from this time on (UTC).")
    ] = None,
    before: Annotated[
        int | None, typer.Option("--before", min=0, help="Only entries below this index: the next page.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Entries on a page.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List entries, the newest first."""
    with explained():
        place = find(store, config)
        wanted = Filter(
            kind=kind.value if kind else None,
            authority=place.enterprise(authority) if authority else None,
            operation=operation,
            code=code,
            since=since.replace(tzinfo=UTC).isoformat(timespec="milliseconds")[:23] if since else None,
        )
        with LogReader.open(place.store) as log:
            size = log.head().size
            found = log.listed(wanted, size if before is None else min(before, size), limit)
    if as_json:
        _print_json({"size": size, "entries": [_described(index, leaf) for index, leaf in found]})
        return
    Console().print(_listing(place, found))


@app.command()
def show(index: Index, store: StoreFile = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show an entry: its leaf, and which fields were released and withheld."""
    with explained():
        place = find(store, config)
        with LogReader.open(place.store) as log:
            leaf = log.entry(index)
            described = _described(index, leaf)
            exchange = described["entry"]
            related = log.exchange(str(exchange["id"])) if isinstance(exchange, dict) else []
            records = log.records(index)
    described |= {"exchange": related, "fields": [_field(record) for record in records]}
    if as_json:
        _print_json(described)
        return
    for name, value in exchange.items() if isinstance(exchange, dict) else [("leaf", repr(leaf))]:
        typer.echo(f"{name:<12} {_shown(place, value)}")
    typer.echo(f"{'leaf hash':<12} {described['leaf_hash']}")
    typer.echo(f"{'exchange':<12} entries {', '.join(map(str, related))}")
    if records:
        Console().print(_records(records))


@app.command()
def verify(
    *,
    store: StoreFile = None,
    config: Config = None,
    vkey: Vkey = None,
    vkey_file: VkeyFile = None,
    proof: Annotated[
        Path | None, typer.Option("--proof", help="Check this proof file instead of a log; offline.")
    ] = None,
    entry: Annotated[
        Path | None, typer.Option("--entry", help="The entry, if the proof does not carry it.")
    ] = None,
    pin: Annotated[
        Path | None, typer.Option("--pin", help="A checkpoint kept from before, which the log must extend.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the whole log, or one proof file. Exit status 1 when anything does not hold."""
    with explained():
        if proof is not None:
            _verify_proof(proof, entry, find(None, config, vkey, vkey_file, needs_store=False).key, as_json)
            return
        place = find(store, config, vkey, vkey_file)
        pinned = None if pin is None else open_checkpoint(read_file(pin), place.key)
        with LogReader.open(place.store) as log:
            signed, findings = _check(log, place.key, pinned)
    holds = not any(finding.fails for finding in findings)
    if as_json:
        _print_json(
            {"verified": holds, **_head(signed), "findings": [_told(finding) for finding in findings]}
        )
    else:
        _report(signed, findings)
    if not holds:
        raise typer.Exit(1)


@app.command()
def prove(
    index: Index,
    store: StoreFile = None,
    config: Config = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="File to write; name it *.tlog-proof.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a proof file (C2SP tlog-proof) that the entry is in the log, to be checked offline by anybody."""
    with explained(), LogReader.open(find(store, config).store) as log:
        text = log.prove(index).serialise()
        if output is not None:
            write_file(output, text)
    if as_json:
        _print_json({"index": index, "proof": text.decode()})
    elif output is None:
        typer.echo(text.decode(), nl=False)


def _verify_proof(path: Path, entry: Path | None, verifier: Verifier, as_json: bool) -> None:
    proof = TlogProof.parse(read_file(path))
    leaf = proof.extra if entry is None else read_file(entry)
    if leaf is None:
        raise ProofError(Flaw.PROOF_FORM, "the proof carries no entry: give it with --entry")
    signed = proof.verify(leaf, verifier)
    described = _described(proof.index, leaf)
    if as_json:
        _print_json({"verified": True, **_head(signed), **described})
        return
    typer.echo(f"Entry {proof.index} is in the log {signed.origin} of size {signed.size}.")
    typer.echo(leaf.decode("ascii", "backslashreplace"))


def _check(
    log: LogReader, verifier: Verifier, pinned: Checkpoint | None
) -> tuple[Checkpoint | None, list[Finding]]:
    """The checkpoint, if it is properly signed, and every finding."""
    findings, signed = list[Finding](), None
    columns = TextColumn("entries"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    try:
        head = log.head()  # what is checked, and what is reported, also when the log grows meanwhile
        with contextlib.suppress(ProofError):  # the check says so
            signed = open_checkpoint(head.note, verifier)
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("entries", total=head.size)
            for finding in audit(
                log, head, verifier, pinned, lambda done: progress.update(task, completed=done)
            ):
                findings.append(finding)
    except ProofError as error:  # the file itself is damaged: what was found so far still counts
        findings.append(Finding(error.flaw, about=error.about))
    return signed, findings


def _report(signed: Checkpoint | None, findings: list[Finding]) -> None:
    for finding in findings:
        place = "" if finding.index is None else f"entry {finding.index}: "
        about = f" ({finding.about})" if finding.about else ""
        row = finding.flaw.row
        typer.echo(
            f"{row.level.value}: {place}{row.code} {row.sentence}{about} {row.remedy}", err=finding.fails
        )
    failures = sum(finding.fails for finding in findings)
    if signed is not None:
        typer.echo(f"log   {signed.origin}\nsize  {signed.size}\nroot  {base64(signed.root)}")
    notices = len(findings) - failures
    verdict = (
        f"{failures} failures"
        if failures
        else "verified: every entry, hash, tile, field record and the signature"
    )
    typer.echo(f"{verdict}; {notices} notices.")


def _described(index: int, leaf: bytes) -> dict[str, object]:
    try:
        Leaf.parse(leaf)
        entry = json.loads(leaf)
    except ProofError as error:
        return {
            "index": index,
            "entry": None,
            "leaf_hash": base64(leaf_hash(leaf)),
            "flaw": error.flaw.row.code,
        }
    return {"index": index, "entry": entry, "leaf_hash": base64(leaf_hash(leaf))}


def _listing(place: Place, found: list[tuple[int, bytes]]) -> Table:
    table = Table("Index", "Time", "Kind", "From", "To", "Operation", "Legal context", "Decision")
    for index, data in found:
        try:
            leaf = Leaf.parse(data)
        except ProofError as error:
            table.add_row(str(index), error.flaw.row.code, error.flaw.row.sentence)
            continue
        to = "\n".join(map(place.name, leaf.to))
        what = (leaf.operation or "", leaf.legal_context or "", leaf.decision)
        table.add_row(str(index), leaf.time, leaf.kind.value, place.name(leaf.caller), to, *what)
    return table


def _records(records: tuple[FieldRecord, ...]) -> Table:
    table = Table("Path", "Verdict", "Reason or digest")
    for record in records:
        verdict = "withheld" if record.digest is None else "released"
        table.add_row(record.path, verdict, record.reason or record.digest)
    return table


def _field(record: FieldRecord) -> dict[str, object]:
    if record.digest is None:
        return {"path": record.path, "verdict": "withheld", "reason": record.reason}
    return {"path": record.path, "verdict": "released", "digest": record.digest}


def _shown(place: Place, value: object) -> str:
    if isinstance(value, list):
        return ", ".join(place.name(str(one)) for one in value)
    return "-" if value is None else place.name(str(value))


def _head(signed: Checkpoint | None) -> dict[str, object]:
    if signed is None:
        return {"origin": None, "size": None, "root": None}
    return {"origin": signed.origin, "size": signed.size, "root": base64(signed.root)}


def _told(finding: Finding) -> dict[str, object]:
    row = finding.flaw.row
    return {
        "code": row.code,
        "level": row.level.value,
        "index": finding.index,
        "about": finding.about,
        "sentence": row.sentence,
        "remedy": row.remedy,
    }


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, indent=2))
