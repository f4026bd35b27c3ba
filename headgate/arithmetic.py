"""Arithmetic: sums of products and elementary functions, the same bits on every processor.

NumPy and its BLAS take other instructions on other processors, and with them the last bit of a logarithm or the order
of a sum changes. A verdict that was recorded on one machine must come out again on another, to the bit. So the core
takes these from here: sums in NumPy's own order, which no processor changes (pairwise: Higham, SIAM J. Scientific
Computing 14 (1993)), and functions of `scipy.special`, which compute number by number. `tests/house` forbids the
others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Reals = NDArray[np.float64]


def dot(a: ArrayLike, b: ArrayLike) -> Reals:
    """The sum of a · b over the last axis; the others broadcast."""
    return np.asarray(np.add.reduce(np.multiply(a, b), axis=-1))


def log(x: ArrayLike) -> Reals:
    """The natural logarithm."""
    return np.asarray(special.xlogy(1.0, x))


def log1p(x: ArrayLike) -> Reals:
    """The natural logarithm of 1 + x."""
    return np.asarray(special.log1p(x))


def expm1(x: ArrayLike) -> Reals:
    """e to the power of x, less 1."""
    return np.asarray(special.expm1(x))


def cbrt(x: ArrayLike) -> Reals:
    """The cube root."""
    return np.asarray(special.cbrt(x))


def cube(x: Any) -> Any:
    """x³."""
    return x * x * x
