"""Checking a log: every way to tamper is found and named; and the officer's commands."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from gateway.adapters.login import login
from gateway.adapters.store import LogReader
from gateway.agreement.identifiers import dossier_number
from gateway.cli import log_processes
from gateway.cli.log import app
from gateway.cli.log_place import Place
from gateway.cli.log_verify import check
from gateway.exchangelog import merkle
from gateway.exchangelog.audit import audit
from gateway.exchangelog.checkpoint import open_checkpoint, sign_checkpoint
from gateway.exchangelog.flaw import Finding, Flaw, Level
from gateway.exchangelog.leaf import Leaf
from gateway.exchangelog.note import Signer
from gateway.refusal import Code
from tests.exchanges import (
    exchange_entries,
    exchange_id,
    refusal_entry,
    request_entry,
    response_entry,
)
from tests.path import hub as memory
from tests.process import running
from tests.process.store_world import (
    KEY,
    ORIGIN,
    OTHER_KEY,
    SIGNER,
    VERIFIER,
    alter,
    append_all,
    fill,
    findings,
    flaws,
    open_store,
    query,
)

SIZE = 530  # two full tiles, a partial one, and a level above them
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A log of whole exchanges, a refusal at 528, and a request without an outcome at 529."""
    path = tmp_path_factory.mktemp("log") / "store.sqlite"

    entries = [entry for number in range(264) for entry in exchange_entries(f"t{number}")]
    asyncio.run(fill(path, [*entries, refusal_entry(code=Code.STATUS_DENIED), request_entry("open")]))
    return path


@pytest.fixture
def path(good, tmp_path):
    shutil.copytree(good.parent / "bucket-keys", tmp_path / "bucket-keys")
    return Path(shutil.copy(good, tmp_path / "store.sqlite"))


UNKNOWN = (Flaw.OUTCOME_UNKNOWN, 529)


def test_good_log_has_only_the_notice_of_the_open_request(path):
    (notice,) = findings(path)
    assert (notice.flaw, notice.index) == UNKNOWN
    assert notice.flaw.row.level is Level.NOTICE
    assert not notice.fails


def test_several_processes_find_what_one_finds(path, monkeypatch):
    alter(
        path,
        "UPDATE entries SET leaf = CAST(replace(leaf, 'consultDossier', 'consultStatus') AS BLOB) WHERE idx = 20",
        "UPDATE entries SET leaf = CAST(replace(leaf, '\"v\":1', '\"v\":2') AS BLOB) WHERE idx = 255",
        "DELETE FROM seeds WHERE idx = 256",
        "UPDATE entries SET digests = zeroblob(length(digests)) WHERE idx = 257",
        "UPDATE entries SET idx = -5 WHERE idx = 400",
        "UPDATE seeds SET subject = zeroblob(length(subject)) WHERE idx = 520",
    )
    monkeypatch.setattr(log_processes, "_RANGE", 256)  # three of them
    place = Place(path, [VERIFIER], bucket_keys=path.parent / "bucket-keys")
    one, several = (check(place, None, processes) for processes in (1, 2))
    assert several == one
    found = {(finding.flaw, finding.index) for finding in several[1]}
    assert found >= {
        (Flaw.ALTERED, 20),
        (Flaw.ENTRY_FORM, 255),
        (Flaw.SEED, 256),
        (Flaw.FIELDS, 257),
        (Flaw.SURPLUS, -5),
        (Flaw.MISSING, 400),
        (Flaw.WRAPPED, 520),
    }


def test_what_a_process_cannot_read_is_a_finding(path):
    alter(path, "DROP TABLE seeds")
    one, several = (check(Place(path, [VERIFIER]), None, processes) for processes in (1, 2))
    assert several == one
    assert Flaw.UNREADABLE in {finding.flaw for finding in several[1]}


