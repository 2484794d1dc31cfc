"""`gateway witness`: cosign the logs of others, on a machine of one's own."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from gateway.cli.lines import write
from gateway.cli.log_place import AsJson, explained
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.note import base64, parse_note
from gateway.witness import run
from gateway.witness.settings import known_logs, load_settings
from gateway.witness.store import Kept, WitnessStore

app = typer.Typer(no_args_is_help=True)

Config = Annotated[
    Path, typer.Option("--config", help="The witness's settings file; see deploy/witness.toml.")
]


@app.command()
def init(
    config: Config,
    ml_dsa: Annotated[
        bool, typer.Option("--ml-dsa", help="A key for ML-DSA-44 cosignatures instead of Ed25519.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Begin a witness: make its key and its memory, once. Its verification key is for the logs and their users."""
    with explained():
        cosigner = run.begin(load_settings(config), ml_dsa=ml_dsa)
    vkey = cosigner.public.vkey
    write(json.dumps({"name": cosigner.public.name, "vkey": vkey}, indent=2) if as_json else vkey)


@app.command()
def serve(config: Config) -> None:
    """Run the witness until it is told to stop."""
    with explained():
        settings = load_settings(config)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run.serve(settings))


@app.command()
def show(config: Config, as_json: AsJson = False) -> None:
    """Show the verification key, what was last cosigned of each log, what contradicts it, and what was not proved.

    Exit status 1 when there is evidence against a log.
    """
    with explained():
        settings = load_settings(config)
        origins, key = sorted(known_logs(settings)), run.load_cosigner(settings, own=False).public
        store = WitnessStore.open(settings.store, key)
        try:
            latest = {origin: store.checkpoint(origin) for origin in origins}
            kept = store.evidence()
        finally:
            store.close()
    evidence, unproved = [one for one in kept if one.forked], [one for one in kept if not one.forked]
    if as_json:
        checkpoints = {origin: note.decode() if note else None for origin, note in latest.items()}
        requests = {"evidence": [*map(_request, evidence)], "unproved": [*map(_request, unproved)]}
        write(json.dumps({"vkey": key.vkey, "logs": checkpoints, **requests}, indent=2))
    else:
        write(f"vkey      {key.vkey}")
        for origin, note in latest.items():
            write(f"log       {origin}: {_size(note)}")
        for one in evidence:
            write(f"evidence  {_time(one.received)} {one.code} against {one.origin}; --json has the request")
        for one in unproved:
            write(f"unproved  {_time(one.received)} {one.code} of {one.origin}; --json has the request")
    if evidence:
        raise typer.Exit(1)


def _size(note: bytes | None) -> str:
    return "nothing yet" if note is None else f"size {Checkpoint.parse(parse_note(note).text).size}"


def _request(one: Kept) -> dict[str, object]:
    return {
        "origin": one.origin,
        "received": _time(one.received),
        "code": one.code,
        "request": base64(one.request),
        "against": None if one.against is None else one.against.decode(),
    }


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
