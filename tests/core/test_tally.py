from __future__ import annotations

import time
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss

from headgate import grid
from headgate.canonical import canonical, parse
from headgate.errors import BadInput, Tampered
from headgate.slices import memberships
from headgate.tally import Tally, count, merge

SCORE = st.one_of(
    st.floats(0, 1),
    st.sampled_from([0.0, -0.0, 1.0, 0.1, 0.5, 5e-324, 1 - 2**-53, float("nan"), float("inf"), -0.1, 1.5]),
)
ROW = st.tuples(st.sampled_from([0, 1, 1, 0, 2, -1]), SCORE, SCORE, st.sampled_from("fm"), st.sampled_from("abc"))
ROWS = st.lists(ROW, max_size=40)


def tally(rows, threshold=0.5, champion=True):
    labels, scores, others, sex, race = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    where = memberships({"sex": sex, "race": race}, ["sex", ("race", "sex")])
    given_labels = np.array(labels, dtype=np.int64)
    scored = [np.array(s, dtype=np.float64) for s in (scores, others)]
    return count(given_labels, scored[0], where, threshold, scored[1] if champion else None)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.randoms(use_true_random=False), st.lists(st.integers(0, 40), max_size=3), st.booleans())
def test_same_bytes_under_any_order_and_partition(rows, random, cuts, champion):
    whole = tally(rows, champion=champion)
    mixed = random.sample(rows, len(rows))
    ends = [0, *sorted(min(c, len(rows)) for c in cuts), len(rows)]
    parts = [tally(mixed[a:b], champion=champion) for a, b in pairwise(ends)]
    assert reduce(merge, parts).to_bytes() == whole.to_bytes()
    assert reduce(lambda a, b: merge(b, a), parts).digest == whole.digest


@settings(max_examples=40, deadline=None)
@given(ROWS, ROWS, ROWS)
def test_merge_is_associative_and_commutative(a, b, c):
    x, y, z = map(tally, (a, b, c))
    assert merge(merge(x, y), z) == merge(x, merge(y, z))
    assert merge(x, y) == merge(y, x)
    assert merge(x, tally([])) == x


@settings(max_examples=40, deadline=None)
@given(ROWS, st.booleans())
def test_bytes_round_trip(rows, champion):
    made = tally(rows, champion=champion)
    again = Tally.from_bytes(made.to_bytes())
    assert again == made
    assert again.digest == made.digest
    assert np.array_equal(again.slices["all"].histograms, made.slices["all"].histograms)


def test_the_bytes_are_those_of_every_machine():
    random = np.random.Generator(np.random.PCG64(7))
    labels, scores = random.integers(0, 2, 500), random.random(500)
    groups = memberships({"g": ["a"] * 250 + ["b"] * 250}, ["g"])
    digest = count(labels, scores, groups, 0.5, scores * scores).digest
    assert digest == "sha256:bf8e959dce988dbe009ad543ad0a404dcc77582d2f8dede20a0ed5e768de8be8"


def test_sums_agree_with_scikit_learn():
    random = np.random.default_rng(1)
    scores = np.concatenate([random.random(9_000), [0.0, 1.0, 1e-300, 1 - 1e-16]])
    labels = random.integers(0, 2, len(scores))
    counts = count(labels, scores, {"all": np.arange(len(scores))}, 0.5).slices["all"]
    logs, brier = counts.losses[:3], counts.losses[3:]
    assert logs[0] / 2**40 / len(scores) == pytest.approx(log_loss(labels, scores), rel=1e-12)
    assert brier[0] / 2**40 / len(scores) == pytest.approx(brier_score_loss(labels, scores), rel=1e-12)
    errors = (labels - scores) ** 2
    assert brier[1] / 2**36 == pytest.approx((errors**2).sum(), rel=1e-9)
    assert brier[2] / 2**35 == pytest.approx((errors**3).sum(), rel=1e-9)


def test_the_worst_possible_rows_do_not_overflow():
    n = 3 * grid.BATCH + 1
    counts = count(np.ones(n), np.zeros(n), {"all": np.arange(n)}, 0.5, np.ones(n)).slices["all"]
    worst = 52 * np.log(2)
    exact = [n * worst**k for k in (1, 2, 3)]
    assert [s / 2**q for s, q in zip(counts.losses[:3], grid.QUANTA, strict=True)] == pytest.approx(exact, rel=1e-12)
    assert counts.calibration[40 + 39] == n * 2**40


def test_logarithm_agrees_with_the_library():
    x = np.concatenate([np.exp(np.linspace(-36, 0, 5_000)), 1 - 2.0 ** -np.arange(2, 53), [0.5, 1.0]])
    assert grid.logarithm(x) == pytest.approx(np.log(x), rel=1e-15, abs=0)