ENTRY = "(idx, exchange, kind, leaf)"
TAMPERING = {
    "entry edited": (
        (
            "UPDATE entries SET leaf = CAST(replace(leaf, 'consultDossier', 'consultStatus') AS BLOB) WHERE idx = 300",
        ),
        {(Flaw.ALTERED, 300), (Flaw.PAIRING, 301)},
    ),
    "entry out of form": (
        ("UPDATE entries SET leaf = CAST(replace(leaf, '\"v\":1', '\"v\":2') AS BLOB) WHERE idx = 301",),
        {(Flaw.ALTERED, 301), (Flaw.ENTRY_FORM, 301), (Flaw.OUTCOME_UNKNOWN, 300)},
    ),
    "entry is no JSON": (
        ("UPDATE entries SET leaf = x'00' WHERE idx = 528",),
        {(Flaw.ALTERED, 528), (Flaw.ENTRY_FORM, 528)},
    ),
    "entry deleted": (
        ("DELETE FROM seeds WHERE idx = 528", "DELETE FROM entries WHERE idx = 528"),
        {(Flaw.MISSING, 528)},
    ),
    "first entry deleted": (
        ("DELETE FROM seeds WHERE idx = 0", "DELETE FROM entries WHERE idx = 0"),
        {(Flaw.MISSING, 0), (Flaw.PAIRING, 1)},
    ),
    "entries truncated": (
        ("DELETE FROM seeds WHERE idx >= 528", "DELETE FROM entries WHERE idx >= 528"),
        {(Flaw.MISSING, 528)},  # to entry 529
    ),
    "size of the head that nobody signed": (
        ("UPDATE head SET size = 1 << 40, note = x'00'",),
        {(Flaw.NOTE_FORM, None), (Flaw.MISSING, 530), (Flaw.TILE, None)},
    ),
    "entries reordered": (
        (
            "UPDATE entries SET idx = -5 WHERE idx = 528",
            "UPDATE entries SET idx = 528 WHERE idx = 529",
            "UPDATE entries SET idx = 529 WHERE idx = -5",
        ),
        {
            (Flaw.ALTERED, 528),
            (Flaw.ALTERED, 529),
            (Flaw.OUTCOME_UNKNOWN, 528),
            (Flaw.MESSAGE_GONE, 528),  # what is kept stayed where it was
        },
    ),
    "entry added": (
        (
            "INSERT INTO entries SELECT 530, 'x', kind, leaf, NULL, NULL, NULL, NULL FROM entries WHERE idx = 528",
        ),
        {(Flaw.SURPLUS, 530)},
    ),
    "entry added before the first": (
        (
            "INSERT INTO entries SELECT -1, 'x', kind, leaf, NULL, NULL, NULL, NULL FROM entries WHERE idx = 528",
        ),
        {(Flaw.SURPLUS, -1)},
    ),
    "lookup of the exchange changed": (
        ("UPDATE entries SET exchange = 'x' WHERE idx = 528",),
        {(Flaw.COLUMN, 528)},
    ),
    "kind changed": (("UPDATE entries SET kind = 'request' WHERE idx = 528",), {(Flaw.COLUMN, 528)}),
    "ticket taken away": (
        ("UPDATE entries SET authority = NULL, ticket = NULL WHERE idx = 2",),
        {(Flaw.CLAIM, 2)},
    ),
    "ticket given to a refusal": (
        ("UPDATE entries SET authority = 'BRUSSELS', ticket = x'00' WHERE idx = 528",),
        {(Flaw.CLAIM, 528)},
    ),
    "ticket used twice": (
        (
            "DROP INDEX claims",
            "UPDATE entries SET ticket = (SELECT ticket FROM entries WHERE idx = 0) WHERE idx = 2",
        ),
        {(Flaw.CLAIM, 2)},
    ),
    "digest changed": (
        ("UPDATE entries SET digests = zeroblob(length(digests)) WHERE idx = 3",),
        {(Flaw.FIELDS, 3)},
    ),
    "digest taken away": (
        ("UPDATE entries SET digests = substr(digests, 33) WHERE idx = 3",),
        {(Flaw.FIELD_FORM, 3)},
    ),
    "field records taken away": (
        ("UPDATE entries SET digests = NULL, view = NULL WHERE idx = 3",),
        {(Flaw.FIELDS, 3)},
    ),
    "field records given to a request": (
        ("UPDATE entries SET digests = x'', view = (SELECT hash FROM views) WHERE idx = 2",),
        {(Flaw.FIELD_FORM, 2)},
    ),
    "tile altered": (
        (
            "UPDATE tiles SET hashes = CAST(zeroblob(32) || substr(hashes, 33) AS BLOB) WHERE level = 0 AND n = 1",
        ),
        {(Flaw.TILE, None)},
    ),
    "tile overwritten": (
        ("UPDATE tiles SET hashes = zeroblob(length(hashes)) WHERE level = 0 AND n = 0",),
        {(Flaw.TILE, None)},
    ),
    "last tile overwritten": (
        ("UPDATE tiles SET hashes = zeroblob(length(hashes)) WHERE level = 0 AND n = 2",),
        {(Flaw.TILE, None)},
    ),
    "tile overwritten, and an entry of it edited": (
        (
            "UPDATE tiles SET hashes = zeroblob(length(hashes)) WHERE level = 0 AND n = 1",
            "UPDATE entries SET leaf = x'00' WHERE idx = 301",
        ),
        {
            (Flaw.TILE, None),
            (Flaw.ALTERED, 256),
            (Flaw.TREE, None),
            (Flaw.ENTRY_FORM, 301),
            (Flaw.OUTCOME_UNKNOWN, 300),
        },
    ),
    "many entries of a tile edited": (
        ("UPDATE entries SET leaf = CAST(replace(leaf, 'WORK_DECISION', 'DOSSIER') AS BLOB) WHERE idx < 40",),
        {(Flaw.ALTERED, 0)},
    ),
    "tile missing": (
        ("DELETE FROM tiles WHERE level = 0 AND n = 2",),
        {(Flaw.TILE, None)},
    ),
    "upper tile altered": (
        ("UPDATE tiles SET hashes = zeroblob(length(hashes)) WHERE level = 1",),
        {(Flaw.TILE, None)},
    ),
    "upper tile missing": (("DELETE FROM tiles WHERE level = 1",), {(Flaw.TILE, None)}),
    "tile added": (("INSERT INTO tiles VALUES (3, 0, zeroblob(32))",), {(Flaw.SURPLUS, None)}),
    "tile added before the first": (
        ("INSERT INTO tiles VALUES (0, -1, zeroblob(32))", "INSERT INTO tiles VALUES (-1, 0, zeroblob(32))"),
        {(Flaw.SURPLUS, None)},
    ),
    "root of the head changed": (("UPDATE head SET root = zeroblob(32)",), {(Flaw.HEAD, None)}),
    "size of the head changed": (("UPDATE head SET size = 529",), {(Flaw.HEAD, None), (Flaw.SURPLUS, 529)}),
    "seed erased without a record": (("DELETE FROM seeds WHERE idx = 7",), {(Flaw.SEED, 7)}),
}


