"""contracts/places.toml → dated rules: in which region a municipality lies, and what became of those that merged."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import date
from itertools import combinations
from typing import Final

from gateway.agreement import rows
from gateway.agreement.course import NisMerger, NisRule, Places
from gateway.agreement.course_rows import MergerRow, RegionRow
from gateway.agreement.finding import Findings
from gateway.agreement.rows import is_known

_PREFIX: Final = re.compile(r"[0-9]{1,5}")
_NIS: Final = re.compile(r"[0-9]{5}")


def load_places(tables: rows.Table, regions: Collection[str], findings: Findings) -> Places:
    """`regions`: those that the contract knows. Every other name, and every ambiguity, is a finding."""
    ruled = [
        (f"{path}.prefixes[{n}]", NisRule(prefix, row.region, row.valid_from, row.valid_until))
        for path, row in rows.rows(tables, "region", RegionRow, findings)
        if is_known(row.region, regions, "region", f"{path}.region", findings)
        for n, prefix in enumerate(row.prefixes)
    ]
    merged = [
        (f"{path}.from[{n}]", NisMerger(code, row.into, row.since))
        for path, row in rows.rows(tables, "merger", MergerRow, findings)
        for n, code in enumerate(row.codes)
    ]
    _check_rules(ruled, findings)
    _check_mergers(merged, findings)
    places = Places(tuple(rule for _, rule in ruled), tuple(merger for _, merger in merged))
    for path, merger in merged:
        if places.region(merger.into, merger.since) is None:
            findings.add(path, f'no rule tells in which region "{merger.into}" lies on {merger.since}')
    return places


def _check_rules(ruled: list[tuple[str, NisRule]], findings: Findings) -> None:
    for path, rule in ruled:
        if not _PREFIX.fullmatch(rule.prefix):
            findings.add(path, f'"{rule.prefix}" is no beginning of a NIS code')
        if rule.valid_until is not None and rule.valid_until < rule.valid_from:
            findings.add(path, "ends before it begins")
    for (_, one), (path, other) in combinations(ruled, 2):
        if one.prefix == other.prefix and _overlap(one, other):
            findings.add(path, f'prefix "{one.prefix}" has another rule on the same day')


def _check_mergers(merged: list[tuple[str, NisMerger]], findings: Findings) -> None:
    for path, merger in merged:
        for code in (merger.nis, merger.into):
            if not _NIS.fullmatch(code):
                findings.add(path, f'"{code}" is no NIS code')
        if merger.nis == merger.into:
            findings.add(path, f'"{merger.nis}" becomes part of itself')
    for (_, one), (path, other) in combinations(merged, 2):
        if one.nis == other.nis:
            findings.add(path, f'"{one.nis}" has ended already')


def _overlap(one: NisRule, other: NisRule) -> bool:
    last = date.max
    return one.valid_from <= (other.valid_until or last) and other.valid_from <= (one.valid_until or last)
