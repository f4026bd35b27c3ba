"""What the plan of the gates promises, against exact power, statsmodels' power and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, norm
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_confint
from tallies import binary

from headgate.estimate import difference, gaps, measure
from headgate.gate import Gate
from headgate.ground import Basis, unscored
from headgate.judge import judge
from headgate.policy import About, Confidence, Custom, Data, Policy, Serving
from headgate.power import foresee
from headgate.prospect import POWER
from headgate.scheme import Scheme
from headgate.serving import ServingProfile
from headgate.slices import columns_from
from headgate.verdict import Verdict

ALPHA, RUNS, ROWS = 0.05, 250, 1_000
SPAN = (0.0, 10.0)


def policy(*gates, task="binary", least=30, slices=("sex",), **parts):
    about = About(name="m", task=task, owner="o", tier="low", purpose="p")
    data = Data(
        train="t", evaluate="e", label="y", id="i", slices=slices, min_slice_rows=least,
        classes=("x", "y", "z") if task == "multiclass" else None, range=SPAN if task == "regression" else None,
    )  # fmt: skip
    parts = {"serving": Serving(), **parts}
    return Policy.model_construct(model=about, data=data, gate=gates, confidence=Confidence(alpha=ALPHA), **parts)


def sample(labels, table=None, task="binary", of=None):
    """Rows that nobody scored yet."""
    table = table or {"sex": np.where(np.arange(len(labels)) % 2, "f", "m")}
    wanted = of or policy(Gate(metric="accuracy", min=0.5), task=task, slices=tuple(table))
    return unscored(Scheme.of(wanted, 2), labels, columns_from({k: list(v) for k, v in table.items()}))


def only(gate, labels, **more):
    parts = {k: more.pop(k) for k in ("last", "factor", "serving", "name") if k in more}
    (found,) = foresee(policy(gate, **more), Basis(sample(labels), **parts)).each
    return found


def halves(n):
    return np.arange(n) % 2


# Rates: exact


@pytest.mark.parametrize("limit", [0.05, 0.5, 0.74, 0.97])
@pytest.mark.parametrize("n", [40, 333, 5_000])
@pytest.mark.parametrize("side", ["min", "max"])
def test_the_promise_about_a_rate_is_exact(n, limit, side):
    found = only(Gate(metric="accuracy", **{side: limit}), halves(n))
    k = np.arange(n + 1)
    lower, upper = (np.where(np.isnan(x), e, x) for x, e in zip(exact_bounds(k, n), (0, 1), strict=True))
    passes, fails = (lower >= limit, upper < limit) if side == "min" else (upper <= limit, lower > limit)
    assert found.n == n
    if found.passes_at is None:
        assert not passes.any()
    else:
        assert binom.pmf(k, n, found.passes_at)[passes].sum() == pytest.approx(POWER)
        assert found.confirms == pytest.approx(abs(found.passes_at - limit))
    if found.fails_at is None:
        assert not fails.any()
    else:
        assert binom.pmf(k, n, found.fails_at)[fails].sum() == pytest.approx(POWER)


def exact_bounds(k, n):
    """Statsmodels' Clopper-Pearson interval, whose ends are one-sided bounds at half its alpha."""
    return proportion_confint(k, n, alpha=2 * ALPHA, method="beta")


def test_the_rows_of_a_rate_are_those_of_its_class():
    labels = (np.arange(1_000) < 200).astype(int)
    assert only(Gate(metric="true_positive_rate", min=0.5), labels).n == 200
    assert only(Gate(metric="false_positive_rate", max=0.5), labels).n == 800
    assert only(Gate(metric="false_positive_rate", max=0.5), labels, factor=2.5).n == 2_000


def test_a_larger_family_sees_less_and_confirms_the_same():
    gate = Gate(metric="accuracy", min=0.7)
    alone = only(gate, halves(2_000))
    many = foresee(
        policy(gate, *[Gate(metric="accuracy", name=f"g{i}", min=0.6) for i in range(40)]), Basis(sample(halves(2_000)))
    )
    assert many.family == 41
    assert many.each[0].passes_at == alone.passes_at
    assert many.each[0].fails_at < alone.fails_at - 0.005


