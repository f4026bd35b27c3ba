"""Attestations: foreign vectors, an outside verifier, and what must be refused."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from story_of import DIGEST, KEYS, SIGNER, VERIFIER, evaluated, judged_of, take, waiting, whole

from headgate.attestation import FILES, PAYLOAD, attestations, pae, read, statement_of
from headgate.canonical import canonical
from headgate.errors import HeadgateError, Tampered
from headgate.signing import Signer, Verifier, new_key

VECTORS = Path(__file__).parents[2].parent / "shared" / "vectors"
needs_vectors = pytest.mark.skipif(
    not VECTORS.is_dir(), reason="foreign vectors (dsse, in-toto/attestation) are not here"
)


def made(book=None, release="tiny-1"):
    book = book or waiting()
    return attestations(SIGNER, book.release(release), judged_of(book, release))


@needs_vectors
def test_the_encoding_is_the_protocols_own_example():
    vector = json.loads((VECTORS / "dsse.json").read_text())
    assert pae(vector["payload_type"], vector["body"].encode()) == vector["pae"].encode()
    numbers = ec.EllipticCurvePublicNumbers(int(vector["X"]), int(vector["Y"]), ec.SECP256R1())
    raw = base64.b64decode(vector["envelope"]["signatures"][0]["sig"])
    key = ec.derive_private_key(int(vector["d"]), ec.SECP256R1())
    assert key.public_key().public_numbers() == numbers
    assert len(raw) == 64


@needs_vectors
def test_statements_are_read_as_the_specification_says():
    cases = json.loads((VECTORS / "intoto_statements.json").read_text())["cases"]
    of_statements = [case for case in cases if case["file"].endswith("statement_test.go")]
    assert len(of_statements) > 5
    for case in of_statements:
        good = case["title"].startswith("want") or case["expect"] == "nil"
        good &= case["title"] != "statement type v0.1"  # old, and never written here
        if good:
            assert statement_of(case["json"].encode()).predicate_type == "thePredicate"
        else:
            with pytest.raises(Tampered):
                statement_of(case["json"].encode())


def test_a_package_has_both_and_they_say_what_the_gates_said():
    for name, data in made().items():
        told = read(data, VERIFIER)
        assert told.predicate_type == FILES[name]
        assert [(s.name, s.digest) for s in told.subject] == [("MLmodel", {"sha256": DIGEST.removeprefix("sha256:")})]
    result = read(made()["gates.sigstore.json"], VERIFIER).predicate
    assert result["result"] == "PASSED"
    assert "roc-auc" in result["passedTests"]
    assert result["failedTests"] == []


def test_what_did_not_pass_is_not_attested_as_passed():
    book = take(whole(), "tiny-5", version=9, champion=2, until="registered")
    book.say("tiny-5", evaluated(book, 2, serving=None))
    told = {name: read(data, VERIFIER).predicate for name, data in made(book, "tiny-5").items()}
    assert told["gates.sigstore.json"]["result"] == "FAILED"
    assert told["gates.sigstore.json"]["failedTests"] == ["latency-p99-ms"]
    assert told["summary.sigstore.json"]["verificationResult"] == "FAILED"
    assert told["summary.sigstore.json"]["verifiedLevels"] == ["FAILED"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_verifies_what_dsse_says_was_signed(tmp_path):
    bundle = json.loads(made()["gates.sigstore.json"])
    envelope = bundle["dsseEnvelope"]
    (tmp_path / "key.pem").write_bytes(SIGNER.public_pem)
    (tmp_path / "signed").write_bytes(pae(envelope["payloadType"], base64.b64decode(envelope["payload"])))
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    command = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "sig", "signed"]
    assert "OK" in subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout


def test_another_key_another_payload_or_another_form_is_refused():
    data = made()["gates.sigstore.json"]
    with pytest.raises(Tampered, match="not the pipeline's"):
        read(data, Verifier(Signer(new_key()).public_pem))
    told = json.loads(data)
    forged = json.loads(base64.b64decode(told["dsseEnvelope"]["payload"]))
    forged["predicate"]["result"] = "FAILED"
    told["dsseEnvelope"]["payload"] = base64.b64encode(canonical(forged)).decode()
    for odd in (canonical(told), b"", b"{}", data + b" ", data.replace(PAYLOAD.encode(), b"text/plain")):
        with pytest.raises(HeadgateError):
            read(odd, VERIFIER)
    assert KEYS
