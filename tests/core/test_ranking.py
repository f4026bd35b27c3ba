from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from headgate import grid
from headgate.ranking import MIN_CLASS, area, covariances, difference, ranking

ALPHA = 0.05
ALL_BLURRED = np.ones(grid.BINS, dtype=bool)
COARSE = (grid.COARSE_BINS, grid.COARSE_BINS)


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


def test_the_standard_error_is_the_published_one():
    # Hanley and McNeil, Radiology 143 (1982), table 1: 58 normal and 51 abnormal scans in five classes of suspicion.
    # Area 0.8932, DeLong's standard error 0.0307, and with it 0.83295 to 0.95339: Stata's manual, [R] roctab.
    normal, abnormal = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
    labels = np.repeat([0, 1], [sum(normal), sum(abnormal)])
    scores = np.concatenate([np.repeat(np.arange(1, 6) / 6, counts) for counts in (normal, abnormal)])
    made = ranking(histogram(labels, scores), np.zeros(grid.BINS, dtype=bool))
    error = math.sqrt(made.variances.sum())
    assert made.area == pytest.approx(0.8932, abs=5e-5)
    assert error == pytest.approx(0.0307, abs=5e-5)
    width = norm.isf(0.025) * error
    assert (made.area - width, made.area + width) == pytest.approx((0.83295, 0.95339), abs=1e-5)


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


def joint_of(labels, first, second):
    joint = np.zeros((2, *COARSE), dtype=np.int64)
    np.add.at(joint, (labels, *(grid.COARSE_OF[grid.bins_of(s)] for s in (first, second))), 1)
    return joint


@given(st.integers(0, 10_000), st.integers(2, 40))
def test_the_area_of_one_score_per_bin_is_sklearns(seed, rows):
    random = np.random.default_rng(seed)
    labels, bins = random.permutation([0, 1, *random.integers(0, 2, rows)]), random.integers(0, 9, rows + 2)
    made = ranking(np.bincount(labels * 9 + bins, minlength=18).reshape(2, 9), np.zeros(9, dtype=bool))
    assert made.area == pytest.approx(roc_auc_score(labels, bins), abs=1e-12)
    assert made.blur == 0


def slices(random, rows=(400, 0, 60, 1, 3, 200)):
    """Histograms of two models and their joint ones, of slices with and without a class."""
    found = []
    for i, n in enumerate(rows):
        labels = random.integers(0, 2, n) * (i != 2)
        first = 1 / (1 + np.exp(-random.normal(labels - 0.5, 1)))
        second = first if i == 5 else np.clip(first + random.normal(0, 0.08, n), 0, 1)
        found.append((histogram(labels, first), histogram(labels, second), joint_of(labels, first, second)))
    return [np.stack(part) for part in zip(*found, strict=True)]


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_many_slices_at_once_are_what_each_is_alone(seed):
    *histograms, joint = slices(np.random.default_rng(seed))
    alpha = np.linspace(0.01, 0.3, len(joint))
    a, b = (ranking(h, ALL_BLURRED) for h in histograms)
    together = [*area(a, alpha), *difference(a, b, joint, alpha)]
    for i, each in enumerate(joint):
        x, y = (ranking(h[i], ALL_BLURRED) for h in histograms)
        alone = [*area(x, alpha[i]), *difference(x, y, each, alpha[i])]
        assert [float(part[i]) for part in together] == pytest.approx([float(x) for x in alone], abs=1e-12)


def test_more_slices_than_fit_a_block_and_slices_of_slices():
    *histograms, joint = slices(np.random.default_rng(3))
    many = [np.broadcast_to(h, (7, 5, *h.shape)) for h in (*histograms, joint)]
    a, b = (ranking(h, ALL_BLURRED) for h in many[:2])
    x, y = (ranking(h, ALL_BLURRED) for h in histograms)
    low, high = difference(a, b, many[2], ALPHA)
    assert low.shape == high.shape == a.area.shape == (7, 5, len(joint))
    np.testing.assert_allclose(low, np.broadcast_to(difference(x, y, joint, ALPHA)[0], low.shape), rtol=1e-12)
    np.testing.assert_array_equal(a.variances, np.broadcast_to(x.variances, a.variances.shape))
    none = ranking(many[0][:0], ALL_BLURRED)
    assert (none.area.shape, none.coarse.shape) == ((0, 5, 6), (0, 5, 6, 2, grid.COARSE_BINS))


