"""Vigil: one look at a version in use, and what every check of its monitoring plan says of it. Pure.

A check is made of members: a column, a score, a metric in a group. A member passes if the bound on the side of harm is
inside its limit at the policy's alpha. Harm is claimed of any of many, and looked for again and again, so the k-th look
at a family of m members claims it at alpha / (m k (k + 1)). Over all members and all looks these add up to alpha, as
1 / (k (k + 1)) adds up to 1, and by the union bound (Boole) no more than that is the chance that a version which keeps
every limit is ever accused; whether windows overlap does not matter. Volume is counted, and claims nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from headgate.bounds import Bounds
from headgate.cells import Count
from headgate.entry import Digest, moment
from headgate.estimate import Estimate, Unmeasurable
from headgate.mandate import Mandate
from headgate.members import Ground, Member, Seen, family_of, members
from headgate.profile import Profile, Reference
from headgate.reasons import Span, rows_needed
from headgate.record import Time
from headgate.slices import ALL
from headgate.stewardship import Check
from headgate.tally import Tally
from headgate.value import Document, Value
from headgate.verdict import NamedVerdict, Verdict, worst_of

PLAN = "plan"
"""The check that the plans themselves are what was packaged."""

FIRST_AID = "gate_error"
"""The playbook for it, which every policy has: what to do about something that could not be measured."""


class Counted(Value):
    """The evidence of one check: the digests of what was counted, or why nothing was."""

    profile: Digest | None
    tally: Digest | None
    lack: str


class Sighting(Value):
    """What one member of a check says.

    Attributes:
        of: a column, a score or a metric; of the other checks what they watch. slice: a group, or `all`.
        lower, upper: one-sided bounds at the policy's alpha, which decide a PASS. None where there is none.
    """

    check: str
    of: str
    slice: str
    verdict: NamedVerdict
    reason: str
    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    n: Count = 0
    rows_needed: Count | None = None


class Vigil(Document):
    """One look.

    Attributes:
        since, until: when the version came into use, and when it was looked at.
        look: the how manieth at this version, from 1. family: its members. alpha: the policy's.
        reference: with what it was compared; None if that could not be made.
        tally: what the gates judged, whose groups are the family's.
        counted: by check.
    """

    subject: ClassVar[str] = "a look of the monitor"
    expected: ClassVar[str] = "a document of the format headgate/vigil/v1"
    next_step: ClassVar[str] = "look again with `headgate monitor`"

    format: Literal["headgate/vigil/v1"] = "headgate/vigil/v1"
    release: str
    version: int
    plan: Digest
    since: Time
    until: Time
    look: int
    alpha: float
    family: int
    reference: Digest | None
    tally: Digest
    counted: dict[str, Counted]
    sightings: tuple[Sighting, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of all."""
        return worst_of(s.verdict for s in self.sightings)

    def of(self, check: str) -> Verdict:
        """What one check says: the worst of its members."""
        return worst_of(s.verdict for s in self.sightings if s.check == check)

    def reason(self, check: str) -> str:
        """The arithmetic of the worst member of a check, and how many others say as much."""
        worst = [s for s in self.sightings if s.check == check and s.verdict is self.of(check)]
        more = f"; and {len(worst) - 1} more say {self.of(check).name}" if len(worst) > 1 else ""
        return f"{worst[0].reason}{more}" if worst else "it was not made"

    @property
    def checks(self) -> tuple[str, ...]:
        """The names of the checks, in the order of the plan."""
        return tuple(dict.fromkeys(s.check for s in self.sightings))


