"""The signature of a registered model's folder, in the form of OpenSSF's model signing 1.0.

An attestation whose predicate lists every file (https://model_signing/signature/v1.0); its subject is the digest over
the files' digests. `model_signing verify key` and cosign check it with the pipeline's public key. It is written and
read here, because the package that defines it takes a second to import and forty others with it; a test has it verify
ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import ValidationError

from headgate.attestation import attest, read
from headgate.canonical import canonical, digest_of, digits
from headgate.entry import Digest
from headgate.errors import Tampered
from headgate.signing import Signer, Verifier
from headgate.value import Value

SIGNATURE = "model.sig"
"""The signature's file, in a package and beside the model in MLflow; model-signing's own name for it."""

PREDICATE = "https://model_signing/signature/v1.0"

UNSIGNED = "registered_model_meta"
"""A file at the top of the folder that MLflow rewrites at every download, and nothing is loaded from."""


class _Serialization(Value):
    method: Literal["files"] = "files"
    hash_type: Literal["sha256"] = "sha256"
    allow_symlinks: Literal[False] = False
    ignore_paths: tuple[str, ...] = (UNSIGNED,)


class _Resource(Value):
    name: str
    algorithm: Literal["sha256"] = "sha256"
    digest: str


class _Predicate(Value):
    serialization: _Serialization = _Serialization()
    resources: tuple[_Resource, ...]

    @property
    def root(self) -> Digest:
        """The digest over the files' digests, in their order."""
        return digest_of(b"".join(bytes.fromhex(each.digest) for each in self.resources))


def sign_model(signer: Signer, name: str, files: Mapping[str, Digest]) -> bytes:
    """A signed bundle about a folder; the same for the same name, files and key.

    Args:
        name: what the subject is called. files: the digest of every file by its path in the folder.
    """
    listed = (_Resource(name=path, digest=digits(files[path])) for path in sorted(files))
    told = _Predicate(resources=tuple(listed))
    return attest(signer, {name: told.root}, PREDICATE, told.model_dump(mode="json"))


def signed_files(data: bytes, verifier: Verifier) -> dict[str, Digest]:
    """The files that a signature is about, after it was verified.

    Raises:
        Tampered: it is none, this key did not sign it, or its parts contradict each other.
    """
    told = read(data, verifier)
    try:
        predicate = _Predicate.model_validate_json(canonical(told.predicate))
        root = predicate.root
    except (ValidationError, ValueError) as error:
        raise _no_signature(str(error)[:300]) from error
    subjects = [f"sha256:{each.digest.get('sha256')}" for each in told.subject]
    if told.predicate_type != PREDICATE or subjects != [root] or predicate.serialization != _Serialization():
        raise _no_signature(f"a {told.predicate_type} about {', '.join(subjects)}")
    files = {each.name: f"sha256:{each.digest}" for each in predicate.resources}
    if len(files) < len(predicate.resources):
        raise _no_signature("a file that is listed twice")
    return files


def _no_signature(got: str) -> Tampered:
    return Tampered(
        "model signature",
        got=got,
        expected=f"a statement of the type {PREDICATE} about one folder, every file of it once",
        next_step="get the signature again from the package or from MLflow, or release again",
    )
