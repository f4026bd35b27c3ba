"""Roll: take a release through the stages of its rollout, as far as they are due. Nothing waits: it is called again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import deployment, flow_run

from headgate.phase import Soaked
from headgate.records import Registered, Requested
from headgate.release import Release
from headgate.rollout import Advance, Ask, Hold, Retreat, Step, lost, step
from headgate.state import State
from tasks.approve import ask_about
from tasks.halt import halt
from tasks.link import begin
from tasks.overhear import Wanted, answered
from tasks.promote import promote
from tasks.record import Case, Desk, now, standing
from tasks.retreat import call_off

MOST_STEPS = 100
"""More than a rollout has stages, each with three steps."""


@task(name="roll", cache_policy=NO_CACHE)
def roll(case: Case) -> tuple[str, ...]:
    """Do what is due about a release that has its approvals: the next stage, or all that are due at once.

    Returns:
        Why it goes no further now; empty if it has reached the last stage, waits for people, or is halted.

    Raises:
        Tampered, Unavailable: as `tasks.promote`.
    """
    desk = Desk(case.home, case.model)
    for _ in range(MOST_STEPS):
        state = desk.state()
        release = state.release(case.release)
        # What somebody began to take back is ended, whatever it waits for; an open promotion is settled first.
        if release.stage == "rolling" or (release.stage != "promoting" and lost(state, release)):
            if (held := _step(case, desk, state, release)) is not None:
                return held
        elif release.stage in ("approved", "promoting"):
            if refused := promote.fn(case):
                return refused
        elif release.stage == "rejected":
            halt.fn(case)
        else:
            return ()
    return (f"more than {MOST_STEPS} steps were due at once",)


@task(name="advance", cache_policy=NO_CACHE)
def advance(case: Case) -> tuple[str, ...]:
    """Take a release to its next stage because a person asked for it, and on through what is due then.

    Returns:
        Why it did not get there; empty if it did.
    """
    before = standing(case)
    refused = promote.fn(case) if before.stage != "rolling" else ()
    held = refused or roll.fn(case)
    after = standing(case)
    if refused or len(after.reached) > len(before.reached) or after.promoted:
        return refused
    owed = ", ".join(f"{n} × {role}" for role, n in after.missing.items())
    return held or (f"the release is {after.stage}{f' for {owed}' if owed else ''}",)


@dataclass(frozen=True)
class Rolled:
    """What became of a rollout: whether it went on, or back, and why it goes no further now."""

    case: Case
    moved: bool
    held: tuple[str, ...]


def roll_on(home: Path, model: str) -> Rolled | None:
    """Look after the rollout of a model, if there is one."""
    desk = Desk(home, model)
    rolling, before = desk.state().rolling, desk.ledger().size
    if rolling is None:
        return None
    case = Case(home=home, folder=Path(rolling.step(Requested).folder), model=model, release=rolling.id)
    held = roll.fn(case)
    return Rolled(case, desk.ledger().size > before, held)


def _step(case: Case, desk: Desk, state: State, release: Release) -> tuple[str, ...] | None:
    """Do one thing; None if there may be another one."""
    due = _due(desk, state, release)
    if isinstance(due, Hold):
        return (due.why,)
    if isinstance(due, Soaked):
        desk.write(case.release, due)
    elif isinstance(due, Ask):
        ask_about(case, due.stage.name)
        _offer(case, due.stage.name)
    elif isinstance(due, Retreat):
        call_off(desk, release, why=due.why, who="pipeline")
    elif isinstance(due, Advance):
        return promote.fn(case) or None
    return None


def _offer(case: Case, stage: str) -> None:
    """Let the platform, if there is one, run the release with a form for the answer; its own run does that itself."""
    if not (deployment.id and flow_run.flow_name == "release"):
        begin("release", case.model, f"{case.release} {stage}", resume=case.release)


def _due(desk: Desk, state: State, release: Release) -> Step:
    if release.reached[-1].soaked is not None or lost(state, release):
        return step(state, release, 0, now())  # whatever was answered
    at = now()
    found = step(state, release, _answered(desk, release, closely=False), at)
    # Looked at every minute, and read line by line once: before it is recorded that it was enough.
    return step(state, release, _answered(desk, release, closely=True), at) if isinstance(found, Soaked) else found


def _answered(desk: Desk, release: Release, *, closely: bool) -> int:
    """How many requests the newest stage answered with this version since it was reached."""
    wanted = Wanted(release.here.name, release.step(Registered).version, release.reached[-1].time)
    return answered(desk.home, desk.model, wanted, closely=closely)
