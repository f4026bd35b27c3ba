from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.merkle import EMPTY, Tree, consistent, included, root

# The leaves and roots of the reference tests of certificate-transparency (merkletree, "known good" trees).
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
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
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def by_the_rfc(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word: split at the largest power of two below n."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + by_the_rfc(leaves[:k]) + by_the_rfc(leaves[k:])).digest()


@pytest.mark.parametrize("size", range(9))
def test_reference_roots(size: int) -> None:
    assert root(LEAVES[:size]) == f"sha256:{ROOTS[size]}"


def test_roots_of_every_size_are_those_of_the_definition() -> None:
    leaves = [str(n).encode() * (n % 5) for n in range(130)]
    for size in range(131):
        assert root(leaves[:size]) == "sha256:" + by_the_rfc(leaves[:size]).hex()


def test_a_node_is_not_a_leaf_and_order_counts() -> None:
    a, b, c = b"a", b"b", b"c"
    inner = b"".join(hashlib.sha256(b"\x00" + leaf).digest() for leaf in (a, b))
    assert root([inner, c]) != root([a, b, c])
    assert root([a, b]) != root([b, a])
    assert root([a, b, b]) != root([a, b])


# The proofs of the same reference tests, by index and size, and by old and new size.
SIBLING, PAIR, FOUR = (
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
)
FIFTH, LAST_TWO, MIDDLE = (
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
)
INCLUSIONS = {
    (0, 1): [],
    (0, 8): [SIBLING, PAIR, FOUR],
    (5, 8): [FIFTH, LAST_TWO, ROOTS[4]],
    (2, 3): [ROOTS[2]],
    (1, 5): [ROOTS[1], PAIR, FIFTH],
}
CONSISTENCIES = {
    (1, 1): [],
    (1, 8): [SIBLING, PAIR, FOUR],
    (6, 8): [MIDDLE, LAST_TWO, ROOTS[4]],
    (2, 5): [PAIR, FIFTH],
}


@pytest.mark.parametrize(("index", "size"), INCLUSIONS)
def test_reference_inclusion_proofs(index: int, size: int) -> None:
    proof = Tree(LEAVES).inclusion(index, size)
    assert [part.hex() for part in proof] == INCLUSIONS[index, size]
    assert included(LEAVES[index], index, size, proof, f"sha256:{ROOTS[size]}")


@pytest.mark.parametrize(("old", "size"), CONSISTENCIES)
def test_reference_consistency_proofs(old: int, size: int) -> None:
    proof = Tree(LEAVES).consistency(old, size)
    assert [part.hex() for part in proof] == CONSISTENCIES[old, size]
    assert consistent(old, f"sha256:{ROOTS[old]}", size, f"sha256:{ROOTS[size]}", proof)


MOST = 40
GROWN = [f"leaf {n}".encode() for n in range(MOST)]
TREE = Tree(GROWN)
KNOWN = [root(GROWN[:size]) for size in range(MOST + 1)]


def test_every_proof_of_every_size_verifies_and_no_other_place_does() -> None:
    tried = 0
    for size in range(1, MOST + 1):
        assert TREE.root(size) == KNOWN[size]
        for index in range(size):
            proof = TREE.inclusion(index, size)
            told = [i for i in range(-1, size + 1) if included(GROWN[index], i, size, proof, KNOWN[size])]
            assert told == [index]
            tried += 1
        for old in range(size + 1):
            proof = TREE.consistency(old, size)
            told = [o for o in range(-1, size + 2) if consistent(o, KNOWN[old], size, KNOWN[size], proof)]
            assert told == [old]
            tried += 1
    assert tried == MOST * (MOST + 1) + MOST


def test_a_tree_is_the_same_however_it_grew() -> None:
    tree = Tree()
    for size, leaf in enumerate(GROWN, 1):
        tree.append(leaf)
        assert (tree.size, tree.root(size)) == (size, KNOWN[size])
    assert [tree.root(size) for size in range(MOST + 1)] == KNOWN


sizes = st.integers(1, MOST)
kinds = st.sampled_from(["flip", "drop", "add", "swap", "size", "root", "old root", "leaf", "place"])


def altered(proof: tuple[bytes, ...], how: str, at: int, bit: int) -> tuple[bytes, ...]:
    parts = list(proof)
    if how == "add":
        parts.insert(at % (len(parts) + 1), bytes(32))
    elif parts and how == "drop":
        del parts[at % len(parts)]
    elif len(parts) > 1 and how == "swap":
        parts[0], parts[at % len(parts)] = parts[at % len(parts)], parts[0]
    elif parts and how == "flip":
        part = bytearray(parts[at % len(parts)])
        part[bit // 8] ^= 1 << bit % 8
        parts[at % len(parts)] = bytes(part)
    return tuple(parts)


def turned(digest: str, bit: int) -> str:
    flipped = int(digest.removeprefix("sha256:"), 16) ^ (1 << bit)
    return f"sha256:{flipped:064x}"


@settings(max_examples=600, deadline=None, derandomize=True)
@given(sizes, st.integers(0, MOST), kinds, st.integers(0, 99), st.integers(0, 255), sizes)
def test_an_altered_inclusion_is_refused(size: int, place: int, how: str, at: int, bit: int, other: int) -> None:
    index = place % size
    proof, leaf, known = TREE.inclusion(index, size), GROWN[index], KNOWN[size]
    changed = (
        leaf + b"x" if how == "leaf" else leaf,
        other - 1 if how == "place" else index,
        other if how == "size" else size,
        altered(proof, how, at, bit),
        turned(known, bit) if how == "root" else known,
    )
    # The size alone is only bound by the root that a checkpoint signs with it; the path's shape may be the same.
    if changed != (leaf, index, size, proof, known) and how != "size":
        assert not included(*changed)


@settings(max_examples=600, deadline=None, derandomize=True)
@given(sizes, st.integers(0, MOST), kinds, st.integers(0, 99), st.integers(0, 255), sizes)
def test_an_altered_consistency_is_refused(size: int, place: int, how: str, at: int, bit: int, other: int) -> None:
    old = 1 + place % size
    proof = TREE.consistency(old, size)
    changed = (
        other if how == "place" else old,
        turned(KNOWN[old], bit) if how == "old root" else KNOWN[old],
        size,
        turned(KNOWN[size], bit) if how == "root" else KNOWN[size],
        altered(proof, how, at, bit),
    )
    if changed != (old, KNOWN[old], size, KNOWN[size], proof):
        assert not consistent(*changed)


def test_two_histories_are_never_consistent() -> None:
    for size in range(2, 20):
        for old in range(1, size):
            forked = Tree([*GROWN[: old - 1], b"another", *GROWN[old:]])
            for proof in (forked.consistency(old, size), TREE.consistency(old, size)):
                assert not consistent(old, KNOWN[old], size, forked.root(size), proof)


def test_nothing_is_the_beginning_of_everything() -> None:
    assert KNOWN[0] == EMPTY
    assert all(consistent(0, EMPTY, size, KNOWN[size], ()) for size in range(MOST + 1))
    assert not consistent(0, KNOWN[1], 5, KNOWN[5], ())
    assert not consistent(0, EMPTY, 0, KNOWN[1], ())
    assert not consistent(5, KNOWN[5], 4, KNOWN[4], ())
