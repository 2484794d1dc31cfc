"""What the store hands over of an entry, for its recipient to check by itself (PROTOCOL §11.4)."""

from __future__ import annotations

from typing import Any, Final

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_delivery import reading
from gateway.adapters.store_reader import LogReader
from gateway.adapters.store_seeds import fields_of
from gateway.adapters.store_session import Session
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.fields import FieldRecord, plan_of
from gateway.exchangelog.flaw import ProofError
from gateway.exchangelog.receipt import entry_proof
from gateway.model import Receipt
from gateway.refusal import Code, Refusal

# `subject` is not read here: the seed of `subj` and `body` is given to nobody.
_RECORDS: Final = """
SELECT e.idx, v.vector, e.digests, s.bucket, s.fields FROM entries e
JOIN views v ON v.hash = e.view LEFT JOIN seeds s ON s.idx = e.idx WHERE e.idx = ?
"""


def prove(connection: Session, keys: BucketKeys, receipt: Receipt) -> Receipt:
    """The receipt with the proof, both under the checkpoint of this moment. Raises Refusal: LOG_UNAVAILABLE."""
    with reading("proof"):
        row = connection.execute(_RECORDS, (receipt.index,)).fetchone()
    try:
        tlog = LogReader(connection).prove(receipt.index)
        proof = entry_proof(tlog, *_records(keys, row))
    except ProofError as error:
        raise Refusal(Code.LOG_UNAVAILABLE, "proof") from error
    return Receipt(receipt.origin, receipt.index, tlog.checkpoint, proof)


def _records(keys: BucketKeys, row: tuple[Any, ...] | None) -> tuple[tuple[FieldRecord, ...], bytes | None]:
    """The field records and their seed; none of an entry that releases nothing. Raises `ProofError`."""
    if row is None:
        return (), None
    index, vector, digests, bucket, wrapped = row
    seed = None if wrapped is None else keys.unwrap(Bucket.parse(bucket), wrapped, fields_of(index))
    return plan_of(vector).records(digests), seed
