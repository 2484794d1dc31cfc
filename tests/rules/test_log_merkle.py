"""The Merkle tree of RFC 9162: published vectors, goldens, and properties of every small tree."""

from __future__ import annotations

import json
from base64 import b64decode
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.exchangelog import merkle
from gateway.exchangelog.flaw import Flaw, ProofError

VECTORS = Path(__file__).parents[3] / "shared/vectors/merkle/testdata"
# The one vector that we judge differently: it wants roots accepted that are not 32 bytes long.
DEVIATION = "consistency/additional/sizes-are-equal-one-and-proof-is-empty.json"
LIMIT = 64
LEAVES = [merkle.leaf_hash(b"%d" % index) for index in range(LIMIT)]


def vectors(kind: str) -> list[Path]:
    """None where the vectors are not at hand; the goldens and properties below test the same code."""
    found = sorted(VECTORS.glob(f"{kind}/**/*.json"))
    return [path for path in found if path.relative_to(VECTORS).as_posix() != DEVIATION]


def accepts(verify, *arguments) -> bool:
    try:
        verify(*arguments)
    except ProofError:
        return False
    return True


def check_inclusion_vector(path: Path) -> None:
    case = json.loads(path.read_bytes())
    proof = [b64decode(one) for one in case["proof"] or []]
    arguments = case["leafIdx"], case["treeSize"], b64decode(case["leafHash"]), proof, b64decode(case["root"])
    assert accepts(merkle.verify_inclusion, *arguments) is not case["wantErr"], path


def check_consistency_vector(path: Path) -> None:
    case = json.loads(path.read_bytes())
    proof = [b64decode(one) for one in case["proof"] or []]
    roots = b64decode(case["root1"]), b64decode(case["root2"])
    accepted = accepts(merkle.verify_consistency, case["size1"], case["size2"], *roots, proof)
    assert accepted is not case["wantErr"], path


def test_inclusion_vectors_are_judged_as_published():
    for path in vectors("inclusion"):
        check_inclusion_vector(path)


def test_consistency_vectors_are_judged_as_published():
    for path in vectors("consistency"):
        check_consistency_vector(path)


def test_all_published_vectors_were_judged_where_they_are_at_hand():
    assert len(vectors("inclusion")) + len(vectors("consistency")) in (0, 196 - 1)


def test_stated_deviation_equal_trees_with_short_roots_are_refused():
    with pytest.raises(ProofError) as caught:
        merkle.verify_consistency(1, 1, b"don't care 2", b"don't care 2", [])
    assert caught.value.flaw is Flaw.HASH_LENGTH


def test_empty_leaf_hash_against_empty_root_is_refused():
    with pytest.raises(ProofError) as caught:
        merkle.verify_inclusion(0, 1, b"", [], b"")
    assert caught.value.flaw is Flaw.HASH_LENGTH


def test_proof_from_the_empty_tree_is_an_error():
    with pytest.raises(ProofError) as caught:
        merkle.verify_consistency(0, 8, merkle.EMPTY_ROOT, merkle.root(LEAVES[:8]), [])
    assert caught.value.flaw is Flaw.RANGE


# RFC 6962 test tree used by most implementations: its root for eight leaves.
RFC_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ],
)
def test_roots_of_the_common_test_tree(size, expected):
    assert merkle.root([merkle.leaf_hash(leaf) for leaf in RFC_LEAVES[:size]]).hex() == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
        (1, "2zQm6HgGjSjSabbIcXIyLOU3K2V1bQeJAB00g19gHAM="),
        (3, "cl1SMNto9VdHDcNfHYhlgTrNfrsHrRUndBQd7LrnEyc="),
        (256, "goUV0DPBnYyQHzfsy4rtkZZncDSG+NL/8c9wQDIcXbE="),
        (257, "HtoEmkNR2G92JSvX7At3Rq11t/oDFq1fVB29pFijEsQ="),
    ],
)
def test_roots_of_decimal_leaves(size, expected):
    assert merkle.root([merkle.leaf_hash(b"%d" % index) for index in range(size)]) == b64decode(expected)


