"""A roll: what a ledger holds in memory, shared by all its sizes: one entry more costs one entry, and no copy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from threading import Lock
from typing import Generic, TypeVar, overload

from headgate.entry import Entry
from headgate.merkle import Tree

T = TypeVar("T")


class First(Sequence[T], Generic[T]):
    """The first `size` items of a list that only grows; equal to any sequence of the same items."""

    __slots__ = ("_items", "_size")

    def __init__(self, items: list[T], size: int) -> None:
        self._items, self._size = items, size

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        if isinstance(index, slice):
            return tuple(self._items[place] for place in range(*index.indices(self._size)))
        return self._items[range(self._size)[index]]

    def __iter__(self) -> Iterator[T]:
        return (self._items[place] for place in range(self._size))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(other) == self._size and all(map(_same, self, other))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


def _same(one: object, other: object) -> bool:
    return one is other or one == other


class Roll:
    """Entries with their stored bytes, by slot. It only grows, so that whoever holds a size of it holds a value."""

    def __init__(self, entries: Iterable[Entry] = (), stored: Iterable[bytes] = ()) -> None:
        self.entries, self.stored = list(entries), list(stored)
        self._nonces: dict[str, int] = {}
        self._noted = 0
        self._tree = Tree()
        self._growing = Lock()

    def grown(self, size: int, entry: Entry, data: bytes) -> Roll:
        """A roll with an entry more after the first `size`: this one, or a branch if it goes on otherwise."""
        with self._growing:
            if size == len(self.stored):
                self.entries.append(entry)
                self.stored.append(data)
            if self.stored[size] == data:
                return self
        return Roll(self.entries[:size], self.stored[:size]).grown(size, entry, data)

    def first_use(self, nonce: str, size: int) -> int | None:
        """The slot that used a nonce first, among the first `size`; None if it is new."""
        with self._growing:
            for entry in self.entries[self._noted :]:
                self._nonces.setdefault(entry.nonce, self._noted)
                self._noted += 1
        slot = self._nonces.get(nonce, size)
        return slot if slot < size else None

    def tree(self) -> Tree:
        """The Merkle tree over all stored bytes so far."""
        with self._growing:
            for slot in range(self._tree.size, len(self.stored)):
                self._tree.append(self.stored[slot])
            return self._tree