@pytest.mark.parametrize("tampering", TAMPERING)
def test_tampering_is_found_and_named(path, tampering):
    statements, expected = TAMPERING[tampering]
    alter(path, *statements)
    found = flaws(path)
    assert expected <= found
    assert found - expected <= {UNKNOWN}
    assert any(finding.fails for finding in findings(path))


def test_altered_vector_accuses_every_response_that_used_it(path):
    alter(path, "UPDATE views SET vector = CAST(replace(vector, 'ROLE', 'CONTEXT') AS BLOB)")
    assert {(Flaw.FIELDS, index) for index in range(1, 528, 2)} == flaws(path) - {UNKNOWN}


def test_vector_that_is_gone_or_malformed_accuses_every_response_that_used_it(path):
    alter(path, "UPDATE views SET vector = x'5b'")
    assert {(Flaw.FIELD_FORM, index) for index in range(1, 528, 2)} == flaws(path) - {UNKNOWN}
    alter(path, "PRAGMA foreign_keys = 0", "DELETE FROM views")
    assert {(Flaw.FIELDS, index) for index in range(1, 528, 2)} == flaws(path) - {UNKNOWN}


def test_all_findings_are_reported_not_the_first_alone(path):
    alter(path, "DELETE FROM seeds WHERE idx IN (1, 3)", "UPDATE entries SET leaf = x'00' WHERE idx = 528")
    assert {(Flaw.SEED, 1), (Flaw.SEED, 3), (Flaw.ALTERED, 528)} <= flaws(path)


def test_checkpoint_of_another_key_is_found_and_the_rest_still_checked(path):
    root = query(path, "SELECT root FROM head")[0][0]
    note = sign_checkpoint(SIZE, root, [Signer.of(ORIGIN, OTHER_KEY)])
    alter(path, "UPDATE head SET note = ?", bindings=(note,))
    alter(path, "DELETE FROM seeds WHERE idx = 1")
    assert flaws(path) == {(Flaw.UNSIGNED, None), (Flaw.SEED, 1), UNKNOWN}


def rewrite(path: Path, signer: Signer) -> None:
    """The strongest insider: edits the last entry, and makes tiles, head and signature agree with it."""
    leaf = query(path, "SELECT leaf FROM entries WHERE idx = 529")[0][0]
    forged = leaf.replace(b"WIB:WORK_DECISION", b"WIB:DOSSIER")
    Leaf.parse(forged)
    tile = query(path, "SELECT hashes FROM tiles WHERE level = 0 AND n = 2")[0][0]
    alter(path, "UPDATE entries SET leaf = ? WHERE idx = 529", bindings=(forged,))
    alter(
        path,
        "UPDATE tiles SET hashes = ? WHERE level = 0 AND n = 2",
        bindings=(tile[:-32] + merkle.leaf_hash(forged),),
    )
    leaves = [merkle.leaf_hash(row[0]) for row in query(path, "SELECT leaf FROM entries ORDER BY idx")]
    root = merkle.root(leaves)
    alter(path, "UPDATE head SET root = ?, note = ?", bindings=(root, sign_checkpoint(SIZE, root, [signer])))


def test_history_rewritten_without_the_key_is_found(path):
    rewrite(path, Signer.of(ORIGIN, OTHER_KEY))
    assert flaws(path) == {(Flaw.UNSIGNED, None), UNKNOWN}


