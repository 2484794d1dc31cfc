"""Stores in either database, and tokens for the tests of a hub whose keys are in one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.adapters.log_key import ensure_log
from gateway.adapters.store_session import StorePlace
from tests.path import hub as memory
from tests.process.running import write_settings
from tests.process.store_world import placed_beside
from tests.process.tokens import KEYS, SoftToken


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path) -> StorePlace:
    """Where a store may be; nothing is there yet. `of_a_file` leaves a test the first."""
    if request.param == "sqlite":
        return tmp_path / "store.sqlite"
    return placed_beside(tmp_path, request.getfixturevalue("postgres").database())


@pytest.fixture
def path(place) -> StorePlace:
    return place


@pytest.fixture(scope="session")
def made_token(tmp_path_factory) -> SoftToken:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", "")
        token = SoftToken(tmp_path_factory.mktemp("token"))
        token.make()
    return token


@pytest.fixture
def token(made_token, tmp_path, monkeypatch) -> SoftToken:
    """A token of this test's own, the only one that there is."""
    monkeypatch.setenv("SOFTHSM2_CONF", "")  # and put back afterwards
    mine = SoftToken(Path(shutil.copytree(made_token.place, tmp_path / "token")))
    mine.use()
    return mine


@pytest.fixture
def held_place(token, tmp_path) -> Path:
    """A hub's directory in order, its three keys in the token and in no file."""
    place = tmp_path / "place"
    memory.place_pki(place / "pki")
    for name in KEYS.values():
        (place / f"pki/HUB/{name}.key.pem").unlink()
    settings = write_settings(place, "https://127.0.0.1:1/soap", token.settings())
    ensure_log(settings.log.store, settings.keys.log_key, settings.log.origin, settings.log.bucket_keys)
    return place
