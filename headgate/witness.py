"""Witnesses: what was said about a ledger elsewhere, and whether the ledger that is here continues it.

A witness is a signed checkpoint, or the text of an approval, which names the ledger's size and root too. A checkpoint
counts by the pipeline's signature, a text by where it was kept: whoever holds both key and store can forge neither a
text that an approver kept nor a checkpoint that somebody has already seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from headgate import checkpoint
from headgate.anomaly import Anomaly
from headgate.approval import Statement
from headgate.entry import Digest
from headgate.errors import HeadgateError, Tampered
from headgate.ledger import Ledger
from headgate.signing import Verifier


@dataclass(frozen=True, order=True)
class Witness:
    """A size and a root of a ledger, and where they are kept."""

    size: int
    root: Digest
    place: str


def against(ledger: Ledger, told: Mapping[str, bytes], verifier: Verifier, *, whole: bool = True) -> Iterator[Anomaly]:
    """What witnesses say against a ledger: ``bad_witness``, ``other_history`` and ``lost_entries``.

    Args:
        told: checkpoints and approval texts by where they are kept. verifier: the pipeline's public key.
        whole: whether the ledger is all there is. A prefix, such as that of a package, may be older than what was
            seen; then only the sizes that it had are compared.
    """
    known = list[Witness]()
    for place, data in sorted(told.items()):
        try:
            known.append(_heard(place, data, ledger.model, verifier))
        except HeadgateError as error:
            yield Anomaly("bad_witness", -1, f"{place}: {error.got}", error.expected)
    yield from contradictions(ledger, known, whole=whole)


def contradictions(ledger: Ledger, known: Iterable[Witness], *, whole: bool) -> Iterator[Anomaly]:
    """Where a ledger does not continue what was seen of it; of each kind the smallest, which implies the others."""
    ordered, agreed = sorted(known), 0
    for each in (one for one in ordered if one.size <= ledger.size):
        if ledger.root_at(each.size) != each.root:
            got = f"the root {ledger.root_at(each.size)} over {each.size} entries; it agrees up to {agreed}"
            yield Anomaly("other_history", agreed, got, f"{each.root}, as in {each.place}")
            break
        agreed = each.size
    if whole and ordered and ordered[-1].size > ledger.size:
        longest = ordered[-1]
        expected = f"at least {longest.size}, as in {longest.place}"
        yield Anomaly("lost_entries", ledger.size, f"{ledger.size} entries", expected)


def _heard(place: str, data: bytes, model: str, verifier: Verifier) -> Witness:
    if not data.startswith(b"{"):
        seen = checkpoint.read(data, model, verifier)
        return Witness(seen.size, seen.root, place)
    said = Statement.read(data)
    if said.model != model:
        raise Tampered(
            "witness", got=f"a text about {said.model}", expected=f"one about {model}", next_step="name its own"
        )
    return Witness(said.ledger_size, said.ledger_root, place)
