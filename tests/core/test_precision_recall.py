from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm
from sklearn.metrics import average_precision_score

from headgate import grid
from headgate.precision_recall import area, average_precision, difference
from headgate.ranking import MIN_CLASS

ALPHA = 0.05
PROOF = pytest.mark.proof
BLURRED = np.ones(grid.BINS, dtype=bool)


def few_bins(labels, bins, size=9):
    return np.bincount(labels * size + bins, minlength=2 * size).reshape(2, size)


def few_rows(seed, rows):
    random = np.random.default_rng(seed)
    return random.permutation([0, 0, 1, 1, *random.integers(0, 2, rows)]), random.integers(0, 9, rows + 4)


@given(st.integers(0, 10_000), st.integers(0, 40))
def test_the_value_is_sklearns_equal_scores_together(seed, rows):
    labels, bins = few_rows(seed, rows)
    made = average_precision(few_bins(labels, bins), np.zeros(9, dtype=bool))
    assert made.area == pytest.approx(average_precision_score(labels, bins), abs=1e-12)
    assert made.blur == 0


def derivative(of, step=1e-5):
    return (of(step) - of(-step)) / (2 * step)


@pytest.mark.parametrize("seed", range(4))
def test_variance_and_tilt_are_those_of_numerical_derivatives(seed):
    labels, bins = few_rows(seed, 60)
    n, p = (labels == 0).sum(), (labels == 1).sum()

    def weighted(row, step):
        """One row weighs more, and its label's weights still add up to what they did."""
        weights = np.ones(len(labels))
        weights[row] += step
        mine = labels == labels[row]
        weights[mine] *= mine.sum() / weights[mine].sum()
        return average_precision_score(labels, bins, sample_weight=weights)

    def shared(step):
        share = p / (n + p)
        weights = np.where(labels == 1, (share + step) / share, (1 - share - step) / (1 - share))
        return average_precision_score(labels, bins, sample_weight=weights)

    pulls = np.array([derivative(lambda step, row=row: weighted(row, step)) for row in range(len(labels))])
    made = average_precision(few_bins(labels, bins), np.zeros(9, dtype=bool))
    exact = [size**2 * (pulls[labels == label] ** 2).sum() / size / (size - 1) for label, size in ((0, n), (1, p))]
    assert made.variances == pytest.approx(exact, rel=1e-6)
    assert made.thirds == pytest.approx([(pulls[labels == label] ** 3).sum() for label in (0, 1)], rel=1e-5, abs=1e-12)
    assert made.tilt == pytest.approx(derivative(shared), rel=1e-6)


@given(st.integers(0, 10_000), st.integers(0, 60), st.integers(1, 4))
def test_the_exact_scores_are_within_the_blur(seed, rows, ties):
    labels, bins = few_rows(seed, rows)
    exact = 10 * bins + np.random.default_rng(seed).integers(0, 2 * ties, len(bins))
    made = average_precision(few_bins(labels, bins), np.ones(9, dtype=bool))
    assert abs(made.area - average_precision_score(labels, exact)) <= made.blur + 1e-12


def test_the_blur_is_reached_and_one_row_of_a_bin_has_none():
    labels, bins = np.array([1, 0, 1, 0, 1]), np.array([2, 1, 1, 1, 0])
    made = average_precision(few_bins(labels, bins), np.ones(9, dtype=bool))
    extremes = [average_precision_score(labels, 10 * bins + side * labels) for side in (1, -1)]
    assert made.blur == pytest.approx(max(abs(made.area - x) for x in extremes), abs=2e-3)
    alone = average_precision(few_bins(labels, np.array([4, 3, 2, 1, 0])), np.ones(9, dtype=bool))
    assert alone.blur == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("n", "p"), [(20, 20), (180, 20), (20, 180), (900, 100)])
def test_the_bound_of_a_perfect_separation_is_below_every_truth_that_allows_one(n, p):
    made = average_precision(np.array([[n, 0], [0, p]]), np.zeros(2, dtype=bool))
    low, high = area(made, ALPHA)
    assert (made.area, high) == (1, 1)
    for part in np.linspace(0.01, 0.99, 25):
        # A share c of negatives outranks all but the last 1 - s of the positives, which are outranked by all.
        s, c = ALPHA ** (part / p), 1 - ALPHA ** ((1 - part) / n)
        true = quad(lambda u, c=c: u / (u + n / p * c), 0, s)[0] + quad(lambda u: u / (u + n / p), s, 1)[0]
        assert low < true
    assert low > 1 - 100 / min(n, p)


def test_equal_scores_have_the_share_of_positives_and_its_uncertainty():
    made = average_precision(np.array([[0, 320, 0], [0, 80, 0]]), np.zeros(3, dtype=bool))
    low, high = area(made, ALPHA)
    assert made.area == pytest.approx(0.2)
    assert made.variances == pytest.approx([0, 0], abs=1e-30)
    assert high - low == pytest.approx(2 * 1.645 * math.sqrt(0.2 * 0.8 / 400), rel=0.05)


