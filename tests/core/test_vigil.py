"""What a look says: each verdict, each interval against another implementation, and how often it is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from story_of import tallied
from tallies import binary
from watch_of import FAMILY, SINCE, drawn, judged, known, labelled, reference, seen, tampered_plan, window

from headgate.bounds import total_variation
from headgate.members import Seen
from headgate.profile import LATENCIES, Profile
from headgate.tally import Tally
from headgate.verdict import Verdict
from headgate.vigil import PLAN, Sighting, Vigil, vigil

UNTIL = "2026-07-01T14:00:00.000Z"
ALPHA = 0.05


def look(given: dict[str, Seen], which: int = 1) -> Vigil:
    return vigil(known(), reference(), tallied(champion=False), given, look=which, since=SINCE, until=UNTIL)


def of(found: Vigil, check: str, part: str | None = None) -> Sighting:
    (one,) = [s for s in found.sightings if s.check == check and part in (None, s.of, s.slice)]
    return one


def test_a_healthy_version_passes_and_the_family_is_the_plan_s() -> None:
    found = judged()
    assert found.verdict is Verdict.PASS, [s.reason for s in found.sightings if s.verdict is not Verdict.PASS]
    assert found.family == FAMILY
    assert found.checks == ("inputs", "scores", "ranks", "slow", "fails", "used")


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        ({"moved": 0.35}, "inputs"),
        ({"failed": 0.12}, "fails"),
        ({"slow": 0.04}, "slow"),
        ({"harmed": True}, "ranks"),
        ({"n": 49}, "used"),
    ],
)
def test_what_is_wrong_is_found_and_nothing_else_is(wrong: dict[str, object], check: str) -> None:
    found = judged(**wrong)
    assert [name for name in found.checks if found.of(name) is Verdict.FAIL] == [check]
    assert found.verdict is Verdict.FAIL


def test_a_reason_shows_its_arithmetic() -> None:
    reason = of(judged(moved=0.35, look=3), "inputs", "age").reason
    assert reason.startswith("total variation of age 0.3")
    assert "with an error of 0.05 / (7 × 3 × 4), n=2,000) is above the maximum 0.2" in reason
    assert "share of failures 0.000 (95% one-sided bound 0.001, n=2,000) keeps the maximum 0.05" in [
        s.reason for s in judged().sightings
    ]
    assert of(judged(harmed=True), "ranks", "sex=f").reason.startswith("roc_auc in sex=f 0.")


def test_too_few_rows_decide_nothing_and_what_is_near_the_limit_says_how_many_would() -> None:
    few = judged(n=99)
    assert {s.verdict for s in few.sightings if s.check in ("inputs", "scores", "slow", "fails")} == {
        Verdict.INCONCLUSIVE
    }
    assert "99 rows, and at least 100 are demanded" in of(few, "fails").reason
    near = of(look({**seen(UNTIL), "fails": Seen(window("fails", UNTIL, n=400, failed=0.06))}), "fails")
    assert near.verdict is Verdict.INCONCLUSIVE
    assert near.rows_needed is not None
    assert near.rows_needed > 400
    assert "rows like these would decide" in near.reason


def test_a_small_group_decides_nothing_and_a_group_that_nobody_knew_is_named_and_not_accused() -> None:
    random = np.random.default_rng(4)
    sex = np.array(["f"] * 20 + ["m"] * 900 + ["x"] * 200)
    labels, scores = random.integers(0, 2, 1120), random.random(1120)
    given = {**seen(UNTIL), "ranks": Seen(window("ranks", UNTIL, n=1120), binary(labels, scores, {"sex": sex}))}
    found = look(given)
    assert found.family == FAMILY, "what is spent does not depend on what is seen"
    assert of(found, "ranks", "sex=f").verdict is Verdict.INCONCLUSIVE
    assert "the evaluation table has no such group" in of(found, "ranks", "sex=x").reason
    assert of(found, "ranks", "sex=x").verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("came", [0, 99, 1_500, 1_900])
def test_outcomes_that_are_late_keep_a_check_from_passing_and_are_counted(came: int) -> None:
    profile = window("ranks", UNTIL).model_copy(update={"labelled": came})
    tally = labelled(rows=came) if came else None
    found = look({**seen(UNTIL), "ranks": Seen(profile, tally)})
    expected = {0: Verdict.ERROR, 99: Verdict.INCONCLUSIVE, 1_500: Verdict.INCONCLUSIVE, 1_900: Verdict.PASS}
    assert found.of("ranks") is expected[came]
    assert f"{2_000 - came:,} of 2,000 outcomes that are due have not come" in found.reason("ranks")


def test_what_was_not_counted_or_cannot_be_read_is_an_error_and_never_a_pass() -> None:
    missing = seen(UNTIL)
    del missing["fails"]
    assert look(missing).of("fails") is Verdict.ERROR
    assert look({**missing, "fails": Seen(lack="no telemetry")}).reason("fails") == "not measured: no telemetry"
    torn = window("fails", UNTIL).model_copy(update={"torn": 40})
    assert look({**missing, "fails": Seen(torn)}).of("fails") is Verdict.ERROR
    one = window("fails", UNTIL).model_copy(update={"torn": 3})
    assert look({**missing, "fails": Seen(one)}).reason("fails").endswith("; 3 more lines cannot be read")
    blind = vigil(known(), None, tallied(champion=False), seen(UNTIL), look=1, since=SINCE, until=UNTIL)
    assert (blind.of("inputs"), blind.of("scores"), blind.of("fails")) == (Verdict.ERROR, Verdict.ERROR, Verdict.PASS)


def test_a_version_that_came_into_use_within_the_window_is_not_accused_of_having_been_asked_little() -> None:
    given = seen(UNTIL, n=49)
    early = vigil(
        known(), reference(), tallied(champion=False), given, look=1, since="2026-07-01T13:30:00Z", until=UNTIL
    )
    assert early.of("used") is Verdict.INCONCLUSIVE
    assert "in use only since 2026-07-01T13:30:00Z" in early.reason("used")
    assert look(given).of("used") is Verdict.FAIL
    torn = window("used", UNTIL, n=49).model_copy(update={"requests": 4_900, "torn": 2})
    assert look({**given, "used": Seen(torn)}).of("used") is Verdict.PASS


def test_plans_that_were_changed_are_followed_in_nothing() -> None:
    found = look({**seen(UNTIL), **tampered_plan()})
    assert found.checks == (PLAN,)
    assert found.verdict is Verdict.ERROR


def test_labels_that_are_none_make_the_metric_an_error() -> None:
    labels = np.r_[np.full(5, 7), np.random.default_rng(1).integers(0, 2, 1995)]
    sex = np.random.default_rng(2).choice(["f", "m"], 2000)
    tally = binary(labels, np.random.default_rng(3).random(2000), {"sex": sex})
    assert look({**seen(UNTIL), "ranks": Seen(window("ranks", UNTIL), tally)}).of("ranks") is Verdict.ERROR


def test_a_look_is_read_back_as_it_was_written() -> None:
    for found in (judged(), judged(moved=0.4), look(tampered_plan())):
        assert Vigil.from_bytes(found.to_bytes()) == found


# Intervals against other implementations.


def test_the_bounds_of_failures_are_those_of_scipy() -> None:
    found = of(judged(failed=0.03), "fails")
    k = round(float(found.value or 0) * 2_000)
    test = stats.binomtest(k, 2_000)
    assert found.upper == pytest.approx(test.proportion_ci(1 - 2 * ALPHA, method="exact").high, rel=1e-9)
    assert found.lower == pytest.approx(test.proportion_ci(1 - 2 * ALPHA, method="exact").low, rel=1e-9)


def test_the_bounds_of_the_latency_hold_the_order_statistics_of_scipy() -> None:
    random = np.random.default_rng(5)
    values = random.lognormal(2, 1, 3_000)
    places = np.searchsorted(LATENCIES, values)
    pairs = tuple((int(b), int(n)) for b, n in zip(*np.unique(places, return_counts=True), strict=True))
    estimate = window("slow", UNTIL).model_copy(update={"latencies": pairs}).slowest()
    result = stats.quantile_test(values, q=1, p=0.99).confidence_interval(confidence_level=1 - 2 * ALPHA)
    low, high = estimate.bounds(ALPHA)
    assert result.low / 1.01 <= low <= result.low, "to one hundredth of itself, outwards"
    assert result.high <= high <= result.high * 1.01


def test_the_bounds_of_the_total_variation_hold_the_truth_as_often_as_they_say() -> None:
    for cells, n, seed in ((3, 50, 1), (12, 300, 2), (60, 300, 3)):
        random = np.random.default_rng(seed)
        truth, table = random.dirichlet(np.ones(cells)), random.dirichlet(np.ones(cells))
        distance = np.abs(truth - table).sum() / 2
        shown = np.abs(random.multinomial(n, truth, size=4_000) / n - table).sum(axis=1) / 2
        for alpha in (0.05, 0.3):
            lower, upper = total_variation(shown, cells, n, alpha)
            assert (lower > distance).mean() <= alpha
            assert (upper < distance).mean() <= alpha + 0.02


def test_the_width_of_the_total_variation_is_the_smaller_of_two_published_ones() -> None:
    for cells, n in ((2, 100), (12, 1_000), (500, 1_000)):
        few = np.sqrt((cells * np.log(2) - np.log(ALPHA)) / (2 * n))
        many = np.sqrt((cells - 1) / n) / 2 + np.sqrt(-np.log(ALPHA) / (2 * n))
        lower, upper = total_variation(0.6, cells, n, ALPHA)
        assert float(lower) == pytest.approx(max(0.6 - min(few, many), 0))
        assert float(upper) == pytest.approx(0.6 + np.sqrt(-np.log(ALPHA) / (2 * n)))
    assert tuple(map(float, total_variation(0.0, 5, 0, ALPHA))) == (0.0, 1.0), "of nothing, nothing is known"


def test_the_metric_is_that_of_sklearn() -> None:
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(2)
    scores, sex = random.random(2_000), random.choice(["f", "m"], 2_000)
    labels = (random.random(2_000) < scores).astype(int)
    one = of(look({**seen(UNTIL), "ranks": Seen(window("ranks", UNTIL), labelled(seed=2))}), "ranks", "sex=f")
    assert one.value == pytest.approx(roc_auc_score(labels[sex == "f"], scores[sex == "f"]), abs=2e-3)


# How often it is wrong.


def lives(count: int, looks: int, n: int, seed: int) -> tuple[int, int]:
    """How many versions, all of whose true numbers are exactly at their limits, are accused in so many looks.

    And how many would be, if each look at each member claimed harm at alpha.
    """
    random, accused, naive = np.random.default_rng(seed), 0, 0
    for _ in range(count):
        found = [s for which in range(1, looks + 1) for s in at_the_limit(random, n, which).sightings]
        accused += any(s.verdict is Verdict.FAIL for s in found)
        naive += any(outside(s) for s in found)
    return accused, naive


def outside(sighting: Sighting) -> bool:
    check = known().check(sighting.check)
    assert check is not None
    if sighting.lower is None or sighting.upper is None:
        return False
    return sighting.lower > (check.max or np.inf) or sighting.upper < (check.min or -np.inf)


def at_the_limit(random: np.random.Generator, n: int, which: int) -> Vigil:
    given = seen(UNTIL, seed=int(random.integers(2**31)), n=n, moved=0.2, failed=0.05, slow=0.01)
    scores = {name: drawn(random, n, d.counts, 0.2) for name, d in reference().scores.items()}
    shifted = given["scores"].profile
    assert shifted is not None
    given["scores"] = Seen(shifted.model_copy(update={"scores": scores}))
    given["slow"] = Seen(slow_at_the_limit(random, n))
    given["ranks"] = Seen(window("ranks", UNTIL, n=n), ranked_at_the_limit(random, n))
    return look(given, which)


def slow_at_the_limit(random: np.random.Generator, n: int) -> Profile:
    # One in a hundred is slower than the limit, which is the end of a bin or inside the next one.
    below = max(b for b, edge in enumerate(LATENCIES) if edge <= 50.0)
    late = int(random.binomial(n, 0.01))
    return window("slow", UNTIL).model_copy(update={"requests": n, "latencies": ((below, n - late), (below + 2, late))})


def ranked_at_the_limit(random: np.random.Generator, n: int) -> Tally:
    # Normal scores, of which those of label 1 are above those of label 0 with probability 0.6.
    labels = random.integers(0, 2, n)
    scores = stats.norm.cdf(random.normal(size=n) + np.sqrt(2) * stats.norm.ppf(0.6) * labels)
    return binary(labels, scores, {"sex": random.choice(["f", "m"], n)})


@pytest.mark.parametrize(("count", "looks", "n"), [(30, 6, 400), pytest.param(400, 25, 1_000, marks=pytest.mark.proof)])
def test_a_version_that_keeps_its_limits_is_hardly_ever_accused_in_all_its_life(count: int, looks: int, n: int) -> None:
    accused, naive = lives(count, looks, n, seed=20260701)
    assert accused <= stats.binom.ppf(0.999, count, ALPHA), f"{accused} of {count}, at alpha {ALPHA}"
    assert naive > count / 2, "without that, most of them would be"


@pytest.mark.parametrize("which", [1, 100, 10_000])
def test_a_change_that_matters_is_found_at_any_age(which: int) -> None:
    found = [judged(seed=seed, look=which, moved=0.35, failed=0.10) for seed in range(5)]
    assert all(f.of("inputs") is Verdict.FAIL and f.of("fails") is Verdict.FAIL for f in found)
    assert not any(f.of("scores") is Verdict.FAIL for f in found)


def test_what_is_spent_on_all_looks_and_members_is_no_more_than_alpha() -> None:
    spent = sum(FAMILY * ALPHA / (FAMILY * k * (k + 1)) for k in range(1, 200_000))
    assert spent <= ALPHA
    assert spent == pytest.approx(ALPHA, rel=1e-4)