def test_the_gap_of_two_rates_agrees_with_statsmodels():
    n = 4_000
    found = only(Gate(metric="selection_rate", gap_across=("sex",), max=0.1), halves(n))
    # Two equal rates of one half, both sides open: each bound may miss with half of what is left over.
    spread = math.sqrt(2 * 0.25 / (n / 2))
    assert found.confirms == pytest.approx((norm.isf(ALPHA) + norm.isf((1 - POWER) / 2)) * spread, rel=0.02)
    test = NormalIndPower()
    size = found.sees / 0.5
    power = test.power(size, nobs1=n / 2, alpha=ALPHA / 2, ratio=1, alternative="larger")
    assert power == pytest.approx(POWER, abs=0.02)


def test_what_cannot_be_decided_is_named_with_the_rows_that_it_needs():
    gate = Gate(metric="roc_auc", against="champion", max_decrease=0.05)
    few, enough = only(gate, halves(400)), only(gate, halves(40_000))
    assert (few.decided, enough.decided) == (False, True)
    assert few.confirms > few.margin == 0.05
    assert enough.rows_needed is None
    again = only(gate, halves(400), factor=few.rows_needed / 400)
    assert again.decided
    assert not only(gate, halves(400), factor=0.95 * few.rows_needed / 400).decided
    found = foresee(policy(gate), Basis(sample(halves(400))))
    assert found.undecided == ("roc-auc-against-champion",)


def test_small_groups_and_absent_classes_decide_nothing():
    small = only(Gate(metric="accuracy", min=0.5), halves(60), least=100)
    assert (small.decided, small.lack, small.rows_needed) == (False, "fewer than 100 rows", 100)
    one = only(Gate(metric="roc_auc", min=0.5), np.zeros(500))
    assert one.decided is False
    assert "no row with label 1" in one.lack
    scarce = only(Gate(metric="roc_auc", min=0.5), (np.arange(500) < 5).astype(int))
    assert scarce.lack == "fewer than 10 rows of a class"
    assert scarce.rows_needed == 1_000
    unknown = only(Gate(metric="accuracy", min=0.5, slices=("age",)), halves(500))
    assert (unknown.decided, unknown.lack) == (False, "age has no row")
    alone = foresee(policy(Gate(metric="accuracy", gap_across=("sex",), max=0.1)), Basis(sample([0, 1], {"sex": "mm"})))
    assert "is alone" in alone.each[0].lack


def test_what_is_known_of_a_rate_is_enough_without_a_release_but_not_of_every_spread():
    assert only(Gate(metric="accuracy", min=0.7), halves(1_000)).decided is None
    slope = only(Gate(metric="calibration_slope", min=0.7), halves(1_000))
    assert slope.decided is False
    assert "nothing is known of the spread" in slope.lack


def test_a_limit_that_no_truth_can_be_shown_to_meet_is_undecided():
    found = only(Gate(metric="accuracy", min=0.97), halves(40))
    assert (found.passes_at, found.decided) == (None, False)


def test_the_last_release_says_what_to_expect():
    random = np.random.default_rng(1)
    truth = random.random(5_000)
    labels = (random.random(5_000) < truth).astype(int)
    last = binary(labels, truth, champion=truth)
    value = measure(last, "accuracy", "all").value
    assert only(Gate(metric="accuracy", min=value - 0.1), labels[:2_000], last=last).decided
    assert only(Gate(metric="accuracy", min=value - 0.001), labels[:2_000], last=last).decided is False
    broken = only(Gate(metric="accuracy", min=value + 0.1), labels[:2_000], last=last)
    assert (broken.breaks, broken.decided) == (True, True)
    named = only(Gate(metric="log_loss", max=0.7), labels[:2_000], last=last, name="m-3")
    assert named.ground == "the spread in m-3"
    assert named.expected == measure(last, "log_loss", "all").value


