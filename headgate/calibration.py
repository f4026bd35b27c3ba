"""Calibration: how often the gates of a policy were wrong where the truth was known, as a value and as a page.

The truth is known because a table of rows is taken for all there are and resampled: a pass is false if the table itself
is outside the limit, and a halt is false if it is inside. Every rate has an interval of Clopper and Pearson.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from scipy.special import bdtrc

from headgate.bounds import Bounds, proportion
from headgate.entry import Digest
from headgate.errors import BadInput
from headgate.markdown import bullets, escaped, table
from headgate.value import Document, Value

FORMAT = "headgate.calibration/1"

CALIBRATED, NUMBERS = "gate-calibration.md", "gate-calibration.json"
"""The page in a package, and the numbers that it is made from."""

SIGNIFICANCE = 0.01
"""At which a rate counts as above what was declared, after Holm's correction over all of them."""

Event = Literal["false pass", "false halt", "false FAIL", "halt"]
Kind = Literal["itself", "twins", "at the limit", "fault"]

ANY = "any gate"

Count = Annotated[int, Field(ge=0)]


class Trial(Value):
    """How often one thing happened.

    Attributes:
        world: the candidate against itself, two twins of which none is better, a model just beyond its limit, or a
            seeded fault.
        fault: its name; told: what it does, with its severity. Empty if there is none.
        gate, slice: as in a judgement.
        event: what was counted: a pass of what is outside its limit, a halt (no PASS) of what is inside, a FAIL of
            anything in a family that is all inside, or the halt of a fault that breaks the gate's limit.
        value, limit: the truth, and the nearest end of what the gate allows; None for several.
        times, runs: how often, of how many.
        declared: at most how often it was to happen: alpha, or what margin and rows promise; None if nothing was said.
    """

    world: Kind
    fault: str = ""
    told: str = ""
    gate: str
    slice: str
    event: Event
    value: float | None = None
    limit: float | None = None
    times: Count
    runs: Annotated[int, Field(ge=1)]
    declared: float | None = None

    @property
    def rate(self) -> float:
        """The share of runs."""
        return self.times / self.runs

    @property
    def interval(self) -> Bounds:
        """The 95% interval of the rate."""
        low, high = proportion(self.times, self.runs, 0.025)
        return float(low), float(high)

    @property
    def passed(self) -> int:
        """Of a fault: how often it was not halted."""
        return self.runs - self.times


class Silence(Value):
    """A fault that no gate of the policy answers, and why; `excused` if it cannot happen to such a model."""

    fault: str
    reason: str
    excused: bool


class Calibration(Document):
    """Everything that was measured about the gates of one policy, on one table, with one model.

    Attributes:
        policy, evaluation: digests of the policy and of the table of rows. made: which model it was, in words.
        version: its number in the registry; None if it was fitted for this.
        notes: what was left out, and why.
    """

    subject: ClassVar[str] = "the gates' calibration"
    expected: ClassVar[str] = f"the format {FORMAT}"
    next_step: ClassVar[str] = "calibrate again"

    format: Literal["headgate.calibration/1"] = "headgate.calibration/1"
    policy: Digest
    evaluation: Digest
    made: str
    version: int | None
    rows: Count
    runs: Annotated[int, Field(ge=1)]
    seed: Count
    alpha: float
    trials: tuple[Trial, ...]
    silences: tuple[Silence, ...] = ()
    notes: tuple[str, ...] = ()

    def of(self, *worlds: Kind) -> tuple[Trial, ...]:
        """The trials of some worlds."""
        return tuple(trial for trial in self.trials if trial.world in worlds)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the gates, in words: a rate above alpha, a fault that is not halted. Empty if nothing."""
        return (*self._excessive(), *self._missed())

    @property
    def sound(self) -> bool:
        """Whether something was measured and nothing is wrong."""
        return bool(self.trials) and not self.problems

    def _excessive(self) -> Iterator[str]:
        """Rates that are significantly above alpha, by the exact binomial test and Holm's procedure."""
        tested = sorted(((_p_value(*each[1:], self.alpha), *each) for each in self._errors()), key=lambda e: e[0])
        for rank, (p, trial, times, runs) in enumerate(tested):
            if p > SIGNIFICANCE / (len(tested) - rank):
                return
            what = "false FAIL" if trial.event == "false FAIL" else "false pass"
            yield f"{where(trial)}: {what} in {times} of {runs} runs, significantly above alpha {self.alpha:g}"

    def _errors(self) -> Iterator[tuple[Trial, int, int]]:
        for trial in self.trials:
            if trial.event in ("false pass", "false FAIL"):
                yield trial, trial.times, trial.runs
            elif trial.event == "halt" and trial.value is not None:
                yield trial, trial.passed, trial.runs

    def _missed(self) -> Iterator[str]:
        for trial in self.of("fault"):
            if 2 * trial.times <= trial.runs:
                yield f"{where(trial)}: halted in {trial.times} of {trial.runs} runs only"
        for silence in self.silences:
            if not silence.excused:
                yield f"{silence.fault}: {silence.reason}"


