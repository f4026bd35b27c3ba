"""What a policy may demand of which task, and every refusal of what is no demand."""

from __future__ import annotations

import math
import re

import pytest
from pydantic import ValidationError

from headgate.errors import BadInput
from headgate.gate import NUMBERS, Gate
from headgate.metrics import (
    BINARY,
    CRITERIA,
    MULTICLASS,
    ONE_CLASS,
    RESOURCES,
    TAKEN,
    UNDIRECTED,
    metrics_of,
    regression,
)
from headgate.policy import Policy
from headgate.policy_file import parse

TASKS = {
    "binary": "",
    "multiclass": 'classes = ["cat", "dog", "other"]',
    "regression": "range = [0.0, 200.0]",
    "scored": "",
}
SCORE = '[score]\nfunction = "shop.money:profit"\nrange = [-100.0, 50.0]\nbetter = "higher"\n'
CUSTOM = '[[metric]]\nname = "profit"\nfunction = "shop.money:profit"\nrange = [-100, 50.0]\nbetter = "higher"\n'
ABOVE = {"binary": "", "multiclass": "", "regression": "", "scored": SCORE}


def text(task: str, *gates: str, top: str = "", data: str | None = None, more: str | None = None) -> bytes:
    written = "".join(f"[[gate]]\n{gate}\n" for gate in gates)
    return f"""
{top}
[model]
name = "m"
task = "{task}"
owner = "o"
tier = "low"
purpose = "p"
[data]
train = "t.csv"
evaluate = "e.csv"
label = "y"
id = "i"
slices = ["sex", "age", "race", ["sex", "age"]]
{TASKS[task] if data is None else data}
[train]
estimator = "a.B"
{ABOVE[task] if more is None else more}
{written}
[approval]
roles = {{ risk = 1 }}
[[rollout.stage]]
name = "broad"
alias = "champion"
[renewal]
certify_days = 90
review_by = 2027-06-01
[playbook]
data_refused = ["a"]
gate_failed = ["a"]
gate_undecided = ["a"]
gate_error = ["a"]
rejected = ["a"]
""".encode()


def read(task: str, *gates: str, **more: str) -> Policy:
    return parse(text(task, *gates, **more), "x")


def problems(task: str, *gates: str, **more: str) -> list[str]:
    with pytest.raises(BadInput, match="problem") as caught:
        read(task, *gates, **more)
    return [line[4:] for line in caught.value.got.splitlines() if line.startswith("  - ")]


ANY = {"binary": "accuracy", "multiclass": "accuracy", "regression": "r2", "scored": "mean_score"}
FINE = {task: f'metric = "{metric}"\nmin = 0.1' for task, metric in ANY.items()}


# Tasks and their parts.


@pytest.mark.parametrize("task", TASKS)
def test_each_task_has_a_sound_policy(task):
    policy = read(task, FINE[task])
    assert policy.model.task == task
    assert ANY[task] in policy.metrics


@pytest.mark.parametrize(
    ("task", "more", "said"),
    [
        ("multiclass", {"data": ""}, "data.classes: Field required (got nothing); a multiclass task needs the names"),
        ("regression", {"data": ""}, "data.range: Field required (got nothing); a regression task needs [lowest"),
        ("scored", {"more": ""}, "score: Field required (got nothing); a scored task needs function, range and better"),
        ("binary", {"data": TASKS["multiclass"]}, "data.classes: belongs to a multiclass task, and this one is binary"),
        ("binary", {"data": TASKS["regression"]}, "data.range: belongs to a regression task, and this one is binary"),
        ("binary", {"more": SCORE}, "score: belongs to a scored task, and this one is binary"),
        ("regression", {"top": "threshold = 0.3"}, "threshold: belongs to a binary task, and this one is regression"),
        ("multiclass", {"data": 'classes = ["a", "b", "a"]'}, "data.classes: ['a', 'b', 'a'] repeat"),
        ("multiclass", {"data": 'classes = ["a"]'}, "data.classes: Tuple should have at least 2"),
        (
            "multiclass",
            {"data": f"classes = {[str(i) for i in range(51)]}"},
            "data.classes: Tuple should have at most 50",
        ),
        ("multiclass", {"data": "classes = [0, 1]"}, "data.classes[0]: Input should be a valid string"),
        ("regression", {"data": "range = [1.0, 1.0]"}, "data.range: Value error, a range is [lowest, highest]"),
        ("regression", {"data": "range = [2.0, 1.0]"}, "data.range: Value error, a range is [lowest, highest]"),
        ("regression", {"data": "range = [0.0, inf]"}, "data.range[1]: Input should be a finite number"),
        ("regression", {"data": "range = [-1e308, 1e308]"}, "data.range: Value error, a range is [lowest, highest]"),
        ("scored", {"more": SCORE.replace(":profit", "")}, "score.function: Value error, a function is written"),
        (
            "scored",
            {"more": SCORE.replace('"higher"', '"neither"')},
            "score.better: Input should be 'higher' or 'lower'",
        ),
    ],
)
def test_a_task_has_what_it_needs_and_nothing_else(task, more, said):
    found = problems(task, FINE[task], **more)
    assert any(line.startswith(said) for line in found), found


