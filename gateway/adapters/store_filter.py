"""What a list of entries is narrowed to, and the query for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_seeds import subject_of
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.commitment import subject_commitment
from gateway.exchangelog.flaw import ProofError
from gateway.model import DossierNumber

# An altered leaf may be no JSON: it matches no filter, and does not stop the list.
_MATCHING: Final = """
FROM (
  SELECT idx, leaf, view, CASE WHEN json_valid(CAST(leaf AS TEXT)) THEN CAST(leaf AS TEXT) END AS j FROM entries
) AS entry WHERE idx < :before{conditions}
"""
LISTED: Final = f"SELECT idx, leaf {_MATCHING} ORDER BY idx DESC LIMIT :limit"
COUNTED: Final = f"SELECT count(*) {_MATCHING}"
CONDITIONS: Final = {
    "kind": "j ->> '$.kind' = :kind",
    "operation": "j ->> '$.svc' = :operation",
    "code": "j ->> '$.decision' = :code",
    "since": "j ->> '$.t' >= :since",
    "notification": "j ->> '$.of' = :notification",
    "authority": """EXISTS (
        SELECT 1 FROM (SELECT j ->> '$.from' AS party UNION ALL SELECT value FROM json_each(j, '$.to'))
        WHERE party = :authority OR party LIKE :authority || '/%')""",
    "dossier": """EXISTS (
        SELECT 1 FROM seeds WHERE seeds.idx = entry.idx
        AND opens(:dossier, j ->> '$.subj', seeds.idx, seeds.bucket, seeds.subject))""",
    "paths": "hex(view) IN (SELECT value FROM json_each(:paths))",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is narrowed to; None does not narrow."""

    kind: str | None = None
    authority: str | None = None  # who asks or tells, or is asked or told: number, with or without the unit
    operation: str | None = None
    code: str | None = None  # decision: "released" and so on, or a refusal code
    since: str | None = None  # UTC, as in the entries
    dossier: str | None = None  # entries whose commitment opens to this number with the seed in the store
    paths: frozenset[str] | None = None  # releases of one of these paths of the payload
    notification: str | None = None  # deliveries and settlements of the notification with this id


def opener(keys: BucketKeys) -> Callable[..., bool]:
    """For SQL: whether a commitment is to a dossier. False where the seed does not open: the check says why."""

    def opens(*arguments: Any) -> bool:
        dossier, subject, index, bucket, wrapped = arguments
        try:
            seed = keys.unwrap(Bucket.parse(str(bucket)), bytes(wrapped), subject_of(int(index)))
        except ProofError:
            return False
        return subject_commitment(DossierNumber(str(dossier)), seed) == str(subject)

    return opens
