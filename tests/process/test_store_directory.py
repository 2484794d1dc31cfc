"""The dossier directory, from the hub and from the command line beside it."""

from __future__ import annotations

import json
import re
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from gateway.adapters.store_directory import Directory
from gateway.agreement.identifiers import dossier_number
from gateway.cli.dossier import app
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.model import AuthorityId, DossierScope, Inscription, Role
from gateway.policy.person import person_digest
from gateway.refusal import Code, Refusal
from tests.exchanges import request_entry
from tests.process.store_world import KEY, alter, findings, of_a_file, open_store

ROOT = Path(__file__).parents[2]

NUMBER, OTHER = dossier_number(2026, 1), dossier_number(2026, 2)
START = datetime(2026, 1, 5, 8, 30, 0, 123_456, UTC)
SCOPE = DossierScope(
    NUMBER,
    "SINGLE_PERMIT",
    "FIRST",
    "SUBMITTED",
    START,
    (
        Inscription(AuthorityId("BRUSSELS"), Role.REG, START, None),
        Inscription(AuthorityId("PLATFORM"), Role.PLAT, START, START + timedelta(days=90)),
    ),
    version=1,
)


@pytest.fixture
def config(path, tmp_path):
    """Settings that name the store, the contracts and the register of the repository, and keys of their own."""
    text = (ROOT / "deploy/gateway.toml").read_text()
    for old, new in (
        ('"../contracts"', f'"{ROOT}/contracts"'),
        ('"../contracts/register.toml"', f'"{ROOT}/contracts/register.toml"'),
        ('store = "store.db"', f'store = "{path}"'),
        ("test_numbers = false", "test_numbers = true"),
    ):
        assert old in text, old
        text = text.replace(old, new, 1)
    file = tmp_path / "gateway.toml"
    file.write_text(re.sub(r'"[^"]*/(log\.key\.pem|directory\.key)"', r'"\1"', text))
    (tmp_path / "log.key.pem").write_bytes(
        KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (tmp_path / "log.key.pem").chmod(0o600)
    return file


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


@pytest.mark.parametrize("number", [0, 1, 25])
async def test_inscriptions_keep_their_order_and_text_whatever_their_number(path, number):
    lines = tuple(
        Inscription(
            AuthorityId(f'"É\\{number - n}'), Role.REG, START, START + timedelta(days=n) if n % 2 else None
        )
        for n in range(number)
    )
    async with open_store(path) as store:
        await store.put_scope(replace(SCOPE, inscriptions=lines))
        await store.put_scope(replace(SCOPE, dossier=OTHER))
        assert await store.scope(NUMBER) == replace(SCOPE, inscriptions=lines)
    with closing(Directory.open(path, writes=False)) as directory:
        assert [one.inscriptions for one in directory.all()] == [lines, SCOPE.inscriptions]


async def test_putting_again_replaces_the_inscriptions(path):
    later = replace(SCOPE, status="ADMISSIBLE", inscriptions=SCOPE.inscriptions[1:])
    async with open_store(path) as store:
        await store.put_scope(SCOPE)
        await store.put_scope(replace(SCOPE, dossier=OTHER))
        await store.put_scope(later)
        assert await store.scope(NUMBER) == replace(later, version=2)
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


@of_a_file
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


@of_a_file
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


async def test_command_works_beside_the_hub_which_sees_it_at_once(path, config):
    async with open_store(path) as store:
        arguments = (
            "--permit-type", "SINGLE_PERMIT", "--procedure", "FIRST", "--status", "SUBMITTED",
            "--inscribe", "BRUSSELS:REG", "--inscribe", "PLATFORM:PLAT",
        )  # fmt: skip
        result = run("put", NUMBER, *arguments, "--config", config)
        assert (result.exit_code, result.stdout.strip()) == (0, NUMBER)
        found = await store.scope(NUMBER)
        assert [(one.authority, one.role, one.until) for one in found.inscriptions] == [
            ("BRUSSELS", Role.REG, None),
            ("PLATFORM", Role.PLAT, None),
        ]
        await store.append(request_entry())
    assert not any(finding.fails for finding in findings(path))


async def test_what_show_prints_can_be_put_again(path, tmp_path, config):
    async with open_store(path) as store:
        await store.put_scope(SCOPE)
        shown = run("show", NUMBER, "--store", path, "--json").stdout
        file = tmp_path / "dossier.json"
        file.write_text(shown.replace(NUMBER, OTHER))
        assert run("put", "--file", file, "--config", config).exit_code == 0
        assert await store.scope(OTHER) == replace(SCOPE, dossier=OTHER)
        file.write_text(json.dumps([json.loads(shown), json.loads(shown) | {"status": "ADMISSIBLE"}]))
        assert run("put", "--file", file, "--config", config).exit_code == 0
        assert await store.scope(NUMBER) == replace(SCOPE, status="ADMISSIBLE", version=3)


async def test_list_shows_dossiers_of_one_authority_or_all(path):
    async with open_store(path) as store:
        await store.put_scope(SCOPE)
        await store.put_scope(replace(SCOPE, dossier=OTHER, inscriptions=SCOPE.inscriptions[:1]))
    listed = json.loads(run("list", "--store", path, "--json").stdout)
    assert [one["dossier"] for one in listed] == sorted([NUMBER, OTHER])
    listed = json.loads(run("list", "--store", path, "--authority", "PLATFORM", "--json").stdout)
    assert [one["dossier"] for one in listed] == [NUMBER]
    assert "BRUSSELS:REG,PLATFORM:PLAT(ended)" in run("list", "--store", path).stdout
    assert "BRUSSELS as REG" in run("show", NUMBER, "--store", path).stdout


SSIN, OTHER_SSIN = "90612400144", "85073003328"
WHOLE = ("--permit-type", "SINGLE_PERMIT", "--procedure", "FIRST", "--status", "SUBMITTED")


@pytest.fixture
def key(tmp_path):
    """The one that the settings name."""
    file = tmp_path / "directory.key"
    file.write_text(bytes(range(32)).hex() + "\n")
    file.chmod(0o600)
    return file


def person(path, number=NUMBER):
    with closing(Directory.open(path, writes=False)) as directory:
        return directory.get(number).person


@of_a_file
async def test_put_keeps_a_digest_of_the_person_and_no_number(path, key, config):
    await open_store(path).close()
    result = run("put", NUMBER, *WHOLE, "--ssin", SSIN, "--config", config, "--json")
    assert json.loads(result.stdout)[0]["person"] is True
    assert person(path) == person_digest(bytes(range(32)), SSIN)
    shown = (
        run("show", NUMBER, "--store", path, "--json").stdout + run("list", "--store", path, "--json").stdout
    )
    assert SSIN not in result.stdout + shown
    assert person(path).hex() not in result.stdout + shown
    assert SSIN.encode() not in b"".join(one.read_bytes() for one in path.parent.glob("store*"))


async def test_number_is_read_from_standard_input(path, key, config):
    await open_store(path).close()
    arguments = ["put", NUMBER, *WHOLE, "--ssin", "-", "--config", config]
    result = CliRunner().invoke(app, [str(one) for one in arguments], input=f"{SSIN}\n")
    assert result.exit_code == 0
    assert person(path) == person_digest(bytes(range(32)), SSIN)


async def test_person_stays_until_another_is_given_or_it_is_freed(path, key, tmp_path, config):
    await open_store(path).close()
    run("put", NUMBER, *WHOLE, "--ssin", SSIN, "--config", config)
    bound = person(path)
    assert run("put", NUMBER, *WHOLE, "--config", config).exit_code == 0
    assert person(path) == bound
    shown = json.loads(run("show", NUMBER, "--store", path, "--json").stdout)
    file = tmp_path / "dossier.json"
    for change, expected in (
        ({}, bound),
        ({"ssin": OTHER_SSIN}, person_digest(bytes(range(32)), OTHER_SSIN)),
        ({"person": False}, None),
    ):
        file.write_text(json.dumps(shown | change))
        assert run("put", "--file", file, "--config", config).exit_code == 0
        assert person(path) == expected
    assert "not bound" in run("show", NUMBER, "--store", path).stdout
    file.write_text(json.dumps([shown | {"dossier": OTHER, "person": False}, shown]))
    assert run("put", "--file", file, "--config", config).stderr[:6] == "DOS009"
    assert (
        json.loads(run("list", "--store", path, "--json").stdout)[0]["dossier"] == NUMBER
    )  # and nothing else


async def test_scope_is_given_back_with_its_person(path):
    async with open_store(path) as store:
        await store.put_scope(replace(SCOPE, person=bytes(32)))
        assert await store.scope(NUMBER) == replace(SCOPE, person=bytes(32))
        with pytest.raises(Refusal):
            await store.put_scope(replace(SCOPE, person=bytes(31)))
        assert await store.scope(NUMBER) == replace(SCOPE, person=bytes(32))


async def test_key_that_others_may_read_or_that_is_none_is_refused(path, key, config):
    await open_store(path).close()
    bind = ("put", NUMBER, *WHOLE, "--config", config, "--ssin", SSIN)
    key.chmod(0o644)
    assert "CFG009:" in run(*bind).stderr
    key.chmod(0o600)
    key.write_text("short")
    assert "CFG011:" in run(*bind).stderr
    key.unlink()
    assert "CFG003:" in run(*bind).stderr
    assert json.loads(run("list", "--store", path, "--json").stdout) == []


async def test_number_that_is_no_insz_is_refused_and_not_repeated(path, key, config):
    await open_store(path).close()
    result = run("put", NUMBER, *WHOLE, "--ssin", "90612400145", "--config", config)
    assert result.stderr[:6] == "DOS008"
    assert "90612400145" not in result.output


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("put", NUMBER), "DOS002"),
        (("put", *WHOLE), "DOS002"),
        (("put", "--file", "none.json"), "DOS003"),
        (("put", "--file", "none.json", "--ssin", "90612400144"), "DOS010"),
        (("put", "--file", "none.json", "--status", "SUBMITTED"), "DOS010"),
        (("put", NUMBER, "--file", "none.json"), "DOS010"),
        (("put", "--file", __file__), "DOS004"),
        (("put", NUMBER, *WHOLE, "--inscribe", "BRUSSELS"), "DOS005"),
        (("put", NUMBER, *WHOLE, "--inscribe", "BRUSSELS:KING"), "DOS005"),
        (("put", NUMBER, *WHOLE, "--remove", "BRUSSELS:KING"), "DOS005"),
        (("put", "WIB-2026-0000001-00", *WHOLE), "DOS006"),
        (("put", NUMBER, *WHOLE, "--status", "SUBMITED"), "DOS011"),
        (("put", NUMBER, *WHOLE, "--procedure", "FIRST_APPLICATION"), "DOS011"),
        (("put", NUMBER, *WHOLE, "--permit-type", "single permit"), "DOS011"),
        (("put", NUMBER, *WHOLE, "--inscribe", "BRUSELS:REG"), "DOS012"),
        (("put", NUMBER, *WHOLE, "--inscribe", "BRUSSELS:OE"), "DOS012"),
        (("put", NUMBER, *WHOLE, "--inscribe", "HUB:PLAT"), "DOS012"),
        (("put", NUMBER, *WHOLE, "--inscribe", "BRUSSELS:REG", "--inscribe", "FLANDERS:REG"), "DOS013"),
        (("put", NUMBER, *WHOLE, "--remove", "BRUSSELS:REG"), "DOS015"),
    ],
)
async def test_mistakes_are_told_with_a_code(path, config, arguments, code):
    await open_store(path).close()
    result = run(*arguments, "--config", config)
    assert (result.exit_code, result.stderr[:7]) == (1, f"{code}:")
    assert json.loads(run("list", "--store", path, "--json").stdout) == []