def test_the_problems_of_parts_and_gates_come_all_at_once():
    found = problems(
        "regression",
        'metric = "roc_auc"\nmin = 0.8',
        'metric = "bias"\nmax = 900.0',
        'metric = "r2"\nagainst = "champion"\nmax_increase = 0.1\nplaybook = "unknown"',
        top="threshold = 0.4",
        data='classes = ["a", "b"]',
        more=SCORE + CUSTOM.replace('"profit"', '"bias"'),
    )
    for part in (
        "data.classes: belongs", "data.range: Field required", "score: belongs", "threshold: belongs",
        "metric[0].name: 'bias' is taken", "gate[0] (roc-auc): roc_auc is no metric of a regression task",
        "gate[2] (r2-against-champion): max_increase limits", "gate[2] (r2-against-champion): playbook 'unknown'",
    ):  # fmt: skip
        assert any(line.startswith(part) for line in found), part


# The names.


def named(task: str) -> list[str]:
    return sorted(metrics_of(task, width=200.0, own=[]))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("metric", sorted({*BINARY, *MULTICLASS, *regression(1.0), "mean_score"}))
def test_a_metric_of_another_task_is_refused_with_the_names_of_this_one(task, metric):
    known = {*named(task), *(["mean_score"] if task == "scored" else [])}
    gate = f'metric = "{metric}"\nmax = 0.5\nname = "g"'
    if metric in known:
        assert read(task, gate).gate[0].metrics == (metric,)
        return
    (said,) = problems(task, gate)
    if task == "multiclass" and metric in ONE_CLASS:
        assert said == f"gate[0] (g): {metric} is of one class against the rest; give class = …"
    else:
        assert said == f"gate[0] (g): {metric} is no metric of a {task} task; expected one of {sorted(known)}"


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("metric", RESOURCES)
def test_serving_is_measured_of_every_task(task, metric):
    assert read(task, f'metric = "{metric}"\nmax = 9.0').gate[0].metric == metric


def test_one_class_against_the_rest():
    for metric in ONE_CLASS:
        gate = read("multiclass", f'metric = "{metric}"\nclass = "dog"\nmax = 0.5').gate[0]
        assert gate.metrics == (f"{metric}@dog",)
        assert gate.label == f"{metric.replace('_', '-')}-of-dog"
        assert gate.model_dump(mode="json")["class"] == "dog"
    (said,) = problems("multiclass", 'metric = "f1"\nclass = "bird"\nmin = 0.5')
    assert said == "gate[0] (f1-of-bird): class 'bird' is not one of data.classes ['cat', 'dog', 'other']"
    (said,) = problems("multiclass", 'metric = "accuracy"\nclass = "dog"\nmin = 0.5')
    assert "accuracy is not of one class; leave class out, or choose one of" in said
    (said,) = problems("binary", 'metric = "f1"\nclass = "dog"\nmin = 0.5')
    assert "class belongs to a multiclass task, and this one is binary" in said
    assert "class out" in problems("multiclass", 'metric = "load_ms"\nclass = "dog"\nmax = 5.0')[0]


