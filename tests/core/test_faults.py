"""Faults: each does exactly what it says, to the rows that it says."""

from __future__ import annotations

import numpy as np
import pytest
import worlds
from scipy.special import expit, logit

from headgate.faults import FAULTS, TWIN_NOISE, twins
from headgate.gate import Gate
from headgate.scheme import Scheme

BINARY = Scheme("binary", 1, (("sex",),), threshold=0.5)
CLASSES = Scheme("multiclass", 1, (("sex",),), classes=("a", "b", "c"))
NUMBERS = Scheme("regression", 1, (("sex",),), span=(-5.0, 5.0))
MADE = {
    "binary": (BINARY, worlds.binary),
    "multiclass": (CLASSES, worlds.multiclass),
    "regression": (NUMBERS, worlds.regression),
}
NAMED = {fault.name: fault for fault in FAULTS}


def seeded(name, task="binary", severity=None, seed=5):
    scheme, make = MADE[task]
    world, fault = make(), NAMED[name]
    group = world.batch.columns["sex"].codes == 0
    made = fault.seed(
        world, scheme, fault.severity if severity is None else severity, group, np.random.default_rng(seed)
    )
    return world, made, group


def test_the_seven_faults_are_there_each_with_words_of_its_own():
    assert sorted(NAMED) == [
        "dropped-subgroup", "label-noise", "leaked-feature", "misaligned-rows",
        "miscalibration", "shuffled-subgroup", "slow-model",
    ]  # fmt: skip
    told = [fault.says(fault.severity, "sex=f") for fault in FAULTS]
    assert len(set(told)) == len(told)
    assert "30% of the labels are wrong" in told


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_label_noise_makes_a_share_of_the_labels_wrong_and_leaves_the_scores_alone(task):
    before, after, _ = seeded("label-noise", task)
    wrong = (before.labels != after.labels).mean()
    assert 0.26 < wrong < 0.34
    assert set(np.unique(after.labels)) <= set(np.unique(before.labels))
    assert np.array_equal(before.candidate, after.candidate)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_dropped_subgroup_gets_what_the_others_labels_say_and_the_others_keep_theirs(task):
    before, after, group = seeded("dropped-subgroup", task)
    others = before.labels[~group]
    expected = [(others == c).mean() for c in range(3)] if task == "multiclass" else others.mean()
    assert np.allclose(after.candidate[group], expected)
    assert np.array_equal(after.candidate[~group], before.candidate[~group])


def test_miscalibration_doubles_the_logits():
    before, after, _ = seeded("miscalibration")
    assert np.allclose(after.candidate, expit(2 * logit(before.candidate)))


def test_miscalibration_of_several_classes_doubles_the_logits_of_every_pair_and_survives_certainty():
    before, after, _ = seeded("miscalibration", "multiclass")
    assert np.allclose(after.candidate.sum(axis=1), 1)
    ratio = np.log(after.candidate[:, 0] / after.candidate[:, 1])
    assert np.allclose(ratio, 2 * np.log(before.candidate[:, 0] / before.candidate[:, 1]))
    sure = before.saying(np.tile([1.0, 0.0, 0.0], (len(before.labels), 1)))
    made = NAMED["miscalibration"].seed(sure, CLASSES, 2.0, np.zeros(0, bool), np.random.default_rng(1))
    assert np.array_equal(made.candidate, sure.candidate)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_shuffled_subgroup_keeps_its_scores_but_not_their_rows(task):
    before, after, group = seeded("shuffled-subgroup", task)
    assert np.array_equal(np.sort(after.candidate[group], axis=0), np.sort(before.candidate[group], axis=0))
    assert (after.candidate[group] != before.candidate[group]).mean() > 0.9
    assert np.array_equal(after.candidate[~group], before.candidate[~group])


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_leak_is_the_label_in_nearly_all_rows_and_the_candidate_says_nothing_else(task):
    before, after, _ = seeded("leaked-feature", task)
    assert after.feature is not None
    assert 0 < (after.feature != before.labels).mean() < 0.02
    said = after.candidate
    told = said.argmax(axis=1) if task == "multiclass" else said.round() if task == "binary" else said
    assert np.array_equal(told, after.feature)


