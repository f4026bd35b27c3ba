"""Witnesses and the memory: no ledger contradicts what was seen of it, and no memory goes back."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from story_of import ANA, MODEL, SIGNER, VERIFIER, Book, waiting, whole
from test_ledger import Shelf, resealed

from headgate.anomaly import Anomaly
from headgate.approval import statement
from headgate.checkpoint import Checkpoint, sign
from headgate.errors import Tampered, Unavailable
from headgate.ledger import Ledger, examined
from headgate.memory import Memory
from headgate.signing import Signer, new_key
from headgate.store import FolderStore
from headgate.witness import Witness, against

LEDGER = whole().ledger
STRANGER = Signer(new_key())


def forked(at: int, size: int = LEDGER.size) -> Ledger:
    """The same ledger up to a slot, and from there written again with the pipeline's key."""
    slots, ledger = dict(enumerate(LEDGER.stored[:at])), LEDGER.at(at)
    for slot in range(at, size):
        changes = {"prev": ledger.head, "actor": "somebody"}
        slots[slot] = resealed(LEDGER.stored[slot], SIGNER, **changes)
        ledger, anomalies = examined(slots, MODEL, VERIFIER)
        assert anomalies == (), "nothing is wrong with it by itself"
    return ledger


FORKED = {at: forked(at) for at in (0, 3, 10, LEDGER.size - 1)}


def said(ledger: Ledger, *sizes: int, whole: bool = True) -> list[Anomaly]:
    told = {f"{size} seen": sign(LEDGER.at(size), SIGNER).note for size in sizes}
    return list(against(ledger, told, VERIFIER, whole=whole))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.integers(0, LEDGER.size), st.sets(st.integers(0, LEDGER.size), max_size=5))
def test_a_ledger_continues_every_size_that_it_had(size: int, sizes: set[int]) -> None:
    found = said(LEDGER.at(size), *sizes)
    lost = max(sizes, default=0) > size
    assert [(a.name, a.slot) for a in found] == ([("lost_entries", size)] if lost else [])
    assert said(LEDGER.at(size), *sizes, whole=False) == []


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(FORKED)), st.sets(st.integers(0, LEDGER.size), max_size=5))
def test_another_history_is_named_where_it_may_have_begun(at: int, sizes: set[int]) -> None:
    agreeing = [size for size in sizes if size <= at]
    found = said(FORKED[at], *sizes)
    expected = [("other_history", max(agreeing, default=0))] if len(agreeing) < len(sizes) else []
    assert [(a.name, a.slot) for a in found] == expected
    if found:
        first = min(size for size in sizes if size > at)
        assert f"{first} seen" in found[0].expected
        assert LEDGER.root_at(first) in found[0].expected
        assert FORKED[at].root_at(first) in found[0].got


def test_a_prefix_is_compared_as_far_as_it_goes() -> None:
    assert said(LEDGER.at(5), 9, whole=False) == []
    assert [a.name for a in said(FORKED[3].at(5), 4, 9, whole=False)] == ["other_history"]
    assert said(FORKED[3].at(3), 3, 9, whole=False) == []


def test_what_an_approver_was_shown_is_a_witness() -> None:
    book = waiting()
    text = statement(book.ledger, book.release("tiny-1"), person=ANA, role="risk", decision="approve").text()
    assert list(against(book.ledger, {"ana": text}, VERIFIER)) == list(against(LEDGER, {"ana": text}, VERIFIER)) == []
    (found,) = against(FORKED[3], {"ana": text}, VERIFIER)
    assert (found.name, found.slot) == ("other_history", 0)
    (found,) = against(LEDGER.at(4), {"ana": text}, VERIFIER)
    assert str(found) == "slot 4: lost_entries: got 4 entries; expected at least 8, as in ana"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"garbage",
        sign(LEDGER, STRANGER).note,
        sign(Ledger("other"), SIGNER).note,
        sign(LEDGER, SIGNER).note + b"x",
        statement(
            waiting().ledger, waiting().release("tiny-1"), person=ANA, role="risk", decision="approve"
        ).model_copy(update={"model": "other"}).text(),
    ],
)  # fmt: skip
def test_what_is_no_witness_is_named(data: bytes) -> None:
    (found,) = against(LEDGER, {"the file": data}, VERIFIER)
    assert found.name == "bad_witness"
    assert found.got.startswith("the file: ")


def test_a_memory_keeps_what_it_saw_and_takes_no_other(tmp_path: Path) -> None:
    memory = Memory(FolderStore.create(tmp_path))
    for size in (5, 3, 5, 0):
        memory.keep(sign(LEDGER.at(size), SIGNER))
    assert memory.longest(MODEL, SIGNER.key_id) == 5
    assert list(memory.notes(MODEL, SIGNER.key_id).values()) == [sign(LEDGER.at(n), SIGNER).note for n in (3, 5)]
    with pytest.raises(Tampered, match="two histories were signed"):
        memory.keep(sign(FORKED[3].at(5), SIGNER))
    assert (memory.keys(MODEL), memory.keys("other")) == ((SIGNER.key_id,), ())
    memory.keep(sign(LEDGER, STRANGER))
    assert set(memory.keys(MODEL)) == {SIGNER.key_id, STRANGER.key_id}
    assert (memory.models(SIGNER.key_id), memory.models("sha256:" + "0" * 64)) == ((MODEL,), ())
    assert memory.longest(MODEL, SIGNER.key_id) == 5, "another key's is another ledger"


def test_of_two_histories_of_one_size_that_are_seen_at_once_one_is_kept(tmp_path: Path) -> None:
    gate, lost = threading.Barrier(2), list[str]()

    def keep(seen: Checkpoint) -> None:
        gate.wait(10)
        try:
            Memory(FolderStore.create(tmp_path)).keep(seen)
        except Tampered as error:
            lost.append(error.got)

    threads = [threading.Thread(target=keep, args=(sign(one, SIGNER),)) for one in (LEDGER, FORKED[3])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(lost) == 1


def test_a_memory_that_cannot_be_kept_is_no_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable):
        Memory(FolderStore.create(tmp_path / "file"))
    with pytest.raises(Unavailable):
        Memory(FolderStore(tmp_path / "unmounted")).notes(MODEL, SIGNER.key_id)


def test_what_was_changed_in_a_memory_is_named() -> None:
    shelf = Shelf()
    memory = Memory(shelf)
    memory.keep(sign(LEDGER.at(4), SIGNER))
    (name,) = shelf.files
    shelf.files[name] = shelf.files[name].replace(b"\n4\n", b"\n5\n")
    (found,) = against(LEDGER, memory.notes(MODEL, SIGNER.key_id), VERIFIER)
    assert found.name == "bad_witness"
    assert name in found.got
    # Half of a file that another tool copied, or none.
    shelf.files[name] = b""
    assert [a.name for a in against(LEDGER, memory.notes(MODEL, SIGNER.key_id), VERIFIER)] == ["bad_witness"]


def test_witnesses_are_in_the_order_of_what_they_saw() -> None:
    assert sorted([Witness(5, "b", "x"), Witness(3, "c", "y")])[0].size == 3
    assert Book().ledger.size == 0
