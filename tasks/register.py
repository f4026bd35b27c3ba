"""Register: log the candidate in MLflow and make it a version of the model."""

from __future__ import annotations

import json
import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from headgate.canonical import canonical, digest_of, digits
from headgate.entry import Digest
from headgate.errors import Tampered
from headgate.home import Home
from headgate.markdown import escaped, table
from headgate.model_signature import SIGNATURE, sign_model
from headgate.policy import Policy
from headgate.records import Registered, Requested, Snapshot, Table, Trained
from headgate.release import Release
from tasks.connect import asking, client
from tasks.load import TRUSTED, fetch, files_of, frame_of, load_pickle, load_skops
from tasks.predict import answer_of
from tasks.record import Case, Desk

if TYPE_CHECKING:
    from mlflow import MlflowClient

_EXAMPLE_ROWS = 5
_LOOKED_AT = 100
_FILES, _SEAL = "headgate.files", "headgate.seal"


@task(name="register", cache_policy=NO_CACHE)
def register(case: Case) -> None:
    """Log the candidate's run, model and dataset, and register it as a version."""
    desk = Desk(case.home, case.model)
    release = desk.release(case.release)
    registry = client(desk.home)
    with asking(f"registering {release.id}"):
        made = _made_before(desk, registry, release, case.model) or _make(desk, registry, case, release)
        record = _record(desk, registry, made)
    desk.write(case.release, record)
    create_markdown_artifact(key=case.artifact("register"), markdown=_shown(case, record))


def _record(desk: Desk, registry: MlflowClient, made: Any) -> Registered:
    files = _files(desk, made)
    signature = sign_model(desk.signer, f"{desk.model}/{made.version}", files)
    # Beside the model, for whoever has it from MLflow; what counts is the evidence that the ledger names.
    registry.log_text(made.run_id, signature.decode(), SIGNATURE)
    kept = desk.evidence.put(signature)
    return Registered(version=int(made.version), run=made.run_id, source=made.source, files=files, signature=kept)


def _made_before(desk: Desk, registry: MlflowClient, release: Release, model: str) -> Any:
    # Killed between the act and its record, the next run finds the version by its tag instead of making a second one.
    found = registry.search_model_versions(
        f"name='{model}' and tags.`headgate.release`='{release.id}'",
        max_results=_LOOKED_AT,
        order_by=["version_number DESC"],
    )
    return next((made for made in found if _is_ours(desk, release, made)), None)


def _is_ours(desk: Desk, release: Release, made: Any) -> bool:
    # Whoever may write to MLflow can set any tag, so a version is taken over only with the pipeline's signature.
    claim = _claim(release.id, made.run_id, made.tags.get(_FILES, ""))
    return desk.verifier.verify(claim, made.tags.get(_SEAL, ""))


def _claim(release: str, run: str, files: str) -> bytes:
    return canonical({"schema": "headgate/registered/v1", "release": release, "run": run, "files": files})


def _files(desk: Desk, made: Any) -> dict[str, Digest]:
    files, expected = files_of(fetch(desk.home, made.source)), made.tags[_FILES]
    if digest_of(canonical(files)) == expected:
        return files
    raise Tampered(
        f"files of version {made.version} of {made.name}",
        got=f"a listing with the digest {digest_of(canonical(files))}",
        expected=f"{expected}, as they were logged",
        next_step="delete the version in MLflow and continue the release: it makes another one",
    )


def _make(desk: Desk, registry: MlflowClient, case: Case, release: Release) -> Any:
    policy = desk.policy(release)
    run = registry.create_run(
        _experiment(registry, desk.home, case.model), run_name=release.id, tags=_run_tags(release)
    )
    registry.log_batch(run.info.run_id, params=_params(policy, release))
    _log_inputs(registry, run.info.run_id, release.step(Snapshot))
    logged = _log_model(desk, run.info.run_id, release, policy)
    registry.set_terminated(run.info.run_id)
    _ensure_model(registry, case.model)
    return registry.create_model_version(
        case.model,
        source=logged.model_uri,
        run_id=run.info.run_id,
        model_id=logged.model_id,
        tags=_version_tags(desk, release, run.info.run_id, logged.model_uri),
    )


