"""Memory: the checkpoints that a reader has seen, kept for ever, so that no later ledger contradicts them unnoticed.

Each is a write-once file `MODEL/KEY/000000042` in a store of the reader's own. None is ever moved or replaced, so a
memory never goes back. Whoever can delete files there can make it forget: that is why it is not kept with the ledger.
"""

from __future__ import annotations

from headgate.checkpoint import Checkpoint
from headgate.entry import Digest
from headgate.errors import Tampered
from headgate.store import Store


class Memory:
    """The checkpoints in a store. All methods raise `Unavailable` if it cannot be told."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keys(self, model: str) -> tuple[Digest, ...]:
        """The ids of the keys under which a ledger of this model was seen."""
        return tuple(dict.fromkeys(f"sha256:{name.split('/')[1]}" for name in self._store.names(f"{model}/")))

    def models(self, key: Digest) -> tuple[str, ...]:
        """The models of which a ledger under this key was seen."""
        told = (name.split("/") for name in self._store.names(""))
        return tuple(dict.fromkeys(model for model, known, _ in told if f"sha256:{known}" == key))

    def notes(self, model: str, key: Digest) -> dict[str, bytes]:
        """All checkpoints of a ledger that were seen, unverified, by where they are kept."""
        names = self._store.names(_shelf(model, key))
        return {f"the memory's {name}": self._store.get(name) or b"" for name in names}

    def longest(self, model: str, key: Digest) -> int:
        """The largest size of a ledger that was seen; 0 if it was never seen."""
        names = self._store.names(_shelf(model, key))
        return max((int(name.rpartition("/")[2]) for name in names), default=0)

    def keep(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint that was seen. The empty ledger is no news.

        Raises:
            Tampered: another one of this size was seen before.
        """
        name = f"{_shelf(checkpoint.model, checkpoint.key)}{checkpoint.size:09}"
        if not checkpoint.size or self._store.put(name, checkpoint.note):
            return
        found = self._store.get(name)
        if found != checkpoint.note:
            raise Tampered(
                f"checkpoint {name} of the memory",
                got=repr(checkpoint.note.decode()),
                expected=repr((found or b"").decode(errors="replace")),
                next_step="keep both for the investigation: two histories were signed, or the memory was changed",
            )


def _shelf(model: str, key: Digest) -> str:
    return f"{model}/{key.removeprefix('sha256:')}/"
