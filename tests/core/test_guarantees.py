"""The table of ARCHITECTURE.md, executed: attacks on a ledger, before and after an anchor, and who sees them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from story_of import ANA, BOB, CAT, MODEL, SIGNER, VERIFIER, Book, approve, promote, requested, take, waiting
from test_ledger import Shelf, resealed
from test_verification import package

from headgate.approval import statement
from headgate.audit import audit, recomputed, states
from headgate.canonical import canonical, parse
from headgate.checkpoint import sign
from headgate.ledger import Ledger, append, check, examined
from headgate.memory import Memory
from headgate.records import KINDS, record_of
from headgate.signing import Signer, Verifier, new_key
from headgate.verification import verify
from headgate.walk import Place, Walk
from headgate.witness import against

Slots = dict[int, bytes]
STRANGER = Signer(new_key())


@functools.cache
def story() -> Book:
    """One release promoted, another one waiting: nobody has answered for that."""
    return take(promote(approve(waiting(), "tiny-1"), "tiny-1"), "tiny-2", version=2, champion=1)


WHOLE = story().ledger
SLOTS = dict(enumerate(WHOLE.stored))


# The attacks: what they make of the slots when they begin at one.


def edit(slot: int) -> Slots:
    fields = dict(parse(SLOTS[slot]))
    return SLOTS | {slot: canonical(fields | {"actor": "somebody"})}


def delete(slot: int) -> Slots:
    return {at: data for at, data in SLOTS.items() if at != slot}


def truncate(slot: int) -> Slots:
    return {at: data for at, data in SLOTS.items() if at < slot}


def written_again(slot: int, signer: Signer) -> Slots:
    again = truncate(slot)
    for at in range(slot, WHOLE.size):
        ledger, _ = examined(again, MODEL, Verifier(signer.public_pem))
        again[at] = resealed(SLOTS[at], signer, prev=ledger.head, actor="somebody")
    return again


def rebuild_without_key(slot: int) -> Slots:
    return written_again(slot, STRANGER)


def rebuild(slot: int) -> Slots:
    return written_again(slot, SIGNER)


def rebuild_without_answers(slot: int) -> Slots:
    """What the holder of the key would rather have happened: releases that nobody was asked about."""
    ledger, at = WHOLE.at(slot), WHOLE.entries[slot - 1].time
    while ledger.size < WHOLE.size:
        number, body = ledger.size, requested(Book(), None).model_dump(mode="json")
        said = {"kind": KINDS[type(requested(Book(), None))], "actor": "pipeline", "body": body, "time": at}
        ledger = append(Shelf(), ledger, SIGNER, **said, release=f"tiny-9{number}", nonce=f"another-{number:04}")
    return dict(enumerate(ledger.stored))


ATTACKS: dict[str, Callable[[int], Slots]] = {
    "edit an entry": edit,
    "delete an entry": delete,
    "truncate": truncate,
    "rebuild without the log key": rebuild_without_key,
    "rebuild with the log key": rebuild,
    "rebuild with the log key, without the answers": rebuild_without_answers,
}


# Those who could see it: each by itself, with nothing of the others.


def chain(slots: Slots) -> bool:
    return check(slots, MODEL, VERIFIER) != ()


def answers(slots: Slots) -> bool:
    """The signatures of people that the ledger itself holds."""
    walk = Walk(MODEL, story().evidence, None)
    places = [place for place in states(walk, ledger_of(slots)) if isinstance(place, Place)]
    found = [a for at in places for a in recomputed(walk, at, record_of(at.entry.kind, dict(at.entry.body)))]
    return any(a.name == "void_approval" for a in found)


def copy_of_an_answer(slots: Slots) -> bool:
    last = WHOLE.at(ANCHORS["answer kept by its approver"])
    said = statement(last, story().release("tiny-1"), person=CAT, role="product", decision="approve")
    return heard(slots, {"what Cat kept": said.text()})


def memory(slots: Slots) -> bool:
    kept = Memory(Shelf())
    kept.keep(sign(WHOLE.at(ANCHORS["memory"]), SIGNER))
    return heard(slots, kept.notes(MODEL, SIGNER.key_id))


def tag(slots: Slots) -> bool:
    shown = sign(WHOLE.at(ANCHORS["tag in MLflow"]), SIGNER).note.decode()
    return heard(slots, {"headgate.checkpoint of version 1": shown.encode()})


def packed(slots: Slots) -> bool:
    found = verify(package(story().copy(), "tiny-1", people=()))
    assert found.sound
    kept = Memory(Shelf())
    kept.keep(found.checkpoint)
    return heard(slots, kept.notes(MODEL, SIGNER.key_id))


def heard(slots: Slots, told: Mapping[str, bytes]) -> bool:
    return any(True for _ in against(ledger_of(slots), told, VERIFIER))


def ledger_of(slots: Slots) -> Ledger:
    return examined(slots, MODEL, VERIFIER)[0]


SEEN_BY: dict[str, Callable[[Slots], bool]] = {
    "chain and signatures": chain,
    "answers in the ledger": answers,
    "answer kept by its approver": copy_of_an_answer,
    "memory": memory,
    "tag in MLflow": tag,
    "package": packed,
}

ANCHORS = {
    "chain and signatures": 13,
    "answers in the ledger": 10,
    "answer kept by its approver": 10,
    "memory": 13,
    "tag in MLflow": 13,
    "package": 6,
}
"""How much of the ledger each has seen: the third answer ten entries, the package of the first release six."""

WHEN = {"before": -2, "after": 1}

EXPECTED = {
    ("edit an entry", "before"): (True, True, True, True, True, True),
    ("edit an entry", "after"): (True, False, False, False, False, False),
    ("delete an entry", "before"): (True, True, True, True, True, True),
    ("delete an entry", "after"): (True, False, False, False, False, False),
    ("truncate", "before"): (False, False, True, True, True, True),
    ("truncate", "after"): (False, False, False, False, False, False),
    ("rebuild without the log key", "before"): (True, True, True, True, True, True),
    ("rebuild without the log key", "after"): (True, False, False, False, False, False),
    ("rebuild with the log key", "before"): (False, True, True, True, True, True),
    ("rebuild with the log key", "after"): (False, False, False, False, False, False),
    ("rebuild with the log key, without the answers", "before"): (False, False, True, True, True, True),
    ("rebuild with the log key, without the answers", "after"): (False, False, False, False, False, False),
}
CELLS = [
    (attack, when, by, found)
    for (attack, when), row in EXPECTED.items()
    for by, found in zip(SEEN_BY, row, strict=True)
]


@pytest.mark.parametrize(("attack", "when", "by", "found"), CELLS, ids=[" | ".join(cell[:3]) for cell in CELLS])
def test_what_the_table_says_of_an_attack_is_what_happens(attack: str, when: str, by: str, found: bool) -> None:
    anchor = ANCHORS[by]
    attacked = ATTACKS[attack](anchor + WHEN[when])
    assert attacked != SLOTS
    assert SEEN_BY[by](attacked) is found


@pytest.mark.parametrize("by", SEEN_BY)
def test_nobody_sees_an_attack_where_there_is_none(by: str) -> None:
    assert SEEN_BY[by](dict(SLOTS)) is False


def test_the_table_has_every_attack_and_every_witness() -> None:
    assert {attack for attack, _ in EXPECTED} == set(ATTACKS)
    assert len(CELLS) == len(ATTACKS) * len(WHEN) * len(SEEN_BY) == 72
    assert set(ANCHORS) == set(SEEN_BY)
    approvals = [e for e in WHOLE.entries if e.kind == "approved"]
    assert [(e.seq, e.body["person"]) for e in approvals] == [(8, ANA), (9, BOB), (10, CAT)]


def test_the_table_of_the_documentation_is_the_one_that_was_executed() -> None:
    text = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text()
    lines = text.partition("### Attacks on the ledger")[2].partition("\n#")[0].splitlines()
    rows = [[cell.strip().strip("*") for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    words = {True: "found", False: "not found"}
    assert rows[0] == ["attack", "what was touched was written", *SEEN_BY]
    assert rows[2:] == [
        [attack, f"{when} its newest anchor", *(words[found] for found in row)]
        for (attack, when), row in EXPECTED.items()
    ]


def test_the_audit_takes_them_all_together() -> None:
    """Whatever one of them sees the audit names, when it is given the witnesses."""
    told = {"kept": sign(WHOLE.at(13), SIGNER).note}
    for attack, make in ATTACKS.items():
        found = audit(MODEL, make(11), VERIFIER, story().evidence, witnesses=told)
        assert found.anomalies, attack
    assert audit(MODEL, SLOTS, VERIFIER, story().evidence, witnesses=told).anomalies == ()
