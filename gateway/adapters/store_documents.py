"""Uploaded documents as the store knows them: whose they are, and which file holds each under which key.

The number of a dossier is kept as a keyed digest, the key of a file sealed under the payload key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gateway.adapters.sealing import Seal
from gateway.adapters.store_delivery import reading
from gateway.adapters.store_session import Session
from gateway.adapters.store_work import ClaimKey, instant, moment
from gateway.broker.content import Uploaded
from gateway.exchangelog.flaw import ProofError
from gateway.model import AuthorityId, DossierNumber
from gateway.refusal import Code, Refusal

_FIND: Final = """
SELECT type, media_type, sha256, size, signature, stored, file, key FROM documents
WHERE dossier = ? AND provider = ? AND reference = ?
"""
# The very same again takes the place of what was there, which may be lost or damaged; what differs is another.
_TAKE_IN: Final = """
INSERT INTO documents VALUES (?,?,?,?,?,?,?,?,?,?,?)
ON CONFLICT (dossier, provider, reference) DO UPDATE
SET size = excluded.size, signature = excluded.signature, stored = excluded.stored,
    file = excluded.file, key = excluded.key
WHERE documents.type = excluded.type AND documents.media_type = excluded.media_type
  AND documents.sha256 = excluded.sha256
"""
_EXPIRED: Final = "SELECT 1 FROM documents WHERE stored < ? LIMIT 1"
_EXPIRE: Final = "DELETE FROM documents WHERE stored < ?"


def find(
    connection: Session,
    keys: ClaimKey,
    seal: Seal,
    named: tuple[DossierNumber, AuthorityId, str],
) -> Uploaded | None:
    """By dossier, provider and reference. Raises Refusal: LOG_UNAVAILABLE, also for a key that was altered."""
    dossier, provider, reference = named
    with reading("documents"):
        row: tuple[Any, ...] | None = connection.execute(
            _FIND, (keys.dossier(dossier), provider, reference)
        ).fetchone()
    if row is None:
        return None
    kind, media_type, sha256, size, signature, stored, file, sealed = row
    try:
        key = seal.open(sealed, _belongs_to(file, provider, sha256, size))
    except ProofError as error:
        raise Refusal(Code.LOG_UNAVAILABLE, "documents") from error
    return Uploaded(
        dossier=dossier,
        provider=provider,
        reference=reference,
        type=kind,
        media_type=media_type,
        sha256=sha256,
        size=size,
        signature=signature,
        stored=moment(stored),
        file=file,
        key=key,
    )


def files(connection: Session) -> frozenset[str]:
    """Every file that holds a document. Raises Refusal: LOG_UNAVAILABLE."""
    with reading("documents"):
        return frozenset(file for (file,) in connection.execute("SELECT file FROM documents"))


def any_expired(connection: Session, stored_before: int) -> bool:
    """Whether `Expire` would do anything. Raises Refusal: LOG_UNAVAILABLE."""
    with reading("documents"):
        return connection.execute(_EXPIRED, (stored_before,)).fetchone() is not None


@dataclass(frozen=True, slots=True)
class TakeIn:
    """A document is uploaded."""

    row: tuple[object, ...]

    @classmethod
    def of(cls, one: Uploaded, keys: ClaimKey, seal: Seal) -> TakeIn:
        """Its key is sealed together with what it belongs to."""
        key = seal.close(one.key, _belongs_to(one.file, one.provider, one.sha256, one.size))
        return cls(
            (
                *(keys.dossier(one.dossier), one.provider, one.reference),
                *(one.type, one.media_type, one.sha256, one.size),
                *(one.signature, instant(one.stored), one.file, key),
            )
        )

    def apply(self, connection: Session, index: int) -> None:  # noqa: ARG002 - an effect's form
        """Raises Refusal: DOCUMENT_EXISTS."""
        connection.execute(_TAKE_IN, self.row)
        if connection.changes() == 0:
            raise Refusal(Code.DOCUMENT_EXISTS)


@dataclass(frozen=True, slots=True)
class Expire:
    """Documents whose time is over are forgotten, with the keys of their files."""

    stored_before: int

    def apply(self, connection: Session, index: int) -> None:  # noqa: ARG002 - an effect's form
        """Their files are then nobody's."""
        connection.execute(_EXPIRE, (self.stored_before,))


def _belongs_to(file: str, provider: str, sha256: str, size: int) -> bytes:
    return f"document {file} {provider} {sha256} {size}".encode()
