"""What a list of entries is narrowed to, and the query for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_seeds import named, subject_of
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.commitment import subject_commitment
from gateway.exchangelog.flaw import ProofError
from gateway.exchangelog.question import Question
from gateway.model import DossierNumber

# An altered leaf may be no JSON: it matches no filter, and does not stop the list.
_MATCHING: Final = """
FROM (
  SELECT idx, leaf, view, CASE WHEN json_valid(CAST(leaf AS TEXT)) THEN CAST(leaf AS TEXT) END AS j FROM entries
) AS entry WHERE idx >= :start AND idx < :end{conditions}
"""
LISTED: Final = f"SELECT idx, leaf {_MATCHING} ORDER BY idx DESC LIMIT :limit"
FOUND: Final = f"SELECT idx, leaf, {{about}} {_MATCHING} ORDER BY idx LIMIT :limit"
COUNTED: Final = f"SELECT count(*) {_MATCHING}"
ABOUT: Final = "(SELECT about(j ->> '$.subj', idx, bucket, subject, person) FROM seeds WHERE idx = entry.idx)"
CONDITIONS: Final = {
    "kind": "j ->> '$.kind' = :kind",
    "authority": """EXISTS (
        SELECT 1 FROM (SELECT j ->> '$.from' AS party UNION ALL SELECT value FROM json_each(j, '$.to'))
        WHERE party = :authority OR party LIKE :authority || '/%')""",
    "sender": "(j ->> '$.from' = :sender OR j ->> '$.from' LIKE :sender || '/%')",
    "recipient": """EXISTS (
        SELECT 1 FROM json_each(j, '$.to') WHERE value = :recipient OR value LIKE :recipient || '/%')""",
    "operation": "j ->> '$.svc' = :operation",
    "context": "j ->> '$.purpose' = :context",
    "code": "j ->> '$.decision' = :code",
    "outcome": "CASE j ->> '$.kind' WHEN 'refusal' THEN 'refused' ELSE j ->> '$.decision' END = :outcome",
    "since": "j ->> '$.t' >= :since",
    "until": "j ->> '$.t' < :until",
    "notification": "j ->> '$.of' = :notification",
    "party": """(j ->> '$.from' = :party OR (j ->> '$.kind' <> 'notification'
        AND EXISTS (SELECT 1 FROM json_each(j, '$.to') WHERE value = :party)))""",
    "paths": "hex(view) IN (SELECT value FROM json_each(:paths))",
    "about": f"{ABOUT} IS NOT NULL",
}
# What the blind indices beside the seeds find, before it is opened.
INDEXED: Final = """ AND idx IN (
  SELECT idx FROM seeds WHERE dossier IN (SELECT unhex(value) FROM json_each(:digests))
  UNION ALL SELECT idx FROM seeds WHERE person IN (SELECT unhex(value) FROM json_each(:names)))"""


@dataclass(frozen=True, slots=True)
class About:
    """Whom or what entries are about: leaves say so by commitments alone, which seeds open."""

    dossiers: tuple[DossierNumber, ...]
    person: bytes | None = field(default=None, repr=False)  # person digest: also where an INSZ named it
    every: bool = False  # open the seed of every entry, so that an index that was altered hides nothing

    def opened(self, keys: BucketKeys) -> Callable[..., str | None]:
        """For SQL: the dossier that the entry is about, "" where it names the person; NULL for neither.

        NULL too where the seed does not open: the check of the log says why.
        """
        names: dict[str, bytes] = {}  # bucket → the digest beside what names the person

        def about(*arguments: Any) -> str | None:
            subject, index, bucket, wrapped, beside = arguments
            try:
                seed = keys.unwrap(Bucket.parse(str(bucket)), bytes(wrapped), subject_of(int(index)))
                if self.person is not None and bucket not in names:
                    names[bucket] = keys.digest(Bucket.parse(bucket), named(self.person))
            except ProofError:
                return None
            for one in self.dossiers:
                if subject == subject_commitment(one, seed):
                    return one
            return "" if beside is not None and beside == names.get(bucket) else None

        return about


class Filter(Question, frozen=True, kw_only=True):
    """What a list is narrowed to; None does not narrow."""

    paths: frozenset[str] | None = None  # releases of one of these paths of the payload
    about: About | None = None
