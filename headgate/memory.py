"""Memory: the checkpoints that a reader has seen, kept for ever, so that no later ledger can contradict them unnoticed.

Each is a write-once file `MODEL/KEY/000000042` of a store of the reader's own: there is none that is moved, so that a
memory never goes back. Whoever can delete files there can make it forget; that is why it is not kept with the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from headgate.anomaly import Anomaly
from headgate.checkpoint import Checkpoint, read
from headgate.entry import Digest
from headgate.errors import HeadgateError, Tampered
from headgate.ledger import Ledger
from headgate.signing import Verifier
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

    def seen(self, model: str, verifier: Verifier) -> tuple[Checkpoint, ...]:
        """All checkpoints of a ledger that were seen, by size.

        Raises:
            Tampered: a file of the memory is none.
        """
        names = self._store.names(_shelf(model, verifier.key_id))
        return tuple(self._read(name, model, verifier) for name in names)

    def keep(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint that was seen. The empty ledger is no news.

        Raises:
            Tampered: another one of this size was seen before.
        """
        name = f"{_shelf(checkpoint.model, checkpoint.key)}{checkpoint.size:09}"
        if checkpoint.size and not self._store.put(name, checkpoint.note):
            found = self._store.get(name)
            if found != checkpoint.note:
                raise _unlike(name, f"{found!r}", f"{checkpoint.note!r}")

    def _read(self, name: str, model: str, verifier: Verifier) -> Checkpoint:
        try:
            found = read(self._store.get(name) or b"", model, verifier)
        except HeadgateError as error:
            raise _unlike(name, error.got, error.expected) from error
        if name != f"{_shelf(model, verifier.key_id)}{found.size:09}":
            raise _unlike(name, f"a checkpoint of {found.size} entries", "the one of its name")
        return found


def contradictions(ledger: Ledger, seen: Iterable[Checkpoint], *, whole: bool = True) -> Iterator[Anomaly]:
    """Where a ledger does not continue what was seen of it: the smallest witness of each kind.

    Args:
        seen: checkpoints of this ledger, each verified. whole: whether it is all there is. A prefix, such as that of a
            package, may be older than what was seen; then only the sizes that it had are compared.
    """
    known = sorted(seen, key=lambda checkpoint: checkpoint.size)
    agreed = 0
    for checkpoint in (one for one in known if one.size <= ledger.size):
        if ledger.root_at(checkpoint.size) != checkpoint.root:
            got = f"the root {ledger.root_at(checkpoint.size)} over {checkpoint.size} entries, alike up to {agreed}"
            yield Anomaly("other_history", agreed, got, f"{checkpoint.root}, as in a checkpoint that was seen")
            break
        agreed = checkpoint.size
    longest = known[-1].size if known else 0
    if whole and longest > ledger.size:
        got = f"a ledger of {ledger.size} entries"
        yield Anomaly("lost_entries", ledger.size, got, f"{longest} or more, as in a checkpoint that was seen")


def _shelf(model: str, key: Digest) -> str:
    return f"{model}/{key.removeprefix('sha256:')}/"


def _unlike(name: str, got: str, expected: str) -> Tampered:
    return Tampered(
        f"remembered checkpoint {name}",
        got=got,
        expected=expected,
        next_step="keep both for the investigation: two histories were signed, or the memory was changed",
    )
