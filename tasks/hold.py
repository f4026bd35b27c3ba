"""Hold: versions that were opened, signature and every byte verified, and stay in this process to be asked.

Rows are asked as the gates ask: in the types of the training table, with one thread for matrix products, by the same
function.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from headgate.canonical import digest_of
from headgate.errors import BadInput, HeadgateError, Tampered, Unavailable
from headgate.inquiry import Scalar
from headgate.policy import Policy
from headgate.records import Registered, Snapshot, Trained
from headgate.release import Release
from tasks.alter import kind_of, table_of
from tasks.answer import REFUSALS
from tasks.load import fetch, opened, snapshot_path
from tasks.predict import predictions
from tasks.record import Desk
from tasks.steady import steady
from tasks.stream import types_in

if TYPE_CHECKING:
    import pandas as pd

Scores = tuple[float, ...]

MOST = 16
"""Versions that are held at once; the one that was asked longest ago is let go."""

RETRY, LONGEST = 15.0, 300.0
"""Seconds after which a version that could not be opened is tried again: after every failure twice as many, up to so
many, because each try fetches it anew."""

_MLFLOWS = {
    "long": "int64",
    "integer": "int32",
    "double": "float64",
    "float": "float32",
    "boolean": "bool",
    "string": "str",
    "datetime": "datetime64[us]",
}
_KINDS: Mapping[str, tuple[type, ...]] = {"number": (int, float), "truth": (bool,), "text": (str,), "time": (str,)}


class Refused(BadInput):
    """The model takes no such row."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A version that answers.

    Attributes:
        empty: a table without rows, of the columns that the model reads and the types that it was fitted to.
    """

    model: Any
    empty: pd.DataFrame
    policy: Policy

    @cached_property
    def kinds(self) -> dict[str, str]:
        """What each column holds: number, truth, text or time."""
        return {str(name): kind_of(self.empty[name]) for name in self.empty}

    @cached_property
    def _types(self) -> dict[str, str]:
        return {str(name): str(dtype) for name, dtype in self.empty.dtypes.items()}

    @cached_property
    def _codes(self) -> dict[str, dict[Any, int]]:
        """Of a column with categories, the place of each."""
        coded = [str(name) for name in self.empty if self.empty[name].dtype == "category"]
        return {name: {value: at for at, value in enumerate(self.empty[name].cat.categories)} for name in coded}

    def read(self, given: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Of what a caller gave, the columns that the model reads.

        Others are left out: who asks cannot know which version will answer, and versions differ in what they read. One
        that is misspelled is missing.
        """
        return {column: given[column] for column in self.kinds if column in given}

    def check(self, row: Mapping[str, Scalar]) -> None:
        """Nothing, if a row has the columns that the model reads, each of its kind or missing (null).

        Raises:
            BadInput: it does not; the columns are named, and no value is.
        """
        absent = [c for c in self.kinds if c not in row]
        odd = [f"{c} is no {kind}" for c, kind in self.kinds.items() if c in row and not self._fits(c, row[c])]
        found = [f"{c} is missing" for c in absent] + odd
        if found:
            kinds = ", ".join(f"{c} ({kind})" for c, kind in self.kinds.items())
            raise BadInput(
                "inputs",
                got="; ".join(found[:20]),
                expected=f"the columns {kinds}; null for what is not known",
                next_step="correct the row: its columns are those of the training table that are features",
            )

    def table(self, rows: Sequence[Mapping[str, Scalar]]) -> pd.DataFrame:
        """Rows that were checked, in the types that the model was fitted to: what `tasks.alter.table_of` makes."""
        import pandas as pd

        known = {name: self._coded(name, [row[name] for row in rows]) for name in self._codes}
        rest = self.empty[[name for name in self.empty if known.get(str(name)) is None]]
        made = dict(table_of(rest, rows).items()) if len(rest.columns) else {}
        return pd.DataFrame({str(n): made[n] if known.get(str(n)) is None else known[str(n)] for n in self.empty})

    def _coded(self, name: str, values: list[Scalar]) -> Any:
        # The same as by the other way, at a tenth of the time; a value that is no category yet needs that one.
        import pandas as pd

        places = self._codes[name]
        if any(value is not None and value not in places for value in values):
            return None
        codes = [-1 if value is None else places[value] for value in values]
        return pd.Categorical.from_codes(codes, dtype=self.empty[name].dtype, validate=False)

    def ask(self, rows: Sequence[Mapping[str, Scalar]]) -> list[Scores]:
        """What the model says of rows that were checked: one number of each, or one per class.

        Raises:
            Refused: it does not take one of them. The message has the exception's name, because its text may quote it.
            BadInput: it gives something else than its task needs, or a number that is none.
        """
        try:
            with steady():
                said = predictions(self.model, self.table(rows), self.policy)
        except REFUSALS as error:
            raise Refused(
                "inputs",
                got=f"a row at which the model raises {type(error).__name__}",
                expected="a row such as those that it was fitted to",
                next_step="see whether the model takes null, and a time is spelled as in 2026-07-01T12:00:00",
            ) from error
        lowest, highest = self._ends
        if not ((said >= lowest) & (said <= highest) & np.isfinite(said)).all():
            got = f"a number outside of [{lowest:g}, {highest:g}], or none"
            raise BadInput("predictions", got=got, expected="numbers inside of it", next_step="roll the version back")
        return [tuple(float(each) for each in np.atleast_1d(one)) for one in said]

    def decision(self, scores: Scores) -> int | str | None:
        """Of a binary task 0 or 1 by the policy's threshold, of a multiclass task the likeliest class; else None."""
        if self.policy.model.task == "binary":
            return int(scores[0] >= self.policy.threshold)
        if self.policy.model.task == "multiclass":
            return (self.policy.data.classes or ())[int(np.argmax(scores))]
        return None

    @property
    def _ends(self) -> tuple[float, float]:
        """Where every prediction lies; outside of it the gates count a row as invalid."""
        if self.policy.model.task in ("binary", "multiclass"):
            return 0.0, 1.0
        return self.policy.data.range or (-np.inf, np.inf)

    def _fits(self, column: str, value: Scalar) -> bool:
        dtype, kind = self._types[column], self.kinds[column]
        if value is None:
            return dtype != "bool"  # what is no value would silently become false there
        return dtype == "object" or (isinstance(value, _KINDS[kind]) and isinstance(value, bool) == (kind == "truth"))


