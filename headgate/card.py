"""The verdict page, and what else shows verdicts and answers: every number comes from a judgement or a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from headgate.entry import Digest
from headgate.excuse import covers, excused, headline
from headgate.judgement import Judged, Judgement
from headgate.markdown import escaped, table
from headgate.records import Packaged, Rejected, Requested
from headgate.release import Answer, Release, Waiver
from headgate.verdict import Verdict, worst_of

PICTURE = "verdicts.svg"
"""The file beside the card that draws every comparison."""


def verdict_page(
    release: str,
    judged: Judged,
    waivers: Sequence[Waiver] = (),
    refused: Mapping[int, Sequence[str]] = MappingProxyType({}),
) -> str:
    """The verdicts of a release as Markdown: in full sentences what did not pass, then a table of everything.

    Args:
        waivers: those that were used. refused: by slot, why a waiver that speaks of these verdicts does not count.
    """
    stopped = [j for j in worst_first(judged) if j.verdict is not Verdict.PASS]
    said = "".join(f"- **{j.verdict.name}** {escaped(j.gate)}: {escaped(j.reason)}\n" for j in stopped)
    said += "".join(
        f"- The waiver of slot {slot} does not count: {escaped('; '.join(why))}\n" for slot, why in refused.items()
    )
    above = f"{waiver_section(judged, waivers)}\n" if waivers else ""
    return f"# {escaped(release)}: {escaped(headline(judged, waivers))}\n\n{above}{said}\n{verdict_table(judged)}"


def waiver_section(judged: Judged, waivers: Sequence[Waiver]) -> str:
    """What did not pass and goes on all the same: each gate with its arithmetic, and who answers for it until when."""
    said = "".join(_excuse(judged, waiver) for waiver in waivers)
    return (
        f"## Waivers\n\n**{len(excused(judged, waivers))} of {len(judged.judgements)} comparisons did not pass.** "
        f"The people named here signed that the release may go on all the same; the verdicts stay.\n\n{said}"
    )


def _excuse(judged: Judged, waiver: Waiver) -> str:
    said = waiver.record
    people = " and ".join(f"{escaped(p.person)} as {escaped(p.role)}" for p in said.people)
    what = "".join(
        f"    - **{j.verdict.name}** in {escaped(j.slice)}: {escaped(j.reason)}\n"
        for j in worst_first(judged)
        if covers(waiver, j)
    )
    where = "" if said.slice is None else f" in {escaped(said.slice)}"
    return (
        f"- **{escaped(said.gate)}**{where}: waived up to {said.covers} until {said.until} by {people}, "
        f"in slot {waiver.seq} of the ledger. Why: {escaped(said.reason)}\n{what}"
    )


def verdict_table(judged: Judged, sources: Mapping[Digest, str] = MappingProxyType({})) -> str:
    """One row per judgement, the worst first, each with its arithmetic; then what was not judged, and why.

    Args:
        sources: what each piece of evidence is called; if given, each row names its own.
    """
    header = ("verdict", "gate", "rows", "n", "arithmetic", *(("evidence",) if sources else ()))
    rows = [
        (j.verdict.name, j.gate, j.slice, f"{j.n:,}", j.reason, *((source(j, sources),) if sources else ()))
        for j in worst_first(judged)
    ]
    note = (
        f"\n\n{len(judged.judgements)} comparisons. PASS is claimed at one-sided {confidence(judged)} confidence each; "
        f"FAIL is Holm-corrected over {judged.family}.\n{omissions(judged)}"
    )
    return table(header, rows) + note


def omissions(judged: Judged) -> str:
    """The gates that were not judged, and why, as a list; empty if all were."""
    return "".join(f"\n- {escaped(o.gate)} was not judged: {escaped(o.reason)}" for o in judged.omitted)


def source(j: Judgement, sources: Mapping[Digest, str]) -> str:
    """The evidence that a judgement's numbers come from, by its name."""
    return "none" if j.evidence is None else sources.get(j.evidence, j.evidence)


def worst_first(judged: Judged) -> list[Judgement]:
    """The comparisons, those that need a person on top; else as they were judged."""
    return sorted(judged.judgements, key=lambda j: -j.verdict)


def confidence(judged: Judged) -> str:
    """The confidence of the bounds, such as 95%."""
    return f"{100 * (1 - judged.alpha):.6g}%"


def picture(place: str) -> str:
    """The drawing of the verdicts in a Markdown page, from where it is kept."""
    return f"![Every comparison with its interval and its limit]({place})"


def demand(j: Judgement) -> str:
    """Where a gate wants the value to be, in signs: ≥ 0.8, ≤ 0.15, ± 0.06, or from one number to another."""
    if j.floor is not None and j.ceiling is not None:
        return f"± {j.ceiling:.4g}" if j.floor == -j.ceiling else f"{j.floor:.4g} to {j.ceiling:.4g}"
    return f"≥ {j.floor:.4g}" if j.floor is not None else f"≤ {j.ceiling:.4g}" if j.ceiling is not None else "anything"


def tags(release: Release, judged: Judged | None) -> dict[str, str]:
    """What the registry's version carries: names, verdicts and digests, so that a reader finds the evidence."""
    asked, packaged = release.step(Requested), release.find(Packaged)
    found = {"headgate.release": release.id, "headgate.stage": release.stage, "headgate.policy": asked.policy}
    if packaged is not None:
        found["headgate.package"] = packaged.package
    if judged is not None:
        found["headgate.verdict"] = headline(judged, release.waivers)
        found["headgate.verdicts"] = "; ".join(f"{name}: {', '.join(gates)}" for name, gates in _by_verdict(judged))
    if release.waivers:
        found["headgate.waivers"] = "; ".join(waiver.told() for waiver in release.waivers)
    return found


def _by_verdict(judged: Judged) -> list[tuple[str, list[str]]]:
    gates = dict.fromkeys(j.gate for j in judged.judgements)
    worst = {gate: worst_of(j.verdict for j in judged.judgements if j.gate == gate) for gate in gates}
    found = sorted(set(worst.values()), reverse=True)
    return [(verdict.name, [gate for gate in gates if worst[gate] is verdict]) for verdict in found]


def _said(answer: Answer) -> str:
    if answer.withdrawn is not None:
        return f"taken back in slot {answer.withdrawn}"
    said = "no" if isinstance(answer.record, Rejected) else "yes"
    return f"{said}, by a click" if answer.record.key is None else said


def approvals(release: Release) -> str:
    """Who approved, in which role and when, and what became of the release; a section that follows the card."""
    rows = [
        (a.record.person, a.record.role, _said(a), a.time, a.record.key or "nobody signed") for a in release.answers
    ]
    people = (
        table(("person", "role", "agreed", "at", "key"), rows) if rows else "Nobody was asked yet, or nobody answered."
    )
    return f"\n## Answers\n\n{people}\n\nThe release is **{release.stage}**.\n"
