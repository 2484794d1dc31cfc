"""`gateway dossier clock` and `scope`: read from a store of the real kind, by the shipped agreement."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from gateway.adapters.store_directory import Directory
from gateway.agreement.identifiers import dossier_number
from gateway.agreement.load import load_agreement
from gateway.agreement.register import load_register
from gateway.cli.dossier import app
from gateway.loading import contract_files
from gateway.model import AuthorityId, DossierScope, Inscription, Role
from gateway.policy.deadlines import clocks_of
from tests.process.store_world import KEY, open_store

ROOT = Path(__file__).parents[2]
FIRST, SECOND, STRANGE = (dossier_number(2026, n) for n in (1, 2, 3))
START = datetime(2026, 6, 1, 8, 30, tzinfo=UTC)
ADMITTED = START + timedelta(days=10)
ASKED = START + timedelta(days=20)
MOVED = START + timedelta(days=15)


def line(name: str, role: Role, since: datetime = START, until: datetime | None = None) -> Inscription:
    return Inscription(AuthorityId(name), role, since, until)


OPENED = DossierScope(
    FIRST,
    "SINGLE_PERMIT",
    "FIRST",
    "SUBMITTED",
    START,
    (line("PLATFORM", Role.PLAT), line("BRUSSELS", Role.REG)),
)
WENT = (
    replace(OPENED, status="ADMISSIBLE", status_since=ADMITTED),
    replace(
        OPENED,
        status="UNDER_REVIEW",
        status_since=ASKED,
        inscriptions=(
            line("PLATFORM", Role.PLAT),
            line("BRUSSELS", Role.REG, until=MOVED),
            line("FLANDERS", Role.REG, MOVED),
        ),
    ),
)


@pytest.fixture
async def store(tmp_path: Path) -> Path:
    """Two dossiers under way, and one of a kind for which there is no course."""
    path = tmp_path / "store.sqlite"
    await open_store(path).close()
    with closing(Directory.open(path, writes=True)) as directory:
        for scope in (OPENED, *WENT):
            directory.put(scope)
        directory.put(replace(OPENED, dossier=SECOND, status_since=START + timedelta(days=5)))
        directory.put(replace(OPENED, dossier=STRANGE, permit_type="OTHER"))
    return path


@pytest.fixture
def config(store: Path, tmp_path: Path) -> Path:
    text = (ROOT / "deploy/gateway.toml").read_text()
    for old, new in (
        ('"../contracts"', f'"{ROOT}/contracts"'),
        ('"../contracts/register.toml"', f'"{ROOT}/contracts/register.toml"'),
        ('store = "store.db"', f'store = "{store}"'),
    ):
        assert old in text, old
        text = text.replace(old, new, 1)
    file = tmp_path / "gateway.toml"
    file.write_text(re.sub(r'"[^"]*/log\.key\.pem"', '"log.key.pem"', text))
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "log.key.pem").write_bytes(pem)
    (tmp_path / "log.key.pem").chmod(0o600)
    return file


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "300"})


def clocks(config: Path, *arguments: object, at: datetime) -> list[dict[str, object]]:
    moment = at.strftime("%Y-%m-%dT%H:%M:%S")
    found = run("clock", *arguments, "--config", config, "--at", moment, "--json")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def test_the_clocks_of_a_dossier_are_those_of_the_agreement(config: Path, store: Path):
    now = ASKED + timedelta(days=1)
    agreement = load_agreement(contract_files(ROOT / "contracts"))
    path = ROOT / "contracts/register.toml"
    register = load_register(path.read_bytes(), str(path))
    with closing(Directory.open(store, writes=False)) as directory:
        scope = directory.get(FIRST)
        assert scope is not None
        running = clocks_of(scope, directory.history(FIRST), agreement, register, now)
    shown = clocks(config, FIRST, "--ended", at=now)
    assert {(one["name"], one["due"], one["left"]) for one in shown} == {
        (one.name, one.due.isoformat(), one.left) for one in running
    }
    assert any(one["ended"] for one in shown)
    assert shown[0]["basis"]
    assert {one["name"] for one in clocks(config, FIRST, at=now)} == {
        one.name for one in running if one.ended is None
    }


def test_without_a_number_every_dossier_is_shown_the_most_urgent_first(config: Path):
    shown = clocks(config, at=ADMITTED + timedelta(days=1))
    assert {one["dossier"] for one in shown} == {FIRST, SECOND}
    assert [one["left"] for one in shown] == sorted(one["left"] for one in shown)


def test_the_table_says_in_words_how_a_clock_stands(config: Path):
    found = run("clock", SECOND, "--config", config, "--at", "2027-06-01")
    assert found.exit_code == 0, found.output
    assert "overdue" in found.stdout
    assert SECOND in found.stdout


def test_before_it_was_submitted_no_clock_runs(config: Path):
    assert clocks(config, at=START - timedelta(days=1)) == []


def scoped(store: Path, at: datetime) -> dict[str, object]:
    moment = at.strftime("%Y-%m-%dT%H:%M:%S")
    found = run("scope", FIRST, "--store", store, "--at", moment, "--json")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def parts(described: dict[str, object]) -> Iterator[tuple[str, str]]:
    inscriptions = described["inscriptions"]
    assert isinstance(inscriptions, list)
    return ((one["authority"], one["role"]) for one in inscriptions)


@pytest.mark.parametrize(
    ("at", "status", "region"),
    [
        (START, "SUBMITTED", "BRUSSELS"),
        (ADMITTED - timedelta(seconds=1), "SUBMITTED", "BRUSSELS"),
        (ADMITTED, "ADMISSIBLE", "BRUSSELS"),
        (MOVED - timedelta(seconds=1), "ADMISSIBLE", "BRUSSELS"),
        (MOVED, "ADMISSIBLE", "FLANDERS"),
        (ASKED, "UNDER_REVIEW", "FLANDERS"),
    ],
)
def test_who_had_which_part_at_a_past_moment(store: Path, at: datetime, status: str, region: str):
    found = scoped(store, at)
    assert found["status"] == status
    assert list(parts(found)) == [("PLATFORM", "PLAT"), (region, "REG")]


def test_the_present_is_shown_when_no_time_is_given(store: Path):
    found = run("scope", FIRST, "--store", store)
    assert found.exit_code == 0, found.output
    assert "UNDER_REVIEW" in found.stdout
    assert "FLANDERS" in found.stdout
    assert "BRUSSELS" not in found.stdout


def test_mistakes_are_told_with_a_code(config: Path, store: Path):
    unknown = run("clock", dossier_number(2026, 9), "--config", config)
    none = run("clock", STRANGE, "--config", config)
    early = run("scope", FIRST, "--store", store, "--at", "2026-05-31")
    missing = run("scope", dossier_number(2026, 9), "--store", store)
    future = run("scope", FIRST, "--store", store, "--at", "2999-01-01")
    mistakes = (unknown, none, early, missing, future)
    assert [one.exit_code for one in mistakes] == [1] * 5
    assert [one.stderr[:6] for one in mistakes] == ["DOS001", "DOS017", "DOS016", "DOS001", "DOS018"]


def test_when_no_term_runs_that_is_said(config: Path):
    found = run("clock", "--config", config, "--at", "2026-01-01")
    assert (found.exit_code, found.stdout) == (0, "No term runs.\n")
    assert (
        run("clock", FIRST, "--config", config, "--at", "2026-01-01").stdout == f"No term runs for {FIRST}.\n"
    )


def test_a_term_that_would_end_on_a_day_off_says_from_where_it_was_moved(config: Path, store: Path):
    """30 days from Monday 1 June 2026 end on Wednesday 1 July; from Friday 5 June on a Sunday, so on Monday."""
    third = dossier_number(2026, 4)
    with closing(Directory.open(store, writes=True)) as directory:
        directory.put(replace(OPENED, dossier=third, status_since=START + timedelta(days=4)))
    checks = [one for one in clocks(config, at=ADMITTED - timedelta(days=1)) if one["days"] == 30]
    shown = {one["dossier"]: (one["due"], one["moved_from"]) for one in checks}
    assert shown[FIRST] == ("2026-07-01", None)
    assert shown[third] == ("2026-07-06", "2026-07-05")
    table = run("clock", third, "--config", config, "--at", "2026-06-09").stdout
    assert "2026-07-06 (moved from 2026-07-05)" in table


@pytest.mark.parametrize("command", ["scope", "show", "list"])
def test_no_key_is_spoken_of_where_none_is_needed(command: str):
    assert "vkey" not in run(command, "--help").stdout
