"""The same rows give the same bits on every processor; the elementary functions are right."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from numpy._core import _multiarray_umath as built
from test_metrics import SCHEMES, batch

from headgate import arithmetic
from headgate.regression import ERROR_EDGES

BIT = Path(__file__).parent / "every_bit.py"
NEWER = " ".join(built.__cpu_dispatch__)
OTHERS = {
    "without newer instructions in NumPy": {"NPY_DISABLE_CPU_FEATURES": NEWER},
    "without the newest in NumPy": {"NPY_DISABLE_CPU_FEATURES": " ".join(built.__cpu_dispatch__[1:])},
    "an older BLAS": {"OPENBLAS_CORETYPE": "Prescott"},
    "another BLAS": {"OPENBLAS_CORETYPE": "Haswell"},
    "all of it old": {"NPY_DISABLE_CPU_FEATURES": NEWER, "OPENBLAS_CORETYPE": "Nehalem"},
}
"""What makes this processor compute as others do."""


def told(rows: Path, **environment: str) -> str:
    code = [sys.executable, "-W", "ignore", str(BIT), str(rows)]
    return subprocess.run(code, env=os.environ | environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("rows") / "rows"
    path.write_bytes(pickle.dumps([(scheme, batch(task)) for task, scheme in SCHEMES.items()]))
    return path


@pytest.fixture(scope="module")
def here(rows: Path) -> str:
    return told(rows)


@pytest.mark.parametrize("other", OTHERS)
def test_every_processor_tells_the_same_bits(rows: Path, here: str, other: str) -> None:
    assert told(rows, **OTHERS[other]) == here


def test_the_others_are_other_processors() -> None:
    """Plain NumPy does change its last bits with them, where the processor has anything newer."""
    code = "import numpy as np; x = np.linspace(1e-3, 9, 9**4); print(np.log(x).tobytes(), (x @ x).hex())"
    run = [sys.executable, "-W", "ignore", "-c", code]
    told_by = {
        subprocess.run(run, env=os.environ | more, capture_output=True, text=True, check=True).stdout
        for more in ({}, *OTHERS.values())
    }
    assert len(told_by) > 1 or not built.__cpu_features__.get("AVX2")


def test_elementary_functions_are_those_of_the_c_library() -> None:
    x = np.random.default_rng(3).uniform(1e-6, 5, 2_000)
    for ours, theirs in ((arithmetic.log, math.log), (arithmetic.log1p, math.log1p), (arithmetic.expm1, math.expm1)):
        assert np.allclose(ours(x), [theirs(each) for each in x], rtol=1e-15, atol=1e-16)
    assert np.allclose(arithmetic.cbrt(x) ** 3, x, rtol=1e-14)


def test_dot_is_the_sum_of_products() -> None:
    a, b = np.random.default_rng(4).normal(size=(2, 3, 1_001))
    assert np.allclose(arithmetic.dot(a, b), [math.fsum(x * y) for x, y in zip(a, b, strict=True)], rtol=1e-12)
    assert arithmetic.dot(np.zeros((2, 0)), 1.0).tolist() == [0.0, 0.0]


def test_no_library_moves_an_edge_of_the_errors() -> None:
    """Far enough from a half that a power of two that is wrong by two last bits is rounded to the same edge."""
    exact = [Decimal(2) ** (36 - 10 * (1 - Decimal(k) / 1024)) for k in range(1025)]
    assert all(abs(x - int(x) - Decimal("0.5")) > 2 * 2.0 ** (36 - 52) for x in exact)
    assert ERROR_EDGES[1024:].tolist() == [float(x.to_integral_value() / 2**36) for x in exact]
