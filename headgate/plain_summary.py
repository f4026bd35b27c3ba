"""The summary for people who are no engineers: what it is for, for whom it works how well, and what nobody knows.

No word of the trade, no decimal and no name of a metric: whole numbers out of 100, which people read best.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from headgate.entry import Digest
from headgate.estimate import Estimate, measure, survey
from headgate.excuse import excused
from headgate.judgement import Judged, Judgement
from headgate.markdown import bullets, escaped
from headgate.policy import Policy
from headgate.records import Evaluated
from headgate.release import Release
from headgate.slices import ALL
from headgate.tally import Tally
from headgate.verdict import Verdict

SUMMARY = "summary.md"


def plain_summary(policy: Policy, release: Release, judged: Judged, tally: Tally) -> str:
    """The page in Markdown."""
    about = policy.model
    parts = [
        f"# {escaped(about.name)}: in plain words\n\n{escaped(about.purpose)}\n",
        f"## What it is not for\n{_listed(about.not_for) or _NOTHING}",
        f"## Who decides\n\n{_deciders(policy)}\n",
        f"## How well it works, and for whom\n\n{_works(policy, tally, release.step(Evaluated).tally)}\n",
        f"## What was demanded beforehand\n\n{_demanded(judged, release)}\n",
        f"## What is not known\n{_listed(_unknown(policy, tally, judged))}",
        f"## If something goes wrong\n\n{_recourse(policy)}\n",
    ]
    return "\n".join(parts)


_NOTHING = "\nNobody has said what it must not be used for.\n"


def _deciders(policy: Policy) -> str:
    asked = " and ".join(_counted(n, "person", "people") + f" for {escaped(role)}" for role, n in _roles(policy))
    return (
        f"{escaped(policy.model.owner)} answers for it. Before it is used, {asked} must agree, {_how(policy)}; whoever "
        "asked for it may not. Their answers lie in the folder `approvals` once they are given."
    )


def _how(policy: Policy) -> str:
    clicks = [escaped(role) for role, _ in _roles(policy) if role in policy.approval.ui_click]
    said = " and ".join(clicks)
    return "each by their own signature" + (f", for {said} by a click that nobody signs" if clicks else "")


def _roles(policy: Policy) -> list[tuple[str, int]]:
    return sorted(policy.approval.roles.items())


def _works(policy: Policy, tally: Tally, digest: Digest) -> str:
    rows = tally.slices[ALL].rows
    said = f"It was tried on {rows:,} cases that it had never seen (counted in `tally.json`, `{digest}`)."
    right = shares(policy, tally)
    if ALL not in right:
        return f"{said} How often it is right cannot be said in one number; the card has the figures."
    groups = "".join(f"\n- {_named(label)}: about {n}" for label, n in right.items() if label != ALL)
    more = f"\n\nOf 100 cases of each group:\n{groups}" if groups else ""
    return f"{said} Of 100 cases it is right in about **{right[ALL]}**.{mistakes(policy, tally)}{more}"


def mistakes(policy: Policy, tally: Tally) -> str:
    """The two kinds of mistakes, where there are two: one may do much more harm than the other."""
    if policy.model.task != "binary":
        return ""
    kinds = {"false_positive_rate": ("no", "yes"), "false_negative_rate": ("yes", "no")}
    found = {words: measure(tally, metric, ALL) for metric, words in kinds.items()}
    return "".join(
        f" Of 100 cases whose true answer is {truth}, it says {said} for about {round(100 * each.value)}."
        for (truth, said), each in found.items()
        if isinstance(each, Estimate)
    )


def shares(policy: Policy, tally: Tally) -> dict[str, int]:
    """How many of 100 are right, in all and in every group that is large enough."""
    if policy.model.task not in ("binary", "multiclass"):
        return {}
    found = survey(tally, "accuracy")
    values = np.atleast_1d(found.figures.value).tolist()
    pairs = zip(found.labels, values, strict=True)
    return {label: round(100 * x) for label, x in pairs if label == ALL or _large(policy, tally, label)}


def _large(policy: Policy, tally: Tally, label: str) -> bool:
    return tally.slices[label].rows >= policy.data.min_slice_rows


def _demanded(judged: Judged, release: Release) -> str:
    counts = {v: [j for j in judged.judgements if j.verdict is v] for v in Verdict}
    said = [
        f"{len(judged.judgements)} demands were made, all written down before the first try.",
        f"{len(counts[Verdict.PASS])} were met.",
        *_missed(counts[Verdict.FAIL], "not met"),
        *_missed(counts[Verdict.INCONCLUSIVE], "left open, because there were too few cases to tell"),
        *_missed(counts[Verdict.ERROR], "not examined, because something was missing"),
        *_excused(judged, release),
    ]
    return " ".join(said)


def _missed(each: list[Judgement], what: str) -> list[str]:
    return [f"**{len(each)} {'was' if len(each) == 1 else 'were'} {what}**{_places(each)}."] if each else []


def _places(each: Iterable[Judgement]) -> str:
    named = list(dict.fromkeys(_named(j.slice) for j in each if "=" in j.slice))
    return f" (for {'; '.join(named[:10])}{' and others' if len(named) > 10 else ''})" if named else ""


def _excused(judged: Judged, release: Release) -> list[str]:
    number = len(excused(judged, release.waivers))
    people = {p.person for waiver in release.waivers for p in waiver.record.people}
    who = _counted(len(people), "person has", "people have")
    return [f"{who} signed that it may go on in spite of {number} of these."] if number else []


def _unknown(policy: Policy, tally: Tally, judged: Judged) -> tuple[str, ...]:
    small = [label for label in tally.slices if label != ALL and not _large(policy, tally, label)]
    named = "; ".join(_named(label) for label in small[:10])
    few = [f"How well it works for groups with few cases: {named}{' and others' if len(small) > 10 else ''}."]
    open_ones = sum(j.verdict is Verdict.INCONCLUSIVE for j in judged.judgements)
    return (
        *(few if small else ()),
        *([f"Whether {_counted(open_ones, 'demand is', 'demands are')} met."] if open_ones else []),
        "How it works on cases of another kind, place or time than those that it was tried on.",
        *([] if policy.impact else ["What it does to the people it is used on: nobody has written that down."]),
        *([] if policy.monitoring else ["Whether it goes on working: nobody has said how that is watched."]),
    )


def _recourse(policy: Policy) -> str:
    if policy.impact is None and policy.incidents is None:
        return f"Nobody has said how to object. Ask {escaped(policy.model.owner)}."
    said = [escaped(policy.impact.redress)] if policy.impact else []
    said += (
        [f"{escaped(policy.incidents.owner)} answers: {escaped(policy.incidents.contact)}."] if policy.incidents else []
    )
    return " ".join(said)


def spoken(label: str) -> str:
    """A group's label as people say it, not escaped."""
    return label.replace("=", ": ").replace(" & ", ", ").replace("_", " ")


def _named(label: str) -> str:
    return escaped(spoken(label))


def _counted(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"


def _listed(items: Iterable[str]) -> str:
    said = bullets(items)
    return f"{said}\n" if said else ""
