from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.canonical import DEPTH, DIGEST, SAFE_INTEGER, canonical, digest_of, parse
from headgate.errors import BadInput, Tampered

VECTORS = Path(__file__).parents[2].parent / "shared" / "vectors" / "jcs_rfc8785"
FOREIGN = ("arrays", "french", "structures", "unicode", "values", "weird")

# RFC 8785, appendix B: IEEE 754 bits and the number's one spelling.
NUMBERS = {
    "0000000000000000": b"0",
    "8000000000000000": b"0",
    "0000000000000001": b"5e-324",
    "8000000000000001": b"-5e-324",
    "7fefffffffffffff": b"1.7976931348623157e+308",
    "ffefffffffffffff": b"-1.7976931348623157e+308",
    "4340000000000000": b"9007199254740992",
    "c340000000000000": b"-9007199254740992",
    "4430000000000000": b"295147905179352830000",
    "44b52d02c7e14af5": b"9.999999999999997e+22",
    "44b52d02c7e14af6": b"1e+23",
    "44b52d02c7e14af7": b"1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": b"999999999999999700000",
    "444b1ae4d6e2ef4f": b"999999999999999900000",
    "444b1ae4d6e2ef50": b"1e+21",
    "3eb0c6f7a0b5ed8c": b"9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": b"0.000001",
    "41b3de4355555553": b"333333333.3333332",
    "41b3de4355555554": b"333333333.33333325",
    "41b3de4355555555": b"333333333.3333333",
    "41b3de4355555556": b"333333333.3333334",
    "41b3de4355555557": b"333333333.33333343",
    "becbf647612f3696": b"-0.0000033333333333333333",
    "43143ff3c1cb0959": b"1424953923781206.2",
}

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-SAFE_INTEGER, SAFE_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(("bits", "spelling"), NUMBERS.items())
def test_numbers_of_the_rfc(bits: str, spelling: bytes) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical(number) == spelling
    assert parse(spelling) == number


@pytest.mark.skipif(not VECTORS.is_dir(), reason="foreign vectors (cyberphone/json-canonicalization) are not here")
@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_vectors(name: str) -> None:
    expected = (VECTORS / "output" / f"{name}.json").read_bytes()
    assert canonical(json.loads((VECTORS / "input" / f"{name}.json").read_bytes())) == expected
    assert canonical(parse(expected)) == expected


@settings(max_examples=200, deadline=None, derandomize=True)
@given(values)
def test_parse_inverts_canonical_and_the_value_is_kept(value: object) -> None:
    data = canonical(value)
    assert parse(data) == value == json.loads(data, parse_int=float)  # to JSON every number is a double


@settings(max_examples=200, deadline=None, derandomize=True)
@given(values, st.data())
def test_no_value_has_two_spellings(value: object, draw: st.DataObject) -> None:
    data = bytearray(canonical(value))
    at = draw.draw(st.integers(0, len(data) - 1))
    data[at] ^= 1 << draw.draw(st.integers(0, 7))
    try:
        changed = parse(bytes(data))
    except Tampered:
        return
    assert canonical(changed) == bytes(data) != canonical(value)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":1}',
        b'{"b":1,"a":1}',
        b'{"a": 1}',
        b" 1",
        b"1\n",
        b"1.0",
        b"1e0",
        b"-0",
        b"01",
        b"+1",
        b"1E+23",
        b"9007199254740993",
        b"9" * 5000,
        b"1e999",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b'"\\u0041"',
        b'"\\/"',
        b'"\\u000A"',
        b'"\\ud800"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf1",
        b"",
        b"1 2",
        b"[1,]",
        b"[" * 100_000,
        b"[" * (DEPTH + 2) + b"]" * (DEPTH + 2),
        "{}".encode("utf-16"),
    ],
)
def test_other_spellings_are_refused(data: bytes) -> None:
    with pytest.raises(Tampered, match="RFC 8785"):
        parse(data)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [1, {"b": float("nan")}]}, r"\$\.a\[1\]\.b: got nan"),
        ([float("-inf")], r"\$\[0\]: got -inf"),
        ({"n": 2**53}, r"\$\.n: got an integer of 54 bits"),
        ({"n": -(2**53)}, r"\$\.n"),
        ({"a": {1: 2}}, r"\$\.a: got the key 1"),
        ({"a": b"x"}, r"\$\.a: got a value of type bytes"),
        ({"a": {1, 2}}, "of type set"),
        (["\ud800"], r"\$\[0\]: got a lone surrogate"),
        ({"\udfff": 1}, "lone surrogate"),
    ],
)
def test_what_has_no_canonical_form_is_named_with_its_place(value: object, place: str) -> None:
    with pytest.raises(BadInput, match=place):
        canonical(value)


def test_depth_is_limited_the_same_way_everywhere() -> None:
    deep: list[object] = []
    for _ in range(DEPTH - 1):
        deep = [deep]
    assert parse(canonical([deep])) == [deep]
    with pytest.raises(BadInput, match=f"deeper than {DEPTH}"):
        canonical([[deep]])


def test_keys_are_ordered_by_utf16_and_not_by_code_point() -> None:
    assert canonical({"\ufb33": 1, "\U0001f602": 2}) == '{"\U0001f602":2,"\ufb33":1}'.encode()


def test_digest_is_that_of_fips_180() -> None:
    assert digest_of(b"abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert DIGEST.fullmatch(digest_of(b"abc"))
    assert not DIGEST.fullmatch(digest_of(b"abc") + "\n")
