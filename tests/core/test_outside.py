"""Attestations as the tools of others see them: by official definitions, and by verifiers that are not ours."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf.json_format import ParseDict, ParseError
from in_toto_attestation.predicates.test_result.v0.test_result_pb2 import TestResult as ResultOfTests
from in_toto_attestation.predicates.vsa.v1.vsa_pb2 import VerificationSummary
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.resource_descriptor_pb2 import ResourceDescriptor as Descriptor
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as Stated
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey
from sigstore.dsse import Envelope as SigstoreEnvelope
from sigstore.dsse import _verify as sigstore_verify
from sigstore.errors import VerificationError as SigstoreError
from sigstore_models.bundle.v1 import Bundle
from story_of import SIGNER, Book, evaluated, files_of, take, time_at, whole

from headgate.attestation import GATES, SUMMARY, SUMMED, TEST_RESULT, attest
from headgate.canonical import canonical, digest_of
from headgate.endorsement import endorsements, happened
from headgate.signing import Signer, new_key

FILES = files_of(take(Book(), "tiny-1", until="evaluated"), "tiny-1")


def later() -> dict[str, bytes]:
    """The bundles that come after the packaging."""
    release = whole().release("tiny-1")
    return endorsements(SIGNER, release, happened(release))


BUNDLES = {name: data for name, data in FILES.items() if name.endswith(".sigstore.json")} | later()
SIGNED = BUNDLES | {"model.sig": FILES["model.sig"]}


def envelope(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(data)["dsseEnvelope"]
    return found


def said(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(envelope(data)["payload"]))
    return found


def halted() -> dict[str, bytes]:
    """The attestations of a release whose gates did not pass."""
    book = take(whole(), "tiny-5", version=9, champion=2, until="registered")
    book.say("tiny-5", evaluated(book, 2, serving=None))
    return files_of(book, "tiny-5")


def test_there_are_all_kinds_of_bundles() -> None:
    assert sorted(BUNDLES) == [
        "approvals/approvals.sigstore.json",
        "approvals/promotion.sigstore.json",
        "gates.sigstore.json",
        "summary.sigstore.json",
        "verdicts.sigstore.json",
    ]


@pytest.mark.parametrize("name", sorted(SIGNED))
def test_every_statement_is_one_by_in_totos_own_definition(name: str) -> None:
    Statement.copy_from_pb(ParseDict(said(SIGNED[name]), Stated())).validate()


PREDICATES = {GATES: (TEST_RESULT, ResultOfTests), SUMMED: (SUMMARY, VerificationSummary)}
REQUIRED = {
    # https://in-toto.io/attestation/test-result/v0.1: the fields that it calls required.
    GATES: {"result", "configuration"},
    # https://slsa.dev/spec/v1.1/verification_summary: the same.
    SUMMED: {"verifier", "timeVerified", "resourceUri", "policy", "verificationResult", "verifiedLevels"},
}


def spelled(predicate: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A predicate for the parser, once for each of its levels.

    The official class has `verifiedLevels` as one text and the specification as an array, which is what counts:
    https://github.com/in-toto/attestation/issues/425.
    """
    levels = predicate.get("verifiedLevels", [None])
    assert isinstance(levels, list)
    assert levels
    for level in levels:
        yield {**predicate, **({} if level is None else {"verifiedLevels": level})}


@pytest.mark.parametrize("files", [FILES, halted()], ids=["passed", "halted"])
@pytest.mark.parametrize("name", sorted(PREDICATES))
def test_every_standard_predicate_has_exactly_the_fields_of_its_official_definition(
    name: str, files: dict[str, bytes]
) -> None:
    kind, definition = PREDICATES[name]
    told = said(files[name])
    assert told["predicateType"] == kind
    for each in spelled(told["predicate"]):
        ParseDict(each, definition())  # which refuses a field that it does not know, and one of another type
    assert REQUIRED[name] <= told["predicate"].keys()
    field = "configuration" if name == GATES else "inputAttestations"
    for odd in ({"more": 1}, {field: "x"}, {field: [{"names": "x"}]}, {field: [{"uri": 1}]}):
        with pytest.raises(ParseError):
            ParseDict({**next(spelled(told["predicate"])), **odd}, definition())


def test_the_test_result_says_what_its_specification_says() -> None:
    for files, result in ((FILES, "PASSED"), (halted(), "FAILED")):
        told = said(files[GATES])["predicate"]
        assert told["result"] == result
        assert told["warnedTests"] == [], "a warned test is one that passed, with a warning"
        assert bool(told["failedTests"]) is (result == "FAILED")
        for each in told["configuration"]:
            ResourceDescriptor.copy_from_pb(ParseDict(each, Descriptor())).validate()