@pytest.mark.parametrize(("requests", "lack"), [(400, None), (250, "250 requests bound no such quantile")])
def test_a_latency_needs_requests(requests, lack):
    gate = Gate(metric="latency_p99_ms", max=50.0)
    serving = Serving.model_construct(requests=requests)
    found = foresee(policy(gate, serving=serving), Basis(sample(halves(200))))
    if lack is None:
        assert (found.each, found.omitted) == ((), ("latency-p99-ms",))
        profile = ServingProfile(latencies_us=tuple(range(1, 401)), loads_ms=(1.0,), peak_memory_mib=1.0)
        (known,) = foresee(policy(gate), Basis(sample(halves(200)), serving=profile)).each
        assert known.decided
    else:
        assert lack in found.each[0].lack


def test_scenarios_rest_on_no_rows():
    found = foresee(policy(Gate(scenarios="s.toml"), Gate(metric="accuracy", min=0.5)), Basis(sample(halves(200))))
    assert (found.omitted, found.family) == (("scenarios",), 2)


OTHER = [
    ("multiclass", Gate(metric="accuracy", min=0.5)),
    ("multiclass", Gate(metric="balanced_accuracy", min=0.5)),
    ("multiclass", Gate(metric="macro_f1", min=0.5)),
    ("multiclass", Gate(metric="macro_roc_auc", min=0.7)),
    ("multiclass", Gate.model_validate({"metric": "precision", "class": "y", "min": 0.5})),
    ("regression", Gate(metric="mean_absolute_error", max=1.0)),
    ("regression", Gate(metric="root_mean_squared_error", max=1.0)),
    ("regression", Gate(metric="r2", min=0.5)),
    ("binary", Gate(metric="brier_score", max=0.2)),
    ("binary", Gate(metric="expected_calibration_error", max=0.1)),
    ("binary", Gate(metric="average_precision", min=0.6)),
    ("binary", Gate(metric="calibration_in_the_large", min=-0.1, max=0.1)),
    ("binary", Gate(metric="log_loss", against="champion", max_relative_increase=0.05)),
    ("binary", Gate(metric="brier_score", against="champion", min_decrease=0.01)),
    ("binary", Gate(criterion="equalised_odds", gap_across=("sex",), max=0.1)),
    ("binary", Gate(metric="selection_rate", ratio_across=("sex",), min=0.8)),
]


@pytest.mark.parametrize(("task", "gate"), OTHER)
def test_every_form_is_planned_and_more_rows_confirm_less(task, gate):
    labels = np.arange(3_000) % 3 if task == "multiclass" else halves(3_000)
    hand = sample(labels, {"sex": np.where(np.arange(3_000) % 5 < 2, "f", "m")}, task)
    few, many = (foresee(policy(gate, task=task), Basis(hand, factor=f)).each[0] for f in (1.0, 4.0))
    assert few.ground
    assert few.lack == many.lack == ""
    assert few.confirms > many.confirms > 0
    assert few.sees > many.sees > 0
    # A calibration error's bound has a part for every bin, and rates step.
    assert few.confirms / many.confirms == pytest.approx(2, rel=0.12)


def test_a_score_of_ones_own_is_as_spread_as_its_range_allows():
    own = Custom(name="gain", function="a:b", range=(-1.0, 3.0), better="higher")
    given = policy(Gate(metric="gain", min=1.0), metric=(own,), score=None)
    found = foresee(given, Basis(sample(halves(1_000), of=given))).each[0]
    wanted = (norm.isf(ALPHA) + norm.isf(1 - POWER)) * 2 / math.sqrt(1_000)
    assert found.confirms == pytest.approx(wanted)


# Everything else: by simulation


def people(n, random):
    """Labels, a candidate, a champion, and two groups; the candidate is worse for one of them."""
    sex = np.where(random.random(n) < 0.5, "f", "m")
    truth = random.beta(2, 2, n)
    labels = (random.random(n) < truth).astype(int)
    logit = np.log(truth / (1 - truth))
    candidate = 1 / (1 + np.exp(-(logit + random.normal(np.where(sex == "f", -1.2, 0), 0.6))))
    champion = 1 / (1 + np.exp(-(logit + random.normal(0, 0.8, n))))
    return labels, candidate, champion, sex


