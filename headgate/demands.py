"""Demands: what of a policy's gates contradicts its task, its metrics' ranges, or itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

from headgate.gate import Gate
from headgate.metrics import ONE_CLASS, TAKEN, Metric, Metrics
from headgate.policy import About, Custom, Data, Score, known_metrics
from headgate.slices import as_tuple

Gates = tuple[Gate, ...]
Parts = tuple[About, Data, Score | None, tuple[Custom, ...]]


def named(gates: Gates) -> Iterator[tuple[str, Gate]]:
    """Each gate, and how problems call it."""
    return ((f"gate[{index}] ({gate.label})", gate) for index, gate in enumerate(gates))


def parts_of_the_task(about: About, data: Data, score: Score | None, threshold: float) -> Iterator[str]:
    """A task has what it needs, and nothing that it has no use for."""
    parts = (
        ("data.classes", data.classes, "multiclass", "the names of the classes"),
        ("data.range", data.range, "regression", "[lowest, highest] of labels and predictions"),
        ("score", score, "scored", "function, range and better"),
    )
    for path, value, task, what in parts:
        if about.task == task and value is None:
            yield f"{path}: Field required (got nothing); a {task} task needs {what}"
        if about.task != task and value is not None:
            yield f"{path}: belongs to a {task} task, and this one is {about.task}; leave it out"
    if about.task != "binary" and threshold != 0.5:
        yield f"threshold: belongs to a binary task, and this one is {about.task}; leave it out (got {threshold})"
    if data.classes and len(set(data.classes)) < len(data.classes):
        yield f"data.classes: {list(data.classes)} repeat; expected distinct names"


def declared(own: tuple[Custom, ...]) -> Iterator[str]:
    """Metrics of one's own have names of their own."""
    names = [custom.name for custom in own]
    for index, name in enumerate(names):
        if name in TAKEN:
            yield f"metric[{index}].name: '{name}' is taken; expected a name that Headgate does not use"
        if name in names[:index]:
            yield f"metric[{index}].name: '{name}' is declared twice; expected distinct names"


def measurable(gates: Gates, *parts: *Parts) -> Iterator[str]:
    """Every gate's metric is one of the task's."""
    about, data = parts[0], parts[1]
    known = known_metrics(*parts)
    for where, gate in named(gates):
        if gate.of_class is not None and about.task != "multiclass":
            yield f"{where}: class belongs to a multiclass task, and this one is {about.task}; leave it out"
        elif gate.of_class is not None and data.classes and gate.of_class not in data.classes:
            yield f"{where}: class '{gate.of_class}' is not one of data.classes {list(data.classes)}"
        for name in _names(gate):
            yield from _unknown(where, gate, name, about, known)


def _names(gate: Gate) -> tuple[str, ...]:
    return () if gate.scenarios is not None else tuple(name.partition("@")[0] for name in gate.metrics)


def _unknown(where: str, gate: Gate, name: str, about: About, known: Metrics) -> Iterator[str]:
    of_class = gate.of_class is not None and about.task == "multiclass"
    if of_class and name not in ONE_CLASS:
        yield f"{where}: {name} is not of one class; leave class out, or choose one of {sorted(ONE_CLASS)}"
    elif not of_class and name not in known:
        if about.task == "multiclass" and name in ONE_CLASS:
            yield f"{where}: {name} is of one class against the rest; give class = …"
        else:
            yield f"{where}: {name} is no metric of a {about.task} task; expected one of {sorted(known)}"


def _each(gates: Gates, parts: Parts) -> Iterator[tuple[str, Gate, Metric]]:
    """Every gate with a metric that is known; a criterion's metrics are all alike."""
    known = known_metrics(*parts)
    for where, gate in named(gates):
        for name in _names(gate)[:1]:
            found = known.get(name) if gate.of_class is None else ONE_CLASS.get(name)
            if found is not None:
                yield where, gate, found


def sensible(gates: Gates, *parts: *Parts) -> Iterator[str]:
    """Every number is a demand: it can be kept, and it can be broken."""
    for where, gate, metric in _each(gates, parts):
        for name, sound, expected in _rules(gate.form, metric):
            number = getattr(gate, name)
            if number is not None and not sound(number):
                yield f"{where}: {name} {number} is no demand on {metric.name}; expected {expected}"
        if gate.form in ("relative", "ratio") and metric.signed:
            instead = "a gap" if gate.form == "ratio" else "an absolute margin"
            yield f"{where}: {metric.name} may be zero or negative, and a share of it says nothing; use {instead}"
    for where, gate in named(gates):
        if gate.min_pass_rate == 0:
            yield f"{where}: min_pass_rate 0.0 is no demand on scenarios; expected above 0 and at most 1"