def vigil(
    mandate: Mandate,
    reference: Reference | None,
    known: Tally,
    seen: Mapping[str, Seen],
    *,
    look: int,
    since: str,
    until: str,
) -> Vigil:
    """What a look says.

    Args:
        reference: None if it could not be made: what is compared with it is ERROR.
        known: what the gates judged.
        seen: by check. One that is missing is ERROR; under `PLAN` stands what is wrong with the plans themselves, and
            then nothing else is followed.
        look: the how manieth at this version. since: when it came into use. until: now.
    """
    checks = mandate.checks
    family = max(1, sum(family_of(check, reference, known) for check in checks))
    alpha, spent = mandate.policy.confidence.alpha, family * look * (look + 1)
    if PLAN in seen or not checks:
        lack = seen[PLAN].lack if PLAN in seen else "the policy states no [monitoring]: nothing is watched"
        found = [Sighting(check=PLAN, of=PLAN, slice=ALL, verdict=Verdict.ERROR, reason=lack)]
    else:
        told = _Told(alpha, family, look, spent, since)
        found = [s for check in checks for s in _sightings(mandate, check, reference, known, seen, told)]
    return Vigil(
        release=mandate.release,
        version=mandate.version,
        plan=mandate.plan,
        since=since,
        until=until,
        look=look,
        alpha=alpha,
        family=family,
        reference=None if reference is None else reference.digest,
        tally=mandate.monitoring.tally,
        counted={name: _counted(each) for name, each in seen.items()},
        sightings=tuple(found),
    )


def _counted(seen: Seen) -> Counted:
    profile, tally = seen.profile, seen.tally
    return Counted(
        profile=None if profile is None else profile.digest,
        tally=None if tally is None else tally.digest,
        lack=seen.lack,
    )


@dataclass(frozen=True)
class _Told:
    """How much may be claimed at this look, and since when the version is in use."""

    alpha: float
    family: int
    look: int
    spent: int
    since: str


def _sightings(
    mandate: Mandate, check: Check, reference: Reference | None, known: Tally, seen: Mapping[str, Seen], told: _Told
) -> Iterator[Sighting]:
    given = seen.get(check.name, Seen(lack="it was not looked at"))
    profile = given.profile
    lack = given.lack or ("nothing was counted" if profile is None else "")
    if profile is not None and profile.garbled:
        lack = f"{profile.torn:,} of {profile.requests + profile.torn:,} lines cannot be read"
    if lack or profile is None:
        yield Sighting(
            check=check.name, of=check.watches, slice=ALL, verdict=Verdict.ERROR, reason=f"not measured: {lack}"
        )
        return
    if check.watches == "volume":
        yield _volume(check, profile, told.since)
        return
    for member in members(Ground(mandate, check, reference, known, profile, given.tally)):
        yield _sighting(member, told)


def _sighting(member: Member, told: _Told) -> Sighting:
    common: dict[str, Any] = {"check": member.check.name, "of": member.of, "slice": member.slice}
    what = _what(member)
    if member.rows < member.least or member.new:
        reason = f"{what} cannot be decided yet: {_short(member)}{member.note}"
        return Sighting(**common, verdict=Verdict.INCONCLUSIVE, reason=reason, n=member.rows, rows_needed=member.least)
    if isinstance(member.estimate, Unmeasurable):
        reason = f"{what} not measured: {member.estimate.reason}{member.note}"
        return Sighting(**common, verdict=Verdict.ERROR, reason=reason, n=member.rows)
    return _held(member, member.estimate, told, common)


def _held(member: Member, estimate: Estimate, told: _Told, common: Mapping[str, Any]) -> Sighting:
    span, bounds = span_of(member.check), estimate.bounds(told.alpha)
    spent = estimate.bounds(told.alpha / told.spent)
    verdict = _verdict(span, bounds, spent, partial=member.partial)
    lacking = member.partial and _verdict(span, bounds, spent, partial=False) is Verdict.PASS
    open_ = verdict is Verdict.INCONCLUSIVE and not lacking
    needed = rows_needed(estimate, span, told.alpha, told.spent) if open_ else None
    said = _said(member.check, estimate, bounds, spent, verdict, told)
    return Sighting(
        **common,
        verdict=verdict,
        reason=f"{_what(member)} {said}{_more(estimate, verdict, needed, lacking=lacking)}{member.note}",
        value=_finite(estimate.value),
        lower=_finite(bounds[0]),
        upper=_finite(bounds[1]),
        n=estimate.n,
        rows_needed=needed,
    )


