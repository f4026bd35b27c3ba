"""Steady: predictions whose last bits do not hang on how many cores a machine has.

A matrix product that several threads share is cut where they meet, and rows near a cut are rounded otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

_lock = Lock()
_inside: list[Any] = []


@contextmanager
def steady() -> Iterator[None]:
    """While anybody in this process is inside, matrix products use one thread each."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # of scikit-learn

    # The limit is the whole process's: the first one in sets it, and the last one out takes it back.
    with _lock:
        _inside.append(None if _inside else threadpool_limits(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _lock:
            limit = _inside[0]
            _inside.pop()
            if not _inside:
                limit.restore_original_limits()