def test_history_rewritten_with_the_key_is_found_by_whoever_kept_a_checkpoint(path):
    with LogReader.open(path) as log:
        pinned = open_checkpoint(log.checkpoint, [VERIFIER])
    assert {(finding.flaw, finding.index) for finding in findings(path, pinned)} == {UNKNOWN}
    rewrite(path, SIGNER)
    assert flaws(path) == {UNKNOWN}
    assert Finding(Flaw.ROLLBACK, about=f"pinned size {SIZE}") in findings(path, pinned)


async def test_outcomes_that_do_not_belong_to_their_request_are_found(tmp_path):
    path, stray, twice, repeated = tmp_path / "store.sqlite", exchange_id(), exchange_id(), exchange_id()
    await fill(
        path,
        [
            response_entry(stray),
            request_entry("a", twice),
            response_entry(twice),
            refusal_entry(twice),  # signing failed after commit 2: both are the truth
            request_entry("b", repeated),
            refusal_entry(repeated, Code.PROVIDER_TIMEOUT),
            response_entry(repeated),
            refusal_entry(),
        ],
    )
    assert flaws(path) == {(Flaw.PAIRING, 0), (Flaw.PAIRING, 6)}


async def test_exchange_recorded_twice_is_found_though_the_index_is_gone(path):
    alter(
        path,
        "DROP INDEX exchanges",
        "UPDATE entries SET exchange = (SELECT exchange FROM entries WHERE idx = 0) WHERE idx = 2",
    )
    assert {(Flaw.COLUMN, 2), (Flaw.PAIRING, 2)} <= flaws(path)


async def test_log_that_grows_while_it_is_checked_stays_good(path):
    async with open_store(path) as store:
        with LogReader.open(path) as log:
            head = log.head()
            await append_all(store, [request_entry(f"u{number}") for number in range(300)])
            assert {(finding.flaw, finding.index) for finding in audit(log, head, [VERIFIER])} == {UNKNOWN}
    assert not any(finding.fails for finding in findings(path))


def test_empty_file_name_of_no_store_is_refused(tmp_path):
    result = run("list", "--store", tmp_path / "none.sqlite")
    assert (result.exit_code, result.stderr[:7]) == (1, "LOG506:")


