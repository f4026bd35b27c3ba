"""A reply: what a router says of one row, or why it says nothing, and the line of telemetry that is left of it."""

from __future__ import annotations

from dataclasses import dataclass

from headgate.errors import BadInput, HeadgateError, Unavailable
from headgate.flags import NOBODY
from headgate.inquiry import Ask
from headgate.telemetry import Served

ODD = "odd"
"""The stage of a version that flags name and no stage has: what flags say is not repeated."""


@dataclass(frozen=True)
class Refusal:
    """Why a row was not answered.

    Attributes:
        status: of HTTP. outcome: as it is counted: `refused`, `unserved`, `forbidden`, `unavailable` or `failed`.
        failure: as the telemetry has it; None where the mistake is the caller's, which says nothing about a version.
    """

    error: HeadgateError
    status: int
    outcome: str
    failure: str | None


@dataclass(frozen=True)
class Reply:
    """What is said of one row.

    Attributes:
        id: under which its outcome, and reports about it, are told later.
        scores: of binary, regression and scored tasks one number, of a multiclass task one per class.
        decision: 0 or 1, or a class; None where the task decides nothing.
        refusal: None if it was answered.
    """

    id: str
    stage: str = NOBODY
    version: int = 0
    scores: tuple[float, ...] = ()
    decision: int | str | None = None
    refusal: Refusal | None = None

    @property
    def outcome(self) -> str:
        """In a word."""
        return "answered" if self.refusal is None else self.refusal.outcome

    def line(self, ask: Ask, time: str, ms: float) -> Served | None:
        """What is written down of it; None where the caller's mistake was all there was."""
        failure = None if self.refusal is None else self.refusal.failure
        if self.refusal is not None and failure is None:
            return None
        return Served(
            id=self.id,
            time=time,
            subject=ask.subject,
            stage=self.stage,
            version=self.version,
            inputs=ask.inputs,
            scores=self.scores,
            ms=ms,
            failure=failure,
        )


def refused(error: HeadgateError, failure: str | None = None) -> Refusal:
    """The caller's row is not one that the model takes; `failure` where it is the model that said so."""
    return Refusal(error, 422, "refused", failure)


def shut(error: HeadgateError) -> Refusal:
    """What the answer needs cannot be had, or not be believed."""
    return Refusal(error, 503, "unavailable", type(error).__name__)


def failed(model: str, version: int, failure: str) -> Refusal:
    """The version raised, or said what is no answer. The exception's text may quote the row, and is not repeated."""
    error = Unavailable(
        f"version {version} of {model}",
        got=failure,
        expected="an answer",
        next_step="try again; if it happens often, roll the version back",
    )
    return Refusal(error, 500, "failed", failure)


def unserved(model: str, stage: str, version: int) -> Refusal:
    """No stage serves the subject, or the flags say what the ledger does not."""
    if version == 0 and stage == NOBODY:
        error: HeadgateError = Unavailable(
            f"model {model}",
            got="no stage that serves this subject",
            expected="a live version for everybody",
            next_step="release one, or ask with the audience of an earlier stage",
        )
        return Refusal(error, 503, "unserved", "Unserved")
    error = BadInput(
        f"flags of {model}",
        got=f"version {version}, which the ledger does not have behind the alias of that stage",
        expected="a version that the ledger has there now",
        next_step="find out who writes the flags; a router that runs writes them again within a second or two",
    )
    return Refusal(error, 503, "forbidden", "Forbidden")
