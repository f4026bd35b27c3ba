"""Merkle tree of RFC 6962, section 2.1: one digest that commits to a list of entries and to their order.

Leaves and nodes are hashed with different prefixes, so that no leaf can be passed off as a node. A tree grows by
appending, and the root of every earlier size stays computable, which is what a witness to that size signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256 of ``0x00`` and the leaf, 32 bytes."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of ``0x01`` and the two children's hashes, 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> str:
    """The root of the tree over some leaves, as a ``sha256:`` digest; of no leaves, the SHA-256 of nothing.

    >>> root([])
    'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    """
    full: list[bytes] = []  # the roots of the full subtrees, largest first: one per set bit of the number of leaves
    for index, leaf in enumerate(leaves):
        carried = leaf_hash(leaf)
        while index & 1:
            carried, index = node_hash(full.pop(), carried), index >> 1  # noqa: PLW2901  # the carry of a counter
        full.append(carried)
    return "sha256:" + _fold(full).hex()


def _fold(full: list[bytes]) -> bytes:
    if not full:
        return hashlib.sha256().digest()
    right = full[-1]
    for left in reversed(full[:-1]):
        right = node_hash(left, right)
    return right
