from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest, norm

from headgate import bounds, grid
from headgate.ranking import area, covariances, difference, ranking

ALPHAS = st.floats(1e-9, 0.4)
ALL_BLURRED = np.ones(grid.BINS, dtype=bool)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(1e-6, 0.4))
def test_proportion_is_clopper_pearson(counts, alpha):
    k, n = counts
    exact = binomtest(k, n).proportion_ci(1 - 2 * alpha, method="exact")
    assert bounds.proportion(k, n, alpha) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_nothing_is_known_from_no_rows():
    assert bounds.proportion(0, 0, 0.05) == (0, 1)


@pytest.mark.parametrize(("more", "less", "n"), [(10, 4, 60), (1, 12, 40), (0, 7, 50), (30, 30, 200), (3, 0, 30)])
def test_paired_proportions_invert_the_constrained_likelihood(more, less, n):
    def statistic(d):
        def loss(q):
            cells = (q + d, q, 1 - 2 * q - d)
            seen = (more, less, n - more - less)
            return -sum(k * math.log(max(p, 1e-300)) for k, p in zip(seen, cells, strict=True) if k)

        q = minimize_scalar(loss, bounds=(max(0, -d), (1 - d) / 2), method="bounded", options={"xatol": 1e-12}).x
        return (more - less - n * d) / math.sqrt(n * (2 * q + d - d * d))

    lower, upper = bounds.paired_proportions(more, less, n, 0.05)
    assert statistic(lower) == pytest.approx(norm.isf(0.05), abs=1e-3)
    assert statistic(upper) == pytest.approx(-norm.isf(0.05), abs=1e-3)


def test_paired_proportions_without_any_discordance():
    z = norm.isf(0.05)
    assert bounds.paired_proportions(0, 0, 100, 0.05) == pytest.approx((-z * z / (100 + z * z), z * z / (100 + z * z)))


def test_paired_proportions_swap_sides():
    low, high = bounds.paired_proportions(9, 3, 80, 0.01)
    assert bounds.paired_proportions(3, 9, 80, 0.01) == pytest.approx((-high, -low))


def test_independent_difference_is_newcombes_published_example():
    # Newcombe (1998), example (a): 56/70 - 48/80 with Wilson limits, method 10: 0.0524 to 0.3339.
    def wilson(k, n):
        return binomtest(k, n).proportion_ci(0.95, method="wilson")

    found = bounds.independent_difference(56 / 70, tuple(wilson(56, 70)), 48 / 80, tuple(wilson(48, 80)))
    assert found == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_unvarying_is_the_exact_bound_of_a_share_never_seen():
    _, upper = bounds.unvarying(0.0, 0.0, 1.0, 59, 0.05)
    assert binom.pmf(0, 59, upper) == pytest.approx(0.05)
    assert bounds.unvarying(0.3, 0.0, 1.0, 0, 0.05) == (0, 1)


def test_mean_without_skewness_is_student_up_to_the_second_order():
    lower, upper = bounds.mean((1.0, 2.0, 0.0), 100, 0.05)
    assert (lower, upper) == pytest.approx((1 - 1.6604 * 0.2, 1 + 1.6604 * 0.2), abs=1e-4)


def test_mean_agrees_with_johnson_for_mild_skewness():
    n, skewness, z = 4_000, 1.5, norm.isf(0.05)
    shift = skewness * (2 * z * z + 1) / (6 * math.sqrt(n))
    lower, upper = bounds.mean((0.0, math.sqrt(n), skewness), n, 0.05)
    assert (lower, upper) == pytest.approx((-z + shift, z + shift), abs=3e-3)


@given(st.floats(-8, 8), st.integers(30, 500), ALPHAS, ALPHAS)
def test_mean_is_monotone_however_skew(skewness, n, a, b):
    small, large = sorted((a, b))
    wide, narrow = (bounds.mean((0.0, 1.0, skewness), n, alpha) for alpha in (small, large))
    assert wide[0] <= narrow[0] <= 0 <= narrow[1] <= wide[1]


@pytest.mark.parametrize("n", [298, 299, 400, 5_000])
def test_quantile_agrees_with_the_binomial(n):
    lower, upper = bounds.quantile([float(i) for i in range(1, n + 1)], 0.99, 0.05)
    if n < 299:
        assert upper == math.inf
    else:
        assert binom.sf(upper - 1, n, 0.99) <= 0.05 < binom.sf(upper - 2, n, 0.99)
    assert binom.cdf(lower - 1, n, 0.99) <= 0.05 < binom.cdf(lower, n, 0.99)