@contextmanager
def unprivileged() -> Iterator[None]:
    """Permissions bind everybody but root."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65_534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_copy_where_nothing_may_be_written_can_be_read(good):
    with TemporaryDirectory() as directory:
        copy = Path(shutil.copy(good, directory))
        copy.chmod(0o444)
        Path(directory).chmod(0o555)
        with unprivileged():
            assert flaws(copy) == {UNKNOWN}
        Path(directory).chmod(0o700)


def test_reading_leaves_the_file_as_it_is(path):
    before = path.read_bytes()
    assert run("verify", "--store", path, "--vkey", VERIFIER.vkey).exit_code == 0
    assert path.read_bytes() == before


async def test_second_request_of_one_exchange_is_found(tmp_path):
    path, exchange = tmp_path / "store.sqlite", exchange_id()
    await open_store(path).close()
    alter(path, "DROP INDEX exchanges")
    await fill(path, [request_entry("a", exchange), request_entry("b", exchange), response_entry(exchange)])
    assert flaws(path) == {(Flaw.PAIRING, 1)}


def test_pin_over_damaged_tiles_is_a_finding(path):
    with LogReader.open(path) as log:
        pinned = open_checkpoint(log.checkpoint, [VERIFIER])
    alter(path, "DELETE FROM tiles WHERE level = 0 AND n = 2")
    assert Finding(Flaw.TILE, about="below the pinned checkpoint") in findings(path, pinned)


# The commands


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def run_json(*arguments: object):
    result = run(*arguments, "--json")
    return result.exit_code, json.loads(result.stdout)


def test_verify_says_what_it_checked(path):
    result = run("verify", "--store", path, "--vkey", VERIFIER.vkey)
    assert result.exit_code == 0
    assert ORIGIN in result.stdout
    assert "LOG411" in result.stdout
    status, told = run_json("verify", "--store", path, "--vkey", VERIFIER.vkey)
    root = b64encode(query(path, "SELECT root FROM head")[0][0]).decode()
    assert (status, told["verified"], told["origin"], told["size"], told["root"]) == (
        0,
        True,
        ORIGIN,
        SIZE,
        root,
    )
    assert [(one["code"], one["level"], one["index"]) for one in told["findings"]] == [
        ("LOG411", "notice", 529)
    ]


def test_verify_fails_with_every_finding(path):
    alter(path, "DELETE FROM seeds WHERE idx IN (1, 3)")
    result = run("verify", "--store", path, "--vkey", VERIFIER.vkey)
    assert result.exit_code == 1
    assert result.stderr.count("LOG412") == 2
    status, told = run_json("verify", "--store", path, "--vkey", VERIFIER.vkey)
    assert (status, told["verified"]) == (1, False)
    assert {(one["code"], one["index"]) for one in told["findings"]} >= {("LOG412", 1), ("LOG412", 3)}


def test_verify_of_a_broken_file_still_reports(path):
    data = bytearray(path.read_bytes())
    for page in range(64, len(data) // 4096 - 1):  # what stands before says where the tables are
        data[page * 4096 : page * 4096 + 100] = b"\xff" * 100
    path.write_bytes(data)
    status, told = run_json("verify", "--store", path, "--vkey", VERIFIER.vkey)
    assert (status, told["verified"]) == (1, False)
    assert "LOG508" in {one["code"] for one in told["findings"]}


def test_verify_takes_the_key_from_a_file_and_needs_one(path, tmp_path):
    tmp_path.joinpath("log.vkey").write_text(VERIFIER.vkey + "\n")
    assert run("verify", "--store", path, "--vkey-file", tmp_path / "log.vkey").exit_code == 0
    for arguments, code in (
        (("--store", path), "LOG504"),
        (("--store", path, "--vkey", "x"), "LOG202"),
        (("--store", path, "--vkey-file", tmp_path / "none"), "LOG509"),
        (("--vkey", VERIFIER.vkey), "LOG505"),
    ):
        result = run("verify", *arguments)
        assert (result.exit_code, result.stderr[:6]) == (1, code)


def test_verify_against_a_kept_checkpoint(path, tmp_path):
    with LogReader.open(path) as log:
        tmp_path.joinpath("pin").write_bytes(log.checkpoint)
    pin = ("--pin", tmp_path / "pin")
    assert run("verify", "--store", path, "--vkey", VERIFIER.vkey, *pin).exit_code == 0
    rewrite(path, SIGNER)
    assert run("verify", "--store", path, "--vkey", VERIFIER.vkey).exit_code == 0
    status, told = run_json("verify", "--store", path, "--vkey", VERIFIER.vkey, *pin)
    assert status == 1
    assert "LOG413" in {one["code"] for one in told["findings"]}


def test_proof_is_written_and_checked_offline(path, tmp_path):
    proof = tmp_path / "entry.tlog-proof"
    assert run("prove", 300, "--store", path, "--output", proof).exit_code == 0
    assert run("prove", 300, "--store", path).stdout == proof.read_text()
    status, told = run_json("verify", "--proof", proof, "--vkey", VERIFIER.vkey)
    assert (status, told["verified"], told["index"], told["entry"]["kind"]) == (0, True, 300, "request")
    other = Signer.of(ORIGIN, OTHER_KEY).verifier.vkey
    result = run("verify", "--proof", proof, "--vkey", other)
    assert (result.exit_code, result.stderr[:6]) == (1, "LOG204")


def test_proof_without_its_entry_is_checked_with_the_entry_given(path, tmp_path):
    proof, entry = tmp_path / "entry.tlog-proof", tmp_path / "entry.json"
    with LogReader.open(path) as log:
        entry.write_bytes(log.entry(5))
        lines = log.prove(5).serialise().split(b"\n")
    proof.write_bytes(b"\n".join(line for line in lines if not line.startswith(b"extra ")))
    result = run("verify", "--proof", proof, "--vkey", VERIFIER.vkey)
    assert (result.exit_code, result.stderr[:6]) == (1, "LOG207")
    assert run("verify", "--proof", proof, "--entry", entry, "--vkey", VERIFIER.vkey).exit_code == 0
    entry.write_bytes(b"{}")
    result = run("verify", "--proof", proof, "--entry", entry, "--vkey", VERIFIER.vkey)
    assert (result.exit_code, result.stderr[:6]) == (1, "LOG104")


@pytest.mark.parametrize("command", ["show", "prove"])
def test_entry_that_does_not_exist_is_said_with_a_remedy(path, command):
    result = run(command, SIZE, "--store", path)
    assert (result.exit_code, result.stderr[:6]) == (1, "LOG503")
    assert "gateway log list" in result.stderr


def indices(path: Path, *filters: object) -> list[int]:
    status, told = run_json("list", "--store", path, *filters)
    assert status == 0
    return [one["index"] for one in told["entries"]]


def test_list_shows_the_newest_first_page_by_page(path):
    assert indices(path, "--limit", 3) == [529, 528, 527]
    assert indices(path, "--limit", 3, "--before", 527) == [526, 525, 524]
    assert indices(path, "--before", 2) == [1, 0]
    assert len(indices(path)) == 50


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (("--kind", "refusal"), [528]),
        (("--code", "WIB07006"), [528]),
        (("--kind", "request"), [529, 526, 524]),
        (("--operation", "consultDossier", "--kind", "response"), [527, 525, 523]),
        (("--operation", "consultStatus"), []),
        (("--authority", "0999000110"), [529, 528, 527]),
        (("--authority", "0999000209"), [529, 527, 526]),
        (("--authority", "0999000209/PLATFORM"), [529, 527, 526]),
        (("--authority", "0999000209/SOCIAL-SECURITY"), []),
        (("--since", "2026-03-14"), [529, 528, 527]),
        (("--since", "2026-03-14T15:09:27"), []),
    ],
)
def test_list_is_narrowed_by_filters(path, filters, expected):
    assert indices(path, *filters, "--limit", 3) == expected


def test_list_and_show_survive_an_entry_that_was_altered(path):
    alter(path, "UPDATE entries SET leaf = x'00' WHERE idx = 528")
    assert "LOG301" in run("list", "--store", path).stdout
    assert indices(path, "--kind", "refusal") == []
    status, told = run_json("show", 528, "--store", path)
    assert (status, told["entry"], told["flaws"]) == (0, None, ["LOG404", "LOG301"])
    assert run("show", 528, "--store", path).exit_code == 0


def test_list_and_show_mark_an_entry_that_is_not_the_one_in_the_tree_and_prove_refuses_it(path, tmp_path):
    alter(
        path,
        "UPDATE entries SET leaf = CAST(replace(leaf, 'WORK_DECISION', 'DOSSIER') AS BLOB) WHERE idx = 300",
    )
    listed = run("list", "--store", path, "--before", 302, "--limit", 3).stdout.splitlines()
    assert [line.split()[0] for line in listed if "LOG404" in line] == ["300"]
    assert "LOG404" in run("show", 300, "--store", path).stdout
    assert run_json("show", 301, "--store", path)[1]["flaws"] == []
    proof = tmp_path / "entry.tlog-proof"
    result = run("prove", 300, "--store", path, "--output", proof)
    assert (result.exit_code, result.stderr[:6]) == (1, "LOG404")
    assert not proof.exists()


def test_show_names_what_was_released_and_withheld(path):
    status, told = run_json("show", 301, "--store", path)
    assert status == 0
    assert told["exchange"] == [300, 301]
    assert {one["path"]: one["verdict"] for one in told["fields"]} == {
        "dossier/contact/email": "withheld",
        "dossier/contact/phone": "withheld",
        "dossier/header/status": "released",
        "dossier/workPlace/address/street": "withheld",
        "dossier/worker/familyName": "released",
        "dossier/worker/ssin": "released",
    }
    shown = run("show", 301, "--store", path).stdout
    assert "dossier/contact/email" in shown
    assert "withheld" in shown
    assert run_json("show", 300, "--store", path)[1]["fields"] == []


def write_settings(path, tmp_path):
    key = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    tmp_path.joinpath("log.key.pem").write_bytes(key)
    tmp_path.joinpath("log.key.pem").chmod(0o600)
    register = ROOT / "contracts/register.toml"
    settings = tmp_path / "gateway.toml"
    settings.write_text(
        f"""