@of_a_file
async def test_a_store_that_cannot_be_read_is_told_with_a_code(path, config):
    await open_store(path).close()
    alter(path, "DROP TABLE inscriptions")
    for arguments in (
        ("list", "--store", path),
        ("show", NUMBER, "--store", path),
        ("scope", NUMBER, "--store", path),
        ("clock", "--config", config),
    ):
        result = run(*arguments)
        assert (result.exit_code, result.stderr[:7]) == (1, "LOG501:")


async def test_dossier_that_is_not_there_is_told_with_a_code(path):
    await open_store(path).close()
    result = run("show", NUMBER, "--store", path)
    assert (result.exit_code, result.stderr[:7]) == (1, "DOS001:")


async def test_nothing_is_put_unchecked(path):
    await open_store(path).close()
    assert run("put", NUMBER, *WHOLE).exit_code == 2  # --config is required


async def test_what_is_not_given_stays_and_what_is_removed_ends(path, config):
    await open_store(path).close()
    inscribed = ("--inscribe", "BRUSSELS:REG", "--inscribe", "PLATFORM:PLAT")
    assert run("put", NUMBER, *WHOLE, *inscribed, "--config", config).exit_code == 0
    before = held(path)
    assert run("put", NUMBER, "--status", "ADMISSIBLE", "--config", config).exit_code == 0
    after = held(path)
    assert (after.status, after.inscriptions) == ("ADMISSIBLE", before.inscriptions)
    assert after.status_since > before.status_since
    moved = ("--remove", "BRUSSELS:REG", "--inscribe", "FLANDERS:REG", "--inscribe", "PLATFORM:PLAT")
    assert run("put", NUMBER, *moved, "--config", config).exit_code == 0
    brussels, platform, flanders = held(path).inscriptions
    assert (brussels.authority, brussels.since, brussels.until is None) == (
        "BRUSSELS",
        before.inscriptions[0].since,
        False,
    )
    assert platform == before.inscriptions[1]
    assert (flanders.authority, flanders.since, flanders.until) == ("FLANDERS", brussels.until, None)
    assert held(path).status_since == after.status_since
    assert "BRUSSELS:REG(ended),PLATFORM:PLAT,FLANDERS:REG\n" in run("list", "--store", path).stdout


