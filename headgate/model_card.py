"""The model card: for whom a candidate is, what it was made from, how it was judged, and what it must not be used for.

Its sections are those of Hugging Face's template (Mitchell et al., FAT* 2019). Every number names the evidence that it
comes from, and what nobody stated is said to be so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from headgate.canonical import short
from headgate.card import PICTURE, picture, source, verdict_table, waiver_section
from headgate.entry import Digest
from headgate.excuse import headline
from headgate.judgement import Judged, Judgement
from headgate.markdown import escaped, table
from headgate.policy import Policy
from headgate.records import Evaluated, Registered, Requested, Snapshot, Table, Trained
from headgate.release import Release

CARD = "card.md"

_BESIDE = """In the release package, all of it pinned by `manifest.json`; `VERIFY.md` says how to check that.

- `summary.md`: the same in plain words; `crosswalk.md`: which file helps with which requirement.
- `verdicts.json`: every comparison with its numbers; `verdicts.svg` draws them; `tally.json` is what they rest on.
- `policy.toml`, `scenarios.toml`: what was demanded, by whom and why; `challenges.md`: what came of each scenario.
- `data-report.json`: what was checked of the tables; `datasheet.md`: what is known of them, and what is not.
- `serving.json`: how fast and large the model is; `mlbom.cdx.json`, `sbom.cdx.json`: what it was made from and with.
- `impact-assessment.md`: whom it affects; `monitoring-plan.json`, `incident-plan.json`: what is done afterwards.
- `gate-calibration.md`: how often these gates are wrong; `weakest-slices.json`: every slice that was searched.
- `ledger.jsonl`: every decision up to here; `lineage.ndjson`: the same for OpenLineage; `lineage.svg` draws it.
- `model.sig`: the pipeline's signature under the model's files, for `model_signing`."""


def model_card(policy: Policy, release: Release, judged: Judged) -> str:
    """The card of a candidate in Markdown, without the front matter."""
    about, sources, asked = policy.model, _sources(release), release.step(Requested)
    return "\n".join(
        (
            f"{escaped(about.purpose)}\n",
            f"# {escaped(about.name)}, version {release.step(Registered).version}\n",
            *([waiver_section(judged, release.waivers)] if release.waivers else []),
            f"## Model Details\n\n{_details(policy, release)}\n",
            f"## Uses\n\n### Direct Use\n\n{escaped(about.purpose)}\n\n### Out-of-Scope Use\n\n{_not_for(policy)}\n",
            f"## Bias, Risks, and Limitations\n\n{_limits(policy, asked.policy)}\n\n{_harms(policy)}\n",
            *([_clicks(policy)] if policy.approval.ui_click else []),
            f"## How to Get Started with the Model\n\n{_start(release)}\n",
            f"## Training Details\n\n{_origin(policy, release)}\n",
            f"## Evaluation: {escaped(headline(judged, release.waivers))}\n\n{picture(PICTURE)}\n",
            f"### Results\n\n{verdict_table(judged, sources)}\n",
            f"### Results by group\n\n{_groups(judged, sources)}\n",
            f"## Environmental Impact\n\n{_energy(release)}\n",
            f"## Evidence\n\n{_evidence(release)}\n",
            f"## More Information\n\n{_BESIDE}\n",
            f"## Model Card Contact\n\n{escaped(about.owner)}\n",
        )
    )


def _sources(release: Release) -> dict[Digest, str]:
    """The evidence of numbers by a name that fits into a table: file, and the first digits of its digest."""
    evaluated = release.step(Evaluated)
    named = {
        "tally.json": evaluated.tally,
        "serving.json": evaluated.serving,
        "challenges.json": evaluated.challenges,
    }
    return {digest: f"{name} {short(digest)}" for name, digest in named.items() if digest is not None}


def _details(policy: Policy, release: Release) -> str:
    about, asked = policy.model, release.step(Requested)
    facts = [
        ("owner", about.owner),
        ("tier", about.tier),
        ("kind", f"{about.task}, {policy.train.estimator or policy.train.entrypoint}"),
        ("licence", about.licence or "not stated in the policy"),
        ("release", release.id),
        ("asked for by", f"{asked.requester} at {release.opened}"),
        ("registered as", release.step(Registered).source),
    ]
    return table(("what", "value"), facts)


def _not_for(policy: Policy) -> str:
    uses = policy.model.not_for or ("nothing was excluded by the policy",)
    return "\n".join(f"- {escaped(use)}" for use in uses)


def _limits(policy: Policy, digest: Digest) -> str:
    return (
        f"Measured on held-out rows of the named evaluation table only. A row counts as positive if its score is at "
        f"least {policy.threshold}. Groups under {policy.data.min_slice_rows} rows are not decided. Certified for "
        f"{policy.renewal.certify_days} days; the policy is due for review by {policy.renewal.review_by}. "
        f"All of this is from the policy, {short(digest)}."
    )


def _harms(policy: Policy) -> str:
    if policy.impact is None:
        return "**No impact assessment was stated in the policy.**"
    harms = sorted(policy.impact.harm, key=lambda harm: harm.weight)
    rows = [(h.what, h.who, f"{h.severity}, {h.likelihood}", h.mitigation) for h in harms]
    return table(("what may go wrong", "for whom", "how grave, how likely", "what is done"), rows)


def _clicks(policy: Policy) -> str:
    roles = ", ".join(policy.approval.ui_click)
    return (
        f"### Who may agree without a signature\n\n**{escaped(roles)}** may agree by a click in the Prefect UI. Nobody "
        "signs then: whoever could open the page may have typed the name.\n"
    )


def _start(release: Release) -> str:
    registered = release.step(Registered)
    return (
        "Verify the files, then load them: `model_signing verify key --signature model.sig --public_key pipeline.pub "
        f"FOLDER`, then `mlflow.sklearn.load_model` of the folder. MLflow serves it as `{escaped(registered.source)}`."
    )


def _origin(policy: Policy, release: Release) -> str:
    rows, trained = release.step(Snapshot), release.step(Trained)
    facts = [
        ("estimator", policy.train.estimator or policy.train.entrypoint, short(trained.estimator)),
        ("parameters", ", ".join(f"{k} = {v}" for k, v in policy.train.params.items()) or "the defaults", ""),
        ("seed", policy.train.seed, ""),
        ("features", ", ".join(trained.features), ""),
        ("training rows", _rows(rows.training), short(rows.training.digest)),
        ("evaluation rows", _rows(rows.evaluation), short(rows.evaluation.digest)),
        ("software", "sbom.cdx.json", short(trained.environment)),
    ]
    return table(("what", "value", "evidence"), facts)


def _rows(rows: Table) -> str:
    return f"{rows.rows:,} from {rows.file}"


def _groups(judged: Judged, sources: Mapping[Digest, str]) -> str:
    groups = (j for j in judged.judgements if j.slice != "all" and j.form != "scenarios")
    rows = [_group_row(j, sources) for j in groups]
    return table(("group", "metric", "compared", "value", "one-sided bounds", "n", "evidence"), rows)


def _group_row(j: Judgement, sources: Mapping[Digest, str]) -> tuple[object, ...]:
    value = _number(j.value, "not measurable")
    return (j.slice, j.metric, j.form, value, _bounds(j), f"{j.n:,}", source(j, sources))


def _bounds(j: Judgement) -> str:
    return "none" if j.value is None else f"{_number(j.lower, 'unbounded')} to {_number(j.upper, 'unbounded')}"


def _number(value: float | None, without: str) -> str:
    return without if value is None else f"{value:.4g}"


def _energy(release: Release) -> str:
    seconds = release.step(Trained).seconds
    return (
        f"Training took {seconds:,.4g} s on the machine of the pipeline (`ledger.jsonl`, the entry `trained`). "
        "Energy was not measured."
    )


def _evidence(release: Release) -> str:
    rows, trained, evaluated = release.step(Snapshot), release.step(Trained), release.step(Evaluated)
    named: Iterable[tuple[str, Digest | None]] = (
        ("policy", release.step(Requested).policy),
        ("training rows", rows.training.digest),
        ("evaluation rows", rows.evaluation.digest),
        ("estimator", trained.estimator),
        ("software, `sbom.cdx.json`", trained.environment),
        ("verdicts, `verdicts.json`", evaluated.judged),
        ("tally of predictions, which holds no row, `tally.json`", evaluated.tally),
        ("speed and size, `serving.json`", evaluated.serving),
        ("scenarios, `challenges.json`", evaluated.challenges),
    )
    # The digests in a list of their own: in the tables they would push everything else off the page.
    return "Numbers above name their evidence by its first digits.\n" + "".join(
        f"\n- {what}: `{digest}`" for what, digest in named if digest is not None
    )
