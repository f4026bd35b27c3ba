"""The model's signature: read back, verified by the tool whose form it has, and refused for the smallest change."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from story_of import SIGNER, VERIFIER

from headgate.attestation import attest, read
from headgate.canonical import canonical, digest_of
from headgate.errors import HeadgateError, Tampered
from headgate.model_signature import PREDICATE, sign_model, signed_files
from headgate.signing import Signer, Verifier, new_key

CONTENT = {"MLmodel": b"flavors: {}\n", "model.skops": b"PK...", "nested/deep/input.json": b"{}", "b": b""}
FILES = {name: digest_of(data) for name, data in CONTENT.items()}
names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.dictionaries(names, st.binary(max_size=4).map(digest_of), max_size=5))
def test_what_was_signed_is_read_back_and_signing_again_gives_the_same_bytes(files):
    data = sign_model(SIGNER, "m/1", files)
    assert signed_files(data, VERIFIER) == files
    assert sign_model(SIGNER, "m/1", dict(reversed(files.items()))) == data


def laid_out(folder: Path) -> Path:
    for name, data in CONTENT.items():
        (folder / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "model" / name).write_bytes(data)
    (folder / "model" / "registered_model_meta").write_text("1")
    (folder / "model.sig").write_bytes(sign_model(SIGNER, "tiny/1", FILES))
    (folder / "pipeline.pub").write_bytes(SIGNER.public_pem)
    return folder


def judged_outside(folder: Path) -> subprocess.CompletedProcess[str]:
    """What OpenSSF's own tool says, called as VERIFY.md says."""
    command = [sys.executable, "-m", "model_signing", "verify", "key", "model"]
    given = ["--signature", "model.sig", "--public_key", "pipeline.pub"]
    return subprocess.run([*command, *given], cwd=folder, capture_output=True, text=True, check=False)


def test_model_signing_itself_verifies_it_and_what_mlflow_rewrites_does_not_matter(tmp_path):
    folder = laid_out(tmp_path)
    done = judged_outside(folder)
    assert (done.returncode, "succeeded" in done.stdout) == (0, True), done.stdout + done.stderr


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "model" / "model.skops").write_bytes(b"PK.,."),
        lambda folder: (folder / "model" / "more.py").write_bytes(b""),
        lambda folder: (folder / "model" / "b").unlink(),
        lambda folder: (folder / "pipeline.pub").write_bytes(Signer(new_key()).public_pem),
    ],
    ids=["changed", "added", "removed", "other key"],
)
def test_model_signing_itself_refuses_a_change(tmp_path, harm):
    folder = laid_out(tmp_path)
    harm(folder)
    done = judged_outside(folder)
    assert done.returncode != 0
    assert "failed" in done.stdout + done.stderr


def test_a_signature_of_model_signings_own_form_is_the_same_statement(tmp_path):
    from cryptography.hazmat.primitives.asymmetric import ec
    from story_of import _pem

    folder = laid_out(tmp_path)
    (folder / "key.pem").write_bytes(_pem(ec.derive_private_key(20260701, ec.SECP256R1())))
    command = [sys.executable, "-m", "model_signing", "sign", "key", "model", "--signature", "theirs.sig"]
    given = ["--private_key", "key.pem", "--ignore-paths", "model/registered_model_meta", "--no-ignore-git-paths"]
    subprocess.run([*command, *given], cwd=folder, check=True, capture_output=True)
    theirs = json.loads((folder / "theirs.sig").read_text())
    ours = json.loads((folder / "model.sig").read_text())
    assert theirs["mediaType"] == ours["mediaType"]
    assert theirs["verificationMaterial"]["publicKey"] == ours["verificationMaterial"]["publicKey"]
    said, told = (json.loads(base64.b64decode(each["dsseEnvelope"]["payload"])) for each in (theirs, ours))
    assert said["subject"][0]["digest"] == told["subject"][0]["digest"]
    said["predicate"]["serialization"]["ignore_paths"] = ["registered_model_meta"]  # theirs adds the signature's path
    assert (said["_type"], said["predicateType"]) == (told["_type"], told["predicateType"])
    assert said["predicate"] == told["predicate"]


def forged(change):
    """A signature by the pipeline's own key about something that contradicts itself."""
    told = read(sign_model(SIGNER, "m/1", FILES), VERIFIER).predicate
    subject = {"m/1": digest_of(b"".join(bytes.fromhex(each["digest"]) for each in told["resources"]))}
    predicate = json.loads(canonical(told))
    change(predicate)
    return attest(SIGNER, subject, PREDICATE, predicate)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p["resources"].pop(),
        lambda p: p["resources"].append(dict(p["resources"][0])),
        lambda p: p["resources"][0].update(digest="zz"),
        lambda p: p["resources"][0].update(algorithm="md5"),
        lambda p: p["serialization"].update(allow_symlinks=True),
        lambda p: p["serialization"].update(ignore_paths=["model.skops"]),
        lambda p: p.clear(),
    ],
)
def test_a_statement_that_contradicts_itself_or_leaves_more_out_is_refused(change):
    assert signed_files(forged(lambda _: None), VERIFIER) == FILES
    with pytest.raises(Tampered):
        signed_files(forged(change), VERIFIER)


def test_another_key_another_statement_or_nothing_is_refused():
    data = sign_model(SIGNER, "m/1", FILES)
    for odd, verifier in (
        (data, Verifier(Signer(new_key()).public_pem)),
        (attest(SIGNER, FILES, "https://example.org/other", {}), VERIFIER),
        (b"", VERIFIER),
        (data[:-1], VERIFIER),
    ):
        with pytest.raises(HeadgateError):
            signed_files(odd, verifier)
