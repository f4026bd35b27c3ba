"""Load: rows and models, verified against their digests every time. Changed bytes are refused, never used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from headgate.canonical import digest_of, digits
from headgate.entry import Digest
from headgate.errors import BadInput, HeadgateError, Tampered, Unavailable
from headgate.home import Home
from headgate.model_signature import SIGNATURE, UNSIGNED, signed_files
from headgate.policy import Policy
from headgate.records import Registered, Table
from headgate.signing import Verifier
from tasks.connect import client
from tasks.record import Desk

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".parquet")

# Classes that scikit-learn's own estimators consist of and that skops does not know as harmless by itself.
TRUSTED = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)


# Reading arrays parses their headers, and Python 3.11's parser fails at random when two threads use it at once:
# "AST constructor recursion depth mismatch".
_one_at_a_time = Lock()


@dataclass(frozen=True)
class Proof:
    """What a version's files must be, and by whose word: the one thing with which a model is opened.

    Attributes:
        files: as the ledger has them. signature: the pipeline's, under the same. key: its public key, PEM.
    """

    files: dict[str, Digest]
    signature: bytes
    key: bytes

    @property
    def sound(self) -> bool:
        """Whether the pipeline signed exactly these files."""
        try:
            return signed_files(self.signature, Verifier(self.key)) == self.files
        except HeadgateError:
            return False


def proof_of(desk: Desk, registered: Registered) -> Proof:
    """The proof of a registered version.

    Raises:
        Tampered: its signature is not what the ledger names.
        Unavailable: the store cannot be read.
    """
    return Proof(registered.files, desk.evidence.get(registered.signature), desk.verifier.public_pem)


def read_table(path: Path) -> pd.DataFrame:
    """The rows of a CSV or Parquet file.

    Raises:
        BadInput: there is no such file, it has another suffix, or it cannot be read as what it says it is.
    """
    check_table(path)
    import pandas as pd

    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except Exception as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error


def check_table(path: Path) -> None:
    """Raise BadInput unless there is a file of a kind that can be read."""
    if path.suffix not in SUFFIXES:
        raise _unreadable(path, f"a file that ends in '{path.suffix}'")
    if not path.is_file():
        raise _unreadable(path, "no such file")


def file_digest(path: Path) -> Digest:
    """The SHA-256 digest of a file's whole content, read in pieces."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def snapshot_path(home: Home, digest: Digest, suffix: str) -> Path:
    """Where the snapshot of a table lies."""
    name = digits(digest)
    return home.snapshots / name[:2] / f"{name[2:]}{suffix}"


def frame_of(home: Home, table: Table) -> pd.DataFrame:
    """The rows of a snapshot.

    Raises:
        Tampered: the snapshot's bytes are not those that were pinned.
    """
    return read_table(verified(home, table))


def verified(home: Home, table: Table) -> Path:
    """The file of a snapshot, after its bytes were compared with what was pinned.

    Raises:
        Tampered: there is no such file, or it has other bytes.
    """
    path = snapshot_path(home, table.digest, table.suffix)
    if not path.exists() or (got := file_digest(path)) != table.digest:
        raise Tampered(
            f"snapshot {path}",
            got="no file" if not path.exists() else got,
            expected=table.digest,
            next_step="restore the file from its origin or a backup, or start a new release",
        )
    return path


def verified_once(home: Home, table: Table) -> Path:
    """The same; a process that reads one file many times digests it once, and again if it was touched.

    Raises:
        Tampered: there is no such file, or it has other bytes.
    """
    path = snapshot_path(home, table.digest, table.suffix)
    found = path.stat() if path.exists() else None
    # Whoever writes to a file moves its change time, which cannot be set.
    return _known(home, table, found and (found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns))


@lru_cache(maxsize=64)
def _known(home: Home, table: Table, _stamp: tuple[int, ...] | None) -> Path:
    return verified(home, table)


