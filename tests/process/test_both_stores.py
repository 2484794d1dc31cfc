"""Every command that works on a store tells the same of a database as of a file: one hub's log, moved from one to the other."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway import config
from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.log_key import log_signers
from gateway.adapters.postgres_uri import PostgresUri
from gateway.adapters.store_copy import copy
from gateway.adapters.store_eraser import Eraser
from gateway.agreement.identifiers import dossier_number
from gateway.cli.commands import app
from tests.path import hub as memory
from tests.path.hub import DIRECTORY_KEY, DOSSIER, PAYLOAD_KEY, SSIN, Hub
from tests.path.notifying import LEASE, submit
from tests.path.test_agreement_simulate import PASSPORT, some_of_everything
from tests.process.running import write_settings
from tests.process.store_world import append_all
from tests.process.test_erasure import MINE, exchange

OLD = datetime.now(UTC).year - 12
EXPIRED = f"--bucket exchange/{OLD}-01 --basis retention --ground expired"
ASKED = "--basis gdpr-17 --ground unlawful-processing"
# Name → a command, and its exit status; in this order, for some of them change the store. What is in braces: `World`.
COMMANDS: dict[str, tuple[str, int]] = {
    "check": ("check --without-names", 0),
    "check, as JSON": ("check --without-names --json", 0),
    "a log is begun once": ("log init", 1),
    "vkey": ("log vkey --json", 0),
    "checkpoint": ("log checkpoint", 0),
    "no cosigned checkpoint": ("log checkpoint --cosigned", 1),
    "no fork": ("log fork", 0),
    "pin": ("log pin {place}/a.pin --json", 0),
    "verify": ("log verify --json", 0),
    "verify by two processes": ("log verify --processes 2 --json", 0),
    "verify a range": ("log verify-range 100 270 --json", 0),
    "prove": ("log prove {released} --output {place}/a.tlog-proof --json", 0),
    "prove consistency": ("log prove-consistency 100 --json", 0),
    "list": ("log list", 0),
    "list, as JSON": ("log list --limit 400 --json", 0),
    "list a page": ("log list --before 270 --limit 3 --json", 0),
    "list a kind": ("log list --kind notification --json", 0),
    "list an authority": ("log list --authority BRUSSELS --json", 0),
    "list a direction": ("log list --from PLATFORM --to BRUSSELS --json", 0),
    "list an operation": ("log list --operation consultDossier --json", 0),
    "list a context": ("log list --context WIB:WORK_DECISION --json", 0),
    "list an outcome": ("log list --outcome refused --json", 0),
    "list a code": ("log list --code WIB07005 --json", 0),
    "list a time": (f"log list --since {OLD + 1}-01-01 --json", 0),
    "list a field": ("log list --field G16 --json", 0),
    "list a notification": ("log list --notification {notification} --json", 0),
    "list as CSV": ("log list --format csv", 0),
    "list as lines": ("log list --format jsonl --kind request", 0),
    "list a dossier": ("log list --dossier {dossier} --json", 0),
    "list a person": ("log list --person {person} --proof {place}/answer --json", 0),
    "verify an answer": ("log verify --answer {place}/answer --json", 0),
    "report for a person": ("log subject {person} --json", 0),
    "show": ("log show {released}", 0),
    "show, as JSON": ("log show {released} --json", 0),
    "show what is not there": ("log show 9999", 1),
    "prove a view": ("log prove-view {released} --json", 0),
    "export": ("log export --output {place}/site --json", 0),
    "verify a site": ("log verify --site {place}/site --json", 0),
    "explain a release": ("explain {released} --json", 0),
    "explain a refusal": ("explain {refused} --json", 0),
    "explain a notification": ("explain {notification} --json", 0),
    "explain to an authority": ("explain {released} --as BRUSSELS --json", 0),
    "explain to another": ("explain {released} --as FLANDERS", 1),
    "simulate the agreement in force": ("agreement simulate in-force --json", 0),
    "simulate a draft": ("agreement simulate {draft} --json", 0),
    "compare revisions": ("agreement diff in-force {draft}", 1),
    "evidence export": ("evidence export {released} --output {place}/a.asice --json", 0),
    "evidence verify": ("evidence verify {place}/a.asice --anchor {place}/pki/root.crt.pem --json", 0),
    "dossiers": ("dossier list --json", 0),
    "dossiers of an authority": ("dossier list --authority BRUSSELS", 0),
    "a dossier": ("dossier show {dossier} --json", 0),
    "scope of a dossier": (f"dossier scope {{dossier}} --at {datetime.now(UTC):%Y-%m-%d} --json", 0),
    "clocks": ("dossier clock --json", 0),
    "put a dossier": ("dossier put {dossier} --inscribe MUN_LIEGE:MUN --remove MUN_BRUSSELS:MUN --json", 0),
    "queue": ("queue list", 0),
    "queue, as JSON": ("queue list --json", 0),
    "queue of a recipient": ("queue list --recipient {recipient} --json", 0),
    "what is dead": ("queue list --dead --json", 0),
    "a delivery": ("queue show {dead}", 0),
    "no delivery": ("queue show nothing", 1),
    "retry": ("queue retry {dead} --json", 0),
    "retry what is not dead": ("queue retry {dead}", 1),
    "drop": ("queue drop {dead} --reason recipient-closed --json", 0),
    "drop it again": ("queue drop {dead} --reason recipient-closed", 1),
    "what is due": ("log retention --json", 1),
    "erase entries: what would go": (f"log erase --entries 261-262 {ASKED} --json", 0),
    "erase entries": (f"log erase --entries 261-262 {ASKED} --confirm --json", 0),
    "erase them again": (f"log erase --entries 261-262 {ASKED} --confirm", 1),
    "erase a dossier": (f"log erase --dossier {{dossier}} {ASKED} --confirm --json", 0),
    "erase a person": (f"log erase --person {{person}} {ASKED} --confirm --json", 0),
    "prune before the bucket is erased": ("log prune --confirm", 1),
    "erase a bucket: what would go": (f"log erase {EXPIRED}", 0),
    "erase a bucket": (f"log erase {EXPIRED} --confirm --json", 0),
    "prune: what would go": ("log prune", 0),
    "prune": ("log prune --confirm --json", 0),
    "nothing is due": ("log retention --json", 0),
    "show what was pruned": ("log show 5", 1),
    "explain what was pruned": ("explain 5", 1),
    "the pin holds": ("log pin {place}/a.pin --json", 0),
    "verify what is left": ("log verify --json", 0),
}
CHANGING = re.compile(  # what no two acts have alike: times, ids, what is random, and the signatures over it
    r"\d{4}-\d\d-\d\d[T ][\d:.]+(\+00:00|Z)?|[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-f]{64}\b|[\w+/-]{43}=|(?<![\w-])[\w-]{43}(?![\w-])"
    r'|\btest\.example/log [\w+/=]{90,}|"nonce": "[\w-]+"'
)


@dataclass(frozen=True)
class World:
    """A hub's directory, and what there is to find in its log."""

    place: Path
    names: dict[str, object]

    def told(self, command: str) -> tuple[int, str]:
        words = command.format(place=self.place, **self.names).split()
        settings = ["--config", str(self.place / "gateway.toml")]
        result = CliRunner().invoke(app, [*words, *settings], env={"COLUMNS": "250"})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, self._neutral(result.stdout + result.stderr)

    def _neutral(self, text: str) -> str:
        store = str(config.load(self.place / "gateway.toml").log.store)
        return CHANGING.sub("~", text.replace(store, "STORE").replace(str(self.place), "PLACE"))


