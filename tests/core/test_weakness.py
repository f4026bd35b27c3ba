"""The weak-slice search: finds what was planted, claims nothing where there is nothing, and says how far it looked."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import ttest_ind
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep
from tallies import binary

from headgate.estimate import gaps, measure
from headgate.gate import Gate
from headgate.policy import About, Data, Policy
from headgate.weakness import search, section, sought

ALPHA = 0.05


def rows(n, random):
    """Labels and honest scores."""
    truth = random.beta(2, 2, n)
    return (random.random(n) < truth).astype(int), truth


def crossed(n=20_000, seed=1, planted=True, shape=(6, 7)):
    """Two columns, and one crossing of them in which the scores are turned round."""
    random = np.random.default_rng(seed)
    labels, scores = rows(n, random)
    a, b = (random.integers(0, k, n) for k in shape)
    weak = (a == 2) & (b == 3)
    scores = np.where(weak & planted, 1 - scores, scores)
    table = {"a": a.astype(str), "b": b.astype(str)}
    return labels, scores, table, binary(labels, scores, table, ("a", "b", ("a", "b")))


def found_in(tally, metric="log_loss", better="lower", least=100):
    return search(tally, {metric: better}, least=least, alpha=ALPHA)


@pytest.mark.parametrize(
    ("metric", "better"),
    [("log_loss", "lower"), ("brier_score", "lower"), ("roc_auc", "higher"), ("accuracy", "higher"),
     ("true_positive_rate", "higher"), ("f1", "higher"), ("expected_calibration_error", "lower")],
)  # fmt: skip
def test_a_planted_crossing_is_found(metric, better):
    labels, scores, table, tally = crossed()
    found = found_in(tally, metric, better)
    first = found.each[0]
    assert first.slice == "a=2 & b=3"
    assert first in found.significant
    assert 0 < first.lower < first.excess < first.upper
    assert first.value == measure(tally, metric, first.slice).value
    inside = (table["a"] == "2") & (table["b"] == "3")
    rest = binary(labels[~inside], scores[~inside])
    assert first.rest == pytest.approx(measure(rest, metric, "all").value, abs=1e-9)
    assert found.searched == len(found.each) == 6 + 7 + 42


def test_it_agrees_with_welchs_test_and_newcombes_interval():
    labels, scores, table, tally = crossed(planted=False)
    losses = -np.log(np.where(labels == 1, scores, 1 - scores))
    right = ((scores >= 0.5) == labels).astype(float)
    lost = {w.slice: w for w in found_in(tally).each}
    hit = {w.slice: w for w in found_in(tally, "accuracy", "higher").each}
    for group in "012345":
        inside = table["a"] == group
        p = ttest_ind(losses[inside], losses[~inside], equal_var=False, alternative="greater").pvalue
        if lost[f"a={group}"].p < 1:
            assert lost[f"a={group}"].p == pytest.approx(p, rel=0.1)
        counts = right[~inside].sum(), (~inside).sum(), right[inside].sum(), inside.sum()
        low, high = confint_proportions_2indep(*counts, alpha=2 * ALPHA / 55, method="newcomb")
        # Newcombe's uses Wilson's bounds, the search exact ones, which are a little wider.
        assert hit[f"a={group}"].lower == pytest.approx(low, abs=2e-3)
        assert hit[f"a={group}"].upper == pytest.approx(high, abs=2e-3)


def test_the_correction_is_holms():
    found = found_in(crossed()[-1])
    reject, adjusted, *_ = multipletests([w.p for w in found.each], ALPHA, method="holm")
    assert [w.adjusted for w in found.each] == pytest.approx(adjusted.tolist())
    assert [w in found.significant for w in found.each] == reject.tolist()
    assert all((w.lower or -math.inf) > 0 or w.p > ALPHA / found.searched for w in found.each)


def test_the_surest_weakness_comes_first_not_the_largest():
    random = np.random.default_rng(4)
    labels, scores = rows(30_000, random)
    group = np.full(30_000, "rest", dtype=object)
    group[:10_000], group[10_000:10_150] = "large", "small"
    scores = np.where(group == "large", 0.6 * scores + 0.2 * (1 - scores), scores)
    scores = np.where((group == "small") & (random.random(30_000) < 0.5), 1 - scores, scores)
    found = {w.slice: w for w in found_in(binary(labels, scores, {"g": group})).each}
    large, small = found["g=large"], found["g=small"]
    assert next(iter(found)) == max(found.values(), key=lambda w: w.lower).slice
    assert small.excess > large.excess


def test_the_p_value_is_where_the_bound_leaves_nothing():
    """At the p-value, and just below it, the lower bound of the difference is above and not above 0."""
    labels, scores, table, tally = crossed()
    for w in found_in(tally, "accuracy", "higher").each:
        if 1e-11 < w.p < 0.49:
            named = ((f"a={a}", f"b={b}", f"a={a} & b={b}") for a, b in zip(table["a"], table["b"], strict=True))
            inside = np.array([w.slice in names for names in named])
            both = binary(labels, scores, {"in": inside.astype(str)})
            (gap,) = gaps(both, "accuracy", "in")  # the rest minus the slice
            assert gap.estimate.lower(w.p * 1.001) > 0 >= gap.estimate.lower(w.p * 0.98)


def luckless(n, size, seed=2):
    """A tiny group that had terrible luck: all its labels are what the model held for unlikely."""
    labels, scores = rows(n, np.random.default_rng(seed))
    group = np.where(np.arange(n) < size, "tiny", "rest").astype(object)
    scores = np.where(group == "tiny", np.where(labels == 1, 0.2, 0.8), scores)
    return binary(labels, scores, {"g": group})


def test_a_tiny_group_with_terrible_luck_is_not_claimed():
    few = found_in(luckless(5_000, 12), least=30)
    assert ("g=tiny", "log_loss") in few.skipped
    assert "g=tiny" not in {w.slice for w in few.each}
    least = found_in(luckless(5_000, 2), least=1)
    assert ("g=tiny", "log_loss") in least.skipped, "two rows have no variance, whatever the policy says"
    assert not [w for w in least.significant if w.slice == "g=tiny"]
    assert "g=tiny" in {w.slice for w in found_in(luckless(5_000, 400)).significant}


def false_finds(runs, groups, n, metric, better, seed):
    """The share of runs in which equal groups are told apart."""
    random = np.random.default_rng(seed)
    finds = 0
    for _ in range(runs):
        labels, scores = rows(n, random)
        table = {"g": random.integers(0, groups, n).astype(str)}
        finds += bool(found_in(binary(labels, scores, table), metric, better, least=30).significant)
    return finds / runs


CLAIMS = [("log_loss", "lower"), ("accuracy", "higher"), ("roc_auc", "higher")]


@pytest.mark.parametrize(("metric", "better"), CLAIMS[:1])
def test_forty_equal_groups_are_rarely_told_apart(metric, better):
    runs = 200
    share = false_finds(runs, 40, 4_000, metric, better, seed=3)
    assert share <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)


@pytest.mark.proof
@pytest.mark.parametrize(("metric", "better"), CLAIMS)
def test_forty_equal_groups_are_rarely_told_apart_at_length(metric, better):
    runs = 1_000
    share = false_finds(runs, 40, 6_000, metric, better, seed=5)
    assert share <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)


def test_rows_that_cannot_be_measured_stop_the_search():
    labels, scores, table, _ = crossed(2_000)
    scores[5] = np.nan
    found = found_in(binary(labels, scores, table), least=30)
    assert (found.each, found.searched) == ((), 0)
    assert {label for label, _ in found.skipped} == set(binary(labels, scores, table).labels) - {"all"}
    assert "No slice has enough rows" in section(found)


def test_a_slice_without_a_rest_or_without_a_class_is_skipped():
    labels, scores, _, _ = crossed(2_000)
    one = binary(labels, scores, {"g": ["x"] * 2_000, "label": labels.astype(str)})
    found = found_in(one, "true_positive_rate", "higher", least=30)
    assert found.searched == 0
    assert {label for label, _ in found.skipped} == {"g=x", "label=0", "label=1"}
    assert found_in(binary(labels, scores)).searched == 0


def policy(*gates, task="binary"):
    about = About(name="m", task=task, owner="o", tier="low", purpose="p")
    data = Data(train="t", evaluate="e", label="y", id="i", slices=("a",), range=(0.0, 1.0))
    return Policy.model_construct(model=about, data=data, gate=gates, score=None, metric=())


def test_what_is_sought_is_what_the_gates_hold_on_all_rows():
    gates = (
        Gate(metric="roc_auc", min=0.7),
        Gate(metric="brier_score", against="champion", max_increase=0.1),
        Gate(metric="accuracy", min=0.5, slices=("a",)),
        Gate(metric="true_positive_rate", gap_across=("a",), max=0.1),
        Gate(metric="selection_rate", max=0.5),
        Gate(metric="latency_p99_ms", max=9.0),
        Gate(scenarios="s.toml"),
    )
    assert sought(policy(*gates)) == {"roc_auc": "higher", "brier_score": "lower"}
    assert sought(policy(*gates[2:])) == {"log_loss": "lower"}
    assert sought(policy(*gates[3:4], task="regression")) == {"mean_absolute_error": "lower"}


def test_the_section_and_the_record_say_how_far_it_looked():
    tally = crossed()[-1]
    found = search(tally, {"log_loss": "lower", "roc_auc": "higher"}, least=100, alpha=ALPHA)
    page, plain = section(found), json.loads(found.to_bytes())
    assert "## Weakest slices (exploratory)" in page
    assert f"{len(found.significant)} of {found.searched} comparisons" in page
    assert "no verdict" in page
    assert plain["searched"] == 110 == len(plain["each"])
    assert plain["tally"] == tally.digest
    assert found == search(tally, {"log_loss": "lower", "roc_auc": "higher"}, least=100, alpha=ALPHA)
