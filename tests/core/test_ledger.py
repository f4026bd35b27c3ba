from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate import merkle
from headgate.canonical import canonical, digest_of, parse
from headgate.entry import BODY_LIMIT
from headgate.errors import BadInput, SlotTaken, Tampered, Unavailable
from headgate.ledger import Entry, Ledger, append, check, problems, read, slot_name, slots
from headgate.signing import Signer, Verifier, new_key
from headgate.store import FolderStore

MODEL = "credit_default"
SIGNER, STRANGER = Signer(new_key()), Signer(new_key())
VERIFIER = Verifier(SIGNER.public_pem)


class Shelf:
    """A store in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def put(self, name: str, data: bytes) -> bool:
        return self.files.setdefault(name, data) is data

    def get(self, name: str) -> bytes | None:
        return self.files.get(name)

    def names(self, prefix: str) -> list[str]:
        return sorted(name for name in self.files if name.startswith(prefix))


def said(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "gate_judged",
        "actor": "pipeline",
        "body": {"number": number, "tally": digest_of(b"tally")},
        "release": "r1",
        "time": f"2026-07-01T12:00:{number % 60:02}Z",
        "nonce": f"nonce-{number:04}",
    } | changes


def grown(store: Shelf | FolderStore, size: int, model: str = MODEL, signer: Signer = SIGNER) -> Ledger:
    ledger = Ledger(model)
    for number in range(size):
        ledger = append(store, ledger, signer, **said(number))
    return ledger


def resealed(data: bytes, signer: Signer, **changes: Any) -> bytes:
    fields: Any = parse(data)
    unsigned = {k: v for k, v in (fields | {"key": signer.key_id} | changes).items() if k != "signature"}
    return canonical(unsigned | {"signature": signer.sign(canonical(unsigned))})


def found(changed: Mapping[int, bytes]) -> list[tuple[str, int]]:
    return [(anomaly.name, anomaly.slot) for anomaly in check(changed, MODEL, VERIFIER)]


@pytest.fixture
def good() -> dict[int, bytes]:
    return dict(enumerate(grown(Shelf(), 6).stored))


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    store = FolderStore.create(tmp_path)
    ledger = grown(store, 3)
    assert read(store, MODEL, VERIFIER) == ledger
    assert [entry.seq for entry in ledger.entries] == [0, 1, 2]
    assert [entry.body["number"] for entry in ledger.entries] == [0, 1, 2]
    assert store.names("") == [f"ledger/{MODEL}/00000000{n}.json" for n in range(3)]
    assert ledger.head == digest_of((tmp_path / f"ledger/{MODEL}/000000002.json").read_bytes())


def test_an_empty_ledger_is_valid() -> None:
    empty = read(Shelf(), MODEL, VERIFIER)
    assert (empty.size, empty.entries, empty.root()) == (0, (), merkle.root([]))
    assert empty.head != read(Shelf(), "another", VERIFIER).head


def test_every_prefix_is_valid_and_keeps_its_root(good: dict[int, bytes]) -> None:
    whole = read_all(good)
    for size in range(len(good) + 1):
        shelf = Shelf()
        shelf.files = {slot_name(MODEL, slot): good[slot] for slot in range(size)}
        ledger = read(shelf, MODEL, VERIFIER)
        assert ledger.size == size
        assert ledger.root() == whole.root_at(size) == merkle.root(list(good.values())[:size])
        assert append(shelf, ledger, SIGNER, **said(50)).size == size + 1


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.text(max_size=5), st.integers(0, 3), st.booleans()), max_size=12), st.data())
def test_any_prefix_of_any_ledger_is_valid_and_goes_on(told: list[tuple[str, int, bool]], data: st.DataObject) -> None:
    shelf, ledger, second = Shelf(), Ledger(MODEL), 0
    for number, (text, pause, release) in enumerate(told):
        second += pause
        time = f"2026-07-01T12:00:{second:02}Z"
        changes = {"body": {"text": text}, "time": time, "release": "r" if release else None}
        ledger = append(shelf, ledger, SIGNER, **said(number, **changes))
    size = data.draw(st.integers(0, len(told)))
    prefix = read_all(dict(enumerate(ledger.stored[:size])))
    assert prefix == ledger.at(size)
    assert prefix.root() == ledger.root_at(size) == merkle.root(ledger.stored[:size])
    assert merkle.consistent(size, prefix.root(), ledger.size, ledger.root(), ledger.consistency(size))
    assert append(Shelf(), prefix, SIGNER, **said(50, time="2026-07-01T12:59:59Z")).size == size + 1


def read_all(files: Mapping[int, bytes]) -> Ledger:
    shelf = Shelf()
    shelf.files = {slot_name(MODEL, slot): data for slot, data in files.items()}
    return read(shelf, MODEL, VERIFIER)


@pytest.mark.parametrize("size", [-1, 7])
def test_a_root_of_a_size_that_never_was_is_refused(good: dict[int, bytes], size: int) -> None:
    with pytest.raises(BadInput, match="size"):
        read_all(good).root_at(size)


def test_every_flipped_bit_of_every_entry_is_found() -> None:
    files, checked, missed = dict(enumerate(grown(Shelf(), 3).stored)), 0, []
    for slot, data in files.items():
        for bit in range(len(data) * 8):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            checked += 1
            if not any(at == slot for _, at in found(files | {slot: bytes(changed)})):
                missed.append((slot, bit))
    assert not missed, f"{len(missed)} of {checked} flipped bits were not found: {missed[:5]}"
    assert checked == 8 * sum(map(len, files.values())) > 10_000


def test_every_truncation_and_addition_is_found(good: dict[int, bytes]) -> None:
    last = max(good)
    for size in range(len(good[last])):
        assert found(good | {last: good[last][:size]}) == [("unreadable", last)]
    for more in (b"\n", b" ", b"\x00", b"{}"):
        assert found(good | {last: good[last] + more}) == [("unreadable", last)]


ATTACKS: dict[str, tuple[Callable[[dict[int, bytes]], dict[int, bytes]], list[tuple[str, int]]]] = {
    "two entries swapped": (
        lambda f: f | {2: f[3], 3: f[2]},
        [
            ("wrong_slot", 2),
            ("broken_chain", 2),
            ("wrong_slot", 3),
            ("broken_chain", 3),
            ("time_backwards", 3),
            ("broken_chain", 4),
        ],
    ),
    "one deleted in the middle": (
        lambda f: {slot: data for slot, data in f.items() if slot != 2},
        [("missing_slot", 2)],
    ),
    "the first deleted": (lambda f: {slot: data for slot, data in f.items() if slot}, [("missing_slot", 0)]),
    "one deleted and the rest moved up": (
        lambda f: dict(enumerate(data for slot, data in f.items() if slot != 4)),
        [("wrong_slot", 4), ("broken_chain", 4)],
    ),
    "the last repeated": (
        lambda f: f | {6: f[5]},
        [("wrong_slot", 6), ("broken_chain", 6), ("repeated_nonce", 6)],
    ),
    "one from another model": (
        lambda f: f | {5: grown(Shelf(), 6, model="other").stored[5]},
        [("wrong_model", 5), ("broken_chain", 5)],
    ),
    "the first from another model": (
        lambda _: {0: grown(Shelf(), 1, model="other").stored[0]},
        [("wrong_model", 0), ("broken_chain", 0)],
    ),
    "the last signed again by another key": (
        lambda f: f | {5: resealed(f[5], STRANGER)},
        [("wrong_key", 5)],
    ),
    "the last signed by another key in the name of ours": (
        lambda f: f | {5: resealed(f[5], STRANGER, key=SIGNER.key_id)},
        [("bad_signature", 5)],
    ),
    "the whole written again by another key": (
        lambda _: dict(enumerate(grown(Shelf(), 2, signer=STRANGER).stored)),
        [("wrong_key", 0), ("wrong_key", 1)],
    ),
    "the signature of another entry": (
        lambda f: f | {5: canonical(dict(parse(f[5]), signature=parse(f[4])["signature"]))},  # type: ignore
        [("bad_signature", 5)],
    ),
    # The holder of our own key, who is only held to the rules of a ledger:
    "our key, the clock set back": (
        lambda f: f | {5: resealed(f[5], SIGNER, time="2026-07-01T12:00:03.999Z")},
        [("time_backwards", 5)],
    ),
    "our key, a nonce used twice": (
        lambda f: f | {5: resealed(f[5], SIGNER, nonce="nonce-0001")},
        [("repeated_nonce", 5)],
    ),
    "our key, an entry changed that others follow": (
        lambda f: f | {3: resealed(f[3], SIGNER, actor="somebody")},
        [("broken_chain", 4)],
    ),
    "our key, another schema": (
        lambda f: f | {5: resealed(f[5], SIGNER, schema="headgate/ledger/v2")},
        [("unreadable", 5)],
    ),
    "our key, a field more": (lambda f: f | {5: resealed(f[5], SIGNER, note="x")}, [("unreadable", 5)]),
    "our key, a body that nobody can hold": (
        lambda f: f | {5: resealed(f[5], SIGNER, body={"x": "y" * (BODY_LIMIT + 2**15)})},
        [("unreadable", 5)],
    ),
    "our key, a number as text": (lambda f: f | {5: resealed(f[5], SIGNER, seq="5")}, [("unreadable", 5)]),
    "our key, a day that never was": (
        lambda f: f | {5: resealed(f[5], SIGNER, time="2026-02-30T00:00:00Z")},
        [("unreadable", 5)],
    ),
    "garbage": (lambda f: f | {6: b"\x00" * 2**21}, [("unreadable", 6)]),
    "nothing": (lambda f: f | {6: b""}, [("unreadable", 6)]),
    "not an object": (lambda f: f | {6: b"[]"}, [("unreadable", 6)]),
    "a slot far away": (lambda f: f | {999_999_999: f[5]}, [("missing_slot", 6), ("wrong_slot", 999_999_999)]),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_found_with_their_witness(good: dict[int, bytes], attack: str) -> None:
    change, expected = ATTACKS[attack]
    changed = change(dict(good))
    anomalies = found(changed)
    assert anomalies[: len(expected)] == expected
    with pytest.raises(Tampered, match=rf"slot {expected[0][1]} \({expected[0][0]}\)"):
        read_all(changed)


def test_an_anomaly_says_what_was_got_and_what_was_expected(good: dict[int, bytes]) -> None:
    (anomaly,) = check(good | {3: resealed(good[3], SIGNER, actor="somebody")}, MODEL, VERIFIER)
    before = digest_of(resealed(good[3], SIGNER, actor="somebody"))
    assert str(anomaly) == (
        f"slot 4: broken_chain: got prev {digest_of(good[3])}; expected {before}, the digest of what is before it"
    )


def test_what_problems_finds_is_what_check_finds(good: dict[int, bytes]) -> None:
    shelf = Shelf()
    shelf.files = {slot_name(MODEL, slot): data for slot, data in good.items() if slot != 1}
    assert problems(shelf, MODEL, VERIFIER) == check({s: d for s, d in good.items() if s != 1}, MODEL, VERIFIER) != ()
    shelf.files[slot_name(MODEL, 1)] = good[1]
    assert problems(shelf, MODEL, VERIFIER) == ()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.permutations(range(6)), st.sets(st.integers(0, 5)))
def test_only_a_prefix_of_the_true_order_is_a_ledger(order: list[int], removed: set[int]) -> None:
    files = SIX
    changed = {slot: files[source] for slot, source in enumerate(order) if slot not in removed}
    prefix = all(slot == source for slot, source in enumerate(order) if slot not in removed) and (
        sorted(changed) == list(range(len(changed)))
    )
    assert (found(changed) == []) == prefix


SIX = dict(enumerate(grown(Shelf(), 6).stored))


def test_a_lost_race_is_reported_and_changes_nothing(good: dict[int, bytes]) -> None:
    shelf = Shelf()
    ledger = grown(shelf, 2)
    won = append(shelf, ledger, SIGNER, **said(2))
    with pytest.raises(SlotTaken, match=r"000000002\.json"):
        append(shelf, ledger, SIGNER, **said(3))
    assert read(shelf, MODEL, VERIFIER) == won


def test_a_write_that_arrived_unnoticed_counts_as_ours() -> None:
    shelf = Shelf()
    ledger = grown(shelf, 2)
    once = append(shelf, ledger, SIGNER, **said(2))
    assert append(shelf, ledger, SIGNER, **said(2)) == once == read(shelf, MODEL, VERIFIER)
    with pytest.raises(SlotTaken):
        append(shelf, ledger, SIGNER, **said(2, nonce="another-nonce"))


def test_a_store_that_says_neither_is_unavailable() -> None:
    class Broken(Shelf):
        def put(self, name: str, data: bytes) -> bool:
            return False

    with pytest.raises(Unavailable, match="neither"):
        append(Broken(), Ledger(MODEL), SIGNER, **said(0))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"time": "2026-07-01T12:00:00.5Z"}, "not before"),
        ({"time": "2026-07-01T12:00:09+00:00"}, "time"),
        ({"time": "2026-07-01 12:00:09Z"}, "time"),
        ({"time": "2026-13-01T12:00:09Z"}, "time"),
        ({"time": "2026-07-01T12:00:09Z\n"}, "time"),
        ({"nonce": "nonce-0000"}, "used before"),
        ({"nonce": "short"}, "nonce"),
        ({"nonce": ""}, "nonce"),
        ({"kind": "GateJudged"}, "kind"),
        ({"kind": "gate judged"}, "kind"),
        ({"kind": "k" * 65}, "kind"),
        ({"kind": "gate_judged\n"}, "kind"),
        ({"actor": ""}, "actor"),
        ({"actor": "a\nb"}, "actor"),
        ({"actor": "ann\u202egro.elpmaxe@"}, "actor"),
        ({"actor": " ann"}, "actor"),
        ({"actor": "a" * 201}, "actor"),
        ({"release": ""}, "release"),
        ({"body": [1]}, "body"),
        ({"body": None}, "body"),
        ({"body": {"x": float("nan")}}, r"\$\.x: got nan"),
        ({"body": {"x": "y" * BODY_LIMIT}}, "1,048,5"),
    ],
)
def test_what_cannot_be_an_entry_is_refused_before_it_is_written(changes: dict[str, Any], why: str) -> None:
    shelf = Shelf()
    ledger = grown(shelf, 2)
    with pytest.raises(BadInput, match=why):
        append(shelf, ledger, SIGNER, **said(2, **changes))
    with pytest.raises(BadInput, match=why):
        ledger.sealed(SIGNER, **said(2, **changes))
    assert read(shelf, MODEL, VERIFIER) == ledger


def test_the_largest_body_is_read_again() -> None:
    shelf, room = Shelf(), BODY_LIMIT - len(canonical({"x": ""}))
    ledger = append(shelf, Ledger(MODEL), SIGNER, **said(0, body={"x": "y" * room}))
    assert read(shelf, MODEL, VERIFIER) == ledger


def test_another_key_cannot_continue_a_ledger() -> None:
    shelf = Shelf()
    ledger = grown(shelf, 1)
    with pytest.raises(BadInput, match="which signed the ledger so far"):
        append(shelf, ledger, STRANGER, **said(1))


def test_what_is_sealed_is_what_append_writes() -> None:
    shelf = Shelf()
    ledger = grown(shelf, 1)
    entry, data = ledger.sealed(SIGNER, **said(1))
    assert shelf.get(slot_name(MODEL, 1)) is None
    assert append(shelf, ledger, SIGNER, **said(1)).entries[-1] == entry
    assert shelf.get(slot_name(MODEL, 1)) == data


def test_the_writer_holds_what_readers_hold() -> None:
    shelf, body = Shelf(), {"list": (1, 2.0), "deep": {"x": [0.1, None, True, "ü"]}}
    ledger = append(shelf, Ledger(MODEL), SIGNER, **said(0, body=body, release=None))
    body["deep"]["x"].append("later")  # type: ignore
    assert ledger.entries[0].body == {"list": [1, 2], "deep": {"x": [0.1, None, True, "ü"]}}
    assert read(shelf, MODEL, VERIFIER) == ledger


def test_an_entry_cannot_be_changed_and_spells_itself() -> None:
    ledger = grown(Shelf(), 1)
    entry = ledger.entries[0]
    with pytest.raises(ValueError, match="frozen"):
        entry.actor = "somebody"  # type: ignore
    assert canonical(entry.model_dump()) == ledger.stored[0]
    assert Entry.model_validate(parse(ledger.stored[0])) == entry


@pytest.mark.parametrize("model", ["", ".", "..", "../other", "a/b", "a\n", "-a", "a" * 101, "ä", "a\\b"])
def test_a_model_cannot_leave_its_folder(model: str) -> None:
    for call in (
        lambda: read(Shelf(), model, VERIFIER),
        lambda: append(Shelf(), Ledger(model), SIGNER, **said(0)),
        lambda: slot_name(model, 0),
    ):
        with pytest.raises(BadInput, match="model"):
            call()


def test_models_differ_by_case_and_do_not_see_each_other() -> None:
    shelf = Shelf()
    grown(shelf, 2, model="m")
    grown(shelf, 3, model="M")
    grown(shelf, 1, model="m.2")
    assert [read(shelf, model, VERIFIER).size for model in ("m", "M", "m.2", "n")] == [2, 3, 1, 0]


def test_other_files_beside_the_slots_are_not_entries() -> None:
    shelf = Shelf()
    ledger = grown(shelf, 1)
    for name in ("README", "1.json", "0000000001.json", "000000001.json.bak", "below/000000001.json"):
        shelf.files[f"ledger/{MODEL}/{name}"] = b"x"
    assert read(shelf, MODEL, VERIFIER) == ledger


def test_a_listing_that_misses_a_slot_makes_no_gap() -> None:
    class Racing(Shelf):
        def names(self, prefix: str) -> list[str]:
            return [name for name in super().names(prefix) if not name.endswith("1.json")]

    shelf = Racing()
    ledger = grown(shelf, 4)
    assert read(shelf, MODEL, VERIFIER) == ledger


def test_a_slot_far_away_does_not_keep_the_reader_busy() -> None:
    shelf = Shelf()
    grown(shelf, 1)
    shelf.files[slot_name(MODEL, 999_999_999)] = b"x"
    assert sorted(slots(shelf, MODEL)) == [0, 999_999_999]
