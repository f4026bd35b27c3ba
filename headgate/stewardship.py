"""Stewardship: what a policy says about people, data and the time after a release: stated by people, never computed.

Nothing here decides a gate. What a policy leaves out is printed as not stated, and never filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from headgate.part import Name, Part, Slices, Text

Question = Literal[
    "purpose", "creators", "funding",
    "instances", "sampling", "labels", "missing", "errors", "relations", "sensitive", "identifiable",
    "collected_how", "collected_by", "period", "consent", "ethics",
    "preprocessing", "raw_kept",
    "used_for", "unsuitable_for", "bias",
    "published", "licence", "restrictions",
    "maintained_by", "updates", "corrections", "retention",
]  # fmt: skip

QUESTIONS: Mapping[str, Mapping[Question, str]] = {
    "Motivation": {
        "purpose": "Why were these data made?",
        "creators": "Who made them, and for whom?",
        "funding": "Who paid for it?",
    },
    "Composition": {
        "instances": "What is a row, and what population does it stand for?",
        "sampling": "Is this all of the population or a sample, and how was that drawn?",
        "labels": "What does the label mean, and who or what assigned it?",
        "missing": "What is missing, and why?",
        "errors": "Which errors, noise and redundancies are known?",
        "relations": "Do rows depend on each other?",
        "sensitive": "Which columns are sensitive, and which groups can be told apart?",
        "identifiable": "Can a person be recognised, directly or together with other data?",
    },
    "Collection": {
        "collected_how": "How was each value obtained: measured, reported, or derived?",
        "collected_by": "Who collected them, and were they paid?",
        "period": "Over which period?",
        "consent": "Were the people told, did they agree, and can they withdraw?",
        "ethics": "Was there an ethical or legal review?",
    },
    "Preprocessing": {
        "preprocessing": "What was cleaned, recoded or left out?",
        "raw_kept": "Are the raw data kept, and where?",
    },
    "Uses": {
        "used_for": "What have the data been used for?",
        "unsuitable_for": "What should they not be used for?",
        "bias": "Which unfair treatment or other harm could come from how they were made?",
    },
    "Distribution": {
        "published": "Who gets the data, and how?",
        "licence": "Under which licence or terms?",
        "restrictions": "Do third parties or laws restrict their use?",
    },
    "Maintenance": {
        "maintained_by": "Who maintains them, and how are they reached?",
        "updates": "When are they updated, and how is that told?",
        "corrections": "How is an error reported and corrected?",
        "retention": "How long are they kept?",
    },
}
"""The themes of a datasheet (Gebru et al., Communications of the ACM 64 (2021)), asked in our own words."""

Datasheet = dict[Question, Text]
"""The answers that a policy gives."""

Severity = Literal["low", "moderate", "serious", "severe"]
Likelihood = Literal["rare", "possible", "likely"]
Watched = Literal["inputs", "scores", "performance", "volume", "latency", "failures"]


class Harm(Part):
    """What may go wrong for whom, and who does what about it.

    Attributes:
        gate: the label of the gate that guards against it, if one does.
    """

    what: Text
    who: Text
    severity: Severity
    likelihood: Likelihood
    mitigation: Text
    owner: Text
    gate: Text | None = None

    @property
    def weight(self) -> tuple[int, int]:
        """For sorting: the gravest first, of those the likeliest."""
        return -get_args(Severity).index(self.severity), -get_args(Likelihood).index(self.likelihood)


class Impact(Part):
    """The impact assessment of a use.

    Attributes:
        people: who is affected, whether they use the model or not.
        oversight: how a person can see, stop and overrule what the model does.
        redress: how somebody who is affected learns of it, objects and is heard.
        alternatives: what was considered instead, doing without a model included.
        assessed_by, assessed_on: who says so, and since when.
    """

    people: Annotated[tuple[Text, ...], Field(min_length=1)]
    benefits: Annotated[tuple[Text, ...], Field(min_length=1)]
    harm: Annotated[tuple[Harm, ...], Field(min_length=1)]
    oversight: Text
    redress: Text
    alternatives: Text | None = None
    assessed_by: Text
    assessed_on: date


class Check(Part):
    """One thing that is watched after a release.

    Attributes:
        watches: `inputs` the distribution of columns against the evaluation table, `scores` that of the scores,
            `performance` a metric on rows whose outcomes have arrived, `volume` requests, `latency` milliseconds,
            `failures` the share of requests without an answer.
        of: the columns or the metrics; of `scores`, `volume`, `latency` and `failures` nothing.
        slices: by which groups; the whole if absent.
        min, max: where the number must stay; one of them.
        severity: whether a breach is a warning or an incident.
        playbook: the key of the steps that follow.
        response: `tell` people, or `retreat` at once to the version before as well.
    """

    name: Name
    watches: Watched
    of: tuple[Text, ...] = ()
    slices: Slices | None = None
    min: float | None = None
    max: float | None = None
    window_hours: Annotated[float, Field(gt=0)]
    severity: Literal["warning", "incident"]
    playbook: Name
    # Left out where it is absent: a policy without it keeps the digest that it had before there was any.
    response: Annotated[Literal["tell", "retreat"], Field(exclude_if=lambda what: what == "tell")] = "tell"

    @model_validator(mode="after")
    def _one_of(self) -> Check:
        if (self.min is None) == (self.max is None):
            raise ValueError("give exactly one of min and max")
        if (self.of == ()) == (self.watches in ("inputs", "performance")):
            raise ValueError("inputs and performance say in `of` what of them, and nothing else does")
        return self


class Monitoring(Part):
    """How a released model is watched.

    Attributes:
        every_minutes: how often the checks are made. label_delay_days: after how long outcomes are known.
        min_rows: a window with fewer decides nothing.
    """

    owner: Text
    every_minutes: Annotated[int, Field(ge=1, le=44_640)]
    label_delay_days: Annotated[float, Field(ge=0)]
    min_rows: Annotated[int, Field(ge=1)]
    check: Annotated[tuple[Check, ...], Field(min_length=1)]


class Incidents(Part):
    """Who answers when something goes wrong.

    Attributes:
        contact: how they are reached by anybody. respond_hours: until a person has looked.
        tell: who is told of a serious one, authorities and affected people included.
        drill_days: how often the playbooks are run on purpose.
    """

    owner: Text
    contact: Text
    respond_hours: Annotated[float, Field(gt=0)]
    tell: Annotated[tuple[Text, ...], Field(min_length=1)]
    drill_days: Annotated[int, Field(ge=1, le=3660)]
