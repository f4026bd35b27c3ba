"""Gate: one requirement of the policy, and the form it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from headgate.metrics import CRITERIA, FAILURE_SHARE, RESOURCES, UNDIRECTED, Criterion
from headgate.part import Name, Part, Share, Slice, Slices, Text

Form = Literal["limit", "champion", "relative", "gap", "ratio", "weakness", "ceiling", "scenarios"]

NUMBERS: dict[Form, tuple[str, ...]] = {
    "limit": ("min", "max"),
    "champion": ("max_decrease", "max_increase", "min_decrease", "min_increase"),
    "relative": ("max_relative_decrease", "max_relative_increase"),
    "gap": ("max",),
    "ratio": ("min",),
    "weakness": ("max_weakness",),
    "ceiling": ("suspicious_above", "suspicious_below"),
    "scenarios": ("min_pass_rate",),
}
"""The numbers of each form, of which a gate has one."""

_ALL_NUMBERS = tuple(dict.fromkeys(name for names in NUMBERS.values() for name in names))
_MARKS = ("against", "gap_across", "ratio_across", "scenarios")
_BY_NUMBER: tuple[Form, ...] = ("weakness", "ceiling")
_SUFFIX: dict[Form, str] = {
    "champion": "-against-champion",
    "relative": "-against-champion",
    "gap": "-gap",
    "ratio": "-ratio",
    "weakness": "-weakness",
    "ceiling": "-too-good",
}

Margin = Annotated[float, Field(ge=0)]


class Gate(Part):
    """One requirement. It has exactly one form:

    - a limit: `min` or `max`; both of a metric of which neither side is better, such as a signed error;
    - against the champion, paired on the same rows: `against = "champion"` and a margin of non-inferiority
      (`max_decrease` or `max_increase`, absolute) or a required improvement (`min_increase` or `min_decrease`);
    - relative to the champion: `against = "champion"` and `max_relative_decrease` or `max_relative_increase`, a
      share of the champion's value: 0.02 is 2%;
    - a gap: `gap_across` (each slice, all pairs of its groups) and `max`, the largest difference allowed;
    - a ratio: `ratio_across` and `min`, the smallest ratio allowed, the smaller group's over the larger's: 0.8 is the
      rule of four fifths (US EEOC, Uniform Guidelines 29 CFR 1607.4 D, 1978);
    - a weakness: `max_weakness` and `slices`: by how much a slice may be worse than all rows that are not in it;
    - a ceiling: `suspicious_above`, or `suspicious_below` where lower is better: too good to be true;
    - scenarios: `scenarios`, a file with cases and relations that must hold.

    Attributes:
        metric: what is measured; of_class (`class` in the file): of a multiclass task, the class against the rest.
        criterion: a criterion of fairness, in place of a metric, for gaps and ratios.
        within: a slice: groups are compared only within the same group of it.
        min_pass_rate: the share of named cases that must pass; 1 if absent.
        slices: where it must hold: absent for all rows, `"each"` for every slice of `[data]`, or a list of slices.
        without_champion: what a comparison means for a model's first release. `"error"` (default) refuses;
            `"omit"` records that the gate was not judged because nothing was live yet.
        why: the reason a reviewer should read; owner: who answers when it fails; playbook: which steps come next.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    metric: Name | None = None
    of_class: Text | None = Field(default=None, alias="class")
    criterion: Criterion | None = None
    scenarios: Text | None = None
    name: Name | None = None
    min: float | None = None
    max: float | None = None
    against: Literal["champion"] | None = None
    max_decrease: Margin | None = None
    max_increase: Margin | None = None
    max_relative_decrease: Margin | None = None
    max_relative_increase: Margin | None = None
    min_decrease: Margin | None = None
    min_increase: Margin | None = None
    gap_across: Slices = ()
    ratio_across: Slices = ()
    within: Slice | None = None
    # Left out where it is absent: a policy keeps the digest that it had before there was such a form.
    max_weakness: Annotated[Margin | None, Field(exclude_if=lambda number: number is None)] = None
    suspicious_above: float | None = None
    suspicious_below: float | None = None
    min_pass_rate: Share | None = None
    slices: Literal["each"] | Slices | None = None
    without_champion: Literal["error", "omit"] = "error"
    why: str = ""
    owner: str | None = None
    playbook: Name | None = None

    @property
    def form(self) -> Form:
        """Which form the gate has."""
        if self.scenarios is not None:
            return "scenarios"
        if self.against is not None:
            return "relative" if self._given(*NUMBERS["relative"]) else "champion"
        if self.across:
            return "gap" if self.gap_across else "ratio"
        return next((form for form in _BY_NUMBER if self._given(*NUMBERS[form])), "limit")

    @property
    def across(self) -> Slices:
        """The slices whose groups are compared."""
        return self.gap_across or self.ratio_across

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is measured, as the tally knows it: `precision@x` is the precision of the class x."""
        if self.scenarios is not None:
            return (FAILURE_SHARE,)
        names = (self.metric or "",) if self.criterion is None else CRITERIA[self.criterion]
        return names if self.of_class is None else tuple(f"{name}@{self.of_class}" for name in names)

    @property
    def label(self) -> str:
        """The gate's name, or one made of what it measures and its form; unique within a policy."""
        if self.name is not None:
            return self.name
        if self.scenarios is not None:
            return "scenarios"
        of = "" if self.of_class is None else f"-of-{re.sub(r'[^A-Za-z0-9._-]+', '-', self.of_class)}"
        return (self.metric or self.criterion or "").replace("_", "-") + of + _SUFFIX.get(self.form, "")

    def _given(self, *names: str) -> tuple[str, ...]:
        return tuple(name for name in names if getattr(self, name) not in (None, ()))

    @model_validator(mode="after")
    def _sound(self) -> Gate:
        problems = [*self._subject(), *self._one_form(), *self._place()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _subject(self) -> Iterator[str]:
        given = self._given("metric", "criterion", "scenarios")
        if len(given) != 1:
            yield f"a gate needs exactly one of metric, criterion and scenarios, got {sorted(given)}"
        if self.criterion is not None and self.form not in ("gap", "ratio"):
            yield "a criterion compares groups: give gap_across and max, or ratio_across and min"
        if self.of_class is not None and (self.scenarios is not None or self.metric in RESOURCES):
            yield "a class is of a metric of predictions: leave class out"

    def _one_form(self) -> Iterator[str]:
        marks, given = self._given(*_MARKS), self._given(*_ALL_NUMBERS)
        allowed = NUMBERS[self.form]
        if len(marks) > 1:
            yield f"a gate has one form, got {' and '.join(marks)}"
        if self.form == "champion":
            allowed += NUMBERS["relative"]
        band = given == ("min", "max") and self.form == "limit" and self.metric in UNDIRECTED
        least = 0 if self.form == "scenarios" else 1
        if not (band or (least <= len(given) <= 1 and set(given) <= set(allowed))):
            yield f"a gate of form '{self.form}' needs exactly one of {sorted(allowed)}, got {sorted(given)}"
        elif band and self.min is not None and self.max is not None and self.min >= self.max:
            yield f"min {self.min} is not below max {self.max}"

    def _place(self) -> Iterator[str]:
        if self.metric in RESOURCES and (self.slices is not None or self.form not in ("limit", "ceiling")):
            yield f"{self.metric} belongs to the whole model: give a limit and no slices"
        if self.across and self.slices is not None:
            yield f"a {self.form} names its groups in {self.form}_across: leave slices out"
        if self.form == "weakness" and self.slices is None:
            yield "max_weakness compares each slice with the other rows: name them in slices, or give 'each'"
        if self.within is not None and not self.across:
            yield "within is for gap_across and ratio_across: leave it out"
        if self.scenarios is not None and self.slices is not None:
            yield "scenarios name their own rows: leave slices out"
