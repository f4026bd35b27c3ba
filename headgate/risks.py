"""What is at risk about a model at the time of a report: what has gone wrong, what runs out, and what nobody knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from typing import Literal

from headgate.chronicle import Excuse, clock
from headgate.entry import moment
from headgate.facts import Facts, Live
from headgate.plain_summary import spoken
from headgate.release import version_of
from headgate.subject import Subject
from headgate.verdict import Verdict

SOON = timedelta(days=30)
"""How long before a day people are told of it."""

Urgency = Literal["now", "soon", "known"]
"""Whether somebody must act, has to before long, or must only know."""

ORDER: tuple[Urgency, ...] = ("now", "soon", "known")


@dataclass(frozen=True)
class Risk:
    """One thing that is at risk, in a sentence, and since or until when, if that is a day."""

    urgency: Urgency
    what: str
    day: date | None = None


def risks(told: Facts) -> tuple[Risk, ...]:
    """Everything that is at risk, the most urgent first."""
    today = moment(told.made).astimezone(UTC).date()
    found = [
        *_wrong(told),
        *(risk for live in told.live for risk in _expiring(live, today)),
        *_due(told, today),
        *(risk for each in told.subjects for risk in _of_subject(each, told.happened.waivers, today)),
        *_unstated(told),
    ]
    return tuple(sorted(dict.fromkeys(found), key=lambda risk: ORDER.index(risk.urgency)))


def _wrong(told: Facts) -> Iterator[Risk]:
    for each in told.happened.incidents:
        if each.until is None:
            shown, recorded = version_of(each.shown), version_of(each.recorded)
            said = f"MLflow showed {shown} as '{each.alias}' where the ledger has {recorded}; {each.why}"
            yield Risk(
                "now", f"An incident is open since {clock(each.since)}: {said}. Until it is closed nothing is promoted."
            )
    for bell in told.happened.alarms:
        late = ", and nobody came in time" if bell.late else f", {bell.steps} step(s) taken" if bell.steps else ""
        urgency: Urgency = "now" if bell.severity == "incident" else "soon"
        what = f"Version {bell.version} in use, check {bell.check}: {bell.reason} (since {clock(bell.since)}{late})."
        yield Risk(urgency, what)
    if told.moving is not None:
        yield Risk("now", f"A move was begun and is not closed: {told.moving}.")
    for lost in dict.fromkeys((*told.lost, *(f"{what} of {s.release}" for s in told.subjects for what in s.lost))):
        yield Risk("now", f"Evidence that the ledger names cannot be read: {lost}.")
    for wait in told.waits:
        if wait.overdue:
            yield Risk("now", f"{wait.release} was not answered until {clock(wait.until)}: it is to be halted.")


def _expiring(live: Live, today: date) -> Iterator[Risk]:
    named, last = f"Version {live.version}, live as '{live.alias}',", live.certified_until
    if last is None:
        yield Risk("now", f"{named} is certified until a day that cannot be told.")
    elif last < today:
        yield Risk("now", f"{named} is not certified any more: that ended on {last}.", last)
    elif last - today <= SOON:
        yield Risk("soon", f"{named} is certified until {last}.", last)
    if live.before is None:
        yield Risk("known", f"{named} has no version before it that a rollback could take it to.")


def _due(told: Facts, today: date) -> Iterator[Risk]:
    if told.about is None:
        return
    day = told.about.review_by
    if day < today:
        yield Risk("now", f"The policy was due for review by {day}.", day)
    elif day - today <= SOON:
        yield Risk("soon", f"The policy is due for review by {day}.", day)


def _of_subject(each: Subject, waivers: tuple[Excuse, ...], today: date) -> Iterator[Risk]:
    used = [w for w in waivers if each.release in w.used_by] if each.live_as or each.stage != "promoted" else []
    for waiver in used:
        yield _waived(each, waiver, today)
    if each.judged is not None and (each.live_as or each.stage not in ("halted", "rejected")):
        left = sum(j.verdict is Verdict.INCONCLUSIVE for j in each.judged.judgements)
        if left:
            yield Risk("known", f"{each.release}: {left} comparison(s) were left open, with too few rows to tell.")
        for omitted in each.judged.omitted:
            yield Risk("known", f"{each.release}: the gate {omitted.gate} was not judged: {omitted.reason}.")
    if each.small:
        groups = "; ".join(map(spoken, each.small[:10])) + (" and others" if len(each.small) > 10 else "")
        yield Risk("known", f"{each.release}: nothing is known about groups with few rows: {groups}.")


def _waived(each: Subject, waiver: Excuse, today: date) -> Risk:
    people = " and ".join(waiver.people)
    what = f"{each.release} went on although {waiver.gate} did not pass: {people} signed for that until {waiver.until}"
    if waiver.stands != "yes":
        return Risk("now", f"{what}; that waiver is {waiver.stands}.", waiver.until)
    return Risk("soon" if waiver.until - today <= SOON else "known", f"{what}.", waiver.until)


def _unstated(told: Facts) -> Iterator[Risk]:
    about = told.about
    if about is None:
        return
    if about.impact is None:
        yield Risk("known", "Nobody has stated whom this model affects, and how: the policy has no impact assessment.")
    if about.watched_by is None:
        yield Risk("known", "Nobody has stated how the model is watched in use.")
    if about.contact is None:
        yield Risk("known", "Nobody has stated who answers when something goes wrong.")
    clicks = sum(reply.assurance.startswith("by a click") for reply in told.happened.replies)
    if clicks:
        yield Risk("known", f"{clicks} answer(s) were given by a click: nobody signed, and the names are believed.")
