"""Kept: a mapping that is a value, like a frozen dict, of which the next one costs a part and not a copy of all.

A state is renewed by every entry of a ledger, and holds every release there ever was. So the values lie in chunks, of
which a change copies one, and the places of the keys in a dict that all renewals share, because it only grows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_CHUNK = 128
_GROWING = Lock()


class Kept(Mapping[K, V], Generic[K, V]):
    """Keys with their values, in the order in which the keys were set first."""

    __slots__ = ("_chunks", "_places", "_size")

    def __init__(self) -> None:
        self._places: dict[K, int] = {}
        self._chunks: tuple[tuple[V, ...], ...] = ()
        self._size = 0

    def put(self, key: K, value: V) -> Kept[K, V]:
        """The mapping with a key set to a value; this one stays as it is."""
        new = Kept[K, V]()
        if key in self:
            new._places, new._size = self._places, self._size
        else:
            new._places, new._size = self._grown(key), self._size + 1
        number, place = divmod(new._places[key], _CHUNK)
        chunk = self._chunks[number] if number < len(self._chunks) else ()
        changed = (*chunk[:place], value, *chunk[place + 1 :])
        new._chunks = (*self._chunks[:number], changed, *self._chunks[number + 1 :])
        return new

    def _grown(self, key: K) -> dict[K, int]:
        with _GROWING:
            if len(self._places) == self._size:
                self._places[key] = self._size
            if self._places.get(key) == self._size:
                return self._places
            # Another mapping has gone on from here with another key: this one gets places of its own.
            return {**dict(islice(self._places.items(), self._size)), key: self._size}

    def __getitem__(self, key: K) -> V:
        place = self._places[key]
        if place >= self._size:
            raise KeyError(key)
        return self._chunks[place // _CHUNK][place % _CHUNK]

    def __iter__(self) -> Iterator[K]:
        with _GROWING:  # another mapping may grow the places meanwhile
            return iter(list(islice(self._places, self._size)))

    def __len__(self) -> int:
        return self._size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and dict(self) == dict(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(dict(zip(self, chain(*self._chunks), strict=True)))