def files_of(folder: Path) -> dict[str, Digest]:
    """The digest of every file of a model folder that MLflow leaves as it is, by relative path."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / UNSIGNED)
    return {p.relative_to(folder).as_posix(): file_digest(p) for p in paths}


def fetch(home: Home, source: str) -> Path:
    """The folder of a registered version's files as MLflow serves them; not verified yet.

    Raises:
        Unavailable: MLflow does not have them, or does not answer.
    """
    import mlflow

    client(home)  # a process that goes on after another one may not have asked MLflow for anything yet
    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=source))
    except Exception as error:
        raise Unavailable(
            f"the files of {source}",
            got=f"{type(error).__name__}: {error}",
            expected="the files that were registered",
            next_step="look whether the version was deleted in MLflow, or repeat the command",
        ) from error


def changed_files(folder: Path, proof: Proof) -> tuple[str, ...]:
    """The files that are missing, added or changed against what was registered; `model.sig` if that was not signed."""
    found, expected = files_of(folder), proof.files
    changed = {name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)}
    return tuple(sorted(changed | (set() if proof.sound else {SIGNATURE})))


def opened(desk: Desk, registered: Registered, policy: Policy) -> Any:
    """The fitted estimator of a registered version, fetched and verified.

    Raises:
        Tampered, BadInput: as `open_model`.
        Unavailable: MLflow or the store does not answer.
    """
    train, proof = policy.train, proof_of(desk, registered)
    with _one_at_a_time:
        folder = fetch(desk.home, registered.source)
        return open_model(folder, proof, trusted=train.trusted_types, unsafe_pickle=train.unsafe_pickle)


def open_model(folder: Path, proof: Proof, *, trusted: Iterable[str], unsafe_pickle: bool) -> Any:
    """The fitted estimator in a registered model's folder, after the signature and every file were verified.

    There is no other way to a registered model: whoever predicts with one comes through here.

    A skops file is loaded without executing code, and only classes of our own list and `trusted` are made; the list
    that stands in the file itself is not believed.

    Raises:
        Tampered: a file is not what was registered, or the pipeline did not sign it.
        BadInput: the model is a pickle and the policy does not say `unsafe_pickle`, or it holds an unknown class.
    """
    changed = changed_files(folder, proof)
    if changed:
        raise _changed(folder, changed)
    if "model.skops" in proof.files:
        return load_skops(_verified(folder, "model.skops", proof.files), trusted)
    return load_pickle(_verified(folder, "model.pkl", proof.files), unsafe_pickle)


def _verified(folder: Path, name: str, expected: dict[str, Digest]) -> bytes:
    # Digested again, because what is loaded must be the bytes that were compared, whoever writes there meanwhile.
    path = folder / name
    data = path.read_bytes() if path.is_file() else b""
    if digest_of(data) != expected.get(name):
        raise _changed(folder, (name,))
    return data


def _changed(folder: Path, names: tuple[str, ...]) -> HeadgateError:
    return Tampered(
        f"model files in {folder}",
        got=f"changes in {', '.join(names)}",
        expected="the bytes that were registered, signed by the pipeline",
        next_step="do not serve this version; restore the files or release again",
    )


def load_skops(data: bytes, trusted: Iterable[str]) -> Any:
    """The object that skops stored, made of trusted classes only.

    Raises:
        BadInput: the bytes hold other classes, or are no skops file.
    """
    import skops.io

    allowed = {*TRUSTED, *trusted}
    try:
        unknown = sorted(set(skops.io.get_untrusted_types(data=data)) - allowed)
    except Exception as error:  # whatever its readers of ZIP and JSON raise
        raise _distrusted(digest_of(data), f"no skops file: {type(error).__name__}: {error}") from error
    if unknown:
        raise _distrusted(digest_of(data), f"the unknown classes {', '.join(unknown)}")
    return skops.io.loads(data, trusted=sorted(allowed))


def load_pickle(data: bytes, unsafe_pickle: bool) -> Any:
    """The object in a pickle, which may execute code while it is loaded.

    Raises:
        BadInput: the policy does not allow it.
    """
    if not unsafe_pickle:
        raise _distrusted(digest_of(data), "a pickle, which executes code when it is loaded")
    import cloudpickle

    return cloudpickle.loads(data)  # the policy's `unsafe_pickle` allows it


def _distrusted(what: str, got: str) -> HeadgateError:
    return BadInput(
        f"model {what}",
        got=got,
        expected="a skops file of trusted classes",
        next_step="review the classes and name them in train.trusted_types, or set train.unsafe_pickle = true",
    )


def _unreadable(path: Path, got: str) -> HeadgateError:
    return BadInput(
        f"table {path}", got=got, expected="a readable CSV or Parquet file", next_step="check --data and --evaluate"
    )
