"""Attestation: what the pipeline says about a model's files, in the form that outside tools verify.

An in-toto Statement v1 in a DSSE envelope (https://github.com/secure-systems-lab/dsse, protocol 1.0.2) as a Sigstore
bundle v0.3, signed by the pipeline's key, so that `cosign verify-blob-attestation` checks it offline. Two standard
predicates: the gates as a test result (https://in-toto.io/attestation/test-result/v0.1), and a summary of the whole
verification (https://slsa.dev/verification_summary/v1). The subjects are the registered model's files.

An attestation is signed by the machine: it says that the pipeline decided so, not that a person agreed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from headgate.canonical import canonical, digest_of, digits, parse
from headgate.edition import NOW, Edition
from headgate.entry import Digest
from headgate.errors import HeadgateError, Tampered
from headgate.judgement import Judged
from headgate.records import Evaluated, Registered, Requested
from headgate.release import Release
from headgate.signing import Signer, Verifier
from headgate.verdict import Verdict

STATEMENT = "https://in-toto.io/Statement/v1"
PAYLOAD = "application/vnd.in-toto+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
SUMMARY = "https://slsa.dev/verification_summary/v1"
VERIFIER = "https://headgate.example/gates/v1"
"""Who says so, by SLSA's rules a URI: these gates. Whose they are, the key says."""

GATES, SUMMED = "gates.sigstore.json", "summary.sigstore.json"

FILES = {GATES: TEST_RESULT, SUMMED: SUMMARY}
"""The attestations of a package, and the type of each one's predicate."""


class _Part(BaseModel):
    # Others may add fields: the specification asks consumers to ignore what they do not know.
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Subject(_Part):
    """What is spoken of: a name and at least one digest."""

    name: str = ""
    digest: Annotated[dict[str, Annotated[str, Field(min_length=1)]], Field(min_length=1)]


class Statement(_Part):
    """An in-toto Statement v1."""

    type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: Annotated[tuple[Subject, ...], Field(min_length=1)]
    predicate_type: Annotated[str, Field(alias="predicateType", min_length=1)]
    predicate: dict[str, JsonValue]


class _Signature(_Part):
    sig: str


class _Envelope(_Part):
    payload: str
    payload_type: str = Field(alias="payloadType")
    signatures: Annotated[tuple[_Signature, ...], Field(min_length=1, max_length=1)]


class _Bundle(_Part):
    media_type: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"] = Field(alias="mediaType")
    envelope: _Envelope = Field(alias="dsseEnvelope")


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: the bytes that are signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def attest(signer: Signer, files: Mapping[str, Digest], predicate_type: str, predicate: object) -> bytes:
    """A signed bundle, in canonical JSON.

    Args:
        files: the subjects: name -> digest.
    """
    subjects = [{"digest": {"sha256": digits(digest)}, "name": name} for name, digest in files.items()]
    payload = canonical(
        {
            "_type": STATEMENT,
            "subject": sorted(subjects, key=lambda each: str(each["name"])),
            "predicateType": predicate_type,
            "predicate": predicate,
        }
    )
    return canonical(
        {
            "mediaType": BUNDLE,
            # Which key it was, as model-signing demands it; others do not look.
            "verificationMaterial": {"publicKey": {"hint": digits(digest_of(signer.public_pem))}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": PAYLOAD,
                "signatures": [{"keyid": "", "sig": signer.sign(pae(PAYLOAD, payload))}],
            },
        }
    )


def read(data: bytes, verifier: Verifier) -> Statement:
    """The statement in a bundle, after its signature was verified.

    Raises:
        Tampered: it is no such bundle, or this key did not sign it.
    """
    try:
        parse(data)  # of one spelling only
        envelope = _Bundle.model_validate_json(data).envelope
        payload = base64.b64decode(envelope.payload, validate=True)
    except (ValueError, binascii.Error, HeadgateError) as error:
        raise _no_attestation(str(error)[:300]) from error
    signature = envelope.signatures[0].sig
    if envelope.payload_type != PAYLOAD or not verifier.verify(pae(PAYLOAD, payload), signature):
        raise _no_attestation("a signature that is not the pipeline's")
    return statement_of(payload)


def statement_of(payload: bytes) -> Statement:
    """The in-toto statement that some bytes spell.

    Raises:
        Tampered: they spell none.
    """
    try:
        return Statement.model_validate_json(payload)
    except ValueError as error:
        raise _no_attestation(str(error)[:300]) from error


