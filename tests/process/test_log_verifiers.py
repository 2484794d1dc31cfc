"""An exported log before verifiers that are not ours: each takes the good one, and none takes a tampered copy.

Go: sumdb/note and sumdb/tlog, as the Go authors wrote them for the checksum database, from Debian's package.
Rust: the wheel metamorphic-log. Node.js: node:crypto alone. tests/verifiers has what reads the files for them.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import metamorphic_log
import pytest

from gateway.adapters.site_directory import SiteDirectory
from gateway.adapters.site_export import export
from gateway.adapters.store import LogReader
from gateway.exchangelog import merkle
from gateway.exchangelog.checkpoint import open_checkpoint, sign_checkpoint
from gateway.exchangelog.consistency import ConsistencyProof
from gateway.exchangelog.flaw import ProofError
from gateway.exchangelog.merkle import leaf_hash
from gateway.exchangelog.note import Signer
from gateway.exchangelog.proof import TlogProof
from gateway.exchangelog.site import Site, check_site
from gateway.exchangelog.tile import TileNodes, bundle, parse_bundle
from tests.exchanges import exchange_entries, request_entry
from tests.process.sandboxes import ROOT
from tests.process.store_world import ORIGIN, OTHER_KEY, SIGNER, VERIFIER, append_all, fill, open_store

SIZE, EARLIER = 530, 520
VKEY = VERIFIER.vkey
OTHER = Signer.of(ORIGIN, OTHER_KEY)
SOURCES = ROOT / "tests/verifiers"
# No network, no module, nothing but the packages of Debian and the compiler that is there.
GO = {
    "GO111MODULE": "off",
    "GOPATH": "/usr/share/gocode",
    "GOFLAGS": "",
    "GOPROXY": "off",
    "GOTOOLCHAIN": "local",
}


class RefusedError(Exception):
    """A verifier did not take it."""


Verify = Callable[..., None]  # mode and its arguments; raises RefusedError


def told(command: list[object]) -> None:
    ran = subprocess.run(
        [str(one) for one in command], capture_output=True, text=True, timeout=120, check=False
    )
    if ran.returncode != 0:
        assert ran.returncode == 1, ran.stderr  # it says no; anything else is a verifier that failed
        raise RefusedError(ran.stderr)
    assert ran.stdout.startswith("verified ")


@pytest.fixture(scope="session")
def go(tmp_path_factory) -> Verify:
    program = tmp_path_factory.mktemp("go") / "verify_log"
    command = ["go", "build", "-o", program, SOURCES / "verify_log.go"]
    subprocess.run(command, env={**os.environ, **GO}, check=True, timeout=600)
    return lambda *arguments: told([program, *arguments])


@pytest.fixture(scope="session")
def node() -> Verify:
    return lambda *arguments: told(["node", SOURCES / "verify_log.mjs", *arguments])


@pytest.fixture(scope="session")
def rust() -> Verify:
    """Judges notes and proofs, and reads no files: bundles and proofs are read and made by ours."""

    def verify(mode: str, *arguments: object) -> None:
        try:
            RUST[mode](*arguments)
        except (metamorphic_log.VerifyError, ProofError, OSError) as error:
            raise RefusedError from error

    return verify


def rust_site(directory: Path, vkey: str, kept: Path | None = None) -> None:
    note = (directory / "checkpoint").read_text()
    head = metamorphic_log.checkpoint_verify(note, [vkey])
    site = Site(SiteDirectory(directory), head.size)
    nodes, hashes = TileNodes(head.size, site.tile), []
    for index, leaf in site.leaves(0, head.size):
        hashes.append(leaf_hash(leaf))
        path = merkle.prove_inclusion(nodes, index, head.size)
        metamorphic_log.checkpoint_verify_inclusion(note, [vkey], index, hashes[-1], path)
    if kept is not None:
        old = metamorphic_log.checkpoint_verify(kept.read_text(), [vkey])
        path = merkle.prove_consistency(merkle.nodes_of(hashes), old.size, head.size)
        metamorphic_log.checkpoint_verify_consistency(kept.read_text(), note, [vkey], path)


def rust_entry(file: Path, vkey: str) -> None:
    proof = TlogProof.parse(file.read_bytes())
    metamorphic_log.checkpoint_verify_inclusion(
        proof.checkpoint.decode(), [vkey], proof.index, leaf_hash(proof.extra or b""), list(proof.hashes)
    )


def rust_consistency(file: Path, kept: Path, vkey: str) -> None:
    proof = ConsistencyProof.parse(file.read_bytes())
    metamorphic_log.checkpoint_verify_consistency(
        kept.read_text(), proof.checkpoint.decode(), [vkey], list(proof.hashes)
    )


RUST: dict[str, Callable[..., None]] = {
    "site": rust_site,
    "entry": rust_entry,
    "consistency": rust_consistency,
}


@pytest.fixture(scope="session", params=["go", "node", "rust"])
def verify(request) -> Verify:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A store, its export, the export and the checkpoint of ten entries before, and that of another history."""
    place = tmp_path_factory.mktemp("log")

    async def write() -> None:
        path = place / "store.sqlite"
        await fill(path, [entry for number in range(260) for entry in exchange_entries(f"t{number}")])
        with LogReader.open(path) as log:
            export(log, place / "earlier", [VERIFIER])
        other = place / "other.sqlite"
        await fill(other, [entry for number in range(265) for entry in exchange_entries(f"x{number}")])
        with LogReader.open(other) as log:
            export(log, place / "rewritten", [VERIFIER])
        async with open_store(path) as store:
            await append_all(store, [request_entry(f"u{number}") for number in range(SIZE - EARLIER)])
        with LogReader.open(path) as log:
            export(log, place / "site", [VERIFIER])
            (place / "entry.tlog-proof").write_bytes(log.prove(300).serialise())
            note, signed = log.signed([VERIFIER])
            (place / "log.consistency").write_bytes(log.prove_consistency(EARLIER, signed, note).serialise())

    asyncio.run(write())
    shutil.copy(place / "earlier/checkpoint", place / "kept")
    return place


