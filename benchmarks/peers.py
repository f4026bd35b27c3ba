"""Peers: what people use, each in its fastest form that was found, over columns in memory.

Each gives points only, except Fairlearn with bootstraps. `site` has 40 groups; what knows no groups measures all rows.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.table import SLICES, THRESHOLD, encoded
from benchmarks.work import RATES, Figures, Work, named, rates, together

QUANTILES = [0.05, 0.95]


def fairlearn(bootstraps: int) -> Callable[[Any], Work]:
    """MetricFrame: four rates by site, with so many bootstraps."""

    def begin(table: Any) -> Work:
        from fairlearn import metrics as fair
        from sklearn.metrics import accuracy_score

        functions = (accuracy_score, fair.true_positive_rate, fair.false_positive_rate, fair.selection_rate)
        more = {"n_boot": bootstraps, "ci_quantiles": QUANTILES, "random_state": 1} if bootstraps else {}
        y, decisions, site = _labels(table), _decisions(table), _values(table, "site")
        asked = dict(zip(RATES, functions, strict=True))

        def run() -> Any:
            frame = fair.MetricFrame(
                metrics=asked, y_true=y, y_pred=decisions, sensitive_features={"site": site}, **more
            )
            return frame.by_group, frame.overall, frame.by_group_ci if bootstraps else None

        return Work(run, lambda found: _of_frame(*found[:2]))

    return begin


def _of_frame(groups: Any, overall: Any) -> Figures:
    each = [named(dict(row), f"site={site}") for site, row in groups.to_dict("index").items()]
    return together([*each, named(dict(overall), "all")])


def sklearn_calls(table: Any) -> Work:
    """The usual loop: a mask per group, one scikit-learn call per rate."""
    from sklearn import metrics as m

    y, decisions, site = _labels(table), _decisions(table), _values(table, "site")

    def one(mask: Any) -> tuple[float, ...]:
        a, b = y[mask], decisions[mask]
        return m.accuracy_score(a, b), m.recall_score(a, b), 1 - m.recall_score(a, b, pos_label=0), b.mean()

    def run() -> dict[str, tuple[float, ...]]:
        return {f"site={s}": one(site == s) for s in np.unique(site)}

    return Work(run, lambda f: together(named(dict(zip(RATES, v, strict=True)), label) for label, v in f.items()))


def sklearn_confusion(table: Any) -> Work:
    """The fastest loop found: groups from their codes, one confusion matrix each, rates from it."""
    from sklearn.metrics import confusion_matrix

    y, decisions, (names, codes) = _labels(table), _decisions(table), encoded(table, "site")

    def run() -> dict[str, dict[str, float]]:
        order = np.argsort(codes, kind="stable")
        places = np.split(order, np.cumsum(np.bincount(codes, minlength=len(names)))[:-1])
        found = [confusion_matrix(y[rows], decisions[rows], labels=[0, 1]).ravel().tolist() for rows in places]
        return {f"site={name}": rates(*cells) for name, cells in zip(names, found, strict=True)}

    return Work(run, lambda found: together(named(each, label) for label, each in found.items()))


def sklearn_everything(table: Any) -> Work:
    """A loop over all slices and both models: rates, AUC, log loss and Brier score, points only."""
    from sklearn import metrics as m

    y, both = _labels(table), {who: table[who].to_numpy() for who in ("candidate", "champion")}
    columns = {name: encoded(table, name) for columns in SLICES for name in columns}

    def one(rows: Any, scores: Any) -> dict[str, float]:
        a, s = y[rows], scores[rows]
        area = m.roc_auc_score(a, s) if 0 < a.sum() < len(a) else float("nan")
        losses = {"log_loss": m.log_loss(a, s, labels=[0, 1]), "brier_score": m.brier_score_loss(a, s, labels=[0, 1])}
        return {
            **rates(*m.confusion_matrix(a, s >= THRESHOLD, labels=[0, 1]).ravel().tolist()),
            "roc_auc": area,
            **losses,
        }

    def run() -> list[tuple[str, str, dict[str, float]]]:
        return [(label, who, one(at, s)) for label, at in _groups(columns, len(y)) for who, s in both.items()]

    return Work(run, lambda found: together(named(each, label, who) for label, who, each in found))


def _groups(columns: Mapping[str, tuple[list[str], Any]], n: int) -> Any:
    yield "all", slice(n)
    for names in SLICES:
        sizes = [len(columns[name][0]) for name in names]
        code = np.ravel_multi_index([columns[name][1] for name in names], sizes)
        for group in np.unique(code):
            at = zip(names, np.unravel_index(group, sizes), strict=True)
            yield " & ".join(f"{name}={columns[name][0][place]}" for name, place in at), np.flatnonzero(code == group)


def evidently(table: Any) -> Work:
    """The preset ClassificationQuality on labels and decisions, over all rows; it knows no groups."""
    import pandas as pd
    from evidently import BinaryClassification, DataDefinition, Dataset, Report
    from evidently.presets import ClassificationQuality

    frame = pd.DataFrame({"label": _labels(table), "decision": _decisions(table)})
    task = DataDefinition(classification=[BinaryClassification(target="label", prediction_labels="decision")])

    def run() -> Any:
        return Report([ClassificationQuality()]).run(Dataset.from_pandas(frame, data_definition=task), None).dict()

    names = {"Accuracy": "accuracy", "TPR": "true_positive_rate", "FPR": "false_positive_rate"}

    def figures(found: Any) -> Figures:
        values = {metric["metric_name"].partition("(")[0]: metric["value"] for metric in found["metrics"]}
        return named({ours: values[theirs] for theirs, ours in names.items()}, "all")

    return Work(run, figures)


def mlflow(table: Any) -> Work:
    """`mlflow.models.evaluate` on labels and decisions, over all rows, into a local SQLite file; no groups."""
    import mlflow as flow
    import pandas as pd

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    os.environ["MLFLOW_DISABLE_ENV_CREATION"] = "true"
    place = tempfile.TemporaryDirectory()  # `run` holds it; it goes when this process ends
    flow.set_tracking_uri(f"sqlite:///{place.name}/mlflow.db")
    flow.create_experiment("gates", artifact_location=(Path(place.name) / "artifacts").as_uri())
    flow.set_experiment("gates")
    frame = pd.DataFrame({"label": _labels(table), "decision": _decisions(table)})
    evaluate: Any = flow.models.evaluate
    asked = {"targets": "label", "predictions": "decision", "model_type": "classifier"}

    def run() -> Any:
        with flow.start_run(run_name=Path(place.name).name):
            config = {"log_model_explainability": False}
            return evaluate(data=frame, evaluator_config=config, **asked).metrics

    cells = ("true_negatives", "false_positives", "false_negatives", "true_positives")
    return Work(run, lambda found: named(rates(*(float(found[name]) for name in cells)), "all"))


def tfma(table: Any) -> Work:
    """TensorFlow Model Analysis: a confusion matrix of all rows and by site."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import pandas as pd
    import tensorflow_model_analysis as analysis
    from google.protobuf import text_format
    from tensorflow_model_analysis.proto import config_pb2

    labels, scores = _labels(table).astype(float), table["candidate"].to_numpy()
    frame = pd.DataFrame({"label": labels, "prediction": scores, "site": _values(table, "site")})
    config = text_format.Parse(_TFMA, config_pb2.EvalConfig())
    return Work(lambda: analysis.analyze_raw_data(frame, config).get_metrics_for_all_slices(), _of_tfma)


_TFMA = """
model_specs { label_key: "label" prediction_key: "prediction" }
slicing_specs {}
slicing_specs { feature_keys: ["site"] }
metrics_specs { metrics { class_name: "ConfusionMatrixAtThresholds" config: '"thresholds": [0.5]' } }
"""


def _of_tfma(found: Any) -> Figures:
    cells = ("trueNegatives", "falsePositives", "falseNegatives", "truePositives")
    parts = []
    for group, metrics in found.items():
        (matrix,) = metrics["confusion_matrix_at_thresholds"]["confusionMatrixAtThresholds"]["matrices"]
        label = " & ".join(f"{name}={value}" for name, value in group) or "all"
        parts.append(named(rates(*(matrix[name] for name in cells)), label))
    return together(parts)


def _labels(table: Any) -> Any:
    return table["label"].to_numpy().astype(np.int64)


def _decisions(table: Any) -> Any:
    return (table["candidate"].to_numpy() >= THRESHOLD).astype(np.int64)


def _values(table: Any, name: str) -> Any:
    names, codes = encoded(table, name)
    return np.array(names)[codes]
