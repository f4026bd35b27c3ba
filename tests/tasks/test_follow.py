"""A desk follows its ledger: an append asks a store the same few questions, however long the ledger is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.httpsession import URLLib3Session
from test_bucket import accept
from test_record import asked

from headgate.errors import Tampered
from tasks.record import Desk


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The methods of all requests that were sent to a bucket since it was called last."""
    sent: list[str] = []
    send = URLLib3Session.send
    monkeypatch.setattr(URLLib3Session, "send", lambda self, asked: sent.append(asked.method) or send(self, asked))

    def since() -> list[str]:
        told = sorted(sent)
        sent.clear()
        return told

    return since


def test_an_append_in_a_bucket_asks_for_no_entry_that_was_read_before(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requests: Callable[[], list[str]]
) -> None:
    monkeypatch.setenv("HEADGATE_STORE", bucket)
    accept(bucket, "ledger")
    desk, counts = Desk(tmp_path, "toy"), {}
    for number in range(42):
        requests()
        desk.write(f"toy-{number}", asked())
        counts[number] = requests()
    assert counts[41] == counts[2] == ["GET", "GET", "PUT"], "the head, the slot after it, the write"
    requests()
    Desk(tmp_path, "toy").write("toy-42", asked())
    # A desk of its own asks once more whether the bucket was accepted: a listing and the marker.
    assert len(requests()) <= 6
    assert Desk(tmp_path, "toy").ledger().size == 43


def test_two_desks_of_a_process_verify_together_and_lose_nothing(tmp_path: Path) -> None:
    one, other = Desk.create(tmp_path, "toy"), Desk.create(tmp_path, "toy")
    for number in range(6):
        (one, other)[number % 2].write(f"toy-{number}", asked())
    assert one.ledger().roll is other.ledger().roll
    assert list(one.state().releases) == [f"toy-{number}" for number in range(6)]


def test_a_process_misses_what_was_there_before(tmp_path: Path) -> None:
    desk = Desk.create(tmp_path / "home", "toy")
    for number in range(3):
        desk.write(f"toy-{number}", asked())
    (desk.home.store / "ledger/toy/000000002.json").unlink()
    for known in (desk, Desk(tmp_path / "home", "toy")):
        with pytest.raises(Tampered, match="rewritten"):
            known.write("toy-3", asked())
    assert not (desk.home.store / "ledger/toy/000000002.json").exists()
    # In another place it is another ledger, as long as nobody has seen more of it.
    shutil.copytree(tmp_path / "home", tmp_path / "copy")
    assert Desk(tmp_path / "copy", "toy").ledger().size == 2
