from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests
from tallies import binary

from headgate.canonical import canonical
from headgate.errors import BadInput
from headgate.estimate import Estimate, gaps, measure
from headgate.judge import holm, judge
from headgate.judgement import Judged
from headgate.policy import Confidence, Data, Gate, Policy
from headgate.reasons import Span, rows_needed
from headgate.serving import ServingProfile
from headgate.verdict import Verdict, worst_of

VERDICTS = st.sampled_from(list(Verdict))
PROFILE = ServingProfile(latencies_us=tuple(range(10_000, 10_400)), loads_ms=(1.0,), peak_memory_mib=200.0)


def policy(*gates, alpha=0.05, slices=("sex",), least=100):
    data = Data(train="t", evaluate="e", label="y", id="i", slices=slices, min_slice_rows=least)
    return Policy.model_construct(data=data, gate=gates, threshold=0.5, confidence=Confidence(alpha=alpha))


def rows(n=3_000, seed=0, small=0):
    random = np.random.default_rng(seed)
    scores = random.beta(1, 3, n)
    labels = (random.random(n) < scores).astype(int)
    champion = np.clip(scores + random.normal(0, 0.05, n), 0, 1)
    return labels, scores, champion, ["x"] * small + random.choice(["f", "m"], n - small).tolist()


def tally(labels, scores, champion, sex):
    return binary(labels, scores, {"sex": sex}, champion=champion)


TALLY = tally(*rows())


def judged(gate, made=TALLY, **more):
    return judge(policy(gate, **more), made, PROFILE, has_champion=True)


def only(gate, made=TALLY, **more):
    (found,) = judged(gate, made, **more).judgements
    return found


@given(VERDICTS, VERDICTS, VERDICTS)
def test_the_worst_is_a_join(a, b, c):
    assert worst_of([worst_of([a, b]), c]) == worst_of([a, worst_of([b, c])]) == worst_of([c, b, a])
    assert worst_of([a, a]) == worst_of([a]) == a
    assert worst_of([a, b]) >= a


def test_an_empty_set_never_passes():
    omitted = judge(
        policy(Gate(metric="log_loss", against="champion", max_increase=0.1, without_champion="omit")),
        TALLY,
        None,
        has_champion=False,
    )
    assert omitted.judgements == ()
    assert [o.gate for o in omitted.omitted] == ["log-loss-against-champion"]
    assert omitted.verdict is worst_of([]) is Verdict.ERROR


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0.001, 0.3))
def test_holm_agrees_with_statsmodels(p_values, alpha):
    assert holm(p_values, alpha) == multipletests(p_values, alpha, method="holm")[0].tolist()


FORMS = {
    "min": (lambda x: Gate(metric="roc_auc", min=x), -1),
    "max": (lambda x: Gate(metric="log_loss", max=x), 1),
    "slices": (lambda x: Gate(metric="accuracy", min=x, slices="each"), -1),
    "decrease": (lambda x: Gate(metric="roc_auc", against="champion", max_decrease=x), 1),
    "increase": (lambda x: Gate(metric="false_positive_rate", against="champion", max_increase=x), 1),
    "gap": (lambda x: Gate(metric="true_positive_rate", gap_across=("sex",), max=x), 1),
    "ece": (lambda x: Gate(metric="expected_calibration_error", max=x), 1),
    "latency": (lambda x: Gate(metric="latency_p99_ms", max=10 + x), 1),
    "memory": (lambda x: Gate(metric="peak_memory_mib", max=1_000 * x), 1),
}
TIGHTER = {
    Verdict.PASS: {Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL},
    Verdict.INCONCLUSIVE: {Verdict.INCONCLUSIVE, Verdict.FAIL},
    Verdict.FAIL: {Verdict.FAIL},
}


