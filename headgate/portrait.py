"""The portrait of a subject, as HTML: how good a version is and for whom, and where it comes from."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from headgate.card import confidence, demand, worst_first
from headgate.judgement import Judged, Judgement
from headgate.markup import Markup, element, joined, listed, table
from headgate.plain_summary import spoken
from headgate.signs import chip
from headgate.slices import ALL
from headgate.strip import legend, number, strip, worst_by_gate
from headgate.subject import Group, Subject
from headgate.verdict import Verdict

_MEASURED = "Everything here was measured before the release, on held-out rows; nothing was measured in use."


def named(each: Subject) -> str:
    """The version, or the release that made none, and where it stands."""
    what = f"version {each.version}" if each.version is not None else each.release
    return f"{what}, {'live' if each.live_as else each.stage}".capitalize()


def worth(each: Subject) -> Iterator[str]:
    """How good it is and for whom, in sentences without a word of the trade."""
    if each.verdict is None:
        yield "It was not judged."
        return
    if each.lost:
        yield f"Some of what it was judged by cannot be read: {', '.join(each.lost)}."
    if each.rows is not None:
        yield f"It was tried on {each.rows:,} cases that it had never seen."
    yield from _shares(each)
    if each.judged is not None:
        passed = sum(j.verdict is Verdict.PASS for j in each.judged.judgements)
        missed = len(each.judged.judgements) - passed
        said = "all met" if passed and not missed else f"{passed} met, {missed} not met"
        yield f"Demands that were written down before: {passed + missed}; {said}."
    if each.excused:
        yield f"People signed that it may go on although these did not pass: {', '.join(each.excused)}."


def _shares(each: Subject) -> Iterator[str]:
    if ALL in each.right:
        yield f"Of 100 cases it is right in about {each.right[ALL]}. {each.mistakes}"
    elif each.groups:
        yield "How often it is right cannot be said in one number; the figures stand below."
    groups = {label: n for label, n in each.right.items() if label != ALL}
    if groups:
        low, high = min(groups, key=groups.__getitem__), max(groups, key=groups.__getitem__)
        yield (
            f"It is right least often for {spoken(low)} ({groups[low]} of 100) and most often for {spoken(high)} "
            f"({groups[high]} of 100)."
        )


def portrait(each: Subject) -> Iterator[Markup]:
    """How good it is and for whom."""
    yield element("h3", named(each))
    yield from (element("p", chip("lost", "bad"), f" {lost} cannot be read.") for lost in each.lost)
    if each.verdict is None:
        data = "the data gate has not judged" if each.data is None else f"the data gate said {each.data}"
        yield element("p", f"The gates have not judged {each.release}; {data}. Nothing is known about how good it is.")
        return
    yield element("p", chip(str(each.verdict)), f" {_verdicts(each)} {_MEASURED}")
    if each.judged is not None:
        yield from _gates(each, each.judged)
    yield from _groups(each)


def _verdicts(each: Subject) -> str:
    excused = "" if each.headline == each.verdict else f" It went on as {each.headline}."
    return f"{each.release}: the gates said {each.verdict}.{excused} The data gate said {each.data}."


def _gates(each: Subject, judged: Judged) -> Iterator[Markup]:
    yield element("h4", "Every gate")
    rows = [_gate_row(each, j) for j in worst_by_gate(judged)]
    header = ("gate", "verdict", "value", f"bounds at {confidence(judged)}", "demanded", "n", "where", "drawn")
    yield table("Of each gate its worst comparison", header, rows)
    yield element("p", legend(judged), class_="note legend")
    why = [joined((element("b", gate), ": ", reason)) for gate, reason in each.why.items()]
    yield element("details", element("summary", "Why these gates"), listed(why)) if why else Markup()
    stopped = [j for j in worst_first(judged) if j.verdict is not Verdict.PASS]
    if stopped:
        yield element("h4", "What did not pass")
        yield (
            listed(joined((chip(j.verdict.name), " ", element("b", j.gate), ": ", j.reason)) for j in stopped)
            or Markup()
        )
    if judged.omitted:
        yield element("h4", "What was not judged")
        yield listed(joined((element("b", o.gate), ": ", o.reason)) for o in judged.omitted) or Markup()
    yield picture(each.picture, _told(each, judged), "Every comparison with its interval and its limit.")
    yield _all(judged)


def _gate_row(each: Subject, j: Judgement) -> tuple[object, ...]:
    verdict = joined((chip(j.verdict.name), " ", chip("waived", "warn") if j.gate in each.excused else None))
    drawn = element("span", strip(j), class_="strip", aria_hidden="true")
    where = "all rows" if j.slice == ALL else spoken(j.slice)
    return (j.gate, verdict, number(j), _bounds(j), demand(j), f"{j.n:,}", where, drawn)


def _bounds(j: Judgement) -> str:
    if j.value is None:
        return "none"
    lower, upper = ("unbounded" if x is None else f"{x:.4g}" for x in (j.lower, j.upper))
    return f"{lower} to {upper}"


def _told(each: Subject, judged: Judged) -> str:
    passed = sum(j.verdict is Verdict.PASS for j in judged.judgements)
    return (
        f"Forest plot of {len(judged.judgements)} comparisons of {each.release}, of which {passed} pass. "
        "The table below it has every value, bound and limit."
    )


def _all(judged: Judged) -> Markup:
    rows = [(j.gate, chip(j.verdict.name), spoken(j.slice), f"{j.n:,}", j.reason) for j in worst_first(judged)]
    header = ("gate", "verdict", "rows", "n", "arithmetic")
    note = f"FAIL is Holm-corrected over {judged.family} claims; PASS is claimed at {confidence(judged)} each."
    made = table(f"All {len(rows)} comparisons, the worst first. {note}", header, rows)
    return element("details", element("summary", f"All {len(rows)} comparisons, with their arithmetic"), made)


def _groups(each: Subject) -> Iterator[Markup]:
    yield element("h4", "Every group")
    if not each.groups:
        yield element("p", "There are no figures by group.")
        return
    metrics = list(dict.fromkeys(metric for group in each.groups for metric in group.figures))
    names = [metric.replace("_", " ") for metric in metrics]
    shares = ["right, of 100"] if each.right else []
    rows = [_group_row(each, g, [g.figures.get(metric, "not measured") for metric in metrics]) for g in each.groups]
    caption = "Value and one-sided bounds of each group, not corrected for their number"
    yield table(caption, ("group", "rows", *shares, *names), rows, kind="wide")


def _group_row(each: Subject, group: Group, figures: list[str]) -> tuple[object, ...]:
    shown = "all rows" if group.name == ALL else spoken(group.name)
    return (shown, group.rows, *([each.right.get(group.name, "not told")] if each.right else []), *figures)


def lineage(each: Subject) -> Markup:
    """Where a version comes from, as a picture."""
    said = f"From the rows over training, version, verdicts and approvals to the alias: {named(each)}, {each.release}."
    return picture(each.lineage, said, f"{named(each)} ({each.release})")


def picture(svg: str, said: str, caption: str) -> Markup:
    """A picture within the page; an image runs nothing and loads nothing.

    Args:
        said: what it shows, for those who do not see it.
    """
    place = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
    frame = element(
        "div", element("img", src=place, alt=said), class_="picture", role="group", aria_label=caption, tabindex=0
    )
    return element("figure", frame, element("figcaption", caption))