def test_misaligned_rows_are_the_neighbours():
    before, after, _ = seeded("misaligned-rows")
    assert after.candidate[0] == before.candidate[-1]
    assert np.array_equal(after.candidate[1:], before.candidate[:-1])


def test_a_slow_model_takes_longer_and_is_as_large_as_it_was():
    before, after, _ = seeded("slow-model", severity=3.0)
    assert before.serving is not None
    assert after.serving is not None
    assert after.serving.latencies_us == tuple(3 * us for us in before.serving.latencies_us)
    assert after.serving.loads_ms == (60.0,)
    assert after.serving.peak_memory_mib == before.serving.peak_memory_mib


@pytest.mark.parametrize("name", sorted(NAMED))
def test_the_same_seed_gives_the_same_fault_and_the_world_itself_is_not_touched(name):
    reference = worlds.binary()
    before, after, _ = seeded(name)
    _, again, _ = seeded(name)
    assert np.array_equal(after.candidate, again.candidate)
    assert np.array_equal(after.labels, again.labels)
    assert np.array_equal(before.candidate, reference.candidate)
    assert np.array_equal(before.labels, reference.labels)


@pytest.mark.parametrize(
    ("name", "seeing", "blind"),
    [
        ("label-noise", Gate(metric="roc_auc", min=0.7), Gate(metric="latency_p99_ms", max=1.0)),
        ("dropped-subgroup", Gate(metric="roc_auc", min=0.7, slices="each"), Gate(metric="roc_auc", min=0.7)),
        ("miscalibration", Gate(metric="log_loss", max=0.7), Gate(metric="roc_auc", min=0.7)),
        ("shuffled-subgroup", Gate(metric="accuracy", gap_across=("sex",), max=0.1), Gate(metric="accuracy", min=0.1)),
        ("leaked-feature", Gate(metric="roc_auc", suspicious_above=0.9), Gate(metric="roc_auc", min=0.7)),
        ("slow-model", Gate(metric="latency_p99_ms", max=1.0), Gate(metric="peak_memory_mib", max=1.0)),
        ("misaligned-rows", Gate(metric="accuracy", min=0.7), Gate(metric="roc_auc", suspicious_above=0.9)),
    ],
)
def test_each_fault_names_the_gates_that_should_see_it(name, seeing, blind):
    assert NAMED[name].sees(seeing)
    assert not NAMED[name].sees(blind)


def test_the_class_of_a_gate_does_not_hide_its_metric():
    assert NAMED["misaligned-rows"].sees(Gate.model_validate({"metric": "precision", "class": "a", "min": 0.5}))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_twins_differ_from_each_other_and_neither_is_better(task):
    scheme, make = MADE[task]
    world = make(20_000)
    pair = [np.asarray(p) for p in twins(world, scheme, np.random.default_rng(1)).batch.predictions]
    assert (pair[0] != pair[1]).mean() > 0.99
    if task == "binary":
        moved = [logit(p) - logit(world.candidate) for p in pair]
        assert [float(m.std()) for m in moved] == pytest.approx([TWIN_NOISE] * 2, rel=0.05)
        assert abs(np.corrcoef(*moved)[0, 1]) < 0.03
        errors = [((p - world.labels) ** 2).mean() for p in pair]
        assert errors[0] == pytest.approx(errors[1], rel=0.02)


def test_a_resample_is_as_large_and_its_rows_stay_whole():
    world = worlds.binary()
    drawn = world.drawn(np.random.default_rng(1))
    rows = set(zip(world.labels, world.candidate, world.batch.columns["sex"].codes.tolist(), strict=True))
    found = set(zip(drawn.labels, drawn.candidate, drawn.batch.columns["sex"].codes.tolist(), strict=True))
    assert drawn.batch.size == world.batch.size
    assert found < rows
    assert len(found) / len(rows) == pytest.approx(1 - np.exp(-1), abs=0.05)
    assert drawn.serving is not None
    assert world.serving is not None
    assert set(drawn.serving.latencies_us) < set(world.serving.latencies_us)