def span_of(check: Check) -> Span:
    """Where a check wants its number to be."""
    return Span(-math.inf if check.min is None else check.min, math.inf if check.max is None else check.max)


def _verdict(span: Span, bounds: Bounds, spent: Bounds, *, partial: bool) -> Verdict:
    if not bounds[0] <= bounds[1] or not spent[0] <= spent[1]:
        return Verdict.ERROR
    if spent[0] > span.high or spent[1] < span.low:
        return Verdict.FAIL
    inside = span.low <= bounds[0] and bounds[1] <= span.high
    return Verdict.PASS if inside and not partial else Verdict.INCONCLUSIVE


def _volume(check: Check, profile: Profile, since: str) -> Sighting:
    n, span = profile.requests, span_of(check)
    whole = moment(since) <= moment(profile.since)
    # A line that cannot be read was a request or none, and before it came into use a version was asked nothing.
    least, most = n, n + profile.torn if whole else math.inf
    if span.low <= least and most <= span.high:
        verdict = Verdict.PASS
    else:
        verdict = Verdict.FAIL if most < span.low or least > span.high else Verdict.INCONCLUSIVE
    more = f"; {profile.torn:,} more lines cannot be read" if profile.torn else ""
    more += f"; it is in use only since {since}" if not whole and verdict is Verdict.INCONCLUSIVE else ""
    limit = check.max if check.min is None else check.min
    reason = f"{n:,} requests (counted, exact): {_way(check, verdict)} {limit:,.10g}{more}"
    return Sighting(
        check=check.name, of="requests", slice=ALL, verdict=verdict, reason=reason, value=n, lower=n, upper=n, n=n
    )


def _what(member: Member) -> str:
    named = {"inputs": f"total variation of {member.of}", "scores": f"total variation of the {member.of}"}
    where = "" if member.slice == ALL else f" in {member.slice}"
    return f"{named.get(member.check.watches, member.of)}{where}"


def _short(member: Member) -> str:
    if member.new:
        return "the evaluation table has no such group, so nothing was agreed about it"
    return f"{member.rows:,} rows, and at least {member.least:,} are demanded"


def _said(check: Check, estimate: Estimate, bounds: Bounds, spent: Bounds, verdict: Verdict, told: _Told) -> str:
    limit = check.max if check.min is None else check.min
    harm = check.min is None
    n = f"n={estimate.n:,}"
    if verdict is Verdict.ERROR:
        return "not measured: its bounds are not numbers"
    if verdict is Verdict.FAIL:
        error = f"{told.alpha:g} / ({told.family} × {told.look:,} × {told.look + 1:,})"
        figures = f"(one-sided bound {_number(spent[0] if harm else spent[1])} with an error of {error}, {n})"
    else:
        bound = bounds[1] if harm else bounds[0]
        sure = f"{100 * (1 - told.alpha):.4g}%"
        figures = f"({sure} one-sided bound {_number(bound)}, {n})" if math.isfinite(bound) else f"(no bound yet, {n})"
    return f"{_number(estimate.value)} {figures} {_way(check, verdict)} {limit:,.10g}"


def _way(check: Check, verdict: Verdict) -> str:
    end = "maximum" if check.min is None else "minimum"
    side = {"maximum": "above", "minimum": "below"}[end]
    return {Verdict.PASS: f"keeps the {end}", Verdict.FAIL: f"is {side} the {end}"}.get(
        verdict, f"is not decided against the {end}"
    )


def _more(estimate: Estimate, verdict: Verdict, needed: int | None, *, lacking: bool) -> str:
    if lacking:
        return ", because too few outcomes have come: they may not be like those that have not"
    if verdict is not Verdict.INCONCLUSIVE:
        return ""
    if needed is None or needed <= estimate.rows:
        return "; no number of rows can be said to decide"
    return f"; about {needed:,} rows like these would decide"


def _number(x: float) -> str:
    return f"{x:,.4g}" if abs(x) >= 100 else f"{x:.3f}"


def _finite(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None
