"""`gateway evidence`: a hub that runs, a file that is exported beside it, and a check far from both."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from ssl import PEM_cert_to_DER_cert

import apsw
import pytest
import rfc8785
from typer.testing import CliRunner, Result

from gateway import app as application
from gateway import config, loading
from gateway.adapters.bucket_keys import BucketKeys
from gateway.adapters.store_reader import LogReader
from gateway.adapters.store_seeds import subject_of
from gateway.cli.commands import app
from gateway.cli.pki_files import renew
from gateway.evidence import container
from gateway.exchangelog.bucket import Bucket
from gateway.exchangelog.commitment import actor_commitment, body_commitment
from gateway.exchangelog.form import Kind
from gateway.exchangelog.leaf import Leaf
from tests.path.hub import DOSSIER, signed_question
from tests.process.running import OFFICER, Running, running_hub
from tests.process.stamping import make_authority, stamp
from tests.process.test_evidence_stamp import listed
from tests.process.test_ocsp import Responder, hub_that_asks, serial


async def consulted(hub: Running) -> None:
    data = signed_question("BRUSSELS", "consultDossier", "WIB:WORK_DECISION", None, datetime.now(UTC))
    assert (await hub.soap("BRUSSELS", data))[0] == 200


@pytest.fixture
async def place(tmp_path) -> Path:
    """Where a hub has run and answered a question."""
    async with running_hub(tmp_path) as hub:
        await consulted(hub)
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evidence", *map(str, arguments)])


def export(place: Path, *more: object) -> Path:
    file = place / "exchange.asice"
    done = run("export", 0, "--config", place / "gateway.toml", "--output", file, *more)
    assert done.exit_code == 0, done.output
    return file


def outside(place: Path) -> list[object]:
    """What an auditor has of the hub: the log's key and the root."""
    keys = place / "log.vkey"
    keys.write_text(CliRunner().invoke(app, ["log", "vkey", "--config", str(place / "gateway.toml")]).stdout)
    return ["--vkey-file", keys, "--anchor", place / "pki/root.crt.pem"]


def codes(done: Result) -> set[str]:
    return {finding["code"] for finding in json.loads(done.stdout)["findings"]}


