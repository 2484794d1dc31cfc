"""The drills. Each does its deed to the ground and returns the codes that its detector named."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.adapters.store import Store
from gateway.adapters.store_eraser import Eraser
from gateway.adapters.store_former import succession
from gateway.adapters.store_succession import begin, end
from gateway.exchangelog.checkpoint import open_checkpoint
from gateway.exchangelog.erasure import Erasing, Hand
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.form import Basis, Ending
from gateway.exchangelog.form import Ground as Case
from gateway.exchangelog.indices import Indices
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.note import Signer
from gateway.exchangelog.own_entry import succeeded
from tests.drills.ground import ORIGIN, Ground, log_key
from tests.drills.lies import released_against_the_agreement, sent_and_called_withheld
from tests.exchanges import refusal_entry
from tests.path.hub import NOW, PAYLOAD_KEY

Codes = set[str]
_NEXT = f"{ORIGIN}/next"
_VERIFY, _PIN = "gateway log verify", "gateway log verify --pin"


@dataclass(frozen=True)
class Drill:
    """`expected`: what its detector must name, among what else it may name."""

    name: str
    deed: str
    detector: str
    expected: Flaw
    act: Callable[[Ground], Codes]

    @property
    def code(self) -> str:
        return self.expected.row.code


def _edit(ground: Ground) -> Codes:
    index = ground.find(kind="response")
    ground.alter("UPDATE entries SET leaf = ? WHERE idx = " + str(index), bindings=(_edited(ground, index),))
    return ground.verify()


def _delete(ground: Ground) -> Codes:
    index = ground.find(kind="refusal")
    ground.alter(f"DELETE FROM seeds WHERE idx = {index}", f"DELETE FROM entries WHERE idx = {index}")
    return ground.verify()


def _reorder(ground: Ground) -> Codes:
    """A refusal and the request after it change places, with all that stands beside them."""
    index = ground.find(kind="refusal")
    for table in ("entries", "seeds"):
        ground.alter(
            "PRAGMA foreign_keys = 0",
            f"UPDATE {table} SET idx = -5 WHERE idx = {index}",
            f"UPDATE {table} SET idx = {index} WHERE idx = {index - 1}",
            f"UPDATE {table} SET idx = {index - 1} WHERE idx = -5",
        )
    return ground.verify()


def _truncate(ground: Ground) -> Codes:
    index = ground.find(kind="notification")
    ground.alter(f"DELETE FROM seeds WHERE idx >= {index}", f"DELETE FROM entries WHERE idx >= {index}")
    return ground.verify()


def _roll_back(ground: Ground) -> Codes:
    """The backup is a good log by itself."""
    shutil.copy(ground.backup, ground.store)
    assert ground.verify() == set()
    return ground.verify(ground.kept)


def _start_behind(ground: Ground) -> Codes:
    """A hub that is given the checkpoint appends nothing to it."""
    shutil.copy(ground.backup, ground.store)
    kept = open_checkpoint(ground.kept.read_bytes(), [_signer().verifier])
    try:
        _open(ground, pinned=kept)
    except ProofError as error:
        return {error.flaw.row.code}
    return set()


def _fork(ground: Ground) -> Codes:
    """From the backup on other things happen, until the log is as long again."""
    size = len(ground.leaves)
    shutil.copy(ground.backup, ground.store)
    asyncio.run(_continue(ground, size - len(ground.leaves)))
    assert ground.verify() == set()
    return ground.verify(ground.kept)


def _split_view(ground: Ground) -> Codes:
    """Officer B is shown a log of its own, good by itself on every visit, until A's checkpoint comes by mail."""
    _rewrite(ground, _signer())
    assert ground.verify(ground.checkpoint("b.checkpoint")) == set()
    return ground.compare(ground.kept, ground.place / "b.checkpoint")


def _own_key(ground: Ground) -> Codes:
    _rewrite(ground, Signer.of(ORIGIN, Ed25519PrivateKey.generate()))
    return ground.verify()


def _stolen_key(ground: Ground) -> Codes:
    """Without a checkpoint from before nothing is wrong with what the thief leaves."""
    _rewrite(ground, _signer())
    assert ground.verify() == set()
    return ground.verify(ground.kept)


def _withheld_afterwards(ground: Ground) -> Codes:
    """The record of one field, and its digest, are taken from what was released."""
    released, withheld = '["dossier/worker/familyName"]', '["dossier/worker/familyName","ROLE"]'
    ground.alter(
        f"UPDATE views SET vector = CAST(replace(vector, '{released}', '{withheld}') AS BLOB)",
        "UPDATE entries SET digests = substr(digests, 33) WHERE digests IS NOT NULL",
    )
    return ground.verify()


def _erase_silently(ground: Ground) -> Codes:
    ground.alter(f"DELETE FROM seeds WHERE idx = {ground.find(kind='response')}")
    return ground.verify()


def _delete_the_erasure(ground: Ground) -> Codes:
    index = _erase(ground)
    ground.alter(f"DELETE FROM seeds WHERE idx = {index}", f"DELETE FROM entries WHERE idx = {index}")
    return ground.verify()


def _rewrite_without_the_erasure(ground: Ground) -> Codes:
    """The tree is whole and signed, and the list beside it is gone; but so is what was erased."""
    index = _erase(ground)
    ground.alter("DELETE FROM erased")
    ground.rewrite(ground.leaves[:index], _signer())
    return ground.verify()