async def test_who_took_part_once_may_have_left_the_register(path, config):
    gone = Inscription(AuthorityId("LEFT"), Role.REG, START, START + timedelta(days=1))
    async with open_store(path) as store:
        await store.put_scope(replace(SCOPE, inscriptions=(gone, *SCOPE.inscriptions)))
    assert run("put", NUMBER, "--status", "ADMISSIBLE", "--config", config).exit_code == 0
    assert held(path).inscriptions[0] == gone


async def test_file_without_inscriptions_keeps_them(path, config, tmp_path):
    async with open_store(path) as store:
        await store.put_scope(SCOPE)
    file = tmp_path / "dossier.json"
    shown = json.loads(run("show", NUMBER, "--store", path, "--json").stdout)
    del shown["inscriptions"]
    file.write_text(json.dumps(shown | {"status": "ADMISSIBLE"}))
    assert run("put", "--file", file, "--config", config).exit_code == 0
    assert held(path) == replace(SCOPE, status="ADMISSIBLE", version=2)


@of_a_file
async def test_times_that_cannot_be_are_refused(path, config, tmp_path):
    """A status to come would hold now; terms would go on from the later one, whatever is said of an earlier."""
    async with open_store(path) as store:
        await store.put_scope(SCOPE)
    shown = json.loads(run("show", NUMBER, "--store", path, "--json").stdout)
    line, file = shown["inscriptions"][0], tmp_path / "dossier.json"
    before, ahead = (START - timedelta(days=1)).isoformat(), "2090-01-01T00:00:00Z"
    for change in (
        {"status_since": ahead},
        {"status_since": before},
        {"status_since": "0001-01-01T00:00:00+05:00"},
        {"inscriptions": [line | {"since": ahead}]},
        {"inscriptions": [line | {"until": before}]},
        {"inscriptions": [line | {"until": "9999-12-31T23:59:59-05:00"}]},
    ):
        file.write_text(json.dumps(shown | change))
        assert run("put", "--file", file, "--config", config).stderr[:6] == "DOS019", change
    assert held(path) == SCOPE


