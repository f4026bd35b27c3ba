"""Letters: what an outsider was sent about a ledger, held against what the outsider has: the key, and one file.

A letter is a proof that an entry is in a ledger, a proof that a ledger continues what was kept of it, or a checkpoint.
Which it is, its first line says. Whose ledger it is about, its checkpoint says; that counts only with the signature of
the key that the outsider brings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from headgate import checkpoint
from headgate.anomaly import Anomaly, Due
from headgate.checkpoint import ORIGIN, Checkpoint, model_of
from headgate.entry import Entry, unseal
from headgate.errors import BadInput, Tampered
from headgate.proof import CONSISTENCY, INCLUSION, show_consistency, show_inclusion
from headgate.signing import Verifier

Kind = Literal["inclusion", "consistency", "checkpoint"]

_BEGINS: Mapping[Kind, bytes] = {
    "inclusion": INCLUSION.encode(),
    "consistency": CONSISTENCY.encode(),
    "checkpoint": ORIGIN.encode(),
}
_NEEDS: Mapping[Kind, tuple[str, ...]] = {"inclusion": ("--entry",), "consistency": ("--since",), "checkpoint": ()}


@dataclass(frozen=True)
class Shown:
    """What a letter shows.

    Attributes:
        kind: of the letter. checkpoint: the signed one in it. entry: the one that is in the ledger. old: the checkpoint
            that it continues. None where that was not shown.
        wrong: the first thing that is wrong, ``bad_checkpoint``, ``bad_kept``, ``bad_proof`` or an anomaly of one
            entry; then it shows nothing.
    """

    kind: Kind
    checkpoint: Checkpoint | None = None
    entry: Entry | None = None
    old: Checkpoint | None = None
    wrong: Anomaly | None = None

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong, and a checkpoint was verified."""
        return self.wrong is None and self.checkpoint is not None


def opened(letter: bytes, verifier: Verifier, *, entry: bytes | None = None, since: bytes | None = None) -> Shown:
    """What a letter shows to whoever holds the pipeline's public key.

    Args:
        entry: the stored bytes of an entry, a newline at the end aside; for a proof of inclusion.
        since: the checkpoint that was kept; for a proof of consistency.

    Raises:
        BadInput: it is no letter, `since` is no checkpoint, or not what this letter needs was given.
    """
    kind = _kind(letter)
    _demand_fitting(kind, {"--entry": entry, "--since": since})
    if kind == "inclusion" and entry is not None:
        return _included(letter, entry.removesuffix(b"\n"), verifier)
    if kind == "consistency" and since is not None:
        return _continued(letter, since, verifier)
    try:
        return Shown(kind, checkpoint.read(letter, model_of(letter), verifier))
    except Tampered as error:
        return Shown(kind, wrong=_wrong("bad_checkpoint", error))


def _included(letter: bytes, entry: bytes, verifier: Verifier) -> Shown:
    try:
        new = show_inclusion(letter, entry, model_of(letter.partition(b"\n\n")[2]), verifier)
    except Tampered as error:
        return Shown("inclusion", wrong=_wrong("bad_proof", error, _own_words(entry, verifier)))
    try:
        told, signed = unseal(entry, verifier)
    except Tampered as error:
        return Shown("inclusion", wrong=_wrong("unreadable", error))
    slot = int(letter[len(INCLUSION) :].partition(b"\n")[0])
    # What comes before it is not here: its place in the chain is what the root shows.
    faults = Due(new.model, slot, verifier.key_id, None, None).faults(told, signed, None)
    return next((Shown("inclusion", wrong=fault) for fault in faults), Shown("inclusion", new, entry=told))


def _continued(letter: bytes, since: bytes, verifier: Verifier) -> Shown:
    try:
        old = checkpoint.read(since, model_of(since), verifier)
    except Tampered as error:
        return Shown("consistency", wrong=_wrong("bad_kept", error))
    try:
        return Shown("consistency", show_consistency(letter, old, verifier), old=old)
    except Tampered as error:
        return Shown("consistency", wrong=_wrong("bad_proof", error))


def _own_words(entry: bytes, verifier: Verifier) -> str:
    """What an entry says of its place, which is the shortest way to see that it is another one."""
    try:
        told, _ = unseal(entry, verifier)
    except Tampered:
        return "; the bytes beside it are no entry"
    return f"; the entry beside it calls itself slot {told.seq} of {told.model}"


def _wrong(name: str, error: Tampered, more: str = "") -> Anomaly:
    return Anomaly(name, -1, f"{error.subject}: {error.got}{more}", error.expected)


def _kind(letter: bytes) -> Kind:
    for kind, begin in _BEGINS.items():
        if letter.startswith(begin):
            return kind
    raise _unreadable("the letter", letter, "what `headgate prove` or `headgate checkpoint` printed, without --json")


def _demand_fitting(kind: Kind, given: Mapping[str, bytes | None]) -> None:
    have = tuple(name for name, data in given.items() if data is not None)
    if have != _NEEDS[kind]:
        raise BadInput(
            f"the letter, which is about {kind}" if _NEEDS[kind] else "the letter, which is a checkpoint",
            got=" and ".join(have) or "nothing to hold it against",
            expected=_NEEDS[kind][0] if _NEEDS[kind] else "no other file",
            next_step="see `headgate check --help`",
        )
    since = given["--since"]
    if since is not None and not since.startswith(_BEGINS["checkpoint"]):
        raise _unreadable("what was kept", since, "a checkpoint, as `headgate checkpoint MODEL` printed it then")


def _unreadable(subject: str, data: bytes, expected: str) -> BadInput:
    return BadInput(
        subject,
        got=f"{len(data):,} bytes that begin with {data[:60]!r}",
        expected=expected,
        next_step="get it again, and keep it as it comes",
    )