def _rules(form: str, metric: Metric) -> Iterable[tuple[str, Callable[[float], bool], str]]:
    """The numbers that a gate may have: when each is sound, and that in words."""
    low, high, width = metric.low, metric.high, metric.width
    margins = [
        (name, lambda x: 0 <= x < width, f"from 0 to below {width:g}")
        for name in ("max_decrease", "max_increase", "min_decrease", "min_increase", "max_weakness")
    ]
    shares = [
        (name, lambda x: 0 <= x < 1, "from 0 to below 1, as a share: 0.02 is 2%")
        for name in ("max_relative_decrease", "max_relative_increase")
    ]
    inner = [(n, lambda x: low < x < high, _between(low, high)) for n in ("suspicious_above", "suspicious_below")]
    least = (lambda x: low < x <= high, f"above {low:g} and at most {high:g}")
    most = (lambda x: low <= x < high, f"from {low:g} to below {high:g}")
    if form == "gap":
        most = (lambda x: 0 <= x < width, f"from 0 to below {width:g}")
    if form == "ratio":
        least = (lambda x: 0 < x < 1, "above 0 and below 1")
    return [("min", *least), ("max", *most), *margins, *shares, *inner]


def _between(low: float, high: float) -> str:
    return f"above {low:g} and below {high:g}" if math.isfinite(high) else f"above {low:g}"


_WRONG_SIDE = {
    "max_increase": ("higher", "limits how much better {} may get, not how much worse; use the other"),
    "max_decrease": ("lower", "limits how much better {} may get, not how much worse; use the other"),
    "max_relative_increase": ("higher", "limits how much better {} may get, not how much worse; use the other"),
    "max_relative_decrease": ("lower", "limits how much better {} may get, not how much worse; use the other"),
    "min_increase": ("lower", "demands that {} get worse; use the other"),
    "min_decrease": ("higher", "demands that {} get worse; use the other"),
    "suspicious_above": ("lower", "calls a bad {} too good; use the other"),
    "suspicious_below": ("higher", "calls a bad {} too good; use the other"),
}


def askable(gates: Gates, about: About) -> Iterator[str]:
    """Scenarios are asked once, of a model that gives one number per row."""
    naming = [where for where, gate in named(gates) if gate.scenarios is not None]
    if naming and about.task not in ("binary", "regression"):
        yield f"{naming[0]}: scenarios need one number per row, and this task is {about.task}; leave the gate out"
    for where in naming[1:]:
        yield f"{where}: a second gate with scenarios; expected one, and one file"


def harmful_sides(gates: Gates, *parts: *Parts) -> Iterator[str]:
    """A margin is on the side that harms, an improvement improves, and a ceiling is where the good values are."""
    for where, gate, metric in _each(gates, parts):
        for name, (side, told) in _WRONG_SIDE.items():
            if getattr(gate, name) is not None and metric.better == side:
                yield f"{where}: {name} {told.format(metric.name)}"
        if gate.form == "weakness" and metric.better == "neither":
            yield f"{where}: of {metric.name} neither side is better, so no slice is weak; use a gap, or min and max"
        if gate.form == "ceiling" and metric.better == "neither":
            yield f"{where}: of {metric.name} neither side is better, so nothing is too good; use min or max"


def known_slices(gates: Gates, data: Data) -> Iterator[str]:
    """A gate speaks of slices that are tallied, and compares within one only where the crossing is tallied."""
    tallied = {frozenset(as_tuple(piece)) for piece in data.slices}
    for where, gate in named(gates):
        for piece in (*gate.across, *(gate.slices if isinstance(gate.slices, tuple) else ())):
            if piece not in data.slices:
                yield f"{where}: slice {piece!r} is not one of data.slices {sorted(map(str, data.slices))}"
            elif gate.within is not None:
                yield from _crossed(where, as_tuple(piece), as_tuple(gate.within), tallied)


def _crossed(
    where: str, piece: tuple[str, ...], within: tuple[str, ...], tallied: set[frozenset[str]]
) -> Iterator[str]:
    if set(piece) & set(within):
        yield f"{where}: {list(piece)} cannot be compared within {list(within)}: they share a column"
    elif frozenset({*piece, *within}) not in tallied:
        yield f"{where}: comparing {list(piece)} within {list(within)} needs {[*piece, *within]} among data.slices"
