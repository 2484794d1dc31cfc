"""`gateway log export`, `prove-consistency` and `verify-range`: the log for those who do not trust its keeper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from gateway.adapters.site_directory import SiteDirectory
from gateway.adapters.site_export import export as write_site
from gateway.adapters.store_reader import LogReader
from gateway.cli.lines import write
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
    require_writable,
    write_file,
)
from gateway.cli.log_progress import entries_done
from gateway.cli.log_told import finding_told, head_told, print_json, report_findings
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.completeness import Entries, check_range
from gateway.exchangelog.note import NoteKey, base64
from gateway.exchangelog.site import open_site

SiteOption = Annotated[
    Path | None, typer.Option("--site", help="A directory that gateway log export wrote, instead of a store.")
]


def export(
    *,
    output: Annotated[
        Path, typer.Option("--output", help="Directory; made if it is not there, continued if it is.")
    ],
    store: StoreFile = None,
    config: Config = None,
    vkey: Vkey = None,
    vkey_file: VkeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Write the log as a directory of static files (C2SP tlog-tiles), or what is new since the last time.

    Everything is checked against the signed checkpoint before that is written, last of all.
    """
    with explained():
        place = find(store, config, vkey, vkey_file)
        with LogReader.open(place.store) as log, entries_done(log.head().size) as progress:
            done = write_site(log, output, place.keys, progress)
    if as_json:
        facts = {"output": str(output), "before": done.before, "files": done.files}
        print_json({**head_told(done.checkpoint), **facts})
        return
    signed = done.checkpoint
    write(f"log   {signed.origin}\nsize  {signed.size}\nroot  {base64(signed.root)}")
    write(
        f"{output}: {done.files} tiles and bundles written; the tree had {done.before} entries there before."
    )


def prove_consistency(
    size: Annotated[int, typer.Argument(min=1, help="Size of the earlier checkpoint.")],
    *,
    store: StoreFile = None,
    config: Config = None,
    vkey: Vkey = None,
    vkey_file: VkeyFile = None,
    later: Annotated[
        Path | None,
        typer.Option("--to", help="The later checkpoint, kept from before; without it the present one."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="File to write; name it *.consistency.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the proof that a later checkpoint extends an earlier one, to be checked offline by anybody.

    It has the form in which a witness takes it (C2SP tlog-witness, add-checkpoint).
    """
    with explained():
        if output is not None:
            require_writable("--output", output, later)
        place = find(store, config, vkey, vkey_file)
        with LogReader.open(place.store) as log:
            note, signed = log.signed(place.keys) if later is None else _kept("--to", later, place.keys)
            text = log.prove_consistency(size, signed, note).serialise()
        if output is not None:
            write_file("--output", output, text)
    if as_json:
        print_json({"old": size, **head_told(signed), "proof": text.decode()})
    elif output is None:
        write(text.decode().removesuffix("\n"))


def verify_range(
    start: Annotated[int, typer.Argument(min=0, help="The first entry.")],
    end: Annotated[int, typer.Argument(min=1, help="The entry after the last.")],
    *,
    store: StoreFile = None,
    config: Config = None,
    vkey: Vkey = None,
    vkey_file: VkeyFile = None,
    log: Which = None,
    site: SiteOption = None,
    as_json: AsJson = False,
) -> None:
    """Check that the entries START to below END are complete: rehashed to the signed root, none missing, none added."""
    with explained():
        place = find(store, config, vkey, vkey_file, needs_store=site is None, log=log)
        with _opened(place, site) as (signed, entries), entries_done(end - start) as progress:
            findings = list(check_range(entries, signed, start, end, progress))
    if as_json:
        told = [finding_told(finding) for finding in findings]
        print_json(
            {"verified": not findings, "start": start, "end": end, **head_told(signed), "findings": told}
        )
    else:
        report_findings(findings)
        if not findings:
            write(f"complete: entries {start} to {end - 1} are all that the log {signed.origin} has there.")
    if findings:
        raise typer.Exit(1)


@contextmanager
def _opened(place: Place, site: Path | None) -> Iterator[tuple[Checkpoint, Entries]]:
    """The signed checkpoint and the entries under it, of a store or of an exported directory."""
    if site is not None:
        with named("--site", site):
            yield open_site(SiteDirectory(site), place.keys)
        return
    with LogReader.open(place.store) as log:
        yield place.signed(log)[1], log


def _kept(option: str, path: Path, verifiers: Sequence[NoteKey]) -> tuple[bytes, Checkpoint]:
    note = read_file(option, path)
    with named(option, path):
        return note, open_checkpoint(note, verifiers)
