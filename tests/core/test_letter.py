"""Letters: with the public key alone, and an entry or a checkpoint, an outsider sees what holds and what was forged."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from story_of import MODEL, SIGNER, VERIFIER, Book, take, waiting, whole

from headgate import proof
from headgate.canonical import canonical, parse
from headgate.checkpoint import Checkpoint, sign
from headgate.entry import seal
from headgate.errors import BadInput
from headgate.ledger import Ledger
from headgate.letter import Shown, opened
from headgate.merkle import Tree, root
from headgate.signing import Signer, Verifier, new_key

LEDGER = whole().ledger
NOTE = sign(LEDGER, SIGNER).note
KEPT = sign(LEDGER.at(5), SIGNER).note
SLOT = 7
IN = proof.inclusion(LEDGER, SLOT, SIGNER)
ON = proof.consistency(LEDGER, 5, SIGNER)
ENTRY = LEDGER.stored[SLOT]
STRANGER = Signer(new_key())
OTHER = take(Book(policy_file=Book().policy_file + b"# another history\n"), "tiny-1").ledger


def wrong(shown: Shown) -> tuple[str, str]:
    """The name of what is wrong, and what was got."""
    assert not shown.holds
    assert shown.wrong is not None
    return shown.wrong.name, shown.wrong.got


def test_an_entry_is_shown_to_be_in_the_ledger() -> None:
    for slot in range(LEDGER.size):
        shown = opened(proof.inclusion(LEDGER, slot, SIGNER), VERIFIER, entry=LEDGER.stored[slot])
        assert shown.holds
        assert (shown.kind, shown.entry) == ("inclusion", LEDGER.entries[slot])
        assert shown.checkpoint == sign(LEDGER, SIGNER)
    assert opened(IN, VERIFIER, entry=ENTRY + b"\n").holds, "a line that a tool has cut out ends so"


def test_a_ledger_is_shown_to_continue_what_was_kept() -> None:
    for size in range(LEDGER.size + 1):
        old = sign(LEDGER.at(size), SIGNER)
        shown = opened(proof.consistency(LEDGER, size, SIGNER), VERIFIER, since=old.note)
        assert (shown.holds, shown.old, shown.checkpoint) == (True, old, sign(LEDGER, SIGNER))


def test_a_checkpoint_is_a_letter_by_itself() -> None:
    assert opened(NOTE, VERIFIER) == Shown("checkpoint", sign(LEDGER, SIGNER))
    assert wrong(opened(NOTE, Verifier(STRANGER.public_pem)))[0] == "bad_checkpoint"
    shorter = NOTE.replace(b"\n%d\n" % LEDGER.size, b"\n1\n")
    assert shorter != NOTE
    assert wrong(opened(shorter, VERIFIER))[0] == "bad_checkpoint"
    assert "origin" in wrong(opened(b"headgate/x\n" + NOTE, VERIFIER))[1]


def test_another_entry_is_told_by_what_it_calls_itself() -> None:
    for slot in range(LEDGER.size):
        if slot != SLOT:
            name, got = wrong(opened(IN, VERIFIER, entry=LEDGER.stored[slot]))
            assert name == "bad_proof"
            assert f"the entry beside it calls itself slot {slot} of tiny" in got
    assert "are no entry" in wrong(opened(IN, VERIFIER, entry=b"hello"))[1]
    assert "are no entry" in wrong(opened(IN, VERIFIER, entry=ENTRY + b"\n\n"))[1]
    assert wrong(opened(IN, VERIFIER, entry=b""))[0] == "bad_proof"


def test_an_entry_of_which_one_word_was_changed_is_not_the_one_in_the_ledger() -> None:
    told = dict(parse(ENTRY))  # type: ignore[call-overload]  # an entry is an object
    for changed in ({**told, "actor": "mallory"}, {**told, "body": {}}, {**told, "time": "2026-01-01T00:00:00Z"}):
        assert wrong(opened(IN, VERIFIER, entry=canonical(changed)))[0] == "bad_proof"


def forged(entry: bytes, index: int = 0, *more: bytes) -> bytes:
    """A proof, signed by the pipeline's own key, that some bytes are in a tree: what only its holder can make."""
    tree = Tree([entry, *more])
    plain = Checkpoint(MODEL, SIGNER.key_id, tree.size, tree.root(tree.size))
    note = Checkpoint(MODEL, plain.key, plain.size, plain.root, SIGNER.sign(plain.text)).note
    hashes = b"".join(base64.b64encode(each) + b"\n" for each in tree.inclusion(index, tree.size))
    return proof.INCLUSION.encode() + b"%d\n%b\n" % (index, hashes) + note


def test_what_is_in_the_tree_must_be_an_entry_that_belongs_there() -> None:
    first = LEDGER.stored[0]
    assert opened(forged(first), VERIFIER, entry=first).holds
    fields = {k: v for k, v in LEDGER.entries[0].model_dump().items() if k not in ("schema", "key", "signature")}
    cases = {
        "unreadable": b"no entry",
        "wrong_slot": ENTRY,
        "wrong_key": seal(fields, STRANGER)[1],
        "wrong_model": seal({**fields, "model": "other"}, SIGNER)[1],
        "bad_signature": canonical({**dict(parse(first)), "signature": LEDGER.entries[1].signature}),  # type: ignore[call-overload]
    }
    for name, entry in cases.items():
        shown = opened(forged(entry), VERIFIER, entry=entry)
        assert wrong(shown)[0] == name
        assert (shown.entry, shown.checkpoint) == (None, None)


