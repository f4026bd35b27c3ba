"""Odd data, each kind with a clear verdict: never a crash, never a warning, and never a pass by accident."""

from __future__ import annotations

import numpy as np
import pytest
from tallies import binary, multiclass, regression
from worlds import policy

from headgate.errors import BadInput
from headgate.gate import Gate
from headgate.judge import judge
from headgate.slices import MAX_GROUPS, column
from headgate.verdict import Verdict

PASS, OPEN, ERROR, FAIL = Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.ERROR, Verdict.FAIL

AREA = Gate(metric="roc_auc", min=0.7)
RATE = Gate(metric="accuracy", min=0.6)
LOSS = Gate(metric="log_loss", max=1.0)
SAME = Gate(name="same", metric="log_loss", against="champion", max_increase=0.02)
BETTER = Gate(name="better", metric="brier_score", against="champion", min_decrease=0.001)
GAP = Gate(name="gap", metric="true_positive_rate", gap_across=("sex",), max=0.2)
RATIO = Gate(name="ratio", metric="selection_rate", ratio_across=("sex",), min=0.5)
LEAK = Gate(metric="roc_auc", suspicious_above=0.98)
GATES = (AREA, RATE, LOSS, SAME, BETTER, GAP, RATIO, LEAK)


def rows(n=2_000, seed=1):
    random = np.random.default_rng(seed)
    scores = 1 / (1 + np.exp(-1.5 * random.normal(size=n)))
    labels = (random.random(n) < scores).astype(float)
    return labels, scores, np.where(random.random(n) < 0.5, "f", "m")


def found(labels, scores, sex=None, champion=None, gates=GATES):
    """Verdicts by gate, and everything that was said."""
    sex = np.full(len(labels), "f") if sex is None else sex
    champion = scores if champion is None else champion
    made = binary(np.array(labels), np.array(scores), {"sex": sex}, champion=np.array(champion))
    judged = judge(policy(*gates), made, None, has_champion=True)
    worst = {g.label: max(j.verdict for j in judged.judgements if j.gate == g.label) for g in gates}
    return worst, " | ".join(j.reason for j in judged.judgements)


def test_ordinary_rows_pass_what_they_should():
    labels, scores, sex = rows()
    verdicts, _ = found(labels, scores, sex)
    assert verdicts.pop("better") is OPEN, "an identical model is not shown to improve"
    assert set(verdicts.values()) == {PASS}


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_cannot_be_ranked_and_is_no_pass_of_what_needs_two(label):
    _, scores, sex = rows()
    verdicts, said = found(np.full(len(scores), label), scores, sex)
    assert verdicts["roc-auc"] is verdicts["roc-auc-too-good"] is ERROR
    assert f"no row with label {int(1 - label)}" in said
    assert verdicts["log-loss"] is OPEN, "of one class the variance of a mean is no estimate"
    assert verdicts["gap"] is (ERROR if label == 0 else PASS)


def test_constant_scores_rank_nothing():
    labels, _, sex = rows()
    verdicts, said = found(labels, np.full(len(labels), 0.5), sex)
    assert verdicts["roc-auc"] is FAIL
    assert "roc_auc 0.500 (95% one-sided bound 0.502" in said
    assert verdicts["gap"] is PASS
    assert verdicts["ratio"] is PASS


def test_ties_count_half_and_are_known_as_ties():
    labels, scores, sex = rows()
    verdicts, _ = found(labels, np.round(scores, 1), sex)
    assert verdicts["roc-auc"] is PASS
    exact, _ = found(labels, np.round(scores, 1), sex, gates=(AREA,))
    assert exact["roc-auc"] is PASS


def test_identical_models_are_equal_but_their_difference_is_not_known_exactly():
    labels, scores, _ = rows()
    verdicts, said = found(labels, scores, gates=(SAME,))
    assert verdicts["same"] is PASS
    assert "bound" in said
    strict = Gate(name="same", metric="log_loss", against="champion", max_increase=0.0)
    assert found(labels, scores, gates=(strict,))[0]["same"] is OPEN


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_row_decides_nothing(label):
    verdicts, said = found([label], [0.7])
    assert not any(verdict in (PASS, FAIL) for verdict in verdicts.values())
    assert "all has 1 row of at least 50" in said


def test_no_row_is_an_error():
    verdicts, said = found([], [])
    assert set(verdicts.values()) == {ERROR}
    assert "no row" in said


def test_groups_may_be_called_anything():
    labels, scores, _ = rows()
    names = np.array(["女", "ð̈ & é=ä", "a\nb", "<script>", "=cmd()", ""], dtype=object)
    sex = names[np.arange(len(labels)) % len(names)]
    verdicts, said = found(labels, scores, sex, gates=(Gate(metric="accuracy", min=0.6, slices=("sex",)), RATIO))
    assert verdicts["accuracy"] is PASS
    assert "sex=女" in said
    assert "sex=missing" in said
    assert "a\nb" not in said
    assert "%26" in said


def test_a_column_of_identities_is_refused_before_anything_is_counted():
    with pytest.raises(BadInput, match=rf"10000 groups.*at most {MAX_GROUPS}"):
        column("customer", [str(i) for i in range(10_000)])


def test_as_many_groups_as_are_allowed_are_judged_each():
    labels, scores, _ = rows(50_000)
    sex = (np.arange(len(labels)) % MAX_GROUPS).astype(str)
    verdicts, _ = found(labels, scores, sex, gates=(Gate(metric="accuracy", min=0.3, slices=("sex",)),))
    assert verdicts["accuracy"] is PASS


def test_a_missing_group_is_a_group():
    labels, scores, sex = rows()
    some = np.array([None if i % 3 == 0 else s for i, s in enumerate(sex)], dtype=object)
    made = binary(labels, scores, {"sex": some})
    gate = Gate(metric="accuracy", min=0.6, slices=("sex",))
    judged = judge(policy(gate), made, None, has_champion=False)
    assert {j.slice for j in judged.judgements} == {"sex=f", "sex=m", "sex=missing"}


def test_a_row_that_cannot_be_measured_spoils_where_it_stands_and_nothing_else():
    labels, scores, sex = rows()
    scores[np.flatnonzero(sex == "f")[0]] = np.nan
    verdicts, said = found(labels, scores, sex, gates=(Gate(metric="accuracy", min=0.6, slices=("sex",)),))
    assert verdicts["accuracy"] is ERROR
    assert "1 of " in said


def test_classes_and_numbers_may_be_odd_too():
    random = np.random.default_rng(2)
    shares = random.dirichlet([1, 1, 1], 900)
    two = multiclass(random.integers(0, 2, 900), shares)  # a class that no row has
    wide = policy(Gate(metric="macro_f1", min=0.1), task="multiclass", classes=("a", "b", "c"))
    (one,) = judge(wide, two, None, has_champion=False).judgements
    assert one.verdict is ERROR
    assert "no row with label c" in one.reason
    flat = regression(np.full(900, 50.0), np.full(900, 50.0))
    same = policy(Gate(metric="r2", min=0.1), task="regression", range=(0.0, 100.0))
    (one,) = judge(same, flat, None, has_champion=False).judgements
    assert one.verdict is ERROR