def test_the_digest_knows_the_class():
    gates = [
        'metric = "f1"\nname = "g"\nmin = 0.5\nclass = "dog"',
        'metric = "f1"\nname = "g"\nmin = 0.5\nclass = "cat"',
    ]
    assert len({read("multiclass", gate).digest for gate in gates}) == 2


def test_a_declared_metric_can_be_gated_in_every_task():
    for task in TASKS:
        policy = read(task, 'metric = "profit"\nmin = -1.5', more=ABOVE[task] + CUSTOM)
        assert policy.metrics["profit"].better == "higher"
    for number in (-100.0, -101.0, 51.0):
        (said,) = problems("binary", f'metric = "profit"\nmin = {number}', more=CUSTOM)
        assert said.endswith(f"min {number} is no demand on profit; expected above -100 and at most 50")
    (said,) = problems("binary", 'metric = "profit"\nagainst = "champion"\nmax_increase = 1.0', more=CUSTOM)
    assert "max_increase limits how much better" in said
    assert "declared twice" in problems("binary", FINE["binary"], more=CUSTOM * 2)[0]
    for name in TAKEN:
        (said,) = problems("binary", FINE["binary"], more=CUSTOM.replace('"profit"', f'"{name}"'))
        assert said.startswith(f"metric[0].name: '{name}' is taken")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (('"shop.money:profit"', '"shop.money.profit"'), "metric[0].function"),
        (('"shop.money:profit"', '"shop money:profit"'), "metric[0].function"),
        (('"shop.money:profit"', '"shop:a:b"'), "metric[0].function"),
        (('name = "profit"', 'name = "pro fit"'), "metric[0].name"),
        (('name = "profit"', 'name = "profit@x"'), "metric[0].name"),
        (("[-100, 50.0]", "[50.0]"), "metric[0].range"),
        (("[-100, 50.0]", "[nan, 50.0]"), "metric[0].range"),
        (('better = "higher"', ""), "metric[0].better"),
    ],
)
def test_a_metric_is_declared_in_full(change, place):
    assert problems("binary", FINE["binary"], more=CUSTOM.replace(*change))[0].startswith(place)


def test_no_name_means_two_things():
    assert not {*RESOURCES} & {*BINARY, *MULTICLASS, *regression(1.0)}
    for name in {*BINARY} & {*MULTICLASS}:
        assert BINARY[name].better == MULTICLASS[name].better
    assert {*ONE_CLASS} <= {*BINARY}
    assert all(metric in BINARY for metrics in CRITERIA.values() for metric in metrics)
    assert frozenset({"selection_rate", "calibration_in_the_large", "calibration_slope", "bias"}) == UNDIRECTED


# The forms.

CHAMPION = 'against = "champion"\n'
SHAPES = [
    ("limit", 'metric = "accuracy"\nmin = 0.5', (0.5, math.inf)),
    ("limit", 'metric = "bias"\nmin = -2.0\nmax = 1.0', (-2.0, 1.0)),
    ("champion", f'metric = "accuracy"\n{CHAMPION}max_decrease = 0.1', (-0.1, math.inf)),
    ("champion", f'metric = "log_loss"\n{CHAMPION}max_increase = 0.1', (-math.inf, 0.1)),
    ("champion", f'metric = "accuracy"\n{CHAMPION}min_increase = 0.1', (0.1, math.inf)),
    ("champion", f'metric = "log_loss"\n{CHAMPION}min_decrease = 0.1', (-math.inf, -0.1)),
    ("relative", f'metric = "accuracy"\n{CHAMPION}max_relative_decrease = 0.02', (-0.02, math.inf)),
    ("relative", f'metric = "log_loss"\n{CHAMPION}max_relative_increase = 0.02', (-math.inf, 0.02)),
    ("gap", 'metric = "accuracy"\ngap_across = ["sex"]\nmax = 0.1', (-0.1, 0.1)),
    ("gap", 'criterion = "equalised_odds"\ngap_across = ["sex"]\nmax = 0.1', (-0.1, 0.1)),
    ("ratio", 'metric = "accuracy"\nratio_across = ["sex"]\nmin = 0.8', (0.8, math.inf)),
    ("ratio", 'criterion = "demographic_parity"\nratio_across = ["sex"]\nmin = 0.8', (0.8, math.inf)),
    ("weakness", 'metric = "roc_auc"\nslices = "each"\nmax_weakness = 0.1', (-math.inf, 0.1)),
    ("ceiling", 'metric = "roc_auc"\nsuspicious_above = 0.98', (-math.inf, 0.98)),
    ("ceiling", 'metric = "log_loss"\nsuspicious_below = 0.02', (0.02, math.inf)),
    ("scenarios", 'scenarios = "scenarios.toml"', (-math.inf, 0.0)),
    ("scenarios", 'scenarios = "scenarios.toml"\nmin_pass_rate = 0.75', (-math.inf, 0.25)),
]


