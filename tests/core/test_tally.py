from __future__ import annotations

from dataclasses import replace
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss
from tallies import binary

from headgate import crossing, grid
from headgate.batch import Batch
from headgate.canonical import canonical, parse
from headgate.errors import BadInput, Tampered
from headgate.estimate import Unmeasurable, measure
from headgate.scheme import Scheme
from headgate.slices import column, columns_from
from headgate.tally import Tally, count, merge

SCORE = st.one_of(
    st.floats(0, 1),
    st.sampled_from([0.0, -0.0, 1.0, 0.1, 0.5, 5e-324, 1 - 2**-53, float("nan"), float("inf"), -0.1, 1.5]),
)
ROW = st.tuples(st.sampled_from([0, 1, 1, 0, 2, -1]), SCORE, SCORE, st.sampled_from("fm"), st.sampled_from("abc"))
ROWS = st.lists(ROW, max_size=40)


def tally(rows, threshold=0.5, champion=True):
    labels, scores, others, sex, race = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    given_labels = np.array(labels, dtype=np.int64)
    scored = [np.array(s, dtype=np.float64) for s in (scores, others)]
    table = {"sex": sex, "race": race}
    slices = ["sex", ("race", "sex")]
    return binary(given_labels, scored[0], table, slices, threshold, scored[1] if champion else None)


def total(made, name, *place):
    """A sum of all rows as a real number."""
    return float(made.arrays[name][(0, *place)] * grid.UNIT)


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
    assert all(np.array_equal(again.arrays[name], array) for name, array in made.arrays.items())


def test_the_bytes_are_those_of_every_machine():
    random = np.random.Generator(np.random.PCG64(7))
    labels, scores = random.integers(0, 2, 500), random.random(500)
    digest = binary(labels, scores, {"g": ["a"] * 250 + ["b"] * 250}, champion=scores * scores).digest
    assert digest == "sha256:f6fdde76946a6a8efd48be04362cee3ead1b4c9e7bee87b1510e205adaee7f0b"


def test_sums_agree_with_scikit_learn():
    random = np.random.default_rng(1)
    scores = np.concatenate([random.random(9_000), [0.0, 1.0, 1e-300, 1 - 1e-16]])
    labels = random.integers(0, 2, len(scores))
    made = binary(labels, scores)
    n = len(scores)
    assert total(made, "means", 0, 0, 0) * 64 / n == pytest.approx(log_loss(labels, scores), rel=1e-9)
    assert total(made, "means", 1, 0, 0) / n == pytest.approx(brier_score_loss(labels, scores), rel=1e-9)
    errors = (labels - scores) ** 2
    assert total(made, "means", 1, 0, 1) == pytest.approx((errors**2).sum(), rel=1e-9)
    assert total(made, "means", 1, 0, 2) == pytest.approx((errors**3).sum(), rel=1e-9)
    by_tenth = np.bincount(np.ceil(scores * 10).clip(1).astype(int) - 1, labels - scores)
    assert [total(made, "reliability", 0, b, 0) for b in range(10)] == pytest.approx(by_tenth, abs=1e-6)


def test_the_worst_possible_rows_do_not_overflow():
    n = 3 * grid.BATCH + 1
    made = binary(np.ones(n), np.zeros(n), champion=np.ones(n))
    worst = 52 * np.log(2) / 64
    assert [total(made, "means", 0, 2, k) for k in range(3)] == pytest.approx([n * worst**k for k in (1, 2, 3)])
    assert total(made, "reliability", 0, 0, 2) == n


def test_logarithm_agrees_with_the_library():
    x = np.concatenate([np.exp(np.linspace(-36, 0, 5_000)), 1 - 2.0 ** -np.arange(2, 53), [0.5, 1.0]])
    assert grid.logarithm(x) == pytest.approx(np.log(x), rel=1e-15, abs=5e-16)


def test_bins_are_open_below_and_closed_above():
    edges = grid.EDGES
    assert grid.bins_of(edges).tolist() == [0, *range(grid.BINS)]
    assert grid.bins_of(np.nextafter(edges[:-1], 1)).tolist() == list(range(grid.BINS))
    tenths = np.arange(1, 11) / 10
    assert grid.tenths_of(tenths).tolist() == list(range(10))
    assert grid.tenths_of(np.nextafter(tenths[:-1], 1)).tolist() == list(range(1, 10))
    assert grid.tenths_of(np.zeros(1)).tolist() == [0]


def test_invalid_rows_are_counted_and_kept_out():
    made = binary([0, 1, 2, 1, 1], [0.2, np.nan, 0.3, 1.1, 0.9])
    assert (*made.slices["all"], made.slices["all"].valid) == (5, 3, 2)
    assert made.arrays["cells"][0, :, :, 0].tolist() == [[1, 0], [0, 1]]


def test_a_score_at_the_threshold_is_positive():
    made = binary([1, 1], [0.3, np.nextafter(0.3, 0)], threshold=0.3, champion=[0.3, 0.9])
    assert made.arrays["cells"][0, 1].tolist() == [[0, 1], [0, 1]]


def test_ties_are_known_across_partitions():
    def one(*scores):
        return binary([1] * len(scores), scores)

    at = grid.bins_of(np.array([0.5001]))[0]
    assert one(0.5001, 0.5001).ties[0, at] == 0.5001
    assert one(0.5001, 0.5002, 0.5001).ties[0, at] == -1
    assert merge(one(0.5001), one(0.5001)).ties[0, at] == 0.5001
    assert merge(one(0.5001), one(0.5002)).ties[0, at] == -1
    assert merge(merge(one(0.5001), one(0.5002)), one(0.5001)).ties[0, at] == -1


