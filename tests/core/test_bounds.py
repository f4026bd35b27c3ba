from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import binom, binomtest, norm
from statsmodels.stats.proportion import proportion_confint

from headgate import bounds

ALPHAS = st.floats(1e-9, 0.4)


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


def test_paired_proportions_are_tangos_published_example():
    # Airway hyper-responsiveness before and after transplantation (Bentur et al. 2009), 1 and 7 of 21 pairs discordant:
    # Fagerland, Lydersen and Laake, Statistics in Medicine 33 (2014), give -0.517 to -0.026.
    assert bounds.paired_proportions(1, 7, 21, 0.025) == pytest.approx((-0.517, -0.026), abs=5e-4)


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


@pytest.mark.parametrize(
    ("value", "of"),
    [
        (0.3, partial(bounds.proportion, 30, 100)),
        (0.0, partial(bounds.proportion, 0, 100)),
        (0.06, partial(bounds.paired_proportions, 9, 3, 100)),
        (0.1, partial(bounds.calibration_error, 0.1, [0.02] * 10, 300)),
        (0.4, partial(bounds.unvarying, 0.4, 0.0, 1.0, 50)),
        (99.0, partial(bounds.quantile, [float(i) for i in range(100)], 0.99)),
    ],
)
@settings(max_examples=30)
@given(a=ALPHAS, b=ALPHAS)
def test_bounds_are_monotone_in_alpha_and_hold_the_value(value, of, a, b):
    small, large = sorted((a, b))
    wide, narrow = of(small), of(large)
    assert wide[0] <= narrow[0] <= narrow[1] <= wide[1]
    assert narrow[0] - 1e-9 <= value <= narrow[1] + 1e-9


def counts_of(random, shape=(6,)):
    n = random.integers(1, 300, shape)
    k = (n * random.random(shape) ** 2).astype(int)
    return k, n


def test_proportions_of_many_slices_and_alphas_are_statsmodels():
    k, n = counts_of(np.random.default_rng(0), (4, 5))
    alpha = np.linspace(0.001, 0.2, 5)
    lower, upper = bounds.proportion(k, n, alpha)
    exact = [proportion_confint(k[:, i], n[:, i], 2 * a, method="beta") for i, a in enumerate(alpha)]
    assert lower == pytest.approx(np.stack([low for low, _ in exact], axis=1), abs=1e-9)
    assert upper == pytest.approx(np.stack([high for _, high in exact], axis=1), abs=1e-9)


def pairs(random, low=0.0):
    """Values and bounds of them, not symmetric."""
    value = low + random.random(6)
    return value, (value - random.random(6) / 3, value + random.random(6) / 2)