@pytest.mark.parametrize(("form", "gate", "ends"), SHAPES)
def test_each_form_has_its_span(form, gate, ends):
    from headgate.reasons import span_of

    found = read("regression" if "bias" in gate else "binary", gate).gate[0]
    assert (found.form, span_of(found).low, span_of(found).high) == (form, *ends)


def test_names_are_made_of_what_is_measured_and_the_form():
    labels = {read("regression" if "bias" in gate else "binary", gate).gate[0].label for _, gate, _ in SHAPES}
    assert labels == {
        "accuracy", "bias", "accuracy-against-champion", "log-loss-against-champion", "accuracy-gap",
        "equalised-odds-gap", "accuracy-ratio", "demographic-parity-ratio", "roc-auc-too-good", "log-loss-too-good",
        "roc-auc-weakness", "scenarios",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("min = 0.5", "exactly one of metric, criterion and scenarios, got []"),
        (
            'metric = "accuracy"\ncriterion = "equal_opportunity"\ngap_across = ["sex"]\nmax = 0.1',
            "exactly one of metric",
        ),
        ('metric = "accuracy"\nscenarios = "s.toml"', "exactly one of metric"),
        ('criterion = "equal_opportunity"\nmin = 0.5', "a criterion compares groups"),
        ('criterion = "equality"\ngap_across = ["sex"]\nmax = 0.1', "Input should be 'demographic_parity'"),
        (
            'metric = "accuracy"\nmin = 0.5\nmax = 0.6',
            "'limit' needs exactly one of ['max', 'min'], got ['max', 'min']",
        ),
        ('metric = "selection_rate"\nmin = 0.6\nmax = 0.5', "min 0.6 is not below max 0.5"),
        ('metric = "accuracy"', "form 'limit' needs exactly one of"),
        ('metric = "accuracy"\nagainst = "champion"', "form 'champion' needs exactly one of"),
        ('metric = "accuracy"\nagainst = "champion"\nmin = 0.5', "form 'champion' needs exactly one of"),
        ('metric = "accuracy"\nmax_decrease = 0.5', "form 'limit' needs exactly one of"),
        ('metric = "accuracy"\nmax_relative_decrease = 0.5', "form 'limit' needs exactly one of"),
        (f'metric = "accuracy"\n{CHAMPION}max_decrease = 0.1\nmax_relative_decrease = 0.1', "form 'relative' needs"),
        (f'metric = "accuracy"\n{CHAMPION}max_decrease = 0.1\nmin_increase = 0.1', "form 'champion' needs"),
        (f'metric = "accuracy"\n{CHAMPION}max_relative_decrease = -0.1', "greater than or equal to 0"),
        (f'metric = "accuracy"\n{CHAMPION}min_increase = -0.1', "greater than or equal to 0"),
        (
            f'metric = "accuracy"\n{CHAMPION}gap_across = ["sex"]\nmax_decrease = 0.1',
            "one form, got against and gap_across",
        ),
        (
            'metric = "accuracy"\ngap_across = ["sex"]\nratio_across = ["sex"]\nmax = 0.1',
            "one form, got gap_across and",
        ),
        ('metric = "accuracy"\nratio_across = ["sex"]\nmax = 0.1', "form 'ratio' needs exactly one of ['min']"),
        (
            'metric = "accuracy"\nratio_across = ["sex"]\nmin = 0.1\nslices = "each"',
            "a ratio names its groups in ratio",
        ),
        ('metric = "accuracy"\nmin = 0.1\nwithin = "age"', "within is for gap_across and ratio_across"),
        ('metric = "accuracy"\nmin = 0.1\nsuspicious_above = 0.9', "form 'ceiling' needs exactly one of"),
        (f'metric = "accuracy"\n{CHAMPION}suspicious_above = 0.9', "form 'champion' needs exactly one of"),
        ('scenarios = "s.toml"\nmin = 0.5', "form 'scenarios' needs exactly one of ['min_pass_rate'], got ['min']"),
        ('scenarios = "s.toml"\nslices = "each"', "scenarios name their own rows"),
        ('scenarios = "s.toml"\nclass = "x"', "leave class out"),
        ('scenarios = "s.toml"\nmin_pass_rate = 1.1', "less than or equal to 1"),
        ('metric = "accuracy"\nmin = 0.5\nmin_pass_rate = 0.5', "form 'limit' needs exactly one of"),
        ('metric = "load_ms"\nmax = 5.0\nslices = "each"', "belongs to the whole model"),
        ('metric = "load_ms"\nratio_across = ["sex"]\nmin = 0.5', "belongs to the whole model"),
        (f'metric = "model_size_mib"\n{CHAMPION}max_relative_increase = 0.5', "belongs to the whole model"),
    ],
)
def test_what_has_no_form_is_refused(gate, said):
    found = problems("binary", gate)
    assert any(line.startswith("gate[0]") and said in line for line in found), found


