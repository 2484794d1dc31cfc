"""What holds for every test: Hypothesis without clocks, an agreement that is compiled once, one PostgreSQL server."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from gateway.agreement import load, rows

# How long an example takes says nothing about the code, and much about the machine.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

_KEPT: Final = 8  # agreements that differ, and sets of schemas
T = TypeVar("T")


def _once(
    compile_files: Callable[[Mapping[str, bytes]], T], suffix: str = ""
) -> Callable[[Mapping[str, bytes]], T]:
    """The same function of the files with that suffix, for which each set of them is compiled once: that takes half
    a second, and a thousand tests start a hub or a command in this process. Hundreds change a table of the agreement,
    and leave its schemas as they are.
    """

    @lru_cache(maxsize=_KEPT)
    def compiled(files: frozenset[tuple[str, bytes]]) -> T:
        return compile_files(dict(sorted(files)))

    return lambda files: compiled(frozenset(one for one in files.items() if one[0].endswith(suffix)))


def _parsed_once(parse: Callable[..., rows.Table]) -> Callable[..., rows.Table]:
    """The same for a file of tables, of which everybody gets a copy of their own."""

    @lru_cache(maxsize=_KEPT)
    def parsed(*given: object) -> bytes:
        return pickle.dumps(parse(*given))

    return lambda *given: pickle.loads(parsed(*given))


rows.parse_toml = _parsed_once(rows.parse_toml)
load.compile_contract = _once(load.compile_contract, ".xsd")
load.load_agreement = _once(load.load_agreement)  # before any module takes it from there


@pytest.fixture(scope="session")
def postgres():
    """For the process; it is started when a test first asks for it."""
    from tests.postgres.server import (
        running_server,  # it takes modules of the gateway, which is for after the above
    )

    with running_server() as server:
        yield server
