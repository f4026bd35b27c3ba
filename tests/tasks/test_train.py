"""Training: on which columns, by which estimator, and the same again from the same seed."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from model_folder import POLICY, Toy, rows
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from stage import Pages, opened, run

from headgate.errors import BadInput, Tampered
from headgate.policy import Data, Policy, Train
from headgate.policy_file import parse
from headgate.records import Trained
from tasks.load import load_pickle, load_skops
from tasks.predict import features_of
from tasks.record import Desk
from tasks.train import fit

FRAME = rows(600, seed=1)
LOGISTIC = "sklearn.linear_model.LogisticRegression"
FEATURES, LABELS = FRAME[["x1", "x2", "group"]], FRAME["label"]


class Guess(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # untyped
    """An estimator that scikit-learn does not have."""

    def fit(self, X: Any, y: Any) -> Guess:
        self.share_ = float(np.mean(y))
        return self

    def predict_proba(self, X: Any) -> Any:
        return np.tile([1 - self.share_, self.share_], (len(X), 1))


def make(frame: pd.DataFrame, labels: pd.Series, params: dict[str, Any], seed: int) -> Pipeline:
    """An entrypoint: a model of one column, which takes all of them."""
    assert (seed, params) == (3, {"C": 0.5})
    only = make_column_transformer(("passthrough", ["x1"]))
    return make_pipeline(only, LogisticRegression(**params, random_state=seed)).fit(frame, labels)


def guess(frame: pd.DataFrame, labels: pd.Series, params: dict[str, Any], seed: int) -> Guess:
    return Guess().fit(frame, labels)


def generator(frame: pd.DataFrame, labels: pd.Series, params: dict[str, Any], seed: int) -> Guess:
    """A model that skops cannot store: it holds a function that is defined here."""
    model = Guess().fit(frame, labels)
    model.notes = (n for n in range(3))
    return model


def narrow(frame: pd.DataFrame, labels: pd.Series, params: dict[str, Any], seed: int) -> LogisticRegression:
    """A model that does not take the rows that it was asked to learn from."""
    return LogisticRegression().fit(frame[["x1"]], labels)


def three(frame: pd.DataFrame, labels: pd.Series, params: dict[str, Any], seed: int) -> Pipeline:
    """A model of three classes."""
    only = make_column_transformer(("passthrough", ["x1"]))
    return make_pipeline(only, LogisticRegression()).fit(frame, np.arange(len(frame)) % 3)


def no_model(frame: pd.DataFrame, labels: pd.Series, params: dict[str, Any], seed: int) -> object:
    return object()


def policy(how: Train) -> Policy:
    return parse(POLICY.format(name="toy").encode(), "of a test").model_copy(update={"train": how})


def policy_says(toy: Toy, old: str, new: str) -> None:
    path = toy.folder / "policy.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def trained(toy: Toy) -> tuple[Desk, Trained]:
    case = opened(toy, "train")
    desk = Desk(case.home, case.model)
    return desk, desk.release(case.release).step(Trained)


def test_a_candidate_is_kept_as_bytes_that_open_again(toy: Toy, pages: Pages) -> None:
    desk, record = trained(toy)
    assert record.features == ("x1", "x2", "group")
    assert record.format == "skops"
    model = load_skops(desk.evidence.get(record.estimator), ())
    chances = model.predict_proba(FEATURES)[:, 1]
    assert chances[LABELS == 1].mean() > chances[LABELS == 0].mean() + 0.05
    assert pages.made[-1][0] == "toy-1-train"
    assert re.fullmatch("[a-z0-9-]+", pages.made[-1][0])
    assert record.estimator in pages.made[-1][1]


def test_what_tells_the_label_is_no_feature() -> None:
    frame = FRAME.assign(outcome=LABELS, year=2020)
    data = Data(train="t", evaluate="e", label="label", id="id", time="year", exclude=("outcome",), slices=("group",))
    assert features_of(frame, data) == ("x1", "x2", "group")
    assert features_of(frame[["group", "label", "x2", "x1"]], data) == ("group", "x2", "x1"), "in the table's order"


def test_an_excluded_column_reaches_no_model(toy: Toy, pages: Pages) -> None:
    frame = pd.read_parquet(toy.training)
    frame.assign(outcome=frame["label"]).to_parquet(toy.training)
    policy_says(toy, 'slices = ["group"]\nmin_rows', 'exclude = ["outcome"]\nslices = ["group"]\nmin_rows')
    desk, record = trained(toy)
    assert "outcome" not in record.features
    model = load_skops(desk.evidence.get(record.estimator), ())
    assert set(model.feature_names_in_) == {"x1", "x2", "group"}


def test_the_same_seed_gives_the_same_model_and_another_one_another() -> None:
    def chances(seed: int) -> Any:
        how = Train(estimator="sklearn.ensemble.RandomForestClassifier", params={"n_estimators": 5}, seed=seed)
        return fit(policy(how), FEATURES, LABELS).predict_proba(FEATURES)

    np.testing.assert_array_equal(chances(7), chances(7))
    assert (chances(7) != chances(8)).any()


def test_a_seed_among_the_parameters_wins() -> None:
    how = Train(estimator="sklearn.ensemble.RandomForestClassifier", params={"random_state": 3, "n_estimators": 2})
    assert fit(policy(how), FEATURES, LABELS)[-1].random_state == 3


def test_an_estimator_without_a_seed_gets_none() -> None:
    model = fit(policy(Train(estimator="sklearn.naive_bayes.GaussianNB", seed=7)), FEATURES, LABELS)
    assert model.predict_proba(FEATURES).shape == (600, 2)


def test_a_category_that_was_never_seen_is_scored_all_the_same() -> None:
    model = fit(policy(Train(estimator=LOGISTIC)), FEATURES, LABELS)
    strange = FEATURES.head(3).assign(group="c")
    assert np.isfinite(model.predict_proba(strange)).all()


def test_an_entrypoint_gets_rows_parameters_and_seed() -> None:
    model = fit(policy(Train(entrypoint="test_train:make", params={"C": 0.5}, seed=3)), FEATURES, LABELS)
    assert model[-1].C == 0.5
    assert model[-1].n_features_in_ == 1


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (Train(estimator="sklearn.linear_model.LogisticRegresion"), "has no attribute"),
        (Train(estimator="sklearn.linear.LogisticRegression"), "No module named"),
        (Train(estimator="LogisticRegression"), "ValueError"),
        (Train(estimator=".LogisticRegression"), "ValueError"),
        (Train(estimator="..linear.LogisticRegression"), "TypeError"),
        (Train(estimator="math.pi"), "not a callable"),
        (
            Train(estimator=LOGISTIC, params={"c": 1}),
            "unexpected keyword argument 'c'",
        ),
        (Train(estimator=LOGISTIC, params={"C": -1.0}), "InvalidParameterError"),
        (Train(estimator="sklearn.svm.LinearSVC"), "no predict_proba"),
        (Train(entrypoint="test_train:nothing"), "has no attribute"),
        (Train(entrypoint="test_train.make"), "ValueError"),
        (Train(entrypoint="test_train:no_model"), "no predict_proba"),
        (Train(entrypoint="test_train:make"), "AssertionError"),
        (Train(entrypoint="test_train:narrow"), "Feature names unseen at fit time"),
        (Train(entrypoint="test_train:three"), r"the shape \(5, 3\)"),
    ],
    ids=lambda x: x if isinstance(x, str) else str(x.estimator or x.entrypoint),
)
def test_an_estimator_that_cannot_be_used_is_the_policys_mistake(how: Train, told: str) -> None:
    with pytest.raises(BadInput, match=told) as caught:
        fit(policy(how), FEATURES, LABELS)
    assert str(how.estimator or how.entrypoint) in caught.value.subject


def test_rows_that_the_estimator_does_not_take_are_refused() -> None:
    with pytest.raises(BadInput, match="NaN"):
        fit(
            policy(Train(estimator=LOGISTIC)),
            FEATURES.assign(x1=FEATURES["x1"].mask(FEATURES["x1"] > 2)),
            LABELS,
        )


def entrypoint(toy: Toy, function: str, *more: str) -> None:
    estimator = 'estimator = "sklearn.linear_model.LogisticRegression"\nparams = { C = 1.0 }\n'
    policy_says(toy, estimator, "\n".join((f'entrypoint = "test_train:{function}"', *more, "")))


def test_a_class_that_nobody_trusts_is_refused_before_anything_is_recorded(toy: Toy, pages: Pages) -> None:
    entrypoint(toy, "guess")
    with pytest.raises(BadInput, match=r"unknown classes test_train\.Guess"):
        trained(toy)
    assert [e.kind for e in Desk(toy.home, toy.name).ledger().entries][-1] == "validated"


def test_a_class_that_the_policy_trusts_is_kept(toy: Toy, pages: Pages) -> None:
    entrypoint(toy, "guess", 'trusted_types = ["test_train.Guess"]')
    desk, record = trained(toy)
    assert skops.io.get_untrusted_types(data=desk.evidence.get(record.estimator)) == ["test_train.Guess"]


def test_a_pickle_is_made_only_where_the_policy_says_so(toy: Toy, pages: Pages) -> None:
    entrypoint(toy, "guess", "unsafe_pickle = true")
    desk, record = trained(toy)
    assert record.format == "cloudpickle"
    assert isinstance(load_pickle(desk.evidence.get(record.estimator), unsafe_pickle=True), Guess)


def test_a_model_that_nothing_can_store_is_refused(toy: Toy, pages: Pages) -> None:
    entrypoint(toy, "generator")
    with pytest.raises(BadInput, match="skops"):
        trained(toy)


def test_a_step_out_of_order_is_refused(toy: Toy, pages: Pages) -> None:
    case = opened(toy, "snapshot")
    with pytest.raises(Tampered, match="'trained' of release toy-1"):
        run("train", case)
    assert [e.kind for e in Desk(toy.home, toy.name).ledger().entries][-1] == "snapshot"
