"""Answers that leave the machine: all entries that match, and what shows others that none was left out.

The directory of an answer holds `answer.json` (the question, the range, the indices of the entries that match, the
checkpoint) and `entries` (every entry of the range, as a C2SP bundle of any length).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Final

from msgspec import to_builtins
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.adapters.store_filter import Filter
from gateway.adapters.store_reader import LogReader
from gateway.cli.lines import write
from gateway.cli.log_place import Place, named, read_file, write_file
from gateway.cli.log_told import described, head_told, print_json
from gateway.exchangelog.answer import Answer, Hidden, Range, require_whole, verify_answer
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.merkle import HASH_SIZE
from gateway.exchangelog.note import NoteKey
from gateway.exchangelog.question import Question
from gateway.exchangelog.tile import WIDTH, bundle, parse_bundle

_ANSWER: Final = "answer.json"
_ENTRIES: Final = "entries"
_BEFORE_LEAF: Final = ("index", "time", "kind", "from", "to", "operation", "legal_context", "decision")
COLUMNS: Final = (*_BEFORE_LEAF, "reason", "exchange", "notification", "leaf_hash", "flaws")


def export(log: LogReader, place: Place, wanted: Filter, start: int, end: int, *, as_csv: bool) -> int:
    """Print every entry that matches, the oldest first; how many they are."""
    if as_csv:
        write(_csv(COLUMNS))
    number, name = 0, cache(place.name)
    tile = lru_cache(maxsize=1)(lambda n: log.tile(0, n, WIDTH))  # what there is of it; entries come in order
    for index, leaf, _ in log.found(wanted, start, end):
        facts = described(index, leaf, _hash(tile(index // WIDTH), index % WIDTH))
        write(_csv(_cells(name, leaf, facts)) if as_csv else json.dumps(facts))
        number += 1
    return number


def _hash(tile: bytes, offset: int) -> bytes:
    """b"" where the tile has none."""
    return tile[offset * HASH_SIZE : (offset + 1) * HASH_SIZE]


def _cells(name: Callable[[str], str], data: bytes, facts: dict[str, Any]) -> tuple[object, ...]:
    after = facts["leaf_hash"], " ".join(facts["flaws"])
    if facts["entry"] is None:  # altered: of its form nothing is left
        return (facts["index"], *[""] * (len(COLUMNS) - 3), *after)
    leaf = Leaf.parse(data)
    return (
        *(facts["index"], leaf.time, leaf.kind.value, name(leaf.caller)),
        *(" ".join(map(name, leaf.to)), leaf.operation, leaf.legal_context, leaf.decision),
        *(leaf.reason, leaf.id, leaf.notification, *after),
    )


def _csv(cells: Iterable[object]) -> str:
    """A line of RFC 4180, without its end."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def answered(log: LogReader, place: Place, wanted: Filter, covered: tuple[int, int]) -> Answer:
    """The answer to the question with what ties it to the present checkpoint. Raises `ProofError`."""
    start, end = covered
    note, _ = place.signed(log)
    hidden = [Hidden.FIELD] if wanted.paths is not None else []
    if wanted.about is not None:
        hidden.append(Hidden.DOSSIER if wanted.about.person is None else Hidden.PERSON)
    return Answer(
        question=Question(**{one: getattr(wanted, one) for one in Question.__struct_fields__}),
        hidden=tuple(hidden),
        range=Range.of(start, end, note, log.tile),
        indices=tuple(index for index, _, _ in log.found(wanted, start, end)),
    )


def verified(log: LogReader, answer: Answer, place: Place) -> Checkpoint:
    """The checkpoint to whose root every entry of the range leads. Raises `ProofError`."""
    signed = place.believed(log, answer.range.checkpoint)
    require_whole(answer, _shown(_stored(log, answer.range), answer.range), signed)
    return signed


def write_answer(directory: Path, log: LogReader, answer: Answer, place: Place) -> Checkpoint:
    """The answer and every entry of its range, once they verify. Raises `ProofError`.

    For its owner alone, as an exported log: entries tell who asked whom, when and why.
    """
    covered = answer.range
    try:
        directory.mkdir(mode=0o700, parents=True)
        with (directory / _ENTRIES).open("xb") as file:
            leaves = _kept(_stored(log, covered), file)
            signed = place.believed(log, covered.checkpoint)
            require_whole(answer, _shown(leaves, covered), signed)
    except OSError as error:
        raise ProofError(Flaw.FILE, f"--proof {directory}: {error.strerror}") from error
    write_file("--proof", directory / _ANSWER, answer.serialise())  # last: without it the directory is none
    return signed


def verify_written(directory: Path, verifiers: Sequence[NoteKey], as_json: bool) -> None:
    """Check an answer that somebody wrote; offline. Raises `ProofError`."""
    for path in (directory / _ANSWER, directory / _ENTRIES):
        if path.exists() and not path.is_file():  # of others: the other end of a pipe may never come
            raise ProofError(Flaw.FILE, f"--answer {path}: not a file")
    data = read_file("--answer", directory / _ANSWER)
    with named("--answer", directory):
        answer = Answer.parse(data)
        try:
            with (directory / _ENTRIES).open("rb") as file:
                signed = verify_answer(answer, _shown(_bundled(file), answer.range), verifiers)
        except OSError as error:
            raise ProofError(Flaw.FILE, str(error.strerror)) from error
    covered, question = {"start": answer.range.start, "end": answer.range.end}, to_builtins(answer.question)
    if as_json:
        facts = {"verified": True, **head_told(signed), "range": covered, "indices": list(answer.indices)}
        print_json(facts | {"question": question, "hidden": list(answer.hidden)})
        return
    asked = (f"{name} {json.dumps(value)}" for name, value in question.items() if value is not None)
    write(f"Question: {', '.join(asked) or 'every entry'}.")
    write(
        f"{len(answer.indices)} entries answer the question. All {answer.range.end - answer.range.start} entries of "
        f"{signed.origin} from index {answer.range.start} are here, under its checkpoint of size {signed.size}: "
        + (_OPENED.format(", ".join(answer.hidden)) if answer.hidden else "no other matches.")
    )


_OPENED: Final = "whether another matches cannot be told from leaves, since the question goes by {} too: ask whoever has the seeds."


def _stored(log: LogReader, covered: Range) -> Iterator[bytes]:
    """Every entry of the range. Raises `ProofError`: LOG402 where one is missing."""
    for expected, (index, leaf) in enumerate(log.leaves(covered.start, covered.end), covered.start):
        if index != expected:
            raise ProofError(Flaw.MISSING, f"index {expected}")
        yield leaf


def _kept(leaves: Iterable[bytes], file: BinaryIO) -> Iterator[bytes]:
    for leaf in leaves:
        file.write(bundle([leaf]))
        yield leaf


def _bundled(file: BinaryIO) -> Iterator[bytes]:
    """The entries of a bundle that may be longer than memory. Raises `ProofError`."""
    while head := file.read(2):
        leaf = file.read(int.from_bytes(head, "big"))
        yield from parse_bundle(head + leaf)


def _shown(leaves: Iterable[bytes], covered: Range) -> Iterator[bytes]:
    """The same, with their progress on a terminal."""
    console = Console(stderr=True)
    columns = TextColumn("entries"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(leaves, total=covered.end - covered.start)