def test_the_summary_says_what_its_specification_says() -> None:
    told = said(FILES[SUMMED])["predicate"]
    assert told["timeVerified"] == time_at(5), "when the gates were judged, which is slot 5, and not when it was asked"
    assert (told["verificationResult"], told["verifiedLevels"]) == ("PASSED", ["HEADGATE_GATES"])
    assert told["policy"]["uri"] == "urn:headgate:package:tiny-1:policy.toml"
    assert told["policy"]["digest"]["sha256"] == digest_of(FILES["policy.toml"]).removeprefix("sha256:")
    (gates,) = told["inputAttestations"]
    assert gates["digest"]["sha256"] == digest_of(FILES[GATES]).removeprefix("sha256:")
    assert all(":" in each["uri"] for each in (told["policy"], gates))
    other = said(halted()[SUMMED])["predicate"]
    assert (other["verificationResult"], other["verifiedLevels"]) == ("FAILED", ["FAILED"])
    assert not any(level.startswith("SLSA_") for level in (*told["verifiedLevels"], *other["verifiedLevels"]))


@pytest.mark.parametrize("name", sorted(SIGNED))
def test_every_bundle_is_one_by_sigstores_own_definition(name: str) -> None:
    found = Bundle.from_json(SIGNED[name])
    assert found.media_type == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert found.dsse_envelope is not None


def judged_by_sslib(told: dict[str, Any], pem: bytes) -> bytes:
    """The payload of an envelope, verified. The library wants a signature to name its key; ours need not, says DSSE."""
    key = SSlibKey.from_crypto(load_pem_public_key(pem))
    read = Envelope.from_dict({**told, "signatures": [{**each, "keyid": key.keyid} for each in told["signatures"]]})
    assert read.verify([key], 1) == {key.keyid: key}
    payload: bytes = read.payload
    return payload


@pytest.mark.parametrize("name", sorted(SIGNED))
def test_securesystemslib_which_in_toto_uses_verifies_every_envelope(name: str) -> None:
    assert json.loads(judged_by_sslib(envelope(SIGNED[name]), SIGNER.public_pem)) == said(SIGNED[name])
    with pytest.raises(VerificationError):
        judged_by_sslib(envelope(SIGNED[name]), Signer(new_key()).public_pem)
    for changed in (replaced(name, "payloadType", "text/plain"), replaced(name, "payload", forged(name))):
        with pytest.raises(VerificationError):
            judged_by_sslib(changed, SIGNER.public_pem)


@pytest.mark.parametrize("name", sorted(SIGNED))
def test_sigstores_client_verifies_every_envelope(name: str) -> None:
    key = load_pem_public_key(SIGNER.public_pem)
    read = SigstoreEnvelope._from_json(json.dumps(envelope(SIGNED[name])))
    assert json.loads(sigstore_verify(key, read)) == said(SIGNED[name])
    for changed in (replaced(name, "payloadType", "text/plain"), replaced(name, "payload", forged(name))):
        with pytest.raises(SigstoreError):
            sigstore_verify(key, SigstoreEnvelope._from_json(json.dumps(changed)))


def replaced(name: str, field: str, value: str) -> dict[str, Any]:
    return {**envelope(SIGNED[name]), field: value}


def forged(name: str) -> str:
    told = said(SIGNED[name])
    told["subject"] = [{**each, "digest": {"sha256": "0" * 64}} for each in told["subject"]]
    return base64.b64encode(canonical(told)).decode()


@pytest.mark.skipif(shutil.which("cosign") is None, reason="cosign is in no registry that a new machine has")
@pytest.mark.parametrize("name", sorted(PREDICATES))
def test_cosign_verifies_it_offline_and_refuses_another_file_type_and_key(name: str, tmp_path: Path) -> None:
    blob, kind = b"the model", PREDICATES[name][0]
    bundle = attest(SIGNER, {"model.skops": digest_of(blob)}, kind, said(FILES[name])["predicate"])
    kept = {"model.skops": blob, "other.skops": b"another", "pipeline.pub": SIGNER.public_pem, "bundle.json": bundle}
    for file, data in {**kept, "other.pub": Signer(new_key()).public_pem}.items():
        (tmp_path / file).write_bytes(data)

    def judged(file: str = "model.skops", key: str = "pipeline.pub", kind: str = kind) -> int:
        given = ["--bundle", "bundle.json", "--new-bundle-format", "--insecure-ignore-tlog", "--check-claims"]
        command = ["cosign", "verify-blob-attestation", "--key", key, *given, "--type", kind, file]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode

    assert judged() == 0
    assert 0 not in (judged("other.skops"), judged(key="other.pub"), judged(kind="https://example.org/other/v1"))