def attestations(signer: Signer, release: Release, judged: Judged) -> dict[str, bytes]:
    """The attestations of a package by their names in it."""
    files = release.step(Registered).files
    gates = attest(signer, files, TEST_RESULT, test_result(release, judged))
    return {GATES: gates, SUMMED: attest(signer, files, SUMMARY, summary(release, digest_of(gates)))}


def predicates(
    release: Release, judged: Judged, gates: Digest, edition: Edition = NOW
) -> dict[str, dict[str, JsonValue]]:
    """What each attestation of a package says.

    Args:
        gates: the digest of the attestation of the gates. edition: the package's.
    """
    if edition == 1:
        return {GATES: _first_result(release, judged), SUMMED: _first_summary(release)}
    return {GATES: test_result(release, judged), SUMMED: summary(release, gates)}


def test_result(release: Release, judged: Judged) -> dict[str, JsonValue]:
    """The predicate of the gates: a gate is passed or failed.

    INCONCLUSIVE and ERROR count as failed, and the result passes only if all gates do. None is warned: the
    specification says that of tests that passed.
    """
    worst = _worst(judged)
    return {
        "result": "PASSED" if judged.verdict is Verdict.PASS else "FAILED",
        "configuration": _configuration(release),
        "passedTests": [gate for gate, verdict in worst.items() if verdict is Verdict.PASS],
        "warnedTests": [],
        "failedTests": [gate for gate, verdict in worst.items() if verdict is not Verdict.PASS],
    }


def summary(release: Release, gates: Digest) -> dict[str, JsonValue]:
    """The predicate of SLSA's verification summary: whether the gates let the release go on, waivers counted.

    Args:
        gates: the digest of the attestation that it sums up.
    """
    evaluated, asked, registered = release.step(Evaluated), release.step(Requested), release.step(Registered)
    passed = evaluated.standing is Verdict.PASS
    return {
        "verifier": {"id": VERIFIER},
        "timeVerified": release.judged,
        "resourceUri": registered.source,
        "policy": _located(release, "policy.toml", asked.policy_file),
        "inputAttestations": [_located(release, GATES, gates)],
        "verificationResult": "PASSED" if passed else "FAILED",
        "verifiedLevels": ["HEADGATE_GATES" if passed else "FAILED"],
    }


def _first_result(release: Release, judged: Judged) -> dict[str, JsonValue]:
    worst = _worst(judged)
    result = {Verdict.PASS: "PASSED", Verdict.INCONCLUSIVE: "WARNED"}.get(judged.verdict, "FAILED")
    return {
        "result": result,
        "configuration": _configuration(release),
        "passedTests": [gate for gate, verdict in worst.items() if verdict is Verdict.PASS],
        "warnedTests": [gate for gate, verdict in worst.items() if verdict is Verdict.INCONCLUSIVE],
        "failedTests": [gate for gate, verdict in worst.items() if verdict in (Verdict.ERROR, Verdict.FAIL)],
    }


def _first_summary(release: Release) -> dict[str, JsonValue]:
    evaluated, asked, registered = release.step(Evaluated), release.step(Requested), release.step(Registered)
    return {
        "verifier": {"id": VERIFIER},
        "timeVerified": release.opened,
        "resourceUri": registered.source,
        "policy": _described("policy.toml", asked.policy_file),
        "inputAttestations": [_described("verdicts.json", evaluated.judged)],
        "verificationResult": "PASSED" if evaluated.standing is Verdict.PASS else "FAILED",
        "verifiedLevels": ["HEADGATE_GATES"] if evaluated.standing is Verdict.PASS else [],
    }


def _worst(judged: Judged) -> dict[str, Verdict]:
    """The worst verdict of each gate, in the order of the policy."""
    gates = dict.fromkeys(j.gate for j in judged.judgements)
    return {gate: max(j.verdict for j in judged.judgements if j.gate == gate) for gate in gates}


def _configuration(release: Release) -> list[JsonValue]:
    asked = release.step(Requested)
    named = {"policy.toml": asked.policy_file, "tally.json": release.step(Evaluated).tally}
    return [_described(*each) for each in named.items()]


def _described(name: str, digest: Digest) -> JsonValue:
    return {"name": name, "digest": {"sha256": digits(digest)}}


def _located(release: Release, name: str, digest: Digest) -> JsonValue:
    """A file of the release's package, as SLSA wants what it names: by a URI."""
    return {"uri": f"urn:headgate:package:{release.id}:{name}", "digest": {"sha256": digits(digest)}}


def _no_attestation(got: str) -> Tampered:
    return Tampered(
        "attestation",
        got=got,
        expected="an in-toto Statement v1 in a DSSE envelope in a Sigstore bundle v0.3, signed by the pipeline's key",
        next_step="get the file again from whoever made it",
    )
