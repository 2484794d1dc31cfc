"""The shape of the agreement's files and of the register: strict, unknown keys refused.

A row holds what the file says, unresolved; names are resolved by the modules that load a part.
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Collection, Iterator
from typing import Any, Final, Literal, TypeVar

import msgspec

from gateway.agreement.finding import AgreementError, Finding, Findings
from gateway.model import Quota

Certainty = Literal["C", "L", "J"]  # seen in a source, likely, judgement
Fields = Literal["all", "none"] | list[str]
Table = dict[str, object]
# What PrintableType of the contract leaves out: what ends a line, moves a cursor or turns the order of a text.
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
T = TypeVar("T")


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file: every key is known."""


class AgreementRow(Row, frozen=True):
    """[agreement]"""

    id: str
    title: str
    revision: int
    valid_from: dt.date
    parties: list[str] = []  # revisions from before they were signed have none


class RetentionRow(Row, frozen=True):
    """[retention]"""

    log_years: int
    closed_dossier_days: int
    payload_days: int
    basis: list[str]
    certainty: Certainty


class NameRow(Row, frozen=True):
    """A name in the languages of the country, and in English for the operator."""

    nl: str
    fr: str
    de: str
    en: str


class QuotaRow(Row, frozen=True):
    """`quota` of an authority in the register"""

    per_second: float
    burst: int


class RoleQuotaRow(QuotaRow, frozen=True, kw_only=True):
    """`quota` of a role"""

    basis: list[str]
    certainty: Certainty


class RoleRow(Row, frozen=True):
    """[roles.X]"""

    name: NameRow
    statuses: list[str]
    basis: list[str]
    certainty: Certainty
    quota: RoleQuotaRow | None = None  # revisions from before there were quotas have none


class ContextRow(Row, frozen=True):
    """[contexts."WIB:X"]"""

    purpose: str
    roles: list[str]
    groups: list[str]
    basis: list[str]
    certainty: Certainty
    permit_types: list[str] | None = None
    procedures: list[str] | None = None


class OperationRow(Row, frozen=True):
    """[operations.X]; each value of `requesters` and `senders` is decoded by itself, so that a finding can name it."""

    basis: list[str]
    providers: Literal["HUB", "MAILBOX"] | list[str] | None = None
    requesters: dict[str, Any] | None = None
    senders: dict[str, Any] | None = None
    groups: Literal["all"] | list[str] | None = None
    scatter: bool = False
    follows_log: bool = False


class DocumentRow(Row, frozen=True):
    """[documents] X"""

    field: str


class GroupRow(Row, frozen=True):
    """[groups.GNN] without its cells"""

    name: str
    purpose: str
    sensitivity: list[Literal["GDPR 9", "GDPR 10", "GDPR 87"]]


class CellRow(Row, frozen=True):
    """One cell of the matrix; each value of `receive_under` and `provide_in` is decoded by itself."""

    provide: Fields
    receive: Fields
    basis: list[str]
    certainty: Certainty
    receive_under: dict[str, Any] = {}
    provide_in: dict[str, Any] = {}
    note: str = ""


class HubRow(Row, frozen=True):
    """[hub] of the register"""

    id: str
    name: NameRow
    cbe: str
    tls_name: str
    unit: str | None = None


class AuthorityRow(Row, frozen=True):
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
    revocation: Literal["hard", "soft"] = "hard"
    quota: QuotaRow | None = None


# Beyond what a hub can do in any case.
_MOST_PER_SECOND: Final = 100_000
_LARGEST_BURST: Final = 1_000_000
_PLACE: Final = re.compile(r"(?P<sentence>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)


def parse_toml(data: bytes, name: str, error: type[AgreementError]) -> Table:
    """The file as tables. Raises `error`."""
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (
        ValueError,
        RecursionError,
    ) as cause:  # besides what it documents: endless digits, endless nesting
        raise error([Finding(name, "", f"not TOML: {cause}")]) from cause


def require_printable(tables: Table, findings: Findings) -> None:
    """Parties read a draft of others by the commands: no text of it writes lines of theirs, or hides some."""
    for path, text in _texts(tables, ""):
        if _UNPRINTABLE.search(text):
            findings.add(ascii(path)[1:-1], "a text with characters that cannot be printed")


def _texts(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Every text and every name, and where it is."""
    match value:
        case str():
            yield path, value
        case list():
            for at, one in enumerate(value):
                yield from _texts(one, f"{path}[{at}]")
        case dict():
            for name, one in value.items():
                below = f"{path}.{name}".removeprefix(".")
                yield below, name
                yield from _texts(one, below)


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


def rows(tables: Table, name: str, shape: type[T], findings: Findings) -> list[tuple[str, T]]:
    """The rows of an array of tables that have the shape, each with its path; the others are findings."""
    values = decode(tables.get(name, []), list[Any], name, findings) or []
    decoded = ((f"{name}[{n}]", value) for n, value in enumerate(values))
    return [
        (path, row) for path, value in decoded if (row := decode(value, shape, path, findings)) is not None
    ]


def decode(value: object, shape: type[T], path: str, findings: Findings) -> T | None:
    """`value` as `shape`, or None with a finding that names the path in the file."""
    try:
        return msgspec.convert(value, shape, strict=True)
    except msgspec.ValidationError as error:
        match = _PLACE.fullmatch(str(error))
        assert match is not None
        findings.add(path + (match["path"] or ""), match["sentence"][:1].lower() + match["sentence"][1:])
        return None


def require_between(number: int, most: int, path: str, findings: Findings) -> None:
    """At least 1 and at most `most`: a date that so many days lead to must be one."""
    if number < 1:
        findings.add(path, "at least 1")
    elif number > most:
        findings.add(path, f"at most {most}")


def quota(row: QuotaRow, path: str, findings: Findings) -> Quota:
    """The quota of a role or an authority; what would let nobody through, or everybody, is a finding."""
    if not 0 < row.per_second <= _MOST_PER_SECOND:
        findings.add(f"{path}.per_second", f"more than 0, at most {_MOST_PER_SECOND}")
    require_between(row.burst, _LARGEST_BURST, f"{path}.burst", findings)
    return Quota(row.per_second, row.burst)


def fields(value: object, path: str, findings: Findings) -> Fields | None:
    """One list of fields inside a table whose keys are names."""
    if value in ("all", "none"):
        return value
    return decode(value, list[str], path, findings)


def resolve(
    names: Collection[str], known: Collection[str], what: str, path: str, findings: Findings
) -> tuple[str, ...]:
    """The names that exist; each of the others is a finding, and so is one that stands twice."""
    for index, name in enumerate(names):
        if name not in known:
            findings.add(f"{path}[{index}]", f'no {what} "{name}"')
        elif name in list(names)[:index]:
            findings.add(f"{path}[{index}]", f'{what} "{name}" stands twice')
    return tuple(name for name in dict.fromkeys(names) if name in known)


def is_known(name: str, known: Collection[str], what: str, path: str, findings: Findings) -> bool:
    """Does the name exist? If not, that is a finding."""
    if name not in known:
        findings.add(path, f'no {what} "{name}"')
    return name in known