def cases(random):
    (k, n), (more, rows) = counts_of(random), counts_of(random)
    (a, of_a), (b, of_b) = pairs(random, 0.5), pairs(random, 0.5)
    less, alpha = rows - more, random.uniform(1e-4, 0.4, 6)
    weights = random.normal(size=6)
    return [
        (bounds.proportion, k, n, alpha),
        (bounds.paired_proportions, more, less // 2, rows, alpha),
        (bounds.independent_difference, a, of_a, b, of_b),
        (bounds.weighted_sum, (a, b), (of_a, of_b), (weights, 1 - weights)),
        (bounds.correlated_sum, (a, b), (of_a, of_b), (weights, 1 - weights)),
        (bounds.ratio, a, of_a, b, of_b),
        (bounds.relative_change, a - b, (of_a[0] - 1, of_a[1] - 0.5), b, of_b),
        (bounds.unvarying, a, a - 1, a + 2, n, alpha),
        (bounds.mean, (a, random.integers(0, 3, 6) / 2, weights), n, alpha),
    ]


def at(argument, i):
    return tuple(at(x, i) for x in argument) if isinstance(argument, tuple) else argument[i]


@given(st.integers(0, 10_000))
@settings(max_examples=40)
def test_many_slices_at_once_are_what_each_is_alone(seed):
    for of, *arguments in cases(np.random.default_rng(seed)):
        lower, upper = of(*arguments)
        alone = [of(*(at(argument, i) for argument in arguments)) for i in range(6)]
        # NumPy's loops over many numbers may round the last bit otherwise than those over one.
        np.testing.assert_allclose(np.array([lower, upper]).T, alone, rtol=1e-13, atol=1e-15, err_msg=of.__name__)


def test_calibration_errors_of_many_slices_are_what_each_is_alone():
    random = np.random.default_rng(2)
    value, variances, n = random.random(4), random.random((4, 10)), np.array([0, 1, 50, 900])
    lower, upper = bounds.calibration_error(value, variances, n, 0.05)
    alone = [bounds.calibration_error(*each, 0.05) for each in zip(value, variances, n, strict=True)]
    assert list(zip(lower, upper, strict=True)) == alone


def test_no_row_no_discordance_and_no_variance_warn_of_nothing():
    n = np.array([0, 1, 2, 100])
    assert bounds.paired_proportions(0, 0, n, 0.05)[0] == pytest.approx([-1, -0.7301, -0.5750, -0.0263], abs=1e-4)
    assert [x.tolist() for x in bounds.proportion(0, n[:1], 0.05)] == [[0], [1]]
    low, high = bounds.mean((0.5, 0.0, 0.0), n, 0.05)
    assert (low == -math.inf).all()
    assert (high == math.inf).all()
    assert bounds.mean((0.5, 0.2, 0.0), 1, 0.05) == (-math.inf, math.inf)


@given(st.integers(0, 10_000), st.floats(0.01, 5))
def test_a_ratio_agrees_with_the_sign_of_a_difference(seed, r):
    (a, of_a), (b, of_b) = (pairs(np.random.default_rng(seed + i), 0.1) for i in (0, 1))
    of_a, of_b = (tuple(np.maximum(x, 0) for x in of) for of in (of_a, of_b))
    lower, upper = bounds.ratio(a, of_a, b, of_b)
    low, high = bounds.independent_difference(a, of_a, r * b, tuple(r * x for x in of_b))
    clear = np.minimum(np.abs(low), np.abs(high)) > 1e-9
    assert ((low > 0) == (r < lower))[clear].all()
    assert ((high < 0) == (r > upper))[clear].all()
    assert (lower <= a / b).all()
    assert (a / b <= upper).all()


def test_a_ratio_is_where_the_difference_vanishes():
    a, of_a, b, of_b = 0.6, (0.5, 0.72), 0.4, (0.33, 0.5)

    def end(side):
        def gap(r):
            return bounds.independent_difference(a, of_a, r * b, (r * of_b[0], r * of_b[1]))[side]

        return brentq(gap, 1e-6, 100)

    assert bounds.ratio(a, of_a, b, of_b) == pytest.approx((end(0), end(1)))


def test_a_ratio_with_nothing_above_or_below():
    rate = (0.0, (0.0, 0.1)), (0.3, (0.2, 0.4))
    assert bounds.ratio(*rate[0], *rate[1])[0] == 0
    assert bounds.ratio(*rate[1], *rate[0])[1] == math.inf
    assert bounds.ratio(*rate[1], *rate[0])[0] == pytest.approx(math.sqrt(0.2 * 0.4) / 0.1)
    assert bounds.ratio(*rate[0], *rate[0]) == (0, math.inf)


@given(st.integers(0, 10_000), st.floats(-3, 3))
def test_a_relative_change_agrees_with_the_correlated_sum(seed, r):
    random = np.random.default_rng(seed)
    base, of_base = pairs(random, 0.4)
    change, of_change = pairs(random, -0.5)
    lower, upper = bounds.relative_change(change, of_change, base, of_base)
    low, high = bounds.correlated_sum((change, base), (of_change, of_base), (1, -r))
    clear = np.minimum(np.abs(low), np.abs(high)) > 1e-9
    assert ((low > 0) == (r < lower))[clear].all()
    assert ((high < 0) == (r > upper))[clear].all()


def test_a_relative_change_of_what_may_be_nothing_is_unbounded():
    for least in (0.0, -0.1):
        assert bounds.relative_change(0.1, (0.05, 0.2), 0.1, (least, 0.3)) == (-math.inf, math.inf)
    assert bounds.relative_change(math.nan, (0.05, 0.2), 0.1, (0.05, 0.3)) == (-math.inf, math.inf)
    assert bounds.relative_change(0.1, (0.05, 0.2), 0.4, (0.3, 0.5)) == pytest.approx((0.1, 2 / 3))
    assert bounds.relative_change(-0.1, (-0.2, -0.05), 0.4, (0.3, 0.5)) == pytest.approx((-2 / 3, -0.1))


@pytest.mark.parametrize("correlation", [-0.9, 0.0, 0.9])
def test_a_relative_change_misses_no_more_often_than_alpha_however_correlated(correlation):
    random = np.random.default_rng(8)
    change, base = 0.3 + 0.1 * random.multivariate_normal([0, 7], [[1, correlation], [correlation, 1]], 20_000).T
    z = 0.1 * norm.isf(0.05)
    low, high = bounds.relative_change(change, (change - z, change + z), base, (base - z, base + z))
    assert (low > 0.3).mean() <= 0.055
    assert (high < 0.3).mean() <= 0.055


def test_a_weighted_sum_is_the_closed_form_and_a_correlated_one_is_wider():
    values, of = (0.8, 0.7), ((0.75, 0.84), (0.6, 0.78))
    low, high = bounds.weighted_sum(values, of, (0.5, 0.5))
    assert (low, high) == pytest.approx((0.75 - math.hypot(0.05, 0.1) / 2, 0.75 + math.hypot(0.04, 0.08) / 2))
    assert bounds.correlated_sum(values, of, (0.5, 0.5)) == pytest.approx((0.675, 0.81))
    assert bounds.correlated_sum(values, of, (1, -1)) == pytest.approx((0.1 - 0.05 - 0.08, 0.1 + 0.04 + 0.1))
    infinite = ((0.75, 0.84), (-math.inf, math.inf))
    assert bounds.weighted_sum(values, infinite, (1, 0)) == pytest.approx((0.75, 0.84))
    assert bounds.weighted_sum(values, infinite, (1, 1)) == (-math.inf, math.inf)


@pytest.mark.parametrize("rate", [0.5, 0.9, 0.98])
def test_balanced_accuracy_misses_no_more_often_than_alpha(rate):
    random, n = np.random.default_rng(4), (60, 200)
    k = [random.binomial(rows, p, 20_000) for rows, p in zip(n, (rate, 0.7), strict=True)]
    of = [bounds.proportion(hits, rows, 0.05) for hits, rows in zip(k, n, strict=True)]
    low, high = bounds.weighted_sum([hits / rows for hits, rows in zip(k, n, strict=True)], of, (0.5, 0.5))
    assert (low > (rate + 0.7) / 2).mean() <= 0.055
    assert (high < (rate + 0.7) / 2).mean() <= 0.055
