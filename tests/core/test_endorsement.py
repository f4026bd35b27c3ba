"""What the pipeline attests itself: by the published schema, about this package, and found where it is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from story_of import ANA, SCHEMAS, SIGNER, VERIFIER, approve, files_of, judged_of, promote, waiting, whole
from test_verification import package

from headgate.attestation import attest, read
from headgate.endorsement import ANSWERS, PROMOTION, TYPES, VERDICTS, endorsements, happened
from headgate.records import Packaged, Registered
from headgate.signing import Signer, new_key
from headgate.verification import verify

PROMOTED = promote(approve(waiting(), "tiny-1"), "tiny-1")
RELEASE = PROMOTED.release("tiny-1")
SCHEMA = json.loads(SCHEMAS.read_text())
SHAPES = {
    VERDICTS: "HeadgateVerdictsRunFacet",
    ANSWERS: "HeadgateApprovalsRunFacet",
    PROMOTION: "HeadgatePromotionRunFacet",
}


def bundles() -> dict[str, bytes]:
    later = endorsements(SIGNER, RELEASE, happened(RELEASE))
    return {VERDICTS: files_of(PROMOTED, "tiny-1")[VERDICTS], **later}


def of(name: str) -> Draft202012Validator:
    return Draft202012Validator({**SCHEMA, "properties": {}, "$ref": f"#/$defs/{SHAPES[name]}"})


@pytest.mark.parametrize("name", TYPES)
def test_each_is_valid_by_the_schema_that_lies_in_the_package(name: str) -> None:
    told = read(bundles()[name], VERIFIER)
    assert told.predicate_type == TYPES[name]
    of(name).validate(told.predicate)
    assert {s.name: f"sha256:{s.digest['sha256']}" for s in told.subject} == RELEASE.step(Registered).files
    assert list(of(name).iter_errors({**told.predicate, "more": 1})), "a field that nobody described"
    for key in ("_producer", "_schemaURL"):
        assert list(of(name).iter_errors({k: v for k, v in told.predicate.items() if k != key}))


def test_they_say_who_answered_and_where_the_alias_went() -> None:
    told = {name: read(data, VERIFIER).predicate for name, data in bundles().items()}
    assert told[ANSWERS]["answers"][0]["person"] == ANA
    assert told[ANSWERS]["package"] == told[PROMOTION]["package"] == RELEASE.step(Packaged).package
    assert (told[PROMOTION]["old"], told[PROMOTION]["new"], told[PROMOTION]["outcome"]) == (None, 1, "promoted")
    judged = judged_of(PROMOTED, "tiny-1")
    assert [c["reason"] for c in told[VERDICTS]["comparisons"]] == [j.reason for j in judged.judgements]
    assert set(happened(waiting().release("tiny-1"))) == {ANSWERS}
    assert set(happened(whole().release("tiny-3"))) == set()


def finished() -> dict[str, bytes]:
    """A package as it lies there after the promotion: with the answers that the ledger names."""
    files = package(PROMOTED, people=())
    for answer in (a.record for a in RELEASE.answers):
        stem = f"approvals/{answer.role}-{answer.person}"
        files |= {
            f"{stem}.txt": PROMOTED.evidence[answer.statement],
            f"{stem}.sig": PROMOTED.evidence[answer.signature],
        }
    return {**files, **endorsements(SIGNER, RELEASE, happened(RELEASE))}


def test_a_finished_package_is_sound() -> None:
    found = verify(finished())
    assert found.anomalies == []
    assert (found.checked["attestations"], found.checked["approvals"]) == (6, 3)


def forged(name: str, **changes: Any) -> dict[str, bytes]:
    told = {**happened(RELEASE)[name], **changes}
    return {name: attest(SIGNER, RELEASE.step(Registered).files, TYPES[name], told)}


OTHER = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (forged(ANSWERS, package=OTHER), "about the package"),
        (forged(PROMOTION, package=OTHER), "about the package"),
        (forged(PROMOTION, new=2), "about version 2"),
        (forged(ANSWERS, answers=[{"statement": OTHER}]), "which is not here"),
        (forged(ANSWERS, answers=3), "answers"),
        (forged(ANSWERS, package=None), "package"),
        ({ANSWERS: b"{}"}, "mediaType"),
        ({ANSWERS: bundles()[PROMOTION]}, "a https://headgate.example/promotion/v1"),
        ({PROMOTION: attest(SIGNER, {"x": OTHER}, TYPES[PROMOTION], happened(RELEASE)[PROMOTION])}, "other files"),
        (endorsements(Signer(new_key()), RELEASE, happened(RELEASE)), "not the pipeline's"),
    ],
)
def test_what_is_attested_of_something_else_is_found(change: dict[str, bytes], why: str) -> None:
    found = verify({**finished(), **change}).anomalies
    assert {a.name for a in found} == {"bad_attestation"}
    assert why in found[0].got


def test_an_answer_that_was_taken_out_of_the_package_is_missed() -> None:
    files = {name: data for name, data in finished().items() if not name.startswith(f"approvals/risk-{ANA}")}
    assert [a.name for a in verify(files).anomalies] == ["bad_attestation"]
