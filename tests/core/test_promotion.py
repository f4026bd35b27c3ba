from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any

import pytest
from story_of import (
    ANA,
    BOB,
    CAT,
    PEOPLE,
    Book,
    answered,
    approve,
    done,
    evaluated,
    halt,
    intention,
    promote,
    signers,
    take,
    time_at,
    validated,
    waiting,
    whole,
)
from waivers_of import approved_book, known, revoke

from headgate.approval import objections
from headgate.errors import Tampered
from headgate.policy_file import parse
from headgate.promotion import Seen, refusals, settle
from headgate.records import (
    ApprovalRequested,
    Evaluated,
    PromotionStarted,
    PromotionUndone,
    Registered,
    Requested,
    Validated,
)
from headgate.release import STEPS, Release
from headgate.state import State
from headgate.verdict import Verdict
from headgate.waiver import still

ALIAS = "champion"


def checked(book: Book, release: Release, at: str) -> dict[str, tuple[str, ...]]:
    """What is to be said against each approval, as the promotion asks it."""
    return {
        f"{a.record.person} as {a.record.role}": objections(
            book.evidence[a.record.statement],
            book.evidence[a.record.signature],
            signers=signers(),
            ledger=book.ledger,
            release=release,
            at=at,
            record=a.record,
        )
        for a in release.approvals
    }


@dataclass(frozen=True)
class Case:
    """Everything that a decision to promote is made from."""

    state: State
    release: Release
    seen: Seen
    against: dict[str, tuple[str, ...]]

    def refusals(self) -> tuple[str, ...]:
        return refusals(self.state, self.release, ALIAS, self.seen, self.against)

    def without(self, *kinds: type) -> Case:
        return replace(
            self, release=replace(self.release, taken=tuple(r for r in self.release.taken if type(r) not in kinds))
        )

    def having(self, kind: type, **changes: Any) -> Case:
        taken = tuple(r.model_copy(update=changes) if type(r) is kind else r for r in self.release.taken)
        return replace(self, release=replace(self.release, taken=taken))


def case_of(book: Book, name: str, live: int | None) -> Case:
    state = book.state
    return Case(state, state.release(name), Seen(live), checked(book, state.release(name), time_at(300)))


def ready() -> Case:
    """The second release of a model whose first is live: nothing forbids it."""
    book = promote(approve(waiting(), "tiny-1"), "tiny-1")
    approve(take(book, "tiny-2", version=2, champion=1), "tiny-2")
    return case_of(book, "tiny-2", 1)


READY = ready()
OPEN = PromotionStarted(
    alias=ALIAS, old=1, new=9, package="sha256:" + "0" * 64, policy="sha256:" + "0" * 64, approvals=()
)


def other_is_promoting(case: Case) -> Case:
    from headgate.state import Intention

    return replace(case, state=replace(case.state, intention=Intention(99, "2026-07-01T12:00:00Z", "tiny-7", OPEN)))


def with_no(case: Case) -> Case:
    book = waiting()
    book.say("tiny-1", answered(book, "tiny-1", CAT, "risk", reason="no"))
    return replace(case, release=replace(case.release, answers=case.release.answers + book.release("tiny-1").answers))


def halted(case: Case) -> Case:
    ended = halt(waiting(), "tiny-1", "s", "x", "ERROR").release("tiny-1").halted
    return replace(case, release=replace(case.release, halted=ended))


def fewer(case: Case, person: str) -> Case:
    kept = tuple(a for a in case.release.answers if a.record.person != person)
    return replace(case, release=replace(case.release, answers=kept))


def void(case: Case, who: str, why: str) -> Case:
    return replace(case, against={**case.against, who: (why,)})


CONDITIONS = {
    "halted": (halted, "the release is halted; expected one that is open"),
    "data undecided": (lambda c: c.having(Validated, verdict=Verdict.INCONCLUSIVE), "the data say INCONCLUSIVE"),
    "gates failed": (lambda c: c.having(Evaluated, verdict=Verdict.FAIL), "the gates say FAIL"),
    "risk missing": (lambda c: fewer(c, ANA), "1 approval(s) as risk are missing"),
    "product missing": (lambda c: fewer(c, BOB), "1 approval(s) as product are missing"),
    "a no": (with_no, "a person rejected the release"),
    "expired": (
        lambda c: void(c, f"{ANA} as risk", "expired"),
        f"the approval of {ANA} as risk does not count: expired",
    ),
    "revoked": (
        lambda c: void(c, f"{BOB} as product", "gone"),
        f"the approval of {BOB} as product does not count: gone",
    ),
    "other champion": (
        lambda c: replace(c, state=replace(c.state, aliases={ALIAS: 5})),
        "the gates compared with version 1, but 'champion' is now version 5",
    ),
    "moved by others": (lambda c: replace(c, seen=replace(c.seen, live=7)), "'champion' is version 7, the ledger says"),
    "other promotion": (other_is_promoting, "the promotion of tiny-7 is still open"),
    "changed file": (lambda c: replace(c, seen=replace(c.seen, changed=("a.pkl",))), "file a.pkl has changed"),
}