@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("form", FORMS)
@given(a=st.floats(0, 1), b=st.floats(0, 1))
def test_a_tighter_limit_never_helps(form, a, b):
    made, loose = FORMS[form]
    tight, lax = sorted((a, b), key=lambda x: loose * x)
    before, after = (judged(made(x)).judgements for x in (lax, tight))
    assert all(y.verdict in TIGHTER[x.verdict] for x, y in zip(before, after, strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_each_form_can_pass_and_fail(form):
    made, loose = FORMS[form]
    assert judged(made(1.0 if loose > 0 else 0.0)).verdict is Verdict.PASS
    if form not in ("decrease", "increase", "gap", "ece"):
        assert judged(made(0.0 if loose > 0 else 1.0)).verdict is Verdict.FAIL


def test_a_miscalibrated_model_fails():
    labels, scores, champion, sex = rows()
    made = tally(labels, scores / 2, champion, sex)
    assert only(Gate(metric="expected_calibration_error", max=0.03), made).verdict is Verdict.FAIL


def test_worse_models_fail_against_the_champion_and_across_groups():
    labels, scores, champion, sex = rows()
    hurt = np.where(np.array(sex) == "f", np.minimum(scores, 0.4), scores)
    made = tally(labels, hurt, champion, sex)
    gap = only(Gate(metric="true_positive_rate", gap_across=("sex",), max=0.05), made)
    assert (gap.verdict, gap.groups, gap.slice) == (Verdict.FAIL, ("sex=f", "sex=m"), "sex")
    assert gap.value == -measure(made, "true_positive_rate", "sex=m").value
    harm = judged(Gate(metric="accuracy", against="champion", max_decrease=0.01, slices=("sex",)), made)
    assert [(j.slice, j.verdict) for j in harm.judgements] == [("sex=f", Verdict.FAIL), ("sex=m", Verdict.PASS)]
    rise = only(
        Gate(metric="log_loss", against="champion", max_increase=0.001), tally(labels, champion / 2, scores, sex)
    )
    assert rise.verdict is Verdict.FAIL


def test_bounds_are_inclusive():
    lower = measure(TALLY, "accuracy", "all").lower(0.05)
    assert only(Gate(metric="accuracy", min=lower)).verdict is Verdict.PASS
    assert only(Gate(metric="accuracy", min=math.nextafter(lower, 1))).verdict is Verdict.INCONCLUSIVE


def test_the_p_value_is_the_alpha_whose_bound_is_the_limit():
    found = only(Gate(metric="accuracy", min=0.81))
    assert 0 < found.p_harm < 0.05
    assert measure(TALLY, "accuracy", "all").upper(found.p_harm) == pytest.approx(0.81, abs=1e-7)
    assert only(Gate(metric="accuracy", min=0.5)).p_harm == 1


def test_a_gap_may_be_broken_on_two_sides():
    found = only(Gate(metric="accuracy", gap_across=("sex",), max=0.001))
    (gap,) = gaps(TALLY, "accuracy", "sex")
    assert 0.1 < found.p_harm < 1
    assert gap.estimate.lower(found.p_harm / 2) == pytest.approx(0.001, abs=1e-7)


def test_a_claim_of_harm_is_corrected_for_the_family():
    gate = Gate(metric="accuracy", min=0.81)
    alone = only(gate)
    assert alone.verdict is Verdict.FAIL
    many = judge(
        policy(gate, *[Gate(metric="accuracy", min=0.1, name=f"g{i}") for i in range(400)]),
        TALLY,
        None,
        has_champion=True,
    )
    assert many.family == 401
    assert alone.p_harm > 0.05 / 401
    assert many.judgements[0].verdict is Verdict.INCONCLUSIVE


def test_a_gap_counts_each_pair_in_the_family():
    labels, scores, champion, _ = rows()
    made = tally(labels, scores, champion, [str(i % 5) for i in range(3_000)])
    found = judged(Gate(metric="accuracy", gap_across=("sex",), max=0.9), made)
    assert (len(found.judgements), found.family, found.verdict) == (1, 10, Verdict.PASS)
    assert found.judgements[0].reason.endswith("; the worst of 10 pairs")


def test_a_small_group_is_inconclusive_and_never_dropped():
    made = tally(*rows(small=60))
    found = {j.slice: j for j in judged(Gate(metric="accuracy", min=0.1, slices="each"), made).judgements}
    assert {s: j.verdict.name for s, j in found.items()} == {
        "all": "PASS",
        "sex=f": "PASS",
        "sex=m": "PASS",
        "sex=x": "INCONCLUSIVE",
    }
    assert found["sex=x"].rows_needed == 100
    assert found["sex=x"].p_harm is None
    assert found["sex=x"].reason == "accuracy in sex=x cannot be decided yet: sex=x has 60 rows of at least 100"
    gap = only(Gate(metric="accuracy", gap_across=("sex",), max=0.99), made)
    assert gap.verdict is Verdict.INCONCLUSIVE
    assert "sex=x" in gap.groups


def test_too_few_rows_of_a_class_are_inconclusive():
    labels, scores, champion, sex = rows(400)
    labels[:] = 0
    labels[:7] = 1
    found = only(Gate(metric="roc_auc", min=0.5), tally(labels, scores, champion, sex))
    assert (found.verdict, found.rows_needed) == (Verdict.INCONCLUSIVE, math.ceil(400 * 10 / 7))


def test_an_invalid_row_is_an_error_where_it_stands():
    labels, scores, champion, sex = rows()
    scores = scores.copy()
    scores[sex.index("f")] = math.nan
    found = judged(Gate(metric="brier_score", max=1.0, slices="each"), tally(labels, scores, champion, sex))
    assert {j.slice: j.verdict.name for j in found.judgements} == {"all": "ERROR", "sex=f": "ERROR", "sex=m": "PASS"}
    assert "1 of" in found.judgements[0].reason


def test_a_slice_without_rows_or_without_the_class_is_an_error():
    for slices in ("each", ("sex", "race")):
        found = judged(Gate(metric="accuracy", min=0.0, slices=slices), slices=("sex", "race"))
        assert found.judgements[-1].slice == "race"
        assert found.judgements[-1].verdict is found.verdict is Verdict.ERROR
    labels, scores, champion, sex = rows()
    labels = np.where(np.array(sex) == "f", 0, labels)
    made = tally(labels, scores, champion, sex)
    found = judged(Gate(metric="true_positive_rate", min=0.0, slices=("sex",)), made).judgements
    assert [j.verdict for j in found] == [Verdict.ERROR, Verdict.PASS]
    assert only(Gate(metric="true_positive_rate", gap_across=("sex",), max=1.0), made).verdict is Verdict.ERROR
    assert only(Gate(metric="accuracy", gap_across=("race",), max=1.0), made).verdict is Verdict.ERROR


def test_an_empty_tally_is_an_error():
    empty = tally(np.array([], dtype=int), np.array([]), np.array([]), [])
    found = judged(Gate(metric="accuracy", min=0.0, slices="each"), empty)
    assert {j.verdict for j in found.judgements} == {Verdict.ERROR}


def test_a_missing_champion_or_profile_is_an_error():
    gate = Gate(metric="accuracy", against="champion", max_decrease=1.0)
    assert judge(policy(gate), TALLY, None, has_champion=False).verdict is Verdict.ERROR
    labels, scores, _, sex = rows()
    assert only(gate, tally(labels, scores, None, sex)).verdict is Verdict.ERROR
    for metric in ("latency_p99_ms", "peak_memory_mib"):
        found = judge(policy(Gate(metric=metric, max=1e9)), TALLY, None, has_champion=True)
        assert found.verdict is Verdict.ERROR
        assert found.judgements[0].evidence is None


def test_too_few_requests_do_not_decide_the_latency():
    few = ServingProfile(latencies_us=(1_000,) * 200, loads_ms=(1.0,), peak_memory_mib=1.0)
    (found,) = judge(policy(Gate(metric="latency_p99_ms", max=25.0)), TALLY, few, has_champion=True).judgements
    assert (found.verdict, found.upper, found.value) == (Verdict.INCONCLUSIVE, None, 1.0)


def test_another_threshold_is_refused():
    made = binary([0, 1], [0.1, 0.9], threshold=0.4)
    with pytest.raises(BadInput, match=r"threshold 0\.4"):
        judged(Gate(metric="accuracy", min=0.1), made)


@pytest.mark.parametrize(
    ("gate", "reason"),
    [
        (
            Gate(metric="roc_auc", min=0.7),
            "roc_auc 0.790 (95% one-sided bound 0.774, n=3,000) is above the minimum 0.700",
        ),
        (
            Gate(metric="roc_auc", min=0.78),
            "roc_auc 0.790 (95% one-sided bound 0.774, n=3,000): the bound does not reach the minimum 0.780; "
            "about 4,900 more rows like these would decide",
        ),
        (
            Gate(metric="accuracy", against="champion", max_decrease=0.1, slices=("sex",)),
            "accuracy in sex=f is 0.001 lower than the champion's (95% one-sided bound -0.009, n=1,465), which is "
            "within the allowed decrease 0.100",
        ),
        (
            Gate(metric="accuracy", min=0.83),
            "accuracy 0.795 (95% one-sided bound 0.807, n=3,000) is below the minimum 0.830 "
            "(p=4.5e-07, Holm in a family of 1)",
        ),
        (
            Gate(metric="peak_memory_mib", max=250.0),
            "peak_memory_mib 200.000 (one observed maximum, no interval, n=1) is below the maximum 250.000",
        ),
    ],
)
def test_reasons_show_their_arithmetic(gate, reason):
    assert judged(gate).judgements[0].reason == reason


def test_a_reason_never_rounds_the_difference_away():
    lower = measure(TALLY, "accuracy", "all").lower(0.05)
    reason = only(Gate(metric="accuracy", min=lower + 1e-6)).reason
    shown = [word.strip(",:;()") for word in reason.split() if word.startswith("0.")]
    assert float(shown[1]) < float(shown[2])


@pytest.mark.parametrize("limit", [0.775, 0.785, 0.81])
def test_the_rows_needed_do_decide(limit):
    found = only(Gate(metric="accuracy", min=limit), alpha=0.0005)
    assert found.verdict is Verdict.INCONCLUSIVE
    factor = math.ceil(1.1 * found.rows_needed / 3_000)
    labels, scores, champion, sex = rows()
    more = tally(np.tile(labels, factor), np.tile(scores, factor), np.tile(champion, factor), sex * factor)
    assert only(Gate(metric="accuracy", min=limit), more, alpha=0.0005).verdict in (Verdict.PASS, Verdict.FAIL)
    assert only(Gate(metric="accuracy", min=limit), alpha=0.0005).rows_needed > 3_000


def test_no_rows_are_promised_at_the_limit():
    at = Estimate(0.5, 10, 10, "", lambda _: (0.4, 0.6))
    assert rows_needed(at, Span(0.5, math.inf), 0.05, 1) is None
    near = Estimate(0.51, 10, 10, "", lambda _: (0.4, 0.6), blur=0.02)
    assert rows_needed(near, Span(0.5, math.inf), 0.05, 1) is None
    assert rows_needed(near, Span(0.4, math.inf), 0.05, 1) == math.ceil(10 * (0.09 / 0.09) ** 2)


def test_a_larger_family_needs_more_rows_to_claim_harm_but_not_to_pass():
    found = measure(TALLY, "accuracy", "all")
    harm, safety = Span(0.8, math.inf), Span(0.79, math.inf)
    assert rows_needed(found, harm, 0.05, 1) < rows_needed(found, harm, 0.05, 40)
    assert rows_needed(found, safety, 0.05, 1) == rows_needed(found, safety, 0.05, 40)


def test_judgements_are_plain_values():
    found = judged(Gate(metric="accuracy", min=0.1, slices="each"))
    plain = found.model_dump(mode="json")
    assert plain["judgements"][0]["verdict"] == "PASS"
    assert Judged.model_validate_json(json.dumps(plain)) == found
    assert canonical(plain)
    assert {j.evidence for j in found.judgements} == {TALLY.digest}