def test_a_class_without_rows_is_no_number_and_one_row_tells_nothing():
    *histograms, joint = slices(np.random.default_rng(3))
    a, b = (ranking(h, ALL_BLURRED) for h in histograms)
    assert np.isnan(a.area).tolist() == [False, True, True, True, False, False]
    few = a.sizes.min(axis=-1) < 2
    assert few.sum() >= 3
    assert [side[few].tolist() for side in area(a, ALPHA)] == [[0] * few.sum(), [1] * few.sum()]
    assert [side[few].tolist() for side in difference(a, b, joint, ALPHA)] == [[-1] * few.sum(), [1] * few.sum()]


@pytest.mark.parametrize("levels", [3, 400])
def test_a_model_does_not_differ_from_itself_and_no_bound_says_it_is_known(levels):
    labels, first, _ = sample(600)
    scores = np.round(first * levels) / levels
    made = ranking(histogram(labels, scores), np.zeros(grid.BINS, dtype=bool))
    low, high = difference(made, made, joint_of(labels, scores, scores), ALPHA)
    assert low == pytest.approx(-high)
    assert 0.0005 < high < 0.1


def draws(random, runs, rows, share, distance, noise):
    """Histograms of two models and their joint ones, of `runs` samples; and both true areas."""
    labels = (random.random((runs, rows)) < share).astype(int)
    first = random.normal(labels * distance, 1)
    second = first + random.normal(0, noise, first.shape)
    at = 2 * np.arange(runs)[:, None] + labels
    bins = [grid.bins_of(1 / (1 + np.exp(-x.ravel()))).reshape(x.shape) for x in (first, second)]
    histograms = [np.bincount((at * grid.BINS + b).ravel(), minlength=2 * runs * grid.BINS) for b in bins]
    coarse = (at * COARSE[0] + grid.COARSE_OF[bins[0]]) * COARSE[0] + grid.COARSE_OF[bins[1]]
    joint = np.bincount(coarse.ravel(), minlength=2 * runs * COARSE[0] ** 2).reshape(runs, 2, *COARSE)
    true = [norm.cdf(distance / math.sqrt(2)), norm.cdf(distance / math.sqrt(2 + 2 * noise**2))]
    return [h.reshape(runs, 2, grid.BINS) for h in histograms], joint, true


@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize("distance", [0.74, 1.81])
def test_bounds_miss_the_truth_no_more_often_than_alpha(share, distance):
    histograms, joint, true = draws(np.random.default_rng(6), 1_000, 400, share, distance, 0.8)
    a, b = (ranking(h, ALL_BLURRED) for h in histograms)
    assert a.sizes.min() >= MIN_CLASS
    allowed = ALPHA + 0.01 + 3 * math.sqrt(ALPHA * (1 - ALPHA) / 1_000)
    for (low, high), truth in (area(a, ALPHA), true[0]), (difference(a, b, joint, ALPHA), true[0] - true[1]):
        assert (low > truth).mean() <= allowed
        assert (high < truth).mean() <= allowed


@settings(max_examples=30, deadline=None)
@given(st.floats(1e-9, 0.4), st.floats(1e-9, 0.4))
def test_bounds_are_monotone_in_alpha_and_hold_the_value(a, b):
    labels, first, second = sample(200)
    x, y = (ranking(histogram(labels, s), ALL_BLURRED) for s in (first, second))
    alphas, joint = np.array(sorted((a, b))), joint_of(labels, first, second)
    for value, (low, high) in (x.area, area(x, alphas)), (x.area - y.area, difference(x, y, joint, alphas)):
        assert low[0] <= low[1] <= value <= high[1] <= high[0]
