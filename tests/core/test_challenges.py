"""What came of scenarios, as values; and the pure parts: alterations, and the search for the smallest change."""

from __future__ import annotations

from itertools import product
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from headgate import alteration, attack
from headgate.attack import Found, Space, search
from headgate.challenge import Challenges, Kind, Result, Search, page
from headgate.errors import BadInput, Tampered
from headgate.estimate import Estimate, Unmeasurable

DIGEST = "sha256:" + "0" * 64


def result(**given: Any) -> Result:
    fields = {"kind": "noise", "trials": 100, "failures": 0, "errors": 0, "allowed": 0.05}
    return Result(**{"name": "n", "why": "w", "asked_by": "a", **fields, **given})


def challenges(*results: Result) -> Challenges:
    return Challenges(scenarios=DIGEST, seed=1, threshold=0.5, rows=1000, results=results)


@given(n=st.integers(1, 5000), share=st.floats(0, 1), alpha=st.floats(0.001, 0.5))
def test_a_sample_has_the_exact_binomial_bounds(n: int, share: float, alpha: float):
    k = round(n * share)
    estimate = result(trials=n, failures=k).estimate()
    assert isinstance(estimate, Estimate)
    for side, bound in (("less", estimate.upper), ("greater", estimate.lower)):
        exact = stats.binomtest(k, n, alternative=side).proportion_ci(1 - alpha, method="exact")
        assert bound(alpha) == pytest.approx(exact.high if side == "less" else exact.low, abs=1e-9)
    assert (estimate.value, estimate.n, estimate.rows) == (k / n, n, n)
    assert estimate.method == "Clopper-Pearson"


@pytest.mark.parametrize("failures", [0, 1])
def test_a_case_is_all_there_is_of_itself(failures: int):
    estimate = result(kind="case", trials=1, failures=failures, allowed=0.0).estimate()
    assert isinstance(estimate, Estimate)
    assert (estimate.lower(0.05), estimate.value, estimate.upper(0.05)) == (failures, failures, failures)
    assert "no interval" in estimate.method


@pytest.mark.parametrize(
    ("given_", "reason"),
    [
        ({"errors": 1}, "n: 1 of 101 rows gave no answer"),
        ({"errors": 3, "found": "raised KeyError"}, "n: 3 of 103 rows gave no answer (raised KeyError)"),
        ({"trials": 0}, "n: none of 0 rows was put to the test"),
        ({"trials": 0, "unaltered": 7}, "n: none of 7 rows was put to the test"),
        ({"kind": "case", "trials": 0, "errors": 1}, "n: 1 of 1 rows gave no answer"),
    ],
)
def test_what_gave_no_answer_is_not_measured(given_: dict[str, Any], reason: str):
    assert result(**given_).estimate() == Unmeasurable(reason)


@pytest.mark.parametrize(
    "wrong",
    [
        {"failures": 101},
        {"failures": 60, "refused": 41},
        {"examples": (1,)},
        {"stuck": (1,)},
        {"failures": 20, "examples": tuple(range(11))},
        {"trials": -1},
        {"allowed": 1.1},
        {"allowed": float("nan")},
        {"kind": "attack"},
        {"search": Search(queries=1, exact=True)},
        {"kind": "luck"},
        {"surplus": 1},
    ],
)
def test_a_result_that_does_not_add_up_is_none(wrong: dict[str, Any]):
    with pytest.raises(ValidationError):
        result(**wrong)


def test_the_bytes_are_canonical_and_lead_back():
    hunted = result(name="x", kind="attack", search=Search(queries=9, exact=False, smallest=(0.5,) * 5))
    value = challenges(result(failures=2, examples=(3, 8), found="ø"), hunted)
    assert Challenges.from_bytes(value.to_bytes()) == value
    assert Challenges.from_bytes(value.to_bytes()).digest == value.digest
    assert challenges(result(failures=3)).digest != challenges(result(failures=2)).digest
    assert value.results[0].limit == 0.05


def test_bytes_that_are_something_else_are_refused():
    good = challenges(result()).to_bytes()
    with pytest.raises(Tampered):
        Challenges.from_bytes(good + b" ")
    for bad in (
        b"{}",
        good.replace(b'"failures":0', b'"failures":200'),
        good.replace(b'"results":[', b'"results":[7,'),
    ):
        with pytest.raises(BadInput, match="challenges"):
            Challenges.from_bytes(bad)


def test_nothing_asked_and_names_twice_are_no_challenges():
    with pytest.raises(ValidationError):
        challenges()
    with pytest.raises(ValidationError, match="same name"):
        challenges(result(), result())


