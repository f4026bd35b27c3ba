from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.errors import BadInput
from headgate.policy import Band
from headgate.slices import MAX_GROUPS, banded, columns_of, escaped, groups_of, memberships

ODD = st.text(alphabet="ab&=%~ \n7E26", max_size=6)


def test_labels_and_rows():
    columns = {"race": ["b", "w", "b"], "sex": ["f", "f", "m"]}
    found = memberships(columns, ["sex", ("race", "sex")])
    assert {label: rows.tolist() for label, rows in found.items()} == {
        "all": [0, 1, 2],
        "sex=f": [0, 1],
        "sex=m": [2],
        "race=b & sex=f": [0],
        "race=b & sex=m": [2],
        "race=w & sex=f": [1],
    }


def test_missing_values_are_a_group():
    found = memberships({"sex": ["f", None, float("nan"), " ", "missing", np.nan]}, ["sex"])
    assert found["sex=missing"].tolist() == [1, 2, 3, 4, 5]


@given(st.lists(st.tuples(ODD, ODD), min_size=1, max_size=20))
def test_rows_share_a_label_exactly_if_they_share_their_values(rows):
    a, b = zip(*rows, strict=True)
    found = memberships({"a": a, "b": b}, [("a", "b")])
    label_of = {int(row): label for label, at in found.items() if label != "all" for row in at}
    assert sorted(label_of) == list(range(len(rows)))
    key = [tuple("missing" if not v.strip() else v for v in row) for row in rows]
    for i in range(len(rows)):
        for j in range(i):
            assert (label_of[i] == label_of[j]) == (key[i] == key[j])


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


def test_bands_are_closed_below_and_open_above():
    band = Band(column="age", edges=(18.0, 29.5))
    ages = [-np.inf, 17.999, 18, "29.4", 29.5, 90, None, float("nan")]
    low, middle, high = "under 18", "18 to under 29.5", "29.5 and over"
    assert banded(ages, band) == [low, low, middle, middle, high, high, "missing", "missing"]
    with pytest.raises(BadInput, match="age"):
        banded(["old"], band)


@pytest.mark.parametrize(
    ("columns", "slices"),
    [
        ({"a": ["x"]}, ["b"]),
        ({"a": ["x"], "b": []}, ["a"]),
        ({}, []),
        ({"a": [str(i) for i in range(MAX_GROUPS + 1)]}, ["a"]),
        ({"a": [str(i % 30) for i in range(900)], "b": [str(i // 30) for i in range(900)]}, [("a", "b")]),
    ],
)
def test_refuses(columns, slices):
    with pytest.raises(BadInput):
        memberships(columns, slices)


def test_an_empty_table_has_only_all():
    assert list(memberships({"a": [], "b": []}, ["a", ("a", "b")])) == ["all"]