def test_the_problems_of_one_gate_come_at_once():
    (said,) = problems("binary", 'scenarios = "s.toml"\nmetric = "f1"\nmin = 0.5\nslices = "each"')
    assert len(re.findall("; ", said)) == 2


@pytest.mark.parametrize(
    ("task", "gate", "said"),
    [
        (
            "binary",
            'metric = "accuracy"\nmin = 1.5',
            "min 1.5 is no demand on accuracy; expected above 0 and at most 1",
        ),
        ("binary", 'metric = "calibration_in_the_large"\nmin = -1.0', "min -1.0 is no demand"),
        ("binary", 'metric = "calibration_in_the_large"\nmax = 1.0', "max 1.0 is no demand"),
        (
            "multiclass",
            'metric = "brier_score"\nmax = 2.0',
            "max 2.0 is no demand on brier_score; expected from 0 to below 2",
        ),
        ("regression", 'metric = "mean_absolute_error"\nmax = 200.0', "max 200.0 is no demand"),
        ("regression", 'metric = "bias"\nmax = 200.0', "max 200.0 is no demand"),
        ("regression", 'metric = "bias"\nmin = -200.0\nmax = 3.0', "min -200.0 is no demand"),
        ("regression", 'metric = "r2"\nmin = 1.1', "min 1.1 is no demand on r2; expected above -inf and at most 1"),
        ("regression", 'metric = "bias"\ngap_across = ["sex"]\nmax = 400.0', "max 400.0 is no demand"),
        ("scored", 'metric = "mean_score"\nmin = 50.5', "min 50.5 is no demand"),
        ("binary", 'metric = "throughput_rows_per_s"\nmin = 0.0', "min 0.0 is no demand"),
        ("binary", f'metric = "accuracy"\n{CHAMPION}max_decrease = 1.0', "max_decrease 1.0 is no demand"),
        ("binary", f'metric = "accuracy"\n{CHAMPION}min_increase = 1.0', "min_increase 1.0 is no demand"),
        (
            "binary",
            f'metric = "accuracy"\n{CHAMPION}max_relative_decrease = 2.0',
            "expected from 0 to below 1, as a share",
        ),
        (
            "binary",
            f'metric = "log_loss"\n{CHAMPION}max_relative_increase = 2.0',
            "expected from 0 to below 1, as a share",
        ),
        ("binary", 'metric = "accuracy"\nratio_across = ["sex"]\nmin = 1.0', "expected above 0 and below 1"),
        ("binary", 'metric = "accuracy"\nratio_across = ["sex"]\nmin = 0.0', "expected above 0 and below 1"),
        ("binary", 'criterion = "equalised_odds"\ngap_across = ["sex"]\nmax = 1.0', "max 1.0 is no demand"),
        ("binary", 'metric = "roc_auc"\nsuspicious_above = 1.0', "expected above 0 and below 1"),
        (
            "binary",
            'metric = "log_loss"\nsuspicious_below = 0.0',
            "suspicious_below 0.0 is no demand on log_loss; expected above 0",
        ),
        ("binary", 'scenarios = "s.toml"\nmin_pass_rate = 0.0', "min_pass_rate 0.0 is no demand on scenarios"),
        ("regression", 'metric = "bias"\nratio_across = ["sex"]\nmin = 0.8', "a share of it says nothing; use a gap"),
        ("regression", f'metric = "r2"\n{CHAMPION}max_relative_decrease = 0.1', "use an absolute margin"),
        (
            "binary",
            f'metric = "log_loss"\n{CHAMPION}min_increase = 0.1',
            "min_increase demands that log_loss get worse",
        ),
        (
            "binary",
            f'metric = "accuracy"\n{CHAMPION}min_decrease = 0.1',
            "min_decrease demands that accuracy get worse",
        ),
        ("binary", f'metric = "accuracy"\n{CHAMPION}max_relative_increase = 0.1', "how much better accuracy may get"),
        ("binary", f'metric = "log_loss"\n{CHAMPION}max_relative_decrease = 0.1', "how much better log_loss may get"),
        ("binary", 'metric = "log_loss"\nsuspicious_above = 0.9', "calls a bad log_loss too good"),
        ("binary", 'metric = "roc_auc"\nsuspicious_below = 0.9', "calls a bad roc_auc too good"),
        (
            "binary",
            'metric = "selection_rate"\nsuspicious_above = 0.9',
            "neither side is better, so nothing is too good",
        ),
        (
            "regression",
            'criterion = "equal_opportunity"\ngap_across = ["sex"]\nmax = 0.1',
            "true_positive_rate is no metric of",
        ),
        ("multiclass", 'criterion = "equal_opportunity"\ngap_across = ["sex"]\nmax = 0.1', "give class = …"),
        ("binary", 'metric = "accuracy"\nratio_across = ["shoe"]\nmin = 0.8', "slice 'shoe' is not one of data.slices"),
        ("binary", 'metric = "accuracy"\ngap_across = ["sex"]\nmax = 0.1\nwithin = "sex"', "they share a column"),
        (
            "binary",
            'metric = "accuracy"\ngap_across = ["race"]\nmax = 0.1\nwithin = "age"',
            "needs ['race', 'age'] among",
        ),
        (
            "binary",
            'metric = "accuracy"\nratio_across = ["sex"]\nmin = 0.1\nwithin = ["age", "race"]',
            "needs ['sex', 'age', 'race']",
        ),
    ],
)
def test_what_is_no_demand_is_refused(task, gate, said):
    found = problems(task, gate)
    assert any(line.startswith("gate[0] (") and said in line for line in found), found
    if "equalised" not in gate:
        assert len(found) == 1


def test_a_group_may_be_compared_within_another_slice_either_way_around():
    for piece, within in (("sex", "age"), ("age", "sex")):
        read("binary", f'metric = "accuracy"\ngap_across = ["{piece}"]\nmax = 0.1\nwithin = "{within}"')


def test_one_file_holds_all_scenarios():
    found = problems("binary", 'scenarios = "a.toml"', 'scenarios = "b.toml"\nname = "more"')
    assert found == ["gate[1] (more): a second gate with scenarios; expected one, and one file"]


def test_an_odd_class_makes_a_plain_name():
    gate = Gate.model_validate_json('{"metric": "f1", "class": "a b/\\u00e9@c", "min": 0.5}')
    assert gate.label == "f1-of-a-b-c"
    assert gate.metrics == ("f1@a b/é@c",)


def test_a_gate_without_a_form_cannot_be_made_in_python_either():
    for given in ({}, {"metric": "f1"}, {"metric": "f1", "min": 0.5, "against": "champion"}, {"min": 0.5}):
        with pytest.raises(ValidationError):
            Gate(**given)
    assert {name for names in NUMBERS.values() for name in names} <= set(Gate.model_fields)
