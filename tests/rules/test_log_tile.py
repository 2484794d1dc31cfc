"""Tiles: paths, goldens of a large tree, and growth in any steps."""

from __future__ import annotations

from base64 import b64decode
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.exchangelog import merkle
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.tile import (
    WIDTH,
    Edge,
    Tile,
    TileId,
    TileNodes,
    bundle,
    parse_bundle,
    resources,
    split_hashes,
    width_at,
)
from tests.flaws import may_be_refused

pytestmark = pytest.mark.no_cover  # the same lines, thousands of times

LEAVES = [merkle.leaf_hash(b"%d" % index) for index in range(70_000)]


class Tiles:
    """Tiles as a store keeps them: the latest, widest version of each."""

    def __init__(self) -> None:
        self.kept: dict[tuple[int, int], bytes] = {}

    def keep(self, tiles: list[Tile]) -> None:
        self.kept |= {(tile.level, tile.n): tile.hashes for tile in tiles}

    def read(self, level: int, n: int, width: int) -> bytes:
        return self.kept[level, n][: width * 32]


def grown(*steps: int) -> tuple[Edge, Tiles]:
    edge, tiles = Edge(), Tiles()
    for step in steps:
        edge, new = edge.extend(LEAVES[edge.size : edge.size + step])
        tiles.keep(new)
    return edge, tiles


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (TileId(0, 0), "tile/0/000"),
        (TileId(0, 1_234_067), "tile/0/x001/x234/067"),
        (TileId(63, 999, 1), "tile/63/999.p/1"),
        (TileId(1, 1000, 255), "tile/1/x001/000.p/255"),
        (TileId(None, 273, 112), "tile/entries/273.p/112"),
    ],
)
def test_paths_of_tiles_and_bundles(name, path):
    assert name.path == path
    assert TileId.parse(path) == name


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p",
        "tile/8/0/000",
        "tile/entry/000",
        "/tile/0/000",
        "tile/0/000\n",
        "tile/0/００0",
        "tile/0/../000",
    ],
)
def test_other_ways_to_write_a_path_are_refused(path):
    with pytest.raises(ProofError) as caught:
        TileId.parse(path)
    assert caught.value.flaw is Flaw.TILE_PATH


@settings(deadline=None)
@given(st.integers(0, 63) | st.none(), st.integers(0, 10**15), st.integers(1, 256))
def test_path_is_parsed_back(level, n, width):
    assert TileId.parse(TileId(level, n, width).path) == TileId(level, n, width)


@settings(deadline=None)
@given(st.text() | st.from_regex(r"tile/[0-9x/.p]{1,30}", fullmatch=True))
def test_path_parser_refuses_or_returns_the_only_spelling(path):
    with may_be_refused(Flaw.TILE_PATH):
        assert TileId.parse(path).path == path


def test_goldens_of_seventy_thousand_leaves():
    edge, tiles = grown(70_000)
    assert edge.root() == b64decode("Gkzfy2Y3SgwNy+9JrL1JdtE+6GT7PLJB/JQ8rQTwL34=")
    names = [name.path for name in resources(70_000)]
    assert len(names) == len(set(names)) == 551
    assert {"tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1", "tile/entries/273.p/112"} <= set(names)
    digest = sha256(tiles.read(1, 0, WIDTH)).hexdigest()
    assert digest.startswith("ea7b038b")
    assert digest.endswith("30f10a2")


def test_exactly_one_full_tile_has_a_parent():
    assert [name.path for name in resources(256)] == ["tile/0/000", "tile/entries/000", "tile/1/000.p/1"]


def test_empty_tree_has_no_tiles_and_the_root_of_nothing():
    assert list(resources(0)) == []
    assert Edge().root() == merkle.EMPTY_ROOT


@settings(deadline=None)
@given(st.lists(st.integers(0, 700), min_size=1, max_size=5))
def test_growing_in_steps_gives_the_tiles_of_growing_at_once(steps):
    edge, tiles = grown(*steps)
    assert (edge, tiles.kept) == (grown(sum(steps))[0], grown(sum(steps))[1].kept)
    assert edge.root() == merkle.root(LEAVES[: sum(steps)])


@settings(deadline=None)
@given(st.integers(0, 1000) | st.sampled_from([65_535, 65_536, 65_537, 66_000]))
def test_edge_loaded_from_its_tiles_is_the_edge(size):
    edge, tiles = grown(size)
    loaded = Edge.load(size, tiles.read)
    assert (loaded.size, loaded.peaks, loaded.root()) == (edge.size, edge.peaks, edge.root())
    assert loaded.extend(LEAVES[:300])[0].root() == edge.extend(LEAVES[:300])[0].root()


def test_edge_of_damaged_tiles_has_another_root_or_does_not_load():
    edge, tiles = grown(600)
    for level, n in tiles.kept:
        whole = tiles.kept[level, n]
        tiles.kept[level, n] = whole[:-32]
        with may_be_refused(Flaw.TILE):
            assert Edge.load(600, tiles.read).root() == edge.root()  # a full tile is not read
            assert len(whole) == WIDTH * 32
        tiles.kept[level, n] = whole


@settings(deadline=None)
@given(st.integers(1, 1500), st.data())
def test_proofs_from_tiles_are_those_from_leaves(size, data):
    _, tiles = grown(1500)  # wider tiles than the tree that is asked about
    index = data.draw(st.integers(0, size - 1))
    from_tiles, from_leaves = TileNodes(size, tiles.read), merkle.nodes_of(LEAVES[:size])
    assert merkle.prove_inclusion(from_tiles, index, size) == merkle.prove_inclusion(from_leaves, index, size)
    assert merkle.tree_root(from_tiles, size) == merkle.root(LEAVES[:size])
    proof = merkle.prove_consistency(from_tiles, index + 1, size)
    assert proof == merkle.prove_consistency(from_leaves, index + 1, size)


def test_width_of_tiles_in_a_tree():
    assert [width_at(70_000, level, n) for level, n in ((0, 272), (0, 273), (1, 1), (2, 0))] == [
        256,
        112,
        17,
        1,
    ]
    assert width_at(70_000, 0, 274) <= 0


def test_tile_of_other_length_than_its_width_is_refused():
    assert split_hashes(bytes(64), 2) == (bytes(32), bytes(32))
    for data, width in ((bytes(64), 1), (bytes(63), 2), (b"", 0)):
        with pytest.raises(ProofError) as caught:
            split_hashes(data, width)
        assert caught.value.flaw is Flaw.TILE


def test_bundle_is_each_entry_after_its_length():
    assert bundle([b"ab", b"", b"c"]) == b"\x00\x02ab\x00\x00\x00\x01c"


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=20))
def test_bundle_is_parsed_back(entries):
    assert parse_bundle(bundle(entries)) == entries


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_bundle_parser_refuses_or_returns_what_serialises_to_the_same(data):
    with may_be_refused(Flaw.ENTRY_FORM):
        assert bundle(parse_bundle(data)) == data
