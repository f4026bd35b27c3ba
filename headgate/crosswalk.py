"""The crosswalk: which file of a package helps to show what a law, a standard or a guideline asks for.

It is a finding aid. No file makes anybody compliant, and none is a substitute for reading the text itself: clauses are
named by number and in words of ours.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import ClassVar, Literal, NamedTuple

from headgate.edition import NOW, Edition
from headgate.entry import Digest
from headgate.markdown import table
from headgate.value import Document, Value

PAGE, TABLE = "crosswalk.md", "crosswalk.json"

Framework = Literal["EU AI Act, Annex IV", "NIST AI RMF 1.0", "SR 26-2", "ISO/IEC 42001:2023, Annex A"]


class _Ask(NamedTuple):
    clause: str
    asks: str
    files: tuple[str, ...]
    editions: Container[int] = range(1, 100)


_CARD, _GATES, _LEDGER, _TRIED = "card.md", "verdicts.json", "ledger.jsonl", "gate-calibration.md"

_OLD, _NEW = range(1, 2), range(2, 100)

# EU AI Act: Regulation (EU) 2024/1689, Annex IV, compared point by point with its published text.
# NIST AI RMF 1.0: NIST AI 100-1, tables 1 to 4, compared with the text of each subcategory.
# SR 26-2: Revised Guidance on Model Risk Management, 17 April 2026 (also OCC Bulletin 2026-13), which supersedes
#   SR 11-7. Its letter and summaries of it were at hand, its attachment was not: themes are named, and no numbers.
# ISO/IEC 42001:2023: the standard is sold, not published. Numbers and titles were compared with those that
#   catalogues of others print.
_ASKS: Mapping[Framework, tuple[_Ask, ...]] = {
    "EU AI Act, Annex IV": (
        _Ask("1", "intended purpose, provider, version", (_CARD, "policy.toml")),
        _Ask("2(a)", "how it was developed", ("lineage.ndjson", "sbom.cdx.json", _LEDGER)),
        _Ask("2(b)", "design choices and what is optimised", ("policy.toml", "mlbom.cdx.json")),
        _Ask("2(d)", "data: origin, selection, labels, cleaning", ("datasheet.md", "data-report.json")),
        _Ask("2(e)", "human oversight", ("impact-assessment.md", "allowed_signers")),
        _Ask("2(g)", "tests, metrics, dated and signed reports", (_GATES, "tally.json", "challenges.json", _LEDGER)),
        _Ask("2(h)", "cybersecurity", ("model.sig", "sbom.cdx.json", "challenges.json")),
        _Ask("3", "capabilities, limits and accuracy for groups of people", (_CARD, _GATES, "weakest-slices.json")),
        _Ask("4", "why these metrics are appropriate", ("policy.toml", _TRIED)),
        _Ask("5", "risk management", ("impact-assessment.md",)),
        _Ask("6", "changes through the lifecycle", (_LEDGER, "lineage.ndjson")),
        _Ask("9", "monitoring after it is placed on the market", ("monitoring-plan.json",)),
    ),
    "NIST AI RMF 1.0": (
        _Ask("GOVERN 2.1", "roles and responsibilities", ("policy.toml", "allowed_signers")),
        _Ask("GOVERN 4.3", "testing and incident identification", ("incident-plan.json", _GATES)),
        _Ask("MAP 1.1", "purpose, context and users", (_CARD, "impact-assessment.md")),
        _Ask("MAP 5.1", "likelihood and magnitude of impacts", ("impact-assessment.md",)),
        _Ask("MEASURE 1.1", "metrics chosen, and what cannot be measured", ("policy.toml", _GATES)),
        _Ask("MEASURE 2.1", "test sets, metrics and tools documented", ("datasheet.md", "tally.json", "sbom.cdx.json")),
        _Ask("MEASURE 2.3", "performance in conditions like those of use", (_GATES, "serving.json")),
        _Ask("MEASURE 2.5", "validity, reliability and their limits", (_CARD, _TRIED), _OLD),
        _Ask("MEASURE 2.5", "validity, reliability and their limits", (_CARD, _GATES, "challenges.json"), _NEW),
        _Ask("MEASURE 2.6", "safety and failure", ("challenges.json", "incident-plan.json")),
        _Ask("MEASURE 2.7", "security and resilience", ("challenges.json", "model.sig")),
        _Ask("MEASURE 2.8", "transparency and accountability", (_LEDGER, "summary.md")),
        _Ask("MEASURE 2.11", "fairness and bias", (_GATES, "weakest-slices.json")),
        _Ask("MEASURE 2.13", "effectiveness of the metrics and tests themselves", (_TRIED,), _NEW),
        _Ask("MANAGE 1.1", "whether to go on", ("gates.sigstore.json", "summary.sigstore.json")),
        _Ask("MANAGE 2.4", "superseding and deactivating", ("incident-plan.json",)),
        _Ask("MANAGE 4.1", "monitoring after deployment", ("monitoring-plan.json",)),
        _Ask("MANAGE 4.3", "incidents told and tracked", ("incident-plan.json",)),
    ),
    "SR 26-2": (
        _Ask("development", "design, data and assumptions documented", (_CARD, "datasheet.md", "policy.toml")),
        _Ask("validation", "testing and effective challenge", (_GATES, "challenges.json", _TRIED)),
        _Ask("outcomes", "comparison of predictions with outcomes", ("tally.json", _GATES), _OLD),
        _Ask("outcomes analysis", "comparison of predictions with outcomes", ("tally.json", _GATES), _NEW),
        _Ask("monitoring", "ongoing monitoring", ("monitoring-plan.json",), _OLD),
        _Ask("ongoing monitoring", "performance and use watched over time", ("monitoring-plan.json",), _NEW),
        _Ask("governance", "approval, roles, inventory, audit trail", (_LEDGER, "allowed_signers", "mlbom.cdx.json")),
    ),
    "ISO/IEC 42001:2023, Annex A": (
        _Ask("A.5.3", "impact assessments documented", ("impact-assessment.md",)),
        _Ask("A.5.4", "impact on people and groups", ("impact-assessment.md", _GATES)),
        _Ask("A.6.2.2", "requirements", ("policy.toml",), _OLD),
        _Ask("A.6.2.2", "requirements and specification", ("policy.toml",), _NEW),
        _Ask("A.6.2.3", "design and development documented", (_CARD, "lineage.ndjson")),
        _Ask("A.6.2.4", "verification and validation", (_GATES, "challenges.json")),
        _Ask("A.6.2.6", "operation and monitoring", ("monitoring-plan.json", "incident-plan.json")),
        _Ask("A.6.2.7", "technical documentation", (_CARD, "mlbom.cdx.json")),
        _Ask("A.6.2.8", "event logs", (_LEDGER,)),
        _Ask("A.7.4", "quality of data", ("data-report.json",)),
        _Ask("A.7.5", "provenance of data", ("lineage.ndjson", "datasheet.md")),
        _Ask("A.7.6", "preparation of data", ("datasheet.md",)),
        _Ask("A.8.2", "information for users", ("summary.md", _CARD), _OLD),
        _Ask("A.8.2", "documentation and information for users", ("summary.md", _CARD, "VERIFY.md"), _NEW),
        _Ask("A.8.4", "communication of incidents", ("incident-plan.json",)),
        _Ask("A.9.4", "intended use", (_CARD,)),
    ),
}


class Row(Value):
    """One requirement, and the files that help to show it; those that this package lacks have no digest."""

    framework: Framework
    clause: str
    asks: str
    files: dict[str, Digest | None]


class Crosswalk(Document):
    """All requirements."""

    subject: ClassVar[str] = "the crosswalk"
    expected: ClassVar[str] = "a document of the format headgate/crosswalk/v1"
    next_step: ClassVar[str] = "take it from the package again"

    format: Literal["headgate/crosswalk/v1"] = "headgate/crosswalk/v1"
    note: str
    rows: tuple[Row, ...]


_NOTE = "These files help to produce the evidence that is asked for. They are no statement that anything is fulfilled."


def crosswalk(files: Mapping[str, Digest], edition: Edition = NOW) -> Crosswalk:
    """The crosswalk of a package of an edition, from the digests of its other files."""
    rows = (
        Row(framework=name, clause=ask.clause, asks=ask.asks, files={file: files.get(file) for file in ask.files})
        for name, asks in _ASKS.items()
        for ask in asks
        if edition in ask.editions
    )
    return Crosswalk(note=_NOTE, rows=tuple(rows))


def page(found: Crosswalk) -> str:
    """The crosswalk in Markdown. The digests stand once, below: in the tables they would hide the words."""
    parts = [f"# Crosswalk\n\n{found.note} Clauses are named in words of ours; read the text itself.\n"]
    for framework in _ASKS:
        rows = [
            (r.clause, r.asks, ", ".join(map(_named, r.files.items()))) for r in found.rows if r.framework == framework
        ]
        parts.append(f"## {framework}\n\n{table(('clause', 'asks for', 'see'), rows)}\n")
    digests = {name: digest for row in found.rows for name, digest in row.files.items() if digest}
    listed = "".join(f"\n- `{name}`: `{digest}`" for name, digest in sorted(digests.items()))
    return "\n".join((*parts, f"## Digests\n{listed}\n"))


def _named(file: tuple[str, Digest | None]) -> str:
    return file[0] if file[1] else f"{file[0]} (not in this package)"
