from __future__ import annotations

import copy
import json
import random
import tomllib
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from headgate.errors import BadInput
from headgate.policy import SITUATIONS, Policy
from headgate.policy_file import MAX_BYTES, parse

FILE = Path(__file__).parents[2] / "expectations" / "employment" / "policy.toml"
TEXT = FILE.read_text()
POLICY = parse(TEXT.encode(), "demo")


def document() -> dict[str, Any]:
    return copy.deepcopy(DOCUMENT)


DOCUMENT = tomllib.loads(TEXT)


def toml(value: Any) -> str:
    """A value as TOML, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for DEL, which TOML wants escaped.
        return json.dumps(value).replace("\x7f", "\\u007F")
    return json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf")


def written(value: dict[str, Any]) -> bytes:
    return "".join(f"{json.dumps(k)} = {toml(v)}\n" for k, v in value.items()).encode()


def read(value: dict[str, Any]) -> Policy:
    return parse(written(value), "x")


def problems(value: dict[str, Any] | bytes) -> list[str]:
    with pytest.raises(BadInput, match="problem") as caught:
        parse(value if isinstance(value, bytes) else written(value), "x")
    return [line[4:] for line in caught.value.got.splitlines() if line.startswith("  - ")]


def put(value: Any, path: str, new: Any) -> dict[str, Any]:
    """The demo's document with one value replaced; `path` as in `gate.0.max`."""
    *way, last = (int(part) if part.isdigit() else part for part in path.split("."))
    at = value
    for part in way:
        at = at[part]
    if new is ...:
        del at[last]
    else:
        at[last] = new
    return value


def test_the_demo_policy_is_sound():
    assert POLICY.model.name == FILE.parent.name
    assert len(POLICY.gate) == len({gate.label for gate in POLICY.gate}) == 14
    assert POLICY.alias == "champion"
    assert set(SITUATIONS) <= set(POLICY.playbook)
    assert read(document()) == POLICY


def test_all_problems_come_at_once_each_with_its_path():
    bad = document()
    bad["modle"] = {}
    bad["model"] |= {"name": "../x", "task": "ranking", "color": "red"}
    del bad["data"]["label"]
    bad["data"]["bands"]["age_band"]["edges"] = [45.0, 30.0]
    bad["train"] |= {"entrypoint": "a:b", "seed": -1}
    bad["gate"][0]["min"] = "0.8"
    bad["gate"][1]["max"] = float("nan")
    bad["gate"][2]["min"] = 0.1
    bad["gate"][7]["slices"] = 3
    bad["approval"]["roles"]["risk"] = 0
    bad["rollout"]["stage"][0]["alias"] = "latest"
    del bad["renewal"]["review_by"]
    del bad["playbook"]["rejected"]
    said = problems(bad)
    expected = [
        "modle:",
        "model.name:",
        "model.task:",
        "model.color:",
        "data.label: Field required (got nothing)",
        "data.bands.age_band:",
        "train.seed:",
        "gate[0].min: Input should be a valid number (got '0.8')",
        "gate[1].max: Input should be a finite number (got nan)",
        "gate[2]:",
        "gate[7].slices:",
        "approval.roles.risk:",
        "rollout.stage[0].alias:",
        "renewal.review_by: Field required (got nothing)",
        "playbook.rejected:",
    ]
    assert [start for start in expected if not any(line.startswith(start) for line in said)] == []
    assert len(said) == len(expected)


def test_contradictions_come_all_at_once_too():
    bad = document()
    bad["data"]["slices"] += ["sex", ["race", "sex"], ["race", "race"]]
    bad["gate"][0]["name"] = bad["gate"][1]["name"] = "twice"
    bad["gate"][7]["slices"] = ["sex", "shoe_size"]
    bad["gate"][8]["gap_across"] = [["sex", "shoe_size"]]
    bad["gate"][9]["playbook"] = "unknown"
    bad["rollout"]["stage"] *= 2
    bad["rollout"]["stage"][0] = bad["rollout"]["stage"][0] | {"needs": ["legal"]}
    for situation in SITUATIONS:
        del bad["playbook"][situation]
    said = "\n".join(problems(bad))
    for part in (
        "2 gates are called 'twice'",
        "['sex'] are named 2 times",
        "['race', 'sex'] are named 2 times",
        "names a column twice",
        "gate[7] (overlooked-by-group): slice 'shoe_size'",
        "gate[8] (overlooked-gap-by-sex): slice ('sex', 'shoe_size')",
        "gate[9] (reached-gap-by-sex): playbook 'unknown'",
        "the names ['broad', 'broad'] repeat",
        "the aliases ['champion', 'champion'] repeat",
        "rollout.stage[0].needs: 'legal'",
        *(f"playbook.{situation}:" for situation in SITUATIONS),
    ):
        assert part in said


