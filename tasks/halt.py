"""Halt: record why a release ends without moving an alias, and the corrective plan."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from headgate.excuse import remaining
from headgate.finding import DataReport
from headgate.judgement import Judged
from headgate.markdown import escaped, table
from headgate.plan import plan
from headgate.records import Evaluated, Failure, Halted, Rejected, Validated
from headgate.release import Release, Waiver
from headgate.verdict import Verdict
from tasks.record import Case, Desk
from tasks.retreat import back_out


@task(name="halt", cache_policy=NO_CACHE)
def halt(case: Case) -> None:
    """End the release with its reasons. An alias that had reached its version goes back first; the others stay."""
    desk = Desk(case.home, case.model)
    release = desk.release(case.release)
    record = _plan(desk, release)
    back_out(desk, release, why=record.failures[0].reason, who="pipeline")
    desk.write(case.release, record)
    create_markdown_artifact(key=case.artifact("halt"), markdown=shown(case.release, record))


def _plan(desk: Desk, release: Release) -> Halted:
    policy = desk.policy(release)
    if release.is_rejected:
        return plan(policy, "approve", _rejections(release), situation="rejected")
    evaluated = release.find(Evaluated)
    if evaluated is not None:
        judged = Judged.model_validate_json(desk.evidence.get(evaluated.judged))
        return plan(policy, "evaluate", _judgements(judged, release.waivers))
    report = DataReport.model_validate_json(desk.evidence.get(release.step(Validated).report))
    return plan(policy, "validate", _findings(report), situation="data_refused")


def _rejections(release: Release) -> list[Failure]:
    said = [a.record for a in release.answers if isinstance(a.record, Rejected)]
    return [Failure(what=f"{r.person} as {r.role}", verdict=Verdict.FAIL, reason=r.reason) for r in said]


def _judgements(judged: Judged, waivers: Sequence[Waiver]) -> list[Failure]:
    # What a waiver covers did not halt the release.
    worst_first = sorted(remaining(judged, waivers), key=lambda j: -j.verdict)
    found = [j for j in worst_first if j.verdict is not Verdict.PASS]
    failures = [Failure(what=j.gate, verdict=j.verdict, reason=j.reason) for j in found]
    return failures or [
        Failure(what="gates", verdict=Verdict.ERROR, reason="no gate was judged; expected at least one")
    ]


def _findings(report: DataReport) -> list[Failure]:
    bad = sorted((f for f in report.findings if f.severity == "critical"), key=lambda f: -f.verdict)
    failures = [
        Failure(what=f"{f.check} ({f.table})", verdict=f.verdict, reason=f.reason)
        for f in bad
        if f.verdict is not Verdict.PASS
    ]
    return failures or [
        Failure(what="data gate", verdict=Verdict.ERROR, reason="no critical check ran; expected at least one")
    ]


def shown(release: str, record: Halted) -> str:
    """The halt as a page."""
    failures = table(("what", "verdict", "arithmetic"), [(f.what, f.verdict.name, f.reason) for f in record.failures])
    then = "".join(f"\n{n}. {escaped(step)}" for n, step in enumerate((record.next_step, *record.then), 1))
    return (
        f"# {escaped(release)} is halted: {record.verdict.name}\n\n"
        f"At the step *{record.step}*. No alias points to its version.\n\n"
        f"{failures}\n\n## Corrective plan\n\nOwner: {escaped(record.owner)}. Playbook `{record.playbook}`:\n{then}\n"
    )
