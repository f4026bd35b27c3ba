"""Likeness: the last bits of numbers may differ, and nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.canonical import canonical
from headgate.likeness import SLACK, alike

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 2**53, 2**53 - 1) | st.floats(-1e6, 1e6) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def nudged(value: object, by: float) -> object:
    """A value with every real number moved by a share of itself."""
    if isinstance(value, dict):
        return {key: nudged(part, by) for key, part in value.items()}
    if isinstance(value, list):
        return [nudged(part, by) for part in value]
    return value * (1 + by) if isinstance(value, float) and not value.is_integer() else value


@settings(max_examples=200, deadline=None, derandomize=True)
@given(VALUES)
def test_a_document_is_like_itself_and_like_one_whose_last_bits_differ(value: object) -> None:
    told = canonical({"value": value})
    assert alike(told, told)
    assert alike(told, canonical({"value": nudged(json.loads(json.dumps(value)), 4e-16)}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0.5, 0.5 + 1e-6),
        (0.5, -0.5),
        (0.1, 0.1 * (1 + 3 * SLACK)),
        (1e-6, 2e-6),
        (400, 401),
        (10**15, 10**15 + 1),
        (1, True),
        (0.5, "0.5"),
        (0.5, None),
        (0, None),
        (0, False),
        ("PASS", "FAIL"),
        ([1, 2], [2, 1]),
        ([0.5], [0.5, 0.5]),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, {"a": 1, "b": None}),
        ({"a": [{"b": 0.5}]}, {"a": [{"b": 0.51}]}),
    ],
)
def test_whatever_else_differs_is_seen(one: object, other: object) -> None:
    assert not alike(canonical({"x": one}), canonical({"x": other}))
    assert not alike(canonical({"x": other}), canonical({"x": one}))


def test_a_number_that_one_side_found_whole_is_the_same_number() -> None:
    assert alike(canonical([1.0, 0.0, 3.0]), canonical([1 - 2**-53, 1e-17, 3 + 2**-51]))


def test_what_is_no_canonical_json_is_like_nothing_else() -> None:
    for odd, close in ((b"", b"[]"), (b"{", b"{}"), (b'{"a": 1}', b'{"a":1}'), (b"[1.0]", b"[1]"), (b"[] ", b"[]")):
        assert not alike(odd, close)
        assert not alike(close, odd)
        assert alike(odd, odd)
