"""Examining two tables together: the demo's real rows, then the same rows spoilt in one way at a time."""

import io

import numpy as np
import pandas as pd
import pytest

from headgate.finding import DataReport, Finding
from headgate.policy import Band, Data
from headgate.verdict import Verdict
from tasks.examine import examine

MORE = ("disability", "hearing_difficulty", "vision_difficulty", "cognitive_difficulty", "relationship_code")


def policy(**changes: object) -> Data:
    return Data.model_validate(
        {
            "train": "a",
            "evaluate": "b",
            "label": "employed",
            "id": "person_id",
            "time": "survey_year",
            "exclude": ("champion_probability",),
            "slices": ("sex", "race", "age_band", ("sex", "age_band")),
            "bands": {"age_band": Band(column="age", edges=(25.0, 45.0, 65.0))},
            "max_copied_rows": 0.01,
        }
        | changes
    )


@pytest.fixture
def training(people: pd.DataFrame) -> pd.DataFrame:
    return people[people.survey_year == 2015].drop(columns=list(MORE)).reset_index(drop=True)


@pytest.fixture
def evaluation(people: pd.DataFrame) -> pd.DataFrame:
    return people[people.survey_year == 2018].reset_index(drop=True)


def wrong(found: tuple[Finding, ...]) -> dict[tuple[str, str | None], Finding]:
    return {(f.check, f.column): f for f in found if f.verdict is not Verdict.PASS}


def test_the_real_rows_pass_with_and_without_a_csv_file(training: pd.DataFrame, evaluation: pd.DataFrame) -> None:
    found = examine(training, evaluation, policy())
    assert wrong(found) == {}
    assert DataReport(findings=found).verdict is Verdict.PASS
    from_csv = pd.read_csv(io.StringIO(evaluation.to_csv(index=False)))
    assert examine(training, from_csv, policy()) == found


def test_the_natural_twins_of_a_census_are_counted_exactly(training: pd.DataFrame, evaluation: pd.DataFrame) -> None:
    columns = [c for c in training.columns if c not in {"person_id", "survey_year", "champion_probability"}]
    seen = set(training[columns].astype(str).itertuples(index=False, name=None))
    twins = sum(row in seen for row in evaluation[columns].astype(str).itertuples(index=False, name=None))
    assert 0.4 < twins / len(evaluation) < 0.6
    (found,) = (f for f in examine(training, evaluation, policy()) if f.check == "shared_content")
    assert (found.rows, found.verdict) == (twins, Verdict.PASS)


def test_copied_rows_fail_though_their_ids_are_new(training: pd.DataFrame, evaluation: pd.DataFrame) -> None:
    copied = training.sample(6000, random_state=1).assign(person_id=lambda t: t.person_id + 1_000_000)
    mixed = pd.concat([copied, evaluation[training.columns][:6000]], ignore_index=True)
    found = wrong(examine(training, mixed, policy()))
    assert set(found) == {("shared_content", None)}


def test_one_shared_id_fails(training: pd.DataFrame, evaluation: pd.DataFrame) -> None:
    evaluation.loc[5, "person_id"] = training.loc[9, "person_id"]
    found = wrong(examine(training, evaluation, policy()))
    assert {k: f.rows for k, f in found.items()} == {("shared_ids", "person_id"): 1}


def test_large_ids_are_not_rounded_together(training: pd.DataFrame, evaluation: pd.DataFrame) -> None:
    base = 2**60  # Neighbours here are one float apart or none.
    training["person_id"] = base + 2 * np.arange(len(training), dtype=np.int64)
    evaluation["person_id"] = base + 1 + 2 * np.arange(len(evaluation), dtype=np.int64)
    assert wrong(examine(training, evaluation, policy())) == {}


@pytest.mark.parametrize("table", ["training", "evaluation"])
def test_repeated_and_missing_ids_fail(training: pd.DataFrame, evaluation: pd.DataFrame, table: str) -> None:
    rows = {"training": training, "evaluation": evaluation}
    ids = rows[table]["person_id"].astype("Int64")
    ids[3], ids[4] = ids[5], pd.NA
    rows[table]["person_id"] = ids
    found = wrong(examine(training, evaluation, policy()))
    assert {k: (f.table, f.rows) for k, f in found.items()} == {("unique_ids", "person_id"): (table, 3)}


