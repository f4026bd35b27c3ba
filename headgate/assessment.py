"""The impact assessment as a page: whom the use touches, what may go wrong, and who does what about it."""

from __future__ import annotations

from headgate.markdown import bullets, escaped, table
from headgate.policy import Policy
from headgate.records import Requested
from headgate.release import Release
from headgate.stewardship import Harm, Impact

ASSESSMENT = "impact-assessment.md"

_ABSENT = (
    "**NO IMPACT ASSESSMENT WAS STATED.** The policy has no `[impact]`. Nobody has said in writing who is affected by "
    "this use, what may go wrong for them and what is done about it. Whoever approves this release approves it without."
)


def assessment(policy: Policy, release: Release) -> str:
    """The page in Markdown. Without an assessment it says so, before everything else."""
    about, digest = policy.model, release.step(Requested).policy
    head = f"# Impact assessment: {escaped(about.name)}\n\n"
    use = f"Use: {escaped(about.purpose)} Tier: {about.tier}. As the policy `{digest}` states it.\n"
    if policy.impact is None:
        return f"{head}{_ABSENT}\n\n{use}"
    return f"{head}{use}\n{_stated(policy.impact)}"


def _stated(impact: Impact) -> str:
    harms = sorted(impact.harm, key=lambda harm: harm.weight)
    header = ("harm", "for whom", "severity", "likelihood", "what is done", "gate", "owner")
    open_ones = [harm for harm in harms if harm.gate is None]
    return "\n".join(
        (
            f"Assessed by {escaped(impact.assessed_by)} on {impact.assessed_on}.\n",
            f"## Who is affected\n{_listed(impact.people)}",
            f"## What good it does\n{_listed(impact.benefits)}",
            f"## What may go wrong\n\n{table(header, map(_row, harms))}\n",
            f"{len(open_ones)} of {len(harms)} harms are guarded by no gate, but by what people do.\n",
            f"## Oversight\n\n{escaped(impact.oversight)}\n",
            f"## Redress\n\n{escaped(impact.redress)}\n",
            f"## Alternatives\n\n{escaped(impact.alternatives or 'None were stated.')}\n",
        )
    )


def _row(harm: Harm) -> tuple[str, ...]:
    return (harm.what, harm.who, harm.severity, harm.likelihood, harm.mitigation, harm.gate or "none", harm.owner)


def _listed(items: tuple[str, ...]) -> str:
    return bullets(items) + "\n"
