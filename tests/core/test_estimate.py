from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)
from tallies import binary

from headgate.bounds import ratio
from headgate.estimate import Estimate, Unmeasurable, difference, gaps, measure, relative, survey
from headgate.metrics import BINARY

METRICS = tuple(BINARY)


def rows(n=1_500, seed=0, decimals=None):
    random = np.random.default_rng(seed)
    scores = random.beta(1, 3, n)
    labels = (random.random(n) < scores).astype(int)
    champion = np.clip(scores + random.normal(0, 0.05, n), 0, 1)
    if decimals is not None:
        scores, champion = scores.round(decimals), champion.round(decimals)
    return labels, scores, champion, random.choice(["f", "m", "x"], n)


def tally(labels, scores, champion, sex):
    return binary(labels, scores, {"sex": sex}, champion=champion)


def naive_ece(labels, scores):
    total = 0.0
    for b in range(10):
        inside = [(y, s) for y, s in zip(labels, scores, strict=True) if b / 10 < s <= (b + 1) / 10 or s == b == 0]
        total += abs(sum(y - s for y, s in inside))
    return total / len(labels)


def slope(labels, scores):
    logits = np.log(scores.clip(1e-5, 1 - 1e-5) / (1 - scores.clip(1e-5, 1 - 1e-5))).reshape(-1, 1)
    return float(LogisticRegression(C=1e10, tol=1e-10, max_iter=1_000).fit(logits, labels).coef_[0, 0])


ORACLES = {
    "accuracy": lambda y, s: accuracy_score(y, s >= 0.5),
    "balanced_accuracy": lambda y, s: balanced_accuracy_score(y, s >= 0.5),
    "precision": lambda y, s: precision_score(y, s >= 0.5),
    "true_negative_rate": lambda y, s: recall_score(y, s >= 0.5, pos_label=0),
    "false_negative_rate": lambda y, s: 1 - recall_score(y, s >= 0.5),
    "f1": lambda y, s: f1_score(y, s >= 0.5),
    "average_precision": average_precision_score,
    "calibration_in_the_large": lambda y, s: (y - s).mean(),
    "calibration_slope": slope,
    "true_positive_rate": lambda y, s: recall_score(y, s >= 0.5),
    "false_positive_rate": lambda y, s: 1 - recall_score(y, s >= 0.5, pos_label=0),
    "selection_rate": lambda _, s: (s >= 0.5).mean(),
    "roc_auc": roc_auc_score,
    "log_loss": log_loss,
    "brier_score": brier_score_loss,
    "expected_calibration_error": naive_ece,
}


AREAS = ("roc_auc", "average_precision")
UNBINNED = set(METRICS) - {*AREAS, "calibration_slope"}


def test_every_metric_has_an_oracle():
    assert set(ORACLES) == set(METRICS)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("decimals", [None, 2])
def test_values_agree_with_scikit_learn(metric, decimals):
    labels, scores, champion, sex = rows(decimals=decimals)
    made = tally(labels, scores, champion, sex)
    for label, inside in (("all", np.ones(len(sex), dtype=bool)), ("sex=m", sex == "m")):
        exact = {
            who: ORACLES[metric](labels[inside], s[inside])
            for who, s in (("candidate", scores), ("champion", champion))
        }
        for who, value in exact.items():
            found = measure(made, metric, label, who)
            assert found.value == pytest.approx(value, abs=found.blur + 1e-9)
            assert found.blur == 0 if (decimals and metric in AREAS) or metric in UNBINNED else 0 < found.blur < 0.02
            assert found.lower(0.05) < value < found.upper(0.05)
        paired = difference(made, metric, label)
        assert paired.value == pytest.approx(exact["candidate"] - exact["champion"], abs=paired.blur + 1e-9)
        assert paired.lower(0.05) < paired.value < paired.upper(0.05)


def test_n_counts_the_rows_a_metric_rests_on():
    labels, scores, champion, sex = rows()
    made = tally(labels, scores, champion, sex)
    assert measure(made, "true_positive_rate", "all").n == labels.sum()
    assert measure(made, "false_positive_rate", "sex=f").n == (1 - labels)[sex == "f"].sum()
    assert measure(made, "accuracy", "all").n == measure(made, "roc_auc", "all").n == 1_500