@pytest.fixture
def place(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "log"))


def test_an_exported_log_is_taken(verify, place):
    verify("site", place / "site", VKEY)
    verify("site", place / "site", VKEY, place / "kept")
    verify("site", place / "earlier", VKEY)


def test_proofs_are_taken(verify, place):
    verify("entry", place / "entry.tlog-proof", VKEY)
    verify("consistency", place / "log.consistency", place / "kept", VKEY)


def test_an_index_that_is_none_is_taken_by_nobody(verify, place):
    """From -1 the way to the root is that of entry 0."""
    with LogReader.open(place / "store.sqlite") as log:
        first = log.prove(0).serialise()
    for index in (b"-1", b"00", b"+0", b""):
        (place / "entry.tlog-proof").write_bytes(first.replace(b"\nindex 0\n", b"\nindex %b\n" % index))
        with pytest.raises(RefusedError):
            verify("entry", place / "entry.tlog-proof", VKEY)


@pytest.mark.parametrize("name", ["go", "node"])  # metamorphic-log looks at no root where there is no entry
def test_an_empty_log_with_a_root_is_not_taken(request, name, place):
    (place / "site/checkpoint").write_bytes(sign_checkpoint(0, bytes(32), [SIGNER]))
    with pytest.raises(RefusedError):
        request.getfixturevalue(name)("site", place / "site", VKEY)


# What somebody can do to the files without the key. Each is found with the checkpoint alone.

LAST = "tile/entries/002.p/18"


def rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    before = path.read_bytes()
    after = change(before)
    assert after != before
    path.write_bytes(after)


def entries_changed(site: Path, name: str, change: Callable[[list[bytes]], list[bytes]]) -> None:
    rewrite(site / name, lambda data: bundle(change(parse_bundle(data))))


def altered_entry(site: Path) -> None:
    entries_changed(
        site,
        "tile/entries/001",
        lambda some: [*some[:44], some[44].replace(b"WORK_DECISION", b"WORK_REVISION"), *some[45:]],
    )


def altered_entry_and_its_tile(site: Path) -> None:
    altered_entry(site)
    hashes = map(leaf_hash, parse_bundle((site / "tile/entries/001").read_bytes()))
    (site / "tile/0/001").write_bytes(b"".join(hashes))


def swapped_entries(site: Path) -> None:
    entries_changed(site, LAST, lambda some: [some[1], some[0], *some[2:]])


def swapped_bundles(site: Path) -> None:
    one, other = site / "tile/entries/000", site / "tile/entries/001"
    first = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(first)


def entry_taken_away(site: Path) -> None:
    entries_changed(site, LAST, lambda some: some[:-1])


def bundle_truncated(site: Path) -> None:
    rewrite(site / LAST, lambda data: data[:-5])


def bundle_gone(site: Path) -> None:
    (site / "tile/entries/000").unlink()


def entry_of_another(site: Path) -> None:
    entries_changed(site, LAST, lambda some: [*some[:-1], request_entry("forged").leaf])


