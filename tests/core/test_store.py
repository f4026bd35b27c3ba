from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from headgate.errors import BadInput, Tampered, Unavailable
from headgate.evidence import Evidence
from headgate.store import FolderStore, Store


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore.create(tmp_path / "store")


@pytest.fixture(params=["folder", "bucket"])
def any_store(request: pytest.FixtureRequest) -> Store:
    """What is true of every store is asked of both."""
    if request.param == "folder":
        return request.getfixturevalue("store")
    from tasks.bucket import S3Store

    return S3Store(request.getfixturevalue("bucket") + "/some/prefix")


def test_the_first_write_stays(any_store: Store) -> None:
    assert any_store.put("a/b.json", b"one")
    assert not any_store.put("a/b.json", b"two")
    assert not any_store.put("a/b.json", b"one")
    assert any_store.get("a/b.json") == b"one"
    assert any_store.get("a/c.json") is None


@pytest.mark.parametrize("data", [b"", b"\x00", bytes(range(256)) * 5000], ids=len)
def test_bytes_come_back_as_they_were(any_store: Store, data: bytes) -> None:
    assert any_store.put("a", data)
    assert any_store.get("a") == data


def test_files_are_read_only_and_nothing_else_is_left(store: FolderStore) -> None:
    store.put("a/b", b"")
    store.put("a/b", b"x")
    (file,) = [path for path in store.root.rglob("*") if path.is_file()]
    assert file == store.root / "a/b"
    assert file.stat().st_mode & 0o777 == 0o444


def test_names_are_sorted_and_match_the_prefix(any_store: Store) -> None:
    for name in ("m/2", "m/10", "m/1", "n/1", "m2/1", "top"):
        any_store.put(name, b"")
    assert any_store.names("m/") == ["m/1", "m/10", "m/2"]
    assert any_store.names("m/1") == ["m/1", "m/10"]
    assert any_store.names("m") == ["m/1", "m/10", "m/2", "m2/1"]
    assert any_store.names("") == ["m/1", "m/10", "m/2", "m2/1", "n/1", "top"]
    assert any_store.names("absent/") == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a/..",
        "a//b",
        "a/",
        ".",
        "a/./b",
        ".put-x",
        "a\\b",
        "a\nb",
        "a\n",
        "ä",
        "a b",
    ],
)
def test_bad_names_are_refused(any_store: Store, name: str) -> None:
    for call in (lambda: any_store.put(name, b""), lambda: any_store.get(name)):
        with pytest.raises(BadInput, match="name in the store"):
            call()
    assert any_store.names("") == []


def test_a_prefix_cannot_leave_the_store(any_store: Store) -> None:
    with pytest.raises(BadInput):
        any_store.names("../")


def test_stale_temporary_files_are_invisible_and_harmless(store: FolderStore) -> None:
    (store.root / "m").mkdir()
    (store.root / "m" / ".put-stale").write_bytes(b"half")
    assert store.names("m/") == []
    assert store.put("m/1", b"whole")
    assert store.names("m/") == ["m/1"]


def test_a_missing_folder_is_not_an_empty_store(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "unmounted")
    for call in (lambda: store.put("a", b""), lambda: store.get("a"), lambda: store.names("")):
        with pytest.raises(Unavailable, match="no folder"):
            call()
    assert not store.root.exists()


def test_what_cannot_be_read_is_unavailable_and_not_absent(store: FolderStore) -> None:
    (store.root / "folder").mkdir()
    store.put("file", b"")
    for name in ("folder", "file/below"):
        with pytest.raises(Unavailable):
            store.get(name)
    with pytest.raises(Unavailable):
        store.put("file/below", b"")


def test_a_listing_that_fails_halfway_is_no_listing(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("m/a/1", b"")
    store.put("m/b/1", b"")
    scandir = os.scandir

    def broken(path: str) -> object:
        if str(path).endswith("b"):
            raise OSError(5, "Input/output error", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", broken)
    with pytest.raises(Unavailable, match="Input/output error"):
        store.names("m/")


@pytest.mark.parametrize("call", ["fsync", "link", "fchmod"])
def test_a_write_that_fails_leaves_nothing_visible(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(Unavailable, match="No space left"):
            store.put("m/1", b"data")
    assert store.get("m/1") is None
    assert [path for path in store.root.rglob("*") if path.is_file()] == []
    assert store.put("m/1", b"data")


def test_content_is_durable_before_its_name_and_the_name_before_the_return(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, link = os.fsync, os.link

    def synced(handle: int) -> None:
        steps.append("folder" if Path(f"/proc/self/fd/{handle}").is_dir() else "file")
        fsync(handle)

    def linked(*names: str) -> None:
        steps.append("link")
        link(*names)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no /proc here to tell a file's handle from a folder's")
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", linked)
    store.put("m/n/1", b"data")
    assert steps == ["file", "link", "folder", "folder", "folder"]
    # After a lost race, too: whoever won may have died before its own fsync of the folder.
    steps.clear()
    store.put("m/n/1", b"other")
    assert steps[-3:] == ["folder"] * 3


def race(store: Store, name: str, writers: int, size: int) -> tuple[list[int], list[bytes | None]]:
    wins: list[int] = []
    seen: list[bytes | None] = []
    barrier = threading.Barrier(writers)

    def write(who: int) -> None:
        barrier.wait()
        if store.put(name, bytes([who]) * size):
            wins.append(who)
        seen.append(store.get(name))

    threads = [threading.Thread(target=write, args=(who,)) for who in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wins, seen


def test_of_many_writers_one_wins_and_nobody_sees_half(any_store: Store) -> None:
    for number in range(20):
        wins, seen = race(any_store, f"slot/{number}", writers=8, size=200_000)
        assert len(wins) == 1
        assert seen == [bytes(wins) * 200_000] * 8
    assert len(any_store.names("")) == 20


def test_evidence_is_found_under_its_digest(any_store: Store) -> None:
    evidence = Evidence(any_store)
    digest = evidence.put(b"tally")
    digits = hashlib.sha256(b"tally").hexdigest()
    assert digest == f"sha256:{digits}"
    assert any_store.names("") == [f"evidence/sha256/{digits[:2]}/{digits[2:]}"]
    assert evidence.put(b"tally") == digest
    assert evidence.get(digest) == b"tally"


def test_every_flipped_bit_of_evidence_is_found(store: FolderStore) -> None:
    evidence = Evidence(store)
    digest = evidence.put(b"tally")
    file = store.root / store.names("")[0]
    file.chmod(0o644)
    for bit in range(len(b"tally") * 8):
        changed = bytearray(b"tally")
        changed[bit // 8] ^= 1 << bit % 8
        file.write_bytes(changed)
        with pytest.raises(Tampered, match=digest):
            evidence.get(digest)
        with pytest.raises(Tampered, match=digest):
            evidence.put(b"tally")


@pytest.mark.parametrize("change", [str.upper, lambda d: d + "\n", lambda d: d[7:], lambda d: "sha256:../" + d[10:]])
def test_what_is_no_digest_is_refused(store: FolderStore, change: object) -> None:
    assert callable(change)
    with pytest.raises(BadInput, match="digest"):
        Evidence(store).get(change("sha256:" + "ab" * 32))


def test_absent_evidence_is_an_error_and_not_nothing(any_store: Store) -> None:
    with pytest.raises(Unavailable, match="nothing stored"):
        Evidence(any_store).get("sha256:" + "ab" * 32)