def test_nothing_forbids_what_is_in_order():
    assert READY.refusals() == ()
    first = approve(waiting(), "tiny-1")
    assert case_of(first, "tiny-1", None).refusals() == ()


@pytest.mark.parametrize("condition", CONDITIONS)
def test_each_condition_alone_forbids(condition):
    spoil, text = CONDITIONS[condition]
    found = spoil(READY).refusals()
    # An alias that the ledger has elsewhere is also one that MLflow shows elsewhere.
    assert len(found) == (2 if condition == "other champion" else 1)
    assert text in found[0]


def test_all_conditions_are_told_together():
    spoiled = READY
    for spoil, _ in CONDITIONS.values():
        spoiled = spoil(spoiled)
    found = "\n".join(spoiled.refusals())
    for _, text in CONDITIONS.values():
        assert text in found
    assert len(spoiled.refusals()) == len(CONDITIONS)


@pytest.mark.parametrize("pair", list(combinations(CONDITIONS, 2)))
def test_no_condition_hides_another(pair):
    spoiled = CONDITIONS[pair[1]][0](CONDITIONS[pair[0]][0](READY))
    found = "\n".join(spoiled.refusals())
    assert all(CONDITIONS[name][1] in found for name in pair)


@pytest.mark.parametrize("count", range(1, len(STEPS)))
def test_a_release_that_is_not_done_is_refused(count):
    unfinished = replace(READY, release=replace(READY.release, taken=READY.release.taken[:count], answers=()))
    assert "nobody was asked for approval yet" in unfinished.refusals()


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Validated, "the data say nothing"),
        (Evaluated, "the gates say nothing"),
        (Registered, "no version is registered yet"),
        (ApprovalRequested, "nobody was asked for approval yet"),
    ],
)
def test_missing_evidence_is_never_a_pass(kind, text):
    assert any(text in reason for reason in READY.without(kind).refusals())


def test_an_approval_that_nobody_looked_at_again_does_not_count():
    (reason,) = replace(READY, against={}).refusals()
    assert "0 of 3 approvals were looked at" in reason
    assert replace(READY, against=dict(list(READY.against.items())[:2])).refusals()


def test_what_is_live_is_not_promoted_again():
    book = whole()
    (reason, *_) = case_of(book, "tiny-2", 2).refusals()
    assert "the release is promoted" in reason


def test_an_alias_of_nothing_is_told_apart():
    found = replace(READY, seen=Seen(None)).refusals()
    assert found == ("MLflow's 'champion' is no version, the ledger says version 1: somebody else moved it",)


def test_expired_approvals_forbid_in_the_real_chain():
    book = approve(waiting(), "tiny-1")
    late = replace(case_of(book, "tiny-1", None), against=checked(book, book.release("tiny-1"), time_at(49 * 60)))
    assert len(late.refusals()) == len(PEOPLE)
    assert all("expired" in reason for reason in late.refusals())


def test_a_promotion_of_its_own_that_was_cut_short_is_no_foreign_move():
    book = approve(waiting(), "tiny-1")
    book.say("tiny-1", intention(book, "tiny-1"))
    assert case_of(book, "tiny-1", 1).refusals() == ()
    assert case_of(book, "tiny-1", None).refusals() == ()
    assert case_of(book, "tiny-1", 2).refusals()


@pytest.mark.parametrize(
    ("old", "new", "live", "expected"),
    [
        (1, 2, 2, "record"),
        (1, 2, 1, "act"),
        (1, 2, 3, "stop"),
        (1, 2, None, "stop"),
        (None, 1, None, "act"),
        (None, 1, 1, "record"),
        (None, 1, 2, "stop"),
        (2, 2, 2, "record"),
        (2, 1, 2, "act"),
        (2, 1, 1, "record"),
    ],
)
def test_what_becomes_of_an_open_intention(old, new, live, expected):
    assert settle(OPEN.model_copy(update={"old": old, "new": new}), live) == expected


