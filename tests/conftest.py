"""What holds for every test: Hypothesis without clocks, an agreement that is compiled once, one PostgreSQL server."""

from __future__ import annotations

import gc
import os
import pickle
import sys
from collections.abc import Callable, Generator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeVar

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import HealthCheck, settings

from gateway.agreement import load, rows

# How long an example takes says nothing about the code, and much about the machine.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

# As a hub has it (gateway/serving.py): what is loaded stays, and every full collection looks at all of it.
gc.set_threshold(20_000, 20, 20)

# Whoever imports aiohttp reads the machine's authorities, some 140: no process of the tests has any business with them.
# Those that fetch packages have: tests/process/registries.py. Workers of pytest-xdist inherit what is set here.
os.environ.setdefault("MACHINE_SSL_CERT_FILE", os.environ.get("SSL_CERT_FILE", ""))
os.environ["SSL_CERT_FILE"] = os.devnull

_KEPT: Final = 8  # agreements that differ, and sets of schemas
_KEYS: Final = 64
# Files that take longest; each is one process's, so that one of them at the end would be waited for by all the others.
_LONG: Final = (
    "attacks/test_catalogue.py", "process/test_bench.py", "process/test_workers.py",
    "process/test_no_leak.py", "faults/test_faults.py", "process/test_demo.py", "postgres/test_nodes.py",
    "process/test_check.py", "process/test_call.py", "postgres/test_hub.py", "process/test_store_verify.py",
    "process/test_both_stores.py", "process/test_bench_overload.py", "process/test_erasure_killed.py",
    "postgres/test_failover.py", "process/test_log_verifiers.py", "process/test_tokens.py",
    "process/test_reload.py", "postgres/test_two_nodes.py", "process/test_rotate.py",
    "process/test_key_exposure.py", "process/test_killed.py", "process/test_agreement_sign.py",
    "process/test_uploads.py", "process/test_large_documents.py", "process/test_front_memory.py",
    "process/test_listener.py", "process/test_node_soap.py", "process/test_plain_zeep.py",
    "process/test_store_crash.py", "process/test_erasure_model.py", "process/test_tokens_refused.py",
    "process/test_store_history.py", "process/test_witness_interop.py", "process/test_log_export.py",
    "postgres/test_notify.py", "process/test_reload_agreement.py", "process/test_erasure.py",
    "process/test_store_directory.py", "process/test_store_append.py", "process/test_operational_log.py",
    "rules/test_agreement_courses.py", "rules/test_wss_wrapping.py", "rules/test_agreement_load.py",
    "path/test_crash.py", "path/test_wrapping.py", "rules/test_wss_mutation.py",
    "path/test_review_interference.py",
)  # fmt: skip
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
# To check an RSA key takes 44 ms of CPU, and every hub that a test starts in this process has the same one.
serialization.load_pem_private_key = lru_cache(maxsize=_KEYS)(serialization.load_pem_private_key)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first. Otherwise the order stays."""
    place = {Path(__file__).parent / name: number for number, name in enumerate(_LONG)}
    items.sort(key=lambda item: place.get(item.path, len(_LONG)))


def pytest_collection_finish() -> None:
    """Files of tests, their cases and the agreement live as long as the process: no collection need look at them."""
    gc.freeze()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """No line is counted of what is marked `no_cover`. That is pytest-cov's mark; but in a worker of xdist it begins to
    measure twice, and leaves off once.
    """
    measuring = sys.gettrace()
    if item.get_closest_marker("no_cover"):
        sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(measuring)


@pytest.fixture(scope="session")
def postgres():
    """For the process; it is started when a test first asks for it."""
    from tests.postgres.server import (
        running_server,  # it takes modules of the gateway, which is for after the above
    )

    with running_server() as server:
        yield server
