"""The decisions about rows, against scikit-learn, plain Python and cases worked by hand."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from headgate import outcomes, rows
from headgate.finding import DataReport, Finding
from headgate.verdict import Verdict


def codes(*values: int) -> rows.Codes:
    return np.array(values, dtype=np.int64)


def floats(*values: float) -> rows.Floats:
    return np.array(values, dtype=np.float64)


class TestRankAuc:
    @settings(max_examples=60)
    @given(
        # Few distinct scores, so that ties within and across the classes are the rule.
        scores=arrays.arrays(np.float64, 40, elements=st.integers(-3, 3).map(float)),
        labels=arrays.arrays(np.bool_, 40).filter(lambda a: 0 < a.sum() < 40),
    )
    def test_equals_scikit_learns(self, scores: rows.Floats, labels: rows.Mask) -> None:
        assert rows.rank_auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)

    @pytest.mark.parametrize("labels", [[True, True], [False, False], []])
    def test_is_nan_when_a_class_is_absent(self, labels: list[bool]) -> None:
        assert math.isnan(rows.rank_auc(np.arange(len(labels), dtype=float), np.array(labels, dtype=bool)))

    def test_counts_wins_by_hand(self) -> None:
        # Of the 4 pairs (positive, negative) two are won, one is tied, one is lost: 2.5 / 4.
        labels = np.array([True, True, False, False])
        assert rows.rank_auc(floats(3, 1, 1, 2), labels) == 0.625


class TestColumnAuc:
    def test_folds_both_directions(self) -> None:
        labels = np.array([True, True, False, False])
        assert rows.folded_auc(floats(1, 2, 3, 4), labels) == rows.folded_auc(floats(4, 3, 2, 1), labels) == 1.0

    @pytest.mark.parametrize("missing_is", [True, False])
    def test_missingness_that_is_the_label_is_a_leak(self, missing_is: bool) -> None:
        labels = np.arange(200) % 2 == 0
        values = np.where(labels == missing_is, np.nan, np.random.default_rng(1).normal(size=200))
        assert rows.folded_auc(values, labels) == 1.0

    def test_identifiers_do_not_look_like_a_leak(self) -> None:
        labels = np.random.default_rng(2).random(4000) < 0.3
        fit = rows.halves(4000)
        assert rows.encoded_auc(np.arange(1, 4001), labels, fit) == 0.5

    def test_a_number_that_leaks_without_order_is_found_as_categories(self) -> None:
        rng = np.random.default_rng(3)
        kind = rng.integers(1, 7, 4000)
        labels = kind % 2 == 0
        fit = rows.halves(4000)
        assert rows.folded_auc(kind.astype(float), labels) < 0.7
        assert rows.column_auc(kind, kind.astype(float), labels, fit) == 1.0

    def test_agrees_with_scikit_learn_on_the_other_half(self) -> None:
        rng = np.random.default_rng(4)
        kind, fit = rng.integers(0, 5, 3000), rows.halves(3000)
        labels = rng.random(3000) < 0.1 + 0.15 * kind
        means = {k: labels[fit & (kind == k)].mean() for k in range(5)}
        expected = roc_auc_score(labels[~fit], [means[k] for k in kind[~fit]])
        assert rows.encoded_auc(kind, labels, fit) == pytest.approx(expected, abs=1e-12)

    def test_the_halves_follow_no_pattern_of_the_rows(self) -> None:
        half = rows.halves(40_000)
        assert np.array_equal(half, rows.halves(40_000))
        for period in (2, 3, 4, 7, 365):
            for start in range(min(period, 4)):
                part = half[start::period]
                # Five standard errors of a fair coin.
                assert abs(part.mean() - 0.5) < 2.5 / math.sqrt(len(part))


class TestRowKeys:
    @settings(max_examples=40)
    @given(arrays.arrays(np.int64, (12, 5), elements=st.integers(0, 2)), st.sampled_from([1, 2**30, 2**60]))
    def test_are_equal_exactly_for_equal_rows(self, table: rows.Codes, scale: int) -> None:
        # The scale makes the product of the columns' widths exceed 64 bits.
        keys = rows.row_keys(list((table * scale).T))
        for i, j in np.ndindex(12, 12):
            assert (keys[i] == keys[j]) == (table[i] == table[j]).all()

    def test_repeated_counts_every_row_of_a_repetition(self) -> None:
        assert rows.repeated(codes(1, 2, 2, 3, 3, 3)) == 5
        assert rows.repeated(codes()) == 0


class TestIds:
    @pytest.mark.parametrize(
        ("given", "verdict", "concerned"),
        [((1, 2, 3), "PASS", 0), ((1, 2, 2), "FAIL", 2), ((1, 0, 3), "FAIL", 1), ((0, 0, 1), "FAIL", 2)],
    )
    def test_must_be_unique_and_present(self, given: tuple[int, ...], verdict: str, concerned: int) -> None:
        found = rows.unique_ids(codes(*given), "id", "training")
        assert (found.verdict.name, found.rows, found.column) == (verdict, concerned, "id")

    def test_one_shared_id_fails(self) -> None:
        assert rows.shared_ids(codes(1, 2), codes(3, 4), "id").verdict is Verdict.PASS
        found = rows.shared_ids(codes(1, 2), codes(3, 2), "id")
        assert (found.verdict, found.rows) == (Verdict.FAIL, 1)
        assert "1 of 2 (50%)" in found.reason

    def test_two_missing_ids_are_not_a_shared_one(self) -> None:
        assert rows.shared_ids(codes(0, 2), codes(0, 3), "id").verdict is Verdict.PASS


def test_shared_content_fails_above_the_limit_only_and_names_the_twins() -> None:
    # Half of the evaluation rows stand in training; a quarter of the training rows have a twin there: an excess of .25.
    training, evaluation = codes(1, 1, 2, 5, 6, 7, 8, 9), codes(1, 2, 3, 4)
    assert rows.shared_content(training, evaluation, 0.25).verdict is Verdict.PASS
    found = rows.shared_content(training, evaluation, 0.24)
    assert (found.verdict, found.rows) == (Verdict.FAIL, 2)
    assert "2 of 4 (50%) evaluation rows" in found.reason
    assert "2 of 8 (25%) training rows" in found.reason
    assert "+25.00 points" in found.reason


class TestLabels:
    @pytest.mark.parametrize(
        ("values", "verdict"),
        [
            ([0.0] * 30 + [1.0] * 30, "PASS"),
            ([0.0] * 30 + [1.0] * 29, "INCONCLUSIVE"),
            ([0.0] * 60, "ERROR"),
            ([1.0] * 60, "ERROR"),
            ([], "ERROR"),
            ([0.0] * 30 + [1.0] * 30 + [2.0], "FAIL"),
            ([0.0] * 30 + [1.0] * 30 + [0.5], "FAIL"),
            ([0.0] * 30 + [1.0] * 30 + [math.nan], "FAIL"),
            ([0.0] * 30 + [1.0] * 30 + [math.inf], "FAIL"),
        ],
    )
    def test_are_zero_or_one_with_enough_of_each(self, values: list[float], verdict: str) -> None:
        assert outcomes.zero_or_one(floats(*values), "y", "training").verdict.name == verdict


class TestLeaks:
    def test_pass_names_the_best_column(self) -> None:
        (found,) = rows.leaks({"a": 0.6, "b": 0.98}, 0.98)
        assert found.verdict is Verdict.PASS
        assert "b, ranks the label with AUC 0.980" in found.reason

    def test_every_column_above_the_limit_fails_and_nan_is_an_error(self) -> None:
        found = {f.column: f.verdict for f in rows.leaks({"a": 0.981, "b": math.nan, "c": 0.6, "d": 1.0}, 0.98)}
        assert found == {"a": Verdict.FAIL, "b": Verdict.ERROR, "d": Verdict.FAIL}

    def test_no_feature_is_an_error(self) -> None:
        assert [f.verdict for f in rows.leaks({}, 0.98)] == [Verdict.ERROR]


class TestTablesAndGroups:
    def test_the_minimum_itself_is_enough(self) -> None:
        verdicts = [rows.enough_rows(n, 1000, "training").verdict.name for n in (0, 999, 1000)]
        assert verdicts == ["FAIL", "FAIL", "PASS"]

    def test_a_small_group_is_an_inconclusive_warning(self) -> None:
        found = rows.group_sizes("race", {"white": 500, "other": 99, "black": 100}, 100)
        assert (found.verdict, found.severity, found.rows) == (Verdict.INCONCLUSIVE, "warning", 99)
        assert "1 of 3 groups of race have fewer than 100 rows: other 99" in found.reason

    def test_a_long_list_is_cut_and_counted(self) -> None:
        found = rows.group_sizes("town", {f"t{i}": 1 for i in range(25)}, 30)
        assert "t9 1 and 15 more" in found.reason
        assert "t10" not in found.reason

    def test_no_group_at_all_is_an_error(self) -> None:
        assert rows.group_sizes("race", {}, 100).verdict is Verdict.ERROR

    def test_a_row_outside_all_groups_fails(self) -> None:
        assert rows.in_a_group("race", np.array([False, True])).verdict is Verdict.FAIL
        assert rows.in_a_group("race", np.array([False, False])).verdict is Verdict.PASS

    def test_constants_are_a_warning_that_names_them(self) -> None:
        found = rows.constants({"a": 1, "b": 2, "c": 0})
        assert (found.verdict, found.severity) == (Verdict.FAIL, "warning")
        assert found.reason.endswith("2 of 3 features hold a single value: a, c")


def finding(verdict: Verdict, severity: str = "critical") -> Finding:
    return Finding.model_validate(
        {"check": "c", "table": "both", "verdict": verdict, "severity": severity, "reason": "1 of 2"}
    )


class TestDataReport:
    def test_is_the_worst_of_the_critical_findings(self) -> None:
        report = DataReport(
            findings=(finding(Verdict.PASS), finding(Verdict.INCONCLUSIVE), finding(Verdict.FAIL, "info"))
        )
        assert report.verdict is Verdict.INCONCLUSIVE

    @pytest.mark.parametrize("findings", [(), (finding(Verdict.PASS, "warning"), finding(Verdict.PASS, "info"))])
    def test_without_a_critical_finding_is_an_error(self, findings: tuple[Finding, ...]) -> None:
        assert DataReport(findings=findings).verdict is Verdict.ERROR

    def test_survives_json_with_verdicts_by_name(self) -> None:
        report = DataReport(findings=tuple(finding(v) for v in Verdict))
        document = json.loads(json.dumps(report.model_dump(mode="json")))
        assert [f["verdict"] for f in document["findings"]] == ["PASS", "INCONCLUSIVE", "ERROR", "FAIL"]
        assert DataReport.model_validate(document) == report
        assert DataReport.model_validate_json(report.model_dump_json()) == report

    @pytest.mark.parametrize(
        "change", [{"verdict": 0}, {"verdict": "OK"}, {"severity": "fatal"}, {"reason": ""}, {"rows": -1}, {"more": 1}]
    )
    def test_rejects_what_is_no_finding(self, change: dict[str, object]) -> None:
        with pytest.raises(ValidationError):
            Finding.model_validate(finding(Verdict.PASS).model_dump() | change)
