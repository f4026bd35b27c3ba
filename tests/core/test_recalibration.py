from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from headgate import grid
from headgate.recalibration import LEVELS, REACHES, slope, slope_bounds

ALPHA = 0.05
PROOF = pytest.mark.proof


def oracle(labels, levels):
    return sm.Logit(labels, sm.add_constant(levels)).fit(disp=0, cov_type="HC0", maxiter=200)


def draws(random, runs, rows, line, center, deviation):
    """Scores whose true calibration line is `line`, and labels."""
    scores = random.normal(center, deviation, (runs, rows))
    return (random.random((runs, rows)) < expit(line[0] + line[1] * scores)).astype(int), expit(scores)


def histograms(labels, scores):
    at = 2 * np.arange(len(labels))[:, None] + labels
    cells = at * grid.BINS + grid.bins_of(scores.ravel()).reshape(scores.shape)
    return np.bincount(cells.ravel(), minlength=2 * len(labels) * grid.BINS).reshape(-1, 2, grid.BINS)


@pytest.mark.parametrize(
    ("line", "center", "deviation"),
    [((0, 1), 0, 1.5), ((0.5, 0.3), -1, 2), ((0, 0.02), 0, 3), ((-2, 4), 0.5, 0.4), ((0, -0.7), 0, 1), ((1, 1), -4, 1)],
)
def test_slope_and_error_are_statsmodels(line, center, deviation):
    labels, scores = draws(np.random.default_rng(0), 3, 900, line, center, deviation)
    found = slope(histograms(labels, scores))
    for i in range(3):
        exact = oracle(labels[i], LEVELS[grid.bins_of(scores[i])])
        assert found.value[i] == pytest.approx(exact.params[1], rel=1e-6)
        assert found.error[i] == pytest.approx(exact.bse[1], rel=1e-5)
        assert abs(found.value[i] - oracle(labels[i], logit(scores[i])).params[1]) <= found.blur[i]


@given(st.integers(0, 10_000), st.integers(2, 60))
@settings(max_examples=60, deadline=None)
def test_few_bins_and_few_rows_are_statsmodels_or_no_number(seed, rows):
    random = np.random.default_rng(seed)
    labels, bins = random.integers(0, 2, rows), random.integers(0, 6, rows)
    levels = np.sort(random.normal(0, 4, 6))
    found = slope(np.bincount(labels * 6 + bins, minlength=12).reshape(2, 6), levels, np.zeros(6))
    groups = [bins[labels == label] for label in (0, 1)]
    if min(map(len, groups)) and groups[0].max() > groups[1].min() and groups[1].max() > groups[0].min():
        assert found.value == pytest.approx(oracle(labels, levels[bins]).params[1], rel=1e-4, abs=1e-6)
    else:
        assert math.isnan(found.value)
    assert found.blur == 0 or math.isnan(found.blur)


@pytest.mark.parametrize(
    "cells",
    [
        ([0, 0, 0], [0, 0, 0]),
        ([5, 9, 5], [0, 0, 0]),
        ([0, 0, 0], [1, 1, 0]),
        ([5, 0, 0], [0, 0, 5]),
        ([0, 5, 5], [5, 0, 0]),
        ([5, 5, 0], [0, 5, 5]),
        ([0, 9, 0], [0, 5, 0]),
    ],
)
def test_what_has_no_slope_is_no_number_and_warns_of_nothing(cells):
    found = slope(np.array(cells), np.array([-1.0, 0.0, 1.0]), np.ones(3))
    assert np.isnan([found.value, *slope_bounds(found, ALPHA)]).all()


def test_the_blur_is_the_worst_first_order_effect_of_moved_scores():
    labels, scores = draws(np.random.default_rng(3), 1, 300, (0.3, 0.8), -0.5, 1.5)
    bins, labels = grid.bins_of(scores[0]), labels[0]
    base, step = oracle(labels, LEVELS[bins]).params[1], 1e-3
    effects = {}
    for cell in set(zip(labels.tolist(), bins.tolist(), strict=True)):
        moved = LEVELS[bins].copy()
        moved[(labels == cell[0]) & (bins == cell[1])] += step * REACHES[cell[1]]
        effects[cell] = (oracle(labels, moved).params[1] - base) / step
    found = slope(histograms(labels[None], scores))
    assert found.blur[0] == pytest.approx(sum(map(abs, effects.values())), rel=0.01)


def test_no_score_is_farther_from_its_level_than_its_reach():
    scores = np.concatenate([np.random.default_rng(1).random(5_000), grid.EDGES, np.geomspace(1e-12, 0.5, 500)])
    half = grid.EDGES[1] / 2
    bins = grid.bins_of(scores)
    assert (np.abs(logit(np.clip(scores, half, 1 - half)) - LEVELS[bins]) <= REACHES[bins] + 1e-9).all()
    assert np.isfinite(LEVELS).all()
    assert REACHES.max() <= math.log(2) + 1e-4
    np.testing.assert_allclose(LEVELS, -LEVELS[::-1], atol=1e-12)


def test_many_slices_at_once_are_what_each_is_alone():
    labels, scores = draws(np.random.default_rng(5), 12, 200, (0.0, 1.0), -1, 1.5)
    many = histograms(labels, scores)
    many[4, 1] = 0
    found = slope(many.reshape(3, 4, 2, grid.BINS))
    together = [found.value, found.error, found.blur, *slope_bounds(found, ALPHA)]
    for i, each in enumerate(many):
        one = slope(each)
        alone = [one.value, one.error, one.blur, *slope_bounds(one, ALPHA)]
        assert [float(part.ravel()[i]) for part in together] == pytest.approx(
            [float(x) for x in alone], rel=1e-9, nan_ok=True
        )
    assert math.isnan(found.value[1, 0])


def test_scores_of_every_length_converge():
    random = np.random.default_rng(6)
    for deviation in (0.05, 0.5, 5.0, 30.0):
        labels, scores = draws(random, 20, 400, (0.0, 1 / deviation), 0, deviation)
        assert not np.isnan(slope(histograms(labels, scores)).value).any()


@pytest.mark.parametrize(
    ("rows", "runs"),
    [(200, 1_000), (500, 500), pytest.param(200, 8_000, marks=PROOF), pytest.param(5_000, 2_000, marks=PROOF)],
)
@pytest.mark.parametrize(("line", "center"), [((0, 1), 0), ((0, 0.6), 0), ((0, 1), -2.4), ((0.2, 1.5), -1)])
def test_bounds_miss_the_truth_no_more_often_than_alpha(rows, runs, line, center):
    missed, random, block = [], np.random.default_rng(7), 250
    for _ in range(0, runs, block):
        found = slope(histograms(*draws(random, block, rows, line, center, 1.3)))
        low, high = slope_bounds(found, ALPHA)
        assert not np.isnan(low).any()
        missed.append([(low > line[1]).mean(), (high < line[1]).mean()])
    assert np.mean(missed, axis=0).max() <= ALPHA + 0.01 + 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)


@given(st.floats(1e-9, 0.4), st.floats(1e-9, 0.4))
def test_bounds_are_monotone_in_alpha_and_hold_the_value(first, second):
    labels, scores = draws(np.random.default_rng(8), 1, 300, (0, 1), 0, 1.3)
    found = slope(histograms(labels, scores)[0])
    low, high = slope_bounds(found, np.array(sorted((first, second))))
    assert low[0] <= low[1] <= found.value <= high[1] <= high[0]