def histogram(labels, scores):
    cells = labels * grid.BINS + grid.bins_of(scores)
    return np.bincount(cells, minlength=2 * grid.BINS).reshape(2, grid.BINS)


def naive(labels, scores):
    """Area and placements of raw scores: every pair is looked at."""
    ones, zeros = scores[labels == 1], scores[labels == 0]
    wins = (ones[:, None] > zeros) + 0.5 * (ones[:, None] == zeros)
    return wins.mean(), wins.mean(axis=0), wins.mean(axis=1)


def sample(n=900, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, n)
    first = 1 / (1 + np.exp(-random.normal(labels - 0.5, 1)))
    return labels, first, np.clip(first + random.normal(0, 0.08, n), 0, 1)


def test_delong_agrees_with_every_pair_of_raw_scores():
    labels, first, second = sample()
    joint = np.zeros((2, 50, 50), dtype=np.int64)
    np.add.at(joint, (labels, *(grid.COARSE_OF[grid.bins_of(s)] for s in (first, second))), 1)
    a, b = (ranking(histogram(labels, s), ALL_BLURRED) for s in (first, second))
    (area_a, *places_a), (area_b, *places_b) = (naive(labels, s) for s in (first, second))
    for made, exact, places in ((a, area_a, places_a), (b, area_b, places_b)):
        assert abs(made.area - exact) <= made.blur < 0.001
        assert made.variances == pytest.approx([p.var(ddof=1) / len(p) for p in places], rel=0.005)
    exact = [np.cov(p, q)[0, 1] / len(p) for p, q in zip(places_a, places_b, strict=True)]
    found = covariances(a, b, joint)
    assert found == pytest.approx(exact, rel=0.02)
    assert sum(found) <= sum(exact)
    error = math.sqrt(sum(a.variances) + sum(b.variances) - 2 * sum(exact))
    width = 1.6464 * error + a.blur + b.blur
    assert difference(a, b, joint, 0.05) == pytest.approx((a.area - b.area - width, a.area - b.area + width), abs=3e-4)


def test_a_perfect_separation_has_the_bound_of_disjoint_pairs():
    labels, scores = np.array([0] * 40 + [1] * 20), np.array([0.2] * 40 + [0.8] * 20)
    assert area(ranking(histogram(labels, scores), ALL_BLURRED), 0.05) == pytest.approx((0.05 ** (1 / 20), 1))
    assert area(ranking(histogram(1 - labels, scores), ALL_BLURRED), 0.05) == pytest.approx((0, 1 - 0.05 ** (1 / 20)))


def test_real_ties_do_not_blur_but_unknown_order_does():
    labels, scores = np.array([0, 1] * 50), np.full(100, 0.5)
    tied, unknown = (ranking(histogram(labels, scores), np.full(grid.BINS, b)) for b in (False, True))
    assert (tied.area, tied.blur) == (0.5, 0)
    assert (unknown.area, unknown.blur) == (0.5, 0.5)
    assert area(unknown, 0.05) == (0, 1)
    assert area(tied, 0.05) == pytest.approx((0.5 * 0.05 ** (1 / 50), 1 - 0.5 * 0.05 ** (1 / 50)))


def _area_of_sample():
    labels, first, _ = sample(200)
    return partial(area, ranking(histogram(labels, first), ALL_BLURRED))


@pytest.mark.parametrize(
    ("value", "of"),
    [
        (0.3, partial(bounds.proportion, 30, 100)),
        (0.0, partial(bounds.proportion, 0, 100)),
        (0.06, partial(bounds.paired_proportions, 9, 3, 100)),
        (0.1, partial(bounds.calibration_error, 0.1, [0.02] * 10, 300)),
        (0.4, partial(bounds.unvarying, 0.4, 0.0, 1.0, 50)),
        (99.0, partial(bounds.quantile, [float(i) for i in range(100)], 0.99)),
        (None, _area_of_sample()),
    ],
)
@settings(max_examples=30)
@given(a=ALPHAS, b=ALPHAS)
def test_bounds_are_monotone_in_alpha_and_hold_the_value(value, of, a, b):
    small, large = sorted((a, b))
    wide, narrow = of(small), of(large)
    assert wide[0] <= narrow[0] <= narrow[1] <= wide[1]
    assert value is None or narrow[0] - 1e-9 <= value <= narrow[1] + 1e-9