@pytest.mark.parametrize("metric", ["log_loss", "brier_score", "accuracy", "selection_rate"])
def test_paired_bounds_agree_with_the_bootstrap(metric):
    labels, scores, champion, sex = rows()
    of = {
        "log_loss": lambda s: -np.log(np.where(labels, s, 1 - s).clip(2**-52)),
        "brier_score": lambda s: (s - labels) ** 2,
        "accuracy": lambda s: ((s >= 0.5) == labels) * 1.0,
        "selection_rate": lambda s: (s >= 0.5) * 1.0,
    }[metric]
    made = difference(tally(labels, scores, np.clip(champion, 0.01, 1), sex), metric, "all")
    x = of(scores) - of(np.clip(champion, 0.01, 1))
    booted = bootstrap(
        (x,), np.mean, confidence_level=0.9, n_resamples=4_000, method="BCa", rng=np.random.default_rng(0)
    )
    interval, width = booted.confidence_interval, booted.confidence_interval.high - booted.confidence_interval.low
    assert (made.lower(0.05), made.upper(0.05)) == pytest.approx((interval.low, interval.high), abs=0.1 * width)


@settings(max_examples=25, deadline=None)
@given(st.permutations(["f", "m", "x"]), st.sampled_from(METRICS))
def test_relabelling_groups_permutes_gaps(names, metric):
    labels, scores, champion, sex = rows(600)
    names = dict(zip(["f", "m", "x"], names, strict=True))
    before = _signed(gaps(tally(labels, scores, champion, sex), metric, "sex"), names)
    after = _signed(
        gaps(tally(labels, scores, champion, [names[g] for g in sex]), metric, "sex"), {n: n for n in names}
    )
    assert before.keys() == after.keys()
    assert all(before[pair] == pytest.approx(after[pair]) for pair in before)


def _signed(found, names):
    signed = {}
    for gap in found:
        first, second = (names[label.removeprefix("sex=")] for label in (gap.first, gap.second))
        low, high = gap.estimate.bounds(0.05)
        value = gap.estimate.value
        signed[first, second], signed[second, first] = (value, low, high), (-value, -high, -low)
    return signed


def test_a_gap_is_wider_than_either_group():
    labels, scores, champion, sex = rows()
    made = tally(labels, scores, champion, sex)
    (gap, *others) = gaps(made, "accuracy", "sex")
    assert (gap.first, gap.second, len(others)) == ("sex=f", "sex=m", 2)
    a, b = (measure(made, "accuracy", label) for label in (gap.first, gap.second))
    assert gap.estimate.value == a.value - b.value
    assert gap.estimate.upper(0.05) - gap.estimate.value > max(a.upper(0.05) - a.value, b.value - b.lower(0.05))


@pytest.mark.parametrize(
    ("labels", "scores", "metric", "words"),
    [
        ([0, 0], [0.1, 0.2], "true_positive_rate", "no row with label 1"),
        ([1, 1], [0.1, 0.2], "false_positive_rate", "no row with label 0"),
        ([1, 1], [0.1, 0.2], "roc_auc", "no row with label 0"),
        ([], [], "accuracy", "no row"),
        ([0, 1], [0.1, math.nan], "accuracy", "1 of 2 rows have a label"),
        ([0, 3], [0.1, 0.2], "brier_score", "1 of 2 rows have a label"),
        ([0], [math.nan], "brier_score", "no valid row"),
        ([0, 1], [0.1, 0.2], "precision", "no row is decided"),
        ([0, 1], [0.1, 0.2], "r2", "no metric"),
    ],
)
def test_what_cannot_be_measured_says_why(labels, scores, metric, words):
    made = binary(np.array(labels, dtype=int), np.array(scores, dtype=float))
    assert words in measure(made, metric, "all").reason
    assert "champion did not score" in difference(made, "accuracy", "all").reason
    assert isinstance(measure(made, "accuracy", "sex=f"), Unmeasurable)


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "brier_score", "expected_calibration_error"])
def test_few_rows_of_a_class_bound_nothing(metric):
    labels, scores = np.array([1] * 9 + [0] * 291), np.linspace(0.9, 0.1, 300)
    found = measure(binary(labels, scores), metric, "all")
    assert found.demand == math.ceil(300 * 10 / 9)
    assert (found.lower(0.4), found.upper(0.4)) == (-math.inf, math.inf)


