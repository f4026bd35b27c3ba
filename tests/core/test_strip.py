from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.judgement import Judged, Judgement, Omission
from headgate.strip import GATE, LINE, WIDTH, legend, lines, strip
from headgate.verdict import Verdict


def judgement(**changes: object) -> Judgement:
    made = {
        "gate": "g", "metric": "roc_auc", "slice": "all", "form": "limit", "verdict": Verdict.PASS, "reason": "because",
        "value": 0.7, "lower": 0.65, "upper": 0.75, "n": 400, "limit": 0.6, "floor": 0.6, "alpha": 0.05, "p_harm": 1.0,
        "method": "DeLong", "rows_needed": None, "evidence": None,
    }  # fmt: skip
    return Judgement.model_validate({**made, **changes})


def judged(*each: Judgement) -> Judged:
    return Judged(judgements=each, family=len(each), alpha=0.05)


@pytest.mark.parametrize(
    ("changes", "drawn"),
    [
        ({}, "  ┃    ─────◆─────  "),
        ({"floor": 0.3}, "  ┃           ─◆──  "),
        ({"floor": 0.7, "value": 0.6, "lower": 0.5, "upper": 0.65}, "  ────────◆───   ┃  "),
        ({"floor": 0.66}, "  ──╂────◆────────  "),
        ({"floor": 0.7}, "  ───────◈────────  "),
        ({"floor": 0.65}, "  ┃──────◆────────  "),
        ({"floor": None, "ceiling": 0.8, "lower": None}, "◂─◆────────      ┃  "),
        ({"upper": None}, "  ┃       ───────◆─▸"),
        ({"lower": None, "upper": None}, "◂─╂──────────────◆─▸"),
        ({"floor": -0.08, "ceiling": 0.08, "value": 0.02, "lower": 0.0, "upper": 0.04}, "  ┃       ─◆──   ┃  "),
        ({"floor": -1e-9, "ceiling": 1e-9, "value": 0.0, "lower": -0.5, "upper": 0.5}, "  ───────╂◆╂──────  "),
        ({"floor": None, "ceiling": 250.0, "value": 19.0, "lower": 18.0, "upper": 25.0}, "  ◆              ┃  "),
        ({"floor": None, "ceiling": 0.0, "value": 0.0, "lower": 0.0, "upper": 0.0}, "          ◈         "),
        ({"value": None, "lower": None, "upper": None}, " " * WIDTH),
    ],
)
def test_a_strip_draws_value_bounds_and_limits(changes, drawn):
    assert strip(judgement(**changes)) == drawn


@st.composite
def comparisons(draw: st.DrawFn) -> Judgement:
    """A value with its bounds, some unknown, and a floor, a ceiling or both."""
    numbers = st.one_of(st.sampled_from([0.0, 0.1, 0.3]), st.floats(allow_nan=False, allow_infinity=False))
    lower, value, upper = sorted(draw(st.tuples(numbers, numbers, numbers)))
    low, high = sorted(draw(st.tuples(numbers, numbers)))
    side = draw(st.sampled_from(["floor", "ceiling", "both"]))
    return judgement(
        value=value,
        lower=draw(st.sampled_from([lower, None])),
        upper=draw(st.sampled_from([upper, None])),
        floor=None if side == "ceiling" else low,
        ceiling=None if side == "floor" else high,
    )


@given(comparisons(), st.integers(12, 60))
def test_the_order_of_the_signs_is_the_order_of_the_numbers(j, width):
    drawn = strip(j, width)
    assert len(drawn) == width
    bar = [at for at, sign in enumerate(drawn) if sign in "◆◈─╂◂▸" or (sign == "┃" and _touches(j))]
    (value,) = [at for at, sign in enumerate(drawn) if sign in "◆◈"]
    assert bar[0] <= value <= bar[-1]
    assert (drawn[0] == "◂", drawn[-1] == "▸") == (j.lower is None, j.upper is None)
    assert ("◈" in drawn) == (j.value in (j.floor, j.ceiling))
    ticks = [at for at, sign in enumerate(drawn) if sign in "┃╂◈"]
    assert len(ticks) == len({x for x in (j.floor, j.ceiling) if x is not None})
    known = [j.lower if j.lower is not None else -math.inf, j.upper if j.upper is not None else math.inf]
    if j.floor is not None and known[0] > j.floor:
        assert drawn.index(drawn.strip()[0]) == ticks[0] < value, "the whole bar is right of the floor"
        assert set(drawn[: ticks[0]]) <= {" "}
    if j.ceiling is not None and known[1] < j.ceiling:
        assert value < ticks[-1]
        assert set(drawn[ticks[-1] + 1 :]) <= {" "}, "the whole bar is left of the ceiling"
        assert drawn[ticks[-1]] == "┃"


def _touches(j: Judgement) -> bool:
    return bool({j.lower, j.upper} & {j.floor, j.ceiling} - {None})


def test_a_line_has_the_verdict_the_gate_the_strip_and_the_figures_of_the_worst_comparison():
    each = [
        judgement(gate="roc-auc"),
        judgement(gate="by-group", form="champion", slice="race=a", value=0.01, lower=0.0, upper=0.02, floor=None,
                  ceiling=0.15),
        judgement(gate="by-group", form="champion", slice="race=b", value=0.289, lower=0.232, upper=0.34, floor=None,
                  ceiling=0.15, verdict=Verdict.FAIL),
        judgement(gate="gap", form="gap", slice="sex", groups=("sex=f", "sex=m"), value=-0.02, lower=-0.04, upper=0.01,
                  floor=-0.08, ceiling=0.08),
        judgement(gate="memory", value=None, lower=None, upper=None, floor=None, ceiling=9.0, verdict=Verdict.ERROR),
    ]  # fmt: skip
    assert lines(judged(*each)) == [
        "PASS         roc-auc                      ┃    ─────◆─────    0.7 (≥ 0.6)",
        "FAIL         by-group                     ┃     ─────◆────    +0.289 (≤ 0.15) in race=b",
        "PASS         gap                          ┃   ──◆──      ┃    -0.02 (± 0.08) across sex",
        "ERROR        memory                                           not measured (≤ 9)",
    ]


def test_what_was_not_judged_has_a_line_too():
    made = Judged(judgements=(), omitted=(Omission(gate="no-worse", reason="nothing is live"),), family=0, alpha=0.05)
    assert lines(made) == ["not judged   no-worse                   nothing is live"]


def test_of_a_gate_that_passes_everywhere_the_comparison_nearest_to_the_limit_is_shown():
    exact = judgement(slice="named", form="scenarios", value=0.6, lower=0.6, upper=0.6)
    each = [judgement(slice=s, lower=low) for s, low in (("far", 0.69), ("near", 0.61), ("middle", 0.65))] + [exact]
    (line,) = lines(judged(*each))
    assert line.endswith(" in near")


def test_nothing_from_data_moves_the_cursor_and_no_line_is_longer_than_the_terminal():
    evil = judgement(gate="g" * 80, slice=f"race=\x1b[31m{'x' * 80}\u202e")
    (line,) = lines(judged(evil))
    assert len(line) == LINE
    assert line.isprintable()
    assert f" {'g' * (GATE - 1)}… " in line


def test_the_legend_names_every_sign_and_the_confidence():
    assert legend(judged(judgement())) == ("◆ value   ─── one-sided bounds at 95%   ┃ limit   ◈ both   ◂ ▸ unbounded")
