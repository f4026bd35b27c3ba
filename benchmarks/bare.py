"""The bare script: the same validation, fit, logging and measuring as a release, written as one would without Headgate.

It keeps no history, asks nobody, compares with nothing and decides nothing. `benchmarks.release` compares a release
with it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

MODEL = Path(__file__).resolve().parent.parent / "expectations" / "employment"
FEATURES_OUT = ["employed", "person_id", "survey_year", "champion_probability"]


def validate(frame: Any, suite: str) -> None:
    """Validate a table against a suite, as Great Expectations' documentation shows it."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    batch = (
        context.data_sources.add_pandas(suite)
        .add_dataframe_asset(suite)
        .add_batch_definition_whole_dataframe(suite)
        .get_batch({"dataframe": frame})
    )
    wanted = json.loads((MODEL / suite).read_text())["expectations"]
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    expectations = [ExpectationConfiguration(**e).to_domain_obj() for e in wanted]
    assert batch.validate(gx.ExpectationSuite(name=suite, expectations=expectations)).success  # noqa: S101


def fit(frame: Any) -> Any:
    """The same pipeline as the policy's."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    X = frame.drop(columns=FEATURES_OUT)
    numbers = list(X.select_dtypes("number").columns)
    encoding = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), [c for c in X.columns if c not in numbers]),
        (StandardScaler(), numbers),
    )
    estimator = HistGradientBoostingClassifier(max_iter=100, learning_rate=0.08, max_leaf_nodes=15, random_state=7)
    return make_pipeline(encoding, estimator).fit(X, frame["employed"])


def measure(model: Any, frame: Any) -> dict[str, float]:
    """Points per slice with scikit-learn, and 350 single-row predictions."""
    import numpy as np
    from sklearn import metrics as m

    X = frame.drop(columns=FEATURES_OUT)
    labels, scores = frame["employed"].to_numpy(), model.predict_proba(X)[:, 1]
    found: dict[str, float] = {}
    masks = {"all": np.ones(len(frame), bool)}
    for column in ("sex", "race", "disability", "nativity"):
        masks |= {f"{column}:{value}": (frame[column] == value).to_numpy() for value in frame[column].unique()}
    for name, rows in masks.items():
        y, s = labels[rows], scores[rows]
        for metric in (m.roc_auc_score, m.log_loss, m.brier_score_loss):
            found[f"{metric.__name__}/{name}"] = float(metric(y, s))
        found[f"accuracy/{name}"] = float(((s >= 0.5) == y).mean())
    times = [_timed(model, X, n) for n in range(370)][20:]
    return {**found, "latency_p99_ms": float(np.quantile(times, 0.99))}


def _timed(model: Any, X: Any, n: int) -> float:
    begun = time.perf_counter()
    model.predict_proba(X.iloc[n : n + 1])
    return (time.perf_counter() - begun) * 1000


def log(home: Path, model: Any, frame: Any, found: dict[str, float]) -> None:
    """Log and register in MLflow, and move the alias at once."""
    import warnings

    home.mkdir(parents=True, exist_ok=True)
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{home}/mlflow.db")
    if mlflow.get_experiment_by_name("employment") is None:
        mlflow.create_experiment("employment", artifact_location=(home / "artifacts").as_uri())
    mlflow.set_experiment("employment")
    rows = frame.drop(columns=FEATURES_OUT).head(5)
    warnings.simplefilter("ignore")
    with mlflow.start_run():
        mlflow.log_params({"max_iter": 100, "learning_rate": 0.08})
        mlflow.log_metrics(found)
        mlflow.sklearn.log_model(
            model,
            name="model",
            registered_model_name="employment",
            signature=mlflow.models.infer_signature(rows, model.predict_proba(rows)),
            input_example=rows,
            pip_requirements=["scikit-learn"],
            serialization_format="skops",
            skops_trusted_types=["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"],
        )
    registry = mlflow.MlflowClient()
    newest = registry.search_model_versions("name='employment'", max_results=1, order_by=["version_number DESC"])[0]
    registry.set_registered_model_alias("employment", "champion", newest.version)


def main(home: Path) -> None:
    """Do it all, once."""
    import pandas as pd

    training = pd.read_parquet(MODEL / "data" / "acs_ma_2015_2017.parquet")
    evaluation = pd.read_parquet(MODEL / "data" / "acs_ma_2018.parquet")
    validate(training, "training.json")
    validate(evaluation, "evaluation.json")
    model = fit(training)
    log(home, model, training, measure(model, evaluation))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
