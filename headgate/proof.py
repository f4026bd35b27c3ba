"""Proofs about a ledger that fit into a letter: what an outsider checks without the ledger.

That an entry is in it is a c2sp.org/tlog-proof; that it continues what was seen of it is the request that
c2sp.org/tlog-witness sends to a witness: the old size, the hashes, and the new checkpoint.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

from headgate.checkpoint import LIMIT, Checkpoint, read, sign
from headgate.errors import HeadgateError, Tampered
from headgate.ledger import Ledger
from headgate.merkle import consistent, included
from headgate.signing import Signer, Verifier

INCLUSION, CONSISTENCY = "c2sp.org/tlog-proof@v1\nindex ", "old "
"""How the two kinds of proof begin."""

_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")
_MOST = 64


def inclusion(ledger: Ledger, slot: int, signer: Signer) -> bytes:
    """The proof that the stored bytes of a slot are in a ledger.

    Raises:
        BadInput: it has no such slot.
    """
    return _spelled(f"{INCLUSION}{slot}", ledger.inclusion(slot), sign(ledger, signer))


def consistency(ledger: Ledger, old: int, signer: Signer) -> bytes:
    """The proof that a ledger continues what it was at an older size.

    Raises:
        BadInput: it never had that size.
    """
    return _spelled(f"{CONSISTENCY}{old}", ledger.consistency(old), sign(ledger, signer))


def show_inclusion(proof: bytes, entry: bytes, model: str, verifier: Verifier) -> Checkpoint:
    """The checkpoint of a ledger of which a proof shows that the stored bytes of an entry are in it.

    Raises:
        Tampered: it does not show that, or is no proof.
    """
    slot, hashes, checkpoint = _read(proof, INCLUSION, model, verifier)
    if not included(entry, slot, checkpoint.size, hashes, checkpoint.root):
        raise _no_proof(f"hashes that do not lead to the root {checkpoint.root}", f"those of the entry in slot {slot}")
    return checkpoint


def show_consistency(proof: bytes, old: Checkpoint, verifier: Verifier) -> Checkpoint:
    """The checkpoint of a ledger of which a proof shows that it continues the ledger of an old one.

    Raises:
        Tampered: it does not show that, or is no proof.
    """
    size, hashes, new = _read(proof, CONSISTENCY, old.model, verifier)
    if size != old.size or not consistent(old.size, old.root, new.size, new.root, hashes):
        raise _no_proof(f"hashes from {size} to {new.size} entries", f"those that continue {old.root} over {old.size}")
    return new


def _spelled(head: str, hashes: Iterable[bytes], checkpoint: Checkpoint) -> bytes:
    lines = [head, *(base64.b64encode(one).decode() for one in hashes), ""]
    return "".join(f"{line}\n" for line in lines).encode() + checkpoint.note


def _read(proof: bytes, begin: str, model: str, verifier: Verifier) -> tuple[int, tuple[bytes, ...], Checkpoint]:
    told, _, note = proof[: 2 * LIMIT].partition(b"\n\n")
    checkpoint = read(note, model, verifier)
    try:
        number, *lines = told.decode().removeprefix(begin).split("\n")
        hashes = tuple(base64.b64decode(line, validate=True) for line in lines)
    except ValueError as error:
        raise _no_proof(repr(told[:200]), "a proof in text and base64") from error
    good = _NUMBER.fullmatch(number) and len(hashes) <= _MOST and all(len(one) == 32 for one in hashes)
    if not good or _spelled(f"{begin}{number}", hashes, checkpoint) != proof:
        raise _no_proof(
            repr(told[:200]), f"'{begin}' and a number, hashes of 32 bytes, a checkpoint with one signature"
        )
    return int(number), hashes, checkpoint


def _no_proof(got: str, expected: str) -> HeadgateError:
    return Tampered("proof", got=got, expected=expected, next_step="ask for it again: `headgate prove --help`")
