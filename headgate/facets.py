"""Facets: the parts that OpenLineage's events are made of, the standard's own and four of ours.

https://openlineage.io/spec/2-0-2/OpenLineage.json, and one schema for each standard facet. Ours are described by
`schemas/lineage-facets.json`, which lies in every package too; its name is a URN, because it is no page of the web.
What is here belongs to `PRODUCER`, and changes only with its number: a package's lineage is rendered again to check it.
No facet holds a row's value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from headgate.canonical import canonical, digest_of
from headgate.entry import Digest
from headgate.excuse import covers
from headgate.finding import DataReport
from headgate.judgement import Judged, Judgement
from headgate.phase import Terms
from headgate.records import (
    Evaluated,
    PromotionStarted,
    Registered,
    Rejected,
    Table,
    Trained,
)
from headgate.release import Answer, Waiver
from headgate.verdict import Verdict

PRODUCER = "urn:headgate:lineage:v1"
"""Who says so, and in which format. The version of Headgate is not in it: an older event is rendered the same."""

SCHEMA: Digest = "sha256:07349c45603881d59222401595292afe9c1acdd4c8497700417626dc153e0f28"
"""The digest of `schemas/lineage-facets.json`, which describes what `PRODUCER` writes: it changes with its number."""

HOUSE, REGISTRY = "headgate", "mlflow"
"""The namespaces of what Headgate keeps, and of what stands in MLflow's registry under MLflow's own names."""

SPEC = "https://openlineage.io/spec"
RUN_EVENT = f"{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
OWN = f"{PRODUCER}:facets"

Json = dict[str, Any]

_STANDARD = {
    "parent": "1-2-0/ParentRunFacet",
    "errorMessage": "1-0-1/ErrorMessageRunFacet",
    "executionParameters": "1-0-0/ExecutionParametersRunFacet",
    "test": "1-0-1/TestRunFacet",
    "jobType": "2-0-4/JobTypeJobFacet",
    "datasetType": "1-0-1/DatasetTypeDatasetFacet",
    "version": "1-0-1/DatasetVersionDatasetFacet",
    "schema": "1-2-0/SchemaDatasetFacet",
    "symlinks": "1-0-1/SymlinksDatasetFacet",
    "columnLineage": "1-2-0/ColumnLineageDatasetFacet",
    "documentation": "1-1-0/DocumentationDatasetFacet",
    "lifecycleStateChange": "1-0-1/LifecycleStateChangeDatasetFacet",
    "dataQualityAssertions": "1-1-0/DataQualityAssertionsDatasetFacet",
    "inputStatistics": "1-0-0/InputStatisticsInputDatasetFacet",
    "outputStatistics": "1-0-2/OutputStatisticsOutputDatasetFacet",
}
_OURS = ("entry", "verdicts", "approvals", "promotion")
_SCHEMAS = {
    **{key: f"{SPEC}/facets/{path}.json#/$defs/{path.partition('/')[2]}" for key, path in _STANDARD.items()},
    **{f"headgate_{name}": f"{OWN}#/$defs/Headgate{name.capitalize()}RunFacet" for name in _OURS},
}
_COMPARISON = (
    "gate", "metric", "slice", "groups", "form", "verdict", "reason", "value", "lower", "upper", "n", "limit", "floor",
    "ceiling", "p_harm", "method",
)  # fmt: skip


def facet(key: str, /, **content: object) -> Json:
    """One facet under its key; several are joined by ``|``."""
    return {key: {"_producer": PRODUCER, "_schemaURL": _SCHEMAS[key], **content}}


def dataset(namespace: str, name: str, kind: str, version: Digest | None, **more: Json) -> Json:
    """A dataset in a version, if that is known.

    Args:
        more: `facets` beside type and version; `inputFacets` or `outputFacets`.
    """
    known = {} if version is None else facet("version", datasetVersion=version)
    facets = facet("datasetType", datasetType=kind) | known | more.pop("facets", {})
    return {"namespace": namespace, "name": name, "facets": facets, **more}


def rows(table: Table, name: str | None = None, **more: Json) -> Json:
    """A table: pinned under a name of ours, or where it was copied from. Its columns by name; never a value."""
    namespace, place = _place(table.origin) if name is None else (HOUSE, name)
    fields = [{"name": column, "ordinal_position": n} for n, column in enumerate(table.columns, 1)]
    return dataset(namespace, place, "FILE", table.digest, facets=facet("schema", fields=fields), **more)


def read(table: Table, findings: Json | None = None) -> Json:
    """That a table was read whole, and what was found in it."""
    return {
        "inputFacets": facet("inputStatistics", rowCount=table.rows, size=table.size, fileCount=1) | (findings or {})
    }


def written(table: Table) -> Json:
    """That a table was written whole."""
    return {"outputFacets": facet("outputStatistics", rowCount=table.rows, size=table.size, fileCount=1)}


def estimator(model: str, trained: Trained) -> Json:
    """The fitted estimator, and the columns that it reads."""
    columns = [{"namespace": HOUSE, "name": f"{model}.training", "field": name} for name in trained.features]
    reads = facet("columnLineage", fields={}, dataset=columns)
    return dataset(HOUSE, f"{model}.estimator", "MODEL", trained.estimator, facets=reads)


def version(model: str, number: int, registered: Registered | None) -> Json:
    """A version in the registry: its version is the digest over all of its files. None if it was not made here."""
    name = f"{model}/{number}"
    if registered is None:
        return dataset(REGISTRY, name, "MODEL", None)
    logged = [{"namespace": REGISTRY, "name": registered.source, "type": "LOGGED_MODEL"}]
    return dataset(REGISTRY, name, "MODEL", files_digest(registered), facets=facet("symlinks", identifiers=logged))


def alias(model: str, started: PromotionStarted, registered: Registered) -> Json:
    """An alias in the registry, which a promotion makes or moves."""
    change = facet("lifecycleStateChange", lifecycleStateChange="CREATE" if started.old is None else "OVERWRITE")
    return dataset(REGISTRY, f"{model}@{started.alias}", "MODEL", files_digest(registered), facets=change)


def traffic(model: str, stage: Terms, **more: Json) -> Json:
    """Whom a stage of the rollout serves."""
    served = facet("documentation", description=stage.who, contentType="text/plain")
    return dataset(HOUSE, f"{model}.traffic.{stage.name}", "TRAFFIC", None, facets=served, **more)


def files_digest(registered: Registered) -> Digest:
    """One digest for all files of a version, as MLflow's tag `headgate.files` has it."""
    return digest_of(canonical(registered.files))


