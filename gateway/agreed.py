"""The agreement that settings name: read, in force by its date, and signed by all its parties."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from gateway.adapters.store_agreements import last
from gateway.adapters.store_session import StorePlace
from gateway.agreement.finding import AgreementError
from gateway.agreement.load import (
    Agreement,
    load_agreement,
    read_head,
    require_in_force,
    require_later,
    revision,
)
from gateway.config import ConfigError, Contracts
from gateway.evidence.adoption import OTHER_FILES, Adopted, AdoptionError, Before, Judge, adopt
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.identity.chain import Certificates
from gateway.model import Enterprise
from gateway.reading import StartError, clock, contract_files, signature_files

_NO_HEAD: Final = (AgreementError, msgspec.ValidationError, KeyError, ValueError)
_REMEDY: Final = (
    "Each party makes its signature with gateway agreement sign; put it into contracts.signatures."
)


def read_agreement(directory: Path) -> Agreement:
    """Raises ConfigError, AgreementError."""
    agreement = load_agreement(contract_files(directory))
    require_in_force(agreement, clock().date())
    return agreement


def adopted(  # noqa: PLR0913 - the agreement, and all that it is judged by
    contracts: Contracts,
    agreement: Agreement,
    certificates: Certificates,
    hub: Enterprise,
    before: Before | None,
    *,
    lasting: bool,
) -> Adopted:
    """`before`: the revision that was in force last, None at the very first start. One that follows it needs its
    parties, too: nobody is left out by leaving them out of the list. `lasting`: this one was adopted before.

    Raises ConfigError, AgreementError, and StartError for parties that are missing.
    """
    if hub in agreement.parties:
        raise ConfigError("CFG036", f"agreement.parties: {hub} is the hub.", "It serves; others agree.")
    if before is not None and before.revision != agreement.revision:
        require_later(agreement, before.number)
    found = signature_files(contracts.signatures)
    judged = Judge(agreement.files, certificates.trust, clock(), lasting, certificates.answers).of(found)
    try:
        return adopt(agreement, judged, frozenset() if before is None else before.parties)
    except AdoptionError as error:
        raise StartError(list(_told(error, agreement, contracts.signatures))) from error


def renewed(
    contracts: Contracts, store: StorePlace, in_force: Agreement, certificates: Certificates, hub: Enterprise
) -> Agreement:
    """The agreement of the files, read anew; the one in force as long as they are the same.

    One that another process of the gateway has put in force already was adopted then: it is not judged again.
    Raises ConfigError, AgreementError, StartError, ProofError.
    """
    files = contract_files(contracts.directory)
    if revision(files) == in_force.revision:
        return in_force
    agreement = load_agreement(files)
    require_in_force(agreement, clock().date())
    if revision(contract_files(contracts.directory)) != agreement.revision:
        raise ConfigError("CFG025", "The files change while they are read.", "They are read again.")
    before = Before(in_force.revision, in_force.number, in_force.parties)
    kept = last(store)
    lasting = kept is not None and kept[0] == agreement.revision
    return adopted(contracts, agreement, certificates, hub, before, lasting=lasting).agreement


def served_last(store: StorePlace) -> Mapping[str, bytes] | None:
    """The files of the revision under which a hub on this store served last. None where there is no store, or none has
    served yet: without a store nothing starts. Raises ProofError, LOG522 for files of which nobody knows that they are it.
    """
    found = last(store)
    if found is None:
        return None
    named, files = found
    if revision(files) != named:
        raise ProofError(Flaw.IN_FORCE, f"{store}: {named}")
    return files


def before_start(store: StorePlace) -> Before | None:
    """What was in force before the hub starts on this store, None at the very first start. Raises ProofError."""
    files = served_last(store)
    if files is None:
        return None
    named = revision(files)
    try:
        number, parties = read_head(files)
    except _NO_HEAD as error:  # by a program that writes agreements otherwise
        raise ProofError(Flaw.IN_FORCE, f"{store}: {named}") from error
    return Before(named, number, parties)


def _told(error: AdoptionError, agreement: Agreement, directory: Path) -> Iterator[ConfigError]:
    if not agreement.parties:
        yield ConfigError("CFG036", "agreement.parties: nobody adopts it.", "Name its parties.")
    for party in sorted(map(str, error.missing)):
        sentence = f"revision {agreement.number} of the agreement is not signed by {party}."
        yield ConfigError("CFG036", sentence, _REMEDY)
    for one in error.faults:
        if one.fault != OTHER_FILES:  # those of another revision may lie there
            sentence = f"{directory / one.name}: counts for nothing ({one.fault})."
            yield ConfigError("CFG036", sentence, "Have it made anew.")
