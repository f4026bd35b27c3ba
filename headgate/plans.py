"""The plans for the time after a release, as documents: what a monitor watches, and what people do in an incident.

They are made from the policy and pinned in the package, so that what is executed later is what was approved. Whoever
executes one reads it with `from_bytes`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from headgate.entry import Digest
from headgate.oversight import Guard, Notify
from headgate.policy import Policy
from headgate.records import Evaluated, Registered, Requested, Snapshot, Trained
from headgate.release import Release
from headgate.stewardship import Incidents, Monitoring
from headgate.value import Document, Value

MONITORING, INCIDENTS = "monitoring-plan.json", "incident-plan.json"


class _Plan(Document):
    next_step: ClassVar[str] = "take it from the package again"

    model: str
    release: str
    policy: Digest
    stated: bool


class MonitoringPlan(_Plan):
    """What is watched of one version.

    Attributes:
        features: the columns that it reads. threshold: a score of at least this is the decision 1.
        evaluation, tally: what the gates were judged on, with which a monitor compares.
        stated: whether the policy says how to watch it. monitoring: how; None if it does not.
        review_after_days: after how long the release is certified no more.
    """

    subject: ClassVar[str] = "the monitoring plan"
    expected: ClassVar[str] = "a document of the format headgate/monitoring-plan/v1"

    format: Literal["headgate/monitoring-plan/v1"] = "headgate/monitoring-plan/v1"
    version: int
    alias: str
    features: tuple[str, ...]
    threshold: float
    evaluation: Digest
    tally: Digest
    monitoring: Monitoring | None
    review_after_days: int


class Situation(Value):
    """What is done when one thing happens: the steps, and the gates that lead here."""

    name: str
    steps: tuple[str, ...]
    gates: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()


class IncidentPlan(_Plan):
    """What people do when something goes wrong.

    Attributes:
        stated: whether the policy says who answers. incidents: who; None if it does not.
        situations: the playbooks. guard: what happens to an alias that somebody else moved.
        notify: who is told of what.
        retreat: the command that brings the version before back, without approval.
    """

    subject: ClassVar[str] = "the incident plan"
    expected: ClassVar[str] = "a document of the format headgate/incident-plan/v1"

    format: Literal["headgate/incident-plan/v1"] = "headgate/incident-plan/v1"
    owner: str
    incidents: Incidents | None
    situations: tuple[Situation, ...]
    guard: Guard
    notify: tuple[Notify, ...]
    retreat: str


def monitoring_plan(policy: Policy, release: Release) -> MonitoringPlan:
    """The plan by which a release is watched."""
    return MonitoringPlan(
        model=policy.model.name,
        release=release.id,
        version=release.step(Registered).version,
        alias=policy.alias,
        policy=release.step(Requested).policy,
        features=release.step(Trained).features,
        threshold=policy.threshold,
        evaluation=release.step(Snapshot).evaluation.digest,
        tally=release.step(Evaluated).tally,
        stated=policy.monitoring is not None,
        monitoring=policy.monitoring,
        review_after_days=policy.renewal.certify_days,
    )


def incident_plan(policy: Policy, release: Release) -> IncidentPlan:
    """The plan that people follow when something goes wrong with a release."""
    return IncidentPlan(
        model=policy.model.name,
        release=release.id,
        policy=release.step(Requested).policy,
        owner=policy.model.owner,
        stated=policy.incidents is not None,
        incidents=policy.incidents,
        situations=tuple(_situation(policy, name) for name in sorted(policy.playbook)),
        guard=policy.guard,
        notify=policy.notify,
        retreat=f"headgate rollback {policy.model.name} --reason WHY",
    )


def _situation(policy: Policy, name: str) -> Situation:
    checks = policy.monitoring.check if policy.monitoring else ()
    return Situation(
        name=name,
        steps=policy.playbook[name],
        gates=tuple(gate.label for gate in policy.gate if gate.playbook == name),
        checks=tuple(check.name for check in checks if check.playbook == name),
    )
