"""A model that is right, and wrong ones, each found by the scenario that should see it and by no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from headgate.challenge import Challenges, Result, page
from headgate.errors import BadInput
from headgate.estimate import Unmeasurable
from headgate.scenario_file import parse
from headgate.scenarios import Scenarios
from tasks.alter import joint_codes, kind_of, meets, numbers, put, table_of
from tasks.answer import Model
from tasks.challenge import challenge

Predict = Callable[[pd.DataFrame], Any]

SCENARIOS = """
[[case]]
name = "expert"
why = "w"
asked_by = "a"
inputs = { hours = 2.0, grade = 6, colour = "red", sex = "f", region = "north" }
expect = { decision = 1 }

[[case]]
name = "novice"
why = "w"
asked_by = "a"
like = "expert"
inputs = { hours = -2.0, grade = 1 }
expect = { less_than = "expert" }

[[relation]]
name = "rising"
kind = "monotone"
why = "w"
asked_by = "a"
column = "hours"
direction = "rising"
step = 0.5
tolerance = 0.01
rows = 800
max_share = 0.02

[[relation]]
name = "sex"
kind = "counterfactual"
why = "w"
asked_by = "a"
column = "sex"
rows = 800
max_share = 0.02

[[relation]]
name = "region"
kind = "invariant"
why = "w"
asked_by = "a"
columns = ["region"]
tolerance = 0.001
rows = 800
max_share = 0.02

[[corruption]]
name = "noise"
kind = "noise"
why = "w"
asked_by = "a"
columns = ["hours", "grade"]
sd = 0.02
rows = 800
max_share = 0.10

[[corruption]]
name = "gone"
kind = "missing"
why = "w"
asked_by = "a"
columns = ["colour", "region"]
share = 0.5
rows = 800
max_share = 0.20

[[corruption]]
name = "new-colour"
kind = "unseen_category"
why = "w"
asked_by = "a"
columns = ["colour"]
rows = 300
max_share = 0.20

[[corruption]]
name = "far"
kind = "out_of_range"
why = "w"
asked_by = "a"
columns = ["grade"]
factor = 1.5
rows = 300
max_share = 1.0

[[corruption]]
name = "minutes"
kind = "unit_mistake"
why = "w"
asked_by = "a"
columns = ["hours"]
factor = 1.1
rows = 300
max_share = 0.10

