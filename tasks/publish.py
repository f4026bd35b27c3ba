"""Publish: show in MLflow and Prefect what the ledger says. Everything here is derived, and may be done again."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from headgate.approval import moment
from headgate.canonical import digest_of
from headgate.checkpoint import sign
from headgate.display import FORM, LONGEST, cut, display, linked
from headgate.endorsement import endorsements, happened
from headgate.estimate import Estimate, survey
from headgate.judgement import Judged
from headgate.metrics import RESOURCES
from headgate.pedigree import image, pedigree
from headgate.policy import Policy
from headgate.quality import metrics_of
from headgate.records import Evaluated, Registered
from headgate.release import Release
from headgate.rollout import terms
from headgate.serving import ServingProfile
from headgate.slices import ALL
from headgate.tally import Tally
from tasks.connect import CHECKPOINT, asking, client
from tasks.link import form_of
from tasks.pack import pack
from tasks.record import Case, Desk

if TYPE_CHECKING:
    from mlflow import MlflowClient

# MLflow's own limits: metrics in a call, characters of a metric's name, and of a description outside of SQLite.
_BATCH = 1000
_LONGEST_NAME = 250
_LONGEST_DESCRIPTION = LONGEST
_NOT_IN_NAMES = re.compile(r"[^\w. :-]")


@task(name="publish", retries=2, retry_delay_seconds=1, cache_policy=NO_CACHE)
def publish(case: Case) -> None:
    """Bring the run and the version in MLflow up to what the ledger says."""
    desk = Desk(case.home, case.model)
    ledger = desk.ledger()
    release = desk.state(ledger).release(case.release)
    registered, evaluated = release.find(Registered), release.find(Evaluated)
    judged = None if evaluated is None else Judged.model_validate_json(desk.evidence.get(evaluated.judged))
    policy = desk.policy(release)
    drawn = image(pedigree(case.model, release, judged, terms(policy)))
    create_markdown_artifact(key=case.artifact("lineage"), markdown=f"{drawn}\n")
    if registered is None:
        return
    registry = client(desk.home)
    due = display(policy, release, judged, ledger.size, ledger.head)
    form = _form(registry, case.model, registered.version)
    shown = {**due.tags, CHECKPOINT: sign(ledger, desk.signer).note.decode(), **({FORM: form} if form else {})}
    with asking(f"version {registered.version} of {case.model}"):
        for name, drawn in due.pictures.items():
            registry.log_text(registered.run, drawn, name)
        if judged is not None:
            written = linked(due.description, registered.version, form)
            _publish_verdict(desk, registry, case, release, policy, judged, written)
        for key, value in shown.items():
            registry.set_model_version_tag(case.model, str(registered.version), key, value)


def _form(registry: MlflowClient, model: str, version: int) -> str | None:
    # Published again where no server knows the form, the page keeps the link that it had.
    if found := form_of("promote", model, version=version):
        return found
    with asking(f"version {version} of {model}"):
        kept: str | None = registry.get_model_version(model, str(version)).tags.get(FORM)
    return kept


def _publish_verdict(
    desk: Desk, registry: MlflowClient, case: Case, release: Release, policy: Policy, judged: Judged, card: str
) -> None:
    registered = release.step(Registered)
    metrics = _metrics(desk, release, release.step(Evaluated))
    for start in range(0, len(metrics), _BATCH):
        registry.log_batch(registered.run, metrics=metrics[start : start + _BATCH])
    folder = desk.home.package(release.id)
    if folder.exists():
        pack(folder, endorsements(desk.signer, release, happened(release)))
        registry.log_artifacts(registered.run, str(folder), "package")
    registry.update_registered_model(case.model, description=policy.model.purpose)
    registry.set_tag(registered.run, "mlflow.note.content", cut(card, _LONGEST_DESCRIPTION))
    _describe(registry, case.model, str(registered.version), card)


def _describe(registry: MlflowClient, model: str, version: str, card: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        registry.update_model_version(model, version, description=card)
    except MlflowException:
        if len(card) <= _LONGEST_DESCRIPTION:
            raise
        registry.update_model_version(model, version, description=cut(card, _LONGEST_DESCRIPTION))


def _metrics(desk: Desk, release: Release, evaluated: Evaluated) -> list[Any]:
    from mlflow.entities import Metric

    # The release's own time: the same metric at the same time is one point, however often it is published.
    at = int(moment(release.opened).timestamp() * 1000)
    return [Metric(name, value, at, 0) for name, value in _values(desk, evaluated) if math.isfinite(value)]


def _values(desk: Desk, evaluated: Evaluated) -> Iterator[tuple[str, float]]:
    if evaluated.serving is not None:
        serving = ServingProfile.from_bytes(desk.evidence.get(evaluated.serving))
        served = ((metric, serving.estimate(metric)) for metric in RESOURCES)
        yield from ((metric, e.value) for metric, e in served if isinstance(e, Estimate))
    tally = Tally.from_bytes(desk.evidence.get(evaluated.tally))
    for metric in metrics_of(tally.scheme):
        found = survey(tally, metric)
        values = np.atleast_1d(found.figures.value).tolist()
        yield from ((_name(metric, label), value) for label, value in zip(found.labels, values, strict=True))


def _name(metric: str, slice_: str) -> str:
    # MLflow draws what is before a slash as a group. What had to be respelled or cut carries a digest, so that two
    # groups never become one metric.
    if slice_ == ALL:
        return metric
    plain = slice_.replace(" & ", " - ").replace("=", ":")
    spelled, room = _NOT_IN_NAMES.sub("-", plain), _LONGEST_NAME - len(metric) - 10
    if spelled != plain or len(spelled) > room:
        spelled = f"{spelled[:room]}-{digest_of(slice_.encode()).removeprefix('sha256:')[:8]}"
    return f"{metric}/{spelled}"
