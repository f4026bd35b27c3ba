"""The Great Expectations task: every hole is shown open in the tool itself and closed here."""

import io
import json
import logging
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headgate.errors import BadInput
from headgate.finding import DataReport, Finding
from headgate.verdict import Verdict
from tasks import expect
from tasks.expect import check_suite

MODEL = Path(__file__).parents[2] / "expectations" / "employment"
BETWEEN = "expect_column_values_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"
MEAN = "expect_column_mean_to_be_between"
NOTHING = [None] * 4


def demand(kind: str, severity: str = "critical", **kwargs: object) -> dict[str, Any]:
    return {"type": kind, "kwargs": kwargs, "severity": severity}


def suite(*expectations: dict[str, Any]) -> dict[str, Any]:
    return {"name": "s", "expectations": list(expectations)}


def frame(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"n": [1.0, 2.0, 3.0, 4.0], "t": ["x", "y", "x", "y"], **columns})


def tool_says(table: pd.DataFrame, expectations: list[dict[str, Any]], **options: object) -> Any:
    """What Great Expectations itself answers, used as its documentation shows."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx

        context = gx.get_context(mode="ephemeral")
        asset = context.data_sources.add_pandas("p").add_dataframe_asset("a")
        batch = asset.add_batch_definition_whole_dataframe("b").get_batch({"dataframe": table})
        return batch.validate(gx.ExpectationSuite(name="s", expectations=expectations), **options)


def ours(table: pd.DataFrame, *expectations: dict[str, Any]) -> tuple[Finding, ...]:
    return check_suite(table, suite(*expectations), "training")


def of(found: tuple[Finding, ...], check: str) -> Finding:
    (one,) = [f for f in found if f.check == check]
    return one


PASSES_THERE_NOT_HERE = {
    "empty suite": (frame(), [], "ERROR"),
    "no rows: between": (frame().iloc[:0], [demand(BETWEEN, column="n", min_value=0)], "ERROR"),
    "no rows: unique": (frame().iloc[:0], [demand("expect_column_values_to_be_unique", column="t")], "ERROR"),
    "no rows: column exists": (frame().iloc[:0], [demand("expect_column_to_exist", column="n")], "ERROR"),
    "all null: between": (frame(n=np.full(4, np.nan)), [demand(BETWEEN, column="n", min_value=0)], "ERROR"),
    "all null: in set": (frame(t=NOTHING), [demand(IN_SET, column="t", value_set=["x"])], "ERROR"),
    "all null: unique": (frame(t=NOTHING), [demand("expect_column_values_to_be_unique", column="t")], "ERROR"),
    "all null: regex": (
        frame(t=pd.array(NOTHING, dtype="str")),
        [demand("expect_column_values_to_match_regex", column="t", regex="^x$")],
        "ERROR",
    ),
    "all null: share of unique values": (
        frame(n=np.full(4, np.nan)),
        [demand("expect_column_proportion_of_unique_values_to_be_between", column="n", max_value=1)],
        "ERROR",
    ),
    "row condition that selects nothing": (
        frame(),
        [demand(IN_SET, column="t", value_set=["z"], row_condition="n > 100", condition_parser="pandas")],
        "ERROR",
    ),
    "infinity under a minimum": (frame(n=[1.0, 2.0, 3.0, np.inf]), [demand(BETWEEN, column="n", min_value=0)], "FAIL"),
    "mean of infinity": (frame(n=[1.0, 2.0, 3.0, np.inf]), [demand(MEAN, column="n", min_value=0)], "FAIL"),
    "infinity in a column of no expectation": (
        frame(m=[1.0, -np.inf, 0.0, 0.0]),
        [demand(BETWEEN, column="n", min_value=0)],
        "FAIL",
    ),
    "some values missing": (frame(t=["x", None, "x", "y"]), [demand(IN_SET, column="t", value_set=["x", "y"])], "FAIL"),
    "NaN in a column of no expectation": (
        frame(m=[1.0, np.nan, 0.0, 0.0]),
        [demand(BETWEEN, column="n", min_value=0)],
        "FAIL",
    ),
    "nothing critical": (frame(), [demand(BETWEEN, "warning", column="n", min_value=0)], "ERROR"),
}


@pytest.mark.parametrize("hole", PASSES_THERE_NOT_HERE)
def test_what_succeeds_there_does_not_pass_here(hole: str) -> None:
    table, expectations, expected = PASSES_THERE_NOT_HERE[hole]
    assert tool_says(table, expectations).success is True
    found = ours(table, *expectations)
    # In an all-null column the missing values are a finding too; the expectation itself must be the ERROR.
    judged = [f.verdict.name for f in found if f.check not in {"values_present"}] if expected == "ERROR" else []
    assert DataReport(findings=found).verdict is not Verdict.PASS
    assert expected in (judged or [f.verdict.name for f in found])


REFUSED_THOUGH_IT_SUCCEEDS_THERE = {
    "mostly=0": demand(BETWEEN, column="n", min_value=100, mostly=0),
    "mean without bounds": demand(MEAN, column="n"),
    "row count without bounds": demand("expect_table_row_count_to_be_between"),
    "infinite bounds": demand(BETWEEN, column="n", min_value=-np.inf, max_value=np.inf),
    "quantile without bounds": demand(
        "expect_column_quantile_values_to_be_between",
        column="n",
        quantile_ranges={"quantiles": [0.5], "value_ranges": [[None, None]]},
    ),
    "empty set to contain": demand("expect_column_distinct_values_to_contain_set", column="t", value_set=[]),
    "empty set to avoid": demand("expect_column_values_to_not_be_in_set", column="t", value_set=[]),
    "empty pattern": demand("expect_column_values_to_match_regex", column="t", regex=""),
    "row condition on a statistic": demand(
        "expect_column_proportion_of_unique_values_to_be_between",
        column="n",
        max_value=1,
        row_condition="n > 100",
        condition_parser="pandas",
    ),
    "unknown type": demand("expect_column_values_to_be_lovely", column="n"),
}


@pytest.mark.parametrize("hole", REFUSED_THOUGH_IT_SUCCEEDS_THERE)
def test_a_demand_that_cannot_fail_is_refused(hole: str) -> None:
    expectation = REFUSED_THOUGH_IT_SUCCEEDS_THERE[hole]
    assert tool_says(frame(), [expectation]).success is True
    with pytest.raises(BadInput, match=r"1 bad expectations of 1: \[0\]"):
        ours(frame(), expectation)


def test_all_bad_expectations_are_named_at_once() -> None:
    bad = [
        demand("expect_nothing_of_the_kind"),
        demand(BETWEEN, column="n", min_value=0),
        demand(BETWEEN, column="n", min_valu=0, max_value=1),
        demand(BETWEEN, "fatal", column="n", min_value=0),
        {"type": BETWEEN},
        {**demand(BETWEEN, column="n", min_value=0), "kwarg": {}},
        demand(BETWEEN, column="n", min_value={"$PARAMETER": "low"}, max_value=1),
        demand(BETWEEN, column="n", min_value=0, result_format="BOOLEAN_ONLY"),
    ]
    with pytest.raises(BadInput, match="7 bad expectations of 8") as caught:
        ours(frame(), *bad)
    assert [f"[{i}]" in caught.value.got for i in range(8)] == [True, False, *[True] * 6]


@pytest.mark.parametrize("broken", [[], None, {}, {"expectations": {}}, {"expectations": ["x"]}, {"expectation": []}])
def test_what_is_no_suite_is_refused(broken: Any) -> None:
    with pytest.raises(BadInput, match="evaluation suite"):
        check_suite(frame(), broken, "evaluation")


@pytest.mark.parametrize(
    "expectation",
    [
        demand(BETWEEN, column="absent", min_value=0),
        demand("expect_column_pair_values_to_be_equal", column_A="n", column_B="absent"),
        demand(MEAN, column="t", min_value=0),
        demand(BETWEEN, column="n", min_value=9, max_value=0),
        demand(BETWEEN, column="n", min_value=0, row_condition="absent > 1", condition_parser="pandas"),
    ],
)
def test_an_exception_is_an_error_and_not_a_fail(expectation: dict[str, Any]) -> None:
    assert of(ours(frame(), expectation), expectation["type"]).verdict is Verdict.ERROR


def test_a_missing_column_fails_the_demand_that_it_exists() -> None:
    found = ours(frame(), demand("expect_column_to_exist", column="absent"))
    assert of(found, "expect_column_to_exist").verdict is Verdict.FAIL


def test_a_failed_warning_is_reported_and_does_not_halt() -> None:
    expectations = [demand(BETWEEN, column="n", min_value=0), demand(MEAN, "warning", column="n", min_value=50)]
    assert tool_says(frame(), expectations).success is False
    found = ours(frame(), *expectations)
    warned = of(found, MEAN)
    assert (warned.verdict, warned.severity) == (Verdict.FAIL, "warning")
    assert "observed 2.5" in warned.reason
    assert DataReport(findings=found).verdict is Verdict.PASS


@pytest.mark.parametrize(
    "allowing",
    [
        demand("expect_column_values_to_not_be_null", column="t", mostly=0.7),
        demand("expect_column_proportion_of_non_null_values_to_be_between", column="t", min_value=0.7),
    ],
)
def test_missing_values_pass_as_far_as_the_suite_allows_them(allowing: dict[str, Any]) -> None:
    asked = demand(IN_SET, column="t", value_set=["x", "y"])
    one, two = frame(t=["x", None, "x", "y"]), frame(t=["x", None, None, "y"])
    assert DataReport(findings=ours(one, asked, allowing)).verdict is Verdict.PASS
    assert DataReport(findings=ours(two, asked, allowing)).verdict is Verdict.FAIL


def test_missing_values_allowed_in_some_rows_only_are_not_allowed_in_all() -> None:
    asked = demand(IN_SET, column="t", value_set=["x", "y"])
    some = {"row_condition": "n > 2", "condition_parser": "pandas"}
    allowing = demand("expect_column_values_to_not_be_null", column="t", **some)
    found = ours(frame(t=["x", None, "x", "y"]), asked, allowing)
    assert of(found, "expect_column_values_to_not_be_null").verdict is Verdict.PASS
    assert of(found, "values_present").verdict is Verdict.FAIL


@pytest.mark.parametrize("dtype", ["float32", "Float64", "object", "category"])
def test_infinities_are_seen_in_every_type(dtype: str) -> None:
    table = frame(n=pd.Series([1.0, 2.0, np.inf, -np.inf]).astype(dtype))
    found = of(ours(table, demand("expect_column_values_to_be_unique", column="n")), "values_present")
    assert (found.verdict, found.rows, found.column) == (Verdict.FAIL, 2, "n")


def test_columns_that_appear_twice_are_an_error() -> None:
    table = pd.concat([frame(), frame()], axis=1)
    assert [f.verdict for f in ours(table, demand("expect_column_to_exist", column="n"))] == [Verdict.ERROR]


def test_an_expectation_without_a_result_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = expect._evaluated

    def loses_one(table: pd.DataFrame, built: list[Any]) -> tuple[dict[int, Any], str]:
        results, raised = whole(table, built)
        del results[1]
        return results, raised

    monkeypatch.setattr(expect, "_evaluated", loses_one)
    found = ours(frame(), demand(BETWEEN, column="n", min_value=0), demand(MEAN, column="n", min_value=0))
    complete = of(found, "suite")
    assert complete.verdict is Verdict.ERROR
    assert f"1 of 2 expectations were evaluated; without a result: [1] {MEAN}" in complete.reason


def test_a_failure_of_the_tool_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from great_expectations.datasource.fluent.interfaces import Batch

    def breaks(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(Batch, "validate", breaks)
    complete = of(ours(frame(), demand(BETWEEN, column="n", min_value=0)), "suite")
    assert complete.verdict is Verdict.ERROR
    assert "0 of 1 expectations were evaluated after RuntimeError" in complete.reason


def test_equal_expectations_each_get_their_own_verdict() -> None:
    same = demand(BETWEEN, column="n", min_value=0, max_value=3)
    found = [f for f in ours(frame(), same, same) if f.check == BETWEEN]
    assert [f.verdict for f in found] == [Verdict.FAIL, Verdict.FAIL]


def test_no_value_of_a_row_is_kept() -> None:
    secret, number = "Zanzibar-77", 987654.25
    table = frame(t=["x", "y", "x", secret], n=[1.0, 2.0, 3.0, number], o=pd.Series([1, secret, 2, 3], dtype=object))
    expectations = [
        demand(IN_SET, column="t", value_set=["x", "y"]),
        demand(BETWEEN, column="n", max_value=10),
        demand(BETWEEN, column="o", max_value=10),
        demand("expect_column_max_to_be_between", column="n", max_value=10),
        demand("expect_column_distinct_values_to_be_in_set", column="t", value_set=["x"]),
        demand("expect_column_pair_values_to_be_equal", column_A="t", column_B="n"),
    ]
    kept_there = json.dumps(tool_says(table, expectations, result_format="SUMMARY").to_json_dict(), default=str)
    kept_here = json.dumps([f.model_dump(mode="json") for f in ours(table, *expectations)])
    for value in (secret, str(number)):
        assert value in kept_there
        assert value not in kept_here
    assert "987,654" not in kept_here


def test_a_reason_names_the_demand_and_the_arithmetic() -> None:
    table = pd.DataFrame({"age": [40] * 11_988 + [999] * 12})
    found = of(ours(table, demand(BETWEEN, column="age", min_value=18, max_value=99)), BETWEEN)
    assert found.reason == f"{BETWEEN}(age, min_value=18, max_value=99): 12 of 12,000 values (0.1%) are unexpected"
    assert (found.rows, found.column) == (12, "age")


def test_nothing_is_written_printed_or_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GX_ANALYTICS_ENABLED", "true")
    handler = logging.StreamHandler()  # as Prefect sets up once a flow has run in the process
    logging.getLogger().addHandler(handler)
    try:
        ours(frame(), demand(BETWEEN, column="n", min_value=0))
    finally:
        logging.getLogger().removeHandler(handler)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"


class TestShippedSuites:
    """The demo's suites pass on the demo's data, as read from Parquet and from CSV, and fail on dirt."""

    @staticmethod
    def shipped(table: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((MODEL / f"{table}.json").read_text(encoding="utf-8"))
        return document

    @staticmethod
    def extract(people: pd.DataFrame, table: str) -> pd.DataFrame:
        if table == "evaluation":
            return people[people.survey_year == 2018].reset_index(drop=True)
        more = ["disability", "hearing_difficulty", "vision_difficulty", "cognitive_difficulty", "relationship_code"]
        return people[people.survey_year == 2015].drop(columns=[*more, "champion_probability"]).reset_index(drop=True)

    @pytest.mark.parametrize("table", ["training", "evaluation"])
    @pytest.mark.parametrize("through_csv", [False, True])
    def test_pass_on_the_real_rows(self, people: pd.DataFrame, table: Any, through_csv: bool) -> None:
        rows = self.extract(people, table)
        if through_csv:
            rows = pd.read_csv(io.StringIO(rows.to_csv(index=False)))
        found = check_suite(rows, self.shipped(table), table)
        assert [f for f in found if f.verdict is not Verdict.PASS] == []
        assert len(found) == len(self.shipped(table)["expectations"]) + 2

    @pytest.mark.parametrize("table", ["training", "evaluation"])
    @pytest.mark.parametrize(
        ("column", "value", "check"),
        [
            ("age", -1, BETWEEN),
            ("age", 999, BETWEEN),
            ("age", np.inf, "values_present"),
            ("age", np.nan, "values_present"),
            ("marital", "annulled", IN_SET),
            ("marital", None, "values_present"),
            ("employed", 2, IN_SET),
            ("schooling_code", 99, BETWEEN),
            ("person_id", "again", "expect_column_values_to_be_unique"),
        ],
    )
    def test_fail_on_one_dirty_value(
        self, people: pd.DataFrame, table: Any, column: str, value: Any, check: str
    ) -> None:
        rows = self.extract(people, table)
        # Types as after a CSV file, which hold any value.
        wide = rows[column].astype(object if column == "marital" else "float64")
        wide.iloc[7] = wide.iloc[8] if value == "again" else value
        found = check_suite(rows.assign(**{column: wide}), self.shipped(table), table)
        assert DataReport(findings=found).verdict is Verdict.FAIL
        failed = {(f.check, f.column) for f in found if f.verdict is not Verdict.PASS}
        assert (check, column) in failed

    def test_say_that_a_column_is_missing(self, people: pd.DataFrame) -> None:
        rows = self.extract(people, "evaluation").drop(columns="disability")
        found = check_suite(rows, self.shipped("evaluation"), "evaluation")
        assert [(f.column, f.verdict) for f in found if f.verdict] == [("disability", Verdict.ERROR)]

    @pytest.mark.parametrize("table", ["training", "evaluation"])
    def test_every_expectation_gives_its_reason(self, table: str) -> None:
        assert all(len(e["meta"]["notes"]) > 20 for e in self.shipped(table)["expectations"])
