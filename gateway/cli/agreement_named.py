"""Which revision of the agreement a command means: a directory of contracts, a hash that a store keeps, in-force."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from gateway.adapters.store_reader import LogReader
from gateway.adapters.store_session import StorePlace
from gateway.agreement.load import Agreement, load_agreement
from gateway.cli.log_place import find
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.reading import contract_files

IN_FORCE: Final = "in-force"
_HASH: Final = re.compile(r"[0-9a-f]{8,64}", re.ASCII)


def named(name: str, store: StorePlace | None, config: Path | None) -> Agreement:
    """The revision, compiled. Raises `ProofError` (LOG752), `ConfigError`, `AgreementError`.

    A directory goes before a hash; a hash may be shortened to what tells it from the others that are kept.
    """
    if Path(name).is_dir():
        return load_agreement(contract_files(Path(name)))
    if (name != IN_FORCE and not _HASH.fullmatch(name)) or (store is None and config is None):
        raise ProofError(Flaw.NOT_KEPT, name)
    with LogReader.open(find(store, config).store) as log:
        return kept(log, name)


def kept(log: LogReader, name: str) -> Agreement:
    """A revision that the store keeps, by its hash or as `IN_FORCE`. Raises as `named`."""
    known = log.revisions()
    found = known[:1] if name == IN_FORCE else [one for one in known if one.startswith(name)]
    files = log.agreement(found[0]) if len(found) == 1 else None
    if files is None:
        raise ProofError(Flaw.NOT_KEPT, name)
    agreement = load_agreement(files)
    if agreement.revision != found[0]:  # the store does not vouch for what it keeps
        raise ProofError(Flaw.UNREADABLE, f"revision {found[0]}")
    return agreement
