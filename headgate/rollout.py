"""The rollout: what comes next for a release that has reached a stage. Pure; each answer is recorded, or nothing is."""

from __future__ import annotations

from dataclasses import dataclass

from headgate.entry import moment
from headgate.phase import Soaked, Terms
from headgate.policy import Policy
from headgate.records import Evaluated
from headgate.release import Release
from headgate.standing import State


@dataclass(frozen=True)
class Hold:
    """Nothing is due, and why."""

    why: str


@dataclass(frozen=True)
class Advance:
    """The next stage is due."""

    stage: Terms


@dataclass(frozen=True)
class Ask:
    """People are to be asked about the next stage."""

    stage: Terms


@dataclass(frozen=True)
class Retreat:
    """The rollout is over: whatever is still at its version goes back, and the release halts."""

    why: str


Step = Hold | Soaked | Ask | Advance | Retreat


def terms(policy: Policy) -> tuple[Terms, ...]:
    """The stages of a policy, as people are told of them."""
    return tuple(
        Terms(
            name=stage.name,
            alias=stage.alias,
            audience=stage.audience,
            share=stage.share,
            soak_minutes=stage.soak_minutes,
            min_requests=stage.min_requests,
            roles=stage.quorum if index else {},
        )
        for index, stage in enumerate(policy.rollout.stage)
    )


def quorum(policy: Policy, stage: str | None) -> dict[str, int]:
    """How many people per role agree to a stage for itself, or, for None, to the release and its first stage."""
    if stage is not None:
        return next((one.quorum for one in policy.rollout.stage[1:] if one.name == stage), {})
    first = policy.rollout.stage[0].quorum
    return {role: max(n, first.get(role, 0)) for role, n in policy.approval.roles.items()}


def lost(state: State, release: Release) -> Retreat | None:
    """That a rollout is over, if so: a stage that it has reached, or the last one, is not where it was any more."""
    if not release.is_rolling:
        return None
    if gone := state.left(release):
        return Retreat(f"{', '.join(map(repr, gone))} is not at its version any more")
    last = release.last_alias("")
    if state.aliases.get(last) != release.step(Evaluated).champion:
        return Retreat(f"'{last}' is not at the version any more that the gates compared with")
    return None


def step(state: State, release: Release, answered: int, at: str) -> Step:
    """What is due about a release that is between two stages.

    Args:
        answered: how many requests the version answered in the newest stage since it was reached.
        at: RFC 3339 time in UTC.
    """
    if (gone := lost(state, release)) is not None:
        return gone
    last, here, due = release.reached[-1], release.here, release.next_stage
    if due is None:
        return Hold("the last stage is reached")
    if last.soaked is None:
        minutes = (moment(at) - moment(last.time)).total_seconds() / 60
        return _soaking(here, minutes, answered)
    if (held := _trouble(state, release)) is not None:
        return held
    return Ask(due) if due.roles else Advance(due)


def _trouble(state: State, release: Release) -> Hold | None:
    """What keeps a rollout from going on that a person must look at."""
    if state.incidents:
        return Hold(f"an incident is open; see `headgate guard {state.model}`")
    accused = ", ".join(map(str, state.accused(release)))
    return Hold(f"the alarm of slot {accused} is open; see `headgate respond {state.model}`") if accused else None


def _soaking(here: Terms, minutes: float, answered: int) -> Step:
    if minutes < here.soak_minutes or answered < here.min_requests:
        lasted = f"{minutes:,.1f} of {here.soak_minutes:,g} minutes"
        return Hold(f"the stage {here.name} has lasted {lasted} and answered {answered:,} of {here.min_requests:,}")
    return Soaked(stage=here.name, minutes=minutes, requests=answered)
