"""`gateway log`: the officer's view of the exchange log, beside a running hub or without one.

What is here reads only, but that an officer's look-up of somebody is an entry itself; `log_erase` is the operator's
hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from gateway.adapters.store_reader import LogReader
from gateway.cli import log_erase, log_identity, log_pin, log_reply, log_site, log_succeed, log_view
from gateway.cli.lines import write
from gateway.cli.log_answer import verify_written
from gateway.cli.log_list import list_entries
from gateway.cli.log_officer import Acting, acted, acting
from gateway.cli.log_place import (
    AsJson,
    BucketKeysDirectory,
    Config,
    StoreFile,
    Unverified,
    Vkey,
    VkeyFile,
    Which,
    explained,
    find,
    write_file,
)
from gateway.cli.log_reply import verify_disclosed, verify_reply
from gateway.cli.log_subject import subject
from gateway.cli.log_told import (
    IN_SITE,
    IN_STORE,
    described,
    field_told,
    finding_told,
    flaws_of,
    head_told,
    print_json,
    records_table,
    report,
    shown,
)
from gateway.cli.log_verify import check, check_directory, pinned, verify_proof
from gateway.config import Right
from gateway.exchangelog.checkpoint import MAX_SIZE
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Kind
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.merkle import leaf_hash

app = typer.Typer(no_args_is_help=True)
app.command()(log_identity.init)
app.command()(log_identity.vkey)
app.command()(log_identity.checkpoint)
app.command()(log_erase.erase)
app.command()(log_erase.prune)
app.command()(log_erase.retention)
app.command()(log_identity.fork)
app.command()(log_identity.ml_dsa_key)
app.command()(log_pin.pin)
app.command()(log_pin.compare_pins)
app.command()(log_succeed.succeed)
app.command()(log_reply.disclose)
app.command("prove-view")(log_view.prove_view)
app.command()(log_site.export)
app.command()(log_site.prove_consistency)
app.command()(log_site.verify_range)
app.command("list")(list_entries)
app.command()(subject)

Index = Annotated[int, typer.Argument(min=0, max=MAX_SIZE, help="Index of the entry.")]


@app.command()
def show(
    index: Index,
    store: StoreFile = None,
    config: Unverified = None,
    log: Which = None,
    as_json: AsJson = False,
) -> None:
    """Show an entry: its leaf, and which fields were released and withheld.

    With --config also the field and group of each path, by the contracts as they are now; and to officers of the whole
    log with the right `person` which officer looked somebody up, erased or pruned.
    """
    with explained():
        place = find(store, config, log=log)
        officer = acting(config, place)
        with LogReader.open(place.store, place.opened_keys()) as reader:
            leaf = reader.entry(index)
            if officer is not None:
                officer.require(Right.SEARCH)
                officer.require_own(index, leaf)
            facts = described(index, leaf, reader.hash(index))
            exchange = facts["entry"]
            related = reader.exchange(str(exchange["id"])) if isinstance(exchange, dict) else []
            told = reader.notification(str(of)) if (of := _notification(exchange)) else []
            if officer is not None:  # a notification has deliveries to others, too
                told = [one for one in told if officer.sees(reader.entry(one))]
            records = reader.records(index)
            who = _officer(reader, index, leaf, officer) if facts["entry"] is not None else None
        fields = place.fields() if records else {}
    facts |= {"exchange": related, "notification": told, "officer": who}
    facts["fields"] = [field_told(record, fields) for record in records]
    if as_json:
        print_json(facts)
        return
    for name, value in exchange.items() if isinstance(exchange, dict) else [("leaf", repr(leaf))]:
        write(f"{name:<12} {shown(place, value)}")
    write(f"{'leaf hash':<12} {facts['leaf_hash']}")
    for flaw in flaws_of(leaf, leaf_hash(leaf), facts["hash_in_tree"]):
        write(f"{'wrong':<12} {flaw.row.code}: {flaw.row.sentence}")
    if who is not None:
        write(f"{'officer':<12} {who}")
    write(f"{'exchange':<12} entries {', '.join(map(str, related))}")
    if told:
        write(f"{'notification':<12} entries {', '.join(map(str, told))}")
    if records:
        records_table(records, fields)


@app.command()
def verify(
    *,
    store: StoreFile = None,
    config: Config = None,
    vkey: Vkey = None,
    vkey_file: VkeyFile = None,
    log: Which = None,
    bucket_keys: BucketKeysDirectory = None,
    proof: Annotated[
        Path | None,
        typer.Option("--proof", help="Check this proof file, of either kind, instead of a log; offline."),
    ] = None,
    entry: Annotated[
        Path | None, typer.Option("--entry", help="The entry, if the proof does not carry it.")
    ] = None,
    reply: Annotated[
        Path | None,
        typer.Option("--reply", help="Check this reply, kept with its proof, instead of a log; offline."),
    ] = None,
    disclosure: Annotated[
        Path | None,
        typer.Option("--disclosure", help="Check this disclosed value instead of a log; offline."),
    ] = None,
    site: log_site.SiteOption = None,
    pin: Annotated[
        Path | None,
        typer.Option(
            "--pin",
            help="A checkpoint kept from before, or a proof file that holds one: the log must extend it. "
            "A consistency proof needs it.",
        ),
    ] = None,
    answer: Annotated[
        Path | None,
        typer.Option("--answer", help="Check this directory of gateway log list --proof instead; offline."),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option("--processes", min=1, max=64, help="That check a store; else as many as are quickest."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the whole log, an exported one, or one proof file, kept reply, disclosed value or answer. Exit status 1 when anything does not hold.

    Needs the log's key, and its former keys for what they signed; of a log that ended also the key of a log that succeeds it, for what was erased since; with bucket keys also opens every seed; with --config also compares whose tickets stand beside the entries.
    """
    chosen = [one for one in (site, proof, reply, disclosure, answer) if one is not None]
    _require_fit(chosen, pin, pin_fits=not chosen or site is not None or proof is not None)
    if entry is not None and proof is None:
        raise typer.BadParameter("belongs to --proof", param_hint="--entry")
    with explained():
        needs_store = not chosen
        place = find(
            store, config, vkey, vkey_file, bucket_keys=bucket_keys, needs_store=needs_store, log=log
        )
        if reply is not None or disclosure is not None:
            if reply is not None:
                verify_reply(reply, place.keys, as_json=as_json)
            elif disclosure is not None:
                verify_disclosed(disclosure, place.keys, as_json=as_json)
            return
        if answer is not None:
            verify_written(answer, place.keys, as_json)
            return
        keys = place.keys
        if proof is not None:
            verify_proof(proof, entry, pin, keys, as_json)
            return
        kept = None if pin is None else pinned(pin, keys)
        if site is not None:
            signed, findings = check_directory(site, keys, kept)
        else:
            signed, findings = check(place, kept, processes)
    holds = not any(finding.fails for finding in findings)
    if as_json:
        print_json(
            {
                "verified": holds,
                **head_told(signed),
                "findings": [finding_told(finding) for finding in findings],
            }
        )
    else:
        report(signed, findings, IN_STORE if site is None else IN_SITE)
    if not holds:
        raise typer.Exit(1)


