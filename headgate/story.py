"""The ledger told in sentences: one per entry, for progress, status and whoever reads along."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from headgate import alarm as a
from headgate import records as r
from headgate import watch as w
from headgate.canonical import short
from headgate.markdown import plain
from headgate.phase import Soaked
from headgate.record import Record
from headgate.waived import Waived, WaiverRevoked


def sentence(record: Record) -> str:
    """What an entry says, in one line."""
    return plain(_SENTENCES[type(record)](record))


def _version(version: int | None) -> str:
    return "nothing" if version is None else f"version {version}"


_SENTENCES: dict[type[Record], Callable[[Any], str]] = {
    r.Requested: lambda x: (
        f"asked for by {x.requester}; policy {short(x.policy)} pinned; champion {_version(x.champion)}"
    ),
    r.Snapshot: lambda x: (
        f"{x.training.rows:,} training rows {short(x.training.digest)}, "
        f"{x.evaluation.rows:,} evaluation rows {short(x.evaluation.digest)}"
    ),
    r.Validated: lambda x: f"data {x.verdict.name}",
    r.Trained: lambda x: f"fitted on {len(x.features)} features in {x.seconds:.1f} s, stored as {x.format}",
    r.Registered: lambda x: f"version {x.version} in MLflow, {len(x.files)} files digested",
    r.Evaluated: lambda x: f"gates {x.verdict.name}{_waivers(x)}; compared with {_version(x.champion)}",
    r.Packaged: lambda x: f"package {short(x.package)}",
    r.ApprovalRequested: lambda x: (
        f"{'' if x.stage is None else f'the stage {x.stage} '}needs {_quorum(x.roles)} until {x.expires}"
    ),
    r.Approved: lambda x: f"{x.person} agreed as {x.role}, {f'key {x.key[:19]}…' if x.key else 'by a click, unsigned'}",
    r.Rejected: lambda x: f"{x.person} declined as {x.role}: {x.reason}",
    r.PromotionStarted: lambda x: f"'{x.alias}' is to move from {_version(x.old)} to {_version(x.new)}",
    r.Promoted: lambda x: f"'{x.alias}' is {_version(x.new)}{'' if x.serves is None else f', for {x.serves}'}",
    Soaked: lambda x: f"the stage {x.stage} has lasted {x.minutes:,.0f} minutes and answered {x.requests:,} requests",
    r.PromotionUndone: lambda x: f"'{x.alias}' stays {_version(x.now)}: {x.why}",
    r.Halted: lambda x: f"{x.verdict.name} at {x.step}: {len(x.failures)} finding(s), first '{x.failures[0].what}'",
    Waived: lambda x: (
        f"gate {x.gate}{'' if x.slice is None else f' in {x.slice}'} waived up to {x.covers} until {x.until} by "
        f"{' and '.join(f'{p.person} as {p.role}' for p in x.people)}: {x.reason}"
    ),
    WaiverRevoked: lambda x: f"{x.person} as {x.role} revoked the waiver of slot {x.waiver}: {x.reason}",
    w.RollbackStarted: lambda x: f"'{x.alias}' is to go back from version {x.old} to {_version(x.new)}: {x.reason}",
    w.RolledBack: lambda x: f"'{x.alias}' is {_version(x.new)} again, instead of version {x.old}",
    w.Incident: lambda x: (
        f"'{x.alias}' was found at {_version(x.shown)} instead of {_version(x.recorded)}: {x.response}, {x.why}"
    ),
    w.IncidentClosed: lambda x: (
        f"'{x.alias}' is {_version(x.now)} as recorded (incident of slot {x.incident}): {x.how}"
    ),
    w.Reminded: lambda x: f"still needs {_quorum(x.missing)}",
    w.Escalated: lambda x: f"nobody answered as {x.role} in time: {x.to} may answer for it",
    w.Withdrawn: lambda x: f"{x.person} as {x.role} took the approval of slot {x.answer} back: {x.reason}",
    w.Notified: lambda x: (
        f"{x.audience} told about slot {x.about} ({x.event}) by {x.channel}: {x.outcome}{x.detail and f', {x.detail}'}"
    ),
    a.Monitored: lambda x: f"version {x.version} looked at, look {x.look}: {x.verdict.name}",
    a.Alarmed: lambda x: (
        f"{x.severity} of version {x.version}, {x.check}: {x.reason}{_within(x.respond_by)}; playbook {x.playbook}"
    ),
    a.StepTaken: lambda x: f"{x.who} did step {x.step} of the alarm of slot {x.alarm}: {x.note}",
    a.AlarmOverdue: lambda x: f"nobody answered the alarm of slot {x.alarm} ({x.check}) by {x.respond_by}",
    a.AlarmClosed: lambda x: f"alarm of slot {x.alarm} ({x.check}) closed by {x.who or 'the check itself'}: {x.reason}",
    a.Drilled: lambda x: (
        f"{x.who} went through '{x.situation}' on purpose: {len(x.steps)} step(s) in {sum(x.seconds):.0f} s"
    ),
}


def _within(respond_by: str | None) -> str:
    return f"; to be answered by {respond_by}" if respond_by else ""


def _waivers(record: r.Evaluated) -> str:
    slots = ", ".join(map(str, record.waived))
    return f", {record.standing.name} with the waivers of slots {slots}" if slots else ""


def _quorum(roles: dict[str, int]) -> str:
    return ", ".join(f"{n} × {role}" for role, n in roles.items())