[[attack]]
name = "hunted"
why = "w"
asked_by = "a"
budget = { hours = 0.1, colour = ["red", "green"] }
rows = 300
max_queries = 100
max_share = 0.50
"""
ASKED = parse(SCENARIOS.encode(), "toy")
FEATURES = ["hours", "grade", "colour", "sex", "region"]


def people(rows: int = 1500, seed: int = 1) -> tuple[pd.DataFrame, np.ndarray]:
    chance = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "hours": chance.normal(size=rows),
            "grade": chance.integers(1, 7, rows).astype(np.int8),
            "colour": pd.Categorical(chance.choice(["red", "green", "blue"], rows)),
            "sex": pd.Categorical(chance.choice(["f", "m"], rows)),
            "region": chance.choice(["north", "south"], rows),
        }
    )
    odds = 3 * frame["hours"] + (frame["grade"] - 3.5) * 0.5
    return frame, (chance.random(rows) < 1 / (1 + np.exp(-odds))).astype(int).to_numpy()


FRAME, LABELS = people()


def fitted(columns: list[str], labels: np.ndarray = LABELS, unknown: str = "ignore", kind: Any = None) -> Predict:
    text = [c for c in columns if c in ("colour", "sex", "region")]
    encoding = make_column_transformer(
        (OneHotEncoder(handle_unknown=unknown), text),
        (StandardScaler(), [c for c in columns if c not in text]),
        sparse_threshold=0.0,
    )
    model = make_pipeline(encoding, kind or LogisticRegression()).fit(FRAME[columns], labels)
    return lambda rows: model.predict_proba(rows[columns])[:, 1]


USED = ["hours", "grade", "colour"]
RIGHT = fitted(USED)


def asked(predict: Predict, scenarios: Scenarios = ASKED, **given: Any) -> Challenges:
    how = {"frame": FRAME, "labels": LABELS, "ids": np.arange(len(FRAME)), "seed": 7, "threshold": 0.5, **given}
    return challenge(predict, scenarios=scenarios, **how)


def broken(predict: Predict, **given: Any) -> set[str]:
    """The scenarios that a gate at 5% would not pass."""
    found = set()
    for result in asked(predict, **given).results:
        estimate = result.estimate()
        if isinstance(estimate, Unmeasurable) or estimate.upper(0.05) > result.limit:
            found.add(result.name)
    return found


def one(predict: Predict, item: str, **given: Any) -> Result:
    """The result of the one scenario in a text of TOML, to which name, reason and person are added."""
    header, _, rest = item.strip().partition("\n")
    about = 'name = "x"\nwhy = "w"\nasked_by = "a"'
    [result] = asked(predict, parse(f"{header}\n{about}\n{rest}".encode(), "one"), **given).results
    return result


def sexist() -> Predict:
    odds = 2 * FRAME["hours"] + np.where(FRAME["sex"] == "m", 2.0, -2.0)
    return fitted([*USED, "sex"], (np.random.default_rng(2).random(len(FRAME)) < 1 / (1 + np.exp(-odds))).astype(int))


def bent() -> Predict:
    # From 1.5 hours on, more of them count against a person.
    honest = RIGHT

    def predict(rows: pd.DataFrame) -> Any:
        return honest(rows) - 0.05 * np.clip(rows["hours"].to_numpy() - 1.5, 0, 0.5)

    return predict


def parochial() -> Predict:
    return lambda rows: np.clip(RIGHT(rows) + np.where(rows["region"] == "north", 0.004, 0.0), 0, 1)


def mute() -> Predict:
    def predict(rows: pd.DataFrame) -> Any:
        return np.where(rows["colour"].isna() & rows["region"].notna(), np.nan, RIGHT(rows))

    return predict


def brittle() -> Predict:
    def predict(rows: pd.DataFrame) -> Any:
        if (rows["grade"] > 12).any():
            raise RuntimeError("row 17 of Jane Roe")
        return RIGHT(rows)

    return predict


def strict() -> Predict:
    model = fitted(USED, unknown="error")

    def predict(rows: pd.DataFrame) -> Any:
        return model(rows.assign(colour=rows["colour"].fillna("red")))

    return predict


def memorised() -> Predict:
    # A tree that knows every row by its hours alone: the least change lands on another row's label.
    labels = np.random.default_rng(3).integers(0, 2, len(FRAME))
    tree = fitted(["hours"], labels, kind=DecisionTreeClassifier(random_state=0))
    return tree


def test_the_right_model_does_all_that_is_asked():
    assert broken(RIGHT) == set()


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        (bent, {"rising"}),
        (sexist, {"sex"}),
        (parochial, {"region"}),
        (mute, {"gone"}),
        (brittle, {"far"}),
        (strict, {"new-colour"}),
        (lambda: lambda rows: 1 - RIGHT(rows), {"expert", "novice", "rising"}),
    ],
)
def test_a_wrong_model_is_found_by_what_should_see_it_and_by_nothing_else(
    wrong: Callable[[], Predict], found: set[str]
):
    assert broken(wrong()) == found


def test_a_model_that_memorised_is_found_by_the_attack():
    assert "hunted" in broken(memorised())


@pytest.mark.parametrize(
    "predict",
    [
        lambda rows: np.full(len(rows), np.nan),
        lambda rows: np.full(len(rows), np.inf),
        lambda rows: np.full(len(rows), 1.5),
        lambda rows: np.full((len(rows), 2), 0.5),
        lambda rows: np.full(len(rows) + 1, 0.5),
        lambda rows: ["high"] * len(rows),
        lambda rows: None,
        lambda rows: 1 / 0,
    ],
)
def test_a_model_without_answers_passes_nothing(predict: Predict):
    results = asked(predict).results
    assert {r.name for r in results if isinstance(r.estimate(), Unmeasurable)} == {r.name for r in results}
    assert all(r.trials == 0 and r.errors > 0 for r in results)


def test_without_rows_everything_but_the_cases_is_unmeasured():
    results = asked(RIGHT, frame=FRAME.iloc[:0], labels=LABELS[:0], ids=np.arange(0)).results
    assert {r.name for r in results if not isinstance(r.estimate(), Unmeasurable)} == {"expert", "novice"}
    assert all(r.trials == r.errors == 0 for r in results if r.kind != "case")


def test_the_same_seed_gives_the_same_bytes_and_another_one_other_rows():
    assert asked(RIGHT).to_bytes() == asked(RIGHT).to_bytes()
    item = '[[relation]]\nkind = "counterfactual"\ncolumn = "sex"\nrows = 200\nmax_share = 0.5'
    assert one(sexist(), item, seed=1).examples != one(sexist(), item, seed=2).examples


def test_a_scenario_is_not_moved_by_its_neighbours():
    [alone] = asked(RIGHT, Scenarios(attack=ASKED.attack)).results
    assert alone == asked(RIGHT).results[-1]


def test_the_examples_are_positions_in_the_snapshot_and_no_text_of_an_exception_is_kept():
    ids = np.arange(len(FRAME)) * 3 + 5
    found = {r.name: r for r in asked(brittle(), ids=ids).results}
    assert len(found["far"].stuck) == 10
    assert {(p - 5) % 3 for p in found["far"].stuck} == {0}
    assert found["far"].found == "raised RuntimeError"
    assert b"Roe" not in asked(brittle()).to_bytes()
    model = sexist()
    sex = one(model, '[[relation]]\nkind = "counterfactual"\ncolumn = "sex"\nrows = 200\nmax_share = 0', ids=ids)
    assert len(sex.examples) == 10
    for position in sex.examples:
        row = FRAME.iloc[[(position - 5) // 3]]
        other = row.assign(sex=pd.Categorical(["f" if row["sex"].iloc[0] == "m" else "m"], categories=["f", "m"]))
        assert (model(row)[0] >= 0.5) != (model(other)[0] >= 0.5)


def test_the_counts_are_those_of_a_loop_over_rows():
    model = bent()
    few = FRAME[FRAME["hours"].between(1.35, 1.8)].nlargest(60, "grade").reset_index(drop=True)
    item = '[[relation]]\nkind = "monotone"\ncolumn = "hours"\ndirection = "rising"\nstep = 0.5\ntolerance = 0.01\n'
    found = one(model, item + "rows = 60\nmax_share = 0.5", frame=few, labels=np.zeros(60), ids=np.arange(60))
    fell = [
        model(row.assign(hours=row["hours"] + 0.5))[0] < model(row)[0] - 0.01
        for row in (few.iloc[[i]] for i in range(len(few)))
    ]
    assert found.trials == 60
    assert found.failures == sum(fell)
    assert 10 < sum(fell) < 60
    assert found.examples == tuple(np.flatnonzero(fell)[:10])


def test_an_attack_finds_what_trying_everything_finds():
    found = one(
        RIGHT,
        '[[attack]]\nbudget = { grade = 2, colour = ["red", "green"] }\nrows = 5000\nmax_queries = 14\nmax_share = 0.9',
    )
    turned, sizes = np.zeros(len(FRAME), dtype=bool), np.full(len(FRAME), np.inf)
    before = RIGHT(FRAME) >= 0.5
    for step in (-2, -1, 0, 1, 2):
        for colour in (None, "red", "green"):
            same = FRAME["colour"] == colour if colour else np.zeros(len(FRAME), dtype=bool)
            form = FRAME.assign(grade=FRAME["grade"] + step, **({"colour": colour} if colour else {}))
            hit = (RIGHT(form) >= 0.5) != before
            turned |= hit
            sizes = np.where(hit & ~same, np.minimum(sizes, abs(step) / 2 + bool(colour)), sizes)
    assert found.failures == turned.sum() > 50
    assert found.search is not None
    assert found.search.exact
    finite = np.sort(sizes[np.isfinite(sizes)])
    assert found.search.smallest[0] == finite[0]
    assert found.search.smallest[-1] == finite[-1]
    assert found.search.queries <= 14 * len(FRAME)


def test_an_attack_changes_only_what_it_may_and_keeps_its_limit():
    seen: list[pd.DataFrame] = []

    def spy(rows: pd.DataFrame) -> Any:
        seen.append(rows)
        return RIGHT(rows)

    wide = '[[attack]]\nbudget = { hours = 0.5, grade = 2, colour = ["red"] }\nwhere = { sex = "f" }\n'
    found = one(spy, wide + "rows = 50\nmax_queries = 20\nmax_share = 0.9")
    assert found.search is not None
    assert not found.search.exact
    base, *forms = seen
    assert found.search.queries == sum(map(len, forms)) <= 20 * 50
    assert (base["sex"] == "f").all()
    asked_rows = pd.concat(forms)
    assert (asked_rows["sex"] == "f").all()
    known = set(zip(FRAME["sex"], FRAME["region"], strict=True))
    assert set(zip(asked_rows["sex"], asked_rows["region"], strict=True)) <= known
    distance = np.abs(asked_rows["hours"].to_numpy()[:, None] - base["hours"].to_numpy()).min(axis=1)
    assert distance.max() <= 0.5 + 1e-12
    assert len(seen) < 60  # batches, not rows


def test_a_row_that_turned_and_also_got_no_answer_is_an_error_only():
    def torn(rows: pd.DataFrame) -> Any:
        scores = np.where(rows["colour"] == "red", 0.9, 0.1)
        return np.where(rows["colour"] == "green", np.nan, scores)

    blue = FRAME[FRAME["colour"] == "blue"]
    item = '[[attack]]\nbudget = { colour = ["red", "green"] }\nrows = 50\nmax_queries = 5\nmax_share = 0.9'
    found = one(torn, item, frame=blue, labels=np.zeros(len(blue)), ids=np.arange(len(blue)))
    assert (found.trials, found.failures, found.errors, found.examples) == (0, 0, 50, ())


def test_only_rows_that_were_decided_so_and_rightly_are_attacked():
    scores = RIGHT(FRAME)
    right = (scores < 0.5) & (LABELS == 0)
    item = "[[attack]]\nbudget = { hours = 9.0 }\ndecision = 0\nright = true\n"
    found = one(RIGHT, item + "rows = 5000\nmax_queries = 8\nmax_share = 0.9")
    assert found.trials == right.sum()
    assert set(found.examples) <= set(np.flatnonzero(right).tolist())


REFUSING = '[[corruption]]\nkind = "unseen_category"\ncolumns = ["colour"]\nrows = 20\nmax_share = 0.2\nmay_refuse = '


def test_a_refusal_is_an_error_unless_it_is_allowed():
    allowed, forbidden = one(strict(), REFUSING + "true"), one(strict(), REFUSING + "false")
    assert (allowed.trials, allowed.refused, allowed.failures, allowed.errors) == (20, 20, 0, 0)
    assert (forbidden.trials, forbidden.refused, forbidden.errors) == (0, 0, 20)
    assert allowed.found == forbidden.found == "raised ValueError"


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, KeyError, ZeroDivisionError])
def test_a_crash_is_no_refusal(error: type[Exception]):
    def crash(rows: pd.DataFrame) -> Any:
        if not rows["colour"].isin(["red", "green", "blue"]).all():
            raise error("x")
        return RIGHT(rows)

    found = one(crash, REFUSING + "true")
    assert (found.trials, found.refused, found.errors) == (0, 0, 20)


def test_a_refused_neighbour_hides_no_changed_decision():
    # Of a batch, only the rows with a grade of 6 are refused; the others are turned.
    def sly(rows: pd.DataFrame) -> Any:
        scores = np.where(rows["hours"] > 0, 0.9, 0.1)
        if rows["colour"].isin(["red", "green", "blue"]).all():
            return scores
        if (rows["grade"] == 6).any():
            raise ValueError
        return 1 - scores

    few = FRAME.head(300)
    found = one(sly, REFUSING.replace("20", "300") + "true", frame=few, labels=np.zeros(300), ids=np.arange(300))
    assert found.refused == (few["grade"] == 6).sum() > 20
    assert found.failures == (few["grade"] != 6).sum()


def test_one_bad_row_does_not_silence_the_others():
    def fussy(rows: pd.DataFrame) -> Any:
        if (rows["hours"] > FRAME["hours"].nlargest(3).min() - 1e-9).any():
            raise KeyError
        return RIGHT(rows)

    said = Model(fussy, 0.5).ask(FRAME)
    assert np.isnan(said.scores).sum() == 3
    assert said.raised == ("KeyError",)
    assert not said.refused.any()


def test_a_model_that_always_raises_is_asked_a_bounded_number_of_times():
    calls = []

    def dead(rows: pd.DataFrame) -> Any:
        calls.append(len(rows))
        raise ValueError

    assert np.isnan(Model(dead, 0.5).ask(FRAME).scores).all()
    assert len(calls) < 150


MISSING_HOURS = FRAME.assign(hours=FRAME["hours"].mask(np.arange(len(FRAME)) < 700))


RISING = 'direction = "rising"\ntolerance = 1\nmax_share = 0'


def filled(rows: pd.DataFrame) -> Any:
    return RIGHT(rows.assign(hours=rows["hours"].fillna(0.0)))


@pytest.mark.parametrize(
    "item",
    [
        '[[relation]]\nkind = "monotone"\ncolumn = "hours"\nstep = 1\n' + RISING,
        '[[corruption]]\nkind = "noise"\ncolumns = ["hours", "grade"]\nsd = 0.1\nmax_share = 0.5',
        '[[corruption]]\nkind = "out_of_range"\ncolumns = ["hours"]\nfactor = 1\nmax_share = 1',
        "[[attack]]\nbudget = { hours = 1 }\nmax_queries = 50\nmax_share = 0.9",
    ],
)
def test_a_missing_value_cannot_be_altered_and_a_rule_can_leave_it_out(item: str):
    found = one(filled, item + "\nrows = 5000", frame=MISSING_HOURS)
    assert found.errors == 700
    assert "700 rows could not be altered" in found.found
    assert found.stuck == tuple(range(10))
    present = one(filled, item + "\nrows = 5000\nwhere = { hours = { present = true } }", frame=MISSING_HOURS)
    assert (present.errors, present.trials + present.unaltered) == (0, len(FRAME) - 700)


def test_what_the_alteration_left_alone_is_no_trial():
    item = '[[corruption]]\nkind = "noise"\ncolumns = ["grade"]\nsd = 0.1\nrows = 5000\nmax_share = 0.5'
    found = one(RIGHT, item)
    assert found.unaltered > 1000
    assert found.trials == len(FRAME) - found.unaltered > 0
    flat = one(RIGHT, item, frame=FRAME.assign(grade=np.int8(3)))
    assert (flat.trials, flat.unaltered) == (0, len(FRAME))
    assert isinstance(flat.estimate(), Unmeasurable)


@pytest.mark.parametrize(
    "item",
    [
        '[[relation]]\nkind = "invariant"\ncolumns = ["sex"]\ntolerance = 0.1\nmax_share = 0.5',
        '[[relation]]\nkind = "counterfactual"\ncolumn = "sex"\nmax_share = 0.5',
        '[[attack]]\nbudget = { sex = ["f"] }\nmax_queries = 5\nmax_share = 0.5',
        '[[corruption]]\nkind = "unseen_category"\ncolumns = ["sex"]\nvalue = "f"\nmax_share = 0.5',
        '[[relation]]\nkind = "monotone"\ncolumn = "grade"\nstep = 0.3\n' + RISING,
    ],
)
def test_a_scenario_that_can_alter_nothing_proves_nothing(item: str):
    frame = FRAME.assign(sex=pd.Categorical(["f"] * len(FRAME)))
    found = one(RIGHT, item + "\nrows = 100", frame=frame)
    assert (found.trials, found.errors) == (0, 100)
    assert "100 rows could not be altered" in found.found


def test_a_number_without_decisions_is_held_to_tolerances():
    target = 10 * FRAME["hours"] + FRAME["grade"]
    line = LinearRegression().fit(FRAME[["hours", "grade"]], target)
    text = (
        '[[case]]\nname = "c"\nwhy = "w"\nasked_by = "a"\nexpect = { min = 15.0, max = 25.0 }\n'
        'inputs = { hours = 1.5, grade = 3, colour = "red", sex = "f", region = "north" }\n'
        '[[corruption]]\nname = "k"\nkind = "unit_mistake"\nwhy = "w"\nasked_by = "a"\ncolumns = ["grade"]\n'
        "factor = 2\ntolerance = 4.5\nrows = 5000\nmax_share = 0.6\n"
        '[[attack]]\nname = "t"\nwhy = "w"\nasked_by = "a"\nbudget = { grade = 3 }\nmax_queries = 20\ntolerance = 2.5\n'
        "rows = 50\nmax_share = 0.6\n"
    )
    case, unit, attack = asked(
        lambda rows: line.predict(rows[["hours", "grade"]]), parse(text.encode(), "r"), threshold=None
    ).results
    assert (case.failures, case.errors) == (0, 0)
    assert unit.failures == (FRAME["grade"] > 4).sum()
    assert attack.failures == 50
    assert attack.search is not None
    assert attack.search.smallest == (1.0,) * 5
    with pytest.raises(BadInput, match="makes no decisions"):
        asked(RIGHT, threshold=None)


def test_what_does_not_belong_together_is_refused():
    for given_, got in (
        ({"labels": LABELS[1:]}, "labels"),
        ({"ids": np.arange(3)}, "ids"),
        ({"ids": np.zeros(len(FRAME), dtype=int)}, "repeated"),
        ({"ids": np.arange(len(FRAME)) - 1}, "negative"),
        ({"ids": np.arange(len(FRAME)) * 1.5}, "float64"),
        ({"frame": pd.concat([FRAME, FRAME[["sex"]]], axis=1)}, "more than once"),
        ({"frame": FRAME.drop(columns="sex")}, "'sex' is no feature of the model"),
    ):
        with pytest.raises(BadInput, match=got):
            asked(RIGHT, **given_)
    with pytest.raises(BadInput, match="1,500 values; give at most 50"):
        one(RIGHT, '[[relation]]\nkind = "counterfactual"\ncolumn = "hours"\nrows = 10\nmax_share = 0.5')


def test_progress_is_told_of_each_scenario():
    told: list[tuple[str, int, int]] = []
    found = asked(RIGHT, progress=lambda *step: told.append(step))
    assert [name for name, _, _ in told] == [r.name for r in found.results]
    assert told[-1][1:] == (11, 11)
    assert page(found).count("\n| hunted |") == 2


def test_the_rows_of_the_caller_are_not_touched():
    before = FRAME.copy(deep=True)

    def greedy(rows: pd.DataFrame) -> Any:
        scores = RIGHT(rows)
        rows["hours"] = 0.0
        return scores

    asked(greedy)
    pd.testing.assert_frame_equal(FRAME, before)


@pytest.mark.parametrize("dtype", ["int8", "Int8", "int64", "float32", "Float64", "int64[pyarrow]", "category"])
def test_a_column_keeps_its_type_where_that_holds_the_values(dtype: str):
    column = pd.Series([1, 2, 3]).astype(dtype)
    assert kind_of(column) == "number"
    assert numbers(column).tolist() == [1, 2, 3]
    same = put(column, np.array([3.0, 1.0]))
    assert same.dtype == column.dtype
    assert numbers(same).tolist() == [3, 1]
    assert numbers(put(column, np.array([300.0]))).tolist() == [300]
    assert numbers(put(column, np.array([np.nan, 2.0])))[1] == 2
    assert np.isnan(numbers(put(column, np.array([np.nan, 2.0])))[0])


@pytest.mark.parametrize("dtype", ["str", "object", "category", "string"])
def test_a_text_keeps_its_type_and_may_be_new_or_missing(dtype: str):
    column = pd.Series(["a", "b", None]).astype(dtype)
    assert kind_of(column) == "text"
    new = put(column, np.array(["a", "zz", None], dtype=object))
    assert new.isna().tolist() == [False, False, True]
    assert new.tolist()[:2] == ["a", "zz"]
    assert dtype == "category" or new.dtype == column.dtype
    assert kind_of(pd.Series([True, False])) == "truth"
    assert kind_of(pd.Series(pd.to_datetime(["2020-01-01"]))) == "time"


def test_rows_are_chosen_by_value_by_list_and_by_range():
    frame = pd.DataFrame({"n": [1.0, 2.0, np.nan, 4.0], "t": ["a", None, "b", "c"]})
    text = '[[corruption]]\nname = "x"\nkind = "missing"\nwhy = "w"\nasked_by = "a"\ncolumns = ["n"]\nshare = 1\n'
    text += "rows = 1\nmax_share = 1\n"
    for rule, expected in (
        ('{ t = "a" }', [True, False, False, False]),
        ('{ t = ["a", "b"] }', [True, False, True, False]),
        ("{ n = { min = 2 } }", [False, True, False, True]),
        ("{ n = { min = 1, max = 2 } }", [True, True, False, False]),
        ("{ n = { present = true } }", [True, True, False, True]),
        ('{ n = 1, t = "a" }', [True, False, False, False]),
        ("{ n = 2, t = { present = true } }", [False, False, False, False]),
        ("{}", [True] * 4),
    ):
        [item] = parse(f"{text}where = {rule}".encode(), "x").corruption
        assert meets(frame, item.where).tolist() == expected


def test_joint_codes_tell_rows_apart_by_all_columns():
    frame = pd.DataFrame({"a": ["x", "x", "y", None, None], "b": [1, 2, 1, 1, 1]})
    codes, firsts = joint_codes(frame)
    assert len(set(codes.tolist())) == 4
    assert codes[3] == codes[4]
    assert codes[firsts].tolist() == [0, 1, 2, 3]


def test_written_rows_have_the_types_of_the_table():
    rows = [{"hours": 1, "grade": 3, "colour": "pink", "sex": "f", "region": "west"}]
    made = table_of(FRAME, rows)
    assert list(made.columns) == FEATURES
    assert made["grade"].dtype == np.int8
    assert made["colour"].tolist() == ["pink"]
    assert made.drop(columns="colour").dtypes.equals(FRAME.drop(columns="colour").dtypes)
