"""An anomaly: one thing that is wrong, with its smallest witness; and all that can be wrong with one entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from headgate.entry import Entry, moment


@dataclass(frozen=True)
class Anomaly:
    """One thing that is wrong, with its smallest witness: the slot, what is there and what should be.

    Names: ``missing_slot``, ``unreadable``, ``wrong_model``, ``wrong_slot``, ``broken_chain``, ``wrong_key``,
    ``bad_signature``, ``time_backwards``, ``repeated_nonce``.
    """

    name: str
    slot: int
    got: str
    expected: str

    def __str__(self) -> str:  # what a reader of a log sees
        where = "" if self.slot < 0 else f"slot {self.slot}: "
        return f"{where}{self.name}: got {self.got}; expected {self.expected}"


@dataclass(frozen=True)
class Due:
    """What an entry must be to stand in a slot.

    Attributes:
        model, slot, key: whose ledger, which slot, and the id of the pipeline's key.
        prev: the digest of what is stored before it; None if nothing is, which is an anomaly of its own.
        last: the entry before it that could be read.
    """

    model: str
    slot: int
    key: str
    prev: str | None
    last: Entry | None

    def faults(self, entry: Entry, signed: bool, first_use: int | None) -> Iterator[Anomaly]:
        """What is wrong with an entry here.

        Args:
            signed: whether its signature is one of its key. first_use: the slot that used its nonce before, if any.
        """
        yield from self._identity(entry)
        if self.prev is not None and entry.prev != self.prev:
            yield self._wrong("broken_chain", f"prev {entry.prev}", f"{self.prev}, the digest of what is before it")
        if entry.key != self.key:
            yield self._wrong("wrong_key", f"an entry by the key {entry.key}", f"the pipeline's key {self.key}")
        elif not signed:
            yield self._wrong(
                "bad_signature", f"the signature {entry.signature}", "one that fits the entry and its key"
            )
        if self.last is not None and moment(entry.time) < moment(self.last.time):
            yield self._wrong("time_backwards", entry.time, f"a time not before {self.last.time}")
        if first_use is not None:
            yield self._wrong("repeated_nonce", f"the nonce of slot {first_use}", "a nonce of its own")

    def _identity(self, entry: Entry) -> Iterator[Anomaly]:
        if entry.model != self.model:
            yield self._wrong("wrong_model", f"an entry of {entry.model}", f"one of {self.model}")
        if entry.seq != self.slot:
            yield self._wrong("wrong_slot", f"the entry of slot {entry.seq}", f"that of slot {self.slot}")

    def _wrong(self, name: str, got: str, expected: str) -> Anomaly:
        return Anomaly(name, self.slot, got, expected)
