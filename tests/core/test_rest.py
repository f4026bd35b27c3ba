"""A slice against all other rows: the weak-slice search as a gate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from story_of import POLICY, Book, judged_of, take
from tallies import binary
from test_audit import found, names, retold

from headgate.estimate import Estimate, Unmeasurable, measure
from headgate.gate import Gate
from headgate.ground import Basis
from headgate.judge import judge
from headgate.policy import About, Confidence, Data, Policy
from headgate.policy_file import parse
from headgate.power import foresee
from headgate.rest import weakness
from headgate.verdict import Verdict
from headgate.weakness import search, sought

SLICES = ("a", "b", ("a", "b"))


def policy(*gates, least=100):
    about = About(name="m", task="binary", owner="o", tier="low", purpose="p")
    data = Data(train="t", evaluate="e", label="y", id="i", slices=SLICES, min_slice_rows=least)
    return Policy.model_construct(model=about, data=data, gate=gates, threshold=0.5, confidence=Confidence())


def planted(n=20_000, seed=1):
    """Two columns, and one crossing of them in which the scores are turned round."""
    random = np.random.default_rng(seed)
    truth = random.beta(2, 2, n)
    labels = (random.random(n) < truth).astype(int)
    a, b = random.integers(0, 3, n), random.integers(0, 4, n)
    scores = np.where((a == 2) & (b == 3), 1 - truth, truth)
    return binary(labels, scores, {"a": a.astype(str), "b": b.astype(str)}, SLICES)


TALLY = planted()


def judged(limit, tally=TALLY, slices="each", metric="accuracy", **more):
    gate = Gate(metric=metric, max_weakness=limit, slices=slices)
    return judge(policy(gate, **more), tally, None, has_champion=False)


@pytest.mark.parametrize(("metric", "better"), [("accuracy", "higher"), ("log_loss", "lower"), ("roc_auc", "higher")])
def test_a_gate_holds_what_the_search_found(metric, better):
    searched = search(TALLY, {metric: better}, least=100, alpha=0.05)
    assert searched.searched == 3 + 4 + 12
    for one in searched.each:
        estimate = weakness(TALLY, metric, one.slice, better)
        assert isinstance(estimate, Estimate)
        assert (estimate.value, estimate.n) == (one.excess, one.n)
        assert estimate.bounds(0.05 / searched.searched) == pytest.approx((one.lower, one.upper))


@pytest.mark.parametrize(("limit", "weak"), [(0.1, Verdict.FAIL), (0.37, Verdict.INCONCLUSIVE), (0.6, Verdict.PASS)])
def test_a_weakness_is_judged_by_its_interval_and_corrected_over_all_that_was_looked_at(limit, weak):
    made = judged(limit)
    verdicts = {j.slice: j.verdict for j in made.judgements}
    assert verdicts.pop("a=2 & b=3") is weak
    assert made.family == len(made.judgements) == 3 + 4 + 12, "all rows have no rest"
    assert set(verdicts.values()) <= {Verdict.PASS} if limit > 0.1 else True
    assert {(t.gate, t.metrics, t.claims) for t in made.tested} == {("accuracy-weakness", ("accuracy",), 1)}


def test_the_reason_says_what_was_compared():
    (one,) = [j for j in judged(0.1).judgements if j.slice == "a=2 & b=3"]
    assert (one.form, one.floor, one.ceiling, one.limit) == ("weakness", None, 0.1, 0.1)
    assert one.reason == (
        "accuracy in a=2 & b=3 is 0.367 worse than in the other rows (95% one-sided bound +0.347, n=1,711), which is "
        "beyond the allowed weakness 0.100 (p<1e-12, Holm in a family of 19)"
    )
    better = next(j for j in judged(0.6).judgements if j.value < 0)
    assert " better than in the other rows (" in better.reason
    assert better.reason.endswith("which is within the allowed weakness 0.600")


def test_what_cannot_be_compared_is_no_pass():
    labels, scores = np.tile([0, 1], 200), np.linspace(0.01, 0.99, 400)
    one = binary(labels, scores, {"a": ["x"] * 400, "b": ["y"] * 390 + ["z"] * 10}, SLICES)
    made = {j.slice: j for j in judged(0.5, one).judgements}
    assert made["a=x"].verdict is Verdict.ERROR
    assert "a=x is not held against other rows" in made["a=x"].reason
    assert made["b=z"].verdict is Verdict.INCONCLUSIVE
    scores[395] = math.nan
    bad = binary(labels, scores, {"a": ["x"] * 200 + ["w"] * 200, "b": ["y"] * 400}, SLICES)
    assert {j.verdict for j in judged(0.5, bad).judgements} == {Verdict.ERROR}
    assert isinstance(weakness(bad, "accuracy", "a=x", "higher"), Unmeasurable)
    assert isinstance(measure(bad, "accuracy", "a=x"), Estimate), "the invalid row is one of the others"


def test_few_rows_of_a_class_are_no_bound():
    labels = np.array([0, 1] * 195 + [0] * 8 + [1] * 2)
    few = binary(labels, np.linspace(0.1, 0.9, 400), {"a": ["x"] * 390 + ["y"] * 10}, ("a",))
    estimate = weakness(few, "log_loss", "a=y", "lower")
    assert isinstance(estimate, Estimate)
    assert estimate.bounds(0.05) == (-math.inf, math.inf)
    assert estimate.demand == 50


def test_the_search_looks_at_what_is_gated():
    gates = (Gate(metric="brier_score", max_weakness=0.1, slices="each"), Gate(metric="roc_auc", min=0.6))
    assert sought(policy(*gates)) == {"roc_auc": "higher", "brier_score": "lower"}


def test_the_rows_at_hand_are_planned_for():
    plan = foresee(policy(Gate(metric="accuracy", max_weakness=0.1, slices=("a",))), Basis(TALLY, last=TALLY))
    assert [p.expected for p in plan.each] == [
        weakness(TALLY, "accuracy", label, "higher").value for label in ("a=0", "a=1", "a=2")
    ]
    assert [p.decided for p in plan.each] == [True, True, False], "a=2 is nearly as weak as is allowed"
    first = foresee(policy(Gate(metric="accuracy", max_weakness=0.1, slices=("a",))), Basis(TALLY))
    assert {p.expected for p in first.each} == {0.0}


GATE = b'[[gate]]\nmetric = "accuracy"\nmax_weakness = 0.01\nslices = "each"\n\n'
GATED = POLICY.replace(b"[approval]", GATE + b"[approval]")


def test_the_audit_computes_it_again():
    book = take(Book(GATED), "tiny-1", until="evaluated")
    made = judged_of(book, "tiny-1")
    weak = [j for j in made.judgements if j.form == "weakness"]
    assert len(weak) == 2
    assert made.verdict is not Verdict.PASS
    assert found(book).anomalies == ()
    passed = [j.model_copy(update={"verdict": Verdict.PASS}) for j in made.judgements]
    digest = book.keep(made.model_copy(update={"judgements": tuple(passed)}).model_dump(mode="json"))
    changes = {"verdict": "PASS", "judged": digest}
    again = retold(book, lambda _, kind, body: {**body, **changes} if kind == "evaluated" else body)
    again.evidence = book.evidence
    assert [name for name, _ in names(found(again))] == ["other_verdict"]


def test_a_policy_without_such_a_gate_keeps_its_digest():
    assert b"max_weakness" not in parse(POLICY, "x").model_dump_json().encode()
    assert parse(GATED, "x").digest != parse(POLICY, "x").digest


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        (b'metric = "accuracy"\nmax_weakness = 0.1', "name them in slices, or give 'each'"),
        (b'metric = "selection_rate"\nmax_weakness = 0.1\nslices = "each"', "neither side is better"),
        (b'metric = "accuracy"\nmax_weakness = 1.0\nslices = "each"', "from 0 to below 1"),
        (b'metric = "accuracy"\nmax_weakness = -0.1\nslices = "each"', "greater than or equal to 0"),
        (b'metric = "accuracy"\nmax_weakness = 0.1\nmin = 0.5\nslices = "each"', "exactly one of"),
        (b'metric = "latency_p99_ms"\nmax_weakness = 0.1\nslices = "each"', "belongs to the whole model"),
    ],
)
def test_what_is_no_demand_is_refused(gate, said):
    from headgate.errors import BadInput

    with pytest.raises(BadInput, match=said):
        parse(POLICY.replace(b"[approval]", b"[[gate]]\n" + gate + b"\n\n[approval]"), "x")
