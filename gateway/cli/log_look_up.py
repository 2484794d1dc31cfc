"""Whom or what an officer looks up: what is typed, in the terms of the store, and recorded before it is answered."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from gateway.adapters.store_directory import Directory
from gateway.adapters.store_filter import About
from gateway.adapters.store_session import StorePlace
from gateway.cli.dossier_person import digest_under, typed
from gateway.cli.log_filter import dossier_number
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import SearchedBy
from gateway.model import DossierNumber


@dataclass(frozen=True, slots=True)
class Sought:
    """What was typed, and what it means to the store."""

    by: SearchedBy
    value: str = field(repr=False)
    about: About
    dossier: DossierNumber | None = None  # what the record commits to, and is found by
    person: bytes | None = field(default=None, repr=False)


def sought(dossier: str | None, person: str | None, config: Path | None, store: StorePlace) -> Sought | None:
    """None when nobody is looked up. Raises `ProofError`: LOG505 without settings, LOG510."""
    if dossier is None and person is None:
        return None
    if dossier is not None and person is not None:
        raise ProofError(Flaw.UNKNOWN_VALUE, "--dossier with --person: give one of them")
    if config is None:
        raise ProofError(Flaw.SETTINGS, "--dossier and --person: the log of the hub records who is looked up")
    if person is not None:
        return of_person(person, digest_under(config), store)
    number = dossier_number(str(dossier))
    return Sought(SearchedBy.DOSSIER, number, About((number,)), dossier=number)


def of_person(person: str, digest: Callable[[str], bytes], store: StorePlace) -> Sought:
    """The dossiers that are bound to the person, and the person itself. `person`: an INSZ, "-" to read one."""
    ssin = typed(person) or ""
    keyed = digest(ssin)
    with closing(Directory.open(store, writes=False)) as directory:
        dossiers = directory.of_person(keyed)
    return Sought(SearchedBy.PERSON, ssin, About(dossiers, keyed), person=keyed)
