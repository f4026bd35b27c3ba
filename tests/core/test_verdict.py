from __future__ import annotations

import pickle
from itertools import product

import pytest

from headgate.errors import BadInput, HeadgateError, SlotTaken, Tampered, Unavailable
from headgate.finding import DataReport, Finding
from headgate.judgement import Judged
from headgate.verdict import Verdict, worst_of

ALL = list(Verdict)
BADNESS = [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.ERROR, Verdict.FAIL]


def test_the_order_is_the_documented_one():
    assert sorted(ALL, reverse=True) == BADNESS[::-1]


@pytest.mark.parametrize(("a", "b", "c"), list(product(ALL, repeat=3)))
def test_the_worst_is_a_join(a, b, c):
    assert worst_of([worst_of([a, b]), c]) is worst_of([a, worst_of([b, c])])
    assert worst_of([a, b]) is worst_of([b, a]) is BADNESS[max(BADNESS.index(a), BADNESS.index(b))]
    assert worst_of([a, a]) is a
    assert worst_of([Verdict.PASS, a]) is a, "PASS is the identity"
    assert worst_of([Verdict.FAIL, a]) is Verdict.FAIL, "FAIL absorbs"


def test_all_pass_is_the_only_way_to_pass():
    for size in range(5):
        for verdicts in product(ALL, repeat=size):
            passes = size > 0 and all(v is Verdict.PASS for v in verdicts)
            assert (worst_of(iter(verdicts)) is Verdict.PASS) == passes


def test_nothing_is_an_error_wherever_it_stands():
    assert worst_of([]) is Verdict.ERROR
    for verdict in ALL:
        assert worst_of([worst_of([]), verdict]) in (Verdict.ERROR, Verdict.FAIL)
    assert Judged(judgements=(), family=0, alpha=0.05).verdict is Verdict.ERROR
    assert DataReport(findings=()).verdict is Verdict.ERROR


def test_warnings_are_no_evidence():
    passed = Finding(check="rows", table="both", verdict=Verdict.PASS, reason="5 of 5", severity="warning")
    assert DataReport(findings=(passed,)).verdict is Verdict.ERROR


@pytest.mark.parametrize(
    ("kind", "code"), [(HeadgateError, 3), (BadInput, 2), (Tampered, 1), (SlotTaken, 3), (Unavailable, 3)]
)
def test_an_error_says_everything_and_survives_pickling(kind, code):
    error = kind("policy x", got="a", expected="b", next_step="do c")
    assert str(error) == "policy x: got a; expected b. Next: do c"
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  # made one expression before
    assert (type(again), str(again), again.exit_code) == (kind, str(error), code)
    assert (again.subject, again.got, again.expected, again.next_step) == ("policy x", "a", "b", "do c")