def test_losses_that_do_not_vary_are_not_certain():
    labels = np.array([0, 1] * 500)
    made = binary(labels, np.full(1_000, 0.5), champion=np.full(1_000, 0.5))
    single, paired = measure(made, "brier_score", "all"), difference(made, "brier_score", "all")
    share = 1 - 0.05 ** (1 / 1_000)
    assert (single.value, paired.value) == (0.25, 0)
    assert single.upper(0.05) == pytest.approx(0.25 + share * 0.75)
    assert paired.upper(0.05) == pytest.approx(share * 0.25, rel=0.01)
    assert -paired.lower(0.05) == pytest.approx(share * 0.25, rel=0.01)


def test_an_identical_champion_leaves_little_doubt():
    labels, scores, _, sex = rows()
    made = tally(labels, scores, scores.copy(), sex)
    for metric in METRICS:
        found = difference(made, metric, "all")
        assert found.value == 0
        assert 0 < found.upper(0.05) < {"precision": 0.1, "f1": 0.1, "calibration_slope": 0.2}.get(metric, 0.05)


def test_estimates_compare_by_what_they_say():
    labels, scores, champion, sex = rows(300)
    made = tally(labels, scores, champion, sex)
    assert measure(made, "accuracy", "all") == measure(made, "accuracy", "all")
    assert isinstance(measure(made, "accuracy", "all"), Estimate)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("who", ["candidate", "champion", "difference"])
def test_a_survey_is_what_each_slice_alone_would_give(metric, who):
    made = tally(*rows())
    found = survey(made, metric, who)
    lower, upper = found.figures.bounds(0.05)
    assert found.labels == made.labels
    for place, label in enumerate(found.labels):
        one = measure(made, metric, label, who)
        assert found.figures.value[place] == pytest.approx(one.value, rel=1e-9)
        assert (float(lower[place]), float(upper[place])) == pytest.approx(one.bounds(0.05), rel=1e-7, abs=1e-9)


def test_a_relative_change_is_a_share_of_the_champion():
    made = tally(*rows())
    found, base = relative(made, "log_loss", "all"), measure(made, "log_loss", "all", "champion")
    assert found.value == pytest.approx(difference(made, "log_loss", "all").value / base.value)
    assert found.lower(0.05) < found.value < found.upper(0.05)
    never = binary([0, 1] * 20, [0.1] * 40, champion=[0.1] * 40)
    assert "no share" in relative(never, "selection_rate", "all").reason


def test_a_ratio_looks_both_ways():
    made = tally(*rows())
    found = {(g.first, g.second): g.estimate for g in gaps(made, "selection_rate", "sex", ratio=True)}
    assert len(found) == 6
    one, other = found["sex=f", "sex=m"], found["sex=m", "sex=f"]
    assert one.value == pytest.approx(1 / other.value)
    assert one.lower(0.05) == pytest.approx(1 / other.upper(0.05))
    a, b = (measure(made, "selection_rate", label) for label in ("sex=f", "sex=m"))
    assert one.bounds(0.05) == pytest.approx(tuple(map(float, ratio(a.value, a.bounds(0.05), b.value, b.bounds(0.05)))))


def test_a_ratio_to_nothing_is_no_ratio():
    made = binary([0, 1] * 20, [0.1] * 20 + [0.9] * 20, {"g": ["a"] * 20 + ["b"] * 20})
    found = [g.estimate for g in gaps(made, "selection_rate", "g", ratio=True)]
    assert [isinstance(e, Unmeasurable) for e in found] == [False, True]


def test_pairs_within_a_group_of_another_slice():
    labels, scores, champion, sex = rows()
    age = np.where(np.arange(len(sex)) % 2, "old", "young")
    made = binary(labels, scores, {"sex": sex, "age": age}, [("age", "sex")], champion=champion)
    found = gaps(made, "accuracy", "sex", within="age")
    assert len(found) == 6
    assert {(g.first.split(" & ")[0], g.second.split(" & ")[0]) for g in found} == {
        ("age=old", "age=old"),
        ("age=young", "age=young"),
    }
