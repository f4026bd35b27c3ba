"""The gates' own calibration: faults are seen by the gates that should see them, a sound model goes through."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import worlds
from scipy.stats import binomtest

from headgate.calibration import ANY, Calibration, Silence, Trial, not_measured, page, rate_of, worst
from headgate.contest import Contest
from headgate.errors import BadInput, Tampered
from headgate.faults import FAULTS, TWIN_NOISE, twins
from headgate.gate import Gate
from headgate.judge import judge
from headgate.rehearsal import rehearse
from headgate.scheme import Scheme
from headgate.tally import count
from headgate.verdict import Verdict

DIGEST = "sha256:" + "0" * 64
NAMES = {fault.name for fault in FAULTS}


def calibration(policy, world, runs=30, seed=4, alpha=None):
    found = rehearse(Contest(policy, runs, seed), world)
    return Calibration(
        policy=DIGEST,
        evaluation=DIGEST,
        made="a made-up model",
        version=None,
        rows=world.batch.size,
        runs=runs,
        seed=seed,
        alpha=policy.confidence.alpha if alpha is None else alpha,
        trials=found.trials,
        silences=found.silences,
        notes=found.notes,
    )


@pytest.fixture(scope="module")
def found():
    return calibration(worlds.policy(), worlds.binary())


def by_fault(found):
    gates = {}
    for trial in found.of("fault"):
        gates.setdefault(trial.fault, set()).add(trial.gate)
    return gates


def test_every_fault_is_halted_by_the_gates_that_should_see_it(found):
    gates = by_fault(found)
    assert set(gates) == NAMES
    assert {"roc-auc", "accuracy"} <= gates["label-noise"]
    assert {"by-group", "gap"} <= gates["dropped-subgroup"]
    assert {"expected-calibration-error", "no-worse"} <= gates["miscalibration"]
    assert "by-group" in gates["shuffled-subgroup"]
    assert gates["leaked-feature"] == {"roc-auc-too-good", "data gate: max_single_column_auc"}
    assert gates["slow-model"] == {"latency-p99-ms"}
    assert {"roc-auc", "no-worse"} <= gates["misaligned-rows"]
    assert all(trial.times == trial.runs == 30 for trial in found.of("fault") if trial.gate == ANY)
    assert found.silences == ()


def test_a_fault_is_only_counted_where_it_breaks_the_limit(found):
    for trial in found.of("fault"):
        if trial.value is not None:
            assert trial.limit is not None
            assert trial.value != trial.limit
    calibrated = [t for t in found.of("fault") if t.fault == "miscalibration"]
    assert "roc-auc" not in {t.gate for t in calibrated}, "doubled logits rank as before"


def test_a_sound_model_goes_through_and_is_never_called_harmful(found):
    halts = [t for t in found.of("itself", "twins") if t.event == "false halt"]
    assert {t.gate for t in halts} == {gate.label for gate in worlds.GATES}
    assert all(t.rate <= 0.2 for t in halts)
    assert all(t.times == 0 for t in found.of("itself") if t.gate == "by-group")
    alarms = [t for t in found.of("itself", "twins") if t.event == "false FAIL"]
    assert [(t.world, t.gate, t.times) for t in alarms] == [("itself", ANY, 0), ("twins", ANY, 0)]
    assert found.sound
    assert found.problems == ()


def test_every_gate_is_tried_just_beyond_its_limit(found):
    tried = found.of("at the limit")
    assert {t.gate for t in tried} == {gate.label for gate in worlds.GATES}
    assert all(t.declared == found.alpha and t.value == t.limit for t in tried)
    assert all(binomtest(t.times, t.runs, found.alpha, "greater").pvalue > 0.001 for t in tried)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_ones(found):
    again = calibration(worlds.policy(), worlds.binary())
    assert again.to_bytes() == found.to_bytes()
    assert again.digest == found.digest
    assert calibration(worlds.policy(), worlds.binary(), seed=5).digest != found.digest


def test_a_world_is_resampled_alike_whatever_other_gates_there_are(found):
    fewer = calibration(worlds.policy(*worlds.GATES[:3]), worlds.binary())
    same = [t for t in found.of("at the limit") if t.gate in ("roc-auc", "accuracy")]
    assert [t for t in fewer.of("at the limit") if t.gate in ("roc-auc", "accuracy")] == same


def test_a_fault_that_no_gate_looks_at_is_a_problem():
    only = Gate(metric="roc_auc", min=0.7)
    found = calibration(worlds.policy(only), worlds.binary(), runs=20)
    silent = {s.fault for s in found.silences}
    assert silent == {"dropped-subgroup", "miscalibration", "shuffled-subgroup", "slow-model"}
    assert not any(s.excused for s in found.silences)
    assert not found.sound
    assert any(p.startswith("miscalibration: no gate") for p in found.problems)


def test_a_limit_that_a_fault_does_not_reach_leaves_it_unanswered_and_names_the_gate():
    lax = Gate(metric="accuracy", min=0.05)
    found = calibration(worlds.policy(lax), worlds.binary(), runs=20)
    reason = next(s.reason for s in found.silences if s.fault == "misaligned-rows")
    assert reason == "it leaves accuracy inside the limits of this policy"


def test_what_cannot_happen_to_a_task_is_excused():
    gates = (Gate(metric="root_mean_squared_error", max=0.5), Gate(metric="r2", suspicious_above=0.99))
    found = calibration(worlds.policy(*gates, task="regression", range=(-5.0, 5.0)), worlds.regression(), runs=20)
    excused = {s.fault for s in found.silences if s.excused}
    assert excused == {"miscalibration", "slow-model"}
    assert {"label-noise", "leaked-feature", "misaligned-rows"} <= set(by_fault(found))


def test_several_classes_are_tried_too():
    gates = (
        Gate(metric="macro_roc_auc", min=0.7),
        Gate(metric="expected_calibration_error", max=0.07),
        Gate(metric="accuracy", gap_across=("sex",), max=0.15),
        Gate(metric="log_loss", against="champion", max_increase=0.05),
    )
    made = worlds.policy(*gates, task="multiclass", classes=("a", "b", "c"))
    found = calibration(made, worlds.multiclass(), runs=20)
    assert {s.fault for s in found.silences} == {"slow-model"}
    assert set(by_fault(found)) == NAMES - {"slow-model"}
    assert found.sound, found.problems


def test_what_was_not_measured_is_named_and_is_no_pass():
    bare = replace(worlds.binary(), serving=None)
    found = calibration(worlds.policy(), bare, runs=20)
    assert "latency-p99-ms was not tried: serving was not measured" in found.notes
    assert "latency-p99-ms" not in {t.gate for t in found.trials}
    nothing = calibration(worlds.policy(worlds.GATES[-1]), bare, runs=20)
    assert not nothing.sound


def test_gates_that_pass_too_often_are_found_out():
    # The gates work at 0.4 and claim 0.05.
    found = calibration(worlds.policy(alpha=0.4), worlds.binary(), runs=100, alpha=0.05)
    assert not found.sound
    assert any("at the limit" in problem and "significantly above alpha 0.05" in problem for problem in found.problems)
    assert calibration(worlds.policy(alpha=0.4), worlds.binary(), runs=100).sound


@pytest.mark.parametrize(("name", "severity"), [("nothing", 0.0), ("misaligned-rows", 1.0), ("slow-model", 9.0)])
def test_a_pass_and_a_claim_of_harm_are_what_the_judge_says(name, severity):
    policy, world = worlds.policy(), worlds.binary(400)
    world = replace(world, batch=replace(world.batch, predictions=[world.candidate] * 2))
    chance = np.random.default_rng(6)
    faults = {fault.name: fault for fault in FAULTS}
    if name in faults:
        world = faults[name].seed(world, Scheme.of(policy, 1), severity, np.zeros(400, bool), chance)
    contest = Contest(policy, 20, 1)
    seen = set()
    for drawn in contest.draws("x", world):
        looked = contest.look(policy.gate, drawn)
        judged = judge(policy, count(Scheme.of(policy, 2), drawn.batch), drawn.serving, has_champion=True)
        verdicts = {(j.gate, j.slice): j.verdict for j in judged.judgements}
        assert {key: found.passes(found.spans) for key, found in looked.items()} == {
            key: verdict is Verdict.PASS for key, verdict in verdicts.items()
        }
        assert contest._alarm(looked) == (Verdict.FAIL in verdicts.values())
        seen |= set(verdicts.values())
    assert len(seen) > 1


def test_a_sound_model_is_halted_about_as_often_as_margin_and_rows_promise():
    world = worlds.binary(800)
    accuracy = ((world.candidate >= 0.5) == world.labels).mean()
    close = Gate(metric="accuracy", min=round(float(accuracy) - 0.026, 4))
    watched = Contest(worlds.policy(close), 400, 2).watch("itself", [close], world)
    promised = watched.truth["accuracy", "all"].shortfall(0.05)
    halted = 1 - watched.passes["accuracy", "all"].mean()
    assert 0.3 < promised < 0.7
    assert halted == pytest.approx(promised, abs=3 * 0.025)


@pytest.mark.parametrize("runs", [400, pytest.param(4_000, marks=pytest.mark.proof)])
def test_twins_at_the_limit_rarely_pass_and_rarely_fail(runs):
    policy = worlds.policy(*worlds.GATES[4:6])
    world = worlds.binary(1_000)
    pair = twins(world, Scheme.of(policy, 1), np.random.default_rng(8))
    watched = Contest(policy, runs, 3).watch("twins", policy.gate, pair)
    allowed = 0.06 + 3 * (0.05 * 0.95 / runs) ** 0.5
    assert len(watched.beyond) == 3
    assert all(passed.mean() <= allowed for passed in watched.beyond.values())
    assert sum(passed.mean() for passed in watched.beyond.values()) > 0
    assert watched.alarms.mean() <= allowed
    assert TWIN_NOISE > 0


def trial(**given):
    return Trial(
        **{
            "world": "at the limit",
            "gate": "g",
            "slice": "all",
            "event": "false pass",
            "times": 3,
            "runs": 100,
            **given,
        }
    )


@pytest.mark.parametrize(("times", "runs"), [(0, 100), (3, 100), (50, 100), (100, 100)])
def test_intervals_are_clopper_and_pearsons(times, runs):
    expected = binomtest(times, runs).proportion_ci(0.95, "exact")
    assert trial(times=times, runs=runs).interval == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("times", range(0, 30, 2))
def test_a_rate_is_a_problem_if_the_exact_test_and_holm_say_so(found, times):
    made = found.model_copy(update={"trials": (trial(times=times), trial(times=1, gate="h")), "silences": ()})
    rejected = binomtest(times, 100, 0.05, "greater").pvalue <= 0.01 / 2
    assert len(made.problems) == rejected


def test_a_fault_that_half_of_the_runs_miss_is_a_problem(found):
    missed = trial(world="fault", fault="f", event="halt", times=50)
    made = found.model_copy(update={"trials": (missed,), "silences": ()})
    assert made.problems == ("f, g: halted in 50 of 100 runs only",)
    seen = found.model_copy(update={"trials": (missed.model_copy(update={"times": 51}),), "silences": ()})
    assert seen.problems == ()


def test_nothing_measured_is_not_sound(found):
    assert not found.model_copy(update={"trials": (), "silences": ()}).sound


def test_bytes_come_back_and_nothing_else_does(found):
    assert Calibration.from_bytes(found.to_bytes()) == found
    with pytest.raises(Tampered):
        Calibration.from_bytes(found.to_bytes() + b" ")
    with pytest.raises(BadInput, match="calibration"):
        Calibration.from_bytes(b'{"format":"headgate.calibration/1"}')


def test_the_page_says_what_was_found_and_escapes_what_it_quotes(found):
    said = page(found)
    assert "The gates keep what they promise." in said
    for trial_ in worst(found.trials):
        assert rate_of(trial_) in said
    bad = Silence(fault="<b>", reason="nobody looks", excused=False)
    broken = page(found.model_copy(update={"silences": (bad,)}))
    assert "**The gates do not keep what they promise.**" in broken
    assert "&lt;b&gt;: nobody looks" in broken
    assert "Not measured for this policy" in not_measured()


def test_of_many_slices_the_worst_is_shown():
    shown = worst([trial(slice="a", times=1), trial(slice="b", times=4), trial(slice="c", times=2)])
    assert [t.slice for t in shown] == ["b"]


def test_an_underconfident_model_is_made_worse_by_halved_logits_not_by_doubled_ones():
    world = worlds.binary()
    timid = world.saying(np.sqrt(world.candidate) / (np.sqrt(world.candidate) + np.sqrt(1 - world.candidate)))
    gate = Gate(metric="expected_calibration_error", max=0.15)
    found = calibration(worlds.policy(gate), timid, runs=20)
    assert [t.told for t in found.of("fault") if t.fault == "miscalibration"] == ["logits times 0.5"]


@pytest.mark.parametrize("slices", ["each", ("sex",)])
def test_of_several_slices_a_fault_is_watched_in_its_own_group_or_else_nearest_to_the_limit(slices):
    gate = Gate(metric="roc_auc", min=0.65, slices=slices)
    found = calibration(worlds.policy(gate), worlds.binary(), runs=20)
    shown = {t.fault: t for t in found.of("fault") if t.gate == "roc-auc"}
    assert shown["dropped-subgroup"].slice == shown["shuffled-subgroup"].slice == "sex=f"
    slipped = shown["misaligned-rows"]
    assert slipped.slice in {"sex=f", "sex=m", *(["all"] if slices == "each" else [])}
    far = [t for t in shown.values() if t.fault != "label-noise"]  # which leaves this gate 0.02 beyond its limit
    assert len(far) == 3
    assert all(t.times == t.runs for t in far)