BAD_NAMES = [
    "", " ", "a b", "a\nb", "a\n", "a\0", "a@b", "a" * 101, "../x", "a/b", ".hidden", "-x", "_x", "a\u202eb", "a\u200b",
    "ä", "a:b", "a\\b", "a\x7f", "\u0661",
]  # fmt: skip
NAMED = ["model.name", "gate.0.name", "gate.6.playbook", "rollout.stage.0.name", "rollout.stage.0.alias"]


@pytest.mark.parametrize("path", NAMED)
@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names_are_refused(path, name):
    place = path.replace(".0", "[0]").replace(".6", "[6]")
    assert any(line.startswith(place) for line in problems(put(document(), path, name)))


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_keys_are_refused(name):
    assert problems(put(document(), "approval.roles", {"risk": 1, name: 1}))
    assert problems(put(document(), "playbook", document()["playbook"] | {name: ["do"]}))


@pytest.mark.parametrize("name", ["a", "A9", "a" * 100, "credit_default", "a.b-c_d", "9"])
def test_plain_names_are_taken(name):
    assert read(put(document(), "model.name", name)).model.name == name


@pytest.mark.parametrize("alias", ["latest", "Latest", "LATEST", "v1", "V12", "v007", "a.b"])
def test_what_the_registry_reserves_is_refused(alias):
    (said,) = problems(put(document(), "rollout.stage.0.alias", alias))
    assert said.startswith("rollout.stage[0].alias:")
    assert "reserves" in said


@pytest.mark.parametrize("alias", ["v", "v1a", "latest2", "version1"])
def test_what_only_looks_reserved_is_taken(alias):
    assert read(put(document(), "rollout.stage.0.alias", alias)).alias == alias


WRONG = {
    "model.owner": ["", 3, True, date(2020, 1, 1), ["x"]],
    "model.tier": ["huge", 1],
    "model.not_for": ["x", [""], [3]],
    "data.slices": [[], [[]], [""], [["sex", ""]], [3], "sex"],
    "data.min_rows": [0, 1.5, "1000", True, float("inf"), 10**17],
    "data.min_slice_rows": [29, -1, 100.0],
    "data.max_copied_rows": [-0.1, 1.1, float("nan"), "0"],
    "data.max_single_column_auc": [0.5, 1.01, float("nan")],
    "data.bands.age_band.edges": [[], [1.0, 1.0], [2.0, 1.0], [1.0, float("inf")], [float("nan")], ["1"]],
    "train.estimator": [..., 3],
    "train.seed": [-1, 2**32, 1.0, True, "7"],
    "train.params": [{"a": float("nan")}, {"a": float("inf")}, {"a": [1]}, {"a": 2**60}, {"a": date(2020, 1, 1)}],
    "train.unsafe_pickle": [1, "true"],
    "threshold": [0.0, 1.0, -0.5, float("nan"), "0.5", True],
    "confidence.alpha": [0.0, 0.5, 1.0, float("nan"), "0.05"],
    "gate": [[], {}, "x"],
    "gate.0.metric": ["f 1", "", 3, "no_such_metric", "macro_f1", "bias", "true_positive_rate@x", ...],
    "gate.0.min": [float("nan"), float("inf"), float("-inf"), "0.8", True, [0.8], ...],
    "gate.0.against": ["champion", "challenger"],
    "gate.0.max": [0.9],
    "gate.0.gap_across": [["sex"], [], "sex"],
    "gate.0.without_champion": ["pass", True],
    "gate.5.max_increase": [-0.1, float("inf"), float("nan"), ...],
    "gate.5.max_decrease": [0.1],
    "gate.6.slices": [[], "all", [[]], [""], [3]],
    "gate.8.slices": ["each", ["sex"]],
    "gate.11.slices": ["each"],
    "gate.11.gap_across": [["sex"]],
    "serving.requests": [299, 1_000_001, 350.5, True],
    "serving.timeout_seconds": [0.0, -1.0, float("inf")],
    "approval.roles": [{}, {"risk": 0}, {"risk": 21}, {"risk": 1.0}, {"risk": True}, ["risk"]],
    "approval.expires_hours": [0.0, -1.0, float("inf"), float("nan"), 1e300, "72"],
    "rollout.stage": [[], {}],
    "rollout.stage.0.share": [1.1, -0.1, float("nan")],
    "renewal.certify_days": [0, 1.0, True],
    "renewal.review_by": ["soon", 20270101, "2027-13-01", True],
    "playbook.gate_failed": [[], [""], "x", [3]],
}