def _undo_the_erasure(ground: Ground) -> Codes:
    _erase(ground)
    ground.alter(
        f"ATTACH '{ground.backup}' AS backup", "INSERT OR IGNORE INTO seeds SELECT * FROM backup.seeds"
    )
    return ground.verify()


def _erase_in_a_log_that_ended(ground: Ground) -> Codes:
    """The thief makes a successor of its own, which says that it was erased, and leaves the account of that."""
    true = Signer.of(_NEXT, log_key())
    _succeed(ground, true, "next.db", "1")
    assert ground.verify(ground.kept, successor=true.verifier.vkey) == set()
    _succeed(ground, Signer.of(_NEXT, Ed25519PrivateKey.generate()), "forged.db", "3")
    return ground.verify(ground.kept, successor=true.verifier.vkey)


def _succeed(ground: Ground, signer: Signer, name: str, erased: str) -> None:
    """The log goes on in this store, whose owner has something erased in the old one."""
    store, hub = ground.place / name, "0999099901"
    last, _ = end(ground.store, [_signer().verifier], Ending.ENDED, 1)
    begin(store, [signer], ground.bucket_keys, succeeded(last, Ending.ENDED, hub, NOW, os.urandom), None)
    (former,) = succession(store, [ground.store], [signer.verifier]).former
    erasing = Erasing(Hand(hub, "officer-1"), Basis.COURT, Case.ORDERED)
    with Eraser(store, ground.bucket_keys, former=[ground.store]) as eraser:
        eraser.erase_entries(Indices.parse(erased), erasing, [signer], NOW, former)


def _erase(ground: Ground) -> int:
    """As the hub's operator does at the order of a court. Returns the index of the entry that says so."""
    wanted = Indices.parse("1")  # the response of the first exchange, which the backup has too
    erasing = Erasing(Hand("0999099901", "officer-1"), Basis.COURT, Case.ORDERED)
    with Eraser(ground.store, ground.bucket_keys) as eraser:
        done = eraser.erase_entries(eraser.standing(wanted), erasing, [_signer()], NOW)
    assert ground.verify(ground.kept) == set()
    return done.index


DRILLS = (
    Drill("edit", "the purpose of a response was changed", _VERIFY, Flaw.ALTERED, _edit),
    Drill("delete", "a refusal was deleted", _VERIFY, Flaw.MISSING, _delete),
    Drill("reorder", "two entries changed places", _VERIFY, Flaw.ALTERED, _reorder),
    Drill("truncate", "the newest entries were deleted", _VERIFY, Flaw.MISSING, _truncate),
    Drill("roll back", "a backup was put in the place of the store", _PIN, Flaw.ROLLBACK, _roll_back),
    Drill(
        "start from a backup", "the hub was started on it", "the start of the hub", Flaw.ROLLBACK, _start_behind
    ),
    Drill("fork", "other exchanges were recorded after the backup", _PIN, Flaw.ROLLBACK, _fork),
    Drill(
        "split view", "officers A and B are shown two logs", "gateway log compare-pins", Flaw.FORK, _split_view
    ),
    Drill("sign with another key", "history was rewritten and signed", _VERIFY, Flaw.UNSIGNED, _own_key),
    Drill("sign with a stolen key", "the same, with the log's key", _PIN, Flaw.ROLLBACK, _stolen_key),
    Drill(
        "send and call withheld", "a field was sent that the log calls withheld", "the recipient, by its log receipt",
        Flaw.WITHHELD_CAME, sent_and_called_withheld,
    ),
    Drill(
        "release too much", "a field was released, and recorded, against the agreement", "gateway log prove-view",
        Flaw.VIEW, released_against_the_agreement,
    ),
    Drill(
        "withhold afterwards", "a released field is shown as withheld", _VERIFY, Flaw.FIELDS, _withheld_afterwards
    ),
    Drill("erase silently", "a seed was deleted", _VERIFY, Flaw.SEED, _erase_silently),
    Drill("drop an erasure entry", "it was deleted", _VERIFY, Flaw.MISSING, _delete_the_erasure),
    Drill(
        "drop it with a stolen key", "history was signed without it", _VERIFY, Flaw.SEED,
        _rewrite_without_the_erasure,
    ),
    Drill(
        "account for an erasure by a forged successor", "a seed of a log that ended was deleted, and a log of the "
        "thief says why", _VERIFY, Flaw.ACCOUNT, _erase_in_a_log_that_ended,
    ),
    Drill("undo an erasure", "the seed was put back from a backup", _VERIFY, Flaw.SEED_REMAINS, _undo_the_erasure),
)  # fmt: skip


def _edited(ground: Ground, index: int) -> bytes:
    """The entry with another purpose, in form."""
    leaf = ground.leaves[index].replace(b"WIB:WORK_DECISION", b"WIB:ADMISSIBILITY")
    return Leaf.parse(leaf).seal()


def _rewrite(ground: Ground, signer: Signer) -> None:
    """The last refusal gets another purpose; everything agrees with it."""
    index = ground.find(kind="refusal")
    leaves = ground.leaves
    leaves[index] = _edited(ground, index)
    ground.rewrite(leaves, signer)


async def _continue(ground: Ground, count: int) -> None:
    async with _open(ground) as store:
        for _ in range(count):
            await store.append(refusal_entry())


def _open(ground: Ground, **options: object) -> Store:
    given = {"payload_key": PAYLOAD_KEY, "bucket_keys": ground.bucket_keys, **options}
    return Store.open(ground.store, log_key(), ORIGIN, **given)


def _signer() -> Signer:
    return Signer.of(ORIGIN, log_key())