@pytest.mark.parametrize(
    ("value", "verdict"), [(np.nan, Verdict.FAIL), (2.0, Verdict.FAIL), (-1.0, Verdict.FAIL), (0.5, Verdict.FAIL)]
)
@pytest.mark.parametrize("table", ["training", "evaluation"])
def test_a_label_is_zero_or_one(
    training: pd.DataFrame, evaluation: pd.DataFrame, table: str, value: float, verdict: Verdict
) -> None:
    rows = {"training": training, "evaluation": evaluation}[table]
    rows["employed"] = rows["employed"].astype(float)
    rows.loc[0, "employed"] = value
    found = wrong(examine(training, evaluation, policy()))
    assert {k: (f.table, f.verdict) for k, f in found.items()} == {("label", "employed"): (table, verdict)}


def test_a_label_in_words_fails(training: pd.DataFrame, evaluation: pd.DataFrame) -> None:
    for rows in (training, evaluation):
        rows["employed"] = rows["employed"].astype(str)
    found = wrong(examine(training, evaluation, policy()))
    assert found["label", "employed"].verdict is Verdict.FAIL


def test_a_truth_value_is_a_label(training: pd.DataFrame, evaluation: pd.DataFrame) -> None:
    for rows in (training, evaluation):
        rows["employed"] = rows["employed"].astype(bool)
    assert wrong(examine(training, evaluation, policy())) == {}


class TestLeaks:
    """A column made from the label, in several disguises, in both tables."""

    @staticmethod
    def found(training: pd.DataFrame, evaluation: pd.DataFrame, make: object) -> set[tuple[str, str | None]]:
        assert callable(make)
        tables = [rows.assign(extra=make(rows["employed"].to_numpy())) for rows in (training, evaluation)]
        return set(wrong(examine(*tables, policy())))

    @pytest.mark.parametrize(
        "make",
        [
            lambda y: y,
            lambda y: 1 - y,
            lambda y: y + np.random.default_rng(1).normal(0, 0.2, len(y)),
            lambda y: np.where(y == 1, "yes", "no"),
            lambda y: pd.Categorical(np.where(y == 1, "b", "a")),
            lambda y: np.where(y == 1, np.nan, 7.0),
            lambda y: pd.Timestamp("2020-01-01") + pd.to_timedelta(y, unit="D"),
            lambda y: (2 * np.random.default_rng(2).integers(0, 9, len(y)) + y).astype(str),
        ],
        ids=["itself", "inverted", "noisy", "words", "category", "missingness", "time", "many categories"],
    )
    def test_a_column_that_gives_the_label_away_fails(
        self, training: pd.DataFrame, evaluation: pd.DataFrame, make: object
    ) -> None:
        assert self.found(training, evaluation, make) == {("leak", "extra")}

    @pytest.mark.parametrize(
        "make",
        [
            lambda y: np.random.default_rng(3).permutation(len(y)),
            lambda y: [f"row {i}" for i in range(len(y))],
            lambda y: y + np.random.default_rng(4).normal(0, 1.0, len(y)),
        ],
        ids=["numbers of rows", "names of rows", "good but honest"],
    )
    def test_an_honest_column_passes(self, training: pd.DataFrame, evaluation: pd.DataFrame, make: object) -> None:
        assert self.found(training, evaluation, make) == set()

    def test_an_excluded_column_may_be_anything(self, training: pd.DataFrame, evaluation: pd.DataFrame) -> None:
        leaking = [rows.assign(extra=rows["employed"]) for rows in (training, evaluation)]
        assert wrong(examine(*leaking, policy(exclude=("champion_probability", "extra")))) == {}


def test_small_tables_and_small_groups(training: pd.DataFrame, evaluation: pd.DataFrame) -> None:
    found = wrong(examine(training, evaluation[:900], policy()))
    assert found["rows", None].table == "evaluation"
    groups = found["group_rows", None]
    assert (groups.verdict, groups.severity) == (Verdict.INCONCLUSIVE, "warning")
    assert DataReport(findings=tuple(found.values())).verdict is Verdict.FAIL  # because of the rows alone


