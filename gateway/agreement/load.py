"""The agreement's files → one frozen Agreement with every reference resolved, or all findings at once.

The path of loading: schemas, then the file's tables, then every name against what it refers to, then the
views. Which deployment serves which revision, and who signed it, is left to others.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from datetime import date
from typing import Final

from gateway.agreement import rows
from gateway.agreement.finding import AgreementError, Finding, Findings
from gateway.agreement.matrix import compile_groups, compile_matrix, resolve
from gateway.agreement.rows import (
    AgreementRow,
    ContextRow,
    DocumentRow,
    NameRow,
    OperationRow,
    RetentionRow,
    RoleRow,
)
from gateway.agreement.schema import Contract, compile_contract, leaves
from gateway.agreement.terms import (
    Agreement,
    Cell,
    Context,
    Group,
    Names,
    Operation,
    Retention,
    RoleTerms,
    Source,
)
from gateway.agreement.views import compile_views
from gateway.agreement.wsdl import require_same_operations
from gateway.model import FieldId, LegalContext, OperationName, Role

__all__ = [
    "Agreement",
    "Cell",
    "Context",
    "Group",
    "Operation",
    "RoleTerms",
    "load_agreement",
    "require_in_force",
    "revision",
]

_FILE: Final = "agreement.toml"
_TABLES: Final = frozenset(
    {
        "agreement",
        "retention",
        "bases",
        "roles",
        "permit_types",
        "contexts",
        "operations",
        "documents",
        "groups",
    }
)
_STATUS: Final = FieldId("G01.status")
_PROCEDURE: Final = FieldId("G01.procedure")
_DOCUMENT_TYPE: Final = FieldId("document.type")
_PERMIT_TYPE: Final = re.compile(r"[A-Z_]{1,32}")  # an open code: a new type needs no new schema
_CONTEXT: Final = re.compile(r"[A-Z]+:[A-Z_]+")


def load_agreement(files: Mapping[str, bytes]) -> Agreement:
    """`files`: path → bytes of agreement.toml, the XSDs and the WSDL.

    Raises ContractError when the schemas do not compile, AgreementError with every finding in the agreement.
    """
    contract = compile_contract(files)
    require_same_operations(files, contract.messages)
    name = _agreement_file(files)
    findings = Findings(name)
    tables = rows.parse_toml(files[name], name, AgreementError)
    rows.require_tables(tables, set(_TABLES), findings)
    findings.done(AgreementError)
    agreement = _Loader(tables, contract, findings).load(files)
    findings.done(AgreementError)
    assert agreement is not None  # only a finding makes it None
    return agreement


def require_in_force(agreement: Agreement, today: date) -> None:
    """`today`: by UTC, so that a revision begins in Belgium an hour or two after midnight, never before.

    Raises AgreementError: an agreement that is not in force yet permits nothing.
    """
    if agreement.valid_from > today:
        name = _agreement_file(agreement.files)
        sentence = f"in force from {agreement.valid_from}, and today is {today}"
        raise AgreementError([Finding(name, "agreement.valid_from", sentence)])


def revision(files: Mapping[str, bytes]) -> str:
    """The hash of a revision: SHA-256, hexadecimal, over all files sorted by name.

    Each name and each content is preceded by its length in 8 bytes, big-endian, so that no two sets of files
    give the same input.
    """
    digest = hashlib.sha256()
    for name in sorted(files):
        for part in (name.encode(), files[name]):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _agreement_file(files: Mapping[str, bytes]) -> str:
    found = [name for name in files if name.rpartition("/")[2] == _FILE]
    if len(found) != 1:
        raise AgreementError([Finding(_FILE, "", f"{len(found)} such files, one expected")])
    return found[0]


class _Loader:
    """Resolves the tables of one file against the contract and against each other."""

    def __init__(self, tables: rows.Table, contract: Contract, findings: Findings) -> None:
        self._tables, self._contract, self._findings = tables, contract, findings
        self._bases = {
            letter: text
            for letter, value in self._entries("bases").items()
            if (text := rows.decode(value, str, f"bases.{letter}", findings)) is not None
        }
        self._permits = self._permit_types()

    def load(self, files: Mapping[str, bytes]) -> Agreement | None:
        head = rows.decode(self._tables["agreement"], AgreementRow, "agreement", self._findings)
        retention = self._retention()
        roles = self._roles()
        contexts = self._contexts()
        operations = self._operations(contexts)
        documents = self._documents()
        groups = compile_groups(
            self._entries("groups"), self._contract.groups, self._bases, contexts, self._findings
        )
        if self._findings.found or head is None or retention is None:
            return None
        matrix = compile_matrix(groups, contexts)
        compiled = compile_views(operations, documents, matrix)
        return Agreement(
            id=head.id,
            title=head.title,
            number=head.revision,
            valid_from=head.valid_from,
            revision=revision(files),
            retention=retention,
            bases=self._bases,
            roles=roles,
            permit_types=self._permits,
            contexts=contexts,
            operations=operations,
            documents=documents,
            matrix=matrix,
            contract=self._contract,
            files=dict(files),
            _views=compiled.views,
            _released=compiled.released,
            _provided=compiled.provided,
        )

    def _retention(self) -> Retention | None:
        row = rows.decode(self._tables["retention"], RetentionRow, "retention", self._findings)
        if row is None:
            return None
        for name in ("log_years", "closed_dossier_days", "payload_days"):
            if getattr(row, name) < 1:
                self._findings.add(f"retention.{name}", "at least 1")
        source = self._source(row, "retention")
        return Retention(row.log_years, row.closed_dossier_days, row.payload_days, source)

    def _roles(self) -> dict[Role, RoleTerms]:
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
        if row is None or not self._known(name, set(Role), "role", path):
            return None
        statuses = resolve(
            row.statuses, self._contract.values_of(_STATUS), "status", f"{path}.statuses", self._findings
        )
        return RoleTerms(_names(row.name), frozenset(statuses), self._source(row, path))

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

    def _contexts(self) -> dict[LegalContext, Context]:
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
            resolve(
                procedures, self._contract.values_of(_PROCEDURE), "procedure", f"{path}.procedures", findings
            )
        resolve(row.permit_types or (), self._permits, "permit type", f"{path}.permit_types", findings)
        return Context(
            name=LegalContext(name),
            purpose=row.purpose,
            roles=frozenset(Role(role) for role in roles),
            groups=frozenset(groups),
            permit_types=None if row.permit_types is None else frozenset(row.permit_types),
            procedures=None if procedures is None else frozenset(procedures),
            source=self._source(row, path),
        )

    def _operations(self, contexts: Mapping[LegalContext, Context]) -> dict[OperationName, Operation]:
        entries = self._entries("operations")
        for name in sorted(set(self._contract.messages) - set(entries)):
            self._findings.add(
                f"operations.{name}", "the contract has this operation, the agreement does not"
            )
        found = {name: self._operation(name, value, contexts) for name, value in entries.items()}
        return {OperationName(name): operation for name, operation in found.items() if operation is not None}

    def _operation(
        self, name: str, value: object, contexts: Mapping[LegalContext, Context]
    ) -> Operation | None:
        path, findings = f"operations.{name}", self._findings
        row = rows.decode(value, OperationRow, path, findings)
        if row is None or not self._known(name, self._contract.messages, "operation", path):
            return None
        messages = self._contract.messages[OperationName(name)]
        providers = () if row.providers == "HUB" else self._providers(row.providers, path)
        if row.scatter and len(providers) != 1:
            findings.add(f"{path}.scatter", "authorities of exactly one role are asked at once")
        if (row.providers == "HUB") != all(leaf.field is None for leaf in leaves(messages.payload)):
            findings.add(f"{path}.providers", "the hub answers what holds no fields, and nothing else")
        requesters = {
            Role(role): self._asked_under(Role(role), names, f"{path}.requesters.{role}", contexts)
            for role, names in row.requesters.items()
            if self._known(role, set(Role), "role", f"{path}.requesters.{role}")
        }
        basis = resolve(row.basis, self._bases, "basis", f"{path}.basis", findings)
        return Operation(OperationName(name), providers, row.scatter, requesters, messages, basis)

    def _providers(self, names: object, path: str) -> tuple[Role, ...]:
        assert isinstance(names, list)
        if not names:
            self._findings.add(f"{path}.providers", 'no provider; write "HUB" when the gateway answers')
        return tuple(Role(n) for n in resolve(names, set(Role), "role", f"{path}.providers", self._findings))

    def _asked_under(
        self, role: Role, value: object, path: str, contexts: Mapping[LegalContext, Context]
    ) -> frozenset[LegalContext]:
        """The contexts in which a role may call an operation: they exist, and the role may invoke them."""
        own = frozenset(name for name, context in contexts.items() if role in context.roles)
        if value == "all":
            return own
        names = rows.decode(value, list[str], path, self._findings) or []
        resolve(names, contexts, "context", path, self._findings)
        for index, name in enumerate(names):
            if name in contexts and name not in own:
                self._findings.add(f"{path}[{index}]", f'role {role} may not invoke context "{name}"')
        return frozenset(LegalContext(name) for name in names if name in own)

    def _documents(self) -> dict[str, FieldId]:
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
            if row is None or not self._known(name, types, "document type", path):
                continue
            if self._known(
                row.field, self._contract.document_fields, "field for a document", f"{path}.field"
            ):
                documents[name] = FieldId(row.field)
        return documents

    def _source(self, row: RetentionRow | RoleRow | ContextRow, path: str) -> Source:
        return Source(
            resolve(row.basis, self._bases, "basis", f"{path}.basis", self._findings), row.certainty
        )

    def _known(self, name: str, known: Collection[str], what: str, path: str) -> bool:
        if name not in known:
            self._findings.add(path, f'no {what} "{name}"')
        return name in known

    def _entries(self, name: str) -> dict[str, object]:
        return rows.entries(self._tables, name, self._findings)


def _names(row: NameRow) -> Names:
    return Names(row.nl, row.fr, row.de, row.en)