def _version_tags(desk: Desk, release: Release, run: str, source: str) -> dict[str, str]:
    files = digest_of(canonical(files_of(fetch(desk.home, source))))
    seal = desk.signer.sign(_claim(release.id, run, files))
    return {"headgate.release": release.id, "headgate.stage": "candidate", _FILES: files, _SEAL: seal}


def _experiment(registry: MlflowClient, home: Home, model: str) -> str:
    found = registry.get_experiment_by_name(model)
    if found is not None:
        return str(found.experiment_id)
    local = registry.tracking_uri.startswith("sqlite")
    place = (home.mlflow / "artifacts" / model).as_uri() if local else None
    return str(registry.create_experiment(model, artifact_location=place))


def _ensure_model(registry: MlflowClient, model: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        registry.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _run_tags(release: Release) -> dict[str, str]:
    asked = release.step(Requested)
    return {"headgate.release": release.id, "headgate.policy": asked.policy, "headgate.requester": asked.requester}


def _params(policy: Policy, release: Release) -> list[Any]:
    from mlflow.entities import Param

    given = {**policy.train.params, "estimator": policy.train.estimator or policy.train.entrypoint}
    counted = {"seed": policy.train.seed, "features": len(release.step(Trained).features)}
    return [Param(key, str(value)) for key, value in {**given, **counted}.items()]


def _log_inputs(registry: MlflowClient, run: str, rows: Snapshot) -> None:
    registry.log_inputs(run, [_input(rows.training, "training"), _input(rows.evaluation, "evaluation")])


def _input(rows: Table, context: str) -> Any:
    # MLflow's own digest covers 10,000 rows, and its field holds 36 characters: ours is whole, in tag and profile.
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=rows.file,
        digest=digits(rows.digest)[:36],
        source_type="local",
        source=json.dumps({"uri": rows.origin}),
        profile=json.dumps({"num_rows": rows.rows, "columns": rows.columns, "digest": rows.digest}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context), InputTag("headgate.digest", rows.digest)])


def _log_model(desk: Desk, run: str, release: Release, policy: Policy) -> Any:
    import mlflow

    trained = release.step(Trained)
    model = _fitted(desk, trained, policy)
    rows = frame_of(desk.home, release.step(Snapshot).training)[list(trained.features)].head(_EXAMPLE_ROWS)
    answer = answer_of(model, policy.model.task)
    trusted = [*TRUSTED, *policy.train.trusted_types]
    with warnings.catch_warnings(), mlflow.start_run(run_id=run):
        # Hints about integer columns and pandas' own deprecations inside MLflow: nothing that a user could act on.
        warnings.simplefilter("ignore")
        return mlflow.sklearn.log_model(
            model,
            name="model",
            signature=mlflow.models.infer_signature(rows, answer(rows)),
            input_example=rows,
            pip_requirements=_requirements(trained),
            serialization_format=trained.format,
            skops_trusted_types=trusted if trained.format == "skops" else None,
            pyfunc_predict_fn=answer.__name__,
        )


def _fitted(desk: Desk, trained: Trained, policy: Policy) -> Any:
    data = desk.evidence.get(trained.estimator)
    if trained.format == "skops":
        return load_skops(data, policy.train.trusted_types)
    return load_pickle(data, policy.train.unsafe_pickle)


def _requirements(trained: Trained) -> list[str]:
    # Left to itself MLflow spends half a minute guessing these.
    return [f"{name}=={version(name)}" for name in ("scikit-learn", "pandas", trained.format)]


def _shown(case: Case, record: Registered) -> str:
    facts: list[tuple[str, object]] = [("version", record.version), ("run", record.run), ("source", record.source)]
    facts += [(f"file {name}", digest) for name, digest in record.files.items()]
    return f"# {escaped(case.model)}, version {record.version}\n\n" + table(("what", "value"), facts)