class Known(Document):
    """What is known about the gates of one policy on one table: what a package holds, and makes its page of.

    Attributes:
        best: the calibration that says most; None if there is none. others: how many there are beside it.
        unsound: how many of those. unreadable: why more could not be read.
    """

    subject: ClassVar[str] = "what is known of the gates' calibration"
    expected: ClassVar[str] = "the format headgate.calibrations/1"
    next_step: ClassVar[str] = "take it from the package again"

    format: Literal["headgate.calibrations/1"] = "headgate.calibrations/1"
    best: Calibration | None
    others: Count = 0
    unsound: Count = 0
    unreadable: tuple[str, ...] = ()

    def demand_about(self, policy: Digest, evaluation: Digest) -> None:
        """Raise BadInput if the calibration is one of another policy or table."""
        if self.best is not None and (self.best.policy, self.best.evaluation) != (policy, evaluation):
            raise BadInput(
                self.subject,
                got=f"one of the policy {self.best.policy} on the table {self.best.evaluation}",
                expected=f"one of {policy} on {evaluation}",
                next_step=self.next_step,
            )

    @property
    def told(self) -> str:
        """What is to say beside the best one."""
        others = [f"{self.others} more of this policy and table, {self.unsound} unsound."] if self.others else []
        return " ".join((*others, *(f"One could not be read: {why}" for why in self.unreadable)))


def _p_value(times: int, runs: int, alpha: float) -> float:
    """The chance of so many or more at a rate of alpha."""
    return float(bdtrc(times - 1, runs, alpha)) if times else 1.0


def where(trial: Trial) -> str:
    """A trial's name: its fault or world, and the gate."""
    place = "" if trial.slice in ("", "all") else f" in {trial.slice}"
    return f"{trial.fault or trial.world}, {trial.gate}{place}"


def worst(trials: Iterable[Trial]) -> list[Trial]:
    """Per world, fault, gate and event the trial with the largest rate; slices that were not chosen are not shown."""
    found: dict[tuple[str, ...], Trial] = {}
    for trial in trials:
        key = (trial.world, trial.fault, trial.told, trial.gate, trial.event)
        if key not in found or trial.rate > found[key].rate:
            found[key] = trial
    return list(found.values())


def rate_of(trial: Trial) -> str:
    """`3 of 100 (0.6% to 8.5%)`."""
    low, high = trial.interval
    return f"{trial.times:,} of {trial.runs:,} ({low:.1%} to {high:.1%})"


SECTIONS: tuple[tuple[str, tuple[Kind, ...], str], ...] = (
    (
        "Seeded faults",
        ("fault",),
        "Each fault was done to what the model said. A gate is listed if the fault takes the whole table outside its "
        "limit, so that every pass would be false; `halted` is the share of resamples in which it did not pass, in the "
        "group that it happened to or else in the broken slice that is nearest to its limit.",
    ),
    (
        "A model just beyond its limit",
        ("at the limit",),
        "Each limit was moved to where this table is just outside of it: the hardest case. At most alpha of the "
        "resamples may pass. Of several slices, the one that passed most often.",
    ),
    (
        "A model against itself, and two twins",
        ("itself", "twins"),
        "Nothing is wrong here. Halts say how often a sound model is stopped for want of rows. FAIL, a claim of harm, "
        "may come up in at most alpha of the runs over the whole family. Of several slices, the one halted most often.",
    ),
)
"""The sections of the page: heading, worlds, and what they mean."""


def page(found: Calibration) -> str:
    """The calibration as a Markdown page."""
    verdict = "The gates keep what they promise." if found.sound else "**The gates do not keep what they promise.**"
    problems = bullets(found.problems)
    silent = "".join(f"\n- {escaped(s.fault)}: {escaped(s.reason)}" for s in found.silences if s.excused)
    notes = bullets(found.notes)
    parts = [
        f"# The gates' own calibration\n\n{verdict}{problems}\n",
        f"Measured with {escaped(found.made)}, on {found.rows:,} rows and resamples of them, {found.runs:,} runs each "
        f"with the seed {found.seed}. Intervals are exact at 95%.\n\n- policy: `{found.policy}`\n"
        f"- evaluation table: `{found.evaluation}`\n",
        *(_section(found, *section) for section in SECTIONS),
        f"## Left out\n{silent}{notes}\n" if silent or notes else "",
    ]
    return "\n".join(part for part in parts if part)


def _section(found: Calibration, heading: str, worlds: Sequence[Kind], meaning: str) -> str:
    trials = worst(found.of(*worlds))
    shown = table(HEADER, map(row, trials)) if trials else "Nothing was measured."
    return f"## {heading}\n\n{meaning}\n\n{shown}\n"


HEADER = ("what", "gate", "rows", "truth", "limit", "event", "times", "declared")


def row(trial: Trial) -> tuple[str, ...]:
    """A trial as cells under `HEADER`."""
    what = f"{trial.fault}: {trial.told}" if trial.fault else trial.world
    declared = "" if trial.declared is None else f"at most {trial.declared:.1%}"
    event = "halted" if trial.event == "halt" else trial.event
    truth, limit = _number(trial.value), _number(trial.limit)
    return (what, trial.gate, trial.slice, truth, limit, event, rate_of(trial), declared)


def _number(x: float | None) -> str:
    return "" if x is None else f"{x:.4g}"


def known_page(known: Known) -> str:
    """What a package says about the gates' own calibration, as a Markdown page."""
    if known.best is None:
        return not_measured(known.told)
    return page(known.best) + (f"\n{escaped(known.told)}\n" if known.told else "")


def not_measured(why: str = "") -> str:
    """The page where there is no calibration."""
    reason = f" {escaped(why)}" if why else ""
    return (
        "# The gates' own calibration\n\n**Not measured for this policy on this evaluation table.**"
        f"{reason} `headgate policy calibrate` measures it.\n"
    )
