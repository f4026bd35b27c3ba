"""The facts of a report: what stands about a model and how it came to that, from a ledger and its evidence.

Every fact is a value that can be printed as JSON; the page in `headgate.report` says nothing else. What changes with
the clock alone, such as an expiry, is judged at the time that the report names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, timedelta

from headgate.chronicle import Chronicle, chronicle, clock
from headgate.entry import moment
from headgate.history import MOVING, Span, spans
from headgate.ledger import Ledger
from headgate.policy import Policy
from headgate.records import Evaluated, Registered
from headgate.release import Release, version_of
from headgate.state import State
from headgate.stewardship import Impact
from headgate.story import sentence
from headgate.subject import Read, Reader, Subject, policy_of, subject


@dataclass(frozen=True)
class About:
    """What the policy says about the model. `impact` is None if nobody has stated one."""

    purpose: str
    not_for: tuple[str, ...]
    owner: str
    tier: str
    review_by: date
    certify_days: int
    impact: Impact | None
    contact: str | None
    watched_by: str | None


@dataclass(frozen=True)
class Live:
    """What an alias points to.

    Attributes:
        release: the release that made the version. people, why: who put it there, and why.
        certified_until: the last day that the policy certifies it for, None if that cannot be told.
        before: the version that a rollback would take it to. doubts: when MLflow showed another version.
        serves: of a stage before the last one, whom it serves; None for everybody else, or where that is not known.
    """

    alias: str
    version: int
    since: str
    release: str | None
    people: tuple[str, ...]
    why: str
    certified_until: date | None
    before: int | None
    doubts: tuple[str, ...]
    serves: str | None = None


@dataclass(frozen=True)
class Wait:
    """A release that waits for people, or for its promotion once nothing is `owed`. `stage`: which is asked about."""

    release: str
    version: int
    owed: tuple[str, ...]
    agreed: tuple[str, ...]
    deputies: tuple[str, ...]
    since: str
    until: str
    overdue: bool
    stage: str | None = None


@dataclass(frozen=True)
class Facts:
    """All of it.

    Attributes:
        made: the time of the report. size, head, root: of the ledger that it was made from.
        about: None if there is no release, or if its policy is lost; `lost` says which.
        subjects: the live versions, then those that wait, then what was judged last if there is neither.
        newest: the release that was opened last, and where it stands.
        moving: what an open promotion or rollback is about to do.
    """

    model: str
    made: str
    size: int
    head: str
    root: str
    about: About | None
    live: tuple[Live, ...]
    waits: tuple[Wait, ...]
    subjects: tuple[Subject, ...]
    newest: tuple[str, str] | None
    happened: Chronicle
    moving: str | None
    lost: tuple[str, ...]


def facts(ledger: Ledger, state: State, read: Read, made: str) -> Facts:
    """The facts about a model at a time.

    Args:
        state: what stands after the ledger. read: the evidence behind a digest. made: RFC 3339, as the ledger has it.
    """
    reader = Reader(read)
    about = _about(state, reader)
    return Facts(
        model=ledger.model,
        made=made,
        size=ledger.size,
        head=ledger.head,
        root=ledger.root(),
        about=about,
        live=tuple(_live(state, reader, spans(ledger.entries))),
        waits=tuple(_waits(state, made)),
        subjects=tuple(subject(ledger.model, *each, read) for each in _subjects(state)),
        newest=next(((r.id, r.stage) for r in _newest_first(state)), None),
        happened=chronicle(ledger, state, made),
        moving=None if state.intention is None else sentence(state.intention.record),
        lost=tuple(dict.fromkeys(reader.lost)),
    )


def _newest_first(state: State) -> list[Release]:
    return [*state.releases.values()][::-1]


def _about(state: State, reader: Reader) -> About | None:
    makers = [state.maker(version) for version in state.aliases.values()]
    release = next((r for r in (*makers, *_newest_first(state)) if r is not None), None)
    policy = None if release is None else policy_of(release, reader)
    return None if policy is None else _stated(policy)


def _stated(policy: Policy) -> About:
    return About(
        purpose=policy.model.purpose,
        not_for=policy.model.not_for,
        owner=policy.model.owner,
        tier=policy.model.tier,
        review_by=policy.renewal.review_by,
        certify_days=policy.renewal.certify_days,
        impact=policy.impact,
        contact=f"{policy.incidents.owner}: {policy.incidents.contact}" if policy.incidents else None,
        watched_by=policy.monitoring.owner if policy.monitoring else None,
    )


def _live(state: State, reader: Reader, all_spans: tuple[Span, ...]) -> Iterator[Live]:
    for span in (s for s in all_spans if s.until is None):
        maker = state.maker(span.version)
        first = next((s.since for s in all_spans if maker and s.release == maker.id), None)
        policy = None if maker is None else policy_of(maker, reader)
        yield Live(
            alias=span.alias,
            version=span.version,
            since=span.since,
            release=maker.id if maker else None,
            people=span.people,
            why=span.why,
            certified_until=_after(first, policy.renewal.certify_days) if first and policy else None,
            before=next(reversed(state.behind.get(span.alias, ())), None),
            doubts=tuple(_doubts(span)),
            serves=span.serves,
        )


def _after(time: str, days: int) -> date | None:
    try:
        return moment(time).astimezone(UTC).date() + timedelta(days=days)
    except OverflowError:  # a policy may certify for longer than there are dates
        return date.max


def _doubts(span: Span) -> Iterator[str]:
    for doubt in (d for d in span.doubts if d.why != MOVING):
        until = "and still does" if doubt.until is None else f"until {clock(doubt.until)}"
        yield f"MLflow showed {version_of(doubt.shown)} from {clock(doubt.since)} {until}"


def _waits(state: State, made: str) -> Iterator[Wait]:
    for release in _waiting(state):
        expires = release.question.expires
        yield Wait(
            release=release.id,
            version=release.step(Registered).version,
            owed=tuple(f"{n} × {role}" for role, n in release.missing.items()),
            agreed=tuple(f"{a.record.person} as {a.record.role}" for a in release.agreed),
            deputies=tuple(f"{to} for {role}" for role, to in release.deputies.items()),
            since=release.requests[-1].time,
            until=expires,
            overdue=moment(expires) <= moment(made),
            stage=release.question.stage,
        )


def _waiting(state: State) -> list[Release]:
    """The releases that people were asked about and that are not over."""
    return [r for r in state.releases.values() if r.stage in ("waiting", "approved", "promoting") and r.requests]


def _subjects(state: State) -> list[tuple[Release, tuple[str, ...]]]:
    names: dict[str, tuple[str, ...]] = {}
    for alias, version in state.aliases.items():
        if (maker := state.maker(version)) is not None:
            names[maker.id] = (*names.get(maker.id, ()), alias)
    found = [*names, *(r.id for r in _waiting(state) if r.id not in names)]
    return [(state.release(name), names.get(name, ())) for name in found or _last_judged(state)]


def _last_judged(state: State) -> list[str]:
    judged = [r.id for r in state.releases.values() if r.find(Evaluated) is not None]
    return judged[-1:]
