"""What a Prefect server runs by itself or at a click, as values.

One line of the table below is one deployment per model, or one for all models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from headgate.oversight import Schedule
from headgate.policy import Policy

POOL = "headgate"
"""The work pool that all deployments run in."""

EVERY_MINUTE = Schedule(cron="* * * * *")
EVERY_HOUR = Schedule(cron="17 * * * *")
EVERY_NIGHT = Schedule(cron="30 3 * * *")

Collision = Literal["ENQUEUE", "CANCEL_NEW"]
"""What becomes of a run while another one of the same deployment is running: it waits, or it is left out."""


@dataclass(frozen=True)
class Deployment:
    """One deployment.

    Attributes:
        flow, name: together its name in Prefect, `flow/name`. entrypoint: the flow as a module's attribute.
        parameters: those that are set already. description: what a person reads above the form.
        schedule: when it runs by itself; None for never.
        collision: see `Collision`; at most one run at a time.
    """

    flow: str
    name: str
    entrypoint: str
    parameters: Mapping[str, str]
    description: str
    schedule: Schedule | None = None
    collision: Collision = "ENQUEUE"

    @property
    def slug(self) -> str:
        """The name of its schedule, by which it is found again when it changes."""
        return f"{self.flow}-{self.name}"


def deployments(models: Mapping[str, Policy], home: str) -> tuple[Deployment, ...]:
    """All deployments of a home.

    Args:
        models: the policy in each model's folder. home: of `headgate.home.Home`. Paths are as the runs will see them.
    """
    each = (one for folder, policy in models.items() for one in _of_model(folder, policy, home))
    return (*each, *_of_home(home))


def _of_model(folder: str, policy: Policy, home: str) -> tuple[Deployment, ...]:
    # A run that waits for people holds no place. One that goes on after their answer must get one, and so waits.
    name, where = policy.model.name, {"home": home}
    model = {**where, "model": name}
    return (
        _deployment("release", name, {"folder": folder, **where}, policy.schedule),
        _deployment("promote", name, {"folder": folder, **where}),
        _deployment("rollback", name, model),
        _deployment("audit", name, model, EVERY_NIGHT, "CANCEL_NEW"),
        _deployment("monitor", name, model, _watching(policy), "CANCEL_NEW"),
    )


def _watching(policy: Policy) -> Schedule:
    """How often the monitor is started: what is due then is said by the plan of each version in use.

    Every hour at least: a policy that states nothing may have a version in use whose package does.
    """
    minutes = policy.monitoring.every_minutes if policy.monitoring else 60
    return EVERY_HOUR if minutes >= 60 else Schedule(cron=f"*/{minutes} * * * *")  # of an hour


def _of_home(home: str) -> tuple[Deployment, ...]:
    return (_deployment("guard", "all", {"home": home}, EVERY_MINUTE, "CANCEL_NEW"),)


_FLOWS = {
    "release": (
        "flows.release.release",
        "Validate, train, register, evaluate, package, ask people, promote; or halt. The alias moves only if every "
        "gate passes and the people whom the policy names have signed.",
    ),
    "promote": (
        "flows.promote.promote",
        "Put a version live that people have approved, or approve it here. What it lacks is said, and nothing moves.",
    ),
    "rollback": (
        "flows.rollback.rollback",
        "Take the alias back to a version that was live before, in one step. It needs a reason and a name, and no "
        "evaluation and no approval.",
    ),
    "audit": ("flows.audit.audit", "Recompute everything that is recorded, and fail if anything is wrong."),
    "guard": (
        "flows.patrol.guard",
        "Finish what a dead process left, put back aliases that somebody else moved, remind, escalate, halt what "
        "nobody approved in time, carry rollouts on, and go back where an alarm demands it.",
    ),
    "monitor": (
        "flows.monitor.monitor",
        "Look at each version in use as often as the plan in its package says, raise alarms, and go back where the "
        "plan says so.",
    ),
}
"""Of each flow, where it is and what it does."""


def _deployment(
    flow: str,
    name: str,
    parameters: Mapping[str, str],
    schedule: Schedule | None = None,
    collision: Collision = "ENQUEUE",
) -> Deployment:
    entrypoint, description = _FLOWS[flow]
    return Deployment(flow, name, entrypoint, parameters, description, schedule, collision)


def project(wanted: Iterable[Deployment]) -> dict[str, object]:
    """The content of a `prefect.yaml` that deploys the same to a standing server, from a checkout that workers see."""
    return {"name": POOL, "pull": [], "deployments": [_spelled(one) for one in wanted]}


def _spelled(one: Deployment) -> dict[str, object]:
    timed = [] if one.schedule is None else [{"slug": one.slug, **one.schedule.model_dump(mode="json")}]
    return {
        "name": one.name,
        "entrypoint": one.entrypoint,
        "description": one.description,
        "tags": [POOL],
        "parameters": dict(one.parameters),
        "schedules": timed,
        "concurrency_limit": {"limit": 1, "collision_strategy": one.collision},
        # Relative paths among the parameters are meant from the folder that is deployed.
        "work_pool": {"name": POOL, "job_variables": {"working_dir": "{{ $PWD }}"}},
    }