# Waivers.


def waived_case(book: Book, at: str) -> tuple[Case, dict[int, tuple[str, ...]]]:
    """A release that goes on with waivers, and what is to be said against each of them at some time."""
    case = replace(case_of(book, "tiny-1", None), against=checked(book, book.release("tiny-1"), time_at(300)))
    policy = parse(book.policy_file, "of the story")
    heard = {
        waiver.seq: still(
            waiver, book.evidence.__getitem__, signers=known(), ledger=book.ledger, policy=policy,
            requester=case.release.step(Requested).requester, at=at,
        )
        for waiver in case.release.waivers
    }  # fmt: skip
    return case, heard


def told(case: Case, waivers: dict[int, tuple[str, ...]]) -> tuple[str, ...]:
    return refusals(case.state, case.release, ALIAS, case.seen, case.against, waivers)


def test_a_release_goes_on_with_a_waiver_that_still_counts():
    case, heard = waived_case(approved_book(), time_at(300))
    assert case.release.step(Evaluated).verdict is Verdict.FAIL
    assert heard == {0: ()}
    assert told(case, heard) == ()


def test_a_waiver_that_nobody_looked_at_again_does_not_count():
    case, _ = waived_case(approved_book(), time_at(300))
    assert told(case, {}) == ("the waiver of roc-auc (slot 0) was not looked at again",)
    assert case.refusals() == told(case, {})


def test_a_waiver_that_ended_meanwhile_forbids():
    case, heard = waived_case(approved_book(), "2026-09-01T00:00:00Z")
    (reason,) = told(case, heard)
    assert "the waiver of roc-auc (slot 0) does not count: it ended with 2026-08-30" in reason


def test_a_waiver_that_was_revoked_meanwhile_forbids():
    book = approved_book()
    slot = revoke(book, 0)
    case, heard = waived_case(book, time_at(300))
    assert told(case, heard) == (f"the waiver of roc-auc (slot 0) was revoked in slot {slot}",)
    unknown = replace(case, state=replace(case.state, waivers={}))
    assert told(unknown, heard) == ("the waiver of roc-auc (slot 0) is not in the ledger",)


def test_a_waiver_is_no_pass_where_it_excuses_too_little():
    case, heard = waived_case(approved_book(), time_at(300))
    (reason,) = told(case.having(Evaluated, unwaived=Verdict.INCONCLUSIVE), heard)
    assert reason == "the gates say INCONCLUSIVE; expected PASS"


# Killed anywhere, the next run ends where an undisturbed one would have.


class Killed(Exception):
    """The process ends here."""


class Registry:
    """Moves aliases when it is told, as MLflow does: last write wins."""

    def __init__(self, live: int | None) -> None:
        self.live, self.writes = live, 0

    def set(self, version: int) -> None:
        self.live, self.writes = version, self.writes + 1


class Run:
    """One try to promote, which can be killed before any of its steps."""

    def __init__(self, book: Book, registry: Registry, cut: int | None) -> None:
        self.book, self.registry, self.left = book, registry, cut

    def promote(self, name: str) -> tuple[str, ...]:
        state = self.book.state
        if state.intention is None or state.intention.release != name:
            self._tick()
            found = case_of(self.book, name, self.registry.live).refusals()
            if found:
                return found
            self._tick()
            self.book.say(name, intention(self.book, name))
        self._finish(name)
        return ()

    def _finish(self, name: str) -> None:
        self._tick()
        opened = self.book.state.intention
        assert opened is not None
        step = settle(opened.record, self.registry.live)
        if step == "stop":
            raise Tampered("alias", got="another version", expected="nobody else to move it", next_step="ask")
        self._tick()
        if step == "act":
            self.registry.set(opened.record.new)
        self._tick()
        self.book.say(name, done(self.book))
        self._tick()

    def _tick(self) -> None:
        if self.left == 0:
            raise Killed
        if self.left is not None:
            self.left -= 1


def second_ready() -> Book:
    book = promote(approve(waiting(), "tiny-1"), "tiny-1")
    return approve(take(book, "tiny-2", version=2, champion=1), "tiny-2")


def runs(book: Book, registry: Registry, cuts: tuple[int | None, ...]) -> Iterator[str]:
    for cut in cuts:
        try:
            yield "done" if not Run(book, registry, cut).promote("tiny-2") else "refused"
        except Killed:
            yield "killed"


