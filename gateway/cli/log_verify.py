"""What `gateway log verify` does: a whole log, in a store or as exported, or one proof file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gateway.adapters.site_directory import SiteDirectory
from gateway.adapters.store_reader import LogReader
from gateway.adapters.store_settle import unmarked
from gateway.cli.lines import plain, write
from gateway.cli.log_place import Place, named, read_file
from gateway.cli.log_processes import in_processes
from gateway.cli.log_progress import entries_done
from gateway.cli.log_told import described, head_told, print_json
from gateway.exchangelog.audit import audit
from gateway.exchangelog.audit_rows import Judging
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.consistency import ConsistencyProof
from gateway.exchangelog.flaw import Finding, Flaw, ProofError
from gateway.exchangelog.merkle import leaf_hash
from gateway.exchangelog.note import NoteKey, of_log
from gateway.exchangelog.proof import HEADER, TlogProof
from gateway.exchangelog.quorum import LogKey
from gateway.exchangelog.site import check_site, open_site


def verify_proof(
    path: Path, entry: Path | None, pin: Path | None, verifiers: Sequence[LogKey], as_json: bool
) -> None:
    """Check one proof file, offline. Raises `ProofError`."""
    data = read_file("--proof", path)
    if data.startswith(b"old "):
        if entry is not None:
            raise ProofError(Flaw.UNKNOWN_VALUE, "--entry: a consistency proof is about no entry")
        _verify_consistency(path, data, pin, verifiers, as_json)
        return
    if pin is not None:
        raise ProofError(
            Flaw.UNKNOWN_VALUE, "--pin: the proof of an entry does not tell of another checkpoint"
        )
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
    write(plain(leaf.decode("ascii", "backslashreplace")))


def _verify_consistency(
    path: Path, data: bytes, pin: Path | None, verifiers: Sequence[LogKey], as_json: bool
) -> None:
    if pin is None:
        raise ProofError(Flaw.NO_EARLIER)
    earlier = pinned(pin, verifiers)
    with named("--proof", path):
        later = ConsistencyProof.parse(data).verify(earlier, verifiers)
    if as_json:
        print_json({"verified": True, "old": earlier.size, **head_told(later)})
        return
    write(f"The log {later.origin} of size {later.size} extends the one of size {earlier.size}.")


def pinned(path: Path, verifiers: Sequence[LogKey]) -> Checkpoint:
    """A checkpoint, bare or as a proof file carries it."""
    data = read_file("--pin", path)
    with named("--pin", path):
        note = TlogProof.parse(data).checkpoint if data.startswith(HEADER.encode()) else data
        return open_checkpoint(note, verifiers)


def check(
    place: Place, pin: Checkpoint | None, processes: int | None = None
) -> tuple[Checkpoint | None, list[Finding]]:
    """The checkpoint, if it is properly signed, and every finding. `processes`: None for as many as are quickest."""
    judge = in_processes(place.store, place.bucket_keys, processes)
    with LogReader.open(place.store, place.opened_keys()) as log:
        signed, findings = _check(log, place.verifiers, pin, place.parties, judge)
        return signed, [*findings, *_unsettled(place, log)]


def _check(
    log: LogReader,
    verifiers: Sequence[LogKey],
    pin: Checkpoint | None,
    parties: Mapping[str, str],
    judge: Judging,
) -> tuple[Checkpoint | None, list[Finding]]:
    findings, signed = list[Finding](), None
    try:
        head = log.head()  # what is checked, and what is reported, also when the log grows meanwhile
        with contextlib.suppress(ProofError):  # the check says so
            signed = open_checkpoint(head.note, of_log(verifiers[0].name, verifiers))
        with entries_done(head.size) as progress:
            for finding in audit(log, head, verifiers, pin, progress=progress, parties=parties, judge=judge):
                findings.append(finding)
    except ProofError as error:  # the file itself is damaged: what was found so far still counts
        findings.append(Finding(error.flaw, about=error.about))
    return signed, findings


def _unsettled(place: Place, log: LogReader) -> Iterator[Finding]:
    """What logs that succeed this one say was erased of it, and it does not know: its own store cannot tell."""
    if place.of is None:
        return
    mine, logs = log.record(0)[0].listed, place.recording.succession()
    for said in unmarked(logs, place.of):
        yield Finding(Flaw.SEED_REMAINS, None, f"{said.bucket} by entry {said.index} of {said.by.origin}")
    newest = logs.newest_list(place.of)
    if newest is not None and newest.listed is not None and newest.listed != mine:
        more = newest.listed.indices - mine.indices
        index = more.ranges[0][0] if more.ranges else None
        yield Finding(Flaw.SEED_REMAINS, index, f"by entry {newest.index} of {newest.by.origin}")


def check_directory(
    path: Path, verifiers: Sequence[NoteKey], pin: Checkpoint | None
) -> tuple[Checkpoint | None, list[Finding]]:
    """The same of an exported log."""
    site, findings, signed = SiteDirectory(path), list[Finding](), None
    try:
        with contextlib.suppress(ProofError):
            signed, _ = open_site(site, verifiers)
        with entries_done(0 if signed is None else signed.size) as progress:
            for finding in check_site(site, verifiers, pin, progress=progress):
                findings.append(finding)
    except ProofError as error:
        findings.append(Finding(error.flaw, about=error.about))
    return signed, findings
