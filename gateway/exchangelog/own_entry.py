"""Entries about the log itself: what an officer looks up, and keys, logs and erasures that follow one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.exchangelog.commitment import actor_commitment, body_commitment, subject_commitment
from gateway.exchangelog.entry import Entry, Random, nonce, timestamp
from gateway.exchangelog.exchange_id import new_exchange_id
from gateway.exchangelog.fields import SEED_SIZE, base64url
from gateway.exchangelog.form import ANNOUNCED, PERMITTED, Ending, Kind, Query, SearchedBy
from gateway.exchangelog.leaf import Leaf

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.exchangelog.checkpoint import Checkpoint
    from gateway.model import DossierNumber, ExchangeId


@dataclass(frozen=True, slots=True)
class Access:
    """An officer's question to the log, before it is answered."""

    officer: str  # its identity in the settings; committed to
    authority: str  # enterprise whose officer it is; of an officer of the whole log the hub's
    query: Query
    by: SearchedBy
    start: int  # the entries looked through: from this index
    end: int  # up to this one, which is not among them
    asked: bytes  # the question, canonical; committed to
    dossier: DossierNumber | None = None
    person: bytes | None = None  # person digest
    of_log: str | None = None  # origin of the log looked through, where this one succeeds it


def accessed(access: Access, exchange: ExchangeId, now: datetime, random: Random) -> Entry:
    """The question of an officer who looks somebody up: it may be answered once this entry is durable."""
    seed = random(SEED_SIZE)
    leaf = Leaf(
        id=exchange,
        time=timestamp(now),
        kind=Kind.ACCESS,
        caller=access.authority,
        to=(),
        operation=None,
        legal_context=None,
        revision=None,
        decision=PERMITTED,
        fields_root=None,
        nfields=0,
        subject=subject_commitment(access.dossier, seed),
        body=body_commitment(access.asked, seed),
        signature=None,
        nonce=nonce(random),
        actor=actor_commitment(access.officer, seed),
        more={
            "query": access.query.value,
            "by": access.by.value,
            "start": access.start,
            "end": access.end,
            **about(access.of_log),
        },
    )
    return Entry(leaf.seal(), exchange, Kind.ACCESS, seed, access.dossier, person=access.person)


def about(of_log: str | None) -> Mapping[str, object]:
    """What an entry says of the log that it is about, which is its own unless it names one that it succeeds."""
    return {} if of_log is None else {"of_log": of_log}


def rotated(vkey: str, hub: str, now: datetime, random: Random) -> Entry:
    """That a key will sign checkpoints, too, and later alone: said while the old key still signs.

    `hub`: its enterprise, as in other entries.
    """
    return own_entry(
        Kind.KEY_ROTATION, ANNOUNCED, hub, {"vkey": vkey}, new_exchange_id(now, random), now, random
    )


def succeeded(last: Checkpoint, ending: Ending, hub: str, now: datetime, random: Random) -> Entry:
    """The first entry of a log that goes on for another. `last`: what everybody agrees that log to have been."""
    of = {"of_log": last.origin, "of_size": last.size, "of_root": base64url(last.root).decode("ascii")}
    return own_entry(Kind.SUCCESSOR, ending.value, hub, of, new_exchange_id(now, random), now, random)


def own_entry(  # noqa: PLR0913, PLR0917 - what the entry says
    kind: Kind,
    decision: str,
    hub: str,
    more: Mapping[str, object],
    id_: ExchangeId,
    now: datetime,
    random: Random,
    officer: str | None = None,
) -> Entry:
    """An entry about the log itself. `officer`: who acted, where that was no program; committed to."""
    seed = random(SEED_SIZE)
    leaf = Leaf(
        id=id_,
        time=timestamp(now),
        kind=kind,
        caller=hub,
        to=(),
        operation=None,
        legal_context=None,
        revision=None,
        decision=decision,
        fields_root=None,
        nfields=0,
        subject=subject_commitment(None, seed),  # about nobody: of a person it would say too much
        body=None,
        signature=None,
        nonce=nonce(random),
        actor=None if officer is None else actor_commitment(officer, seed),
        more=more,
    )
    return Entry(leaf.seal(), id_, kind, seed, None)