def _require_fit(chosen: Sequence[Path], pin: Path | None, *, pin_fits: bool) -> None:
    """A checkpoint that was passed over would be taken for compared. Raises typer.BadParameter."""
    if len(chosen) > 1:
        raise typer.BadParameter(
            "one of --site, --proof, --reply, --disclosure and --answer is checked at a time"
        )
    if pin is not None and not pin_fits:
        raise typer.BadParameter("is for a log, --site, or the --proof of consistency", param_hint="--pin")


@app.command()
def prove(  # noqa: PLR0917 - options
    index: Index,
    store: StoreFile = None,
    config: Unverified = None,
    log: Which = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="File to write; name it *.tlog-proof.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a proof file (C2SP tlog-proof) that the entry is in the log, to be checked offline by anybody.

    The proof is verified before it is written; with --config its signature too.
    """
    with explained():
        place = find(store, config, log=log)
        officer = acting(config, place)
        with LogReader.open(place.store) as reader:
            proof = reader.prove(index)
            if officer is not None:
                officer.require(Right.SEARCH)
                officer.require_own(index, reader.entry(index))
            if place.verifiers:
                place.believed(reader, proof.checkpoint.decode())
        text = proof.serialise()
        if output is not None:
            write_file("--output", output, text)
    if as_json:
        print_json({"index": index, "proof": text.decode()})
    elif output is None:
        write(text.decode().removesuffix("\n"))


def _officer(log: LogReader, index: int, leaf: bytes, officer: Acting | None) -> str | None:
    """Who acted, for those who watch over officers; None where nobody did, or nobody can tell any more."""
    watches = officer is not None and officer.party is None and Right.PERSON in officer.officer.rights
    if officer is None or not watches or Leaf.parse(leaf).actor is None:
        return None
    try:
        return acted(log, index, leaf, officer.settings.log.officers)
    except ProofError as error:
        if error.flaw is Flaw.SEED_ERASED:
            return None
        raise


def _notification(entry: object) -> object:
    """Of which notification the entry is part, None for other kinds."""
    if not isinstance(entry, dict):
        return None
    return entry["id"] if entry["kind"] == Kind.NOTIFICATION else entry.get("of")