def draws(random, runs, rows, share, distance):
    """Histograms of two models and their joint ones, of `runs` samples; and both true values."""
    labels = (random.random((runs, rows)) < share).astype(int)
    first = random.normal(labels * distance, 1)
    second = first + random.normal(0, 0.8, first.shape)
    at, coarse = 2 * np.arange(runs)[:, None] + labels, grid.COARSE_BINS
    bins = [grid.bins_of(expit(x - distance / 2).ravel()).reshape(x.shape) for x in (first, second)]
    histograms = [np.bincount((at * grid.BINS + b).ravel(), minlength=2 * runs * grid.BINS) for b in bins]
    cells = (at * coarse + grid.COARSE_OF[bins[0]]) * coarse + grid.COARSE_OF[bins[1]]
    joint = np.bincount(cells.ravel(), minlength=2 * runs * coarse**2).reshape(runs, 2, coarse, coarse)
    true = [true_value(share, d) for d in (distance, distance / math.sqrt(1.64))]
    return [h.reshape(runs, 2, grid.BINS) for h in histograms], joint, true


@cache
def true_value(share, distance):
    def at(x):
        ones, zeros = share * norm.sf(x - distance), (1 - share) * norm.sf(x)
        return ones / (ones + zeros) * norm.pdf(x - distance)

    return quad(at, -8, 8 + distance, limit=200)[0]


@pytest.mark.parametrize(
    ("rows", "runs"), [(200, 1_000), pytest.param(200, 8_000, marks=PROOF), pytest.param(2_000, 2_000, marks=PROOF)]
)
@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize("distance", [0.7416, 1.8124])
def test_bounds_miss_the_truth_no_more_often_than_alpha(rows, runs, share, distance):
    missed, random, block = [], np.random.default_rng(9), 500
    for _ in range(0, runs, block):
        histograms, joint, true = draws(random, block, rows, share, distance)
        a, b = (average_precision(h, BLURRED) for h in histograms)
        enough = a.sizes.min(axis=-1) >= MIN_CLASS
        sides = (*area(a, ALPHA), *difference(a, b, joint, ALPHA))
        truths = (true[0], true[0], true[0] - true[1], true[0] - true[1])
        signed = [(side - truth) * (-1) ** i for i, (side, truth) in enumerate(zip(sides, truths, strict=True))]
        missed.append([(x[enough] > 0).mean() for x in signed])
    # Of 200 rows, the bounds of a difference miss up to 7.3%: see `difference`.
    slack = np.array([0.01, 0.01, 0.025, 0.025]) if rows == 200 else 0.01
    assert (np.mean(missed, axis=0) <= ALPHA + slack + 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)).all()


def test_with_the_share_held_fixed_the_bounds_would_miss_too_often():
    from dataclasses import replace

    histograms, _, true = draws(np.random.default_rng(9), 1_000, 200, 0.5, 0.7416)
    made = average_precision(histograms[0], BLURRED)
    low, _ = area(replace(made, tilt=0 * made.tilt), ALPHA)
    assert (low > true[0]).mean() > 0.08


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_many_slices_at_once_are_what_each_is_alone(seed):
    histograms, joint, _ = draws(np.random.default_rng(seed), 20, 150, 0.2, 1.0)
    histograms[0][3, 1] = histograms[1][3, 1] = 0
    joint[3, 1] = 0
    alpha = np.linspace(0.01, 0.3, 20)
    a, b = (average_precision(h, BLURRED) for h in histograms)
    together = [a.area, *area(a, alpha), *difference(a, b, joint, alpha)]
    for i in range(20):
        x, y = (average_precision(h[i], BLURRED) for h in histograms)
        alone = [x.area, *area(x, alpha[i]), *difference(x, y, joint[i], alpha[i])]
        assert [float(part[i]) for part in together] == pytest.approx([float(z) for z in alone], abs=1e-12, nan_ok=True)
    assert math.isnan(a.area[3])


@given(st.floats(1e-9, 0.4), st.floats(1e-9, 0.4), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_bounds_are_monotone_in_alpha_and_hold_the_value(first, second, seed):
    histograms, joint, _ = draws(np.random.default_rng(seed), 1, 150, 0.3, 1.0)
    a, b = (average_precision(h[0], BLURRED) for h in histograms)
    alphas = np.array(sorted((first, second)))
    for value, (low, high) in (a.area, area(a, alphas)), (a.area - b.area, difference(a, b, joint[0], alphas)):
        assert low[0] <= low[1] <= value <= high[1] <= high[0]


def test_a_model_does_not_differ_from_itself():
    histograms, joint, _ = draws(np.random.default_rng(1), 1, 300, 0.3, 1.0)
    a = average_precision(histograms[0][0], BLURRED)
    same = np.zeros_like(joint[0])
    for label in (0, 1):
        np.fill_diagonal(same[label], np.bincount(grid.COARSE_OF, histograms[0][0, label], grid.COARSE_BINS))
    low, high = difference(a, a, same, ALPHA)
    assert low == pytest.approx(-high)
    assert 0 < high < 0.05
