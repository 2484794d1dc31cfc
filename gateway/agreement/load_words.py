"""agreement.toml → the words that its other rows use: bases, roles, permit types, contexts, documents, retention.

Each reference among them resolves, or is a finding. Operations, the matrix and the courses are made from these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.agreement import rows
from gateway.agreement.finding import Findings
from gateway.agreement.identifiers import check_cbe
from gateway.agreement.rows import (
    AgreementRow,
    ContextRow,
    DocumentRow,
    NameRow,
    RetentionRow,
    RoleQuotaRow,
    RoleRow,
    is_known,
    require_between,
    resolve,
)
from gateway.agreement.schema import Contract
from gateway.agreement.terms import Context, Names, Retention, RoleQuota, RoleTerms, Source
from gateway.model import Enterprise, FieldId, LegalContext, Role
from gateway.refusal import Refusal

STATUS: Final = FieldId("G01.status")
PROCEDURE: Final = FieldId("G01.procedure")
_DOCUMENT_TYPE: Final = FieldId("document.type")
_PERMIT_TYPE: Final = re.compile(r"[A-Z_]{1,32}")  # an open code: a new type needs no new schema
_CONTEXT: Final = re.compile(r"[A-Z]+:[A-Z_]+")
_LONGEST: Final = {
    "log_years": 100,
    "closed_dossier_days": 36_525,
    "payload_days": 36_525,
}  # a hundred years each


@dataclass(frozen=True, slots=True)
class Words:
    """What rows refer to by name. `head` and `retention` are None only beside a finding."""

    head: AgreementRow | None
    parties: frozenset[Enterprise]
    retention: Retention | None
    bases: Mapping[str, str]
    roles: Mapping[Role, RoleTerms]
    permit_types: Mapping[str, Names]
    contexts: Mapping[LegalContext, Context]
    documents: Mapping[str, FieldId]


def load_words(tables: rows.Table, contract: Contract, findings: Findings) -> Words:
    """`tables`: of agreement.toml."""
    reader = _Reader(tables, contract, findings)
    head = rows.decode(tables["agreement"], AgreementRow, "agreement", findings)
    return Words(
        head=head,
        parties=frozenset() if head is None else _parties(head.parties, findings),
        retention=reader.retention(),
        bases=reader.bases,
        roles=reader.roles(),
        permit_types=reader.permit_types,
        contexts=reader.contexts(),
        documents=reader.documents(),
    )


def _parties(written: Sequence[str], findings: Findings) -> frozenset[Enterprise]:
    parties = [Enterprise.parse(one) for one in written]
    for text, party in zip(written, parties, strict=True):
        try:
            check_cbe(party.cbe)
        except Refusal:
            findings.add("agreement.parties", f'"{text}" has no KBO/CBE number with correct check digits')
        if parties.count(party) > 1 or str(party) != text:
            findings.add("agreement.parties", f'"{text}" stands twice, or is not NUMBER or NUMBER/UNIT')
    return frozenset(parties)


class _Reader:
    """Resolves the tables against the contract and against each other."""

    def __init__(self, tables: rows.Table, contract: Contract, findings: Findings) -> None:
        self._tables, self._contract, self._findings = tables, contract, findings
        self.bases = {
            letter: text
            for letter, value in self._entries("bases").items()
            if (text := rows.decode(value, str, f"bases.{letter}", findings)) is not None
        }
        for letter, text in self.bases.items():
            if not text.strip():  # a person is told it as the legal basis of what was done
                findings.add(f"bases.{letter}", "no text")
        self.permit_types = self._permit_types()

    def retention(self) -> Retention | None:
        row = rows.decode(self._tables["retention"], RetentionRow, "retention", self._findings)
        if row is None:
            return None
        for name, most in _LONGEST.items():
            require_between(getattr(row, name), most, f"retention.{name}", self._findings)
        source = self._source(row, "retention")
        return Retention(row.log_years, row.closed_dossier_days, row.payload_days, source)

    def roles(self) -> dict[Role, RoleTerms]:
        entries = self._entries("roles")
        for name in sorted({*Role} - set(entries)):
            self._findings.add(f"roles.{name}", "no terms for this role")
        return {
            Role(name): terms
            for name, value in entries.items()
            if (terms := self._role(name, value)) is not None
        }

    def _role(self, name: str, value: object) -> RoleTerms | None:
        path = f"roles.{name}"
        row = rows.decode(value, RoleRow, path, self._findings)
        if row is None or not is_known(name, set(Role), "role", path, self._findings):
            return None
        known = self._contract.values_of(STATUS)
        statuses = resolve(row.statuses, known, "status", f"{path}.statuses", self._findings)
        return RoleTerms(
            _names(row.name),
            frozenset(statuses),
            self._source(row, path),
            self._quota(row.quota, f"{path}.quota"),
        )

    def _quota(self, row: RoleQuotaRow | None, path: str) -> RoleQuota | None:
        if row is None:
            return None
        return RoleQuota(rows.quota(row, path, self._findings), self._source(row, path))

    def _permit_types(self) -> dict[str, Names]:
        """The types that contexts may name. The schemas leave the code open; a context must not misspell one."""
        entries = self._entries("permit_types")
        for name in entries:
            if not _PERMIT_TYPE.fullmatch(name):
                self._findings.add(f"permit_types.{name}", f'"{name}" is no code of a permit type')
        rows_ = {
            name: rows.decode(value, NameRow, f"permit_types.{name}", self._findings)
            for name, value in entries.items()
        }
        return {name: _names(row) for name, row in rows_.items() if row is not None}

    def contexts(self) -> dict[LegalContext, Context]:
        found = {name: self._context(name, value) for name, value in self._entries("contexts").items()}
        return {LegalContext(name): context for name, context in found.items() if context is not None}

    def _context(self, name: str, value: object) -> Context | None:
        path, findings = f'contexts."{name}"', self._findings
        row = rows.decode(value, ContextRow, path, findings)
        if row is None:
            return None
        if not _CONTEXT.fullmatch(name) or len(name) > 64:
            findings.add(path, "a legal context is DOMAIN:PURPOSE, at most 64 characters")
        roles = resolve(row.roles, set(Role), "role", f"{path}.roles", findings)
        groups = resolve(row.groups, self._contract.groups, "group", f"{path}.groups", findings)
        procedures = row.procedures
        if procedures is not None:
            known = self._contract.values_of(PROCEDURE)
            resolve(procedures, known, "procedure", f"{path}.procedures", findings)
        resolve(row.permit_types or (), self.permit_types, "permit type", f"{path}.permit_types", findings)
        return Context(
            name=LegalContext(name),
            purpose=row.purpose,
            roles=frozenset(Role(role) for role in roles),
            groups=frozenset(groups),
            permit_types=None if row.permit_types is None else frozenset(row.permit_types),
            procedures=None if procedures is None else frozenset(procedures),
            source=self._source(row, path),
        )

    def documents(self) -> dict[str, FieldId]:
        types = self._contract.values_of(_DOCUMENT_TYPE)
        entries = self._entries("documents")
        for name in sorted(types - set(entries)):
            self._findings.add(
                f"documents.{name}", "the contract has this document type, the agreement does not"
            )
        documents: dict[str, FieldId] = {}
        for name, value in entries.items():
            path = f"documents.{name}"
            row = rows.decode(value, DocumentRow, path, self._findings)
            if row is None or not is_known(name, types, "document type", path, self._findings):
                continue
            fields = self._contract.document_fields
            if is_known(row.field, fields, "field for a document", f"{path}.field", self._findings):
                documents[name] = FieldId(row.field)
        return documents

    def _source(self, row: RetentionRow | RoleRow | RoleQuotaRow | ContextRow, path: str) -> Source:
        return Source(resolve(row.basis, self.bases, "basis", f"{path}.basis", self._findings), row.certainty)

    def _entries(self, name: str) -> dict[str, object]:
        return rows.entries(self._tables, name, self._findings)


def _names(row: NameRow) -> Names:
    return Names(row.nl, row.fr, row.de, row.en)
