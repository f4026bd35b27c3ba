"""Ranked: metrics of the order of the scores, and of their scale, from a tally's histograms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from headgate import precision_recall, recalibration
from headgate import ranking as roc
from headgate.bounds import Sides
from headgate.figures import Figures, Part
from headgate.grid import Ints
from headgate.ranking import MIN_CLASS, MIN_CLASS_PAIRED, Ranking


@dataclass(frozen=True)
class Curve:
    """An area under a curve of the ranking: how it is measured and bounded."""

    measured: Callable[[Ints, NDArray[np.bool_]], Ranking]
    bounds: Callable[[Ranking, ArrayLike], Sides]
    difference: Callable[[Ranking, Ranking, Ints, ArrayLike], Sides]
    method: str
    least: int = MIN_CLASS


RANKED = {
    "roc_auc": Curve(roc.ranking, roc.area, roc.difference, "DeLong, logit and Hall"),
    "average_precision": Curve(
        precision_recall.average_precision,
        precision_recall.area,
        precision_recall.difference,
        "influence functions, logit and Hall",
        least=MIN_CLASS_PAIRED,  # with 15 rows of label 1 its bounds missed up to 7% at alpha 5%
    ),
}
"""Metrics that are the area under a curve of the ranking."""


def ranked(of: Part, name: str, one: str, who: int) -> Figures:
    """The area under a curve: of the candidate (0), the champion (1), or their paired difference (2).

    Args:
        one: a class that is ranked against the rest; empty for a binary task.
    """
    curve, fewest = RANKED[name], of.classes(one).min(axis=-1)
    if who == 2:
        return _paired(of, name, one)
    found = _measured(of, name, one, who)
    return Figures(
        found.area, of.n, curve.method, lambda a: curve.bounds(found, a), found.blur, fewest, least=curve.least
    )


def _measured(of: Part, name: str, one: str, model: int) -> Ranking:
    return of.once((name, one, model), lambda: RANKED[name].measured(of.histogram(one, model), of.blurred(model)))


def _paired(of: Part, name: str, one: str) -> Figures:
    first, second = (_measured(of, name, one, model) for model in (0, 1))
    curve, joint = RANKED[name], of.joint(one)
    return Figures(
        value=first.area - second.area,
        n=of.n,
        method=f"{curve.method.partition(',')[0]}, paired, Wald and Hall",
        bounds=lambda alpha: curve.difference(first, second, joint, alpha),
        blur=first.blur + second.blur,
        fewest=of.classes(one).min(axis=-1),
        least=MIN_CLASS_PAIRED,
    )


def recalibrated(of: Part, _: str, model: int) -> Figures:
    """The calibration slope (Cox 1958)."""
    found = recalibration.slope(of.histogram("", model))
    return Figures(
        value=found.value,
        n=of.n,
        method="sandwich",
        bounds=lambda alpha: recalibration.slope_bounds(found, alpha),
        blur=found.blur,
        fewest=of.classes("").min(axis=-1),
        least=MIN_CLASS_PAIRED,
    )