def altered() -> Iterator[tuple[str, bytes]]:
    """The inclusion proof with something of it changed, by what."""
    head, _, note = IN.partition(b"\n\n")
    lines = head.split(b"\n")
    yield "another index", IN.replace(b"index 7", b"index 6")
    yield "an index past the end", IN.replace(b"index 7", b"index 70")
    yield "an index that is no number", IN.replace(b"index 7", b"index -7")
    yield "a leading zero", IN.replace(b"index 7", b"index 07")
    yield "a hash less", b"\n".join(lines[:-1]) + b"\n\n" + note
    yield "a hash more", b"\n".join([*lines, lines[-1]]) + b"\n\n" + note
    yield "no hashes", b"\n".join(lines[:2]) + b"\n\n" + note
    yield "hashes in another order", b"\n".join([*lines[:2], *reversed(lines[2:])]) + b"\n\n" + note
    yield "hashes of another proof", IN.replace(head, proof.inclusion(LEDGER, 6, SIGNER).partition(b"\n\n")[0])
    yield "a hash that is no base64", IN.replace(lines[2], b"?" + lines[2][1:])
    yield "a short hash", IN.replace(lines[2], b"AAAA")
    yield "an older checkpoint", head + b"\n\n" + KEPT
    yield "the checkpoint of another history", head + b"\n\n" + sign(OTHER, SIGNER).note
    yield "the checkpoint of another model", head + b"\n\n" + sign(Ledger("other"), SIGNER).note
    yield "a checkpoint by another key", head + b"\n\n" + sign(LEDGER, STRANGER).note
    yield "another root", IN.replace(root_line(LEDGER), root_line(LEDGER.at(5)))
    yield "no checkpoint", head + b"\n\n"
    yield "the end cut off", IN[:-5]
    yield "a line more", IN + b"x\n"
    yield "a second signature", IN + NOTE.rpartition(b"\n\n")[2]
    yield "carriage returns", IN.replace(b"\n", b"\r\n").replace(b"\r\n", b"\n", 1)


def root_line(ledger: Ledger) -> bytes:
    return base64.b64encode(bytes.fromhex(root(ledger.stored)[7:]))


ALTERED = dict(altered())


@pytest.mark.parametrize("what", ALTERED)
def test_every_kind_of_tampering_with_a_proof_is_seen(what: str) -> None:
    letter = ALTERED[what]
    assert letter != IN
    assert wrong(opened(letter, VERIFIER, entry=ENTRY))[0] == "bad_proof"


@pytest.mark.parametrize("kind", ["inclusion", "consistency", "checkpoint"])
def test_every_flipped_bit_of_a_letter_is_seen_or_makes_it_none(kind: str) -> None:
    letter, given = {
        "inclusion": (IN, {"entry": ENTRY}),
        "consistency": (ON, {"since": KEPT}),
        "checkpoint": (NOTE, {}),
    }[kind]
    seen = 0
    for bit in range(8 * len(letter)):
        flipped = bytearray(letter)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            assert not opened(bytes(flipped), VERIFIER, **given).holds
            seen += 1
        except BadInput:
            assert bit < 8 * 31, "only the first line says what a letter is"
    assert seen > 8 * len(letter) - 8 * 31


def test_every_flipped_bit_of_the_entry_or_of_what_was_kept_is_seen() -> None:
    for bit in range(0, 8 * len(ENTRY), 3):
        flipped = bytearray(ENTRY)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not opened(IN, VERIFIER, entry=bytes(flipped)).holds
    for bit in range(8 * 9, 8 * len(KEPT)):
        flipped = bytearray(KEPT)
        flipped[bit // 8] ^= 1 << bit % 8
        assert wrong(opened(ON, VERIFIER, since=bytes(flipped)))[0] == "bad_kept"


def test_another_history_continues_nothing_that_was_kept() -> None:
    assert OTHER.size >= 6
    letter = proof.consistency(OTHER, 5, SIGNER)
    name, got = wrong(opened(letter, VERIFIER, since=KEPT))
    assert (name, f"hashes from 5 to {OTHER.size} entries" in got) == ("bad_proof", True)
    assert opened(letter, VERIFIER, since=sign(OTHER.at(5), SIGNER).note).holds
    older = proof.consistency(waiting().ledger.at(4), 4, SIGNER)
    assert wrong(opened(older, VERIFIER, since=KEPT))[0] == "bad_proof", "a ledger that was cut off"
    assert wrong(opened(ON, VERIFIER, since=sign(LEDGER.at(4), SIGNER).note))[0] == "bad_proof"
    assert wrong(opened(ON, VERIFIER, since=sign(LEDGER.at(5), STRANGER).note))[0] == "bad_kept"
    assert wrong(opened(ON, Verifier(STRANGER.public_pem), since=KEPT))[0] == "bad_kept"


@pytest.mark.parametrize(
    "letter", [b"", b"{}", b"\xff\xfe", b"hello\n", b"c2sp.org/tlog-proof@v2\nindex 1\n", b"new 5\n"]
)
def test_what_is_no_letter_is_the_callers_mistake(letter: bytes) -> None:
    for given in ({}, {"entry": ENTRY}, {"since": KEPT}):
        with pytest.raises(BadInput, match="the letter"):
            opened(letter, VERIFIER, **given)


def test_a_letter_is_held_against_what_it_needs_and_nothing_else() -> None:
    for letter, given in (
        (IN, {}),
        (IN, {"since": KEPT}),
        (IN, {"entry": ENTRY, "since": KEPT}),
        (ON, {}),
        (ON, {"entry": ENTRY}),
        (NOTE, {"entry": ENTRY}),
        (NOTE, {"since": KEPT}),
    ):
        with pytest.raises(BadInput, match="headgate check --help"):
            opened(letter, VERIFIER, **given)
    for since in (b"", b"hello", ON, ENTRY):
        with pytest.raises(BadInput, match="what was kept"):
            opened(ON, VERIFIER, since=since)
