"""The agreement's files → one frozen Agreement with every reference resolved, or all findings at once.

The path of loading: schemas, then the words that the files use, then operations, matrix, courses and places
made of them, then the views. Which deployment serves which revision, and who signed it, is left to others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import msgspec

from gateway.agreement import rows
from gateway.agreement.course import Course, Places, Telling
from gateway.agreement.finding import AgreementError, Finding, Findings
from gateway.agreement.load_course import REGION, Known, load_courses, load_routing
from gateway.agreement.load_operations import load_operations
from gateway.agreement.load_places import load_places
from gateway.agreement.load_words import Words, load_words
from gateway.agreement.matrix import compile_groups, compile_matrix
from gateway.agreement.schema import Contract, compile_contract
from gateway.agreement.terms import Agreement, Cell, Context, Group, Operation, RoleTerms
from gateway.agreement.views import compile_views, told
from gateway.agreement.wsdl import require_same_operations
from gateway.model import Enterprise, LegalContext, OperationName, Pattern, Role

__all__ = [
    "Agreement",
    "Cell",
    "Context",
    "Group",
    "Operation",
    "RoleTerms",
    "load_agreement",
    "require_in_force",
    "require_later",
    "revision",
]

_TERMS: Final = "agreement.toml"
_PROCEDURES: Final = "procedures.toml"
_PLACES: Final = "places.toml"
_TABLES: Final = {
    _TERMS: frozenset(
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
    ),
    _PROCEDURES: frozenset({"routing", "courses"}),
    _PLACES: frozenset({"region", "merger"}),
}


def load_agreement(files: Mapping[str, bytes]) -> Agreement:
    """`files`: path → bytes of agreement.toml, procedures.toml, places.toml, the XSDs and the WSDL.

    Raises ContractError when the schemas do not compile, AgreementError with every finding in the agreement.
    """
    contract = compile_contract(files)
    require_same_operations(files, contract.messages)
    terms, procedures, places = (_read(files, name) for name in _TABLES)
    _done(terms, procedures, places)
    located = load_places(places.tables, contract.values_of(REGION), places.findings)
    words = load_words(terms.tables, contract, terms.findings)
    operations = load_operations(terms.tables, contract, words, terms.findings)
    groups = _groups(terms, contract, words, operations)
    _done(terms, places)  # a course of words that do not stand would have findings of its own at every turn
    matrix = compile_matrix(groups, words.contexts)
    routing = load_routing(procedures.tables, contract, procedures.findings)
    known = Known(contract, words, operations, matrix, routing)
    courses = load_courses(procedures.tables, known, procedures.findings)
    _done(procedures)
    return _compile(files, known, courses, located)


def require_in_force(agreement: Agreement, today: date) -> None:
    """`today`: by UTC, so that a revision begins in Belgium an hour or two after midnight, never before.

    Raises AgreementError: an agreement that is not in force yet permits nothing.
    """
    if agreement.valid_from > today:
        name = _find(agreement.files, _TERMS)
        sentence = f"in force from {agreement.valid_from}, and today is {today}"
        raise AgreementError([Finding(name, "agreement.valid_from", sentence)])


def require_later(agreement: Agreement, in_force: int) -> None:
    """`in_force`: number of the revision that is. Raises AgreementError: it is changed by one with a higher number only,
    so that neither an older one takes its place, nor what is half copied.
    """
    if agreement.number <= in_force:
        name = _find(agreement.files, _TERMS)
        sentence = f"{agreement.number}, while {in_force} is in force: a revision has a higher one"
        raise AgreementError([Finding(name, "agreement.revision", sentence)])


def read_head(files: Mapping[str, bytes]) -> tuple[int, frozenset[Enterprise]]:
    """Number and parties of a revision that was in force, whether or not this program would compile it."""
    tables = rows.parse_toml(files[_find(files, _TERMS)], _TERMS, AgreementError)
    row = msgspec.convert(tables["agreement"], rows.AgreementRow)
    return row.revision, frozenset(map(Enterprise.parse, row.parties))


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


@dataclass(frozen=True, slots=True)
class _File:
    """One file as tables, with what is wrong in it."""

    tables: rows.Table
    findings: Findings


def _find(files: Mapping[str, bytes], wanted: str) -> str:
    found = [name for name in files if name.rpartition("/")[2] == wanted]
    if len(found) != 1:
        raise AgreementError([Finding(wanted, "", f"{len(found)} such files, one expected")])
    return found[0]


def _read(files: Mapping[str, bytes], wanted: str) -> _File:
    name = _find(files, wanted)
    findings = Findings(name)
    tables = rows.parse_toml(files[name], name, AgreementError)
    rows.require_printable(tables, findings)
    rows.require_tables(tables, set(_TABLES[wanted]), findings)
    return _File(tables, findings)


def _done(*files: _File) -> None:
    """Raises AgreementError with what was found in all of them, if anything was."""
    found = [finding for file in files for finding in file.findings.found]
    if found:
        raise AgreementError(found)


def _groups(
    file: _File, contract: Contract, words: Words, operations: Mapping[OperationName, Operation]
) -> Mapping[str, Group]:
    table = rows.entries(file.tables, "groups", file.findings)
    return compile_groups(table, contract.groups, words.bases, words.contexts, operations, file.findings)


def _compile(
    files: Mapping[str, bytes], known: Known, courses: Mapping[str, Course], places: Places
) -> Agreement:
    words = known.words
    assert words.head is not None  # only a finding makes them None
    assert words.retention is not None
    tellings = {
        name: told(courses.values(), operation, words.contexts)
        for name, operation in known.operations.items()
        if operation.pattern is Pattern.NOTIFY
    }
    compiled = compile_views(known.operations, words.documents, known.matrix, tellings)
    return Agreement(
        id=words.head.id,
        title=words.head.title,
        number=words.head.revision,
        valid_from=words.head.valid_from,
        parties=words.parties,
        revision=revision(files),
        retention=words.retention,
        bases=words.bases,
        roles=words.roles,
        permit_types=words.permit_types,
        contexts=words.contexts,
        operations={
            name: replace(operation, recipients=_recipients(tellings.get(name, frozenset())))
            for name, operation in known.operations.items()
        },
        documents=words.documents,
        courses=courses,
        routing=known.routing,
        places=places,
        matrix=known.matrix,
        contract=known.contract,
        files=dict(files),
        _views=compiled.views,
        _released=compiled.released,
        _provided=compiled.provided,
    )


def _recipients(tellings: frozenset[Telling]) -> dict[Role, frozenset[LegalContext]]:
    roles = {role for _, role, _ in tellings}
    return {role: frozenset(name for _, one, name in tellings if one is role) for role in sorted(roles)}
