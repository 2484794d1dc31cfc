"""`gateway log init`, `vkey`, `checkpoint` and `fork`: a log begins, says its name and key, what it commits itself to,
and what contradicts that.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.log_key import log_signers, ml_dsa_signer
from gateway.adapters.pin import write_pin
from gateway.adapters.pki import ExistsError, write_file
from gateway.adapters.store_connect import exists
from gateway.adapters.store_log import new_log
from gateway.adapters.store_reader import LogReader
from gateway.cli.lines import write
from gateway.cli.log_place import (
    AsJson,
    Config,
    Settled,
    StoreFile,
    Unverified,
    Vkey,
    VkeyFile,
    explained,
    find,
)
from gateway.cli.log_told import vkeys_told
from gateway.config import load
from gateway.exchangelog.checkpoint import Checkpoint, open_checkpoint
from gateway.exchangelog.cosignature import Cosigner
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import Signer, base64
from gateway.exchangelog.pin import require_held
from gateway.exchangelog.quorum import LogKey
from gateway.identity.issue import private_pem


def init(config: Settled, as_json: AsJson = False) -> None:
    """Begin a log: make the store that the settings name, with no entries. Once, before the first start.

    A hub never makes a store itself: behind a mistyped path it would begin a second log.
    """
    with explained():
        settings = load(config)
        signers, pin = log_signers(settings.keys.log_key, settings.log.origin), settings.log.pin
        if exists(settings.log.store):
            raise ProofError(Flaw.STORE_EXISTS, str(settings.log.store))
        if pin is not None and pin.exists():  # it would be told of a store that is lost
            raise ProofError(Flaw.PIN_EXISTS, str(pin))
        BucketKeys.create(settings.log.bucket_keys)
        new_log(settings.log.store, signers)
        if pin is not None:
            with LogReader.open(settings.log.store) as log:
                write_pin(pin, log.checkpoint)
    _told({**_names(signers), "store": str(settings.log.store), "size": 0}, as_json)


def vkey(config: Settled, as_json: AsJson = False) -> None:
    """Print the log's origin and its verification key, to be handed to whoever checks the log.

    Two while the log changes its key: both are handed over.
    """
    with explained():
        settings = load(config)
        signers = log_signers(settings.keys.log_key, settings.log.origin)
        names, beside = _names(signers), settings.keys.log_ml_dsa_key
        if beside is not None:
            names["ml_dsa_vkey"] = ml_dsa_signer(beside, settings.log.origin).public.vkey
    _told(names, as_json)


def ml_dsa_key(config: Settled, as_json: AsJson = False) -> None:
    """Make the ML-DSA-44 key that the settings name, once; it signs checkpoints beside the log's own key."""
    with explained():
        settings = load(config)
        path = settings.keys.log_ml_dsa_key
        if path is None:
            raise ProofError(Flaw.FILE, "keys.log_ml_dsa_key is not set")
        key = MLDSA44PrivateKey.generate()
        try:
            write_file(path, private_pem(key), private=True)
        except (ExistsError, OSError) as error:
            raise ProofError(Flaw.FILE, str(error)) from error
    made = Cosigner.of(settings.log.origin, key).public.vkey
    write(json.dumps({"vkey": made}, indent=2) if as_json else made)


def checkpoint(
    *,
    store: StoreFile = None,
    config: Config = None,
    vkey: Vkey = None,
    vkey_file: VkeyFile = None,
    cosigned: Annotated[
        bool,
        typer.Option("--cosigned", help="The newest that enough witnesses cosigned, with their lines."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the signed checkpoint, verified first; keep it elsewhere, for `gateway log verify --pin`."""
    with explained():
        place = find(store, config, vkey, vkey_file)
        with LogReader.open(place.store) as log:
            note, signed = log.signed(place.keys)
            if cosigned:
                note, signed = _cosigned(log, signed, place.keys)
    if as_json:
        facts = {"origin": signed.origin, "size": signed.size, "root": base64(signed.root)}
        write(json.dumps({**facts, "checkpoint": note.decode()}, indent=2))
        return
    write(note.decode().removesuffix("\n"))


def fork(store: StoreFile = None, config: Unverified = None, as_json: AsJson = False) -> None:
    """Print the two checkpoints that froze the log, signed by it and contradicting each other.

    Exit status 1 when there are any.
    """
    with explained(), LogReader.open(find(store, config).store) as log:
        found = log.frozen()
    if found is None:
        write("null" if as_json else "The log is not frozen.")
        return
    since = datetime.fromtimestamp(found.time, UTC).isoformat()
    if not found.theirs:
        write("null" if as_json else f"The log is not frozen; it ended on {since}.")
        return
    if as_json:
        mine, theirs = found.mine.decode(), found.theirs.decode("utf-8", "replace")
        write(json.dumps({"since": since, "mine": mine, "theirs": theirs}, indent=2))
    else:
        write(f"Frozen since {since}. The log's own checkpoint:\n\n{found.mine.decode()}")
        write(f"And the one that contradicts it:\n\n{found.theirs.decode('utf-8', 'replace')}".rstrip())
    raise typer.Exit(1)


def _cosigned(log: LogReader, head: Checkpoint, verifiers: Sequence[LogKey]) -> tuple[bytes, Checkpoint]:
    """The stored one, once the log is shown to extend it. Raises `ProofError`."""
    kept = log.cosigned()
    if kept is None:
        raise ProofError(Flaw.QUORUM, "none was kept yet")
    signed = open_checkpoint(kept.note, verifiers)
    require_held(signed, head.size, log.tile)
    return kept.note, signed


def _names(signers: Sequence[Signer]) -> dict[str, object]:
    return {"origin": signers[0].name, **vkeys_told([one.verifier for one in signers])}


def _told(facts: dict[str, object], as_json: bool) -> None:
    if as_json:
        write(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        for one in value if isinstance(value, list) else [value] if name != "vkey" else []:
            write(f"{name.removesuffix('s'):<8}{one}")