@pytest.mark.parametrize(("path", "value"), [(path, value) for path, values in WRONG.items() for value in values])
def test_wrong_values_are_refused_with_their_place(path, value):
    said = problems(put(document(), path, value))
    table = "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path.split(".")).lstrip(".")
    # A contradiction between fields is told of the table that holds them.
    assert any(line.startswith((table, table.rpartition(".")[0] or "gate")) for line in said), said


def every_table() -> list[str]:
    def tables(value: Any, path: str) -> Iterator[str]:
        if isinstance(value, dict) and path not in (
            "data.bands",
            "train.params",
            "approval.roles",
            "playbook",
            "datasheet",
        ):
            yield path
            for key, part in value.items():
                yield from tables(part, f"{path}.{key}" if path else key)
        elif isinstance(value, list) and not path.startswith("playbook"):
            for index, part in enumerate(value):
                yield from tables(part, f"{path}.{index}")

    return [*tables(DOCUMENT, ""), "data.bands.age_band"]


def test_unknown_keys_are_refused_in_every_table():
    tables = every_table()
    assert len(tables) > 20
    for table in tables:
        (said,) = problems(put(document(), f"{table}.surprise".lstrip("."), 1))
        assert "surprise: Extra inputs are not permitted (got 1)" in said


def test_a_question_that_no_datasheet_asks_is_refused():
    (said,) = problems(put(document(), "datasheet.surprise", "x"))
    assert said.startswith("datasheet.surprise: Input should be 'purpose', ")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("impact.harm.0.gate", "none-such", "impact.harm[0].gate: 'none-such' is not the label of a gate"),
        ("monitoring.check.0.playbook", "none", "monitoring.check[0].playbook: 'none' is not one of"),
        ("monitoring.check.2.of", ["rmse"], "monitoring.check[2].of: ['rmse'] are no metrics of the task"),
        ("monitoring.check.3.slices", ["shoe"], "monitoring.check[3].slices: not all of ('shoe',) are in data.slices"),
        ("monitoring.check.1.name", "other-people", "monitoring.check: 2 checks are called 'other-people'"),
        ("monitoring.check.0.min", 0.5, "monitoring.check[0]: Value error, give exactly one of min and max"),
        ("monitoring.check.1.of", ["age"], "monitoring.check[1]: Value error, inputs and performance say in `of`"),
        ("impact.harm.0.severity", "bad", "impact.harm[0].severity: Input should be 'low', 'moderate'"),
        ("impact.assessed_on", "soon", "impact.assessed_on: Input should be a valid date"),
        ("incidents.tell", [], "incidents.tell: Tuple should have at least 1 item"),
    ],
)
def test_what_people_state_must_hang_together(path, value, said):
    (found,) = problems(put(document(), path, value))
    assert found.startswith(said)


def test_a_model_of_a_high_tier_needs_an_assessment_and_others_do_not():
    without = document()
    del without["impact"]
    (said,) = problems(without)
    assert said.startswith("impact: Field required (got nothing); a model of tier 'high'")
    assert read(put(without, "model.tier", "medium")).impact is None


@pytest.mark.parametrize(
    ("path", "value", "part"),
    [
        ("gate.0.min", 0.0, "min 0.0 is no demand"),
        ("gate.0.min", -1.0, "min -1.0 is no demand"),
        ("gate.0.min", 80.0, "min 80.0 is no demand"),
        ("gate.4.max", 1.0, "max 1.0 is no demand"),
        ("gate.4.max", 4.0, "max 4.0 is no demand"),
        ("gate.8.max", 8.0, "max 8.0 is no demand"),
        ("gate.7.max_increase", 15.0, "max_increase 15.0 is no demand"),
        ("gate.6.max_decrease", 1.0, "max_decrease 1.0 is no demand"),
    ],
)
def test_a_gate_that_could_not_fail_or_never_pass_is_refused(path, value, part):
    (said,) = problems(put(document(), path, value))
    assert part in said


@pytest.mark.parametrize(("gate", "wrong"), [(5, "max_decrease"), (6, "max_increase"), (7, "max_decrease")])
def test_a_margin_on_the_harmless_side_is_refused(gate, wrong):
    bad = document()
    right = "max_increase" if wrong == "max_decrease" else "max_decrease"
    bad["gate"][gate][wrong] = bad["gate"][gate].pop(right)
    (said,) = problems(bad)
    assert "not how much worse" in said


@pytest.mark.parametrize("margin", ["max_decrease", "max_increase"])
def test_a_selection_rate_may_be_held_on_either_side(margin):
    fine = document()
    fine["gate"].append({"name": "s", "metric": "selection_rate", "against": "champion", margin: 0.1})
    assert len(read(fine).gate) == 15


