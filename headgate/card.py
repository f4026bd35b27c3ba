"""The model card and the verdict page: what a reader sees first. Every number comes from a judgement or a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from headgate.excuse import covers, excused, headline
from headgate.judgement import Judged, Judgement
from headgate.markdown import escaped, table
from headgate.policy import Policy
from headgate.records import Evaluated, Packaged, Registered, Rejected, Requested, Snapshot, Table, Trained
from headgate.release import Answer, Release, Waiver
from headgate.verdict import Verdict, worst_of

_BESIDE = """In the release package, all of it pinned by `manifest.json`; `VERIFY.md` says how to check that.

- `verdicts.json`: every comparison with its numbers; `verdicts.svg` draws them; `tally.json` is what they rest on.
- `policy.toml`, `scenarios.toml`: what was demanded, by whom and why; `challenges.md`: what came of each scenario.
- `data-report.json`: what was checked of the tables; `serving.json`: how fast and large the model is.
- `gate-calibration.md`: how often these gates are wrong; `weakest-slices.json`: every slice that was searched.
- `ledger.jsonl`: every decision up to here; `lineage.ndjson`: the same for OpenLineage; `lineage.svg` draws it."""

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
    stopped = [j for j in _worst_first(judged) if j.verdict is not Verdict.PASS]
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
        for j in _worst_first(judged)
        if covers(waiver, j)
    )
    where = "" if said.slice is None else f" in {escaped(said.slice)}"
    return (
        f"- **{escaped(said.gate)}**{where}: waived up to {said.covers} until {said.until} by {people}, "
        f"in slot {waiver.seq} of the ledger. Why: {escaped(said.reason)}\n{what}"
    )


def verdict_table(judged: Judged) -> str:
    """One row per judgement, the worst first, each with its arithmetic; then what was not judged, and why."""
    rows = [(j.verdict.name, j.gate, j.slice, f"{j.n:,}", j.reason) for j in _worst_first(judged)]
    omitted = "".join(f"\n- {escaped(o.gate)} was not judged: {escaped(o.reason)}" for o in judged.omitted)
    note = (
        f"\n\n{len(judged.judgements)} comparisons. PASS is claimed at one-sided {confidence(judged)} confidence each; "
        f"FAIL is Holm-corrected over {judged.family}.\n{omitted}"
    )
    return table(("verdict", "gate", "rows", "n", "arithmetic"), rows) + note


def _worst_first(judged: Judged) -> list[Judgement]:
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


def model_card(policy: Policy, release: Release, judged: Judged) -> str:
    """The card of a candidate: for whom it is, what it was made from, and how it was judged."""
    about = policy.model
    not_for = "".join(f"\n- {escaped(use)}" for use in about.not_for) or "\n- nothing was excluded by the policy"
    return "\n".join(
        (
            f"{escaped(about.purpose)}\n",
            f"# {escaped(about.name)}, version {release.step(Registered).version}\n",
            f"Owner: {escaped(about.owner)}. Tier: {about.tier}. Release: {escaped(release.id)}, "
            f"asked for by {escaped(release.step(Requested).requester)} at {release.opened}.\n",
            *([waiver_section(judged, release.waivers)] if release.waivers else []),
            f"## Not for\n{not_for}\n",
            f"## Made from\n\n{_origin(policy, release)}\n",
            f"## Judged: {escaped(headline(judged, release.waivers))}\n\n{picture(PICTURE)}\n",
            f"{verdict_table(judged)}\n",
            f"## By group\n\n{_groups(judged)}\n",
            f"## Limits\n\n{_limits(policy)}\n",
            *([_clicks(policy)] if policy.approval.ui_click else []),
            f"## Beside this card\n\n{_BESIDE}\n",
        )
    )


def _clicks(policy: Policy) -> str:
    roles = ", ".join(policy.approval.ui_click)
    return (
        f"## Who may agree without a signature\n\n**{escaped(roles)}** may agree by a click in the Prefect UI. Nobody "
        "signs then: whoever could open the page may have typed the name.\n"
    )


def _origin(policy: Policy, release: Release) -> str:
    rows = release.step(Snapshot)
    trained = release.step(Trained)
    facts = [
        ("estimator", policy.train.estimator or policy.train.entrypoint, trained.estimator),
        ("features", ", ".join(trained.features), ""),
        ("training rows", _rows(rows.training), rows.training.digest),
        ("evaluation rows", _rows(rows.evaluation), rows.evaluation.digest),
        ("policy", policy.model.name, release.step(Requested).policy),
        ("tally of predictions", "holds no row", release.step(Evaluated).tally),
    ]
    # The digests in a list of their own: in the table they would push everything else off the page.
    digests = "".join(f"\n- {what}: `{digest}`" for what, _, digest in facts if digest)
    return f"{table(('what', 'value'), [fact[:2] for fact in facts])}\n\nTheir digests:\n{digests}"


def _rows(rows: Table) -> str:
    return f"{rows.rows:,} from {rows.origin.rpartition('/')[2]}"


def _groups(judged: Judged) -> str:
    groups = [j for j in judged.judgements if j.slice != "all" and j.form != "scenarios"]
    return table(("group", "metric", "compared", "value", "one-sided bounds", "n"), map(_group_row, groups))


def _group_row(j: Judgement) -> tuple[object, ...]:
    return (j.slice, j.metric, j.form, _number(j.value, "not measurable"), _bounds(j), f"{j.n:,}")


def _bounds(j: Judgement) -> str:
    return "none" if j.value is None else f"{_number(j.lower, 'unbounded')} to {_number(j.upper, 'unbounded')}"


def _number(value: float | None, without: str) -> str:
    return without if value is None else f"{value:.4g}"


def _limits(policy: Policy) -> str:
    return (
        f"Measured on held-out rows of the named evaluation table only. A row counts as positive if its score is at "
        f"least {policy.threshold}. Groups under {policy.data.min_slice_rows} rows are not decided. Certified for "
        f"{policy.renewal.certify_days} days; the policy is due for review by {policy.renewal.review_by}."
    )


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
