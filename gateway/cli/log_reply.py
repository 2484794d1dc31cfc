"""A reply that was kept, checked against its own log receipt; one value of it, disclosed to somebody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.lines import plain, write
from gateway.cli.log_place import (
    AsJson,
    Config,
    Vkey,
    VkeyFile,
    explained,
    find,
    named,
    read_file,
    require_writable,
    write_file,
)
from gateway.cli.log_told import head_told, print_json, records_table
from gateway.exchangelog.disclosed import DisclosedValue, Shown
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.note import NoteKey
from gateway.exchangelog.receipt import verify_receipt
from gateway.kept import Kept, read_reply
from gateway.refusal import Refusal
from gateway.soap.envelope import read
from gateway.soap.xml import Limits


def verify_reply(path: Path, verifiers: Sequence[NoteKey], *, as_json: bool) -> None:
    """Check a reply that was kept, offline. Raises `ProofError`."""
    with named("--reply", path):
        kept = _kept(read_file("--reply", path))
        proven = verify_receipt(kept.held, kept.receipt, verifiers)
    records = [{"path": one.path, "reason": one.reason} for one in proven.records]
    if as_json:
        facts = {"index": proven.index, **_entry_told(proven.leaf), "records": records}
        print_json({"verified": True, **head_told(proven.checkpoint), **facts})
        return
    write(f"The reply is what entry {proven.index} of the log {proven.checkpoint.origin} recorded:")
    _entry_lines(proven.leaf)
    records_table(proven.records, {})


def verify_disclosed(path: Path, verifiers: Sequence[NoteKey], *, as_json: bool) -> None:
    """Check the file of a disclosed value, offline. Raises `ProofError`."""
    with named("--disclosure", path):
        shown = DisclosedValue.parse(read_file("--disclosure", path)).verify(verifiers)
    if as_json:
        print_json({"verified": True, **_shown_told(shown)})
        return
    write(f"Entry {shown.index} of the log {shown.checkpoint.origin} released this value:")
    value = ", ".join(shown.value) if shown.value else "(there was none)"
    write(plain(f"{shown.path:<13} {value}"))
    _entry_lines(shown.leaf)


def disclose(
    *,
    reply: Annotated[Path, typer.Argument(help="The reply as it came, with its proof: gateway call --save.")],
    path: Annotated[str, typer.Argument(help="The path to show, such as dossier/workDecision/outcome.")],
    output: Annotated[Path, typer.Option("--output", help="File to write.")],
    config: Config = None,
    vkey: Vkey = None,
    vkey_file: VkeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Write a file that proves one value of a reply to somebody who sees none of the others; offline.

    Whoever received the reply can do this: the log itself holds no value. The file is checked with
    gateway log verify --disclosure.
    """
    with explained():
        require_writable("--output", output, reply)
        keys = find(None, config, vkey, vkey_file, needs_store=False).keys
        with named("REPLY", reply):
            kept = _kept(read_file("REPLY", reply))
            if kept.receipt is None:
                raise ProofError(Flaw.RECEIPT_MISSING)
            disclosed = DisclosedValue.of(path, kept.held, kept.receipt, keys)
        shown = disclosed.verify(keys)
        write_file("--output", output, disclosed.serialise(), private=True)
    if as_json:
        print_json(_shown_told(shown))
        return
    write(f"{output}: shows {path} of entry {shown.index}, and nothing else that was released.")


def _kept(message: bytes) -> Kept:
    """Raises `ProofError`. The message's own signature is not looked at: its certificate has expired by now."""
    try:
        return read_reply(read(message, Limits()).body[0])
    except (Refusal, IndexError) as error:
        raise ProofError(Flaw.REPLY_FORM) from error


def _shown_told(shown: Shown) -> dict[str, object]:
    value = list(shown.value) or None
    facts = {"index": shown.index, "path": shown.path, "value": value, **_entry_told(shown.leaf)}
    return head_told(shown.checkpoint) | facts


def _entry_told(leaf: Leaf) -> Mapping[str, object]:
    return {
        "exchange": leaf.id,
        "time": leaf.time,
        "from": leaf.caller,
        "to": list(leaf.to),
        "operation": leaf.operation,
        "legal_context": leaf.legal_context,
        "agreement": leaf.revision,
    }


def _entry_lines(leaf: Leaf) -> None:
    for name, value in _entry_told(leaf).items():
        write(f"{name:<13} {', '.join(value) if isinstance(value, list) else value or '-'}")