@pytest.mark.parametrize(
    "data",
    [
        b"\xff", b"a = ", b"a = 1\na = 2", b"[model]\n[model]\n", b"a = " + b"9" * 5000, b"a = 0x" + b"f" * 9000,
        b"a = " + b"[" * 100_000, b"#" * (MAX_BYTES + 1),
    ],
    ids=["utf8", "cut", "key twice", "table twice", "large number", "large hexadecimal", "deep", "large file"],
)  # fmt: skip
def test_what_is_no_toml_is_refused_in_words(data):
    assert len(problems(data)) == 1


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_whatever_the_bytes_it_is_bad_input(data):
    with pytest.raises(BadInput):
        parse(data, "x")


def test_a_key_that_is_not_plain_stays_on_its_line():
    (said,) = problems(put(document(), "model", document()["model"] | {"a\n  - b\u202e": 1}))
    assert said.startswith(r"model.'a\n  - b\u202e': Extra inputs")


def test_a_policy_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        POLICY.threshold = 0.9  # type: ignore[misc]


# The digest: of the content, of all of it, and of nothing else.


def shuffled(value: Any, order: random.Random) -> Any:
    if isinstance(value, dict):
        return {k: shuffled(value[k], order) for k in order.sample(list(value), len(value))}
    return [shuffled(part, order) for part in value] if isinstance(value, list) else value


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.randoms(use_true_random=False))
def test_the_digest_is_of_the_content_not_of_its_layout(order):
    again = written(shuffled(DOCUMENT, order)).replace(b"\n", b"\n# a remark\n\n")
    assert parse(again, "x").digest == POLICY.digest


def test_the_digest_is_the_same_on_every_machine():
    assert parse(TEXT.replace("\n", "\r\n").encode(), "x").digest == POLICY.digest
    assert POLICY.digest == "sha256:e3d4013a6b10c66696e19b8457b7bcc7888cc29e88f6aa8ffa51b2689da70f41"


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, (dict, list)):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(part, (*path, key))
    else:
        yield path, value


NAMES = (
    "low", "error", "risk", "product", "race", "sex", "gate_failed",
    "true_positive_rate", "false_positive_rate", "log_loss", "brier_score", "UTC",
    "rare", "likely", "warning", "incident", "volume", "scores", "roc-auc",
)  # fmt: skip


def others(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, date):
        return [value + timedelta(days=1)]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, float):
        return [value * (1 + 2**-50), value * 0.99]
    return [f"{value}2", *NAMES]


def full() -> dict[str, Any]:
    """The demo's document with what it leaves to the defaults written out."""
    more = document()
    more["threshold"] = 0.5
    more["train"] |= {"trusted_types": ["a.B"], "unsafe_pickle": False}
    more["train"]["params"]["warm_start"] = False
    pilot = {"name": "pilot", "alias": "pilot", "audience": {"group": ["staff"]}, "share": 0.5, "needs": ["risk"]}
    more["rollout"]["stage"].insert(0, pilot | {"soak_minutes": 5.0, "min_requests": 3})
    return more


def test_the_digest_changes_with_every_value():
    base = read(full()).digest
    fixed, edited = [], 0
    for path, value in leaves(full()):
        changed = (put(full(), ".".join(map(str, path)), other) for other in others(value) if other != value)
        digest = next((found for found in map(digest_or_none, changed) if found), None)
        edited += digest is not None
        fixed += [path] * (digest is None)
        assert digest != base, path
    # What only one value is allowed for, or what other parts of the policy refer to.
    single = ["model.task", "gate.5.against", "gate.6.against", "gate.7.against"]
    single += ["gate.11.metric", "gate.12.metric"]
    single += ["gate.7.name", "gate.8.name", *(f"monitoring.check.{n}.watches" for n in (0, 2, 3))]
    named_by_gates = [f"data.slices.{n}" for n in range(5)]
    assert {".".join(map(str, path)) for path in fixed} <= {*single, *named_by_gates}
    assert edited > 120


def digest_or_none(value: dict[str, Any]) -> str | None:
    try:
        return read(value).digest
    except BadInput:
        return None


def test_the_digest_changes_when_anything_is_left_out():
    base, left_out = read(full()), 0
    for path, _ in leaves(full()):
        try:
            policy = read(put(full(), ".".join(map(str, path)), ...))
        except BadInput:
            continue
        left_out += 1
        assert (policy == base) == (policy.digest == base.digest), path
    assert left_out > 50


def test_the_digest_depends_on_the_order_of_a_list():
    for path in ("gate", "data.slices", "playbook.gate_failed", "model.not_for"):
        at = document()
        for part in path.split("."):
            at = at[part]
        assert read(put(document(), path, at[::-1])).digest != POLICY.digest, path


def test_a_whole_number_and_a_fraction_are_different_parameters():
    digests = {read(put(document(), "train.params.max_features", x)).digest for x in (1, 1.0, "1", "1.0", True)}
    assert len(digests) == 5
