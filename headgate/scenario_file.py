"""Reading the scenarios: from TOML bytes to `Scenarios`, or to every problem at once; and whether they fit a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_type_hints

from pydantic import TypeAdapter, ValidationError

from headgate.errors import BadInput
from headgate.scenarios import (
    Attack,
    Case,
    Counterfactual,
    Invariant,
    Missing,
    Monotone,
    Scalar,
    Scenarios,
    UnseenCategory,
    Within,
)
from headgate.toml_file import as_json, document, problems

MAX_BYTES = 1 << 20
TABLES = ("case", "relation", "corruption", "attack")

Kind = Literal["number", "truth", "text", "time"]
"""What a column holds."""

Items = list[tuple[str, Any]]

_FORMS = get_type_hints(Scenarios, include_extras=True)


def parse(data: bytes, where: str) -> Scenarios:
    """The scenarios in `data`.

    Args:
        data: the bytes of a TOML file, at most 1 MiB.
        where: what to call the file in errors.

    Raises:
        BadInput: it is not TOML, or not scenarios. All problems are listed, each with its path in the file.
    """
    try:
        tables = document(data, MAX_BYTES)
    except ValueError as error:
        raise refused(where, [str(error)]) from error
    scenarios, found = _shape(tables)
    found += _contradictions(_items(tables), tables)
    if scenarios is None or found:
        raise refused(where, found)
    return scenarios


def refused(where: str, found: list[str]) -> BadInput:
    """The error that lists all problems of a file of scenarios."""
    listed = "\n".join(f"  - {problem}" for problem in found)
    return BadInput(
        f"scenarios {where}",
        got=f"{len(found)} problem(s):\n{listed}\n ",
        expected="scenarios that can be asked of this model",
        next_step="correct the file",
    )


def _shape(tables: dict[str, Any]) -> tuple[Scenarios | None, list[str]]:
    try:
        scenarios = Scenarios.model_validate_json(as_json(tables))
        return scenarios, [*_empty(tables), *_without_digest(scenarios)]
    except ValidationError as error:
        return None, problems(tables, error)


def _without_digest(scenarios: Scenarios) -> Iterator[str]:
    try:
        _ = scenarios.digest
    except BadInput as error:
        yield f"{error.subject.removeprefix('JSON value $.')}: {error.got}; expected {error.expected}"


def _empty(tables: dict[str, Any]) -> Iterator[str]:
    if not any(tables.get(name) for name in TABLES):
        yield f"the file: it asks nothing; expected at least one of {', '.join(f'[[{name}]]' for name in TABLES)}"


def _items(tables: dict[str, Any]) -> Items:
    """The scenarios that are well-formed each for itself, with their paths."""
    found: Items = []
    for name in TABLES:
        items = tables.get(name)
        one: TypeAdapter[Any] = TypeAdapter(_FORMS[name])
        for index, item in enumerate(items if isinstance(items, list) else ()):
            try:
                found.append((f"{name}[{index}]", one.validate_json(as_json([item]))[0]))
            except ValidationError:
                continue
    return found


def _contradictions(items: Items, tables: dict[str, Any]) -> Iterator[str]:
    yield from _names(items)
    # A case that is broken itself is still one that others may name.
    raw = tables.get("case")
    named = {str(c.get("name")) for c in raw if isinstance(c, dict)} if isinstance(raw, list) else set()
    cases = {item.name: (where, item) for where, item in items if isinstance(item, Case)}
    for where, case in cases.values():
        yield from _unknown(where, case, named)
        yield from _circle(where, case, cases)
    for where, item in items:
        yield from _repeated(where, item)


def _names(items: Items) -> Iterator[str]:
    for name, times in Counter(item.name for _, item in items).items():
        if times > 1:
            yield f"the file: {times} scenarios are called '{name}'; expected distinct names"


def _unknown(where: str, case: Case, named: set[str]) -> Iterator[str]:
    for key, other in (("like", case.like), ("expect.less_than", case.expect.less_than)):
        if other is not None and other not in named:
            yield f"{where}.{key}: '{other}' is no case of this file"
    if case.expect.less_than == case.name:
        yield f"{where}.expect.less_than: '{case.name}' cannot be less than itself"


def _circle(where: str, case: Case, cases: Mapping[str, tuple[str, Case]]) -> Iterator[str]:
    at, seen = case, {case.name}
    while at.like is not None and at.like in cases:
        at = cases[at.like][1]
        if at.name == case.name:
            yield f"{where}.like: '{case.name}' is in the end like itself"
        if at.name in seen:
            return
        seen.add(at.name)


def _repeated(where: str, item: Any) -> Iterator[str]:
    for key in ("columns", "values"):
        values = getattr(item, key, None) or ()
        if len(set(values)) < len(values):
            yield f"{where}.{key}: {list(values)!r:.80} names something twice"


def misfits(scenarios: Scenarios, columns: Mapping[str, Kind], *, decides: bool) -> tuple[str, ...]:
    """Why these scenarios cannot be asked about rows with these columns; empty if they can.

    Args:
        columns: the features of the model and what each holds.
        decides: whether there is a threshold that makes a score a decision.
    """
    found = [p for index, case in enumerate(scenarios.case) for p in _of_case(scenarios, index, case, columns)]
    for where, item in scenarios.sampled():
        found += _of_columns(where, _needs(item), columns)
    return (*found, *([] if decides else _without_decision(scenarios)), *(_off_scale(scenarios) if decides else ()))


def _of_case(scenarios: Scenarios, index: int, case: Case, columns: Mapping[str, Kind]) -> Iterator[str]:
    where, inputs = f"case[{index}] ({case.name})", scenarios.inputs(case)
    absent = sorted(set(columns) - set(inputs))
    if absent:
        yield f"{where}: no value for {', '.join(absent)}; expected one for every feature"
    yield from _of_columns(where, ((column, kind_of(value)) for column, value in inputs.items()), columns)


def _of_columns(where: str, needs: Iterator[tuple[str, Kind | None]], columns: Mapping[str, Kind]) -> list[str]:
    # The same column may be needed twice, as by `where` and `columns`: it is one problem.
    found = dict.fromkeys(_of_column(where, column, need, columns) for column, need in needs)
    return [problem for problem in found if problem]


def _of_column(where: str, column: str, need: Kind | None, columns: Mapping[str, Kind]) -> str:
    if column not in columns:
        return f"{where}: '{column}' is no feature of the model"
    if need is not None and need != columns[column]:
        return f"{where}: '{column}' holds {columns[column]}; expected {need}"
    return ""


def _needs(item: Any) -> Iterator[tuple[str, Kind | None]]:
    """The columns that a scenario names, each with what it must hold."""
    for column, rule in item.where.items():
        yield from ((column, kind) for kind in _of_rule(rule))
    if isinstance(item, Attack):
        for column, allowed in item.budget.items():
            yield from ((column, kind) for kind in _of_rule(allowed))
    elif isinstance(item, Monotone):
        yield item.column, "number"
    elif isinstance(item, Counterfactual):
        yield from ((item.column, kind) for kind in _of_rule(item.values or ()) or [None])
    else:
        need = kind_of(item.value) if isinstance(item, UnseenCategory) else "number"
        yield from ((c, None if isinstance(item, Invariant | Missing) else need) for c in item.columns)


def _of_rule(rule: Scalar | tuple[Scalar, ...] | Within) -> list[Kind | None]:
    if isinstance(rule, Within):
        return [None if rule.min is None and rule.max is None else "number"]
    return [kind_of(value) for value in (rule if isinstance(rule, tuple) else (rule,))]


def kind_of(value: Scalar) -> Kind:
    """What a column holds that has this value."""
    if isinstance(value, bool):
        return "truth"
    return "text" if isinstance(value, str) else "number"


def _without_decision(scenarios: Scenarios) -> Iterator[str]:
    for index, case in enumerate(scenarios.case):
        if case.expect.decision is not None:
            yield f"case[{index}] ({case.name}).expect.decision: this model makes no decisions; give min or max"
    for where, item in scenarios.sampled():
        if getattr(item, "tolerance", 0.0) is None:
            yield f"{where}: this model makes no decisions; give a tolerance of the score"
        if isinstance(item, Attack) and (item.decision is not None or item.right):
            yield f"{where}: this model makes no decisions; leave out decision and right"


def _off_scale(scenarios: Scenarios) -> Iterator[str]:
    for index, case in enumerate(scenarios.case):
        for key in ("min", "max"):
            bound = getattr(case.expect, key)
            if bound is not None and not 0 <= bound <= 1:
                yield f"case[{index}] ({case.name}).expect.{key}: {bound} is no score; expected 0 to 1"
