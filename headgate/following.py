"""Following: one ledger as it grows. What was verified once is kept, and only what is new is read, verified and folded.

The first look is a full verification. Every later one reads two slots if nothing is new: the head, which must still be
the bytes that were verified, and the one after it. So it sees that the newest entries were cut off or rewritten, which
no reader can who comes afterwards; a change further back is seen by whoever reads the whole again: what moves an alias,
every new process, and the audit.
"""

from __future__ import annotations

from threading import Lock

from headgate.canonical import digest_of
from headgate.errors import Tampered
from headgate.ledger import Ledger, read, slot_name
from headgate.signing import Verifier
from headgate.state import State, advance
from headgate.store import Store


class Following:
    """Follows the ledger of one model under one key. Threads may share it."""

    def __init__(self, model: str, verifier: Verifier) -> None:
        self._model, self._verifier = model, verifier
        self._ledger: Ledger | None = None
        self._state, self._folded = State(model), Ledger(model)
        self._looking, self._folding = Lock(), Lock()

    def ledger(self, store: Store) -> Ledger:
        """The whole ledger as the store has it now.

        Raises:
            Tampered: something is wrong with what is new, or the head that was verified before is not there any more.
            Unavailable: the store failed.
        """
        with self._looking:
            if self._ledger is None:
                self._ledger = read(store, self._model, self._verifier)
            self._demand_head(store, self._ledger)
            while (data := store.get(slot_name(self._model, self._ledger.size))) is not None:
                self._ledger = self._ledger.followed(data, self._verifier)
            return self._ledger

    def whole(self, store: Store) -> Ledger:
        """The same, after every entry was read and verified again.

        Raises:
            Tampered, Unavailable: as `ledger`.
        """
        if self._ledger is not None:
            read(store, self._model, self._verifier)
        return self.ledger(store)  # whose head is the one that was verified, and the chain leads to it

    def wrote(self, ledger: Ledger) -> None:
        """Know what was appended to a ledger that was followed."""
        with self._looking:
            known = self._ledger
            if known is not None and ledger.roll is known.roll and ledger.size > known.size:
                self._ledger = ledger

    def state(self, ledger: Ledger) -> State:
        """What stands after a ledger that was followed, or any other of the model.

        Raises:
            Tampered: an entry breaks a rule of `headgate.state`.
        """
        with self._folding:
            ours = ledger.roll is self._folded.roll and ledger.size >= self._folded.size
            state = self._state if ours else State(self._model)
            for entry in ledger.entries[self._folded.size if ours else 0 :]:
                state = advance(state, entry)
            if ours or ledger.roll is not self._folded.roll:
                self._state, self._folded = state, ledger
            return state

    def _demand_head(self, store: Store, known: Ledger) -> None:
        found = store.get(slot_name(self._model, known.size - 1)) if known.size else None
        if known.size and found != known.stored[-1]:
            raise Tampered(
                f"ledger of {self._model}, slot {known.size - 1} (rewritten)",
                got="nothing" if found is None else f"an entry {digest_of(found)}",
                expected=f"{known.head}, which was there before",
                next_step="stop releasing, keep the store for the investigation, and run `headgate audit`",
            )
