"""Following a ledger: what is new is read once, and neither the head nor what is new can be changed unnoticed."""

from __future__ import annotations

from collections import Counter

import pytest
from story_of import MODEL, SIGNER, VERIFIER, whole
from test_ledger import Shelf, resealed

from headgate.errors import BadInput, SlotTaken, Tampered
from headgate.following import Following
from headgate.ledger import Ledger, append, read, slot_name
from headgate.state import fold

STORY = whole()


class Counting(Shelf):
    """A shelf that counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()

    def get(self, name: str) -> bytes | None:
        self.asked["get"] += 1
        return super().get(name)

    def names(self, prefix: str) -> list[str]:
        self.asked["names"] += 1
        return super().names(prefix)


def shelved(size: int) -> Counting:
    shelf = Counting()
    shelf.files = {slot_name(MODEL, slot): STORY.ledger.stored[slot] for slot in range(size)}
    return shelf


def told(shelf: Shelf, slot: int, data: bytes | None) -> None:
    shelf.files.pop(slot_name(MODEL, slot), None)
    if data is not None:
        shelf.files[slot_name(MODEL, slot)] = data


def test_whatever_was_added_meanwhile_is_what_a_full_reading_gives() -> None:
    shelf, following = shelved(0), Following(MODEL, VERIFIER)
    for size in (0, 1, 1, 4, 12, STORY.ledger.size):
        for slot in range(size):
            told(shelf, slot, STORY.ledger.stored[slot])
        ledger = following.ledger(shelf)
        assert ledger == read(shelf, MODEL, VERIFIER) == STORY.ledger.at(size)
        assert following.state(ledger) == fold(MODEL, STORY.ledger.entries[:size])
        assert ledger.root() == STORY.ledger.root_at(size)
    assert following.state(STORY.ledger.at(3)) == fold(MODEL, STORY.ledger.entries[:3])
    assert following.state(ledger) == STORY.state


@pytest.mark.parametrize("size", [1, 10, STORY.ledger.size])
def test_when_nothing_is_new_two_slots_are_read_however_long_it_is(size: int) -> None:
    shelf, following = shelved(size), Following(MODEL, VERIFIER)
    following.ledger(shelf)
    shelf.asked.clear()
    assert following.ledger(shelf).size == size
    assert shelf.asked == {"get": 2}


def test_every_entry_is_verified_and_folded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from headgate import following as module
    from headgate import ledger as reading

    counted: Counter[str] = Counter()
    unseal, advance = reading.unseal, module.advance
    monkeypatch.setattr(reading, "unseal", lambda *given: counted.update(["unseal"]) or unseal(*given))
    monkeypatch.setattr(module, "advance", lambda *given: counted.update(["advance"]) or advance(*given))
    shelf, following = shelved(5), Following(MODEL, VERIFIER)
    for size in range(5, STORY.ledger.size + 1):
        told(shelf, size - 1, STORY.ledger.stored[size - 1])
        for _ in range(2):
            following.state(following.ledger(shelf))
    assert counted == {"unseal": STORY.ledger.size, "advance": STORY.ledger.size}


@pytest.mark.parametrize("cut", [1, 2, 9, STORY.ledger.size])
def test_entries_that_were_cut_off_are_missed(cut: int) -> None:
    shelf, following = shelved(STORY.ledger.size), Following(MODEL, VERIFIER)
    following.ledger(shelf)
    for slot in range(STORY.ledger.size - cut, STORY.ledger.size):
        told(shelf, slot, None)
    assert read(shelf, MODEL, VERIFIER).size == STORY.ledger.size - cut, "a reader who comes now sees nothing"
    with pytest.raises(Tampered, match=r"rewritten\): got nothing"):
        following.ledger(shelf)


def test_a_head_that_was_rewritten_by_our_own_key_is_seen() -> None:
    shelf, following = shelved(6), Following(MODEL, VERIFIER)
    following.ledger(shelf)
    told(shelf, 5, resealed(STORY.ledger.stored[5], SIGNER, actor="somebody"))
    assert read(shelf, MODEL, VERIFIER).size == 6
    with pytest.raises(Tampered, match="rewritten"):
        following.ledger(shelf)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "unreadable"),
        (STORY.ledger.stored[7], "wrong_slot"),
        (resealed(STORY.ledger.stored[6], SIGNER, prev="sha256:" + "0" * 64), "broken_chain"),
        (resealed(STORY.ledger.stored[6], SIGNER, nonce="nonce-000002"), "repeated_nonce"),
        (resealed(STORY.ledger.stored[6], SIGNER, time="2026-07-01T12:00:00Z"), "time_backwards"),
        (resealed(STORY.ledger.stored[6], SIGNER, model="other"), "wrong_model"),
        (STORY.ledger.stored[6].replace(b'"signature":"ME', b'"signature":"MF'), "bad_signature"),
    ],
)
def test_what_is_new_is_verified_as_a_full_reading_would(data: bytes, name: str) -> None:
    shelf, following = shelved(6), Following(MODEL, VERIFIER)
    following.ledger(shelf)
    told(shelf, 6, data)
    with pytest.raises(Tampered, match=rf"slot 6 \({name}\)") as found:
        following.ledger(shelf)
    with pytest.raises(Tampered) as again:
        read(shelf, MODEL, VERIFIER)
    assert str(found.value) == str(again.value)
    told(shelf, 6, STORY.ledger.stored[6])
    assert following.ledger(shelf) == STORY.ledger.at(7)


def test_a_change_further_back_is_for_whoever_reads_the_whole() -> None:
    shelf, following = shelved(9), Following(MODEL, VERIFIER)
    following.ledger(shelf)
    told(shelf, 2, STORY.ledger.stored[2] + b" ")
    assert following.ledger(shelf).size == 9
    for reader in (following.whole, Following(MODEL, VERIFIER).ledger, lambda store: read(store, MODEL, VERIFIER)):
        with pytest.raises(Tampered, match="slot 2"):
            reader(shelf)


def test_the_whole_is_read_again_where_it_is_asked_for() -> None:
    shelf, following = shelved(9), Following(MODEL, VERIFIER)
    first = following.whole(shelf)
    assert first == STORY.ledger.at(9)
    shelf.asked.clear()
    told(shelf, 9, STORY.ledger.stored[9])
    assert following.whole(shelf) == STORY.ledger.at(10)
    assert following.whole(shelf).roll is first.roll, "what was folded stays folded"
    assert shelf.asked["get"] > 18
    for slot in range(4, 10):
        told(shelf, slot, None)
    with pytest.raises(Tampered, match="rewritten"):
        following.whole(shelf)


def test_sizes_of_one_ledger_share_their_entries_and_never_change() -> None:
    shelf, first = Shelf(), STORY.ledger.at(4)
    said = {"kind": "said", "actor": "anna", "body": {}, "release": None, "time": "2027-07-01T12:00:00Z"}
    ours = append(shelf, first, SIGNER, **said, nonce="our-nonce")
    theirs = append(Shelf(), first, SIGNER, **said, nonce="their-nonce")
    assert (first.size, ours.size, theirs.size) == (4, 5, 5)
    assert ours.at(4) == theirs.at(4) == first == STORY.ledger.at(4)
    assert ours != theirs
    assert ours.root() != theirs.root() != STORY.ledger.root_at(5)
    assert (ours.entries[-1].nonce, theirs.entries[-1].nonce) == ("our-nonce", "their-nonce")
    assert STORY.ledger.stored == whole().ledger.stored
    with pytest.raises(SlotTaken):
        append(shelf, first, SIGNER, **said, nonce="their-nonce")
    # A nonce that only a longer or another ledger used is new here.
    assert append(Shelf(), first, SIGNER, **said, nonce="nonce-000009").size == 5
    with pytest.raises(BadInput, match="used before"):
        append(Shelf(), ours, SIGNER, **said, nonce="nonce-000003")


def test_the_first_items_of_a_list_are_a_sequence_of_their_own() -> None:
    ledger = STORY.ledger.at(3)
    assert list(ledger.entries) == [ledger.entries[0], ledger.entries[1], ledger.entries[-1]]
    assert ledger.entries[1:] == tuple(ledger.entries)[1:]
    assert ledger.stored[::-1] == tuple(reversed(STORY.ledger.stored[:3]))
    assert Ledger(MODEL).stored == ()
    with pytest.raises(IndexError):
        _ = ledger.stored[3]
    assert len({ledger, STORY.ledger.at(3), STORY.ledger.at(2)}) == 2