def test_the_page_says_what_a_failure_is_once_for_each_kind_that_was_asked():
    kinds = get_args(Kind)
    each = [result(name=k, kind=k, search=Search(queries=1, exact=True) if k == "attack" else None) for k in kinds]
    shown = page(challenges(*each))
    assert shown.startswith("# What came of the scenarios\n")
    meanings = [line for line in shown.splitlines() if line.startswith("- ")]
    assert len(meanings) == 6
    assert {name for line in meanings for name in line[2:].partition(":")[0].split(", ")} == set(kinds)
    assert "- attack:" not in page(challenges(result(name="fine")))


def test_the_page_shows_every_result_and_escapes_what_people_wrote():
    shown = page(
        challenges(
            result(name="fine", why="a|b <i>"),
            result(name="bad", failures=12, examples=tuple(range(10))),
            result(name="broken", errors=4, stuck=(1, 2, 3, 4), found="raised KeyError"),
            result(name="one", kind="case", trials=1, failures=1, allowed=0.0, found="its score is 0.2"),
            result(name="hunt", kind="attack", search=Search(queries=50, exact=True, smallest=(0.5, 1, 1, 1, 2))),
            result(name="coy", refused=100),
        )
    )
    lines = shown.splitlines()
    assert "| fine | noise | 100 | 0 | 0 (0 to 0.02951) | 0.05 | a\\|b &lt;i&gt; | a |" in lines
    assert "| broken | noise | 100 | 0 | not measured: 4 errors | 0.05 | w | a |" in lines
    assert "| one | case | 1 | 1 | 1 | 0 | w | a |" in lines
    assert "| bad | failed rows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more |" in lines
    assert "| broken | raised KeyError; rows without an answer 1, 2, 3, 4 |" in lines
    assert "| coy | 100 refused |" in lines
    assert any(line.startswith("| hunt | 50 queries, every allowed change was tried; ") for line in lines)


# --- alterations

FINITE = st.floats(-1e6, 1e6)


@given(values=st.lists(FINITE | st.just(float("nan")), max_size=30), seed=st.integers(0, 9), whole=st.booleans())
def test_what_is_missing_stays_so_and_whole_numbers_stay_whole(values: list[float], seed: int, whole: bool):
    array = np.array(values, dtype=np.float64)
    array = np.rint(array) if whole else array
    for new in (
        alteration.stepped(array, 2.0, whole=whole),
        alteration.noisy(array, 3.0, np.random.default_rng(seed), whole=whole),
        alteration.beyond(array, (-1e6, 1e6), 0.5, np.random.default_rng(seed), whole=whole),
        alteration.rescaled(array, 2.54, whole=whole),
    ):
        assert np.array_equal(np.isnan(new), np.isnan(array))
        assert not whole or np.array_equal(new, np.rint(new), equal_nan=True)
    assert np.array_equal(alteration.stepped(array, 2.0, whole=whole), array + 2, equal_nan=True)


@given(
    ends=st.tuples(FINITE, FINITE).map(sorted),
    factor=st.floats(0.01, 100),
    seed=st.integers(0, 99),
    whole=st.booleans(),
)
def test_out_of_range_is_outside_on_both_sides(ends: list[float], factor: float, seed: int, whole: bool):
    low, high = (float(np.rint(x)) if whole else x for x in ends)
    new = alteration.beyond(np.zeros(64), (low, high), factor, np.random.default_rng(seed), whole=whole)
    assert ((new < low) | (new > high) | (np.abs(new) * 1e-12 > high - low)).all()
    assert (new <= low).any()
    assert (new >= high).any()


def test_numbers_too_large_to_be_whole_cannot_be_altered():
    assert np.isnan(alteration.rescaled(np.array([2.0**53]), 2.0, whole=True)).all()
    assert np.isnan(alteration.rescaled(np.array([1e308, np.inf]), 10.0, whole=False)).all()


def test_noise_has_the_deviation_that_was_asked_for():
    new = alteration.noisy(np.zeros(20_000), 3.0, np.random.default_rng(1), whole=False)
    assert stats.kstest(new, stats.norm(0, 3.0).cdf).pvalue > 0.001


@given(table=st.lists(st.integers(0, 4), min_size=1, max_size=30), seed=st.integers(0, 99))
def test_another_value_is_another_and_one_of_the_table(table: list[int], seed: int):
    codes = np.array(table)
    other = alteration.another(codes, codes, np.random.default_rng(seed))
    if len(set(table)) == 1:
        assert (other == -1).all()
    else:
        assert (other != codes).all()
        assert set(other.tolist()) <= set(table)


