from __future__ import annotations

import random
import signal
import subprocess
import sys
import time as clock
from pathlib import Path

import pytest

from headgate.ledger import Ledger, append, problems, read
from headgate.signing import Signer, Verifier, new_key
from headgate.store import FolderStore

WRITER = """
import sys
from pathlib import Path
from headgate.errors import SlotTaken
from headgate.ledger import append, read
from headgate.signing import Signer, Verifier
from headgate.store import FolderStore

folder, who, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
signer = Signer((folder / "key.pem").read_bytes())
store, verifier = FolderStore(folder / "store"), Verifier(signer.public_pem)
print("ready", flush=True)
done = 0
while done < count:
    ledger = read(store, "m", verifier)
    try:
        append(store, ledger, signer, kind="written", actor=who, body={"number": done}, release=None,
               time="2026-07-01T12:00:00Z", nonce=f"{who}-{done:06}")
    except SlotTaken:
        continue
    done += 1
    print(done, flush=True)
"""


def writer(folder: Path, who: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), who, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def shared(tmp_path: Path) -> tuple[Path, FolderStore, Signer]:
    (tmp_path / "key.pem").write_bytes(new_key())
    return tmp_path, FolderStore.create(tmp_path / "store"), Signer((tmp_path / "key.pem").read_bytes())


def test_four_writers_at_once_lose_nothing_and_double_nothing(shared: tuple[Path, FolderStore, Signer]) -> None:
    folder, store, signer = shared
    processes = [writer(folder, f"writer{n}", 25) for n in range(4)]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert all(output.endswith("25\n") for output in outputs)
    ledger = read(store, "m", Verifier(signer.public_pem))
    written = [(entry.actor, entry.body["number"]) for entry in ledger.entries]
    assert sorted(written) == sorted((f"writer{n}", number) for n in range(4) for number in range(25))
    switches = sum(a.actor != b.actor for a, b in zip(ledger.entries, ledger.entries[1:], strict=False))
    assert switches > 3, "the writers ran one after the other: this proves nothing"


def go_on(store: FolderStore, ledger: Ledger, signer: Signer, nonce: str) -> Ledger:
    time = "2026-07-01T12:00:00Z"
    return append(
        store, ledger, signer, kind="went_on", actor="survivor", body={}, release=None, time=time, nonce=nonce
    )


def test_killed_at_any_moment_the_ledger_is_valid_and_goes_on(shared: tuple[Path, FolderStore, Signer]) -> None:
    folder, store, signer = shared
    verifier, moments = Verifier(signer.public_pem), random.Random(20260701)  # noqa: S311  # no secret
    before = 0
    for attempt in range(6):
        process = writer(folder, f"victim{attempt}", 10**6)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        clock.sleep(moments.uniform(0.0, 0.08))
        process.send_signal(signal.SIGKILL)
        told = process.communicate()[0].split()
        assert process.returncode == -signal.SIGKILL
        ledger = read(store, "m", verifier)
        ours = [entry for entry in ledger.entries if entry.actor == f"victim{attempt}"]
        # What was confirmed is there; at most the one in flight is there unconfirmed.
        assert len(ours) - len(told) in (0, 1)
        assert ledger.size == before + len(ours)
        before = go_on(store, ledger, signer, nonce=f"survivor-{attempt}").size
    assert before > 12, "the victims died before they wrote anything: this proves nothing"
    assert problems(store, "m", verifier) == ()