async def test_file_is_exported_beside_a_running_hub_and_verified_elsewhere(tmp_path):
    responder = Responder()
    async with hub_that_asks(tmp_path, responder) as hub:
        await consulted(hub)
        file = export(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    # Only a responder cleared who signed: what it said is in the file.
    assert any(name.startswith("trust/answers/") for name in container.read(file.read_bytes()))
    done = run("verify", file, *outside(tmp_path), "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["verified"], told["findings"]) == (0, True, [])
    request, response = told["entries"]
    assert (request["kind"], response["kind"]) == ("request", "response")
    assert [one["messages"][0]["enterprise"] for one in told["entries"]] == [
        request["from"],
        response["to"][0],
    ]
    words = run("verify", file, *outside(tmp_path))
    assert "verified" in words.stdout
    assert "entry 0" in words.stdout


async def test_an_exchange_of_a_former_log_is_exported_by_the_log_in_force(place):
    vkey = outside(place)[1].read_text().split()[-1]
    former, text = vkey.partition("+")[0], (place / "gateway.toml").read_text()
    for old, new in (
        ('store = "store.db"', 'store = "next.db"'),
        (f'origin = "{former}"', f'origin = "{former}/next"'),
        ("\nformer = []", '\nformer = ["store.db"]'),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    settings, file = place / "next.toml", place / "exchange.asice"
    settings.write_text(text)
    ended = ("--from", place / "store.db", "--reason", "ended", "--vkey", vkey)
    done = CliRunner().invoke(app, ["log", "succeed", "--config", str(settings), *map(str, ended)])
    assert done.exit_code == 0, done.stderr
    loaded = loading.load(config.load(settings))
    async with application.hub(config.load(settings), loaded, io.StringIO(), asyncio.Event()):
        given = ("--config", settings, "--log", former, "--output", file, "--json")
        done = run("export", 0, *given)
    assert done.exit_code == 0, done.output
    told = json.loads(run("verify", file, *outside(place), "--json").stdout)
    assert (told["verified"], [one["index"] for one in told["entries"]]) == (True, [0, 1])
    with LogReader.open(place / "next.db") as log:
        said = json.loads(log.entry(json.loads(done.stdout)["access"]))
    assert (said["query"], said["of_log"], said["start"], said["end"]) == ("evidence", former, 0, 2)


async def test_who_was_revoked_later_is_judged_by_the_list_of_that_day(tmp_path):
    async with running_hub(tmp_path) as hub:
        await consulted(hub)
        before = {name.name: name.read_bytes() for name in hub.pki.glob("*.crl.pem")}
        renew(hub.pki, "issuing", datetime.now(UTC) + timedelta(minutes=1), [serial("BRUSSELS/sign")])
        assert (await hub.reload())["event"] == "reloaded"
        file = export(tmp_path)
        later = ["--crl", hub.pki / "issuing.crl.pem"]
        assert codes(run("verify", file, *outside(tmp_path), *later, "--json")) == set()
    # The list of that day is in the file, and so is that of the day of the export.
    lists = [name for name in container.read(file.read_bytes()) if name.startswith("trust/crls/")]
    assert len(lists) == len(before) + 1


async def test_file_that_was_changed_is_told_on_standard_error(place):
    file = export(place)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    done = run("verify", file, *outside(place))
    assert done.exit_code == 1
    assert "LOG661" in done.stderr
    assert codes(run("verify", file, *outside(place), "--json")) == {"LOG661"}


async def test_export_says_what_the_file_shows(place):
    file = place / "exchange.asice"
    done = run("export", 1, "--config", place / "gateway.toml", "--output", file, "--json")
    told = json.loads(done.stdout)
    assert told["verified"]
    assert told["file"] == str(file)
    assert [one["index"] for one in told["entries"]] == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["export", "7", "--config", "{place}/gateway.toml", "--output", "{place}/x"], "LOG503"),
        (["export", "0", "--config", "{place}/gateway.toml", "--output", "{place}"], "LOG509"),
        (["export", "0", "--config", "{place}/none.toml", "--output", "{place}/x"], "CFG001"),
        (
            ["export", "0", "--config", "{place}/gateway.toml", "--output", "{place}/x", "--timestamp", "{place}/x"],
            "LOG678",
        ),
        (
            ["export", "0", "--config", "{place}/gateway.toml", "--output", "{place}/x", "--checkpoint", "{place}/register.toml"],
            "LOG201",
        ),
        (["verify", "{place}/gateway.toml"], "LOG504"),
        (["verify", "{place}/none", "--vkey-file", "{place}/pki/HUB/log.vkey"], "LOG509"),
    ],
)  # fmt: skip
async def test_what_cannot_be_done_is_told_by_a_code(place, arguments, code):
    done = run(*(one.format(place=place) for one in arguments))
    assert done.exit_code == 1
    assert done.stderr.startswith(code)
    assert not (place / "x").exists()