async def test_a_dossier_in_which_nobody_is_the_platform_is_entered_with_a_warning(path, config):
    await open_store(path).close()
    result = run("put", NUMBER, *WHOLE, "--inscribe", "BRUSSELS:REG", "--config", config)
    assert (result.exit_code, result.stderr[:7]) == (0, "DOS014:")
    assert run("put", NUMBER, "--inscribe", "PLATFORM:PLAT", "--config", config).stderr == ""


async def test_list_of_an_authority_that_the_register_does_not_have_is_a_mistake(path, config):
    await open_store(path).close()
    assert run("list", "--store", path, "--authority", "0999").stderr[:7] == "LOG510:"
    result = run("list", "--config", config, "--authority", "BRUSELS")
    assert (result.exit_code, result.stderr[:7]) == (1, "LOG510:")
    assert "BRUSSELS" in result.stderr


def held(path):
    with closing(Directory.open(path, writes=False)) as directory:
        return directory.get(NUMBER)


async def test_missing_store_is_told_with_a_code(tmp_path):
    result = run("list", "--store", tmp_path / "none")
    assert (result.exit_code, result.stderr[:6]) == (1, "LOG506")
    assert run("list").stderr[:6] == "LOG505"


async def test_unknown_key_in_a_file_is_refused(path, tmp_path, config):
    await open_store(path).close()
    file = tmp_path / "dossier.json"
    file.write_text('{"dossier": "x", "permit_type": "x", "procedure": "x", "status": "x", "name": "Jan"}')
    assert run("put", "--file", file, "--config", config).stderr[:6] == "DOS004"
    file.write_bytes(file.read_bytes().replace(b"Jan", b"Jo\xeb"))
    assert run("put", "--file", file, "--config", config).stderr[:6] == "DOS004"