def altered_tile(site: Path) -> None:
    rewrite(site / "tile/0/001", lambda data: data[:320] + bytes(32) + data[352:])


def altered_upper_tile(site: Path) -> None:
    rewrite(site / "tile/1/000.p/2", lambda data: data[::-1])


def tile_gone(site: Path) -> None:
    (site / "tile/0/002.p/18").unlink()


def size_altered(site: Path) -> None:
    rewrite(site / "checkpoint", lambda data: data.replace(b"\n530\n", b"\n529\n"))


def other_key(site: Path) -> None:
    root = open_checkpoint((site / "checkpoint").read_bytes(), [VERIFIER]).root
    (site / "checkpoint").write_bytes(sign_checkpoint(SIZE, root, [OTHER]))


TAMPERING = (
    altered_entry,
    altered_entry_and_its_tile,
    swapped_entries,
    swapped_bundles,
    entry_taken_away,
    bundle_truncated,
    bundle_gone,
    entry_of_another,
    altered_tile,
    altered_upper_tile,
    tile_gone,
    size_altered,
    other_key,
)


@pytest.mark.parametrize("tamper", TAMPERING, ids=lambda one: one.__name__)
def test_a_tampered_copy_is_taken_by_nobody(verify, place, tamper):
    verify("site", place / "site", VKEY)
    tamper(place / "site")
    with pytest.raises(RefusedError):
        verify("site", place / "site", VKEY)
    assert any(finding.fails for finding in check_site(SiteDirectory(place / "site"), [VERIFIER]))


# What the holder of the key can do is found by whoever kept a checkpoint.


def rolled_back(place: Path) -> None:
    """The directory as it was, under the checkpoint of then."""
    (place / "kept").write_bytes((place / "site/checkpoint").read_bytes())
    shutil.rmtree(place / "site")
    (place / "earlier").rename(place / "site")


def rewritten(place: Path) -> None:
    """Another history of the same length, every tile and the signature in agreement with it."""
    shutil.rmtree(place / "site")
    (place / "rewritten").rename(place / "site")


@pytest.mark.parametrize("change", [rolled_back, rewritten], ids=lambda one: one.__name__)
def test_what_the_key_can_do_is_found_with_a_kept_checkpoint(verify, place, change):
    change(place)
    verify("site", place / "site", VKEY)
    with pytest.raises(RefusedError):
        verify("site", place / "site", VKEY, place / "kept")


# Proofs that prove nothing.


def test_a_proof_of_another_entry_is_not_taken(verify, place):
    file = place / "entry.tlog-proof"
    good = TlogProof.parse(file.read_bytes())
    assert good.extra is not None
    for wrong in (
        TlogProof(good.index + 1, good.hashes, good.checkpoint, good.extra),
        TlogProof(good.index, good.hashes[:-1], good.checkpoint, good.extra),
        TlogProof(good.index, (*good.hashes, bytes(32)), good.checkpoint, good.extra),
        TlogProof(good.index, good.hashes[::-1], good.checkpoint, good.extra),
        TlogProof(good.index, good.hashes, good.checkpoint, good.extra.replace(b"DECISION", b"REVISION")),
        TlogProof(good.index, good.hashes, good.checkpoint.replace(b"\n530\n", b"\n531\n"), good.extra),
    ):
        file.write_bytes(wrong.serialise())
        with pytest.raises(RefusedError):
            verify("entry", file, VKEY)
    file.write_bytes(good.serialise())
    with pytest.raises(RefusedError):
        verify("entry", file, OTHER.verifier.vkey)


def test_a_proof_from_another_log_is_not_taken(verify, place):
    file, kept = place / "log.consistency", place / "kept"
    good = ConsistencyProof.parse(file.read_bytes())
    for wrong in (
        ConsistencyProof(good.old, good.hashes[:-1], good.checkpoint),
        ConsistencyProof(good.old, (*good.hashes, bytes(32)), good.checkpoint),
        ConsistencyProof(good.old, (bytes(32), *good.hashes[1:]), good.checkpoint),
        ConsistencyProof(good.old, good.hashes, sign_checkpoint(SIZE, bytes(32), [SIGNER])),
        ConsistencyProof(good.old, good.hashes, sign_checkpoint(SIZE, bytes(32), [OTHER])),
    ):
        file.write_bytes(wrong.serialise())
        with pytest.raises(RefusedError):
            verify("consistency", file, kept, VKEY)
    file.write_bytes(good.serialise())
    kept.write_bytes(sign_checkpoint(EARLIER, bytes(32), [SIGNER]))
    with pytest.raises(RefusedError):
        verify("consistency", file, kept, VKEY)
