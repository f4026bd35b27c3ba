"""Remember: the checkpoints that this home has seen of its own ledgers and of packages, in files of its own."""

from __future__ import annotations

from collections.abc import Iterator

from headgate.anomaly import Anomaly
from headgate.checkpoint import Checkpoint
from headgate.home import Home
from headgate.memory import Memory
from headgate.store import FolderStore
from headgate.verification import Verified
from headgate.witness import against


def memory_of(home: Home) -> Memory:
    """What a home has seen. Raises Unavailable where nothing can be kept."""
    return Memory(FolderStore.create(home.memory))


def look_back(home: Home, found: Verified, *, trusted: bool) -> str:
    """Add to a sound verification what the home's memory says against it; if that is nothing, keep its checkpoint.

    Args:
        trusted: whether the pipeline's key is known from elsewhere. If not, a model that was only seen under another
            key is refused, as SSH refuses a host whose key has changed.

    Returns:
        What was compared, in words.

    Raises:
        Unavailable: the memory cannot be read or written.
    """
    if not found.sound or found.ledger is None or found.checkpoint is None or found.verifier is None:
        return "not compared with what was seen before"
    memory, seen = memory_of(home), found.checkpoint
    longest = memory.longest(seen.model, seen.key)
    notes = memory.notes(seen.model, seen.key)
    found.anomalies += [] if trusted else _strangers(memory, seen)
    found.anomalies += against(found.ledger, notes, found.verifier, whole=False)
    if found.sound:
        memory.keep(seen)
    return _compared(len(notes), longest, seen.size)


def _strangers(memory: Memory, seen: Checkpoint) -> Iterator[Anomaly]:
    known = memory.keys(seen.model)
    if known and seen.key not in known:
        expected = f"{known[0]}, under which {seen.model} was seen before; if the new key is right, name it with --key"
        yield Anomaly("other_key", -1, f"pipeline.pub: {seen.key}", expected)


def _compared(count: int, longest: int, size: int) -> str:
    if not count:
        return f"its ledger, of {size} entries, is seen for the first time"
    if longest > size:
        return f"its ledger has {size} entries; up to {longest} were seen before, of which it cannot speak"
    return (
        f"its ledger, of {size} entries, was compared with {count} checkpoint(s) seen before, up to {longest} entries"
    )
