from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, recall_score, roc_auc_score

from headgate.errors import BadInput, Tampered
from headgate.estimate import METRICS, Estimate, Unmeasurable, difference, gaps, measure
from headgate.serving import ServingProfile
from headgate.slices import memberships
from headgate.tally import count


def rows(n=1_500, seed=0, decimals=None):
    random = np.random.default_rng(seed)
    scores = random.beta(1, 3, n)
    labels = (random.random(n) < scores).astype(int)
    champion = np.clip(scores + random.normal(0, 0.05, n), 0, 1)
    if decimals is not None:
        scores, champion = scores.round(decimals), champion.round(decimals)
    return labels, scores, champion, random.choice(["f", "m", "x"], n)


def tally(labels, scores, champion, sex):
    return count(labels, scores, memberships({"sex": sex}, ["sex"]), 0.5, champion)


def naive_ece(labels, scores):
    total = 0.0
    for b in range(10):
        inside = [(y, s) for y, s in zip(labels, scores, strict=True) if b / 10 < s <= (b + 1) / 10 or s == b == 0]
        total += abs(sum(y - s for y, s in inside))
    return total / len(labels)


ORACLES = {
    "accuracy": lambda y, s: accuracy_score(y, s >= 0.5),
    "true_positive_rate": lambda y, s: recall_score(y, s >= 0.5),
    "false_positive_rate": lambda y, s: 1 - recall_score(y, s >= 0.5, pos_label=0),
    "selection_rate": lambda _, s: (s >= 0.5).mean(),
    "roc_auc": roc_auc_score,
    "log_loss": log_loss,
    "brier_score": brier_score_loss,
    "expected_calibration_error": naive_ece,
}


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
            assert found.blur == 0 if decimals or metric != "roc_auc" else 0 < found.blur < 0.001
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
        ([0, 1], [0.1, math.nan], "accuracy", "1 of 2 rows have a score"),
        ([0, 3], [0.1, 0.2], "brier_score", "1 of 2 rows have a score"),
        ([0], [math.nan], "brier_score", "no valid row"),
        ([0, 1], [0.1, 0.2], "precision", "no metric"),
    ],
)
def test_what_cannot_be_measured_says_why(labels, scores, metric, words):
    made = count(np.array(labels, dtype=int), np.array(scores, dtype=float), {"all": np.arange(len(labels))}, 0.5)
    assert words in measure(made, metric, "all").reason
    assert "champion did not score" in difference(made, "accuracy", "all").reason
    assert isinstance(measure(made, "accuracy", "sex=f"), Unmeasurable)


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "brier_score", "expected_calibration_error"])
def test_few_rows_of_a_class_bound_nothing(metric):
    labels, scores = np.array([1] * 9 + [0] * 291), np.linspace(0.9, 0.1, 300)
    found = measure(count(labels, scores, {"all": np.arange(300)}, 0.5), metric, "all")
    assert found.demand == math.ceil(300 * 10 / 9)
    assert found.lower(0.4) == 0
    assert found.upper(0.4) >= 1


def test_losses_that_do_not_vary_are_not_certain():
    labels = np.array([0, 1] * 500)
    made = count(labels, np.full(1_000, 0.5), {"all": np.arange(1_000)}, 0.5, np.full(1_000, 0.5))
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
        assert 0 < found.upper(0.05) < 0.05


def test_serving_estimates():
    profile = ServingProfile(latencies_us=tuple(range(1, 1_001)), load_ms=3.0, peak_memory_mib=90.5)
    latency, memory = profile.estimate("latency_p99_ms"), profile.estimate("peak_memory_mib")
    assert latency.value == 0.990
    assert latency.lower(0.05) < 0.990 < latency.upper(0.05) < 1
    assert memory.bounds(1e-9) == (90.5, 90.5)
    assert "one observed maximum" in memory.method
    assert (
        ServingProfile(latencies_us=(5,), load_ms=0, peak_memory_mib=0).estimate("latency_p99_ms").upper(0.05)
        == math.inf
    )
    empty = ServingProfile(latencies_us=(), load_ms=0.0, peak_memory_mib=0.0)
    assert isinstance(empty.estimate("latency_p99_ms"), Unmeasurable)
    assert isinstance(empty.estimate("accuracy"), Unmeasurable)


def test_serving_bytes_round_trip():
    profile = ServingProfile(latencies_us=(3, 1, 2), load_ms=3.25, peak_memory_mib=90.0)
    assert ServingProfile.from_bytes(profile.to_bytes()) == profile
    assert ServingProfile.from_bytes(profile.to_bytes()).digest == profile.digest
    with pytest.raises(Tampered):
        ServingProfile.from_bytes(profile.to_bytes() + b"\n")
    with pytest.raises(BadInput):
        ServingProfile.from_bytes(b"{}")


def test_estimates_compare_by_what_they_say():
    labels, scores, champion, sex = rows(300)
    made = tally(labels, scores, champion, sex)
    assert measure(made, "accuracy", "all") == measure(made, "accuracy", "all")
    assert isinstance(measure(made, "accuracy", "all"), Estimate)
