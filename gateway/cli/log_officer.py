"""Which officer works with `gateway log`, what that officer may see, and the record of whom it looks up.

Rights hold where settings are named. Whoever may read the store's file reads it without this program as well:
that is for the file's permissions, and `deploy/README.md` says how to set them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import rfc8785

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.login import login
from gateway.adapters.store_access import record
from gateway.adapters.store_reader import LogReader
from gateway.agreement.register import Register
from gateway.cli.log_operator import appending
from gateway.cli.log_place import Place
from gateway.config import Officer, Right, Settings, load
from gateway.exchangelog import own_entry
from gateway.exchangelog.commitment import actor_commitment
from gateway.exchangelog.exchange_id import new_exchange_id
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Query, SearchedBy
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.own_entry import Access
from gateway.exchangelog.question import takes_part
from gateway.model import DossierNumber


@dataclass(frozen=True, slots=True)
class LookUp:
    """Whom or what an officer looks up, and where."""

    query: Query
    by: SearchedBy
    start: int
    end: int
    asked: Mapping[str, str | Sequence[str] | None]  # the options of the command
    dossier: DossierNumber | None = None
    person: bytes | None = None


@dataclass(frozen=True, slots=True)
class Acting:
    """The officer at work, by the settings of the hub."""

    officer: Officer
    enterprise: str  # of its authority, or of the hub
    party: str | None  # whose exchanges are shown; None: all
    settings: Settings

    def require(self, right: Right) -> None:
        """Raises `ProofError` (LOG733)."""
        if right not in self.officer.rights:
            raise ProofError(Flaw.RIGHT, f"{self.officer.user!r} lacks {right.value!r}")

    def require_whole(self, what: str) -> None:
        """What would show exchanges of others. Raises `ProofError` (LOG733)."""
        if self.party is not None:
            raise ProofError(Flaw.RIGHT, f"{what} is for officers of the whole log")

    def require_own(self, index: int, leaf: bytes) -> None:
        """Raises `ProofError`: LOG735 for an exchange in which the officer's authority took no part."""
        if not self.sees(leaf):
            raise ProofError(Flaw.NOT_ITS_OWN, f"index {index}")

    def sees(self, leaf: bytes) -> bool:
        """Whether the entry is of an exchange in which its authority took part."""
        try:
            return self.party is None or takes_part(self.party, Leaf.parse(leaf))
        except ProofError:  # altered: nobody can tell whose it was
            return False

    def record(self, place: Place, look_up: LookUp) -> int:
        """The index of the entry that says so, in the log in force, once it is durable. `place`: the log looked through.

        Raises `ProofError`, LOG510 for another store than that of the settings, `TokenError`.
        """
        self.require(Right.PERSON)
        present = place.recording
        if present.store != self.settings.log.store:  # the log's key would sign two logs, of one size each
            raise ProofError(Flaw.UNKNOWN_VALUE, "--store: whom an officer looks up is recorded in log.store")
        access = Access(
            officer=self.officer.id,
            authority=self.enterprise,
            query=look_up.query,
            by=look_up.by,
            start=look_up.start,
            end=look_up.end,
            asked=rfc8785.dumps({name: value for name, value in look_up.asked.items() if value is not None}),
            dossier=look_up.dossier,
            person=look_up.person,
            of_log=place.of_log,
        )
        now = datetime.now(UTC)
        made = own_entry.accessed(access, new_exchange_id(now, os.urandom), now, os.urandom)
        signers, pinned = appending(self.settings)
        keys = BucketKeys.open(self.settings.log.bucket_keys)
        return record(present.store, made, signers, keys, pinned, present.former)


def acting(config: Path | None, place: Place) -> Acting | None:
    """The officer whose login this is; None for a store without settings: a copy, or one's own.

    Raises `ProofError` (LOG732, LOG734).
    """
    if config is None:
        return None
    settings, user = load(config), login()
    assert place.register is not None  # settings name one
    require_officers(settings.log.officers, place.register)
    officer = next((one for one in settings.log.officers if one.user == user), None)
    if officer is None:
        raise ProofError(Flaw.NO_OFFICER, repr(user))
    enterprise = place.parties[officer.authority]
    whole = officer.authority == place.register.hub.id
    return Acting(officer, enterprise, None if whole else enterprise, settings)


def acted(log: LogReader, index: int, leaf: bytes, officers: Sequence[Officer]) -> str | None:
    """The `id` to which the entry commits, of those that the settings name; None where it is of nobody that they do.

    Raises `ProofError`, LOG684 where its seed was erased.
    """
    actor, seed = Leaf.parse(leaf).actor, log.seed(index)
    return next((one.id for one in officers if actor_commitment(one.id, seed) == actor), None)


def require_officers(officers: Sequence[Officer], register: Register) -> None:
    """Each login once, each for somebody whom the register has. Raises `ProofError` (LOG734)."""
    users = [one.user for one in officers]
    for one in officers:
        if users.count(one.user) > 1:
            raise ProofError(Flaw.OFFICERS, f"{one.user!r} stands there {users.count(one.user)} times")
        if one.authority not in register.names:
            raise ProofError(Flaw.OFFICERS, f"{one.authority!r} is not in the register")