async def _filled(directory: Path) -> dict[str, object]:
    """What the names in the commands stand for."""
    hub = await Hub.start(directory)
    await append_all(hub.store, [one for at in range(130) for one in exchange(MINE, f"o{at}", 1, OLD)])
    await some_of_everything(hub)
    await submit(hub, number=dossier_number(2026, 4))
    recipients = [one.id for one in memory.register().authorities]
    dead, *_ = await hub.store.lease(recipients, hub.now, hub.now + LEASE, 1)
    await hub.store.bury(dead, "WIB10005")
    await hub.store.close()
    leaves = list(enumerate(hub.entries()))
    kinds = {kind: [at for at, leaf in leaves if leaf["kind"] == kind] for kind in ("response", "refusal")}
    return {
        "dossier": DOSSIER,
        "person": SSIN,
        "released": next(at for at in kinds["response"] if at >= 260),
        "refused": kinds["refusal"][0],
        "notification": dead.notification.exchange,
        "recipient": dead.recipient,
        "dead": dead.id,
    }


@pytest.fixture(scope="module")
def worlds(tmp_path_factory, postgres) -> tuple[World, World]:
    directory = tmp_path_factory.mktemp("worlds") / "file"
    memory.place_pki(directory / "pki")
    for name, key in (("directory", DIRECTORY_KEY), ("payload", PAYLOAD_KEY)):
        (directory / f"pki/HUB/{name}.key").write_text(key.hex())
    names = asyncio.run(_filled(directory))
    draft = directory.parent / "draft"
    shutil.copytree(memory.ROOT / "contracts", draft)
    agreement = (draft / "agreement.toml").read_text()
    (draft / "agreement.toml").write_text(agreement.replace(PASSPORT, PASSPORT.replace(', "expiryDate"', "")))
    settings = write_settings(directory, "https://127.0.0.1:9/soap", {"origin": '"test.example/log"'})
    world = World(directory, {**names, "draft": draft})
    return world, _moved(world, directory.with_name("database"), settings, postgres.empty_database())


