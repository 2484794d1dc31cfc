"""`gateway log prove-view`: that what an entry released and withheld is what the agreement in force yields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from gateway.adapters.store_reader import LogReader
from gateway.agreement.finding import AgreementError
from gateway.agreement.load import load_agreement
from gateway.agreement.register import load_register
from gateway.cli.lines import write
from gateway.cli.log_officer import acting
from gateway.cli.log_place import (
    AsJson,
    Config,
    Place,
    StoreFile,
    Vkey,
    VkeyFile,
    Which,
    explained,
    find,
    named,
    read_file,
    write_file,
)
from gateway.cli.log_told import finding_told, head_told, print_json, report_findings
from gateway.config import Right
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.exhibit import Exhibit
from gateway.exchangelog.flaw import Finding, Flaw, ProofError
from gateway.exchangelog.leaf import Leaf
from gateway.loading import contract_files
from gateway.model import Role
from gateway.policy.recorded import Reading, RecordedView
from gateway.policy.recorded import prove_view as prove


def prove_view(
    *,
    index: Annotated[int | None, typer.Argument(min=0, help="Index of the entry, unless --exhibit.")] = None,
    store: StoreFile = None,
    config: Config = None,
    vkey: Vkey = None,
    vkey_file: VkeyFile = None,
    log: Which = None,
    exhibit: Annotated[
        Path | None, typer.Option("--exhibit", help="Check this file instead of a log; offline.")
    ] = None,
    agreement: Annotated[
        Path | None,
        typer.Option(
            "--agreement", help="Directory with the agreement's files, instead of those in the store."
        ),
    ] = None,
    register: Annotated[
        Path | None,
        typer.Option("--register", help="The register of the day, for the roles of the parties."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Write entry, records and agreement to this file, for --exhibit."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prove from the agreement that an entry released and withheld exactly what it must. Exit status 1 if not.

    No personal data is needed. Needs the log's key; the agreement is found by the hash in the entry.
    """
    with explained():
        place = find(store, config, vkey, vkey_file, needs_store=exhibit is None, log=log)
        officer = acting(config, place) if exhibit is None else None
        shown = _exhibit(index, place, exhibit)
        if officer is not None:
            officer.require(Right.SEARCH)
            officer.require_own(shown.proof.index, shown.leaf.seal())
        if agreement is not None:
            shown = replace(shown, agreement=contract_files(agreement))
        with nullcontext() if exhibit is None else named("--exhibit", exhibit):
            signed = shown.verify(place.keys)
            leaf = shown.leaf
        found = _judged(shown, leaf, _roles(place, register))
        if output is not None:
            write_file("--output", output, shown.serialise())
    holds = not any(one.fails for one in found.findings)
    if as_json:
        print_json({"proven": holds, **_told(shown, leaf, signed, found)})
    else:
        _report(shown, leaf, found, holds=holds)
    if not holds:
        raise typer.Exit(1)


def _exhibit(index: int | None, place: Place, exhibit: Path | None) -> Exhibit:
    """From the log, or from a file that was made of it. Raises `ProofError`."""
    if exhibit is not None:
        with named("--exhibit", exhibit):
            return Exhibit.parse(read_file("--exhibit", exhibit))
    if index is None:
        raise ProofError(Flaw.ABSENT, "no index")
    with LogReader.open(place.store) as log:
        shown = Exhibit(log.prove(index), log.records(index), None)
        return replace(shown, agreement=log.agreement(shown.leaf.revision or ""))


def _judged(shown: Exhibit, leaf: Leaf, roles: Mapping[str, Role]) -> RecordedView:
    index = shown.proof.index
    if leaf.fields_root is None:
        return RecordedView((), (Finding(Flaw.NO_VIEW, index, leaf.kind.value),))
    if shown.agreement is None:
        return RecordedView((), (Finding(Flaw.REVISION_ABSENT, index, leaf.revision or ""),))
    try:
        compiled = load_agreement(shown.agreement)
    except AgreementError as error:
        return RecordedView((), (Finding(Flaw.REVISION, index, str(error).partition("\n")[0]),))
    if compiled.revision != leaf.revision:
        return RecordedView((), (Finding(Flaw.REVISION, index, compiled.revision),))
    return prove(index, leaf, shown.records, compiled, roles)


def _roles(place: Place, register: Path | None) -> Mapping[str, Role]:
    """Enterprise as in the entries → role, by the register that was given, else by that of the settings."""
    known = place.register
    if register is not None:
        known = load_register(read_file("--register", register), str(register))
    listed = () if known is None else known.authorities
    return {str(one.enterprise): one.role for one in listed if one.role is not None}


def _told(shown: Exhibit, leaf: Leaf, signed: Checkpoint, found: RecordedView) -> dict[str, object]:
    return head_told(signed) | {
        "index": shown.proof.index,
        "agreement": leaf.revision,
        "operation": leaf.operation,
        "legal_context": leaf.legal_context,
        "released": sum(one.reason is None for one in shown.records),
        "withheld": sum(one.reason is not None for one in shown.records),
        "readings": [_reading_told(one) for one in found.readings],
        "findings": [finding_told(one) for one in found.findings],
    }


def _reading_told(one: Reading) -> dict[str, object]:
    return {"recipient": one.recipient, "provider": one.provider, "document_type": one.document_type}


def _report(shown: Exhibit, leaf: Leaf, found: RecordedView, *, holds: bool) -> None:
    report_findings(found.findings)
    if not holds:
        return
    released = sum(one.reason is None for one in shown.records)
    write(f"Entry {shown.proof.index}: {leaf.operation} for {leaf.legal_context}")
    write(f"agreement  {leaf.revision}")
    write(
        f"records    {released} released, {len(shown.records) - released} withheld: every path of the contract"
    )
    for line in _reading_lines(found.readings):
        write(f"yields it  {line}")
    write("proven: this vector, whatever the dossier and its status.")


def _reading_lines(readings: Sequence[Reading]) -> list[str]:
    kinds: dict[tuple[str, str], list[str]] = {}
    for one in readings:
        key = one.provider or "hub", one.recipient
        kinds.setdefault(key, []).append(one.document_type or "")
    return [
        f"{provider} to {recipient}" + (f", document {' or '.join(types)}" if any(types) else "")
        for (provider, recipient), types in kinds.items()
    ]
