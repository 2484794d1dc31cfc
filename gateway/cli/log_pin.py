"""`gateway log pin` and `compare-pins`: what an officer has seen of a log, and what two officers have seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from gateway.adapters.pin import keep_evidence, read_note, read_pin, write_pin
from gateway.adapters.site_directory import SiteDirectory
from gateway.adapters.store_reader import LogReader
from gateway.cli.lines import write
from gateway.cli.log_place import AsJson, Config, StoreFile, Vkey, VkeyFile, explained, find, named, read_file
from gateway.cli.log_told import head_told, print_json
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import parse_note
from gateway.exchangelog.pin import Prove, compare, prover
from gateway.exchangelog.quorum import LogKey
from gateway.exchangelog.site import open_site
from gateway.exchangelog.tile import ReadTile
from gateway.exchangelog.witness import AddCheckpoint

PinFile = Annotated[Path, typer.Argument(help="File of the pin; the first time it is made.")]


def pin(
    file: PinFile,
    *,
    store: StoreFile = None,
    config: Config = None,
    vkey: Vkey = None,
    vkey_file: VkeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Keep the present checkpoint of the log, once it is shown to extend the one kept before.

    A log that does not extend the pin was forked or rolled back: the pin stays, and what the log says now is
    kept beside it, as evidence.
    """
    with explained():
        place = find(store, config, vkey, vkey_file)
        with LogReader.open(place.store) as log:
            note, signed = log.signed(place.keys)
            before = read_pin(file, place.keys) if file.exists() else None
            try:
                _require_growth(before, signed, prover(signed.size, log.tile))
            except ProofError:
                keep_evidence(file, note)
                raise
        if before is None or read_note(file) != note:
            write_pin(file, note)
    if as_json:
        print_json({**head_told(signed), "before": None if before is None else head_told(before)})
        return
    grown = "the first" if before is None else f"extends the pinned size {before.size}"
    write(f"{signed.origin}: size {signed.size}, {grown}. Kept in {file}.")


def compare_pins(
    one: Annotated[Path, typer.Argument(help="A pin.")],
    other: Annotated[Path, typer.Argument(help="Another one, of the same log.")],
    *,
    store: StoreFile = None,
    config: Config = None,
    vkey: Vkey = None,
    vkey_file: VkeyFile = None,
    proof: Annotated[
        Path | None,
        typer.Option("--proof", help="A consistency proof between the two, as a log sends it to a witness."),
    ] = None,
    site: Annotated[
        Path | None, typer.Option("--site", help="A directory that gateway log export wrote, for the store.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Whether two pins are of one log: of one size by their roots, else by the log itself or a proof.

    Two roots of one size are a fork; the two files are the evidence.
    """
    with explained():
        place = find(store, config, vkey, vkey_file, needs_store=False)
        pins = _opened(one, place.keys), _opened(other, place.keys)
        if proof is not None:
            with named("--proof", proof):
                older, newer = compare(*pins, _given(AddCheckpoint.parse(read_file("--proof", proof))))
        elif site is not None:
            with named("--site", site):
                signed, log = open_site(SiteDirectory(site), place.keys)
                older, newer = _by_the_log(signed, log.tile, pins)
        elif place.store == Path():
            older, newer = compare(*pins, _no_log)
        else:
            with LogReader.open(place.store) as reader:
                older, newer = _by_the_log(reader.signed(place.keys)[1], reader.tile, pins)
    if as_json:
        print_json({"older": head_told(older), "newer": head_told(newer)})
        return
    same = older.size == newer.size
    write(
        f"{newer.origin}: "
        + (f"the same, size {newer.size}." if same else f"size {newer.size} extends size {older.size}.")
    )


def _require_growth(before: Checkpoint | None, signed: Checkpoint, prove: Prove) -> None:
    """That the log as it is now extends the pin. Raises `ProofError`."""
    if before is None:
        return
    about = f"pinned size {before.size}, the log has {signed.size}"
    if signed.size < before.size:
        raise ProofError(Flaw.ROLLBACK, about)
    try:
        compare(before, signed, prove)
    except ProofError as error:
        if error.flaw is Flaw.ROOT:  # the proof is of the log's own making, so the fault is the log's
            raise ProofError(Flaw.ROLLBACK, about) from error
        raise


def _by_the_log(
    signed: Checkpoint, tile: ReadTile, pins: tuple[Checkpoint, Checkpoint]
) -> tuple[Checkpoint, Checkpoint]:
    """The log must be signed itself, so that a file that somebody made up proves nothing. Raises `ProofError`."""
    prove = prover(signed.size, tile)
    found = compare(*pins, prove)  # two roots of one size need no log
    for each in pins:
        _require_growth(each, signed, prove)
    return found


def _opened(path: Path, verifiers: Sequence[LogKey]) -> Checkpoint:
    note = read_note(path)
    with named("pin", path):
        return open_checkpoint(note, verifiers)


def _given(proof: AddCheckpoint) -> Prove:
    """A file that proves one step only."""
    size = Checkpoint.parse(parse_note(proof.note).text).size

    def prove(old: int, new: int) -> Sequence[bytes]:
        if (old, new) != (proof.old, size):
            raise ProofError(Flaw.UNCOMPARED, f"the proof is from {proof.old} to {size}")
        return proof.proof

    return prove


def _no_log(_old: int, _new: int) -> Sequence[bytes]:
    raise ProofError(Flaw.UNCOMPARED)
