"""The ledger: the append-only, hash-chained, signed record of every decision about one model.

One entry is one write-once file of the store, `ledger/<model>/000000042.json`, in canonical JSON. There is no mutable
head: the highest slot is the head, and of several writers of the next slot exactly one wins. The entries are the leaves
of a Merkle tree (RFC 6962), so a size and a root name a whole history.

Against whom: whoever can write to the store but has no pipeline key cannot change, insert, swap, repeat or remove an
entry in the middle without `check` seeing it. They can stop it, by garbage in the next slot, which `check` sees. They
can cut off the newest entries: any prefix is a valid ledger, so only a size and a root that were written down elsewhere
(by an approver, in MLflow, in a package) show that. Whoever holds the key can write another history, which only those
outside witnesses contradict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from headgate.anomaly import Anomaly, Due
from headgate.canonical import digest_of
from headgate.entry import Entry, genesis, moment, seal, unseal
from headgate.errors import BadInput, SlotTaken, Tampered, Unavailable
from headgate.merkle import Proof
from headgate.roll import First, Roll
from headgate.signing import Signer, Verifier
from headgate.slot import slot_name, slots
from headgate.store import Store

__all__ = [
    "Anomaly",
    "Entry",
    "Ledger",
    "append",
    "check",
    "enter",
    "examined",
    "problems",
    "read",
    "slot_name",
    "slots",
]


@dataclass(frozen=True, eq=False)
class Ledger:
    """A verified ledger, or a prefix of one. It is a value, and growing it costs one entry.

    Attributes:
        model: whose ledger.
        roll: what it shares with other sizes of it.
        size: the number of its entries, which is the number of the next slot.
    """

    model: str
    roll: Roll = field(default_factory=Roll)
    size: int = 0

    @property
    def entries(self) -> Sequence[Entry]:
        """The entries, by slot."""
        return First(self.roll.entries, self.size)

    @property
    def stored(self) -> Sequence[bytes]:
        """Their bytes as stored, by slot: the leaves of the Merkle tree."""
        return First(self.roll.stored, self.size)

    @property
    def head(self) -> str:
        """The digest of the last entry's stored bytes; of an empty ledger, the model's `genesis`."""
        return digest_of(self.stored[-1]) if self.size else genesis(self.model)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ledger) and (self.model, self.stored) == (other.model, other.stored)

    def __hash__(self) -> int:
        return hash((self.model, self.head))

    def root(self) -> str:
        """The Merkle root over all entries."""
        return self.roll.tree().root(self.size)

    def root_at(self, size: int) -> str:
        """The Merkle root when the ledger had this size.

        Raises:
            BadInput: it never had.
        """
        return self.at(size).root()

    def at(self, size: int) -> Ledger:
        """The ledger when it had this size.

        Raises:
            BadInput: it never had.
        """
        if not 0 <= size <= self.size:
            raise _unfit(self, f"the size {size}", f"a size from 0 to {self.size}", "fetch the whole ledger")
        return Ledger(self.model, self.roll, size)

    def inclusion(self, slot: int) -> Proof:
        """The Merkle proof that the entry of a slot is in it.

        Raises:
            BadInput: it has no such slot.
        """
        if not 0 <= slot < self.size:
            raise _unfit(self, f"the slot {slot}", f"a slot below {self.size}", "see `headgate status`")
        return self.roll.tree().inclusion(slot, self.size)

    def consistency(self, old: int) -> Proof:
        """The Merkle proof that it continues what it was at an older size.

        Raises:
            BadInput: it never had that size.
        """
        return self.roll.tree().consistency(self.at(old).size, self.size)

    def grown(self, entry: Entry, data: bytes) -> Ledger:
        """The ledger with an entry more, which must be one that can follow."""
        return Ledger(self.model, self.roll.grown(self.size, entry, data), self.size + 1)

    def followed(self, data: bytes, verifier: Verifier) -> Ledger:
        """The ledger with the stored bytes of the next slot, verified as `read` would.

        Raises:
            Tampered: something is wrong with them.
        """
        due = Due(self.model, self.size, verifier.key_id, self.head, self.entries[-1] if self.size else None)
        try:
            entry, signed = unseal(data, verifier)
        except Tampered as error:
            raise _broken(self.model, [Anomaly("unreadable", self.size, error.got, error.expected)]) from error
        anomalies = list(due.faults(entry, signed, self.roll.first_use(entry.nonce, self.size)))
        if anomalies:
            raise _broken(self.model, anomalies)
        return self.grown(entry, data)

    def sealed(  # the fields of an entry
        self, signer: Signer, *, kind: str, actor: str, body: object, release: str | None, time: str, nonce: str
    ) -> tuple[Entry, bytes]:
        """The entry that `append` would write with the same arguments, and its bytes. Writes nothing.

        Raises:
            BadInput: the entry cannot follow this ledger.
        """
        said = {"kind": kind, "actor": actor, "body": body, "release": release, "time": time, "nonce": nonce}
        return _next(self, signer, said)


def append(  # noqa: PLR0913  # the fields of an entry
    store: Store,
    ledger: Ledger,
    signer: Signer,
    *,
    kind: str,
    actor: str,
    body: object,
    release: str | None,
    time: str,
    nonce: str,
) -> Ledger:
    """The ledger with one more entry, which is in the store when this returns.

    A repeated call with the same arguments is one write: a writer that cannot know whether its first try arrived tries
    again and gets the grown ledger.

    Args:
        store: where the ledger is.
        ledger: the ledger that the decision was made from.
        signer: the pipeline's key.
        kind: what happened, lower_snake.
        actor: who did it.
        body: a JSON object of at most 1 MiB.
        release: the release it is about, or None.
        time: RFC 3339 in UTC with ``Z``, not before the last entry's.
        nonce: 8 to 64 letters, digits, ``_-``, never used before in this ledger.

    Raises:
        BadInput: the entry cannot follow this ledger.
        SlotTaken: another writer was first: read, fold and decide again.
        Unavailable: the store failed; whether the entry was written is not known.
    """
    sealed = ledger.sealed(signer, kind=kind, actor=actor, body=body, release=release, time=time, nonce=nonce)
    return enter(store, ledger, *sealed)


def enter(store: Store, ledger: Ledger, entry: Entry, data: bytes) -> Ledger:
    """The ledger with an entry that it has sealed, which is in the store when this returns. Raises as `append` does."""
    name = slot_name(ledger.model, entry.seq)
    # A store may report a loss for a write of ours that it retried: what is there decides.
    if not store.put(name, data) and (found := store.get(name)) != data:
        raise _taken(name, found)
    return ledger.grown(entry, data)


def read(store: Store, model: str, verifier: Verifier) -> Ledger:
    """The whole ledger of a model, every entry verified; an empty one if there is none.

    Raises:
        BadInput: that is no model's name.
        Tampered: something is wrong; the message has the first anomaly, `problems` has all.
        Unavailable: the store failed.
    """
    ledger, anomalies = examined(slots(store, model), model, verifier)
    if anomalies:
        raise _broken(model, list(anomalies))
    return ledger


def problems(store: Store, model: str, verifier: Verifier) -> tuple[Anomaly, ...]:
    """Everything that is wrong with a stored ledger; nothing if `read` would accept it."""
    return check(slots(store, model), model, verifier)


def check(slots: Mapping[int, bytes], model: str, verifier: Verifier) -> tuple[Anomaly, ...]:
    """Everything that is wrong with some slots as the ledger of a model: see `examined`."""
    return examined(slots, model, verifier)[1]


def examined(slots: Mapping[int, bytes], model: str, verifier: Verifier) -> tuple[Ledger, tuple[Anomaly, ...]]:
    """Some slots as the ledger of a model, and everything that is wrong with it, in the order of the slots.

    The ledger lacks what could not be read; where something is wrong, it is no ledger. Pure, so that an auditor can run
    it over copied files. It cannot see that the newest entries were cut off.

    Args:
        slots: the stored bytes of each slot.
        model: the model's name.
        verifier: the pipeline's public key.
    """
    roll = Roll()
    anomalies = tuple(_examine(slots, model, verifier, roll))
    return Ledger(model, roll, len(roll.entries)), anomalies


def _examine(slots: Mapping[int, bytes], model: str, verifier: Verifier, roll: Roll) -> Iterator[Anomaly]:
    due, last, nonces = 0, None, dict[str, int]()
    for slot in sorted(slots):
        if slot != due:
            yield Anomaly("missing_slot", due, f"no entry before slot {slot}", "an entry in every slot")
        try:
            entry, signed = unseal(slots[slot], verifier)
        except Tampered as error:
            yield Anomaly("unreadable", slot, error.got, error.expected)
        else:
            first = nonces.setdefault(entry.nonce, slot)
            place = Due(model, slot, verifier.key_id, _before(slots, slot, model), last)
            yield from place.faults(entry, signed, None if first == slot else first)
            roll.grown(len(roll.stored), entry, slots[slot])
            last = entry
        due = slot + 1


def _before(slots: Mapping[int, bytes], slot: int, model: str) -> str | None:
    if slot == 0:
        return genesis(model)
    # Without a predecessor there is nothing to compare with; that it is missing is reported already.
    return digest_of(slots[slot - 1]) if slot - 1 in slots else None


def _next(ledger: Ledger, signer: Signer, said: Mapping[str, object]) -> tuple[Entry, bytes]:
    entry, data = seal({**said, "model": ledger.model, "seq": ledger.size, "prev": ledger.head}, signer)
    last = ledger.entries[-1] if ledger.size else None
    if last and entry.key != last.key:
        raise _unfit(ledger, f"the key {entry.key}", f"{last.key}, which signed the ledger so far", "use that key")
    if last and moment(entry.time) < moment(last.time):
        raise _unfit(ledger, entry.time, f"a time not before {last.time}", "set this machine's clock, and try again")
    if ledger.roll.first_use(entry.nonce, ledger.size) is not None:
        raise _unfit(
            ledger, f"the nonce {entry.nonce}, used before", "a new nonce", "it is recorded already, or draw one"
        )
    return entry, data


def _unfit(ledger: Ledger, got: str, expected: str, next_step: str) -> BadInput:
    return BadInput(f"ledger of {ledger.model}", got=got, expected=expected, next_step=next_step)


def _taken(name: str, found: bytes | None) -> SlotTaken | Unavailable:
    if found is None:
        return Unavailable(
            name, got="neither written nor there", expected="one of the two", next_step="check the store, and try again"
        )
    return SlotTaken(
        name,
        got=f"another writer's entry {digest_of(found)}",
        expected="a free slot",
        next_step="read the ledger and decide again",
    )


def _broken(model: str, anomalies: list[Anomaly]) -> Tampered:
    first, more = anomalies[0], len(anomalies) - 1
    return Tampered(
        f"ledger of {model}, slot {first.slot} ({first.name})",
        got=first.got + (f" (and {more} more anomalies)" if more else ""),
        expected=first.expected,
        next_step="stop releasing, run `headgate audit`, and compare with the roots kept elsewhere",
    )