def test_another_value_has_the_frequency_of_the_table():
    table = np.repeat([0, 1, 2, 3], [10, 20, 0, 70])
    drawn = alteration.another(np.zeros(9000, dtype=np.int64), table, np.random.default_rng(3))
    counts = np.bincount(drawn, minlength=4)
    assert counts[[0, 2]].tolist() == [0, 0]
    assert stats.chisquare(counts[[1, 3]], [2000, 7000]).pvalue > 0.001


@given(
    present=st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=20),
    share=st.floats(0.01, 1),
    seed=st.integers(0, 99),
)
def test_cells_are_lost_where_they_were_and_as_many_as_asked(present: list[list[bool]], share: float, seed: int):
    cells = np.array(present)
    lost = alteration.blanked(cells, share, np.random.default_rng(seed))
    assert not (lost & ~cells).any()
    assert np.array_equal(lost.sum(axis=1), np.minimum(max(1, round(share * 5)), cells.sum(axis=1)))


@given(eligible=st.lists(st.booleans(), max_size=40), most=st.integers(1, 20), seed=st.integers(0, 99))
def test_a_sample_is_of_eligible_rows_without_repetition(eligible: list[bool], most: int, seed: int):
    places = alteration.drawn(np.array(eligible, dtype=bool), most, np.random.default_rng(seed))
    assert len(places) == min(most, sum(eligible))
    assert places.tolist() == sorted(set(places.tolist()))
    assert all(eligible[p] for p in places)


def test_a_change_is_one_of_the_decision_or_beyond_the_tolerance():
    before, after = np.array([0.4, 0.5, 0.4, np.nan, 0.9]), np.array([0.5, 0.4, 0.49, 0.9, np.nan])
    assert alteration.changed(before, after, 0.5, None).tolist() == [True, True, False, False, False]
    assert alteration.changed(before, after, 0.5, 0.095).tolist() == [True, True, False, False, False]
    assert alteration.changed(before, after, None, 0.05).tolist() == [True, True, True, False, False]
    with pytest.raises(ValueError, match="neither"):
        alteration.changed(before, after, None, None)


def test_the_wrong_way_depends_on_the_direction():
    before, after = np.array([0.5, 0.5, 0.5]), np.array([0.4, 0.5, 0.6])
    assert alteration.wrong_way(before, after, "rising", 0.05).tolist() == [True, False, False]
    assert alteration.wrong_way(before, after, "falling", 0.05).tolist() == [False, False, True]
    assert not alteration.wrong_way(before, after, "rising", 0.2).any()


@pytest.mark.parametrize(
    ("budget", "whole", "steps"),
    [
        (2.0, True, {0, 1, 2, -1, -2}),
        (2.7, True, {0, 1, 2, -1, -2}),
        (0.5, True, {0}),
        (1.0, False, {0, 0.25, 0.5, 0.75, 1, -0.25, -0.5, -0.75, -1}),
    ],
)
def test_the_steps_of_an_attack_stay_in_the_budget(budget: float, whole: bool, steps: set[float]):
    found = alteration.deltas(budget, whole=whole)
    assert found[0] == 0
    assert set(found.tolist()) == steps
    wide = alteration.deltas(1000.0, whole=True)
    assert (len(wide), np.abs(wide).max()) == (17, 1000)


# --- the search


def threshold_model(weights: np.ndarray, values: list[np.ndarray], base: np.ndarray, cut: float) -> Any:
    """A linear score of the levels; an answer turns where it reaches `cut`."""

    def ask(rows: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moved = sum(w * v[levels[:, j]] for j, (w, v) in enumerate(zip(weights, values, strict=True)))
        distance = cut - (base[rows] + moved)
        return distance <= 0, distance

    return ask


def hunt(seed: int, most: int, rows: int = 20, columns: int = 3) -> tuple[Space, Any, np.ndarray, Found]:
    chance = np.random.default_rng(seed)
    values = [alteration.deltas(float(chance.integers(1, 4)), whole=True) for _ in range(columns)]
    sizes = [np.abs(v) / max(np.abs(v).max(), 1) for v in values]
    allowed = [chance.random((rows, len(v))) < 0.8 for v in values]
    for each in allowed:
        each[:, 0] = True
    base = chance.normal(size=rows) * 3
    ask = threshold_model(chance.normal(size=columns), values, base, 2.0)
    distance = 2.0 - base
    return Space(sizes, allowed), ask, distance, search(Space(sizes, allowed), ask, distance, most, chance)


def smallest(space: Space, ask: Any, row: int) -> float:
    """By trying everything, one form at a time."""
    best = np.inf
    for form in product(*(range(len(s)) for s in space.sizes)):
        levels = np.array([form])
        if (
            any(form)
            and all(space.allowed[j][row, k] for j, k in enumerate(form))
            and ask(np.array([row]), levels)[0][0]
        ):
            best = min(best, sum(space.sizes[j][k] for j, k in enumerate(form)))
    return best


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_search_of_everything_finds_the_smallest_change(seed: int):
    space, ask, _, found = hunt(seed, most=1000)
    assert found.exact
    for row in range(space.rows):
        assert found.sizes[row] == pytest.approx(smallest(space, ask, row))


@pytest.mark.parametrize("at_once", [1, 20, 100])
def test_the_smallest_change_is_found_first_in_however_small_pieces(monkeypatch: pytest.MonkeyPatch, at_once: int):
    whole = hunt(5, most=1000)[3]
    monkeypatch.setattr(attack, "AT_ONCE", at_once)
    pieces = hunt(5, most=1000)[3]
    assert np.array_equal(pieces.sizes, whole.sizes)
    assert np.isfinite(whole.sizes).any()
    assert pieces.queries.sum() < whole.queries.sum()  # what has turned is asked no more


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), most=st.integers(1, 40))
def test_a_bounded_search_keeps_its_bounds_and_lies_about_nothing(seed: int, most: int):
    space, ask, _, found = hunt(seed, most, columns=5)
    assert (found.queries <= most).all()
    for row in np.flatnonzero(np.isfinite(found.sizes)):
        levels = found.levels[[row]]
        assert space.may(np.array([row]), levels)[0]
        assert ask(np.array([row]), levels)[0][0]
        assert found.sizes[row] == pytest.approx(space.size_of(levels)[0])
    assert not found.levels[np.isinf(found.sizes)].any()


