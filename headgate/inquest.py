"""Inquest: what an audit computes again of the looks at a version in use, and of the alarms that came of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from headgate.alarm import AlarmClosed, Alarmed, Drilled, Monitored, StepTaken
from headgate.entry import moment
from headgate.ledger import Anomaly
from headgate.likeness import alike
from headgate.mandate import Mandate, in_use_since, mandate
from headgate.members import Seen
from headgate.profile import Profile, Reference
from headgate.record import Record
from headgate.records import record_of
from headgate.tally import Tally
from headgate.verdict import Verdict
from headgate.vigil import FIRST_AID, PLAN, Counted, Vigil, vigil
from headgate.walk import Place, Walk


def _monitored(walk: Walk, at: Place, record: Monitored) -> Iterator[Anomaly]:
    """The look again, from the profiles and tallies that it names; and whether they are of this look."""
    walk.checked["verdicts"] += 1
    known, told = _mandate(walk, at, record.version), Vigil.from_bytes(walk.get(record.findings))
    if (record.plan, record.incidents) != (known.plan, known.incidents):
        yield at.anomaly("other_plan", f"{record.plan}, {record.incidents}", f"{known.plan}, {known.incidents}")
    reference = None if record.reference is None else Reference.from_bytes(walk.get(record.reference))
    if reference is not None and reference.evaluation != known.monitoring.evaluation:
        yield at.anomaly("other_reference", reference.evaluation, known.monitoring.evaluation)
    gates = Tally.from_bytes(walk.get(known.monitoring.tally))
    seen = {name: _seen(walk, counted) for name, counted in told.counted.items()}
    since = in_use_since(record.version, at.aliases, at.before.entries)
    again = vigil(known, reference, gates, seen, look=record.look, since=since, until=record.until)
    if again.verdict is not record.verdict or not alike(walk.get(record.findings), again.to_bytes()):
        got = f"{record.verdict.name} ({record.findings})"
        yield at.anomaly("other_verdict", got, f"{again.verdict.name} ({again.digest})")
    yield from _of_another(at, record, known, seen)
    due = moment(record.until) + timedelta(minutes=known.every_minutes)
    if moment(record.due) > due:
        yield at.anomaly("other_plan", f"the next look at {record.due}", f"one by {due}")


def _seen(walk: Walk, counted: Counted) -> Seen:
    profile = None if counted.profile is None else Profile.from_bytes(walk.get(counted.profile))
    tally = None if counted.tally is None else Tally.from_bytes(walk.get(counted.tally))
    return Seen(profile, tally, counted.lack)


def _of_another(at: Place, record: Monitored, known: Mandate, seen: dict[str, Seen]) -> Iterator[Anomaly]:
    """Profiles of another version or window than the plan's."""
    for name, each in seen.items():
        check = known.check(name)
        if each.profile is None or check is None:
            continue
        until = moment(record.until) - timedelta(days=known.delay(check))
        window = (until - timedelta(hours=check.window_hours), until)
        shown = (moment(each.profile.since), moment(each.profile.until))
        # A ledger's time has milliseconds.
        apart = max(abs(a - b) for a, b in zip(window, shown, strict=True))
        if each.profile.version != record.version or apart > timedelta(milliseconds=2):
            got = f"{name} by version {each.profile.version} from {each.profile.since} to {each.profile.until}"
            yield at.anomaly("other_window", got, f"version {record.version} from {window[0]} to {window[1]}")


def _alarmed(walk: Walk, at: Place, record: Alarmed) -> Iterator[Anomaly]:
    """Whether the look found what the alarm says, and the plan says what follows."""
    known, told = _mandate(walk, at, record.version), Vigil.from_bytes(walk.get(record.findings))
    check = known.check(record.check)
    bad = Verdict.ERROR if record.check == PLAN else Verdict.FAIL
    if told.of(record.check) is not bad or told.reason(record.check) != record.reason:
        got = f"{record.check}: {record.reason}"
        yield at.anomaly("void_alarm", got, f"{told.of(record.check).name}: {told.reason(record.check)}")
    expected = ("incident", FIRST_AID, "tell") if check is None else (check.severity, check.playbook, check.response)
    if (record.severity, record.playbook, record.response) != expected:
        got = f"{record.severity}, {record.playbook}, {record.response}"
        yield at.anomaly("other_plan", got, ", ".join(expected))
    look = at.state.looks[record.version]
    by = known.respond_by(look.until) if record.severity == "incident" else None
    if (record.plan, record.incidents, record.respond_by) != (known.plan, known.incidents, by):
        yield at.anomaly("other_plan", f"{record.plan}, by {record.respond_by}", f"{known.plan}, by {by}")


def _step(walk: Walk, at: Place, record: StepTaken) -> Iterator[Anomaly]:
    alarm = at.state.alarms[record.alarm].record
    steps = _mandate(walk, at, alarm.version).steps(alarm.playbook)
    named = steps[record.step - 1] if record.step <= len(steps) else None
    if named != record.of:
        yield at.anomaly("other_plan", f"step {record.step}: {record.of}", f"step {record.step}: {named}")


def _closed(walk: Walk, at: Place, record: AlarmClosed) -> Iterator[Anomaly]:
    """Whether what closed by itself had passed, or was about a version that nobody uses."""
    if record.who is not None:
        return
    alarm = record_of("alarmed", dict(at.ledger.entries[record.alarm].body))
    assert isinstance(alarm, Alarmed)  # noqa: S101 - rule 19
    look = at.state.looks[alarm.version]
    told = Vigil.from_bytes(walk.get(look.findings))
    used = alarm.version in at.aliases.values()
    passed = look.findings != alarm.findings and told.of(record.check) is Verdict.PASS
    if used and not passed:
        yield at.anomaly("void_closing", f"{record.check} closed by itself", f"{told.of(record.check).name} by then")


def _drilled(walk: Walk, at: Place, record: Drilled) -> Iterator[Anomaly]:
    """Whether the steps are those of the plan."""
    known = mandate(at.state.release(record.release), walk.get)
    if (record.incidents, record.steps) != (known.incidents, known.steps(record.situation)):
        yield at.anomaly("other_plan", f"{record.situation}: {record.steps}", f"{known.steps(record.situation)}")


def _mandate(walk: Walk, at: Place, version: int) -> Mandate:
    maker = at.state.maker(version)
    assert maker is not None  # noqa: S101 - rule 17
    return mandate(maker, walk.get)


AGAIN: dict[type[Record], Callable[[Walk, Place, Any], Iterator[Anomaly]]] = {
    Monitored: _monitored,
    Alarmed: _alarmed,
    StepTaken: _step,
    AlarmClosed: _closed,
    Drilled: _drilled,
}
"""What can be computed again, by kind of record."""
