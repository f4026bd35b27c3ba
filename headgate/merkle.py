"""Merkle tree of RFC 6962, section 2.1: one digest that commits to a list of entries and to their order.

Leaves and nodes are hashed with different prefixes, so that no leaf can be passed off as a node. A tree grows by
appending, and the root of every earlier size stays computable, which is what a witness to that size signed. Two proofs
spare a reader the entries: that one of them is in a tree (inclusion), and that a tree continues an older one
(consistency). Making them follows RFC 6962, sections 2.1.1 and 2.1.2; checking them RFC 9162, sections 2.1.3 and 2.1.4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

Proof = tuple[bytes, ...]
"""The hashes of a proof, 32 bytes each, in the order of the RFC."""

EMPTY = "sha256:" + hashlib.sha256().hexdigest()
"""The root of a tree without leaves."""


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256 of ``0x00`` and the leaf, 32 bytes."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of ``0x01`` and the two children's hashes, 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Iterable[bytes]) -> str:
    """The root of the tree over some leaves, as a ``sha256:`` digest; of no leaves, the SHA-256 of nothing.

    >>> root([])
    'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    """
    tree = Tree(leaves)
    return tree.root(tree.size)


class Tree:
    """A tree that grows by appending, and keeps the hash of every full subtree.

    A leaf more costs two hashes on average; the root and the proofs of any size that it had cost O(log² n).
    """

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        # levels[k][i] is the hash of the full subtree over the leaves from i·2^k to (i+1)·2^k.
        self._levels: list[list[bytes]] = [[]]
        for leaf in leaves:
            self.append(leaf)

    @property
    def size(self) -> int:
        """How many leaves it has."""
        return len(self._levels[0])

    def append(self, leaf: bytes) -> None:
        """Add a leaf at the end."""
        carried, level = leaf_hash(leaf), 0
        self._levels[0].append(carried)
        while len(self._levels[level]) % 2 == 0:
            carried, level = node_hash(self._levels[level][-2], carried), level + 1
            if level == len(self._levels):
                self._levels.append([])
            self._levels[level].append(carried)

    def root(self, size: int) -> str:
        """The root when the tree had this size, which it must have had."""
        return "sha256:" + self._over(0, size).hex() if size else EMPTY

    def inclusion(self, index: int, size: int) -> Proof:
        """The proof that the leaf of an index, from 0, is in the tree of this size: ``0 <= index < size``."""
        start, end, path = 0, size, list[bytes]()
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._over(middle, end))
                end = middle
            else:
                path.append(self._over(start, middle))
                start = middle
        return tuple(reversed(path))

    def consistency(self, old: int, size: int) -> Proof:
        """The proof that the tree of this size continues the one of an older: ``0 <= old <= size``."""
        if old in (0, size):
            return ()
        start, end, path = 0, size, list[bytes]()
        while old != end:
            middle = start + _split(end - start)
            if old <= middle:
                path.append(self._over(middle, end))
                end = middle
            else:
                path.append(self._over(start, middle))
                start = middle
        # An old tree that is a full subtree of the new one is known to whoever asks.
        return tuple(reversed([*path, *([self._over(start, end)] if start else [])]))

    def _over(self, start: int, end: int) -> bytes:
        width = end - start
        if width & (width - 1) == 0:  # the recursion only asks for starts that are multiples of the width
            return self._levels[width.bit_length() - 1][start // width]
        middle = start + _split(width)
        return node_hash(self._over(start, middle), self._over(middle, end))


def included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: str) -> bool:
    """Whether a proof shows that the leaf of this index is in the tree of this size and root."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf_hash(leaf)
    for sibling in proof:
        if last == 0:
            return False
        if place % 2 or place == last:
            found = node_hash(sibling, found)
            place, last = _up(place, last)
        else:
            found = node_hash(found, sibling)
        place, last = place // 2, last // 2
    return last == 0 and "sha256:" + found.hex() == root


def consistent(old: int, old_root: str, size: int, root: str, proof: Sequence[bytes]) -> bool:
    """Whether a proof shows that the tree of this size and root continues the older one.

    Every tree continues the empty one, and itself; both by the empty proof.
    """
    if not 0 <= old <= size or (old == 0 and old_root != EMPTY):
        return False
    if old in (0, size):
        return not proof and (old == 0 or old_root == root) and (size > 0 or root == EMPTY)
    path = [bytes.fromhex(old_root.removeprefix("sha256:")), *proof] if old & (old - 1) == 0 else list(proof)
    return len(path) > 0 and _replayed(path, old - 1, size - 1) == (old_root, root)


def _replayed(path: Sequence[bytes], place: int, last: int) -> tuple[str, str] | None:
    """The old and the new root that a consistency proof leads to; None if its length does not fit the sizes."""
    while place % 2:
        place, last = place // 2, last // 2
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return None
        if place % 2 or place == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            place, last = _up(place, last)
        else:
            new = node_hash(new, sibling)
        place, last = place // 2, last // 2
    return ("sha256:" + old.hex(), "sha256:" + new.hex()) if last == 0 else None


def _up(place: int, last: int) -> tuple[int, int]:
    """Past the levels at which a node at the right edge has no sibling."""
    while place % 2 == 0 and place:
        place, last = place // 2, last // 2
    return place, last


def _split(width: int) -> int:
    """The largest power of two below a width of at least 2: where the RFC splits a tree."""
    return 1 << (width - 1).bit_length() - 1
