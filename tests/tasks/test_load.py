"""Models are opened only if every byte is the registered one, and only of classes that the policy trusts."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from headgate.errors import BadInput, Tampered, Unavailable
from headgate.home import Home
from headgate.model_signature import sign_model
from headgate.signing import Signer, new_key
from tasks import load
from tasks.load import Proof, changed_files, fetch, files_of, load_pickle, load_skops, open_model

X = np.random.default_rng(0).normal(size=(200, 2))
Y = (X[:, 0] > 0).astype(int)
SIGNER = Signer(new_key())


class Stranger(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # untyped
    """An estimator of somebody's own, harmless here."""

    def fit(self, X: Any, y: Any) -> Stranger:
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: Any) -> Any:
        return np.full((len(X), 2), 0.5)


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A registered model's folder, with the file that MLflow rewrites at every download."""
    place = tmp_path / "model"
    (place / "nested").mkdir(parents=True)
    (place / "model.skops").write_bytes(skops.io.dumps(LogisticRegression().fit(X, Y)))
    (place / "MLmodel").write_text("flavors: {}\n")
    (place / "nested" / "input.json").write_text("{}")
    (place / "registered_model_meta").write_text("1")
    return place


def proof(files: dict[str, str], signed: dict[str, str] | None = None, signer: Signer = SIGNER) -> Proof:
    """What a ledger says of some files, and a signature under these or others."""
    return Proof(files, sign_model(signer, "toy/1", files if signed is None else signed), SIGNER.public_pem)


def opened(folder: Path, expected: dict[str, str], unsafe_pickle: bool = False) -> Any:
    return open_model(folder, proof(expected), trusted=(), unsafe_pickle=unsafe_pickle)


def test_files_that_the_pipeline_did_not_sign_are_not_opened(folder: Path) -> None:
    files = files_of(folder)
    others = {**files, "MLmodel": files["model.skops"]}
    good = proof(files)
    broken = replace(good, signature=good.signature.replace(b'"sig":"M', b'"sig":"N'))
    for odd in (proof(files, others), proof(others, files), proof(files, signer=Signer(new_key())), broken,
                replace(good, signature=b""), replace(good, key=Signer(new_key()).public_pem),
                replace(good, key=b"none")):  # fmt: skip
        assert "model.sig" in changed_files(folder, odd)
        with pytest.raises(Tampered, match=r"model\.sig"):
            open_model(folder, odd, trusted=(), unsafe_pickle=True)
    assert changed_files(folder, good) == ()


def test_what_was_registered_opens_and_predicts(folder: Path) -> None:
    expected = files_of(folder)
    assert set(expected) == {"MLmodel", "model.skops", "nested/input.json"}
    (folder / "registered_model_meta").write_text("2")
    model = opened(folder, expected)
    assert (model.predict(X) == Y).mean() > 0.95


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (lambda f: (f / "model.skops").write_bytes(skops.io.dumps(LogisticRegression().fit(X, 1 - Y))), "model.skops"),
        (lambda f: (f / "MLmodel").write_text("flavors: {x: 1}\n"), "MLmodel"),
        (lambda f: (f / "nested" / "input.json").unlink(), "nested/input.json"),
        (lambda f: (f / "nested" / "code.py").write_text("import os"), "nested/code.py"),
        (lambda f: (f / "nested" / "registered_model_meta").write_text("x"), "nested/registered_model_meta"),
        (lambda f: (f / "model.skops").rename(f / "model.pkl"), "model.pkl, model.skops"),
    ],
    ids=["swapped", "edited", "removed", "added", "hidden", "renamed"],
)
def test_a_changed_folder_is_refused_and_the_file_is_named(folder: Path, harm: Any, named: str) -> None:
    expected = files_of(folder)
    harm(folder)
    assert ", ".join(changed_files(folder, proof(expected))) == named
    with pytest.raises(Tampered, match=f"changes in {named};"):
        opened(folder, expected, unsafe_pickle=True)


def test_a_file_that_changes_between_the_comparison_and_the_loading_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = files_of(folder)
    real = load.changed_files

    def then_swap(place: Path, registered: Proof) -> tuple[str, ...]:
        found = real(place, registered)
        (place / "model.skops").write_bytes(skops.io.dumps(LogisticRegression().fit(X, 1 - Y)))
        return found

    monkeypatch.setattr(load, "changed_files", then_swap)
    with pytest.raises(Tampered, match=r"model\.skops"):
        opened(folder, expected)


def test_nothing_registered_is_nothing_to_open(tmp_path: Path) -> None:
    with pytest.raises(Tampered, match=r"model\.pkl"):
        opened(tmp_path, {}, unsafe_pickle=True)


def test_a_pickle_runs_code_and_is_refused_before_it_can(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    data = pickle.dumps(Bomb(mark))
    pickle.loads(data)  # noqa: S301 - to show what it does
    assert mark.exists()
    mark.unlink()
    with pytest.raises(BadInput, match="a pickle, which executes code"):
        load_pickle(data, unsafe_pickle=False)
    assert not mark.exists()


def test_a_pickle_opens_if_the_policy_says_so(tmp_path: Path) -> None:
    import cloudpickle

    (tmp_path / "model.pkl").write_bytes(cloudpickle.dumps(LogisticRegression().fit(X, Y)))
    expected = files_of(tmp_path)
    assert (opened(tmp_path, expected, unsafe_pickle=True).predict(X) == Y).mean() > 0.95
    with pytest.raises(BadInput, match="unsafe_pickle = true"):
        opened(tmp_path, expected)


def test_a_pickle_is_refused_even_where_it_is_called_a_skops_file(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "model.skops").write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(BadInput, match="no skops file"):
        opened(tmp_path, files_of(tmp_path), unsafe_pickle=True)
    assert not mark.exists()


def test_an_unknown_class_is_refused_and_named_and_a_trusted_one_is_made() -> None:
    data = skops.io.dumps(Stranger().fit(X, Y))
    name = f"{Stranger.__module__}.Stranger"
    with pytest.raises(BadInput, match=f"the unknown classes {name};"):
        load_skops(data, ())
    assert isinstance(load_skops(data, (name,)), Stranger)


def test_boosted_trees_need_no_trust_of_the_users() -> None:
    model = HistGradientBoostingClassifier(max_iter=5).fit(X, Y)
    again = load_skops(skops.io.dumps(model), ())
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("data", [b"", b"garbage", b"PK\x05\x06" + bytes(18)], ids=["empty", "garbage", "empty ZIP"])
def test_what_is_no_skops_file_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match="no skops file"):
        load_skops(data, ())


def test_files_that_mlflow_does_not_have_are_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="nowhere"):
        fetch(Home(tmp_path), str(tmp_path / "nowhere"))
