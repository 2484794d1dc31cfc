"""`gateway log export` and what checks an exported log: `verify --site`, `verify-range`, `prove-consistency`."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.adapters.site_directory import SiteDirectory, SiteWriter
from gateway.adapters.site_export import export
from gateway.adapters.store import LogReader
from gateway.cli.log import app
from gateway.exchangelog.checkpoint import open_checkpoint, sign_checkpoint
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.note import Signer
from gateway.exchangelog.site import check_site
from tests.exchanges import exchange_entries, request_entry
from tests.process.store_world import (
    ORIGIN,
    OTHER_KEY,
    SIGNER,
    VERIFIER,
    DiskError,
    alter,
    append_all,
    fill,
    open_store,
    query,
)
from tests.process.test_erasure import old, prune
from tests.sites import MemorySite, site_of

__all__ = ["old"]  # a fixture

SIZE = 530  # two full tiles, a partial one, and a level above them
KEY = ("--vkey", VERIFIER.vkey)


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("log") / "store.sqlite"
    asyncio.run(fill(path, [entry for number in range(265) for entry in exchange_entries(f"t{number}")]))
    return path


@pytest.fixture
def path(good, tmp_path) -> Path:
    shutil.copytree(good.parent / "bucket-keys", tmp_path / "bucket-keys")
    return Path(shutil.copy(good, tmp_path / "store.sqlite"))


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "site"


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def run_json(*arguments: object):
    result = run(*arguments, "--json")
    return result.exit_code, json.loads(result.stdout)


def exported(path: Path, out: Path):
    with LogReader.open(path) as log:
        return export(log, out, [VERIFIER])


def refused(path: Path, out: Path) -> Flaw:
    with pytest.raises(ProofError) as caught:
        exported(path, out)
    return caught.value.flaw


def files(out: Path) -> MemorySite:
    found = (path for path in out.rglob("*") if path.is_file())
    return MemorySite({path.relative_to(out).as_posix(): path.read_bytes() for path in found})


def flaws(out: Path) -> set[Flaw]:
    return {finding.flaw for finding in check_site(SiteDirectory(out), [VERIFIER])}


def leaves(path: Path) -> list[bytes]:
    return [leaf for (leaf,) in query(path, "SELECT leaf FROM entries ORDER BY idx")]


async def grow(path: Path, count: int, first: int) -> None:
    """So many requests more."""
    async with open_store(path) as store:
        await append_all(store, [request_entry(f"more{number}") for number in range(first, first + count)])


def test_the_directory_is_the_tree_byte_for_byte(path, out):
    exported(path, out)
    expected = site_of(leaves(path))
    expected["checkpoint"] = query(path, "SELECT note FROM head")[0][0]
    assert files(out) == expected
    assert flaws(out) == set()


def test_the_command_says_what_it_did_and_the_site_verifies(path, out):
    status, told = run_json("export", "--store", path, *KEY, "--output", out)
    assert (status, told["origin"], told["size"], told["before"], told["files"]) == (0, ORIGIN, SIZE, 0, 7)
    result = run("verify", "--site", out, *KEY)
    assert (result.exit_code, ORIGIN in result.stdout) == (0, True)
    status, told = run_json("verify", "--site", out, *KEY)
    assert (status, told["verified"], told["size"], told["findings"]) == (0, True, SIZE, [])
    assert run("export", "--store", path, *KEY, "--output", out).exit_code == 0


def test_only_its_owner_may_look_into_a_new_directory(path, out):
    exported(path, out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    out.chmod(0o755)
    exported(path, out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o755


async def test_an_export_that_is_continued_is_the_export_at_once(tmp_path, out):
    path, sizes = tmp_path / "store.sqlite", (0, 1, 5, 255, 256, 257, 600)
    await open_store(path).close()
    for before, size in zip((0, *sizes), sizes, strict=False):
        await grow(path, size - before, before)
        done = exported(path, out)
        assert (done.before, done.checkpoint.size) == (before, size)
        assert not any(finding.fails for finding in check_site(SiteDirectory(out), [VERIFIER]))
    assert files(out).items() >= files_at_once(path, tmp_path).items()
    partial = {one for one in files(out) if ".p/" in one}
    assert not [one for one in partial if one.startswith(("tile/0/000", "tile/0/001", "tile/entries/000"))]


def files_at_once(path: Path, tmp_path: Path) -> MemorySite:
    exported(path, tmp_path / "at-once")
    return files(tmp_path / "at-once")


def test_exporting_again_writes_no_more_than_the_edge(path, out):
    exported(path, out)
    before = files(out)
    done = exported(path, out)
    assert (done.before, done.files) == (SIZE, 3)  # the partial bundle, and the partial tile of each level
    assert files(out) == before


async def test_a_signature_more_is_exported_though_the_tree_is_the_same(path, out):
    exported(path, out)
    root = query(path, "SELECT root FROM head")[0][0]
    note = sign_checkpoint(SIZE, root, [SIGNER, Signer.of(ORIGIN, OTHER_KEY)])
    alter(path, "UPDATE head SET note = ?", bindings=(note,))
    exported(path, out)
    assert (out / "checkpoint").read_bytes() == note


def test_a_file_that_has_gone_comes_back(path, out):
    exported(path, out)
    before = files(out)
    (out / "tile/entries/000").unlink()
    assert flaws(out) == {Flaw.MISSING}
    exported(path, out)
    assert files(out) == before


# What the log no longer keeps.


async def test_what_was_pruned_is_exported_no_more_and_taken_away(old, out, tmp_path):
    exported(old, out)
    with LogReader.open(old) as log:
        pinned = open_checkpoint(log.checkpoint, [VERIFIER])
    assert {"tile/entries/000", "tile/entries/001"} <= files(out).keys()
    prune(old)
    exported(old, out)
    exported(old, tmp_path / "new")
    gone = {"tile/entries/000", "tile/entries/001"}
    for site in (out, tmp_path / "new"):
        assert gone.isdisjoint(files(site))
        assert {"tile/0/000", "tile/0/001", "tile/0/002.p/" + str(_last(site))} <= files(site).keys()
        assert not any(one.fails for one in check_site(SiteDirectory(site), [VERIFIER], pinned))
    for place in (("--store", old), ("--site", out)):
        assert run("verify-range", 512, 700, *place, *KEY).exit_code == 0
        assert run("verify-range", 511, 700, *place, *KEY).exit_code == 1
    result = run("verify-range", 511, 700, "--store", old, *KEY)
    assert "LOG650" in result.stderr


def _last(site: Path) -> int:
    """Entries in the last bundle."""
    return open_checkpoint((site / "checkpoint").read_bytes(), [VERIFIER]).size % 256


async def test_pruning_that_was_not_taken_over_is_taken_over_by_the_next_export(old, out, monkeypatch):
    exported(old, out)
    prune(old)
    with monkeypatch.context() as patch:
        patch.setattr(SiteWriter, "drop", lambda *_: (_ for _ in ()).throw(DiskError))
        with pytest.raises(DiskError):
            exported(old, out)
    assert not any(one.fails for one in check_site(SiteDirectory(out), [VERIFIER]))
    exported(old, out)
    assert "tile/entries/000" not in files(out)


# What is refused.


def test_a_directory_of_something_else_is_not_written_to(path, out):
    out.mkdir()
    (out / "letter.txt").write_text("Dear")
    assert refused(path, out) is Flaw.OTHER_DIRECTORY
    assert files(out) == {"letter.txt": b"Dear"}


OTHERS = {
    "another key": Signer.of(ORIGIN, OTHER_KEY),
    "another log": Signer.of("another.example/log", OTHER_KEY),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_directory_of_another_log_is_not_continued(path, out, other):
    out.mkdir()
    for name, data in site_of(leaves(path), OTHERS[other]).items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(data)
    before = files(out)
    assert refused(path, out) is Flaw.OTHER_DIRECTORY
    assert files(out) == before


def test_a_checkpoint_that_is_none_is_not_written_over(path, out):
    out.mkdir()
    (out / "checkpoint").write_text("mine")
    assert refused(path, out) is Flaw.OTHER_DIRECTORY


async def test_a_log_that_was_rolled_back_is_not_exported_over_what_it_was(path, out):
    backup = path.read_bytes()
    await grow(path, 3, 0)
    exported(path, out)
    before = files(out)
    path.write_bytes(backup)
    assert refused(path, out) is Flaw.NO_EXTENSION
    await grow(path, 3, 100)  # as long again, but another history
    assert refused(path, out) is Flaw.NO_EXTENSION
    await grow(path, 300, 200)
    assert refused(path, out) is Flaw.NO_EXTENSION
    assert files(out) == before


DAMAGE = {
    "an entry altered": ("UPDATE entries SET leaf = x'7b7d' WHERE idx = 300", Flaw.ALTERED),
    "an entry missing": (
        "PRAGMA foreign_keys = 0; DELETE FROM entries WHERE idx = 300",
        Flaw.MISSING,
    ),
    "the last entry missing": ("PRAGMA foreign_keys = 0; DELETE FROM entries WHERE idx = 529", Flaw.MISSING),
    "a full tile altered": (
        "UPDATE tiles SET hashes = zeroblob(8192) WHERE level = 0 AND n = 1",
        Flaw.ALTERED,
    ),
    "an upper tile altered": ("UPDATE tiles SET hashes = zeroblob(64) WHERE level = 1", Flaw.TREE),
    "the checkpoint altered": ("UPDATE head SET note = x'00'", Flaw.NOTE_FORM),
    "the head altered": ("UPDATE head SET root = zeroblob(32)", Flaw.HEAD),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("begun", [False, True], ids=["new", "continued"])
async def test_a_store_that_does_not_hold_is_not_exported(path, out, damage, begun):
    """What was exported before stays, under its checkpoint."""
    if begun:
        part = path.with_name("part.sqlite")
        await fill(part, [])
        exported(part, out)
    before = files(out)
    statement, flaw = DAMAGE[damage]
    alter(path, statement)
    assert refused(path, out) is flaw
    assert files(out).get("checkpoint") == before.get("checkpoint")
    assert not begun or not any(one.fails for one in check_site(SiteDirectory(out), [VERIFIER]))


def test_two_exports_do_not_write_to_one_directory(path, out):
    out.mkdir()
    descriptor = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert refused(path, out) is Flaw.EXPORTING
    os.close(descriptor)
    exported(path, out)


def test_what_is_wrong_is_told_with_a_code(path, out, tmp_path):
    (tmp_path / "file").touch()
    for arguments, code in (
        (("export", "--store", path, "--output", out), "LOG504"),
        (("export", *KEY, "--output", out), "LOG505"),
        (("export", "--store", tmp_path / "none", *KEY, "--output", out), "LOG506"),
        (("export", "--store", path, *KEY, "--output", tmp_path / "file"), "LOG509"),
        (("export", "--store", path, *KEY, "--output", tmp_path / "file/site"), "LOG509"),
        (("verify", "--site", out), "LOG504"),
        (("verify", "--site", tmp_path, *KEY), "LOG601"),
        (("verify", "--site", tmp_path / "none", *KEY), "LOG601"),
        (("verify-range", 0, 1, "--site", tmp_path, *KEY), "LOG601"),
        (("verify-range", 0, 1, *KEY), "LOG505"),
        (("verify-range", 0, SIZE + 1, "--store", path, *KEY), "LOG102"),
        (("verify-range", 5, 5, "--store", path, *KEY), "LOG102"),
        (("prove-consistency", SIZE + 1, "--store", path, *KEY), "LOG102"),
    ):
        result = run(*arguments)
        assert (result.exit_code, result.stderr[:6]) == (1, code), arguments


# A crash, and readers meanwhile.


class Crashing:
    """Fails at its n-th call of the system, before it is made or after."""

    CALLS = ("fsync", "mkdir", "open", "replace", "rmdir", "unlink")

    def __init__(self, patch: pytest.MonkeyPatch, at: int, *, done: bool) -> None:
        self.left = at
        self.done = done
        for name in self.CALLS:
            patch.setattr(os, name, self.wrapped(getattr(os, name)))
        patch.setattr(Path, "open", self.wrapped(Path.open))

    def wrapped(self, real):
        def call(*arguments, **options):
            self.left -= 1
            if self.left == 0 and not self.done:
                raise DiskError
            result = real(*arguments, **options)
            if self.left == 0:
                raise DiskError
            return result

        return call


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
async def test_wherever_an_export_ends_a_reader_finds_a_whole_log(path, out, monkeypatch, done):
    """At each call, failed, and failed but done: the checkpoint of before, or the new one; and then it goes on."""
    exported(path, out)
    await grow(path, 300, 0)
    kept = files(out)
    sizes = []
    for at in range(1, 500):
        shutil.rmtree(out)
        for name, data in kept.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(data)
        with monkeypatch.context() as patch, LogReader.open(path) as log:
            crashing = Crashing(patch, at, done=done)
            with contextlib.suppress(DiskError):
                export(log, out, [VERIFIER])
            finished = crashing.left > 0
        assert not any(finding.fails for finding in check_site(SiteDirectory(out), [VERIFIER])), at
        sizes.append(open_checkpoint((out / "checkpoint").read_bytes(), [VERIFIER]).size)
        if finished:
            break
        exported(path, out)
        assert flaws(out) <= {Flaw.OUTCOME_UNKNOWN}
    assert sizes == sorted(sizes)
    assert sizes[0] == SIZE
    assert sizes[-1] == SIZE + 300
    assert len(sizes) > 30


async def test_a_reader_beside_a_growing_export_always_finds_a_whole_log(tmp_path, out):
    path = tmp_path / "store.sqlite"
    await open_store(path).close()
    exported(path, out)
    seen = []

    def read_until(size: int) -> None:
        while not seen or seen[-1] < size:
            note = (out / "checkpoint").read_bytes()
            signed = open_checkpoint(note, [VERIFIER])
            assert not any(one.fails for one in check_site(SiteDirectory(out), [VERIFIER], signed))
            seen.append(signed.size)

    with ThreadPoolExecutor(1) as readers:
        reading = readers.submit(read_until, 600)
        for number in range(12):
            await grow(path, 50, number * 50)
            exported(path, out)
        reading.result()
    assert seen == sorted(seen)


# Ranges and consistency, by the commands.


def a_device(out: Path) -> None:
    name = next((out / "tile/entries").rglob("*.p/*"))
    name.unlink()
    name.symlink_to("/dev/zero")


def a_pipe(out: Path) -> None:
    (out / "checkpoint").unlink()
    os.mkfifo(out / "checkpoint")


@pytest.mark.parametrize("strange", [a_device, a_pipe])
def test_what_is_no_file_in_a_site_is_not_read(path, out, strange):
    """Of a site that somebody else hands over: a device has no end, and a pipe may have no other end."""
    assert exported(path, out)
    strange(out)
    told = run("verify", "--site", out, "--vkey", VERIFIER.vkey)
    assert (told.exit_code, "LOG509" in told.stderr) == (1, True)
    assert told.exception is None or isinstance(told.exception, SystemExit)


def test_a_file_name_writes_no_line_of_the_report(path, out):
    """Whoever hands a site over chooses the names in it."""
    assert exported(path, out)
    lie = b"x\nverified: every entry, hash, tile and the signature; 0 notices.\x1b[2J\xff"
    (out / "tile" / os.fsdecode(lie)).touch()
    told = run("verify", "--site", out, "--vkey", VERIFIER.vkey)
    assert told.exit_code == 0
    lines = told.stdout.splitlines()
    assert [line[:6] for line in lines if "LOG603" in line] == ["LOG603"]
    assert [line for line in lines if line.startswith("verified")] == [lines[-1]]
    assert "1 notice" in lines[-1]
    assert "\x1b" not in told.stdout


def test_a_range_is_complete_in_the_store_and_in_the_site(path, out):
    exported(path, out)
    for place in (("--store", path), ("--site", out)):
        assert run("verify-range", 250, 520, *place, *KEY).exit_code == 0
        status, told = run_json("verify-range", 0, SIZE, *place, *KEY)
        assert (status, told["verified"], told["start"], told["end"], told["size"]) == (
            0,
            True,
            0,
            SIZE,
            SIZE,
        )


def test_a_range_of_the_store_that_was_tampered_with_is_told_entry_by_entry(path):
    alter(
        path,
        "UPDATE entries SET leaf = x'7b7d' WHERE idx = 300",
        "DELETE FROM seeds WHERE idx = 310",
        "DELETE FROM entries WHERE idx = 310",
    )
    status, told = run_json("verify-range", 290, 320, "--store", path, *KEY)
    assert (status, told["verified"]) == (1, False)
    assert {(one["code"], one["index"]) for one in told["findings"]} >= {("LOG404", 300), ("LOG402", 310)}
    assert run("verify-range", 311, 529, "--store", path, *KEY).exit_code == 0
    result = run("verify-range", 290, 320, "--store", path, *KEY)
    assert (result.exit_code, "LOG404" in result.stderr) == (1, True)


def test_a_range_is_judged_by_the_entries_and_not_by_the_tile_of_their_hashes(path):
    """Who alters an entry and its tile alike does not reach the root; who alters the tile alone alters no entry."""
    alter(path, "UPDATE tiles SET hashes = zeroblob(8192) WHERE level = 0 AND n = 0")
    assert run("verify-range", 0, 256, "--store", path, *KEY).exit_code == 0
    assert run("verify-range", 1, 256, "--store", path, *KEY).exit_code == 1  # beside it stands that tile


async def test_a_consistency_proof_is_written_and_checked_offline(path, out, tmp_path):
    old, new, proof = tmp_path / "old", tmp_path / "new", tmp_path / "log.consistency"
    old.write_text(run("checkpoint", "--store", path, *KEY).stdout)
    await grow(path, 100, 0)
    new.write_text(run("checkpoint", "--store", path, *KEY).stdout)
    await grow(path, 100, 100)
    assert run("prove-consistency", SIZE, "--store", path, *KEY, "--output", proof).exit_code == 0
    assert run("prove-consistency", SIZE, "--store", path, *KEY).stdout == proof.read_text()
    status, told = run_json("verify", "--proof", proof, "--pin", old, *KEY)
    assert (status, told["verified"], told["old"], told["size"]) == (0, True, SIZE, SIZE + 200)
    between = run("prove-consistency", SIZE, "--store", path, *KEY, "--to", new).stdout
    assert between.endswith(new.read_text())
    proof.write_text(between)
    assert "630 extends the one of size 530" in run("verify", "--proof", proof, "--pin", old, *KEY).stdout
    assert run("verify", "--proof", proof, *KEY).stderr[:6] == "LOG609"
    assert run("verify", "--proof", proof, "--pin", new, *KEY).stderr[:6] == "LOG608"
    other = sign_checkpoint(SIZE, bytes(32), [SIGNER])
    old.write_bytes(other)
    assert run("verify", "--proof", proof, "--pin", old, *KEY).stderr[:6] == "LOG104"
    assert run("prove-consistency", 3, "--store", path, *KEY, "--to", old).stderr[:6] == "LOG413"


async def test_an_exported_log_is_checked_against_a_kept_checkpoint(path, out, tmp_path):
    kept = tmp_path / "kept"
    await grow(path, 1, 0)
    kept.write_text(run("checkpoint", "--store", path, *KEY).stdout)
    exported(path, out)
    assert run("verify", "--site", out, *KEY, "--pin", kept).exit_code == 0
    kept.write_bytes(sign_checkpoint(SIZE + 5, bytes(32), [SIGNER]))
    status, told = run_json("verify", "--site", out, *KEY, "--pin", kept)
    assert (status, "LOG413" in {one["code"] for one in told["findings"]}) == (1, True)