def test_bins_are_open_below_and_closed_above():
    edges = grid.EDGES
    assert grid.bins_of(edges).tolist() == [0, *range(grid.BINS)]
    assert grid.bins_of(np.nextafter(edges[:-1], 1)).tolist() == list(range(grid.BINS))
    tenths = np.arange(1, 11) / 10
    assert grid.CALIBRATION_OF[grid.bins_of(tenths)].tolist() == list(range(10))
    assert grid.CALIBRATION_OF[grid.bins_of(np.nextafter(tenths[:-1], 1))].tolist() == list(range(1, 10))


def test_invalid_rows_are_counted_and_kept_out():
    counts = count([0, 1, 2, 1, 1], [0.2, np.nan, 0.3, 1.1, 0.9], {"all": np.arange(5)}, 0.5).slices["all"]
    assert (counts.rows, counts.invalid, counts.valid, counts.classes) == (5, 3, 2, (1, 1))
    assert counts.cells[:, :, 0].tolist() == [[1, 0], [0, 1]]


def test_a_score_at_the_threshold_is_positive():
    cells = count([1, 1], [0.3, np.nextafter(0.3, 0)], {"all": np.arange(2)}, 0.3, [0.3, 0.9]).slices["all"].cells
    assert cells[1].tolist() == [[0, 1], [0, 1]]


def test_ties_are_known_across_partitions():
    def one(*scores):
        return count([1] * len(scores), scores, {"all": np.arange(len(scores))}, 0.5)

    at = grid.bins_of(np.array([0.5001]))[0]
    assert merge(one(0.5001), one(0.5001)).ties[0, at] == 0.5001
    assert merge(one(0.5001), one(0.5002)).ties[0, at] == -1
    assert merge(merge(one(0.5001), one(0.5002)), one(0.5001)).ties[0, at] == -1


@pytest.mark.parametrize(
    "other",
    [
        lambda: tally([(1, 0.2, 0.3, "f", "a")], threshold=0.4),
        lambda: tally([(1, 0.2, 0.3, "f", "a")], champion=False),
        lambda: count([1], [0.5], memberships({"sex": ["f"]}, ["sex"]), 0.5, [0.5]),
    ],
)
def test_merge_refuses_what_was_counted_otherwise(other):
    with pytest.raises(BadInput):
        merge(tally([(1, 0.2, 0.3, "f", "a")]), other())


@pytest.mark.parametrize(
    ("labels", "scores", "threshold", "where"),
    [
        ([0, 1], [0.5], 0.5, [0]),
        (["0"], [0.5], 0.5, [0]),
        ([0], [[0.5]], 0.5, [0]),
        ([0], [0.5], float("nan"), [0]),
        ([0], [0.5], 0.5, [1]),
        ([0], [0.5], 0.5, [-1]),
    ],
)
def test_count_refuses(labels, scores, threshold, where):
    with pytest.raises(BadInput):
        count(labels, scores, {"all": np.array(where)}, threshold)


def test_a_row_outside_every_group_is_refused():
    with pytest.raises(BadInput, match="one group of each slice"):
        count([0, 1], [0.5, 0.5], {"all": np.arange(2), "sex=f": np.array([0])}, 0.5)


def _changed(plain, path, value):
    place = plain
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return canonical(plain)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), "other"),
        (("extra",), 1),
        (("threshold",), "0.5"),
        (("ties",), []),
        (("ties", 0), "7:0.9"),
        (("slices", "all", "rows"), 5),
        (("slices", "all", "invalid"), -1),
        (("slices", "all", "cells"), [1, 0, 0, 0, 0, 0, 0, 0]),
        (("slices", "all", "losses"), "1 2 3"),
        (("slices", "all", "joint"), "1:1:1"),
        (("slices", "all", "histograms", 0), "-1:1:1"),
        (("slices",), {}),
    ],
)
def test_from_bytes_refuses_what_contradicts_itself(path, value):
    data = tally([(1, 0.2, 0.3, "f", "a"), (0, 0.7, 0.3, "m", "b")]).to_bytes()
    with pytest.raises(BadInput):
        Tally.from_bytes(_changed(parse(data), path, value))


def test_from_bytes_refuses_other_spellings():
    with pytest.raises(Tampered):
        Tally.from_bytes(tally([]).to_bytes() + b" ")


def test_it_is_fast_enough():
    random = np.random.default_rng(2)
    scores, labels = random.random(12_000), random.integers(0, 2, 12_000)
    columns = {f"c{i}": random.integers(0, 6, 12_000).astype(str).tolist() for i in range(5)}
    started = time.process_time()
    made = count(labels, scores, memberships(columns, list(columns)), 0.5, scores)
    assert len(made.slices) == 31
    assert time.process_time() - started < 0.3
