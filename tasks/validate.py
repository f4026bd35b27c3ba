"""Validate: the data gate. Great Expectations' suites, and what a release needs beyond them."""

from __future__ import annotations

import json
from concurrent.futures.process import BrokenProcessPool

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from headgate.finding import DataReport, Finding
from headgate.markdown import escaped, table
from headgate.records import Requested, Snapshot, Validated
from headgate.release import Release
from headgate.verdict import Verdict
from tasks import warm
from tasks.examine import examine
from tasks.load import frame_of
from tasks.record import Case, Desk


@task(name="validate", cache_policy=NO_CACHE)
def validate(case: Case) -> None:
    """Judge both tables before anything is trained on them."""
    desk = Desk(case.home, case.model)
    release = desk.release(case.release)
    report = DataReport(findings=_findings(desk, release))
    record = Validated(verdict=report.verdict, report=desk.keep(report.model_dump(mode="json")))
    desk.write(case.release, record)
    create_markdown_artifact(key=case.artifact("validate"), markdown=shown(case.release, report))


def _findings(desk: Desk, release: Release) -> tuple[Finding, ...]:
    rows, asked = release.step(Snapshot), release.step(Requested)
    home = desk.home.root
    suites = [json.loads(desk.evidence.get(digest)) for digest in (asked.training_suite, asked.evaluation_suite)]
    pending = (
        warm.expect(home, rows.training, suites[0], "training"),
        warm.expect(home, rows.evaluation, suites[1], "evaluation"),
    )
    # The other process imports and validates for seconds: time enough for all of this.
    policy = desk.policy(release)
    tables = (frame_of(desk.home, rows.training), frame_of(desk.home, rows.evaluation))
    own = examine(*tables, policy.data, policy.model.task)
    warm.import_ahead(desk.home)
    try:
        return tuple(finding for future in pending for finding in future.result()) + own
    except BrokenProcessPool as error:
        warm.dismiss()
        reason = f"the process that validates ended: {error}"
        return (*own, Finding(check="great_expectations", table="both", verdict=Verdict.ERROR, reason=reason))


def shown(release: str, report: DataReport) -> str:
    """The data report as a page, the worst first."""
    worst_first = sorted(report.findings, key=lambda f: (f.severity != "critical", -f.verdict))
    rows = [(f.verdict.name, f.severity, f.table, f.check, f.column or "", f.reason) for f in worst_first]
    header = ("verdict", "severity", "table", "check", "column", "arithmetic")
    return f"# Data of {escaped(release)}: {report.verdict.name}\n\n{table(header, rows)}"
