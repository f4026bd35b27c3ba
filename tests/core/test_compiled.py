"""Where Numba is installed, many rows are added by a compiled loop: the same tally, to the byte."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate import compiled, grid, tally
from headgate.batch import Batch, demanded
from headgate.scheme import Scheme, Score
from headgate.slices import columns_from
from headgate.tally import count

TABLES: tuple[Any, ...] = ((), (("sex",),), (("sex",), ("race",)), (("region",), ("sex", "race"), ("sex",), ("race",)))
SPECIAL = (0.0, -0.0, 1.0, 0.5, 2.0**-52, 5e-324, 1 - 2.0**-53, 0.1, 0.3, *(float(e) for e in grid.EDGES[[1, 9, 500]]))
SCHEME = Scheme("binary", 2, (("sex",),), threshold=0.5)


def rows(n: int, seed: int, models: int = 2) -> Batch:
    """Scores of which many are equal, or lie at the edges of the bins."""
    random = np.random.default_rng(seed)
    scores = [np.where(random.random(n) < 0.5, random.random(n), random.choice(SPECIAL, n)) for _ in range(models)]
    named = {"sex": ["f", "m"], "race": ["a", "b", "c"], "region": ["n", "s", None]}
    columns = columns_from({name: random.choice(np.array(v, object), n).tolist() for name, v in named.items()})
    return Batch(random.integers(0, 2, n), scores, columns)


def both(scheme: Scheme, batch: Batch, threads: int, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    found = []
    for served in (False, True):
        monkeypatch.setattr(tally, "serves", lambda *_, served=served: served)
        found.append(count(scheme, batch, threads=threads).to_bytes())
    return found


@pytest.mark.parametrize("models", [1, 2])
@pytest.mark.parametrize("slices", TABLES)
@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 400), seed=st.integers(0, 2**32 - 1), threshold=st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_the_same_bytes_as_without_it(models: int, slices: Any, n: int, seed: int, threshold: float) -> None:
    scheme = Scheme("binary", models, slices, threshold=threshold)
    with pytest.MonkeyPatch.context() as patch:
        plain, fast = both(scheme, rows(n, seed, models), 1 + n % 2, patch)
    assert plain == fast


def test_it_is_taken_for_many_rows_and_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    many, few = rows(compiled.WORTHWHILE, 1), rows(1_000, 2)
    taken = []
    monkeypatch.setattr(tally, "added", lambda *given: taken.append(len(given[1].labels)) or compiled.added(*given))
    mixed = count(SCHEME, [many, few])
    assert taken == [compiled.WORTHWHILE]
    monkeypatch.setattr(tally, "serves", lambda *_: False)
    assert count(SCHEME, [many, few]).to_bytes() == mixed.to_bytes()


def test_what_it_cannot_add_is_left_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = demanded(SCHEME, rows(500, 3))
    assert compiled.serves(SCHEME, batch, least=500)
    assert not compiled.serves(SCHEME, batch, least=501)
    assert not compiled.serves(replace(SCHEME, detail="decisions"), batch, least=1)
    assert not compiled.serves(replace(SCHEME, scores=(Score("profit", 0, 1),)), batch, least=1)
    for labels, score in ((2.0, 0.5), (np.nan, 0.5), (1.0, np.nan), (1.0, 1.01), (1.0, -0.01)):
        wrong = [np.asarray(batch.labels).copy(), *(np.asarray(p).copy() for p in batch.predictions)]
        wrong[0][7], wrong[2][7] = labels, score
        assert not compiled.serves(SCHEME, Batch(wrong[0], wrong[1:], batch.columns), least=1), (labels, score)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert not compiled.serves(SCHEME, batch, least=1)