def tallied(n, random):
    labels, candidate, champion, sex = people(n, random)
    return binary(labels, candidate, {"sex": sex}, champion=champion)


@pytest.fixture(scope="module")
def world():
    """The truth (a very large tally), an earlier release's tally, the rows at hand, and many evaluations of so many."""
    random = np.random.default_rng(5)
    runs = [tallied(ROWS, random) for _ in range(RUNS)]
    labels, _, _, sex = people(ROWS, random)
    return tallied(400_000, random), tallied(9_000, random), sample(labels, {"sex": sex}), runs


def held(metric, high):
    """A gate that holds a metric's own value, and the value."""
    number = "max" if high > 0 else "min"
    return lambda x: Gate(metric=metric, **{number: x}), high, lambda t: measure(t, metric, "all").value


def compared(metric, high, ask=difference, relative=""):
    """A gate that holds the difference to the champion: a margin, or where that is negative an improvement."""
    worse, better = ("increase", "decrease") if high > 0 else ("decrease", "increase")

    def made(x):
        name = f"max{relative}_{worse}" if high * x >= 0 else f"min_{better}"
        return Gate(metric=metric, against="champion", **{name: abs(x)})

    return made, high, lambda t: ask(t, metric, "all").value


def gap(metric):
    made = lambda x: Gate(metric=metric, gap_across=("sex",), max=x)  # noqa: E731
    return made, 1, lambda t: abs(gaps(t, metric, "sex")[0].estimate.value)


def ratio(metric):
    made = lambda x: Gate(metric=metric, ratio_across=("sex",), min=x)  # noqa: E731
    return made, -1, lambda t: min(g.estimate.value for g in gaps(t, metric, "sex", ratio=True))


PROMISES = {
    "rate": held("accuracy", -1),
    "f1": held("f1", -1),
    "precision": held("precision", -1),
    "balanced accuracy": held("balanced_accuracy", -1),
    "auc": held("roc_auc", -1),
    "average precision": held("average_precision", -1),
    "loss": held("log_loss", 1),
    "brier": held("brier_score", 1),
    "slope": held("calibration_slope", -1),
    "ceiling": (lambda x: Gate(metric="roc_auc", suspicious_above=x), *held("roc_auc", 1)[1:]),
    "champion's rate": compared("accuracy", -1),
    "champion's auc": compared("roc_auc", -1),
    "champion's loss": compared("log_loss", 1),
    "champion's brier": compared("brier_score", 1),
    "gap of a rate": gap("true_positive_rate"),
    "gap of a mean": gap("log_loss"),
    "ratio": ratio("selection_rate"),
}
QUICK = {"rate", "auc", "champion's loss", "gap of a mean"}
CAUTIOUS = {"gap of a rate", "gap of a mean", "ratio"}
"""Forms with two ends, of which a plan cannot know that the truth lies near one only, or with two orders."""

FORMS = [pytest.param(form, marks=[] if form in QUICK else pytest.mark.proof) for form in PROMISES]


def promised(form, world, key):
    """The gate whose limit lies as far from the truth as the plan says that it can confirm, or see."""
    truth, last, hand, _ = world
    made, high, value = PROMISES[form]
    at = value(truth)
    limit = at
    for _ in range(3):  # how much is promised depends a little on where the limit is
        (found,) = foresee(policy(made(limit)), Basis(hand, last=last)).each
        limit = at + high * getattr(found, key) * (1 if key == "confirms" else -1)
    return made(limit)


@pytest.mark.parametrize(("key", "verdict"), [("confirms", Verdict.PASS), ("sees", Verdict.FAIL)])
@pytest.mark.parametrize("form", FORMS)
def test_the_promise_is_kept(form, key, verdict, world):
    gate = promised(form, world, key)
    kept = [judge(policy(gate, threshold=0.5), t, None, has_champion=True).verdict is verdict for t in world[3]]
    noise = 3 * math.sqrt(POWER * (1 - POWER) / RUNS)
    assert POWER - noise < np.mean(kept) < POWER + noise + (0.1 if form in CAUTIOUS else 0.02)
