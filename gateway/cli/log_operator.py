"""What the settings give to a command that acts on the exchange log: where it is, and in whose name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.log_key import log_signers
from gateway.adapters.pin import read_pin
from gateway.adapters.store_connect import exists
from gateway.adapters.store_session import StorePlace
from gateway.agreed import served_last
from gateway.agreement.load import load_agreement
from gateway.agreement.register import load_register
from gateway.cli.log_place import read_file
from gateway.config import Settings
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import Signer


@dataclass(frozen=True, slots=True)
class Operator:
    """Whoever holds the keys of the hub."""

    store: StorePlace
    keys: BucketKeys
    signers: Sequence[Signer]
    hub: str  # enterprise number
    years: int  # for which the agreement keeps the log
    pinned: Checkpoint | None  # what the log must extend
    former: Sequence[StorePlace] = ()  # stores of the logs that it succeeds

    @classmethod
    def of(cls, settings: Settings) -> Operator:
        """Raises the errors of `reading.FORESEEN`."""
        register = settings.contracts.register
        # What was put in force, not what lies there: nobody has signed that yet.
        files = served_last(settings.log.store)
        if files is None:
            store = settings.log.store
            raise ProofError(Flaw.IN_FORCE if exists(store) else Flaw.NO_STORE, str(store))
        agreement = load_agreement(files)
        signers, pinned = appending(settings)
        return cls(
            settings.log.store,
            BucketKeys.open(settings.log.bucket_keys),
            signers,
            str(load_register(read_file("contracts.register", register), str(register)).hub.enterprise),
            agreement.retention.log_years,
            pinned,
            settings.log.former,
        )


def appending(settings: Settings) -> tuple[Sequence[Signer], Checkpoint | None]:
    """By which keys a command appends, and what the log must extend: no command appends behind the hub's pin.

    Raises the errors of `reading.FORESEEN`.
    """
    signers, pin = log_signers(settings.keys.log_key, settings.log.origin), settings.log.pin
    return signers, None if pin is None else read_pin(pin, [one.verifier for one in signers])
