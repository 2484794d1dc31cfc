"""What `gateway log verify` does: a whole log, or one proof file."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.adapters.store_reader import LogReader
from gateway.cli.lines import write
from gateway.cli.log_place import named, read_file
from gateway.cli.log_told import described, head_told, print_json
from gateway.exchangelog.audit import audit
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.flaw import Finding, Flaw, ProofError
from gateway.exchangelog.merkle import leaf_hash
from gateway.exchangelog.proof import HEADER, TlogProof
from gateway.exchangelog.quorum import LogKey


def verify_proof(path: Path, entry: Path | None, verifiers: Sequence[LogKey], as_json: bool) -> None:
    """Check one proof file, offline. Raises `ProofError`."""
    data = read_file("--proof", path)
    given = None if entry is None else read_file("--entry", entry)
    with named("--proof", path):
        proof = TlogProof.parse(data)
        leaf = proof.extra if given is None else given
        if leaf is None:
            raise ProofError(Flaw.PROOF_FORM, "the proof carries no entry: give it with --entry")
        signed = proof.verify(leaf, verifiers)
    if as_json:
        facts = described(proof.index, leaf, leaf_hash(leaf))
        print_json({"verified": True, **head_told(signed), **facts})
        return
    write(f"Entry {proof.index} is in the log {signed.origin} of size {signed.size}.")
    write(leaf.decode("ascii", "backslashreplace"))


def pinned(path: Path, verifiers: Sequence[LogKey]) -> Checkpoint:
    """A checkpoint, bare or as a proof file carries it."""
    data = read_file("--pin", path)
    with named("--pin", path):
        note = TlogProof.parse(data).checkpoint if data.startswith(HEADER.encode()) else data
        return open_checkpoint(note, verifiers)


def check(
    log: LogReader, verifiers: Sequence[LogKey], pin: Checkpoint | None, parties: Mapping[str, str]
) -> tuple[Checkpoint | None, list[Finding]]:
    """The checkpoint, if it is properly signed, and every finding."""
    findings, signed = list[Finding](), None
    columns = TextColumn("entries"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    try:
        head = log.head()  # what is checked, and what is reported, also when the log grows meanwhile
        with contextlib.suppress(ProofError):  # the check says so
            signed = open_checkpoint(head.note, verifiers)
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("entries", total=head.size)
            for finding in audit(
                log,
                head,
                verifiers,
                pin,
                progress=lambda done: progress.update(task, completed=done),
                parties=parties,
            ):
                findings.append(finding)
    except ProofError as error:  # the file itself is damaged: what was found so far still counts
        findings.append(Finding(error.flaw, about=error.about))
    return signed, findings
