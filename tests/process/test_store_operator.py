"""`gateway queue`: look, try again, give up; and what the officer sees of a notification."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from gateway.cli import dossier, log, queue
from gateway.exchangelog.flaw import Flaw
from gateway.exchangelog.form import DropReason
from gateway.model import ExchangeId
from tests.exchanges import NOW, PLATFORM, REVISION, exchange_id
from tests.notifications import (
    DOSSIER,
    HOUR,
    OFFICE,
    OTHER,
    accepted,
    acknowledge,
    delivered_entry,
    leased,
    scope,
    settled_entry,
    tell,
)
from tests.process.store_world import KEY, findings, open_store, query

ROOT = Path(__file__).parents[2]
OTHER_REVISION = "ef" * 32


@pytest.fixture
def config(path, tmp_path):
    """Settings that name the store, the register of the repository, and the log's key and origin."""
    text = (ROOT / "deploy/gateway.toml").read_text()
    for old, new in (
        ('"../contracts"', f'"{ROOT}/contracts"'),
        ('"../contracts/register.toml"', f'"{ROOT}/contracts/register.toml"'),
        ('store = "store.db"', f'store = "{path}"'),
    ):
        assert old in text, old
        text = text.replace(old, new, 1)
    text = re.sub(r'(?m)^origin = "[^"]*"', 'origin = "xlog.hub.example/2026"', text)
    file = tmp_path / "gateway.toml"
    file.write_text(re.sub(r'"[^"]*/log\.key\.pem"', '"log.key.pem"', text))
    key = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "log.key.pem").write_bytes(key)
    (tmp_path / "log.key.pem").chmod(0o600)
    return file


