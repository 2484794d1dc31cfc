"""The register of authorities: who takes part, in which role, under which identity (contracts/register.toml).

What a role may do stands in the agreement. Where an authority is reached is a matter of deployment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.agreement import rows
from gateway.agreement.finding import Finding, Findings, RegisterError
from gateway.agreement.identifiers import check_cbe
from gateway.agreement.rows import AuthorityRow, HubRow
from gateway.agreement.terms import Names
from gateway.model import Authority, AuthorityId, Enterprise, Quota, Role
from gateway.refusal import Refusal

_ID: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_UNIT: Final = re.compile(r"[A-Z][A-Z0-9-]{0,63}")
_HOST: Final = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+"
)
_ENDPOINT: Final = re.compile(r"https://[A-Za-z0-9.-]+(:[1-9][0-9]{0,4})?(/[A-Za-z0-9._~/-]*)?")
_NIS: Final = re.compile(r"[0-9]{5}")
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_-]{0,31}")
# What tells the authorities of a role apart: the columns that a role has, and no other role.
_PLACE: Final[Mapping[Role, frozenset[str]]] = {
    Role.REG: frozenset({"region"}),
    Role.MUN: frozenset({"region", "nis"}),
    Role.CONS: frozenset({"post"}),
}
_OWN: Final[Mapping[str, str]] = {Role.REG: "region", Role.MUN: "nis", Role.CONS: "post"}
_FORMS: Final[Mapping[str, re.Pattern[str]]] = {
    "id": _ID,
    "unit": _UNIT,
    "tls_name": _HOST,
    "endpoint": _ENDPOINT,
    "region": _CODE,
    "nis": _NIS,
    "post": _CODE,
}


@dataclass(frozen=True, slots=True, eq=False)
class Register:
    """The register, frozen. The hub is no authority: it is found by no lookup, so that it cannot call itself."""

    hub: Authority
    authorities: tuple[Authority, ...]  # in the order of the file
    by_id: Mapping[AuthorityId, Authority]
    names: Mapping[AuthorityId, Names]  # in all languages, the hub's as well
    _by_enterprise: Mapping[Enterprise, Authority]

    def by_enterprise(self, enterprise: Enterprise) -> Authority | None:
        """The authority with this KBO/CBE number and this unit; a missing unit matches only a missing unit."""
        return self._by_enterprise.get(enterprise)

    def active(self, role: Role) -> tuple[Authority, ...]:
        """The authorities of a role that are not suspended, in the order of the file."""
        return tuple(one for one in self.authorities if one.role is role and one.active)


def load_register(data: bytes, name: str) -> Register:
    """`name`: of the file, for findings. Raises RegisterError with every finding."""
    findings = Findings(name)
    tables = rows.parse_toml(data, name, RegisterError)
    rows.require_printable(tables, findings)
    rows.require_tables(tables, {"hub", "authority"}, findings)
    findings.done(RegisterError)
    listed = tables["authority"]
    if not isinstance(listed, list):
        raise RegisterError([Finding(name, "authority", "a list of tables was expected")])
    hub = rows.decode(tables["hub"], HubRow, "hub", findings)
    decoded = {
        path: rows.decode(one, AuthorityRow, path, findings)
        for path, one in ((_path(at, one), one) for at, one in enumerate(listed))
    }
    lines = {path: row for path, row in decoded.items() if row is not None}
    for path, row in lines.items():
        _check(row, path, findings)
    if hub is not None:
        _check_forms(hub, "hub", findings)
        _check_unique({"hub": hub, **lines}, findings)
    _check_regions(lines, findings)
    if len(lines) == len(listed):  # otherwise the missing one may be the one that did not decode
        _check_single_roles(lines, findings)
    findings.done(RegisterError)
    assert hub is not None  # only a finding makes it None
    names = {AuthorityId(hub.id): _names(hub)} | {AuthorityId(row.id): _names(row) for row in lines.values()}
    return _register(_hub(hub), map(_authority, lines.values()), names)


def _register(
    hub: Authority, authorities: Iterable[Authority], names: Mapping[AuthorityId, Names]
) -> Register:
    listed = tuple(authorities)
    return Register(
        hub=hub,
        authorities=listed,
        by_id={one.id: one for one in listed},
        names=names,
        _by_enterprise={one.enterprise: one for one in listed},
    )


def _path(at: int, line: object) -> str:
    """Where a line stands: authority[2 FLANDERS]. Nobody counts lines by hand."""
    name = line.get("id") if isinstance(line, dict) else None
    return f"authority[{at} {name}]" if isinstance(name, str) and name else f"authority[{at}]"


def _check(row: AuthorityRow, path: str, findings: Findings) -> None:
    _check_forms(row, path, findings)
    if row.quota is not None:
        rows.quota(row.quota, f"{path}.quota", findings)
    if row.role not in set(Role):
        findings.add(f"{path}.role", f'no role "{row.role}"')
        return
    wanted = _PLACE.get(Role(row.role), frozenset())
    for column in ("region", "nis", "post"):
        given = getattr(row, column) is not None
        if given != (column in wanted):
            findings.add(f"{path}.{column}", f"role {row.role} {'has none' if given else 'must have one'}")


def _check_forms(row: HubRow | AuthorityRow, path: str, findings: Findings) -> None:
    for column, form in _FORMS.items():
        value = getattr(row, column, None)
        if value is not None and not form.fullmatch(value):
            findings.add(f"{path}.{column}", f'"{value}" has not the form of {column}')
    try:
        check_cbe(row.cbe)
    except Refusal:
        findings.add(f"{path}.cbe", f'"{row.cbe}" is no KBO/CBE number with correct check digits')


def _check_unique(lines: Mapping[str, HubRow | AuthorityRow], findings: Findings) -> None:
    """Each id, TLS name and identity belongs to one line: a certificate must never name two authorities."""
    first: dict[tuple[str, object], str] = {}
    for path, row in lines.items():
        for column, value in (("id", row.id), ("tls_name", row.tls_name), ("cbe", (row.cbe, row.unit))):
            earlier = first.setdefault((column, value), path)
            if earlier != path:
                findings.add(f"{path}.{column}", f"the same as {earlier}.{column}")
    whole = {row.cbe for row in lines.values() if row.unit is None}
    for path, row in lines.items():
        if row.unit is not None and row.cbe in whole:
            findings.add(f"{path}.unit", f"another line has {row.cbe} without a unit")


def _check_regions(lines: Mapping[str, AuthorityRow], findings: Findings) -> None:
    """One authority for each region, municipality and post; municipalities only in those regions."""
    first: dict[tuple[str, str], str] = {}
    for path, row in lines.items():
        column = _OWN.get(row.role)
        value = None if column is None else getattr(row, column)
        if column is None or value is None:
            continue
        earlier = first.setdefault((column, value), path)
        if earlier != path:
            findings.add(f"{path}.{column}", f"the same as {earlier}.{column}")
    for path, row in lines.items():
        if row.role == Role.MUN and row.region is not None and ("region", row.region) not in first:
            findings.add(f"{path}.region", f'the register has no authority of region "{row.region}"')


def _check_single_roles(lines: Mapping[str, AuthorityRow], findings: Findings) -> None:
    """Of platform, Immigration Office and social security there is one (PROTOCOL §1.2).

    The one may be suspended: that must be possible at once, without taking everybody else off. A line of its
    predecessor may stay, suspended, so that the register still knows its certificates.
    """
    for role in (Role.PLAT, Role.OE, Role.NSSO):
        playing = {path: row for path, row in lines.items() if row.role == role}
        if not playing:
            findings.add("authority", f"the register has no authority of role {role}")
        earlier, *others = [path for path, row in playing.items() if row.active] or [""]
        for path in others:
            findings.add(f"{path}.role", f"the register has one active {role} already: {earlier}")


def _names(row: HubRow | AuthorityRow) -> Names:
    return Names(row.name.nl, row.name.fr, row.name.de, row.name.en)


def _hub(row: HubRow) -> Authority:
    return Authority(
        id=AuthorityId(row.id),
        name=row.name.en,
        role=None,
        enterprise=Enterprise(row.cbe, row.unit),
        endpoint=None,
        tls_name=row.tls_name,
        suite="rsa-sha256",
        signed_addressing=False,
        active=True,
    )


def _authority(row: AuthorityRow) -> Authority:
    return Authority(
        id=AuthorityId(row.id),
        name=row.name.en,
        role=Role(row.role),
        enterprise=Enterprise(row.cbe, row.unit),
        endpoint=row.endpoint,
        tls_name=row.tls_name,
        suite=row.suite,
        signed_addressing=row.signed_addressing,
        active=row.active,
        region=row.region,
        nis=row.nis,
        post=row.post,
        revocation=row.revocation,
        quota=None if row.quota is None else Quota(row.quota.per_second, row.quota.burst),
    )
