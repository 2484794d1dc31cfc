"""`gateway log init`, `vkey` and `checkpoint`: a log begins, says its name and key, and what it commits itself to."""

from __future__ import annotations

import json
from collections.abc import Sequence

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.log_key import log_signers
from gateway.adapters.store_log import new_log
from gateway.adapters.store_reader import LogReader
from gateway.cli.lines import write
from gateway.cli.log_place import AsJson, Config, Settled, StoreFile, Vkey, VkeyFile, explained, find
from gateway.cli.log_told import vkeys_told
from gateway.config import load
from gateway.exchangelog.note import Signer, base64


def init(config: Settled, as_json: AsJson = False) -> None:
    """Begin a log: make the store that the settings name, with no entries. Once, before the first start.

    A hub never makes a store itself: behind a mistyped path it would begin a second log.
    """
    with explained():
        settings = load(config)
        signers = log_signers(settings.keys.log_key, settings.log.origin)
        BucketKeys.create(settings.log.bucket_keys)
        new_log(settings.log.store, signers)
    _told({**_names(signers), "store": str(settings.log.store), "size": 0}, as_json)


def vkey(config: Settled, as_json: AsJson = False) -> None:
    """Print the log's origin and its verification key, to be handed to whoever checks the log.

    Two while the log changes its key: both are handed over.
    """
    with explained():
        settings = load(config)
        signers = log_signers(settings.keys.log_key, settings.log.origin)
    _told(_names(signers), as_json)


def checkpoint(
    store: StoreFile = None,
    config: Config = None,
    vkey: Vkey = None,
    vkey_file: VkeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Print the signed checkpoint, verified first; keep it elsewhere, for `gateway log verify --pin`."""
    with explained():
        place = find(store, config, vkey, vkey_file)
        with LogReader.open(place.store) as log:
            note, signed = log.signed(place.keys)
    if as_json:
        facts = {"origin": signed.origin, "size": signed.size, "root": base64(signed.root)}
        write(json.dumps({**facts, "checkpoint": note.decode()}, indent=2))
        return
    write(note.decode().removesuffix("\n"))


def _names(signers: Sequence[Signer]) -> dict[str, object]:
    return {"origin": signers[0].name, **vkeys_told([one.verifier for one in signers])}


def _told(facts: dict[str, object], as_json: bool) -> None:
    if as_json:
        write(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        for one in value if isinstance(value, list) else [value] if name != "vkey" else []:
            write(f"{name.removesuffix('s'):<8}{one}")