[listen]
public_url = "https://gateway.example/soap/v1"
[contracts]
directory = "{register.parent}"
register = "{register}"
signatures = "x"
[keys]
tls_certificate = "x"
tls_key = "x"
sign_rsa_certificate = "x"
sign_rsa_key = "x"
sign_ec_certificate = "x"
sign_ec_key = "x"
log_key = "log.key.pem"
directory_key = "x"
payload_key = "x"
[documents]
spool = "x"
store = "x"
[trust]
anchors = []
intermediates = []
crls = []
enrolled = "x"
[outbound]
allow = []
[log]
store = "{path}"
origin = "{ORIGIN}"
bucket_keys = "bucket-keys"
officers = [{{ user = "{login()}", id = "officer-7", authority = "HUB", rights = ["search", "person"] }}]
"""
    )
    return settings


@pytest.fixture
def settings(path, tmp_path):
    return write_settings(path, tmp_path)


def test_settings_name_the_log_its_key_and_its_parties(path, settings, tmp_path):
    key = tmp_path.joinpath("log.key.pem").read_bytes()
    assert run_json("verify", "--config", settings)[0] == 0
    tmp_path.joinpath("log.key.pem").write_text("no key")
    assert run("verify", "--config", settings).stderr[:6] == "LOG202"
    tmp_path.joinpath("log.key.pem").write_bytes(key)
    assert run("list", "--config", settings).exit_code == 0
    assert indices(path, "--config", settings, "--authority", "BRUSSELS", "--limit", 1) == []


def test_a_ticket_of_another_authority_than_the_entry_names_is_found(path, settings):
    """The id beside the entry and the number in it, where the register has that number."""
    parties = {"BRUSSELS": "0999000110", "FLANDERS": "0999000308"}

    def found(**known: object):
        with LogReader.open(path) as log:
            return {(one.flaw, one.index) for one in audit(log, log.head(), [VERIFIER], **known)}

    assert found(parties=parties) == {UNKNOWN}
    alter(path, "UPDATE entries SET authority = 'FLANDERS' WHERE idx = 2")
    assert found(parties=parties) == {UNKNOWN, (Flaw.CLAIM, 2)}
    assert found() == found(parties={"FLANDERS": "0999000308"}) == {UNKNOWN}
    assert run("verify", "--config", settings).exit_code == 0  # that register has other numbers


def test_a_value_that_no_entry_can_have_is_a_mistake_that_names_the_others(path, settings):
    for arguments, instead in (
        (("--kind", "answer"), "response"),
        (("--operation", "consultDosier"), "consultDossier"),
        (("--code", "WIB99999"), "WIB07005"),
        (("--authority", "BRUSELS"), "--config"),
        (("--authority", "BRUSELS", "--config", settings), "BRUSSELS"),
        (("--authority", "0123456789", "--config", settings), "BRUSSELS"),
        (("--dossier", "WIB-2026-0000001-00", "--config", settings), "WIB-YYYY"),
        (("--field", "G99", "--config", settings), "G16"),
        (("--field", "G16.wage", "--config", settings), "G16.amount"),
    ):
        result = run("list", "--store", path, *arguments)
        assert (result.exit_code, result.stderr[:7]) == (1, "LOG510:"), arguments
        assert instead in result.stderr, arguments
    assert run("list", "--store", path, "--field", "G16").stderr[:6] == "LOG505"


def test_list_says_how_many_there_are_and_how_to_go_on(path):
    result = run("list", "--store", path, "--kind", "response", "--limit", 200)
    assert result.stderr == "200 of 264 entries; next: --before 129\n"
    result = run("list", "--store", path, "--kind", "response", "--limit", 200, "--before", 129)
    assert result.stderr == "64 of 264 entries\n"
    assert run("list", "--store", path, "--limit", 10).stderr == "10 of 530 entries; next: --before 520\n"
    told = run_json("list", "--store", path, "--kind", "refusal")[1]
    assert (told["total"], told["next"]) == (1, None)


def test_lists_are_whole_also_where_there_is_no_room(path):
    result = CliRunner().invoke(app, ["list", "--store", str(path), "--limit", "3"], env={"COLUMNS": "20"})
    lines = result.stdout.splitlines()
    assert len(lines) == 4
    assert "2026-03-14T15:09:26.535Z" in lines[1]
    assert "0999000209/PLATFORM" in lines[1]


async def test_entries_of_a_dossier_are_found_by_opening_their_commitments(tmp_path):
    path, exchange = tmp_path / "store.sqlite", exchange_id()
    entries = [request_entry("a", exchange), response_entry(exchange), refusal_entry()]
    await fill(path, entries)
    known, config = "WIB-2026-0000001-59", ("--config", write_settings(path, tmp_path))
    found = indices(path, "--dossier", known, *config)
    assert found == [2, 1, 0]
    assert indices(path, "--dossier", dossier_number(2026, 2), *config) == []
    alter(path, "DELETE FROM seeds WHERE idx = 1")
    assert indices(path, "--dossier", known, "--before", 3, *config) == [2, 0]


def test_responses_that_released_a_field_are_found_by_field_and_by_group(path, settings):
    released = indices(path, "--config", settings, "--field", "G02.ssin")
    assert released == list(range(527, 427, -2))
    assert indices(path, "--config", settings, "--field", "G02") == released
    assert indices(path, "--config", settings, "--field", "G05") == []
    shown = run_json("show", 301, "--config", settings)[1]["fields"]
    assert {one["path"]: (one["group"], one["field"]) for one in shown}["dossier/worker/ssin"] == (
        "G02",
        "G02.ssin",
    )
    assert "G02.ssin" in run("show", 301, "--config", settings).stdout


def test_a_log_begins_with_a_command_and_only_once(path, settings):
    path.unlink()
    told = run_json("init", "--config", settings)[1]
    assert told == {
        "origin": ORIGIN,
        "vkey": VERIFIER.vkey,
        "vkeys": [VERIFIER.vkey],
        "store": str(path),
        "size": 0,
    }
    assert run_json("verify", "--config", settings)[1]["size"] == 0
    before = path.read_bytes()
    assert run("init", "--config", settings).stderr[:6] == "LOG507"
    assert path.read_bytes() == before


def test_a_hub_begins_no_log_behind_a_mistyped_path(tmp_path):
    memory.place_pki(tmp_path / "pki")
    store = running.write_settings(tmp_path, "https://127.0.0.1:9/soap", {}).log.store
    store.unlink()
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(tmp_path / "gateway.toml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "LOG506: " in done.stderr
    assert "gateway log init" in done.stderr
    assert not store.exists()


def test_checkpoint_is_verified_and_printed_as_it_can_be_pinned(path, settings, tmp_path):
    pin = tmp_path / "pin"
    pin.write_text(run("checkpoint", "--config", settings).stdout)
    with LogReader.open(path) as log:
        assert pin.read_bytes() == log.checkpoint
    assert run("verify", "--config", settings, "--pin", pin).exit_code == 0
    assert run_json("checkpoint", "--config", settings)[1]["size"] == SIZE
    other = Signer.of(ORIGIN, OTHER_KEY).verifier.vkey
    assert run("checkpoint", "--store", path, "--vkey", other).stderr[:6] == "LOG204"
    alter(path, "UPDATE tiles SET hashes = zeroblob(length(hashes)) WHERE n = 2")
    result = run("checkpoint", "--config", settings)
    assert (result.exit_code, result.stdout, result.stderr[:6]) == (1, "", "LOG407")


def test_key_that_is_printed_is_one_that_verify_takes(path, settings, tmp_path):
    assert run_json("vkey", "--config", settings)[1] == {
        "origin": ORIGIN,
        "vkey": VERIFIER.vkey,
        "vkeys": [VERIFIER.vkey],
    }
    file = tmp_path / "log.vkey"
    file.write_text(run("vkey", "--config", settings).stdout)
    assert run("verify", "--store", path, "--vkey-file", file).exit_code == 0


def test_no_option_is_passed_over_by_a_check_that_does_not_look_at_it(settings, tmp_path):
    """Whoever gives a checkpoint believes that it was compared."""
    proof, kept = tmp_path / "entry.tlog-proof", tmp_path / "kept"
    run("prove", 3, "--config", settings, "--output", proof)
    kept.write_text(run("checkpoint", "--config", settings).stdout)
    key = ("--vkey", VERIFIER.vkey)
    assert run("verify", "--proof", proof, *key, "--pin", kept).stderr[:6] == "LOG510"
    for option in ("--reply", "--disclosure", "--answer"):
        assert run("verify", option, proof, *key, "--pin", kept).exit_code == 2
    assert run("verify", "--config", settings, "--entry", proof).exit_code == 2


def test_a_proof_file_can_be_pinned(path, settings, tmp_path):
    proof = tmp_path / "entry.tlog-proof"
    run("prove", 3, "--config", settings, "--output", proof)
    assert run("verify", "--config", settings, "--pin", proof).exit_code == 0
    rewrite(path, SIGNER)
    assert run_json("verify", "--config", settings, "--pin", proof)[0] == 1


def test_what_is_wrong_with_another_file_names_that_file(path, tmp_path):
    none, text = tmp_path / "none", tmp_path / "text"
    text.write_text("text")
    key = ("--vkey", VERIFIER.vkey)
    for arguments, option, file, code in (
        (("verify", "--store", path, "--vkey-file", none), "--vkey-file", none, "LOG509"),
        (("verify", "--store", path, "--vkey-file", text), "--vkey-file", text, "LOG202"),
        (("verify", "--store", path, *key, "--pin", none), "--pin", none, "LOG509"),
        (("verify", "--store", path, *key, "--pin", text), "--pin", text, "LOG201"),
        (("verify", *key, "--proof", none), "--proof", none, "LOG509"),
        (("verify", *key, "--proof", text), "--proof", text, "LOG207"),
        (("verify", *key, "--proof", text, "--entry", none), "--entry", none, "LOG509"),
        (("prove", 3, "--store", path, "--output", none / "x"), "--output", none / "x", "LOG509"),
    ):
        result = run(*arguments)
        assert (result.exit_code, result.stderr[:6]) == (1, code), arguments
        assert f"{option} {file}" in result.stderr


def test_findings_begin_with_their_code_and_are_counted_in_words(path):
    alter(path, "DELETE FROM seeds WHERE idx = 1")
    result = run("verify", "--store", path, "--vkey", VERIFIER.vkey)
    assert result.stderr.startswith("LOG412: failure, entry 1: ")
    assert result.stdout.startswith("LOG411: notice, entry 529: ")
    assert result.stdout.endswith("1 failure; 1 notice.\n")


@pytest.mark.parametrize("command", [("show", "301"), ("list",)])
def test_a_reader_that_has_seen_enough_is_no_error(path, command):
    line = shlex.join([sys.executable, "-m", "gateway", "log", *command, "--store", str(path)])
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line} | head -1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    assert "Error" not in done.stderr
    assert "Exception" not in done.stderr
