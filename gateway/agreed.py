"""The agreement that settings name: read, in force by its date, and signed by all its parties."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from gateway.agreement.load import Agreement, load_agreement, require_in_force, require_later, revision
from gateway.config import ConfigError, Contracts
from gateway.evidence.adoption import Adopted, AdoptionError, adopt, judge
from gateway.identity.trust import Trust
from gateway.model import Enterprise
from gateway.reading import StartError, clock, contract_files, signature_files

_REMEDY: Final = (
    "Each party makes its signature with gateway agreement sign; put it into contracts.signatures."
)


def read_agreement(directory: Path) -> Agreement:
    """Raises ConfigError, AgreementError."""
    agreement = load_agreement(contract_files(directory))
    require_in_force(agreement, clock().date())
    return agreement


def adopted(
    contracts: Contracts, agreement: Agreement, trust: Trust, also: Collection[Enterprise] = ()
) -> Adopted:
    """`also`: who has to sign besides its own parties. Raises ConfigError, and StartError for parties that are missing."""
    found = signature_files(contracts.signatures)
    try:
        return adopt(agreement, judge(agreement.files, found, trust, clock()), also)
    except AdoptionError as error:
        raise StartError(list(_told(error, agreement, contracts.signatures))) from error


def renewed(contracts: Contracts, in_force: Agreement, trust: Trust) -> Agreement:
    """The agreement of the files, read anew; the one in force as long as they are the same.

    The parties of the one in force sign the new one, too: nobody is left out by leaving them out of the list.
    Raises ConfigError, AgreementError, StartError.
    """
    files = contract_files(contracts.directory)
    if revision(files) == in_force.revision:
        return in_force
    agreement = load_agreement(files)
    require_later(agreement, in_force)
    require_in_force(agreement, clock().date())
    if revision(contract_files(contracts.directory)) != agreement.revision:
        raise ConfigError("CFG025", "The files change while they are read.", "They are read again.")
    return adopted(contracts, agreement, trust, in_force.parties).agreement


def _told(error: AdoptionError, agreement: Agreement, directory: Path) -> Iterator[ConfigError]:
    if not agreement.parties:
        yield ConfigError("CFG027", "agreement.parties: nobody adopts it.", "Name its parties.")
    for party in sorted(map(str, error.missing)):
        sentence = f"revision {agreement.number} of the agreement is not signed by {party}."
        yield ConfigError("CFG027", sentence, _REMEDY)
    for one in error.faults:
        sentence = f"{directory / one.name}: counts for nothing ({one.fault})."
        yield ConfigError("CFG027", sentence, "Have it made anew, or remove it.")
