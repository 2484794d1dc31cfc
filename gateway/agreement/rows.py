"""The shape of contracts/agreement.toml and contracts/register.toml: strict, unknown keys refused.

A row holds what the file says, unresolved; names are resolved by `load`, `matrix` and `register`.
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from typing import Any, Final, Literal, TypeVar

import msgspec

from gateway.agreement.finding import AgreementError, Finding, Findings

Certainty = Literal["C", "L", "J"]  # seen in a source, likely, judgement
Fields = Literal["all", "none"] | list[str]
Table = dict[str, object]
T = TypeVar("T")


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file: every key is known."""


class AgreementRow(_Row, frozen=True):
    """[agreement]"""

    id: str
    title: str
    revision: int
    valid_from: dt.date


class RetentionRow(_Row, frozen=True):
    """[retention]"""

    log_years: int
    closed_dossier_days: int
    payload_days: int
    basis: list[str]
    certainty: Certainty


class NameRow(_Row, frozen=True):
    """A name in the languages of the country, and in English for the operator."""

    nl: str
    fr: str
    de: str
    en: str


class RoleRow(_Row, frozen=True):
    """[roles.X]"""

    name: NameRow
    statuses: list[str]
    basis: list[str]
    certainty: Certainty


class ContextRow(_Row, frozen=True):
    """[contexts."WIB:X"]"""

    purpose: str
    roles: list[str]
    groups: list[str]
    basis: list[str]
    certainty: Certainty
    permit_types: list[str] | None = None
    procedures: list[str] | None = None


class OperationRow(_Row, frozen=True):
    """[operations.X]; each value of `requesters` is decoded by itself, so that a finding can name it."""

    providers: Literal["HUB"] | list[str]
    requesters: dict[str, Any]
    basis: list[str]
    scatter: bool = False


class DocumentRow(_Row, frozen=True):
    """[documents] X"""

    field: str


class GroupRow(_Row, frozen=True):
    """[groups.GNN] without its cells"""

    name: str
    purpose: str
    sensitivity: list[Literal["GDPR 9", "GDPR 10", "GDPR 87"]]


class CellRow(_Row, frozen=True):
    """One cell of the matrix; each value of `receive_under` is decoded by itself."""

    provide: Fields
    receive: Fields
    basis: list[str]
    certainty: Certainty
    receive_under: dict[str, Any] = {}
    note: str = ""


class HubRow(_Row, frozen=True):
    """[hub] of the register"""

    id: str
    name: NameRow
    cbe: str
    tls_name: str
    unit: str | None = None


class AuthorityRow(_Row, frozen=True):
    """[[authority]] of the register"""

    id: str
    name: NameRow
    role: str
    cbe: str
    tls_name: str
    suite: Literal["rsa-sha256", "ecdsa-sha256"]
    signed_addressing: bool
    active: bool
    unit: str | None = None
    endpoint: str | None = None
    region: str | None = None
    nis: str | None = None
    post: str | None = None


_PLACE: Final = re.compile(r"(?P<sentence>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)


def parse_toml(data: bytes, name: str, error: type[AgreementError]) -> Table:
    """The file as tables. Raises `error`."""
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as cause:
        raise error([Finding(name, "", f"not TOML: {cause}")]) from cause


def require_tables(tables: Table, expected: set[str], findings: Findings) -> None:
    """The top level has exactly these keys."""
    for name in sorted(expected - set(tables)):
        findings.add(name, "missing")
    for name in sorted(set(tables) - expected):
        findings.add(name, "no such table here")


def entries(tables: Table, name: str, findings: Findings) -> dict[str, object]:
    """The entries of a table of tables, {} with a finding when it is none."""
    table = tables.get(name, {})
    if isinstance(table, dict):
        return table
    findings.add(name, "a table was expected")
    return {}


def decode(value: object, shape: type[T], path: str, findings: Findings) -> T | None:
    """`value` as `shape`, or None with a finding that names the path in the file."""
    try:
        return msgspec.convert(value, shape, strict=True)
    except msgspec.ValidationError as error:
        match = _PLACE.fullmatch(str(error))
        assert match is not None
        findings.add(path + (match["path"] or ""), match["sentence"][:1].lower() + match["sentence"][1:])
        return None


def fields(value: object, path: str, findings: Findings) -> Fields | None:
    """One list of fields inside a table whose keys are names."""
    if value in ("all", "none"):
        return value
    return decode(value, list[str], path, findings)
