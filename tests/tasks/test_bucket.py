"""The store in a bucket: what S3 answers, what it does not, and what a ledger makes of it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from buckets import Passing, made, proxied
from model_folder import Toy

from headgate.admission import mark
from headgate.conformance import Conformance, Law
from headgate.errors import BadInput, SlotTaken, Tampered, Unavailable
from headgate.evidence import Evidence
from headgate.ledger import Ledger, append, problems, read
from headgate.policy import Retention
from headgate.records import Requested
from headgate.signing import Signer, Verifier, new_key
from headgate.store import Store
from tasks import bucket as module
from tasks.bucket import S3Store
from tasks.place import models_of, opened, store_of
from tasks.read import read_policy
from tasks.record import Desk
from tasks.request import request

SIGNER = Signer(new_key())
VERIFIER = Verifier(SIGNER.public_pem)
CONFLICT = b"<Error><Code>ConditionalRequestConflict</Code><Message>again</Message></Error>"


def grown(store: Store, ledger: Ledger, nonce: str, actor: str = "anna") -> Ledger:
    said = {"kind": "said", "actor": actor, "body": {}, "release": None, "time": "2026-07-01T12:00:00Z"}
    return append(store, ledger, SIGNER, **said, nonce=nonce)


@pytest.mark.parametrize(
    "url", ["s3://", "s3://Upper", "s3://b", "s3://bucket/../x", "s3://bucket//x", "s3://bucket/a b", "http://bucket"]
)
def test_what_is_no_address_of_a_bucket_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match=r"s3://bucket/prefix"):
        S3Store(url)


def test_prefixes_are_stores_of_their_own(bucket: str) -> None:
    store, inner, beside = S3Store(bucket), S3Store(f"{bucket}/a"), S3Store(f"{bucket}/ab/")
    assert inner.put("x", b"1")
    assert beside.put("x", b"2")
    assert (inner.names(""), beside.names(""), store.names("")) == (["x"], ["x"], ["a/x", "ab/x"])
    assert inner.place != beside.place


def test_strangers_are_no_names(bucket: str) -> None:
    store = S3Store(bucket)
    store.client.put_object(Bucket=store.bucket, Key="m/.hidden", Body=b"")
    store.client.put_object(Bucket=store.bucket, Key="m/", Body=b"")
    store.put("m/1", b"")
    assert store.names("m/") == ["m/1"]


def test_a_listing_has_all_pages(bucket: str) -> None:
    store, names = S3Store(bucket, page=7), [f"m/{n:02}" for n in range(25)]
    for name in names:
        store.put(name, b"")
    assert store.names("m/") == names


def test_a_second_version_or_a_deletion_is_reported(aws: str) -> None:
    store = S3Store(made(ObjectLockEnabledForBucket=True))
    store.put("m/1", b"one")
    store.put("m/2", b"two")
    assert store.names("m/") == ["m/1", "m/2"]
    store.client.put_object(Bucket=store.bucket, Key="m/1", Body=b"another")
    with pytest.raises(Tampered, match=r"m/1: got 2 version\(s\) and 0 delete marker"):
        store.names("m/")
    assert S3Store(store.url, once=False).names("m/") == ["m/1", "m/2"]
    store.client.delete_object(Bucket=store.bucket, Key="m/2")
    with pytest.raises(Tampered, match=r"1 version\(s\) and 1 delete marker"):
        store.names("m/2")


@pytest.mark.parametrize("call", [lambda s: s.put("a", b""), lambda s: s.get("a"), lambda s: s.names("")])
def test_a_missing_bucket_and_a_dead_server_are_unavailable(
    aws: str,
    monkeypatch: pytest.MonkeyPatch,
    call: object,
) -> None:
    assert callable(call)
    with pytest.raises(Unavailable, match="NoSuchBucket"):
        call(S3Store("s3://no-such-bucket"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match=r"EndpointConnectionError.*Next: check the bucket, the endpoint"):
        call(S3Store("s3://no-such-bucket"))


class Losing:
    """Loses the answers to the first `times` writes after the server took them, or instead of passing them on."""

    def __init__(self, times: int, *, taken: bool = True, answer: tuple[int, bytes] | None = None) -> None:
        self.times, self.taken, self.answer, self.seen = times, taken, answer, 0
        self._lock = threading.Lock()

    def __call__(self, request: BaseHTTPRequestHandler, pass_on: Passing) -> tuple[int, bytes] | None:
        with self._lock:
            self.seen += 1
            lost = self.seen <= self.times
        if not lost:
            return pass_on()
        if self.taken:
            pass_on()
        else:
            request.rfile.read(int(request.headers["Content-Length"]))
        return self.answer


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.001)


@pytest.mark.parametrize("answer", [None, (500, b""), (503, b"<Error><Code>SlowDown</Code></Error>"), (200, b"")])
@pytest.mark.parametrize("times", [1, 99])
def test_a_write_whose_answer_was_lost_is_one_entry(
    bucket: str,
    server: str,
    monkeypatch: pytest.MonkeyPatch,
    answer: tuple[int, bytes] | None,
    times: int,
) -> None:
    with proxied(server, Losing(times, answer=answer)):
        store = S3Store(bucket)
        ledger = grown(store, Ledger("m"), "nonce-0001")
        assert read(store, "m", VERIFIER) == ledger
    assert read(S3Store(bucket), "m", VERIFIER).size == 1


def test_of_two_writers_whose_answers_are_lost_one_hears_that_the_slot_is_taken(
    bucket: str,
    server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with proxied(server, Losing(99)):
        store = S3Store(bucket)
        ledger = grown(store, Ledger("m"), "nonce-0001")
        with pytest.raises(SlotTaken, match="another writer's entry"):
            grown(store, Ledger("m"), "nonce-0002")
        assert store.put("x/1", b"mine")
        assert not store.put("x/1", b"other")
        assert read(store, "m", VERIFIER) == ledger


def test_a_write_that_never_arrived_is_not_taken_for_one_that_did(
    bucket: str,
    server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with proxied(server, Losing(99, taken=False)):
        store = S3Store(bucket)
        with pytest.raises(Unavailable, match="ConnectionClosedError"):
            grown(store, Ledger("m"), "nonce-0001")
    assert S3Store(bucket).names("") == []


@pytest.mark.parametrize(("times", "wins"), [(1, True), (7, True), (8, False)])
@pytest.mark.usefixtures("impatient")
def test_a_conflict_is_tried_again_for_a_while(
    bucket: str,
    server: str,
    monkeypatch: pytest.MonkeyPatch,
    times: int,
    wins: bool,
) -> None:
    losing = Losing(times, taken=False, answer=(409, CONFLICT))
    with proxied(server, losing):
        store = S3Store(bucket)
        if wins:
            assert store.put("a", b"1")
        else:
            with pytest.raises(Unavailable, match="ConditionalRequestConflict"):
                store.put("a", b"1")
    assert losing.seen == min(times + 1, 8)


def test_writers_at_once_lose_nothing_and_double_nothing_though_answers_are_lost(
    bucket: str,
    server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = 0

    def losing(request: BaseHTTPRequestHandler, pass_on: Passing) -> tuple[int, bytes] | None:
        nonlocal seen
        seen += 1
        answer = pass_on()
        return None if seen % 3 == 0 else answer

    def write(who: str) -> None:
        store, done = S3Store(bucket), 0
        while done < 5:
            ledger = read(store, "m", VERIFIER)
            try:
                grown(store, ledger, f"{who}-{done:06}", who)
            except SlotTaken:
                continue
            done += 1

    with proxied(server, losing):
        writers = [threading.Thread(target=write, args=(f"writer{n}",)) for n in range(4)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(60)
    store = S3Store(bucket)
    assert problems(store, "m", VERIFIER) == ()
    written = [entry.nonce for entry in read(store, "m", VERIFIER).entries]
    assert sorted(written) == sorted(f"writer{n}-{k:06}" for n in range(4) for k in range(5))
    assert [n[:7] for n in written] != sorted(n[:7] for n in written), "one after the other: this proves nothing"


def accept(url: str, use: str, outcome: str = "kept", at: str = "2026-07-01T12:00:00.000Z") -> None:
    store = S3Store(url, once=False)
    mark(store, Conformance(place=store.place, use=use, laws=(Law(name="a", outcome=outcome, said="b"),)), at)


def test_a_desk_writes_to_no_bucket_that_was_not_accepted(
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HEADGATE_STORE", bucket)
    assert models_of(tmp_path) == []
    with pytest.raises(BadInput, match=rf"no check has accepted it.*run `headgate store check {bucket}`"):
        Desk.create(tmp_path, "toy").keep({})
    accept(bucket, "evidence")
    with pytest.raises(BadInput, match="no check"):
        Desk(tmp_path, "toy").keep({})
    accept(bucket, "ledger")
    digest = Desk(tmp_path, "toy").keep({"a": 1})
    assert Desk(tmp_path, "toy").recall(digest) == {"a": 1}
    assert not Desk(tmp_path, "toy").home.store.exists()
    accept(bucket, "ledger", "broken", "2026-07-02T12:00:00.000Z")
    with pytest.raises(BadInput, match=r"refused by the check of 2026-07-02"):
        Desk(tmp_path, "toy").keep({"a": 2})


def test_acceptance_is_of_one_place(bucket: str) -> None:
    accept(bucket, "ledger")
    name, *_ = S3Store(bucket).names("accepted/")
    inner = S3Store(f"{bucket}/copy")
    inner.put(name, S3Store(bucket).get(name) or b"")
    with pytest.raises(BadInput, match="no check"):
        opened(f"{bucket}/copy").put("a", b"")
    store = S3Store(bucket)
    store.client.put_object(Bucket=store.bucket, Key=name, Body=b"garbage")
    with pytest.raises(Tampered, match="marker"):
        opened(bucket).put("a", b"")


def test_evidence_may_be_in_a_bucket_of_its_own(
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    locked = made(ObjectLockEnabledForBucket=True)
    monkeypatch.setenv("HEADGATE_STORE", bucket)
    monkeypatch.setenv("HEADGATE_EVIDENCE", locked)
    accept(bucket, "ledger")
    with pytest.raises(BadInput, match=rf"{locked} --evidence"):
        Desk(tmp_path, "toy").keep({})
    accept(locked, "evidence")
    digest = Desk(tmp_path, "toy").keep({})
    assert Evidence(S3Store(locked)).get(digest) == b"{}"
    assert [n for n in S3Store(bucket).names("evidence/") if digest[9:] in n] == []


@pytest.mark.parametrize("url", ["gs://bucket", "http://host/x", "file://elsewhere/x"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(BadInput, match=r"a folder, file:///folder or s3://bucket/prefix"):
        opened(url)


def test_a_folder_may_be_named_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from headgate.home import Home

    (tmp_path / "a b").mkdir()
    monkeypatch.setenv("HEADGATE_STORE", (tmp_path / "a b").as_uri())
    assert store_of(Home(tmp_path / "home"), create=True).put("x", b"1")
    assert (tmp_path / "a b" / "x").read_bytes() == b"1"
    monkeypatch.setenv("HEADGATE_STORE", str(tmp_path / "unmounted"))
    with pytest.raises(Unavailable, match="no folder"):
        models_of(tmp_path / "home")


def test_evidence_is_locked_for_as_long_as_the_policy_says(
    aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = made(ObjectLockEnabledForBucket=True)
    store = S3Store(url, once=False)
    days = [30]
    kept = S3Store(url, retained=lambda: Retention(retention_days=days[0], mode="compliance"))

    def until(name: str) -> float:
        told = store.client.head_object(Bucket=store.bucket, Key=name)
        assert told["ObjectLockMode"] == "COMPLIANCE"
        return (told["ObjectLockRetainUntilDate"] - datetime.now(UTC)) / timedelta(days=1)

    assert kept.put("a", b"1")
    assert not kept.put("a", b"1")
    assert until("a") == pytest.approx(30, abs=0.01)
    days[0] = 60
    kept = S3Store(url, retained=lambda: Retention(retention_days=days[0], mode="compliance"))
    assert not kept.put("a", b"1")
    assert until("a") == pytest.approx(60, abs=0.01)
    shorter = S3Store(url, retained=lambda: Retention(retention_days=1))
    assert not shorter.put("a", b"1")
    assert until("a") == pytest.approx(60, abs=0.01)
    version = store.client.head_object(Bucket=store.bucket, Key="a")["VersionId"]
    with pytest.raises(ClientError, match="AccessDenied"):
        store.client.delete_object(Bucket=store.bucket, Key="a", VersionId=version)


def test_a_bucket_without_a_lock_and_a_policy_without_retention_lock_nothing(bucket: str) -> None:
    assert S3Store(bucket, retained=lambda: Retention(retention_days=1)).put("a", b"")
    locked = S3Store(made(ObjectLockEnabledForBucket=True), retained=lambda: None)
    assert locked.put("a", b"")
    assert "ObjectLockMode" not in locked.client.head_object(Bucket=locked.bucket, Key="a")


def test_a_release_locks_its_evidence_from_the_first_byte(aws: str, toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = made(ObjectLockEnabledForBucket=True)
    monkeypatch.setenv("HEADGATE_STORE", locked)
    accept(locked, "ledger")
    policy = toy.folder / "policy.toml"
    assert "evidence" not in read_policy(toy.folder).model_dump(mode="json"), "its digest must stay what it was"
    policy.write_text(policy.read_text() + "\n[evidence]\nretention_days = 90\n")
    case = request.fn(str(toy.home), str(toy.folder), "dana@toy.example")
    digest = Desk(case.home, case.model).keep({"later": True})
    store = S3Store(locked)
    asked = Desk(case.home, case.model).release(case.release).step(Requested)
    for found in (digest, asked.policy, asked.policy_file, asked.training_suite):
        key = f"evidence/sha256/{found[7:9]}/{found[9:]}"
        assert store.client.head_object(Bucket=store.bucket, Key=key)["ObjectLockMode"] == "GOVERNANCE"
