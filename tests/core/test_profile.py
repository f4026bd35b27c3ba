"""Cells and profiles: what of a column is kept, that parts add up, and that nobody's row can be read from it."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from watch_of import reference

from headgate.cells import Cells, distance, of_numbers, of_texts
from headgate.errors import BadInput
from headgate.estimate import Estimate, Unmeasurable
from headgate.profile import LATENCIES, Profile, Reference, merge, profile
from headgate.telemetry import Served

SINCE, UNTIL = "2026-07-01T12:00:00Z", "2026-07-01T13:00:00Z"


def served(n: int, **more: object) -> Served:
    given = {"inputs": {"age": 40.0, "sex": "f"}, "scores": (0.5,), "ms": 5.0, **more}
    return Served(id=f"r{n}", time=SINCE, subject="s", stage="broad", version=1, **given)


def test_a_value_that_many_share_has_a_cell_so_that_rows_which_leave_it_are_seen() -> None:
    # Deciles of a column where 62% are -1 put everything into one bin, and see nothing when all of them move.
    usual = [-1.0] * 6_200 + np.linspace(0, 100, 3_800).tolist()
    moved = np.linspace(0, 100, 10_000).tolist()
    cells = of_numbers(usual)
    assert cells.points == (-1.0,)
    assert len(cells.edges) == 9
    assert distance(cells.counts(usual), cells.counts(moved)) == pytest.approx(0.62, abs=0.01)


def test_every_bin_of_the_rest_holds_a_tenth_of_it() -> None:
    values = np.random.default_rng(1).normal(size=5_000).tolist()
    counts = of_numbers(values).counts(values)
    assert counts[:10] == (500,) * 10
    assert counts[10:] == (0, 0)


def test_what_is_no_number_what_is_missing_and_what_was_never_seen_have_cells() -> None:
    numbers = Cells(kind="number", points=(0.0,), edges=(1.0, 2.0))
    values = [0, 0.5, 1, 1.5, 2, 99, True, "x", float("inf"), 10**400, None, float("nan"), " "]
    assert numbers.counts(values) == (1, 1, 3, 2, 3, 3)
    texts = Cells(kind="text", texts=("a", "b"))
    assert texts.counts(["a", "b", "b", "c", 7, None, "", float("nan")]) == (1, 2, 2, 3)
    assert numbers.counts([]) == (0,) * 6


def test_a_text_that_few_have_is_not_spelled_out() -> None:
    values = ["common"] * 50 + ["of Mr Smith"] * 9
    cells = of_texts(values)
    assert cells.texts == ("common",)
    assert cells.counts(values) == (50, 9, 0)
    many = of_texts([f"t{i % 300:03}" for i in range(30_000)])
    assert len(many.texts) == 100


def test_columns_of_one_value_or_of_none_can_be_compared_too() -> None:
    for values in ([3.0] * 10, [], [None] * 5, [float("nan")]):
        cells = of_numbers(values)
        assert sum(cells.counts([1.0, 3.0, None])) == 3
    assert distance((0, 0), (0, 0)) == 0.0


@given(st.lists(st.one_of(st.none(), st.floats(), st.integers(), st.text(), st.booleans())), st.booleans())
def test_every_value_is_in_exactly_one_cell(values: list[object], number: bool) -> None:
    cells = of_numbers(values) if number else of_texts(values)
    assert sum(cells.counts(values)) == len(values)
    assert len(cells.counts(values)) == cells.size
    assert Cells.model_validate_json(cells.model_dump_json()) == cells


def test_the_distance_is_that_of_the_shares() -> None:
    a, b = (10, 0, 30), (1, 1, 2)
    assert distance(a, b) == pytest.approx(sum(abs(x / 40 - y / 4) for x, y in zip(a, b, strict=True)) / 2)
    assert distance((5, 0), (0, 9)) == 1.0


def test_parts_of_a_window_add_up_however_it_is_cut() -> None:
    draw = random.Random(3)  # noqa: S311  # no secret
    lines = [
        served(
            n,
            inputs={"age": draw.choice([0.0, 33.0, None]), "sex": draw.choice(["f", "m", "x"])},
            ms=draw.random() * 500,
            failure=draw.choice([None, None, "Timeout"]),
        )
        for n in range(300)
    ]
    whole = profile(reference(), SINCE, UNTIL, lines, torn=3, repeated=2, labelled=7)
    for cut in (0, 1, 150, 300):
        left = profile(reference(), SINCE, UNTIL, lines[:cut], torn=1, repeated=2, labelled=3)
        right = profile(reference(), SINCE, UNTIL, lines[cut:], torn=2, labelled=4)
        assert merge(left, right).to_bytes() == merge(right, left).to_bytes() == whole.to_bytes()
    assert Profile.from_bytes(whole.to_bytes()) == whole


def test_scores_and_latencies_are_those_of_what_was_answered() -> None:
    lines = [served(1), served(2, failure="Timeout", scores=(), ms=9_000.0), served(3, scores=(0.1, 0.2))]
    made = profile(reference(), SINCE, UNTIL, lines)
    assert (made.requests, made.failures, made.answered) == (3, 1, 2)
    assert sum(made.scores["score"]) == 2
    assert made.scores["score"][-2] == 1, "two scores are not one"
    assert sum(n for _, n in made.latencies) == 2
    assert sum(made.inputs["age"]) == 3


def test_the_slowest_are_known_to_a_hundredth_and_what_is_beyond_all_bins_has_no_end() -> None:
    lines = [served(n, ms=100.0 if n % 50 else 400.0) for n in range(1_000)]
    slow = profile(reference(), SINCE, UNTIL, lines).slowest()
    assert isinstance(slow, Estimate)
    assert 400.0 <= slow.value <= 404.0
    lower, upper = slow.bounds(0.05)
    assert lower <= 400.0 <= upper
    endless = profile(reference(), SINCE, UNTIL, [served(n, ms=1e9) for n in range(1_000)]).slowest()
    assert isinstance(endless, Estimate)
    assert endless.bounds(0.05) == (LATENCIES[-1], float("inf"))


def test_of_nothing_nothing_is_known() -> None:
    empty = profile(reference(), SINCE, UNTIL, [])
    assert isinstance(empty.slowest(), Unmeasurable)
    assert isinstance(empty.share_failed(), Unmeasurable)
    assert isinstance(empty.variation(empty.inputs["age"], reference().inputs["age"]), Unmeasurable)


def test_a_reference_is_read_back_and_other_bytes_are_none() -> None:
    assert Reference.from_bytes(reference().to_bytes()) == reference()
    with pytest.raises(BadInput, match="reference of the monitor"):
        Reference.from_bytes(b"{}")
    assert len(reference().to_bytes()) < 3_000, "of 4,000 rows a few counts are kept"