@pytest.mark.parametrize(
    "other",
    [
        lambda: tally([(1, 0.2, 0.3, "f", "a")], threshold=0.4),
        lambda: tally([(1, 0.2, 0.3, "f", "a")], champion=False),
        lambda: binary([1], [0.5], {"sex": ["f"]}, champion=[0.5]),
    ],
)
def test_merge_refuses_what_was_counted_otherwise(other):
    with pytest.raises(BadInput):
        merge(tally([(1, 0.2, 0.3, "f", "a")]), other())


@pytest.mark.parametrize(
    ("labels", "scores", "threshold", "table"),
    [
        ([0, 1], [0.5], 0.5, {}),
        (["0"], [0.5], 0.5, {}),
        ([0], [[0.5]], 0.5, {}),
        ([0], [0.5], float("nan"), {}),
        ([0], [0.5], 0.5, {"sex": ["f", "m"]}),
        ([0, 0], [0.5, 0.5], 0.5, {"sex": ["f"]}),
        ([0], [0.5], 1.5, {}),
    ],
)
def test_count_refuses(labels, scores, threshold, table):
    with pytest.raises(BadInput):
        binary(labels, scores, table, threshold=threshold)


def test_a_slice_whose_column_is_absent_is_refused():
    with pytest.raises(BadInput, match="no such column"):
        binary([0], [0.5], {}, ["sex"])


def test_nothing_to_count_is_refused():
    with pytest.raises(BadInput, match="no batch"):
        count(binary([0], [0.5]).scheme, iter(()))


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
        (("scheme", "threshold"), "0.5"),
        (("scheme", "models"), 3),
        (("scheme", "slices"), [["sex"]]),
        (("scheme", "task"), "other"),
        (("ties",), []),
        (("ties", 0), "7:0.9"),
        (("slices", "all", "rows"), "0:5"),
        (("slices", "all", "rows"), 2),
        (("slices", "all", "invalid"), "0:-1"),
        (("slices", "all", "cells"), "0:2"),
        (("slices", "all", "cells"), "0:1 1"),
        (("slices", "all", "means"), "0:1"),
        (("slices", "all", "joint"), "1:1"),
        (("slices", "all", "histogram"), "-1:1"),
        (("slices", "sex=f", "reliability"), ""),
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


@settings(max_examples=30, deadline=None)
@given(ROWS)
def test_slices_counted_by_themselves_are_those_counted_at_once(rows):
    at_once = tally(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crossing, "MOST_NUMBERS", 0)
        assert tally(rows).to_bytes() == at_once.to_bytes()


@settings(max_examples=20, deadline=None)
@given(ROWS, st.integers(1, 2), st.integers(1, 7))
def test_neither_threads_nor_the_size_of_the_pieces_change_a_byte(rows, threads, piece):
    at_once = tally(rows)
    batch, scheme = parts_of(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid, "BATCH", piece)
        assert count(scheme, batch, threads=threads).to_bytes() == at_once.to_bytes()


def parts_of(rows):
    labels, scores, others, sex, race = (list(each) for each in zip(*rows, strict=True)) if rows else [[]] * 5
    scheme = Scheme("binary", 2, (("sex",), ("race", "sex")), threshold=0.5)
    numbers = [np.array(each, dtype=np.float64) for each in (labels, scores, others)]
    return Batch(numbers[0], numbers[1:], columns_from({"sex": sex, "race": race})), scheme


@settings(max_examples=20, deadline=None)
@given(ROWS)
def test_decisions_alone_tell_the_same_rates_and_nothing_else(rows):
    batch, scheme = parts_of(rows)
    few, whole = count(replace(scheme, detail="decisions"), batch), count(scheme, batch)
    assert few.labels == whole.labels
    assert all(np.array_equal(few.arrays[name], whole.arrays[name]) for name in ("rows", "invalid", "cells"))
    assert Tally.from_bytes(few.to_bytes()) == few
    assert isinstance(measure(few, "log_loss", "all"), Unmeasurable)
    for metric in ("true_positive_rate", "balanced_accuracy", "f1"):
        a, b = (measure(t, metric, "all", "difference") for t in (few, whole))
        assert a == b
        assert isinstance(a, Unmeasurable) or a.bounds(0.05) == b.bounds(0.05)
    with pytest.raises(BadInput, match="schemes"):
        merge(few, whole)


def test_slices_of_many_columns_are_counted_in_few_crossings():
    columns = {f"c{i}": column(f"c{i}", [str(j % 5) for j in range(100)]) for i in range(12)}
    slices = [(name,) for name in columns]
    found = crossing.crossings(columns, slices, width=10_000)
    assert [len(each.columns) for each in found] == [4, 4, 4]
    assert found[0].slices[0] == ()
    assert [s for each in found for s in each.slices if s] == slices


def test_every_slice_is_what_its_rows_alone_would_give():
    random = np.random.default_rng(2)
    n = 3_000
    scores, labels, sex = random.random(n), random.integers(0, 2, n), random.choice(["f", "m"], n)
    whole = binary(labels, scores, {"sex": sex}, champion=scores**2)
    for group in ("f", "m"):
        alone = binary(labels[sex == group], scores[sex == group], champion=scores[sex == group] ** 2)
        place = whole.place[f"sex={group}"]
        assert all(np.array_equal(array[place], alone.arrays[name][0]) for name, array in whole.arrays.items())
