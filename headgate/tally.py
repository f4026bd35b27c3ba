"""Tally: what is kept of predictions, per slice: counts and sums, and no row.

Every number is an integer, so that tallies of partitions merge to the same bytes however the rows were cut or ordered.
`count` makes one where the rows are; `merge` adds two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, reduce
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from headgate import binary, grid, multiclass, regression
from headgate.accumulator import Accumulator, Stretch, slices_of, stretch
from headgate.batch import Batch, demanded
from headgate.canonical import canonical, digest_of, parse
from headgate.compiled import added, serves
from headgate.consistency import demand_consistent
from headgate.contribution import Contribution
from headgate.crossing import Array, Crossing, crossings
from headgate.errors import BadInput
from headgate.grid import DIFFERING, NO_ROW, Reals
from headgate.metrics import Task
from headgate.numerals import from_text, to_text
from headgate.scheme import Scheme
from headgate.slices import ALL, MAX_GROUPS, columns_of, escaped

FORMAT = "headgate.tally/2"

_CONTRIBUTIONS: Mapping[Task, Callable[[Scheme, Batch], Contribution]] = {
    "binary": binary.contribution,
    "multiclass": multiclass.contribution,
    "regression": regression.contribution,
    "scored": regression.scored,
}


Map = Callable[..., Iterable[Any]]
"""`map`, or that of a pool."""

_Groups = list[tuple[list[str], dict[str, Array]]]


class Size(NamedTuple):
    """How many rows a slice has, and how many of them could not be measured."""

    rows: int
    invalid: int

    @property
    def valid(self) -> int:
        """The rows that were measured."""
        return self.rows - self.invalid


@dataclass(frozen=True, eq=False)
class Tally:
    """Sufficient statistics of predictions, per slice; two are equal if their bytes are.

    Attributes:
        scheme: what was tallied, and the shapes of the arrays.
        labels: the slices: `all` first, the others sorted. Each slice's groups hold every row exactly once.
        arrays: by name, the numbers of all slices: the first axis is that of `labels`. `rows` and `invalid` are the
            sizes; then those of `scheme.counts` (int64) and of `scheme.sums` (Python integers, which never overflow).
        ties: of a binary task: float64 (models, grid.BINS), over all rows: the only score of a bin, or `NO_ROW`, or
            `DIFFERING`. In a bin with one score, ties are real; in another, the order within the bin is unknown.
        known: what was computed of it already; see `figures.Part.once`.
    """

    scheme: Scheme
    labels: tuple[str, ...]
    arrays: Mapping[str, Array]
    ties: Reals
    known: dict[object, Any] = field(default_factory=dict, init=False, repr=False)

    def __eq__(self, other: object) -> bool:
        """Whether both say the same, to the byte."""
        return isinstance(other, Tally) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        """Agrees with equality."""
        return hash(self.to_bytes())

    @cached_property
    def slices(self) -> Mapping[str, Size]:
        """The size of every slice by its label."""
        sizes = zip(self.arrays["rows"].tolist(), self.arrays["invalid"].tolist(), strict=True)
        return {label: Size(*size) for label, size in zip(self.labels, sizes, strict=True)}

    @cached_property
    def place(self) -> Mapping[str, int]:
        """Where a label's numbers stand on the first axis of the arrays."""
        return {label: place for place, label in enumerate(self.labels)}

    @property
    def has_champion(self) -> bool:
        """Whether the champion scored the same rows."""
        return self.scheme.models == 2

    @cached_property
    def digest(self) -> str:
        """The digest of the tally's bytes."""
        return digest_of(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Canonical JSON: the scheme; the ties, `bin:score` for each bin with one score; per slice, arrays as text."""
        slices = {
            label: {name: to_text(array[place]) for name, array in self.arrays.items()}
            for place, label in enumerate(self.labels)
        }
        ties = [_plain_ties(each) for each in self.ties]
        return canonical({"format": FORMAT, "scheme": self.scheme.to_plain(), "ties": ties, "slices": slices})

    @classmethod
    def from_bytes(cls, data: bytes) -> Tally:
        """The tally that `to_bytes` wrote.

        Raises:
            Tampered: bytes that are not canonical JSON.
            BadInput: not a tally, or one whose numbers contradict each other.
        """
        value = parse(data)
        try:
            tally = _from_plain(value)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            raise _bad(f"{type(error).__name__}: {error}", f"a tally of format {FORMAT}") from error
        if tally.to_bytes() != data:
            raise _bad("other fields or spellings", f"exactly the fields of {FORMAT}")
        return tally


def merge(a: Tally, b: Tally) -> Tally:
    """The tally of the rows of both; associative and commutative. A group absent from one counts as zero there.

    Raises:
        BadInput: different schemes.
    """
    if a.scheme != b.scheme:
        raise _bad(f"schemes {a.scheme.to_plain()} and {b.scheme.to_plain()}", "partitions counted alike")
    labels = _ordered({*a.labels, *b.labels})
    arrays = {name: _spread(a, labels, name) + _spread(b, labels, name) for name in a.arrays}
    return Tally(a.scheme, labels, arrays, _same_ties(a.ties, b.ties))


def count(scheme: Scheme, batches: Batch | Iterable[Batch], *, threads: int = 1) -> Tally:
    """The tally of some rows, in one pass over batches; only one batch is held at a time.

    Args:
        threads: how many work at a batch; the tally is the same.

    Raises:
        BadInput: no batch, or one that is not what the scheme demands.
    """
    with ThreadPoolExecutor(threads) as pool:
        each: Map = map if threads == 1 else pool.map
        given = [batches] if isinstance(batches, Batch) else batches
        tallies = (_counted(scheme, batch, each) for batch in given)
        first = next(tallies, None)
        if first is None:
            raise _bad("no batch of rows", "one or more")
        return reduce(merge, tallies, first)


def _counted(scheme: Scheme, batch: Batch, each: Map) -> Tally:
    batch = demanded(scheme, batch)
    groups, ties = (_at_once if serves(scheme, batch) else _sorted)(scheme, batch, each)
    found = np.array([label for labels, _ in groups for label in labels])
    order = np.concatenate([np.flatnonzero(found == ALL), (sorted_ := found.argsort())[found[sorted_] != ALL]])
    arrays = {name: _arranged([a[name] for _, a in groups], order, exact=name in scheme.sums) for name in scheme.shapes}
    return Tally(scheme, tuple(found[order].tolist()), arrays, ties)


def _arranged(parts: Sequence[Array], order: Array, *, exact: bool) -> Array:
    """The rows of all parts in this order, as wide integers or as those that never overflow."""
    found = np.empty((len(order), *parts[0].shape[1:]), dtype=object if exact else np.int64)
    start, place = 0, order.argsort()
    for part in parts:
        found[place[start : start + len(part)]] = part
        start += len(part)
    return found


def _at_once(scheme: Scheme, batch: Batch, each: Map) -> tuple[_Groups, Reals]:
    """Every group of every slice, and the ties of all rows, by one look at each row."""
    crossed, ties = crossings(batch.columns, scheme.slices, scheme.width, apart=True), _no_ties(scheme)
    starts = np.cumsum([0, *(crossing.cells for crossing in crossed)], dtype=np.uint32)
    kept = added(scheme, batch, np.stack([c.codes(batch.size) for c in crossed]), starts, ties, each)
    own = [{name: a[i:j] for name, a in kept.items()} for i, j in pairwise(starts.tolist())]
    groups = (slices_of(scheme, crossing, found) for crossing, found in zip(crossed, own, strict=True))
    return [group for part in groups for group in part], ties


def _sorted(scheme: Scheme, batch: Batch, each: Map) -> tuple[_Groups, Reals]:
    """The same by NumPy, whatever the task."""
    crossed = crossings(batch.columns, scheme.slices, scheme.width)
    parts, ties = zip(*(_crossed(scheme, batch, crossing, each) for crossing in crossed), strict=True)
    return [group for part in parts for group in part], ties[0]


def _crossed(scheme: Scheme, batch: Batch, crossing: Crossing, each: Map) -> tuple[_Groups, Reals]:
    """Every group of a crossing's slices, and the ties of all rows."""
    codes = crossing.codes(batch.size)
    order = codes.argsort(kind="stable") if scheme.sums else None
    sums, ties = Accumulator(scheme, crossing), _no_ties(scheme)

    def work(start: int) -> tuple[Stretch, Reals]:
        at = slice(start, start + grid.BATCH) if order is None else order[start : start + grid.BATCH]
        added = _CONTRIBUTIONS[scheme.task](scheme, batch.taken(at))
        return stretch(scheme, codes[at], added), _ties(added, ties)

    for found, others in each(work, range(0, len(codes), grid.BATCH)):
        sums.add(found)
        ties = _same_ties(ties, others)
    return list(sums.slices()), ties


def _ordered(labels: set[str]) -> tuple[str, ...]:
    return (ALL, *sorted(labels - {ALL}))


def _spread(tally: Tally, labels: tuple[str, ...], name: str) -> Array:
    """An array of a tally on the slices of a larger one."""
    array = tally.arrays[name]
    spread = np.zeros((len(labels), *array.shape[1:]), dtype=array.dtype)
    if array.dtype == object:
        spread[...] = 0
    places = {label: place for place, label in enumerate(labels)}
    spread[[places[label] for label in tally.labels]] = array
    return spread


def _no_ties(scheme: Scheme) -> Reals:
    ranked = scheme.task == "binary" and "histogram" in scheme.counts
    return np.full((scheme.models if ranked else 0, grid.BINS), NO_ROW)


def _ties(added: Contribution, known: Reals) -> Reals:
    """What these rows add to the ties; of bins that are known to differ nothing, whenever that became known."""
    ties = np.full((len(added.scores), grid.BINS), NO_ROW)
    for only, (scores, bins), settled in zip(ties, added.scores, known == DIFFERING, strict=True):
        if settled.any():
            scores, bins = scores[open_ := ~settled[bins]], bins[open_]  # noqa: PLW2901
        only[bins] = scores  # the last one of a bin; a bin where another one differs from it is told next
        only[bins[only[bins] != scores]] = DIFFERING
    return ties


def _same_ties(a: Reals, b: Reals) -> Reals:
    same = np.where(a == b, a, DIFFERING)
    return np.where(a == NO_ROW, b, np.where(b == NO_ROW, a, same))


def _plain_ties(ties: Reals) -> str:
    bins = np.flatnonzero((ties != NO_ROW) & (ties != DIFFERING))
    return " ".join(f"{b}:{score!r}" for b, score in zip(bins.tolist(), ties[bins].tolist(), strict=True))


def _from_plain(value: Any) -> Tally:
    scheme = Scheme.from_plain(value["scheme"])
    labels = _ordered(set(value["slices"]))
    arrays = {
        name: np.stack([from_text(value["slices"][label][name], shape, exact=name in scheme.sums) for label in labels])
        for name, shape in scheme.shapes.items()
    }
    demand_consistent(scheme, arrays)
    _demand_whole(scheme, labels, arrays)
    ties = [_dense_ties(text, h) for text, h in zip(value["ties"], _histograms(scheme, arrays), strict=True)]
    return Tally(scheme, labels, arrays, np.stack(ties) if ties else _no_ties(scheme))


def _demand_whole(scheme: Scheme, labels: tuple[str, ...], arrays: Mapping[str, Array]) -> None:
    """Demand that the groups of every slice add up to all rows, in every number."""
    groups: dict[tuple[str, ...], list[int]] = {tuple(map(escaped, columns)): [] for columns in scheme.slices}
    for place, label in enumerate(labels[1:], start=1):
        groups.setdefault(columns_of(label), []).append(place)
    if labels[:1] != (ALL,) or len(groups) != len(scheme.slices):
        raise _bad(f"slices {sorted(groups)}", f"`all` and {list(scheme.slices)}")
    for columns, places in groups.items():
        if len(places) > MAX_GROUPS:
            raise _bad(f"{len(places)} groups of {columns}", f"at most {MAX_GROUPS}")
        wrong = [name for name, a in arrays.items() if not (a[places].sum(axis=0) == a[0]).all()]
        if wrong:
            raise _bad(f"{wrong} of {columns} that differ from all rows'", "groups that add up to all rows")


def _histograms(scheme: Scheme, arrays: Mapping[str, Array]) -> Array:
    none: Array = np.zeros((0, 2, grid.BINS), dtype=np.int64)
    return arrays["histogram"][0] if len(_no_ties(scheme)) else none


def _dense_ties(text: str, histogram: Array) -> Reals:
    ties = np.where(histogram.any(axis=0), DIFFERING, NO_ROW)
    for part in text.split():
        b, score = part.split(":")
        if grid.bins_of(np.array([float(score)]))[0] != int(b) or ties[int(b)] == NO_ROW:
            raise ValueError(f"score {score} in bin {b}")
        ties[int(b)] = float(score)
    return ties


def _bad(got: str, expected: str) -> BadInput:
    return BadInput("the tally", got=got, expected=expected, next_step="tally the predictions again")
