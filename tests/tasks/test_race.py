"""The probe of a store, against a server that keeps the laws, and against stores that do not."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import boto3
import pytest
from botocore.awsrequest import AWSRequest
from buckets import made
from click.testing import CliRunner, Result

from flows.cli import cli
from headgate.admission import newest
from headgate.conformance import Conformance, judged
from headgate.errors import BadInput, Unavailable
from headgate.store import FolderStore, Store
from tasks.bucket import S3Store
from tasks.place import opened
from tasks.race import Course, check_store, observed

AT = "2026-07-01T12:00:00.000Z"
FEW = {"clients": 8, "slots": 20}


def outcomes(found: Conformance) -> dict[str, str]:
    return {law.name: law.outcome for law in found.laws}


def test_a_folder_is_accepted_and_left_clean(tmp_path: Path) -> None:
    told = list[int]()
    found, marker = check_store(tmp_path.as_uri(), "ledger", AT, told=told.append)
    assert found.accepted
    assert set(outcomes(found).values()) == {"kept"}
    assert told == list(range(1, 61))
    assert [n.split("/")[0] for n in FolderStore(tmp_path).names("")] == ["accepted", "evidence"]
    assert (tmp_path / marker).exists()
    assert not (tmp_path / "probe").exists()


@pytest.mark.usefixtures("aws")
def test_a_bucket_is_accepted_and_left_clean() -> None:
    url = made(ObjectLockEnabledForBucket=True) + "/x"
    found, _ = check_store(url, "ledger", AT, **FEW)
    assert found.accepted, found.broken
    # Of these moto checks none: what is not demanded is told.
    lax = ["checks_checksums", "checks_signatures", "refuses_unconditional", "refuses_deletion"]
    assert {name: outcomes(found)[name] for name in lax} == dict.fromkeys(lax, "noted")
    assert {outcomes(found)[name] for name in ("versions", "locks")} == {"kept"}
    assert [n.split("/")[0] for n in S3Store(url).names("")] == ["accepted", "evidence"]
    marker = newest(S3Store(url), found.place, "ledger")
    assert marker is not None
    assert marker.accepted
    assert marker.findings == found.digest


class Looking(FolderStore):
    """Looks whether a name is free, and then writes: right for one client, and wrong for two."""

    def put(self, name: str, data: bytes) -> bool:
        path = self.root / name
        if path.exists():
            return False
        time.sleep(0.001)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return True


class Forgetting(FolderStore):
    """Loses every fifth write that it confirmed."""

    count = itertools.count(1)

    def put(self, name: str, data: bytes) -> bool:
        return bool(next(self.count) % 5 == 0 or super().put(name, data))


class Failing(FolderStore):
    """Does not answer one in a hundred times."""

    count = itertools.count(1)

    def get(self, name: str) -> bytes | None:
        if next(self.count) % 100 == 0:
            raise Unavailable("store", got="a timeout", expected="an answer", next_step="try again")
        return super().get(name)


class Lagging(FolderStore):
    """Lists what was written a while ago."""

    def names(self, prefix: str) -> list[str]:
        return super().names(prefix)[:-1]


@pytest.mark.parametrize(
    ("kind", "law"),
    [(Looking, "one_winner"), (Forgetting, "winner_stays"), (Failing, "answers"), (Lagging, "lists")],
)
def test_a_store_that_breaks_a_law_only_under_load_is_refused(
    tmp_path: Path, kind: type[FolderStore], law: str
) -> None:
    def open_store() -> Store:
        return kind(tmp_path)

    course = Course("p", open_store, open_store, lambda _: {}, lambda _: None, lambda _: None)
    found = judged(observed(course, "probe/", 16, 60, lambda _: None), "ledger")
    assert law in {law.name for law in found.broken}
    assert not found.accepted


def test_a_bucket_that_ignores_the_condition_is_refused_and_says_so(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(request: AWSRequest, **_: object) -> None:
        del request.headers["If-None-Match"]

    session = boto3.Session()
    session.events.register(
        "before-sign.s3.PutObject", lambda request, **_: request.headers.__delitem__("If-None-Match")
    )
    monkeypatch.setattr("tasks.bucket._session", lambda: session)
    found, _ = check_store(bucket, "ledger", AT, **FEW)
    assert {law.name for law in found.broken} == {"one_winner", "winner_stays", "refuses_again"}
    with pytest.raises(BadInput, match=f"refused by the check of {AT}"):
        opened(bucket).put("a", b"")


def test_the_command_says_what_it_found_and_its_exit_code_decides(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(*words: str, expect: int) -> Result:
        result = CliRunner().invoke(cli, ["store", "check", *words])
        assert result.exit_code == expect, result.output
        return result

    said = json.loads(check(bucket, "--clients", "8", "--slots", "20", "--json", expect=0).stdout)
    assert said["accepted"]
    assert S3Store(bucket).get(said["marker"])
    shown = check(bucket, "--evidence", "--clients", "2", "--slots", "2", expect=1).stdout
    assert "broken  answers                2 clients raced for 2 slots" in shown
    assert f"{bucket} is refused as a store of the evidence: answers." in shown
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    assert "Could not connect" in check(bucket, expect=3).stderr