@pytest.mark.parametrize("option", ["--anchor", "--tsa-anchor"])
async def test_a_file_without_a_certificate_is_no_anchor(place, option):
    file, known = export(place), outside(place)
    (place / "root.der").write_bytes(PEM_cert_to_DER_cert((place / "pki/root.crt.pem").read_text()))
    assert run("verify", file, *known, option, place / "root.der").exit_code == 0
    (place / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for spoiled in ("register.toml", "broken.pem"):
        done = run("verify", file, *known, option, place / spoiled, "--json")
        assert (done.exit_code, done.stdout, done.stderr[:6]) == (1, "", "LOG509")


async def test_entry_whose_bucket_is_erased_cannot_be_exported(place):
    for key in (place / "bucket-keys").rglob("*.key"):
        key.unlink()
    done = run("export", 0, "--config", place / "gateway.toml", "--output", place / "x")
    assert (done.exit_code, done.stderr[:6]) == (1, "LOG643")


@pytest.fixture
def authority(tmp_path) -> Path:
    return make_authority(tmp_path / "tsa")


def checkpoint(place: Path) -> Path:
    """Printed, and kept in a file, as an operator does."""
    file = place / "checkpoint"
    done = CliRunner().invoke(app, ["log", "checkpoint", "--config", str(place / "gateway.toml")])
    file.write_text(done.stdout)
    return file


async def test_time_stamp_of_a_checkpoint_says_since_when_all_of_it_is_there(tmp_path, authority):
    async with running_hub(tmp_path) as hub:
        await consulted(hub)
        note = checkpoint(tmp_path)
        token = stamp(authority, note)
        await consulted(hub)  # the log goes on: the file is under the checkpoint that was stamped
        file = export(tmp_path, "--checkpoint", note, "--timestamp", token)
    anchor = ["--tsa-anchor", authority / "root.pem"]
    assert codes(run("verify", file, *outside(tmp_path), *anchor, "--json")) == {"LOG688"}  # a notice
    (tmp_path / "tsa.crl").write_bytes(listed(authority))
    anchor += ["--tsa-crl", tmp_path / "tsa.crl"]
    told = json.loads(run("verify", file, *outside(tmp_path), *anchor, "--json").stdout)
    assert (told["verified"], told["findings"], told["size"]) == (True, [], 2)
    assert datetime.fromisoformat(told["time_stamp"]) <= datetime.now(UTC)
    assert codes(run("verify", file, *outside(tmp_path), "--json")) == {"LOG679"}
    stranger = ["--tsa-anchor", tmp_path / "pki/root.crt.pem"]
    assert codes(run("verify", file, *outside(tmp_path), *stranger, "--json")) == {"LOG678"}


async def test_time_stamp_of_another_file_is_refused(place, authority):
    token = stamp(authority, place / "register.toml")
    file = place / "exchange.asice"
    note = ["--checkpoint", checkpoint(place), "--timestamp", token]
    done = run("export", 0, "--config", place / "gateway.toml", "--output", file, *note, "--json")
    assert done.exit_code == 1
    assert "LOG678" in codes(done)


def last(place: Path) -> Leaf:
    with LogReader.open(place / "store.db") as log:
        return Leaf.parse(log.entry(log.head().size - 1))


async def test_who_has_an_evidence_file_is_on_record_before_it_is_written(place):
    file = place / "exchange.asice"
    done = run("export", 1, "--config", place / "gateway.toml", "--output", file, "--json")
    told, leaf = json.loads(done.stdout), last(place)
    assert told["access"] == 2
    assert (leaf.kind, leaf.more["query"], leaf.more["by"]) == (Kind.ACCESS, "evidence", "entry")
    assert (leaf.more["start"], leaf.more["end"]) == (0, 2)
    with LogReader.open(place / "store.db") as log:
        ((bucket, wrapped),) = log._query("SELECT bucket, subject FROM seeds WHERE idx = 2")
    seed = BucketKeys.open(place / "bucket-keys").unwrap(Bucket.parse(bucket), wrapped, subject_of(2))
    asked = rfc8785.dumps({"entry": "1", "sha256": hashlib.sha256(file.read_bytes()).hexdigest()})
    assert leaf.body == body_commitment(asked, seed)
    assert leaf.actor == actor_commitment("officer-1", seed)
    # Whoever looks for the dossier finds it.
    listed = CliRunner().invoke(
        app, ["log", "list", "--config", str(place / "gateway.toml"), "--dossier", DOSSIER, "--json"]
    )
    assert [one["index"] for one in json.loads(listed.stdout)["entries"]] == [2, 1, 0]


async def test_an_evidence_file_is_for_officers_of_the_whole_log(place):
    settings, file = place / "gateway.toml", place / "exchange.asice"
    text = settings.read_text()
    for officer, code in (
        (OFFICER.replace('"HUB"', '"BRUSSELS"'), "LOG733"),  # it took part, but messages are whole
        (OFFICER.replace('"person", ', ""), "LOG733"),
        (OFFICER.replace('"export", ', ""), "LOG733"),
        ("", "LOG732"),
    ):
        settings.write_text(text.replace(OFFICER, officer))
        done = run("export", 1, "--config", settings, "--output", file)
        assert (done.exit_code, done.stdout, done.stderr[:6]) == (1, "", code)
        assert not file.exists()
        assert last(place).kind is Kind.RESPONSE


async def test_no_file_no_record_of_one(place):
    for output in (place, place / "none" / "exchange.asice"):
        done = run("export", 1, "--config", place / "gateway.toml", "--output", output)
        assert (done.exit_code, done.stderr[:6]) == (1, "LOG509")
    with LogReader.open(place / "store.db") as log:
        assert log.head().size == 2


async def test_no_record_no_evidence_file(place):
    """The log has ended, so that nothing is appended."""
    with contextlib.closing(apsw.Connection(str(place / "store.db"))) as store:
        store.execute("INSERT INTO frozen VALUES (1, 0, x'00', x'')")
    file = place / "exchange.asice"
    done = run("export", 1, "--config", place / "gateway.toml", "--output", file)
    assert (done.exit_code, done.stderr[:6]) == (1, "LOG714")
    assert not file.exists()