def run(app, *arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def asked(*arguments: object, app=queue.app):
    """The printed result of a command that succeeds."""
    result = run(app, *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def refused(*arguments: object) -> str:
    result = run(queue.app, *arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    return result.stderr[:6]


async def dead(store, **change: object) -> ExchangeId:
    """A delivery that waits for the operator."""
    await tell(store, **change)
    (one,) = await leased(store, PLATFORM.id)
    await store.bury(one, "WIB09003")
    return one.id


async def test_list_shows_what_waits_in_order(path):
    async with open_store(path) as store:
        buried = await dead(store)
        await tell(store, accepted("t2", OTHER))
        listed = asked("list", "--store", path)
        assert [(one["recipient"], one["state"]) for one in listed] == [
            ("PLATFORM", "dead"),
            ("IMMIGRATION_OFFICE", "waiting"),
            ("PLATFORM", "waiting"),
            ("IMMIGRATION_OFFICE", "waiting"),
        ]
        first = listed[0]
        assert (first["delivery"], first["dossier"], first["last_code"]) == (buried, DOSSIER, "WIB09003")
        assert (first["sender"], first["operation"], first["attempts"]) == (
            "BRUSSELS",
            "notifyWorkDecision",
            1,
        )
        assert asked("list", "--store", path, "--dead") == [first]
        assert [one["recipient"] for one in asked("list", "--store", path, "--recipient", "PLATFORM")] == [
            "PLATFORM",
            "PLATFORM",
        ]
        assert asked("list", "--store", path, "--dead", "--recipient", "IMMIGRATION_OFFICE") == []
        table = run(queue.app, "list", "--store", path).stdout.splitlines()
        assert len(table) == 5
        assert "WIB09003" in table[1]


async def test_what_is_held_back_names_what_it_waits_for(path):
    async with open_store(path) as store:
        buried = await dead(store)
        await tell(store, accepted("t2"))  # the same dossier
        await tell(store, accepted("t3", OTHER))
    held = {
        one["delivery"]: one["behind"] for one in asked("list", "--store", path, "--recipient", "PLATFORM")
    }
    assert list(held.values()) == [None, buried, None]
    second, third = list(held)[1:]
    table = run(queue.app, "list", "--store", path, "--recipient", "PLATFORM").stdout
    assert table.count("behind ") == 1
    assert f"behind {buried}" in table
    assert asked("show", second, "--store", path)["behind"] == buried
    assert asked("show", third, "--store", path)["behind"] is None


async def test_a_dead_delivery_is_due_at_no_time(path):
    async with open_store(path) as store:
        buried = await dead(store)
    assert asked("show", buried, "--store", path)["due"] is None
    (other,) = asked("list", "--store", path, "--recipient", "IMMIGRATION_OFFICE")
    assert other["due"] is not None


@pytest.mark.parametrize(
    ("options", "said"), [((), "Nothing waits.\n"), (("--dead",), "Nothing waits for the operator.\n")]
)
async def test_an_empty_queue_says_that_nothing_waits(path, options, said):
    await open_store(path).close()
    assert run(queue.app, "list", "--store", path, *options).stdout == said
    assert asked("list", "--store", path, *options) == []


async def test_unknown_recipient_is_a_mistake(path, config):
    await open_store(path).close()
    told = run(queue.app, "list", "--config", config, "--recipient", "NOBODY").stderr
    assert (told[:6], "--recipient" in told) == ("LOG510", True)


async def test_show_tells_all_that_the_row_holds(path):
    async with open_store(path) as store:
        buried = await dead(store)
        shown = asked("show", buried, "--store", path)
        assert shown["legal_context"] == "WIB:FOLLOW_UP"
        assert (shown["revision"], shown["recorded"]) == (REVISION, False)
        assert "WIB:FOLLOW_UP" in run(queue.app, "show", buried, "--store", path).stdout
        assert "Amina" not in run(queue.app, "show", buried, "--store", path).stdout
    assert refused("show", exchange_id(), "--store", path) == "QUE001"


async def test_dead_delivery_is_tried_again_at_once(path, config, tmp_path):
    async with open_store(path) as store:
        buried = await dead(store)
        assert await leased(store, PLATFORM.id, HOUR) == []
        assert asked("retry", buried, "--config", config)["state"] == "waiting"
        assert refused("retry", buried, "--config", config) == "QUE003"
        far = timedelta(days=36_500)  # the command's clock is the machine's
        assert [one.id for one in await leased(store, PLATFORM.id, far)] == [buried]
    async with open_store(tmp_path / "other") as store:
        again = await dead(store)
        config.write_text(config.read_text().replace(str(path), str(tmp_path / "other")))
        assert run(queue.app, "retry", again, "--config", config).stdout == f"{again} is tried again now.\n"
    assert refused("retry", exchange_id(), "--config", config) == "QUE001"


@pytest.mark.parametrize("reason", DropReason)
async def test_dropped_delivery_is_purged_and_recorded_beside_the_hub(path, config, reason):
    async with open_store(path) as store:
        await store.remember(OTHER_REVISION, {})
        buried = await dead(store)
        (other,) = await leased(store, OFFICE.id)
        await acknowledge(store, other)
        dropped = asked("drop", buried, "--reason", reason, "--config", config)
        assert (dropped["delivery"], dropped["reason"]) == (buried, reason)
        assert query(path, "SELECT sealed FROM notifications") == [(None,)]
        await tell(store, accepted("t2"))  # the hub goes on after the other writer
    entry = asked("show", dropped["log_index"], "--store", path, app=log.app)["entry"]
    assert (entry["kind"], entry["decision"], entry["reason"]) == ("settlement", "dropped", reason)
    assert (entry["from"], entry["to"]) == ("0999000110", ["0999000209/PLATFORM"])
    assert (entry["policy"], entry["in_force"]) == (REVISION, OTHER_REVISION)
    assert (entry["id"], entry["purpose"], entry["msgsig"]) == (buried, "WIB:FOLLOW_UP", None)
    assert [one.flaw for one in findings(path)] == [Flaw.UNSETTLED]
    assert refused("drop", buried, "--reason", reason, "--config", config) == "QUE002"
    assert refused("show", buried, "--store", path) == "QUE002"
    ended = run(queue.app, "show", buried, "--store", path).stderr
    (notification,) = re.findall(r"--notification (\S+)", ended)
    ((of,),) = query(path, f"SELECT notification FROM deliveries WHERE id = '{buried}'")
    assert notification == of
    listing = ("list", "--kind", "settlement", "--notification", notification, "--store", path)
    assert dropped["log_index"] in [one["index"] for one in asked(*listing, app=log.app)["entries"]]


async def test_the_second_recipient_is_named_when_its_delivery_is_dropped(path, config):
    async with open_store(path) as store:
        await tell(store)
    ((second,),) = query(path, "SELECT id FROM deliveries WHERE recipient = 'IMMIGRATION_OFFICE'")
    index = asked("drop", second, "--reason", "duplicate", "--config", config)["log_index"]
    entry = asked("show", index, "--store", path, app=log.app)["entry"]
    assert entry["to"] == ["0999000308"]
    assert entry["in_force"] == REVISION  # no other is known


async def test_drop_needs_a_reason_of_the_list_and_a_delivery_that_rests(path, config):
    async with open_store(path) as store:
        buried = await dead(store)
        assert refused("drop", buried, "--reason", "because", "--config", config) == "QUE004"
        assert refused("drop", exchange_id(), "--reason", "duplicate", "--config", config) == "QUE001"
        now = NOW + timedelta(days=36_500)
        await store.lease([OFFICE.id], now, now + HOUR, 1)
        ((leased_one,),) = query(path, "SELECT id FROM deliveries WHERE recipient = 'IMMIGRATION_OFFICE'")
        assert refused("drop", leased_one, "--reason", "duplicate", "--config", config) == "QUE005"
        assert store.size == 1


async def test_what_follows_a_dropped_delivery_goes_on(path, config):
    async with open_store(path) as store:
        buried = await dead(store)
        await tell(store, accepted("t2"))
        assert await leased(store, PLATFORM.id, HOUR) == []
        asked("drop", buried, "--reason", "sent-in-error", "--config", config)
        assert len(await leased(store, PLATFORM.id, HOUR)) == 1


# The officer's view.


async def way(path) -> str:
    """A notification to two recipients, delivered to one of them; its id."""
    async with open_store(path) as store:
        await tell(store)
        await tell(store, accepted("t2", OTHER))
        (one, _) = await leased(store, PLATFORM.id)
        await store.record(one, delivered_entry(one))
        await store.settle(one, settled_entry(one))
    return one.notification.exchange


async def test_officer_lists_entries_of_the_new_kinds(path):
    exchange = await way(path)

    def listed(*arguments: object) -> list[int]:
        found = asked("list", "--store", path, *arguments, app=log.app)
        return [one["index"] for one in found["entries"]]

    assert listed() == [3, 2, 1, 0]
    assert listed("--kind", "notification") == [1, 0]
    assert listed("--kind", "delivery") == [2]
    assert listed("--code", "acknowledged") == [3]
    assert listed("--code", "accepted") == [1, 0]
    assert listed("--notification", exchange) == [3, 2]
    assert listed("--authority", "0999000209/PLATFORM") == [3, 2, 1, 0]
    assert listed("--authority", "0999000308") == [1, 0]
    assert run(log.app, "list", "--store", path, "--notification", "1").stderr[:6] == "LOG510"
    assert "notification" in run(log.app, "list", "--store", path).stdout


async def test_officer_sees_from_any_part_of_a_notification_the_others(path):
    exchange = await way(path)
    for index in (0, 2, 3):
        assert asked("show", index, "--store", path, app=log.app)["notification"] == [0, 2, 3]
    assert asked("show", 1, "--store", path, app=log.app)["notification"] == [1]
    shown = asked("show", 2, "--store", path, app=log.app)
    assert shown["entry"]["of"] == exchange
    assert {one["verdict"] for one in shown["fields"]} == {"released", "withheld"}
    text = run(log.app, "show", 2, "--store", path).stdout
    assert f"of           {exchange}" in text
    assert "entries 0, 2, 3" in text


async def test_verify_says_what_waits(path, config):
    await way(path)
    told = asked("verify", "--config", config, app=log.app)
    assert told["verified"]
    assert [(one["code"], one["level"], one["index"]) for one in told["findings"]] == [
        ("LOG416", "notice", 0),
        ("LOG416", "notice", 1),
    ]


# The directory's new columns.


async def test_dossier_that_is_interrupted_shows_what_it_resumes_and_can_be_put_again(path, config, tmp_path):
    async with open_store(path) as store:
        await store.put_scope(scope(status="INFO_REQUESTED", resumes="UNDER_REVIEW"))
        shown = asked("show", DOSSIER, "--store", path, app=dossier.app)
        assert shown["resumes"] == "UNDER_REVIEW"
        assert "resumes       UNDER_REVIEW" in run(dossier.app, "show", DOSSIER, "--store", path).stdout
        file = tmp_path / "dossier.json"
        file.write_text(json.dumps(shown))
        assert run(dossier.app, "put", "--file", file, "--config", config).exit_code == 0
        assert (await store.scope(DOSSIER)).resumes == "UNDER_REVIEW"
        file.write_text(json.dumps(shown | {"resumes": "NOWHERE"}))
        assert run(dossier.app, "put", "--file", file, "--config", config).stderr[:6] == "DOS011"
        status = ("--status", "ADMISSIBLE", "--config", config)
        assert run(dossier.app, "put", DOSSIER, "--inscribe", "BRUSSELS:REG", *status[2:]).exit_code == 0
        assert (await store.scope(DOSSIER)).resumes == "UNDER_REVIEW"
        assert run(dossier.app, "put", DOSSIER, *status).exit_code == 0
        assert (await store.scope(DOSSIER)).resumes is None
        assert [one.operation for one in await store.history(DOSSIER)] == [None, None]
