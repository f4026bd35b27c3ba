from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import BadInput
from headgate.policy import Band
from headgate.slices import MAX_GROUPS, banded, column, columns_of, combined, escaped, groups_of

ODD = st.text(alphabet="ab&=%~ \n7E26", max_size=6)


def labels(made):
    return [made.parts[code] for code in made.codes]


def test_labels_and_rows():
    race, sex = column("race", ["b", "w", "b"]), column("sex", ["f", "f", "m"])
    assert labels(sex) == ["sex=f", "sex=f", "sex=m"]
    assert labels(combined([race, sex])) == ["race=b & sex=f", "race=w & sex=f", "race=b & sex=m"]
    assert combined([race, sex]).parts == ("race=b & sex=f", "race=b & sex=m", "race=w & sex=f")


def test_missing_values_are_a_group():
    found = column("sex", ["f", None, float("nan"), " ", "missing", np.nan])
    assert labels(found) == ["sex=f", *["sex=missing"] * 5]


def test_coded_values_are_the_same_groups_and_unused_ones_are_none():
    found = column("sex", ["m", "unused", "f"], np.array([2, 0, 0, -1], dtype=np.int8))
    assert labels(found) == ["sex=f", "sex=m", "sex=m", "sex=missing"]
    assert found.parts == ("sex=f", "sex=m", "sex=missing")


@given(st.lists(st.tuples(ODD, ODD), min_size=1, max_size=20))
def test_rows_share_a_label_exactly_if_they_share_their_values(rows):
    a, b = zip(*rows, strict=True)
    found = labels(combined([column("a", a), column("b", b)]))
    key = [tuple("missing" if not v.strip() else v for v in row) for row in rows]
    for i in range(len(rows)):
        for j in range(i):
            assert (found[i] == found[j]) == (key[i] == key[j])


def test_long_values_keep_apart_and_no_value_imitates_a_shortened_one():
    long, other = "x" * 100 + "a", "x" * 100 + "b"
    assert escaped(long) != escaped(other)
    assert len(escaped(long)) < 100
    assert escaped(escaped(long)) != escaped(long)


def test_an_encoded_value_is_not_taken_for_what_it_encodes():
    assert len({escaped(text) for text in ("&", "%26", "%2526", "=", "~", "%7E", "\n", "%0A")}) == 8


def test_columns_and_groups_of_labels():
    assert columns_of("race=b & sex=f") == ("race", "sex")
    assert columns_of("all") == ()
    labels = ["all", "sex=f", "race=b & sex=f", "a%26b=x"]
    assert groups_of(("sex", "race"), labels) == ("race=b & sex=f",)
    assert groups_of("sex", labels) == ("sex=f",)
    assert groups_of("a&b", labels) == ("a%26b=x",)


@pytest.mark.parametrize("make", [list, lambda ages: np.array(ages, dtype=object)])
def test_bands_are_closed_below_and_open_above(make):
    band = Band(column="age", edges=(18.0, 29.5))
    ages = make([-np.inf, 17.999, 18, "29.4", 29.5, 90, None, float("nan")])
    low, middle, high = (f"age_band={part}" for part in ("under 18", "18 to under 29.5", "29.5 and over"))
    missing = ["age_band=missing"] * 2
    assert labels(banded("age_band", ages, band)) == [low, low, middle, middle, high, high, *missing]
    assert labels(banded("age_band", np.array([18, 17]), band)) == [middle, low]
    with pytest.raises(BadInput, match="age"):
        banded("age_band", ["old"], band)


def test_refuses_a_column_of_identities():
    with pytest.raises(BadInput, match="501 groups"):
        column("a", [str(i) for i in range(MAX_GROUPS + 1)])
    a, b = (column(n, [str(f(i)) for i in range(900)]) for n, f in (("a", lambda i: i % 30), ("b", lambda i: i // 30)))
    with pytest.raises(BadInput, match="900 groups"):
        combined([a, b])


def test_an_empty_column_has_no_group():
    assert column("a", []).parts == ()


def test_codes_that_stand_as_they_are_and_codes_that_do_not() -> None:
    assert column("s", ["a", "b"], [1, 0, 1]).codes.tolist() == [1, 0, 1]
    assert column("s", ["b", "a"], [1, 0, 1]).codes.tolist() == [0, 1, 0]
    assert column("s", ["a"], [0, -1]).parts == ("s=a", "s=missing")
    assert column("s", ["a"], [0, -1]).codes.tolist() == [0, 1], "the missing are a group, and no code is negative"
    assert column("s", ["a", "never", "z"], [0, 2, 0]).parts == ("s=a", "s=z")
    late = column("s", ["a", "z"], [0] * 50_000 + [1])
    assert (late.parts, late.codes[-1]) == (("s=a", "s=z"), 1)


@pytest.mark.parametrize("codes", [[0, 2], [-2, 0]])
def test_a_code_of_no_value_is_refused(codes: list[int]) -> None:
    with pytest.raises(BadInput, match="codes of the column 's'"):
        column("s", ["a", "b"], codes)
