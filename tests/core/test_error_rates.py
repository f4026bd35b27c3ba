"""Both error rates, measured: how often a bound misses the truth, a bad model passes, a good one is called harmful.

A large fixed population stands for the truth, so that every metric's true value is known; samples are drawn from it
with replacement. All methods but Clopper-Pearson's and the order statistics are asymptotic: `SLACK` is what they are
allowed beyond the noise of the simulation.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from tallies import binary

from headgate.bounds import quantile
from headgate.estimate import Unmeasurable, difference, gaps, measure
from headgate.judge import judge
from headgate.policy import Confidence, Data, Gate, Policy
from headgate.verdict import Verdict

METRICS = (
    "accuracy",
    "true_positive_rate",
    "false_positive_rate",
    "selection_rate",
    "roc_auc",
    "log_loss",
    "brier_score",
    "expected_calibration_error",
)
ALPHA = 0.05
SLACK = 0.01
PROOF = pytest.mark.proof


def allowed(runs, slack=SLACK):
    return ALPHA + slack + 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)


def population(prevalence, size=100_000):
    """Labels, a somewhat overconfident candidate, a noisier champion, and two groups in which the candidate differs."""
    random = np.random.default_rng(11)
    truth = random.beta(3 * prevalence, 3 * (1 - prevalence), size).clip(0.002, 0.998)
    labels = (random.random(size) < truth).astype(int)
    logit = np.log(truth / (1 - truth))
    group = random.random(size) < 0.4
    candidate = 1 / (1 + np.exp(-(1.2 * logit + random.normal(0, np.where(group, 0.9, 0.4)))))
    champion = 1 / (1 + np.exp(-(logit + random.normal(0, 0.8, size))))
    return labels, candidate, champion, np.where(group, "f", "m")


def true_value(metric, labels, scores):
    decisions, errors = scores >= 0.5, labels - scores
    if metric == "roc_auc":
        return roc_auc_score(labels, scores)
    if metric == "expected_calibration_error":
        bins = np.ceil(scores * 10).astype(int)
        return float(np.abs(np.bincount(bins, errors)).sum() / len(labels))
    return {
        "accuracy": decisions == labels,
        "true_positive_rate": decisions[labels == 1],
        "false_positive_rate": decisions[labels == 0],
        "selection_rate": decisions,
        "log_loss": -np.log(np.where(labels, scores, 1 - scores)),
        "brier_score": errors**2,
    }[metric].mean()


def samples(rows, n, runs, seed=0):
    random = np.random.default_rng(seed)
    for _ in range(runs):
        at = random.integers(0, len(rows[0]), n)
        labels, candidate, champion, group = (column[at] for column in rows)
        yield binary(labels, candidate, {"sex": group}, champion=champion)


def truths(metric, labels, candidate, champion, group):
    inside = group == "f"
    value = true_value(metric, labels, candidate)
    groups = [true_value(metric, labels[rows], candidate[rows]) for rows in (inside, ~inside)]
    return value, value - true_value(metric, labels, champion), groups[0] - groups[1]


def misses(rows, n, runs):
    """Per metric and question, the shares of runs whose lower bound is above the truth, and whose upper is below."""
    true = {metric: truths(metric, *rows) for metric in METRICS}
    missed = {(metric, question): np.zeros(2) for metric in METRICS for question in ("value", "change", "gap")}
    for made in samples(rows, n, runs):
        for metric in METRICS:
            asked = (
                measure(made, metric, "all"),
                difference(made, metric, "all"),
                gaps(made, metric, "sex")[0].estimate,
            )
            for question, estimate, truth in zip(("value", "change", "gap"), asked, true[metric], strict=True):
                # What cannot be measured is never a pass and never a claim of harm.
                low, high = (-math.inf, math.inf) if isinstance(estimate, Unmeasurable) else estimate.bounds(ALPHA)
                missed[metric, question] += (low > truth, high < truth)
    return {key: (counts / runs).tolist() for key, counts in missed.items()}


@pytest.mark.parametrize(
    ("prevalence", "n", "runs"),
    [
        (0.3, 200, 200),
        (0.1, 1_000, 200),
        *(
            pytest.param(prevalence, n, 4_000, marks=PROOF)
            for prevalence in (0.05, 0.1, 0.3, 0.5)
            for n in (200, 500, 2_000)
        ),
    ],
)
def test_bounds_miss_the_truth_no_more_often_than_alpha(prevalence, n, runs):
    missed = misses(population(prevalence), n, runs)
    assert len(missed) == 3 * len(METRICS)
    assert {key: shares for key, shares in missed.items() if max(shares) > allowed(runs)} == {}


@pytest.mark.parametrize("runs", [400, pytest.param(4_000, marks=PROOF)])
def test_a_calibrated_model_is_not_called_miscalibrated(runs):
    random = np.random.default_rng(5)
    missed = 0
    for _ in range(runs):
        scores = random.beta(1, 3, 500)
        made = binary((random.random(500) < scores).astype(int), scores)
        missed += measure(made, "expected_calibration_error", "all").lower(ALPHA) > 0
    assert missed / runs <= allowed(runs, 0)


@pytest.mark.parametrize("runs", [2_000, pytest.param(50_000, marks=PROOF)])
def test_the_latency_bound_misses_no_more_often_than_alpha(runs):
    random = np.random.default_rng(3)
    truth = math.exp(2.3263478740408408)
    missed = [quantile(np.sort(random.lognormal(size=400)).tolist(), 0.99, ALPHA) for _ in range(runs)]
    assert sum(high < truth for _, high in missed) / runs <= allowed(runs, 0)
    assert sum(low > truth for low, _ in missed) / runs <= allowed(runs, 0)


def policy(*gates):
    data = Data(train="t", evaluate="e", label="y", id="i", slices=("sex",), min_slice_rows=30)
    return Policy.model_construct(data=data, gate=gates, threshold=0.5, confidence=Confidence(alpha=ALPHA))


def shares(rows, n, runs, *gates):
    """How often the judgement as a whole passes, and how often it fails."""
    found = [judge(policy(*gates), made, None, has_champion=True).verdict for made in samples(rows, n, runs)]
    return found.count(Verdict.PASS) / runs, found.count(Verdict.FAIL) / runs


def at_the_limit(form):
    labels, candidate, champion, group = rows = population(0.3)
    if form == "limit":
        return rows, Gate(metric="roc_auc", min=true_value("roc_auc", labels, candidate))
    if form == "champion":
        worse = true_value("log_loss", labels, champion) - true_value("log_loss", labels, candidate)
        swapped = (labels, champion, candidate, group)
        return swapped, Gate(metric="log_loss", against="champion", max_increase=worse)
    rates = [true_value("true_positive_rate", labels[group == g], candidate[group == g]) for g in "fm"]
    return rows, Gate(metric="true_positive_rate", gap_across=("sex",), max=abs(rates[0] - rates[1]))


@pytest.mark.parametrize("runs", [300, pytest.param(6_000, marks=PROOF)])
@pytest.mark.parametrize("form", ["limit", "champion", "gap"])
def test_a_model_at_the_limit_rarely_passes_and_rarely_fails(form, runs):
    rows, gate = at_the_limit(form)
    passed, failed = shares(rows, 1_000, runs, gate)
    assert passed <= allowed(runs)
    assert failed <= allowed(runs)


@pytest.mark.parametrize("runs", [200, pytest.param(4_000, marks=PROOF)])
def test_of_two_equal_groups_none_is_called_worse_and_a_wide_gate_passes(runs):
    labels, candidate, champion, _ = population(0.3)
    rows = (labels, candidate, champion, np.random.default_rng(1).choice(["f", "m"], len(labels)))
    strict = Gate(metric="selection_rate", gap_across=("sex",), max=0.0)
    wide = Gate(metric="selection_rate", gap_across=("sex",), max=0.1)
    assert shares(rows, 1_000, runs, strict)[1] <= allowed(runs, 0)
    passed, failed = shares(rows, 1_000, runs, wide)
    assert failed == 0
    assert passed > 0.8


@pytest.mark.parametrize("runs", [100, pytest.param(3_000, marks=PROOF)])
def test_of_forty_equal_groups_none_is_called_harmed(runs):
    labels, candidate, champion, _ = population(0.3)
    groups = np.random.default_rng(1).integers(0, 40, len(labels)).astype(str)
    limit = true_value("accuracy", labels, candidate)
    gate = Gate(metric="accuracy", min=limit, slices=("sex",))
    made = samples((labels, candidate, champion, groups), 4_000, runs)
    found = [judge(policy(gate), tally, None, has_champion=True) for tally in made]
    harmed = sum(j.verdict is Verdict.FAIL for j in found) / runs
    uncorrected = sum(min(j.p_harm for j in each.judgements) <= ALPHA for each in found) / runs
    assert harmed <= allowed(runs, 0)
    assert uncorrected > 0.3
    assert not any(j.verdict is Verdict.PASS for j in found)


@pytest.mark.parametrize("runs", [100, pytest.param(3_000, marks=PROOF)])
def test_many_gates_do_not_make_a_bad_model_pass(runs):
    labels, candidate, champion, group = rows = population(0.3)
    broken = Gate(metric="brier_score", max=true_value("brier_score", labels, candidate))
    fine = [Gate(metric="accuracy", min=0.1, name=f"g{i}") for i in range(20)]
    assert shares((labels, candidate, champion, group), 500, runs, broken, *fine)[0] <= allowed(runs)
    assert shares(rows, 500, runs, *fine)[0] == 1
