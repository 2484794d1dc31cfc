"""Completeness of a range: entries that lead to the signed root are all there are, and any other are not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.exchangelog import merkle
from gateway.exchangelog.checkpoint import Checkpoint
from gateway.exchangelog.completeness import check_range, prove_range, verify_range
from gateway.exchangelog.flaw import Flaw, ProofError
from gateway.exchangelog.merkle import leaf_hash
from gateway.exchangelog.site import Site, open_site
from tests.sites import SIZE, VERIFIER, MemorySite, entries, good_site, with_entries

LEAVES = [leaf_hash(b"%d" % index) for index in range(1_500)]
EXCHANGED = leaf_hash(b"another entry")


def proved(start: int, end: int, size: int) -> tuple[list[bytes], list[bytes], bytes]:
    """The leaves of a range, the proof beside them, and the root."""
    proof = prove_range(merkle.nodes_of(LEAVES[:size]), start, end, size)
    return LEAVES[start:end], proof, merkle.root(LEAVES[:size])


def test_every_range_of_every_small_tree_is_complete():
    for size in range(1, 34):
        for start in range(size):
            for end in range(start + 1, size + 1):
                leaves, proof, root = proved(start, end, size)
                verify_range(start, end, size, leaves, proof, root)
                assert len(proof) <= 2 * size.bit_length()


@settings(deadline=None)
@given(st.data())
def test_ranges_of_large_trees_are_complete(data):
    size = data.draw(st.integers(1, 1_500))
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(start + 1, size))
    leaves, proof, root = proved(start, end, size)
    verify_range(start, end, size, iter(leaves), proof, root)


def test_the_whole_tree_needs_no_proof_but_its_root():
    assert prove_range(merkle.nodes_of(LEAVES[:700]), 0, 700, 700) == []


WRONG = {
    "one altered": lambda leaves, proof: ([*leaves[:40], EXCHANGED, *leaves[41:]], proof),
    "two exchanged": lambda leaves, proof: ([leaves[1], leaves[0], *leaves[2:]], proof),
    "the first missing": lambda leaves, proof: (leaves[1:], proof),
    "the last missing": lambda leaves, proof: (leaves[:-1], proof),
    "one missing inside": lambda leaves, proof: ([*leaves[:100], *leaves[101:]], proof),
    "one added at the end": lambda leaves, proof: ([*leaves, EXCHANGED], proof),
    "one added inside": lambda leaves, proof: ([*leaves[:100], EXCHANGED, *leaves[100:]], proof),
    "none": lambda leaves, proof: ([], proof),
    "a hash of the proof altered": lambda leaves, proof: (leaves, [EXCHANGED, *proof[1:]]),
    "a hash of the proof missing": lambda leaves, proof: (leaves, proof[:-1]),
    "a hash added to the proof": lambda leaves, proof: (leaves, [*proof, EXCHANGED]),
    "the proof turned round": lambda leaves, proof: (leaves, proof[::-1]),
    "a leaf hash of another length": lambda leaves, proof: ([leaves[0][:31], *leaves[1:]], proof),
    "a hash of the proof of another length": lambda leaves, proof: (leaves, [b"", *proof[1:]]),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_range_that_is_not_complete_is_refused(wrong):
    leaves, proof, root = proved(300, 900, 1_234)
    verify_range(300, 900, 1_234, leaves, proof, root)
    leaves, proof = WRONG[wrong](leaves, proof)
    with pytest.raises(ProofError) as caught:
        verify_range(300, 900, 1_234, leaves, proof, root)
    assert caught.value.flaw in {Flaw.ROOT, Flaw.PROOF_LENGTH, Flaw.HASH_LENGTH}


@settings(deadline=None)
@given(st.integers(0, 1_300), st.integers(0, 1_300), st.integers(0, 1_300))
def test_the_same_hashes_are_no_proof_of_another_range(start, end, size):
    if (start, end, size) == (300, 900, 1_234):
        return
    leaves, proof, root = proved(300, 900, 1_234)
    with pytest.raises(ProofError):
        verify_range(start, end, size, leaves, proof, root)


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (3, 3), (4, 3), (0, 11), (10, 12)])
def test_a_range_outside_the_tree_is_refused(start, end):
    for proving in (
        lambda: prove_range(merkle.nodes_of(LEAVES[:10]), start, end, 10),
        lambda: verify_range(start, end, 10, LEAVES[:10], [], merkle.root(LEAVES[:10])),
        lambda: list(check_range(Site(MemorySite(), 10), Checkpoint("x", 10, bytes(32)), start, end)),
    ):
        with pytest.raises(ProofError) as caught:
            proving()
        assert caught.value.flaw is Flaw.RANGE


# What is said of a range of an exported log.


def found(files: MemorySite, start: int, end: int) -> set[tuple[Flaw, int | None]]:
    signed, site = open_site(files, [VERIFIER])
    return {(finding.flaw, finding.index) for finding in check_range(site, signed, start, end)}


def test_every_range_of_a_good_site_is_complete():
    files = good_site()
    for start, end in ((0, SIZE), (0, 1), (255, 257), (256, 512), (100, 529), (SIZE - 1, SIZE)):
        assert found(files, start, end) == set()


def test_progress_reaches_the_end():
    told = []
    signed, site = open_site(good_site(), [VERIFIER])
    assert list(check_range(site, signed, 3, SIZE, told.append)) == []
    assert told[-1] == SIZE - 3
    assert told == sorted(told)


def test_an_entry_altered_in_the_range_is_named_and_outside_of_it_is_not():
    files, leaves = good_site(), list(entries()[256:512])
    leaves[44] = entries()[0]
    with_entries(files, 1, leaves)
    assert found(files, 256, 400) == {(Flaw.ALTERED, 300), (Flaw.ROOT, None)}
    assert found(files, 301, 400) == set()


def test_entries_that_changed_places_are_named():
    files, leaves = good_site(), list(entries()[256:512])
    leaves[1], leaves[2] = leaves[2], leaves[1]
    with_entries(files, 1, leaves)
    assert found(files, 0, SIZE) == {(Flaw.ALTERED, 257), (Flaw.ALTERED, 258), (Flaw.ROOT, None)}


def test_a_bundle_that_is_gone_or_of_another_length_is_named():
    files = good_site()
    del files["tile/entries/001"]
    assert found(files, 200, 300) == {(Flaw.MISSING, None)}
    assert found(files, 0, 256) == set()
    with_entries(files, 1, entries()[256:511])
    assert found(files, 200, 300) == {(Flaw.BUNDLE, None)}
    with_entries(files, 1, entries()[256:513])
    assert found(files, 200, 300) == {(Flaw.BUNDLE, None)}


def test_tiles_that_were_made_to_agree_do_not_reach_the_root():
    """Whoever alters an entry and the tile above it still does not have the key."""
    files, leaves = good_site(), list(entries()[512:])
    leaves[0] = entries()[0]
    with_entries(files, 2, leaves)
    files["tile/0/002.p/18"] = b"".join(map(leaf_hash, leaves))
    assert found(files, 512, 520) == {(Flaw.ROOT, None)}
    assert found(files, 0, 512) == {(Flaw.ROOT, None)}  # what stands beside the range does not hold either


def test_a_tile_beside_the_range_that_is_gone_is_a_finding():
    files = good_site()
    del files["tile/0/002.p/18"]
    assert found(files, 0, 512) == {(Flaw.TILE, None)}
