"""The record of an officer's look-up, made beside a running hub or without one: no record, no answer."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_session import StorePlace, database_errors
from gateway.adapters.store_settle import open_settled
from gateway.adapters.store_work import Work
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.entry import Entry
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import Signer
from gateway.refusal import Refusal


def record(  # noqa: PLR0913, PLR0917 - what is said, where, and by whose keys
    place: StorePlace,
    access: Entry,
    signers: Sequence[Signer],
    keys: BucketKeys,
    pinned: Checkpoint | None = None,
    former: Sequence[StorePlace] = (),
) -> int:
    """The index of the entry, once it is durable and under a signed checkpoint. `pinned`: what the log must extend;
    `former`: stores of the logs that it succeeds, in which an erasure that was begun is ended.

    Raises `ProofError`: LOG736 when it may not be there, or as `store_settle.open_settled`.
    """
    work: Work[int] = Work(access)
    with contextlib.closing(open_settled(place, signers, keys, pinned, former=former)) as log:
        try:
            (outcome,) = log.append([work])
        except database_errors() as error:
            raise ProofError(Flaw.NO_RECORD, type(error).__name__) from error
    if isinstance(outcome, Refusal):
        raise ProofError(Flaw.NO_RECORD)
    return int(outcome)