@dataclass(frozen=True)
class _Failed:
    """Why a version could not be opened, how long it is left alone, and until when."""

    error: HeadgateError
    pause: float
    until: float


class Versions:
    """Opens versions and holds the last few of them. Threads may share it: one of them opens, the others wait.

    Args:
        most: how many. retry: seconds until one that could not be opened is tried again.
    """

    def __init__(self, most: int = MOST, retry: float = RETRY) -> None:
        self._most, self._retry = most, retry
        self._held: OrderedDict[tuple[str, int], Opened] = OrderedDict()
        self._failed: dict[tuple[str, int], _Failed] = {}
        self._locks: dict[tuple[str, int], Lock] = {}
        self._choosing = Lock()
        self._steady = ExitStack()

    def close(self) -> None:
        """Let go of all."""
        with self._choosing:
            self._held.clear()
        self._steady.close()

    @property
    def held(self) -> tuple[tuple[str, int], ...]:
        """Models and versions, the one that was asked last at the end."""
        with self._choosing:
            return tuple(self._held)

    def trouble(self, model: str, version: int) -> HeadgateError | None:
        """Why a version could not be opened when it was tried last."""
        failed = self._failed.get((model, version))
        return None if failed is None else failed.error

    def get(self, desk: Desk, release: Release, policy: Policy) -> Opened:
        """The version that a release made.

        Raises:
            Tampered: its bytes are not those that were registered, or the pipeline did not sign them.
            BadInput: it holds what the policy does not trust.
            Unavailable: MLflow or the store does not answer.
        """
        of = (desk.model, release.step(Registered).version)
        with self._choosing:
            lock = self._locks.setdefault(of, Lock())
        with lock:
            found = self._known(of) or self._open(of, desk, release, policy)
        with self._choosing:
            self._held[of] = found
            self._held.move_to_end(of)
            while len(self._held) > self._most:
                self._held.popitem(last=False)
        return found

    def _known(self, of: tuple[str, int]) -> Opened | None:
        with self._choosing:
            if of in self._held:
                return self._held[of]
        failed = self._failed.get(of)
        if failed is not None and time.monotonic() < failed.until:
            raise copy(failed.error)
        return None

    def _open(self, of: tuple[str, int], desk: Desk, release: Release, policy: Policy) -> Opened:
        try:
            found = Opened(opened(desk, release.step(Registered), policy), _empty(desk, release), policy)
        except HeadgateError as error:
            self._note(of, error)
            raise
        except Exception as error:  # of another scikit-learn than it was fitted with, or whatever else
            told = _unopened(of, error)
            self._note(of, told)
            raise told from error
        self._failed.pop(of, None)
        with self._choosing:
            if not self._held:
                # Entered for each answer, it looks for its libraries again, for a millisecond and a half.
                self._steady.enter_context(steady())
        return found

    def _note(self, of: tuple[str, int], error: HeadgateError) -> None:
        pause = min(2 * self._failed[of].pause, LONGEST) if of in self._failed else self._retry
        self._failed[of] = _Failed(error, pause, time.monotonic() + pause)


def _empty(desk: Desk, release: Release) -> pd.DataFrame:
    """A table without rows, in the types of the training table: by its snapshot, or by what MLflow was told of it."""
    import pandas as pd

    table, features = release.step(Snapshot).training, release.step(Trained).features
    here = snapshot_path(desk.home, table.digest, table.suffix).exists()
    types = types_in(desk.home, table) if here else _by_signature(desk, release.step(Registered))
    return pd.DataFrame({name: pd.Series([], dtype=types[name]) for name in features}, columns=list(features))


def _by_signature(desk: Desk, registered: Registered) -> Mapping[str, Any]:
    # Where rows are not kept, as on a machine that only serves. Of categories it knows that they are text.
    import yaml

    data = (fetch(desk.home, registered.source) / "MLmodel").read_bytes()
    if digest_of(data) != registered.files.get("MLmodel"):
        raise _untyped(registered, "other bytes than were registered")
    with suppress(Exception):  # whatever MLflow writes there one day
        columns = json.loads(yaml.safe_load(data)["signature"]["inputs"])
        return {column["name"]: _MLFLOWS[column["type"]] for column in columns}
    raise _untyped(registered, "no types of columns that are known here")


def _unopened(of: tuple[str, int], error: Exception) -> Unavailable:
    return Unavailable(
        f"version {of[1]} of {of[0]}",
        got=f"{type(error).__name__}: {error}",
        expected="a model that opens with the software that is here",
        next_step="compare the installed packages with those that the release recorded",
    )


def _untyped(registered: Registered, got: str) -> Tampered:
    return Tampered(
        f"MLmodel of version {registered.version}",
        got=got,
        expected="the signature that was registered",
        next_step="do not serve this version; restore its files, or serve where the training rows are",
    )
