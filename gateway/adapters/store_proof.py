"""What the store hands over of an entry, for its recipient to check by itself (PROTOCOL §11.4)."""

from __future__ import annotations

from typing import Final

import apsw

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_delivery import reading
from gateway.adapters.store_reader import LogReader
from gateway.adapters.store_seeds import fields_of
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.flaw import ProofError
from gateway.exchangelog.receipt import entry_proof
from gateway.model import Receipt
from gateway.refusal import Code, Refusal

# `subject` is not read here: the seed of `subj` and `body` is given to nobody.
_SEED: Final = "SELECT bucket, fields FROM seeds WHERE idx = ?"


def prove(connection: apsw.Connection, keys: BucketKeys, receipt: Receipt) -> Receipt:
    """The receipt with the proof, both under the checkpoint of this moment. Raises Refusal: LOG_UNAVAILABLE."""
    log, index = LogReader(connection), receipt.index
    try:
        with reading("proof"):
            row = connection.execute(_SEED, (index,)).fetchone()
        tlog, records = log.prove(index), log.records(index)
        seed = None
        if row is not None and row[1] is not None:
            seed = keys.unwrap(Bucket.parse(row[0]), row[1], fields_of(index))
    except ProofError as error:
        raise Refusal(Code.LOG_UNAVAILABLE, "proof") from error
    return Receipt(receipt.origin, index, tlog.checkpoint, entry_proof(tlog, records, seed))
