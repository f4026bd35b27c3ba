"""The datasheet of a release's tables: what was counted, what people said, and what nobody said."""

from __future__ import annotations

from headgate.entry import Digest
from headgate.finding import DataReport
from headgate.markdown import escaped, table
from headgate.policy import Policy
from headgate.records import Snapshot, Table, Validated
from headgate.release import Release
from headgate.stewardship import QUESTIONS, Datasheet

DATASHEET = "datasheet.md"

NOT_STATED = "**Not stated in the policy.**"


def datasheet(policy: Policy, release: Release, report: DataReport) -> str:
    """The page in Markdown: facts with the digests they come from, then every theme with its questions.

    Args:
        report: what the data gate found in these tables.
    """
    open_ones = sum(key not in policy.datasheet for asked in QUESTIONS.values() for key in asked)
    note = f"\n{open_ones} of {sum(map(len, QUESTIONS.values()))} questions are not answered.\n" if open_ones else ""
    parts = [
        f"# The data of {escaped(release.id)}\n",
        "The facts below were counted; the answers are those of the policy's `[datasheet]`, as its owner wrote them. "
        f"Themes after Gebru et al. (2021).\n{note}",
        f"## Facts\n\n{_facts(policy, release.step(Snapshot))}\n",
        f"## What was checked\n\n{_checked(report, release.step(Validated).report)}\n",
        *(_section(theme, policy.datasheet) for theme in QUESTIONS),
    ]
    return "\n".join(parts)


def _facts(policy: Policy, rows: Snapshot) -> str:
    tables = (("training", rows.training), ("evaluation", rows.evaluation))
    shown = table(
        ("table", "rows", "columns", "bytes", "digest"),
        [(what, f"{t.rows:,}", len(t.columns), f"{t.size:,}", t.digest) for what, t in tables],
    )
    return f"{shown}\n\n{table(('column', 'role', 'in'), _columns(policy, rows))}"


def _columns(policy: Policy, rows: Snapshot) -> list[tuple[str, str, str]]:
    names = dict.fromkeys((*rows.training.columns, *rows.evaluation.columns))
    return [(name, _role(policy, name), _where(rows.training, rows.evaluation, name)) for name in names]


def _role(policy: Policy, name: str) -> str:
    data = policy.data
    roles = {data.label: "label", data.id: "id", data.time or data.id: "time" if data.time else "id"}
    return roles.get(name, "kept from the model" if name in data.exclude else "may be a feature")


def _where(training: Table, evaluation: Table, name: str) -> str:
    return " and ".join(
        what for what, found in (("training", training), ("evaluation", evaluation)) if name in found.columns
    )


def _checked(report: DataReport, digest: Digest) -> str:
    counted = {f.verdict.name: sum(g.verdict is f.verdict for g in report.findings) for f in report.findings}
    said = ", ".join(f"{count} {name}" for name, count in sorted(counted.items()))
    return f"{len(report.findings)} checks: {said}. All of them with their arithmetic: `data-report.json`, `{digest}`."


def _section(theme: str, answers: Datasheet) -> str:
    said = "".join(f"**{question}** {_answer(answers.get(key))}\n\n" for key, question in QUESTIONS[theme].items())
    return f"## {theme}\n\n{said}"


def _answer(answer: str | None) -> str:
    return NOT_STATED if answer is None else escaped(answer)