POINTS = 6
"""The steps of an undisturbed run, before each of which it can be killed."""


def test_an_undisturbed_run_has_so_many_steps():
    run = Run(second_ready(), Registry(1), 100)
    assert run.promote("tiny-2") == ()
    assert 100 - run.left == POINTS


@pytest.mark.parametrize(
    "cuts", [(a,) for a in range(POINTS)] + [(a, b) for a in range(POINTS) for b in range(POINTS - 2)]
)
def test_killed_at_any_step_the_next_run_ends_as_an_undisturbed_one(cuts):
    plain, plain_registry = second_ready(), Registry(1)
    assert list(runs(plain, plain_registry, (None,))) == ["done"]
    book, registry = second_ready(), Registry(1)
    outcomes = list(runs(book, registry, (*cuts, None, None)))
    assert outcomes[0] == "killed"
    assert outcomes[-1] == "refused", "the release is promoted by then, and not a second time"
    assert registry.live == plain_registry.live == 2
    assert registry.writes == 1
    assert book.state.aliases == plain.state.aliases == {ALIAS: 2}
    assert book.state.intention is None
    assert [(e.kind, dict(e.body)) for e in book.ledger.entries] == [
        (e.kind, dict(e.body)) for e in plain.ledger.entries
    ]


@pytest.mark.parametrize("cut", range(POINTS))
def test_somebody_elses_move_in_between_is_never_written_over(cut):
    book, registry = second_ready(), Registry(1)
    list(runs(book, registry, (cut,)))
    before, registry.live = book.ledger.size, 7
    if book.state.intention is not None:
        with pytest.raises(Tampered):
            Run(book, registry, None).promote("tiny-2")
    else:
        assert Run(book, registry, None).promote("tiny-2")
    assert (registry.live, book.ledger.size) == (7, before)


def test_of_two_promoters_the_second_is_told_to_settle_the_first():
    book = promote(approve(waiting(), "tiny-1"), "tiny-1")
    for number in (2, 3):
        approve(take(book, f"tiny-{number}", version=number, champion=1), f"tiny-{number}")
    registry = Registry(1)
    with pytest.raises(Killed):
        Run(book, registry, 3).promote("tiny-2")
    (reason,) = Run(book, registry, None).promote("tiny-3")
    assert "the promotion of tiny-2 is still open" in reason
    assert Run(book, registry, None).promote("tiny-2") == ()
    (reason,) = Run(book, registry, None).promote("tiny-3")
    assert "the gates compared with version 1, but 'champion' is now version 2" in reason
    assert registry.live == 2


def test_an_undone_promotion_leaves_everything_as_it_was():
    book, registry = second_ready(), Registry(1)
    with pytest.raises(Killed):
        Run(book, registry, 3).promote("tiny-2")
    book.say("tiny-2", PromotionUndone(alias=ALIAS, now=1, started=book.ledger.size - 1, why="the registry is down"))
    assert (book.state.aliases, registry.live) == ({ALIAS: 1}, 1)
    assert Run(book, registry, None).promote("tiny-2") == ()
    assert registry.live == 2


def test_the_story_of_kills_is_real():
    sizes = []
    for cut in range(POINTS):
        book, registry = second_ready(), Registry(1)
        list(runs(book, registry, (cut,)))
        sizes.append((book.ledger.size, registry.writes))
    assert all(a <= b for a, b in pairwise(sizes))
    assert len(set(sizes)) == 4, "before the intention, after it, after the write, after the record"


def test_a_refused_release_never_reaches_the_registry():
    book = take(Book(), "tiny-1", until="snapshot")
    book.say("tiny-1", validated(book, Verdict.FAIL))
    registry = Registry(None)
    assert Run(book, registry, None).promote("tiny-1")
    undecided = take(Book(), "tiny-1", until="registered")
    undecided.say("tiny-1", evaluated(undecided, None, serving=None))
    found = Run(undecided, registry, None).promote("tiny-1")
    assert "the gates say ERROR; expected PASS" in found
    assert registry.writes == 0


def test_a_first_release_is_not_promoted_over_another_first_release():
    book = approve(take(approve(waiting(), "tiny-1"), "tiny-2", version=2), "tiny-2")
    (reason,) = case_of(promote(book, "tiny-1"), "tiny-2", 1).refusals()
    assert "the gates compared with no version, but 'champion' is now version 1" in reason
