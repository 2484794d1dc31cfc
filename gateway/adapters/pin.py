"""A pin on disk: the last checkpoint that somebody saw, verbatim, and beside it what contradicts it.

Trusted for: not to go back together with the store. So it lies on another disk, or on another machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gateway.adapters.pki import ExistsError, write_file
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import MAX_NOTE, NoteKey


def read_pin(path: Path, verifiers: Sequence[NoteKey]) -> Checkpoint:
    """Raises `ProofError`: LOG701 when it is not there."""
    note = read_note(path)
    try:
        return open_checkpoint(note, verifiers)
    except ProofError as error:
        about = f": {error.about}" if error.about else ""
        raise ProofError(error.flaw, f"{path}{about}") from error


def read_note(path: Path) -> bytes:
    """Its bytes, not yet believed. Raises `ProofError`: LOG701 when it is not there."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_NOTE + 1)
    except FileNotFoundError as error:
        raise ProofError(Flaw.PIN_MISSING, str(path)) from error
    except OSError as error:
        raise ProofError(Flaw.FILE, f"{path}: {error.strerror}") from error


def write_pin(path: Path, note: bytes) -> None:
    """In the place of the one before, whole and durable. Raises `ProofError` (LOG509)."""
    try:
        write_file(path, note, replace=True)
    except OSError as error:
        raise ProofError(Flaw.FILE, f"{path}: {error.strerror}") from error


def keep_evidence(path: Path, *notes: bytes) -> list[Path]:
    """Beside the pin, each note that contradicts it or another: `NAME.fork-1` and so on, none replaced.

    What is kept already is not kept again. Raises `ProofError` (LOG509).
    """
    return [_kept(path, note) for note in notes]


def _kept(path: Path, note: bytes) -> Path:
    number = 1
    while True:
        place = path.with_name(f"{path.name}.fork-{number}")
        try:
            write_file(place, note)
        except ExistsError:
            if place.read_bytes() == note:
                return place
            number += 1
        except OSError as error:
            raise ProofError(Flaw.FILE, f"{place}: {error.strerror}") from error
        else:
            return place
