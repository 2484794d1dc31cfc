"""The dossier directory, from the hub and from the command line beside it."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from typer.testing import CliRunner

from gateway.adapters.store_directory import Directory
from gateway.agreement.identifiers import dossier_number
from gateway.cli.dossier import app
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.model import AuthorityId, DossierScope, Inscription, Role
from gateway.refusal import Code, Refusal
from tests.exchanges import request_entry
from tests.process.store_world import findings, open_store

NUMBER, OTHER = dossier_number(2026, 1), dossier_number(2026, 2)
START = datetime(2026, 1, 5, 8, 30, 0, 123_456, UTC)
SCOPE = DossierScope(
    NUMBER,
    "SINGLE_PERMIT",
    "FIRST_APPLICATION",
    "SUBMITTED",
    START,
    (
        Inscription(AuthorityId("BRUSSELS"), Role.REG, START, None),
        Inscription(AuthorityId("PLATFORM"), Role.PLAT, START, START + timedelta(days=90)),
    ),
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.sqlite"


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


async def test_unknown_dossier_has_no_scope(path):
    async with open_store(path) as store:
        assert await store.scope(NUMBER) is None


async def test_scope_is_given_back_as_it_was_put_also_after_reopening(path):
    async with open_store(path) as store:
        await store.put_scope(SCOPE)
        assert await store.scope(NUMBER) == SCOPE
    async with open_store(path) as store:
        assert await store.scope(NUMBER) == SCOPE


async def test_putting_again_replaces_the_inscriptions(path):
    later = replace(SCOPE, status="ADMISSIBLE", inscriptions=SCOPE.inscriptions[1:])
    async with open_store(path) as store:
        await store.put_scope(SCOPE)
        await store.put_scope(replace(SCOPE, dossier=OTHER))
        await store.put_scope(later)
        assert await store.scope(NUMBER) == later
        assert await store.scope(OTHER) == replace(SCOPE, dossier=OTHER)


async def test_times_of_another_zone_are_the_same_instant(path):
    local = START.astimezone(timezone(timedelta(hours=2)))
    async with open_store(path) as store:
        await store.put_scope(replace(SCOPE, status_since=local))
        found = await store.scope(NUMBER)
        assert found.status_since == START


async def test_directory_does_not_touch_the_log(path):
    async with open_store(path) as store:
        await store.append(request_entry())
        await store.put_scope(SCOPE)
        await store.append(request_entry("t2"))
    assert not any(finding.fails for finding in findings(path))


async def test_lookup_in_a_closed_store_is_unavailable(path):
    store = open_store(path)
    await store.close()
    with pytest.raises(Refusal) as caught:
        await store.scope(NUMBER)
    assert caught.value.code is Code.LOG_UNAVAILABLE


async def test_change_that_cannot_be_made_is_unavailable(path):
    async with open_store(path) as store:
        path.rename(path.with_suffix(".away"))
        with pytest.raises(Refusal) as caught:
            await store.put_scope(SCOPE)
        assert caught.value.code is Code.LOG_UNAVAILABLE


async def test_directory_opened_for_reading_changes_nothing(path):
    await open_store(path).close()
    with closing(Directory.open(path, writes=False)) as directory, pytest.raises(ProofError) as caught:
        directory.put(SCOPE)
    assert caught.value.flaw is Flaw.UNREADABLE


async def test_failed_change_leaves_the_dossier_as_it_was(path):
    twice = replace(SCOPE, status="ADMISSIBLE", dossier=NUMBER)
    async with open_store(path) as store:
        await store.put_scope(SCOPE)
        with closing(Directory.open(path, writes=True)) as directory:
            directory._connection.execute(
                "CREATE TEMP TRIGGER t BEFORE INSERT ON main.inscriptions BEGIN SELECT raise(ABORT, 'x'); END"
            )
            with pytest.raises(ProofError):
                directory.put(twice)
            assert directory.get(NUMBER) == SCOPE
        assert await store.scope(NUMBER) == SCOPE


async def test_command_works_beside_the_hub_which_sees_it_at_once(path):
    async with open_store(path) as store:
        arguments = (
            "--permit-type", "SINGLE_PERMIT", "--procedure", "FIRST_APPLICATION", "--status", "SUBMITTED",
            "--inscribe", "BRUSSELS:REG", "--inscribe", "PLATFORM:PLAT",
        )  # fmt: skip
        result = run("put", NUMBER, *arguments, "--store", path)
        assert (result.exit_code, result.stdout.strip()) == (0, NUMBER)
        found = await store.scope(NUMBER)
        assert [(one.authority, one.role, one.until) for one in found.inscriptions] == [
            ("BRUSSELS", Role.REG, None),
            ("PLATFORM", Role.PLAT, None),
        ]
        await store.append(request_entry())
    assert not any(finding.fails for finding in findings(path))


async def test_what_show_prints_can_be_put_again(path, tmp_path):
    async with open_store(path) as store:
        await store.put_scope(SCOPE)
        shown = run("show", NUMBER, "--store", path, "--json").stdout
        file = tmp_path / "dossier.json"
        file.write_text(shown.replace(NUMBER, OTHER))
        assert run("put", "--file", file, "--store", path).exit_code == 0
        assert await store.scope(OTHER) == replace(SCOPE, dossier=OTHER)
        file.write_text(json.dumps([json.loads(shown), json.loads(shown) | {"status": "ADMISSIBLE"}]))
        assert run("put", "--file", file, "--store", path).exit_code == 0
        assert await store.scope(NUMBER) == replace(SCOPE, status="ADMISSIBLE")


async def test_list_shows_dossiers_of_one_authority_or_all(path):
    async with open_store(path) as store:
        await store.put_scope(SCOPE)
        await store.put_scope(replace(SCOPE, dossier=OTHER, inscriptions=SCOPE.inscriptions[:1]))
    listed = json.loads(run("list", "--store", path, "--json").stdout)
    assert [one["dossier"] for one in listed] == sorted([NUMBER, OTHER])
    listed = json.loads(run("list", "--store", path, "--authority", "PLATFORM", "--json").stdout)
    assert [one["dossier"] for one in listed] == [NUMBER]
    assert "BRUSSELS:REG, PLATFORM:PLAT" in run("list", "--store", path).stdout
    assert "BRUSSELS as REG" in run("show", NUMBER, "--store", path).stdout


FULL = ("--permit-type", "X", "--procedure", "Y", "--status", "Z")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("show", NUMBER), "DOS001"),
        (("put", NUMBER), "DOS002"),
        (("put", *FULL), "DOS002"),
        (("put", "--file", "none.json"), "DOS003"),
        (("put", "--file", __file__), "DOS004"),
        (("put", NUMBER, *FULL, "--inscribe", "BRUSSELS"), "DOS005"),
        (("put", NUMBER, *FULL, "--inscribe", "BRUSSELS:KING"), "DOS005"),
        (("put", "WIB-2026-0000001-00", *FULL), "DOS006"),
    ],
)
async def test_mistakes_are_told_with_a_code(path, arguments, code):
    await open_store(path).close()
    result = run(*arguments, "--store", path)
    assert (result.exit_code, result.stderr[:6]) == (1, code)


async def test_missing_store_is_told_with_a_code(tmp_path):
    result = run("list", "--store", tmp_path / "none")
    assert (result.exit_code, result.stderr[:6]) == (1, "LOG501")
    assert run("list").stderr[:6] == "LOG505"


def test_unknown_key_in_a_file_is_refused(path, tmp_path):
    file = tmp_path / "dossier.json"
    file.write_text('{"dossier": "x", "permit_type": "x", "procedure": "x", "status": "x", "name": "Jan"}')
    assert run("put", "--file", file, "--store", path).stderr[:6] == "DOS004"