def slow_root(leaves: list[bytes]) -> bytes:
    """RFC 9162 §2.1.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + slow_root(leaves[:k]) + slow_root(leaves[k:])).digest()


def test_root_equals_the_recursive_definition():
    for size in range(LIMIT + 1):
        assert merkle.root(LEAVES[:size]) == slow_root(LEAVES[:size])


def test_every_inclusion_proof_of_every_small_tree_verifies_and_at_no_other_place():
    for size in range(1, LIMIT + 1):
        root, nodes = merkle.root(LEAVES[:size]), merkle.nodes_of(LEAVES[:size])
        for index in range(size):
            proof = merkle.prove_inclusion(nodes, index, size)
            merkle.verify_inclusion(index, size, LEAVES[index], proof, root)
            other = (index + 1) % size
            assert size == 1 or not accepts(merkle.verify_inclusion, other, size, LEAVES[index], proof, root)


def test_every_consistency_proof_of_every_small_tree_verifies_and_proves_no_other_old_root():
    roots = [merkle.root(LEAVES[:size]) for size in range(LIMIT + 1)]
    for new in range(1, LIMIT + 1):
        nodes = merkle.nodes_of(LEAVES[:new])
        for old in range(1, new + 1):
            proof = merkle.prove_consistency(nodes, old, new)
            merkle.verify_consistency(old, new, roots[old], roots[new], proof)
            assert not accepts(merkle.verify_consistency, old, new, roots[old - 1], roots[new], proof)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 5), (5, 5), (6, 5)])
def test_index_outside_the_tree_is_refused(index, size):
    with pytest.raises(ProofError) as caught:
        merkle.prove_inclusion(merkle.nodes_of(LEAVES), index, size)
    assert caught.value.flaw is Flaw.RANGE
    with pytest.raises(ProofError) as caught:
        merkle.verify_inclusion(index, size, LEAVES[0], [], LEAVES[0])
    assert caught.value.flaw is Flaw.RANGE


@pytest.mark.parametrize(("old", "new"), [(0, 5), (-1, 5), (6, 5)])
def test_sizes_that_do_not_grow_are_refused(old, new):
    with pytest.raises(ProofError) as caught:
        merkle.prove_consistency(merkle.nodes_of(LEAVES), old, new)
    assert caught.value.flaw is Flaw.RANGE


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(changed)


@settings(deadline=None)
@given(size=st.integers(2, LIMIT), data=st.data())
def test_inclusion_proof_with_one_bit_flipped_is_refused(size, data):
    index = data.draw(st.integers(0, size - 1))
    root = merkle.root(LEAVES[:size])
    proof = merkle.prove_inclusion(merkle.nodes_of(LEAVES[:size]), index, size)
    parts = [LEAVES[index], root, *proof]
    place, bit = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 255))
    parts[place] = flip(parts[place], bit)
    assert not accepts(merkle.verify_inclusion, index, size, parts[0], parts[2:], parts[1])


@settings(deadline=None)
@given(new=st.integers(2, LIMIT), data=st.data())
def test_consistency_proof_with_one_bit_flipped_is_refused(new, data):
    old = data.draw(st.integers(1, new))
    proof = merkle.prove_consistency(merkle.nodes_of(LEAVES[:new]), old, new)
    parts = [merkle.root(LEAVES[:old]), merkle.root(LEAVES[:new]), *proof]
    place, bit = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 255))
    parts[place] = flip(parts[place], bit)
    assert not accepts(merkle.verify_consistency, old, new, parts[0], parts[1], parts[2:])


@settings(deadline=None)
@given(size=st.integers(1, LIMIT), data=st.data())
def test_proof_that_is_longer_or_shorter_is_refused(size, data):
    index = data.draw(st.integers(0, size - 1))
    root = merkle.root(LEAVES[:size])
    proof = merkle.prove_inclusion(merkle.nodes_of(LEAVES[:size]), index, size)
    longer = [*proof, data.draw(st.sampled_from([root, LEAVES[0]]))]
    for wrong in (longer, [LEAVES[0], *proof], *([proof[:-1], proof[1:]] if proof else [])):
        assert not accepts(merkle.verify_inclusion, index, size, LEAVES[index], wrong, root)