def test_the_greedy_search_finds_on_a_slope_all_that_there_is():
    # With a linear score no step can mislead it: a row can be turned if the best level of every column turns it.
    turned, possible = 0, 0
    for seed in range(40):
        space, ask, _, found = hunt(seed, most=200, columns=5)
        steps = [
            [ask(np.array([0]), np.eye(5, dtype=int)[[j]] * k)[1][0] for k in range(len(s))]
            for j, s in enumerate(space.sizes)
        ]
        start = np.array([ask(np.array([row]), np.zeros((1, 5), dtype=int))[1][0] for row in range(space.rows)])
        gains = [
            np.where(a, start[0] - np.array(of), 0).max(axis=1) for a, of in zip(space.allowed, steps, strict=True)
        ]
        if not found.exact:
            turned += int((np.isfinite(found.sizes) & (start > 0)).sum())
            possible += int(((start - np.sum(gains, axis=0) <= 0) & (start > 0)).sum())
    assert possible > 100
    assert turned == possible


def test_random_starts_cross_a_plateau():
    # Only both columns together turn the answer, and neither alone moves the score: from the row there is no slope.
    levels = [np.linspace(0, 1, 6)] * 2 + [np.linspace(0, 1, 6)]
    allowed = [np.ones((50, 6), dtype=bool) for _ in levels]

    def ask(rows: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        hit = (at[:, 0] >= 3) & (at[:, 1] >= 3)
        return hit, np.where(hit, -1.0, 1.0)

    found = search(Space(levels, allowed), ask, np.ones(50), 150, np.random.default_rng(5))
    assert not found.exact
    assert np.isfinite(found.sizes).mean() > 0.8
    assert np.allclose(found.sizes[np.isfinite(found.sizes)], 1.2)


def test_a_row_whose_answer_fails_is_set_aside_and_no_other():
    sizes, allowed = [np.array([0.0, 1.0])], [np.ones((3, 2), dtype=bool)]

    def ask(rows: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return rows == 2, np.where(rows == 1, np.nan, 1.0)

    found = search(Space(sizes, allowed), ask, np.ones(3), 10, np.random.default_rng(0))
    assert found.erred.tolist() == [False, True, False]
    assert np.isfinite(found.sizes).tolist() == [False, False, True]
    assert found.queries.tolist() == [1, 1, 1]


def test_without_rows_or_moves_nothing_is_asked():
    def never(rows: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raise AssertionError

    nothing = Space([np.array([0.0])], [np.ones((4, 1), dtype=bool)])
    assert np.isinf(search(nothing, never, np.ones(4), 10, np.random.default_rng(0)).sizes).all()
    empty = Space([np.arange(30.0)] * 2, [np.ones((0, 30), dtype=bool)] * 2)
    assert len(search(empty, never, np.ones(0), 10, np.random.default_rng(0)).sizes) == 0


def test_the_same_seed_finds_the_same():
    for most in (30, 1000):
        one, two = hunt(11, most, columns=5)[3], hunt(11, most, columns=5)[3]
        assert np.array_equal(one.sizes, two.sizes)
        assert np.array_equal(one.levels, two.levels)
        assert np.array_equal(one.queries, two.queries)
