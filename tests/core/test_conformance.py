"""Whether a store is fit, decided from what was seen: one thing seen wrong is enough, and nothing seen is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.admission import Admitted, mark, newest
from headgate.conformance import Bucket, Conformance, Law, Observed, Slot, Try, judged
from headgate.errors import BadInput, Tampered
from headgate.evidence import Evidence
from headgate.store import FolderStore

CLIENTS, SLOTS = 16, 60
NO, YES, UNSEEN = (Try(answer=a, changed=c) for a, c in (("412", False), ("200", True), ("lost", None)))
BUCKET = Bucket(signed=NO, forged=NO, damaged=NO, unconditional=NO, erased=NO, versioning="off", lock="off")


def slot(**given: Any) -> Slot:
    good = {"claims": (3,), "losses": CLIENTS - 1, "failures": (), "read": (3,) * (CLIENTS + 1), "versions": (1, 0)}
    return Slot(**{**good, **given})


def seen(*first: Slot, **given: Any) -> Observed:
    slots = (*first, *[slot()] * (SLOTS - len(first)))
    whole = {"strangers": 0, "objects": 4, "whole": 4, "again": NO, "bucket": BUCKET}
    return Observed(**{"place": "p", "clients": CLIENTS, "slots": slots, "listings": (SLOTS, SLOTS), **whole, **given})


def broken(observed: Observed, use: str = "ledger") -> set[str]:
    return {law.name for law in judged(observed, use).broken}


def test_a_store_that_keeps_everything_is_accepted() -> None:
    assert judged(seen(), "ledger").accepted
    assert judged(seen(), "evidence").accepted
    assert {law.outcome for law in judged(seen(), "ledger").laws} == {"kept", "noted"}
    assert judged(seen(bucket=None), "ledger").accepted


two = slot(claims=(3, 5), losses=14, read=(3, 5), versions=(2, 0))
WRONG = {
    "two winners": (seen(two), {"one_winner", "winner_stays", "one_version"}),
    "no winner": (seen(slot(claims=(), losses=16)), {"one_winner", "winner_stays"}),
    "overwritten": (seen(slot(read=(3, 4))), {"winner_stays"}),
    "half of it": (seen(slot(read=(3, None))), {"winner_stays"}),
    "nobody reads": (seen(slot(read=())), {"winner_stays"}),
    "a failure": (seen(slot(losses=14, failures=("timeout",))), {"answers"}),
    "a client is missing": (seen(slot(losses=14)), {"answers"}),
    "two versions": (seen(slot(versions=(2, 0))), {"one_version"}),
    "a delete marker": (seen(slot(versions=(1, 1))), {"one_version"}),
    "versions unknown": (seen(slot(versions=None)), {"one_version"}),
    "one not listed": (seen(listings=(SLOTS, SLOTS - 1)), {"lists"}),
    "a stranger": (seen(strangers=1), {"lists"}),
    "no listing": (seen(listings=()), {"lists"}),
    "a listing failed": (seen(listings=(SLOTS, "501")), {"lists"}),
    "damaged": (seen(whole=3), {"reads_back"}),
    "no objects": (seen(objects=0, whole=0), {"reads_back"}),
    "a second write": (seen(again=YES), {"refuses_again"}),
    "nobody saw": (seen(again=UNSEEN), {"refuses_again"}),
    "by a URL": (seen(bucket=BUCKET.model_copy(update={"signed": YES})), {"refuses_presigned"}),
    "too few clients": (seen(clients=2, slots=(slot(losses=1, read=(3,)),) * SLOTS), {"answers"}),
    "too few slots": (seen(slots=(slot(),) * 3, listings=(3, 3)), {"answers"}),
    "nothing": (seen(slots=(), listings=(0,)), {"answers", "one_winner", "winner_stays", "one_version"}),
}


@pytest.mark.parametrize("what", WRONG)
def test_one_thing_wrong_is_enough(what: str) -> None:
    observed, laws = WRONG[what]
    assert broken(observed) == laws


def test_evidence_must_be_write_once_or_versioned() -> None:
    racing = seen(two, again=YES)
    assert broken(racing, "evidence") == {"recoverable"}
    assert judged(seen(two, bucket=BUCKET.model_copy(update={"versioning": "Enabled"})), "evidence").accepted
    assert broken(seen(two, bucket=BUCKET.model_copy(update={"versioning": "Suspended"})), "evidence") == {
        "recoverable"
    }
    assert broken(seen(again=YES, bucket=None), "evidence") == {"recoverable"}


@pytest.mark.parametrize("name", ["forged", "damaged", "unconditional", "erased"])
def test_what_is_not_demanded_is_told(name: str) -> None:
    found = judged(seen(bucket=BUCKET.model_copy(update={name: YES})), "ledger")
    assert found.accepted
    told = [law for law in found.laws if "200 and took effect" in law.said]
    assert [law.outcome for law in told] == ["noted"]


slots = st.builds(
    Slot,
    claims=st.lists(st.integers(0, 3), max_size=3, unique=True).map(tuple),
    losses=st.integers(12, 16),
    failures=st.sampled_from([(), ("lost",)]),
    read=st.lists(st.sampled_from([0, 1, None]), max_size=2).map(tuple),
    versions=st.sampled_from([(1, 0), (2, 0), None]),
)


@given(st.lists(slots, min_size=1, max_size=4))
def test_only_a_race_with_one_winner_in_every_slot_is_accepted(first: list[Slot]) -> None:
    good = all(
        len(s.claims) == 1
        and s.losses == 15
        and not s.failures
        and set(s.read) == set(s.claims)
        and s.versions == (1, 0)
        for s in first
    )
    assert judged(seen(*first), "ledger").accepted == good


def found(outcome: str = "kept", place: str = "p", use: str = "ledger") -> Conformance:
    return Conformance(place=place, use=use, laws=(Law(name="a", outcome=outcome, said="b"),))


def test_nothing_found_is_not_accepted() -> None:
    assert not Conformance(place="p", use="ledger", laws=()).accepted


def test_the_newest_marker_of_the_place_and_use_counts(tmp_path: Any) -> None:
    store = FolderStore(tmp_path)
    assert newest(store, "p", "ledger") is None
    mark(store, found(), "2026-07-01T12:00:00.000Z")
    mark(store, found("broken", place="q"), "2026-07-02T12:00:00.000Z")
    mark(store, found("broken", use="evidence"), "2026-07-02T12:00:00.000Z")
    kept = newest(store, "p", "ledger")
    assert kept is not None
    assert kept.accepted
    assert Conformance.model_validate_json(Evidence(store).get(kept.findings)) == found()
    mark(store, found("broken"), "2026-07-01T12:00:00.001Z")
    assert not getattr(newest(store, "p", "ledger"), "accepted", True)


def test_nothing_is_written_without_acceptance_and_a_forged_marker_is_none(tmp_path: Any) -> None:
    store = FolderStore(tmp_path)
    admitted = Admitted(store, "p", "ledger", "s3://p")
    assert (admitted.get("a"), admitted.names("")) == (None, [])
    with pytest.raises(BadInput, match=r"no check has accepted it.*`headgate store check s3://p`"):
        admitted.put("a", b"")
    name = mark(store, found(), "2026-07-01T12:00:00.000Z")
    assert admitted.put("a", b"1")
    other = store.get(name) or b""
    for data in (b"", b"{}", other.replace(b'"p"', b'"q"'), other.replace(b"true", b"1")):
        place = name[:-5] + f"{len(data)}z.json"
        store.put(place, data)
        with pytest.raises(Tampered, match="marker"):
            Admitted(store, "p", "ledger", "s3://p").put("b", b"")
        (tmp_path / place).unlink()
