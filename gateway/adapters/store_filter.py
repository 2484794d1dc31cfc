"""What a list of entries is narrowed to, and the query for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_seeds import named, subject_of
from gateway.adapters.store_session import PerEngine
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.commitment import subject_commitment
from gateway.exchangelog.flaw import ProofError
from gateway.exchangelog.question import Question
from gateway.model import DossierNumber

# An entry as JSON. An altered leaf may be none: it matches no filter, and does not stop the list.
FIELDS: Final = PerEngine(
    "CASE WHEN json_valid(CAST(leaf AS TEXT)) THEN CAST(leaf AS TEXT) END", "leaf_fields(leaf)"
)
_MATCHING: Final = """
FROM (
  SELECT idx, leaf, view, {fields} AS j{beside} FROM entries{seeds}
) AS entry WHERE idx >= :start AND idx < :end{conditions}
"""
LISTED: Final = f"SELECT idx, leaf {_MATCHING} ORDER BY idx DESC LIMIT :limit"
FOUND: Final = f"SELECT idx, leaf {_MATCHING} ORDER BY idx LIMIT :limit"
COUNTED: Final = f"SELECT count(*) {_MATCHING}"
# With what tells whether the entry is about something: `About.opened` takes it.
_SEALED: Final = "SELECT idx, leaf, j ->> 'subj', bucket, subject, person"
SEALED_LISTED: Final = f"{_SEALED} {_MATCHING} ORDER BY idx DESC LIMIT :limit"
SEALED_FOUND: Final = f"{_SEALED} {_MATCHING} ORDER BY idx LIMIT :limit"
_TO: Final = PerEngine("json_each(j, '$.to')", "jsonb_array_elements_text(j -> 'to') AS one (value)")
CONDITIONS: Final[dict[str, str]] = {
    "kind": "j ->> 'kind' = :kind",
    "authority": PerEngine.of(
        """EXISTS (
        SELECT 1 FROM (SELECT j ->> 'from' AS party UNION ALL SELECT value FROM {to}) AS parties
        WHERE party = :authority OR party LIKE :authority || '/%')""",
        to=_TO,
    ),
    "sender": "(j ->> 'from' = :sender OR j ->> 'from' LIKE :sender || '/%')",
    "recipient": PerEngine.of(
        "EXISTS (SELECT 1 FROM {to} WHERE value = :recipient OR value LIKE :recipient || '/%')", to=_TO
    ),
    "operation": "j ->> 'svc' = :operation",
    "context": "j ->> 'purpose' = :context",
    "code": "j ->> 'decision' = :code",
    "outcome": "CASE j ->> 'kind' WHEN 'refusal' THEN 'refused' ELSE j ->> 'decision' END = :outcome",
    "since": "j ->> 't' >= :since",
    "until": "j ->> 't' < :until",
    "notification": "j ->> 'of' = :notification",
    "party": PerEngine.of(
        """(j ->> 'from' = :party OR (j ->> 'kind' <> 'notification'
        AND EXISTS (SELECT 1 FROM {to} WHERE value = :party)))""",
        to=_TO,
    ),
}
# What the blind indices beside the seeds find, before it is opened.
_INDEXED: Final = """ AND idx IN (
  SELECT idx FROM seeds WHERE dossier IN ({digests}) UNION ALL SELECT idx FROM seeds WHERE person IN ({names}))"""


class Narrowed:
    """The conditions of a list, and their bindings."""

    def __init__(self, given: Mapping[str, object]) -> None:
        """`given`: names of `CONDITIONS`, and what each is compared with."""
        self._conditions = [CONDITIONS[name] for name in given]
        self.bindings = dict(given)

    def by_views(self, views: Sequence[bytes]) -> None:
        """Only what has one of these vectors."""
        self._conditions.append(f"view IN ({self._bound('view', views)})")

    def by_marks(self, digests: Sequence[bytes], names: Sequence[bytes]) -> None:
        """Only what has one of these digests beside its seed."""
        self._indexed = _INDEXED.format(
            digests=self._bound("digest", digests), names=self._bound("name", names)
        )

    _indexed = ""

    def statement(self, template: str, *, sealed: bool = False) -> PerEngine:
        """One of those above."""
        conditions = PerEngine("", "")
        for one in self._conditions:
            conditions = PerEngine.of("{before} AND {one}", before=conditions, one=one)
        return PerEngine.of(
            template,
            fields=FIELDS,
            beside=", bucket, subject, person" if sealed else "",
            seeds=" JOIN seeds USING (idx)" if sealed else "",
            conditions=PerEngine.of("{all}{indexed}", all=conditions, indexed=self._indexed),
        )

    def _bound(self, name: str, values: Sequence[bytes]) -> str:
        """Placeholders; nothing is equal to NULL neither."""
        named = {f"{name}{number}": value for number, value in enumerate(values)}
        self.bindings |= named
        return ", ".join(f":{one}" for one in named) or "NULL"


@dataclass(frozen=True, slots=True)
class About:
    """Whom or what entries are about: leaves say so by commitments alone, which seeds open."""

    dossiers: tuple[DossierNumber, ...]
    person: bytes | None = field(default=None, repr=False)  # person digest: also where an INSZ named it
    every: bool = False  # open the seed of every entry, so that an index that was altered hides nothing

    def opened(self, keys: BucketKeys) -> Callable[..., str | None]:
        """Of subject commitment, index, bucket, wrapped seed and digest of the person: the dossier that the entry is
        about, "" where it names the person; None for neither.

        None too where the seed does not open: the check of the log says why.
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
