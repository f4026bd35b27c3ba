"""Patience: what is due about a release that waits for people. A timeout reminds, escalates, and in the end halts.

It never promotes: time is no consent.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from headgate.entry import moment
from headgate.plan import plan
from headgate.policy import Policy
from headgate.records import Failure, Halted
from headgate.release import Release
from headgate.verdict import Verdict
from headgate.watch import Escalated, Reminded


def overdue(release: Release, policy: Policy, at: str) -> Halted | Escalated | Reminded | None:
    """The next thing to record about a release that waits, or None. What is recorded changes what is due next.

    Args:
        policy: the one that the release was opened under. at: RFC 3339 time in UTC.
    """
    if release.stage != "waiting":
        return None
    when, since, expires = moment(at), moment(release.requests[-1].time), release.question.expires
    if when >= moment(expires):
        return _expired(release, policy, expires)
    return _escalated(release, policy, when, since) or _reminded(release, policy, when, since)


def _expired(release: Release, policy: Policy, expires: str) -> Halted:
    owed = ", ".join(f"{n} × {role}" for role, n in release.missing.items())
    failure = Failure(what="approval", verdict=Verdict.INCONCLUSIVE, reason=f"{owed} did not answer by {expires}")
    return plan(policy, "approve", [failure])


def _escalated(release: Release, policy: Policy, when: datetime, since: datetime) -> Escalated | None:
    due = (
        Escalated(role=one.role, to=one.to)
        for one in policy.approval.escalation
        if one.role in release.missing
        and one.role not in release.deputies
        and when >= since + timedelta(hours=one.after_hours)
    )
    return next(due, None)


def _reminded(release: Release, policy: Policy, when: datetime, since: datetime) -> Reminded | None:
    passed = sum(when >= since + timedelta(hours=hours) for hours in policy.approval.remind_hours)
    return Reminded(missing=release.missing) if passed > release.reminders else None
