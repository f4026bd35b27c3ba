"""Turning: the truths at which a verdict turns to PASS and to FAIL, each with a promised probability."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import NamedTuple

from scipy.special import bdtr, bdtrc, betaincinv

from headgate.assumption import Outlook, f1_of


class Levels(NamedTuple):
    """Error probabilities: of a PASS, of a FAIL at Holm's first step; of missing the promised PASS, and FAIL."""

    accept: float
    harm: float
    stray: float
    miss: float


class Turns(NamedTuple):
    """The truths at which the verdict is PASS, and FAIL, as often as promised; None where no truth will do."""

    passes_at: float | None
    fails_at: float | None


def reached(outlook: Outlook, end: float, high: bool, factor: float, levels: Levels) -> Turns:
    """Where an interval with these reaches turns at the end of a span.

    Args:
        high: whether the span ends there above. factor: planned rows as a multiple of the rows at hand.
    """
    accept, harm, stray, miss = (outlook.reach(factor, level) for level in levels)
    # The estimate strays upwards by as much as its lower bound reaches down, and the other way round.
    near, far = (1, 0) if high else (0, 1)
    margin, violation = accept[near] + stray[far], harm[far] + miss[near]
    sign = 1 if high else -1
    return Turns(_finite(end - sign * margin), _finite(end + sign * violation))


def exact(metric: str, trials: float, end: float, high: bool, levels: Levels) -> Turns:
    """The same of a rate, whose count is binomial and whose bounds are Clopper and Pearson's.

    Args:
        metric: F1 is a function of such a rate. trials: planned rows that it rests on.
    """
    harmonic = metric.partition("@")[0] == "f1"
    share = end / (2 - end) if harmonic else end
    n = max(math.floor(trials), 1)
    found = _counted(n, share, levels) if high else tuple(_mirrored(p) for p in _counted(n, 1 - share, levels))
    return Turns(*(None if p is None else f1_of(p) if harmonic else p for p in found))


def _mirrored(p: float | None) -> float | None:
    return None if p is None else 1 - p


def _counted(n: int, most: float, levels: Levels) -> Turns:
    """The largest rate that is confirmed to be at most `most`, and the smallest that is seen to be more.

    With the truth at the limit, PASS if at most k rows count, where k is the largest number that so few have a
    probability of at most `accept`; FAIL if more than j do, where j is the largest that so many have one of at least
    `harm`. The truth that makes this happen as often as promised is a quantile of a beta distribution.
    """
    k = bisect_left(range(n), True, key=lambda k: bool(bdtr(k, n, most) > levels.accept)) - 1
    j = bisect_left(range(1, n + 1), True, key=lambda j: bool(bdtrc(j - 1, n, most) < levels.harm))
    passes_at = float(betaincinv(k + 1, n - k, levels.stray)) if k >= 0 else None
    fails_at = float(betaincinv(j + 1, n - j, 1 - levels.miss)) if j < n else None
    return Turns(passes_at, fails_at)


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None