def test_group_sizes_are_those_of_half_open_bands(training: pd.DataFrame, evaluation: pd.DataFrame) -> None:
    # 18..24, 25..44, 45..64 and 65 upwards, counted without pandas' binning; all but the largest are too small.
    ages = evaluation.age.tolist()
    sizes = [sum(low <= age < high for age in ages) for low, high in ((18, 25), (25, 45), (45, 65), (65, 200))]
    limits = policy(slices=("age_band",), min_slice_rows=max(sizes))
    small = wrong(examine(training, evaluation, limits))["group_rows", None]
    assert small.rows == sum(sizes) - max(sizes)
    assert f"[25.0, 45.0) {sizes[1]:,}" in small.reason


@pytest.mark.parametrize("column", ["race", "age"])
def test_a_row_without_a_group_fails(training: pd.DataFrame, evaluation: pd.DataFrame, column: str) -> None:
    evaluation[column] = evaluation[column].astype(object if column == "race" else float)
    evaluation.loc[0, column] = None
    found = [f for f in examine(training, evaluation, policy()) if f.verdict is not Verdict.PASS]
    assert {(f.check, f.verdict, f.rows) for f in found} == {("grouped", Verdict.FAIL, 1)}


def test_a_constant_feature_is_a_warning(training: pd.DataFrame, evaluation: pd.DataFrame) -> None:
    found = examine(training.assign(military="never"), evaluation, policy())
    assert wrong(found)["constant", None].reason.endswith(": military")
    assert DataReport(findings=found).verdict is Verdict.PASS


class TestColumns:
    def test_all_absent_ones_are_named(self, training: pd.DataFrame, evaluation: pd.DataFrame) -> None:
        found = examine(
            training.drop(columns="employed"),
            evaluation.drop(columns=["person_id", "age", "race", "military"]),
            policy(),
        )
        told = {f.verdict: f.reason for f in found if f.verdict is not Verdict.PASS and f.table == "evaluation"}
        assert told[Verdict.ERROR].endswith(": person_id, race, age")
        assert told[Verdict.FAIL].endswith(": age, military, race")
        assert DataReport(findings=found).verdict is Verdict.FAIL

    def test_another_kind_fails(self, training: pd.DataFrame, evaluation: pd.DataFrame) -> None:
        rows = evaluation.assign(schooling_code="16", sex=1)
        found = wrong(examine(training, rows, policy()))
        assert found["columns", None].reason.endswith(
            "schooling_code (training number, evaluation text), sex (training text, evaluation number)"
        )

    def test_another_width_or_encoding_of_the_same_kind_does_not(
        self, training: pd.DataFrame, evaluation: pd.DataFrame
    ) -> None:
        other = evaluation.astype({"schooling_code": "float32", "age": "Int16", "sex": "object", "race": "str"})
        assert examine(training, other, policy()) == examine(training, evaluation, policy())

    def test_a_band_over_words_is_an_error(self, training: pd.DataFrame, evaluation: pd.DataFrame) -> None:
        bands = {"age_band": Band(column="sex", edges=(1.0,))}
        assert wrong(examine(training, evaluation, policy(bands=bands)))["columns", None].verdict is Verdict.ERROR

    def test_a_repeated_column_is_an_error(self, training: pd.DataFrame, evaluation: pd.DataFrame) -> None:
        twice = pd.concat([evaluation, evaluation[["age"]]], axis=1)
        assert (
            wrong(examine(training, twice, policy()))["columns", None].reason == "1 columns appear more than once: age"
        )

    def test_a_misspelt_exclusion_is_a_warning(self, training: pd.DataFrame, evaluation: pd.DataFrame) -> None:
        found = wrong(examine(training, evaluation, policy(exclude=("champion_probabilty",))))
        assert found["excluded", None].severity == "warning"
        assert found["excluded", None].reason.endswith(": champion_probabilty")

    def test_nothing_but_id_and_label_is_an_error(self, training: pd.DataFrame, evaluation: pd.DataFrame) -> None:
        found = wrong(
            examine(training[["person_id", "survey_year", "employed"]], evaluation, policy(max_copied_rows=1.0))
        )
        assert found["leak", None].verdict is Verdict.ERROR


@pytest.mark.parametrize("empty", ["training", "evaluation", "both"])
def test_empty_tables_never_pass(training: pd.DataFrame, evaluation: pd.DataFrame, empty: str) -> None:
    first = training[:0] if empty != "evaluation" else training
    second = evaluation[:0] if empty != "training" else evaluation
    assert DataReport(findings=examine(first, second, policy())).verdict is Verdict.FAIL