def _moved(world: World, directory: Path, settings: config.Settings, database: PostgresUri) -> World:
    """The same in a database."""
    shutil.copytree(world.place, directory)
    verifiers = [one.verifier for one in log_signers(settings.keys.log_key, settings.log.origin)]
    keys = BucketKeys.open(directory / "bucket-keys")
    copy(directory / "store.db", database, verifiers, keys, 1_767_225_600)
    text = (directory / "gateway.toml").read_text()
    (directory / "gateway.toml").write_text(text.replace('store = "store.db"', f'store = "{database}"', 1))
    return World(directory, world.names)


@pytest.fixture(scope="module")
def answers(worlds) -> dict[str, list[tuple[int, str]]]:
    """Of every command what each store gives."""
    return {name: [one.told(command) for one in worlds] for name, (command, _) in COMMANDS.items()}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_database_gives_what_a_file_gives(answers, name):
    of_file, of_database = answers[name]
    assert of_file[0] == COMMANDS[name][1], of_file[1]
    assert of_database == of_file


def test_commands_may_read_for_longer_than_a_hub(worlds):
    settings = config.load(worlds[1].place / "gateway.toml").log
    with Eraser(settings.store, BucketKeys.open(settings.bucket_keys)) as eraser:
        assert eraser._query("SHOW statement_timeout") == [("0",)]


def test_several_servers_without_a_pin_are_told_of(worlds):
    place = worlds[1].place
    path = place / "several.toml"
    text = (place / "gateway.toml").read_text()
    database = str(config.load(place / "gateway.toml").log.store)
    two = re.sub("host=([^&]*)", r"host=\1,\1", database)
    for store, pin, told in ((database, False, []), (two, True, []), (two, False, ["LOG719"])):
        named = text.replace(database, store)
        path.write_text(named.replace("[witnesses]", f'pin = "{place}/a.pin"\n[witnesses]') if pin else named)
        CliRunner().invoke(app, ["log", "pin", str(place / "a.pin"), "--config", str(place / "gateway.toml")])
        result = CliRunner().invoke(app, ["check", "--without-names", "--json", "--config", str(path)])
        assert result.exit_code == 0, result.stderr
        assert [one["code"] for one in json.loads(result.stdout)["notices"]] == told
        assert [line[:6] for line in result.stderr.splitlines()] == told


@pytest.mark.parametrize("kind", ["file", "database"])
def test_a_log_begins_in_either(worlds, postgres, kind):
    place = worlds[0].place
    store = place / "new.db" if kind == "file" else postgres.empty_database()
    text = (place / "gateway.toml").read_text()
    assert '"store.db"' in text
    (place / f"{kind}.toml").write_text(text.replace('"store.db"', f'"{store}"', 1))
    for command, status, code in (
        ("verify", 1, "LOG506"),
        ("init", 0, ""),
        ("verify", 0, ""),
        ("init", 1, "LOG507"),
    ):
        result = CliRunner().invoke(app, ["log", command, "--config", str(place / f"{kind}.toml")])
        assert (result.exit_code, result.stderr[:6]) == (status, code), command
