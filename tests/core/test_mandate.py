"""What is executed is what was approved: the files of the package, compared with its manifest and the ledger."""

from __future__ import annotations

import json

import pytest
from story_of import POLICY, waiting
from watch_of import MONITORING, WATCHED, in_use, known

from headgate.canonical import canonical, digest_of
from headgate.errors import BadInput, Tampered
from headgate.mandate import FILES, mandate, strayed
from headgate.package import MANIFEST
from headgate.policy_file import parse
from headgate.records import Packaged


def folder() -> dict[str, bytes | None]:
    """The manifest and the plans as they lie in the package's folder."""
    book = in_use()
    listed = book.evidence[book.release("tiny-1").step(Packaged).package]
    return {MANIFEST: listed, **{name: book.evidence[json.loads(listed)["files"][name]] for name in FILES}}


def test_the_plans_are_those_that_the_package_pins() -> None:
    found = known()
    assert (found.release, found.version) == ("tiny-1", 1)
    assert [check.name for check in found.checks] == ["inputs", "scores", "ranks", "slow", "fails", "used"]
    assert found.steps("slow") == ("measure again",)
    assert found.steps("nowhere") == ()
    assert found.respond_by("2026-07-01T12:00:00.000Z") == "2026-07-01T14:00:00.000Z"
    ranks, fails = found.check("ranks"), found.check("fails")
    assert ranks is not None
    assert fails is not None
    assert (found.delay(ranks), found.delay(fails)) == (1.0, 0.0)


def test_a_folder_as_it_was_packaged_has_not_strayed() -> None:
    book = in_use()
    assert strayed(book.release("tiny-1"), folder()[MANIFEST] or b"", folder()) == ()


@pytest.mark.parametrize("name", [MANIFEST, *FILES])
@pytest.mark.parametrize("data", [None, b"", b"{}"])
def test_each_file_that_is_gone_or_changed_is_named(name: str, data: bytes | None) -> None:
    book = in_use()
    listed = folder()[MANIFEST] or b""
    (said,) = strayed(book.release("tiny-1"), listed, {**folder(), name: data})
    assert said.startswith(name)


def test_plans_of_another_release_or_none_are_not_followed() -> None:
    book = in_use()
    release = book.release("tiny-1")
    listed = json.loads(book.evidence[release.step(Packaged).package])
    other = json.loads(book.evidence[listed["files"]["monitoring-plan.json"]])
    digest = book.put(canonical({**other, "release": "tiny-9"}))
    changed = {**listed, "files": {**listed["files"], "monitoring-plan.json": digest}}
    with pytest.raises(Tampered, match="plans about"):
        mandate(release, {**book.evidence, release.step(Packaged).package: canonical(changed)}.__getitem__)
    del changed["files"]["monitoring-plan.json"]
    with pytest.raises(Tampered, match="a package without"):
        mandate(release, {**book.evidence, release.step(Packaged).package: canonical(changed)}.__getitem__)


def test_a_policy_that_does_not_say_how_has_no_checks() -> None:
    book = waiting()
    found = mandate(book.release("tiny-1"), book.evidence.__getitem__)
    assert found.checks == ()
    assert found.respond_by("2026-07-01T12:00:00.000Z") == "2026-07-02T12:00:00.000Z"


def test_a_response_is_left_out_where_it_is_absent_and_else_part_of_the_policy() -> None:
    plain = parse(POLICY + MONITORING.replace(b'response = "retreat"\n', b""), "x")
    assert b"response" not in canonical(plain.model_dump(mode="json"))
    assert plain.digest != parse(WATCHED, "x").digest
    told = plain.digest
    assert parse(POLICY + MONITORING.replace(b'"retreat"', b'"tell"'), "x").digest == told
    with pytest.raises(BadInput, match="response"):
        parse(POLICY + MONITORING.replace(b'"retreat"', b'"panic"'), "x")
    assert digest_of(b"") != told