def assertions(report: DataReport, table: str) -> Json:
    """What the data gate found in one table, findings about both included. Anything but PASS is no success."""
    found = [
        {
            "assertion": f.check,
            "success": f.verdict is Verdict.PASS,
            "severity": "error" if f.severity == "critical" else "warn",
            "description": f.reason,
            **({} if f.column is None else {"column": f.column}),
            "params": {"verdict": f.verdict.name, "table": f.table, "rows": f.rows},
        }
        for f in report.findings
        if f.table in (table, "both")
    ]
    return facet("dataQualityAssertions", assertions=found)


def tests(judged: Judged, waivers: Sequence[Waiver]) -> Json:
    """The gates as test results. INCONCLUSIVE and ERROR are no pass; what a waiver covers does not block."""
    return facet("test", tests=[*(_test(j, waivers) for j in judged.judgements), *_skipped(judged)])


def _test(j: Judgement, waivers: Sequence[Waiver]) -> Json:
    measured = {} if j.value is None else {"actual": str(j.value)}
    return {
        "name": f"{j.gate} in {j.slice}",
        "status": "pass" if j.verdict is Verdict.PASS else "fail",
        "severity": "warn" if any(covers(waiver, j) for waiver in waivers) else "error",
        "type": f"{j.metric}.{j.form}",
        "description": j.reason,
        "expected": " and ".join(f"{sign} {x}" for sign, x in ((">=", j.floor), ("<=", j.ceiling)) if x is not None),
        **measured,
        "params": {"verdict": j.verdict.name, "rows": j.n},
    }


def _skipped(judged: Judged) -> Iterator[Json]:
    for omitted in judged.omitted:
        yield {"name": omitted.gate, "status": "skip", "severity": "error", "description": omitted.reason}


def verdicts(judged: Judged, evaluated: Evaluated, waivers: Sequence[Waiver]) -> Json:
    """What the gates said, with all the arithmetic, and the waivers that were used."""
    dumped = [j.model_dump(mode="json") for j in judged.judgements]
    return facet(
        "headgate_verdicts",
        gate="model",
        verdict=evaluated.verdict.name,
        standing=evaluated.standing.name,
        evidence=evaluated.judged,
        tally=evaluated.tally,
        alpha=judged.alpha,
        family=judged.family,
        comparisons=[{name: each[name] for name in _COMPARISON} for each in dumped],
        omitted=[{"gate": o.gate, "reason": o.reason} for o in judged.omitted],
        waivers=[_waiver(waiver) for waiver in waivers],
    )


def _waiver(waiver: Waiver) -> Json:
    said = waiver.record
    people = [{"role": p.role, "person": p.person, "key": p.key} for p in said.people]
    terms = {"gate": said.gate, "slice": said.slice, "covers": said.covers, "until": said.until.isoformat()}
    return {"slot": waiver.seq, **terms, "reason": said.reason, "people": people}


def approvals(answers: Sequence[Answer], **terms: object) -> Json:
    """Who answered, by role, person and fingerprint of the key. `terms`: package, quorum and expires, where known."""
    return facet("headgate_approvals", answers=[_answer(answer) for answer in answers], **terms)


def _answer(answer: Answer) -> Json:
    said = answer.record
    declined = {"reason": said.reason} if isinstance(said, Rejected) else {}
    signed = {"key": said.key, "statement": said.statement, "signature": said.signature}
    who = {"role": said.role, "person": said.person, "agreed": not declined}
    return {"slot": answer.seq, "time": answer.time, **who, **signed, **declined}


def promotion(started: PromotionStarted, slot: int, outcome: str, **why: str) -> Json:
    """The move of an alias from one version to another: `started`, `promoted` or `undone`."""
    moved = {"alias": started.alias, "old": started.old, "new": started.new}
    pinned = {"package": started.package, "policy": started.policy}
    return facet("headgate_promotion", **moved, **pinned, started=slot, outcome=outcome, **why)


def _place(origin: str) -> tuple[str, str]:
    """OpenLineage's name of a place: the file's path, or the authority of an address and the path below it."""
    parts = urlsplit(origin)
    if "://" not in origin or parts.scheme == "file":
        return "file", parts.path if parts.scheme == "file" else origin
    return f"{parts.scheme}://{parts.hostname or ''}", parts.path.lstrip("/")
