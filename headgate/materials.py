"""Bills of materials in CycloneDX 1.6: what a model was made from, and what software was there when it was trained.

https://cyclonedx.org/docs/1.6/json. They are written here, because cyclonedx-python-lib drops a model's card; a test
validates both with it. No time and no random number is in them: the same release has the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from headgate.canonical import canonical, digits
from headgate.entry import Digest
from headgate.judgement import Judged, Judgement
from headgate.policy import Policy
from headgate.records import Evaluated, Registered, Requested, Snapshot, Table, Trained
from headgate.release import Release

MODEL_BILL, SOFTWARE_BILL = "mlbom.cdx.json", "sbom.cdx.json"

Json = dict[str, Any]


def software_bill(packages: Iterable[tuple[str, str]], python: str) -> bytes:
    """The software of an environment, in canonical JSON.

    Args:
        packages: names and versions, in any order; the same one twice counts once.
        python: the interpreter's version.
    """
    found = sorted({(name.lower().replace("_", "-").replace(".", "-"), version) for name, version in packages})
    interpreter = {"type": "platform", "bom-ref": "python", "name": "python", "version": python}
    return canonical({**_HEAD, "metadata": {"component": interpreter}, "components": [_library(*p) for p in found]})


def _library(name: str, version: str) -> Json:
    purl = f"pkg:pypi/{quote(name)}@{quote(version)}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def model_bill(policy: Policy, release: Release, judged: Judged) -> bytes:
    """What a version consists of and was made from, with its card, in canonical JSON."""
    rows = release.step(Snapshot)
    tables = (("training", rows.training), ("evaluation", rows.evaluation))
    return canonical(
        {
            **_HEAD,
            "metadata": {"timestamp": release.opened, "component": _model(policy, release, judged)},
            "components": [*(_data(*each) for each in tables), *_files(release.step(Registered))],
            "dependencies": [{"ref": "model", "dependsOn": [f"data:{name}" for name, _ in tables]}],
        }
    )


_HEAD: Json = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}


def _model(policy: Policy, release: Release, judged: Judged) -> Json:
    about, registered = policy.model, release.step(Registered)
    licence = {} if about.licence is None else {"licenses": [{"license": {"name": about.licence}}]}
    return {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": about.name,
        "version": str(registered.version),
        "description": about.purpose,
        **licence,
        "hashes": _hashes(release.step(Trained).estimator),
        "modelCard": _card(policy, release, judged),
    }


def _card(policy: Policy, release: Release, judged: Judged) -> Json:
    trained, evaluated = release.step(Trained), release.step(Evaluated)
    measured = [_performance(j) for j in judged.judgements if j.value is not None and j.form == "limit"]
    evidence = {"policy": release.step(Requested).policy, "verdicts": evaluated.judged, "tally": evaluated.tally}
    evidence |= {} if evaluated.serving is None else {"serving": evaluated.serving}
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": policy.model.task,
            "modelArchitecture": str(policy.train.estimator or policy.train.entrypoint),
            "datasets": [{"ref": "data:training"}, {"ref": "data:evaluation"}],
            "inputs": [{"format": name} for name in trained.features],
        },
        **({"quantitativeAnalysis": {"performanceMetrics": measured}} if measured else {}),
        "considerations": _considerations(policy),
        "properties": [{"name": f"headgate:evidence:{name}", "value": digest} for name, digest in evidence.items()],
    }


def _performance(j: Judgement) -> Json:
    ends = {"lowerBound": j.lower, "upperBound": j.upper}
    interval = {name: str(x) for name, x in ends.items() if x is not None}
    return {
        "type": j.metric,
        "value": str(j.value),
        "slice": j.slice,
        **({"confidenceInterval": interval} if interval else {}),
    }


def _considerations(policy: Policy) -> Json:
    limits = [f"Not for: {use}" for use in policy.model.not_for]
    limits.append(f"Groups under {policy.data.min_slice_rows} evaluation rows were not decided.")
    told: Json = {"useCases": [policy.model.purpose], "technicalLimitations": limits}
    if policy.impact is None:
        return told
    harms = [{"name": harm.what, "mitigationStrategy": harm.mitigation} for harm in policy.impact.harm]
    groups = [
        {"groupAtRisk": harm.who, "harms": harm.what, "mitigationStrategy": harm.mitigation}
        for harm in policy.impact.harm
    ]
    return {**told, "users": list(policy.impact.people), "ethicalConsiderations": harms, "fairnessAssessments": groups}


def _data(name: str, rows: Table) -> Json:
    contents = {"properties": [{"name": "rows", "value": str(rows.rows)}, {"name": "bytes", "value": str(rows.size)}]}
    return {
        "type": "data",
        "bom-ref": f"data:{name}",
        "name": rows.file,
        "hashes": _hashes(rows.digest),
        "data": [{"type": "dataset", "name": name, "contents": contents}],
    }


def _files(registered: Registered) -> Iterator[Json]:
    for name, digest in sorted(registered.files.items()):
        yield {"type": "file", "bom-ref": f"file:{name}", "name": name, "hashes": _hashes(digest)}


def _hashes(digest: Digest) -> list[Json]:
    return [{"alg": "SHA-256", "content": digits(digest)}]
