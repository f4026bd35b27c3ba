"""The desk: the pipeline's key, and one ledger that many write."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from headgate.errors import BadInput, SlotTaken, Tampered, Unavailable
from headgate.home import Home
from headgate.ledger import Ledger
from headgate.record import Record
from headgate.records import Requested, Snapshot, Table
from headgate.signing import Signer, new_key
from headgate.state import State
from tasks.audit import audit_all
from tasks.record import Case, Desk, now, reopen, standing

DIGEST = "sha256:" + "0" * 64


def asked(requester: str = "dana") -> Requested:
    pinned = dict.fromkeys(("policy", "policy_file", "training_suite", "evaluation_suite"), DIGEST)
    return Requested(requester=requester, folder="f", training="t", evaluation="e", champion=None, **pinned)


def snapped() -> Snapshot:
    table = Table(origin="o", digest=DIGEST, suffix=".csv", size=1, rows=1, columns=("a",))
    return Snapshot(training=table, evaluation=table)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk.create(tmp_path / "home", "toy")


def test_the_key_is_its_owners_alone(desk: Desk) -> None:
    first = desk.signer.key_id
    path = desk.home.pipeline_key
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name, "pipeline.pub"], "no draft is left behind"
    assert Desk(desk.home.root, "toy").signer.key_id == first


def made_elsewhere(desk: Desk, tmp_path: Path) -> Home:
    """Another home with the same records, and of the keys the public one alone."""
    desk.write("toy-1", asked())
    other = Home(tmp_path / "other")
    shutil.copytree(desk.home.store, other.store)
    other.public_key.parent.mkdir()
    shutil.copy(desk.home.public_key, other.public_key)
    return other


def test_the_public_key_lies_beside_the_private_one(desk: Desk) -> None:
    assert desk.signer.public_pem == desk.home.public_key.read_bytes() == desk.verifier.public_pem
    assert desk.home.public_key.stat().st_mode & 0o777 == 0o644
    desk.home.public_key.unlink()
    assert Desk(desk.home.root, "toy").verifier.key_id == desk.signer.key_id
    assert desk.home.public_key.exists(), "of a home that is older than this, it is made when it is first used"


def test_with_the_public_key_alone_records_are_read_and_none_is_signed(desk: Desk, tmp_path: Path) -> None:
    other = made_elsewhere(desk, tmp_path)
    reader = Desk(other.root, "toy")
    assert reader.ledger().head == desk.ledger().head
    assert not reader.signs
    with pytest.raises(BadInput, match="the public key alone"):
        reader.write("toy-2", asked())
    assert [path.name for path in other.public_key.parent.iterdir()] == ["pipeline.pub"]
    assert reader.ledger().head == desk.ledger().head
    (found,) = audit_all(other.root, ask_registry=False).values()
    assert found.entries == 1
    assert found.checkpoint is None, "it is signed where the key is"


def test_without_any_key_none_is_made_where_there_is_a_ledger(desk: Desk, tmp_path: Path) -> None:
    other = made_elsewhere(desk, tmp_path)
    other.public_key.unlink()
    for use in (lambda: Desk(other.root, "toy").ledger(), lambda: Desk(other.root, "new").write("new-1", asked())):
        with pytest.raises(BadInput, match="no such file, nor pipeline"):
            use()
    assert list(other.public_key.parent.iterdir()) == []


def test_two_halves_of_different_keys_are_refused(desk: Desk) -> None:
    desk.write("toy-1", asked())
    own = desk.home.public_key.read_bytes()
    desk.home.public_key.write_bytes(Signer(new_key()).public_pem)
    for use in (lambda d: d.ledger(), lambda d: d.signer):
        with pytest.raises(Tampered, match="two halves of one key"):
            use(Desk(desk.home.root, "toy"))
    desk.home.public_key.write_bytes(own)
    assert Desk(desk.home.root, "toy").ledger().size == 1


def test_what_is_no_public_key_is_none(desk: Desk) -> None:
    desk.write("toy-1", asked())
    desk.home.public_key.write_bytes(b"")
    desk.home.pipeline_key.unlink()
    with pytest.raises(BadInput, match="public key of the pipeline"):
        Desk(desk.home.root, "toy").ledger()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(desk: Desk, mode: int) -> None:
    assert desk.signer
    desk.home.pipeline_key.chmod(mode)
    with pytest.raises(BadInput, match=f"permissions {mode:o}"):
        _ = Desk(desk.home.root, "toy").signer


def test_processes_that_make_the_key_at_once_use_the_same_one(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tasks.record import Desk\n"
        "desk = Desk.create(Path(sys.argv[1]), 'toy')\n"
        "print('ready', flush=True); sys.stdin.readline(); print(desk.signer.key_id)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    writers = [subprocess.Popen(command, **pipes) for _ in range(4)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    keys = {writer.communicate()[0] for writer in writers}
    assert len(keys) == 1
    assert keys == {Desk(tmp_path, "toy").signer.key_id + "\n"}


def test_threads_that_make_the_key_at_once_use_the_same_one(tmp_path: Path) -> None:
    gate, keys = threading.Barrier(8), list[str]()

    def make() -> None:
        desk = Desk(tmp_path, "toy")
        gate.wait(10)
        keys.append(desk.signer.key_id)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_a_ledger_under_another_key_is_not_believed(desk: Desk) -> None:
    desk.write("toy-1", asked())
    desk.home.pipeline_key.unlink()
    desk.home.public_key.write_bytes(Signer(new_key()).public_pem)
    with pytest.raises(Tampered, match="wrong_key"):
        Desk(desk.home.root, "toy").ledger()


def test_a_home_without_a_store_is_not_an_empty_ledger(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        Desk(tmp_path, "toy").ledger()


def test_a_decision_is_made_again_when_somebody_was_faster(desk: Desk) -> None:
    seen: list[int] = []

    def counting(ledger: Ledger, state: State) -> tuple[str, Record]:
        if not seen:
            Desk(desk.home.root, "toy").write("toy-1", asked("faster"))
        seen.append(ledger.size)
        assert len(state.releases) == ledger.size
        return f"toy-{ledger.size + 1}", asked("slower")

    desk.decide(counting, actor="dana")
    assert seen == [0, 1]
    entries = desk.ledger().entries
    assert [(e.release, e.body["requester"]) for e in entries] == [("toy-1", "faster"), ("toy-2", "slower")]
    assert [e.actor for e in entries] == ["pipeline", "dana"]


def test_a_decision_that_always_loses_gives_up_and_says_so(desk: Desk) -> None:
    other = Desk(desk.home.root, "toy")

    def losing(ledger: Ledger, _: State) -> tuple[str, Record]:
        other.write(f"other-{ledger.size}", asked())
        return "mine", asked()

    with pytest.raises(SlotTaken, match="8 times"):
        desk.decide(losing)
    assert "mine" not in desk.state().releases


@pytest.mark.parametrize(("release", "record"), [("toy-1", asked()), ("toy-2", snapped())], ids=["again", "nobody's"])
def test_a_record_that_breaks_a_rule_is_not_written(desk: Desk, release: str, record: Record) -> None:
    desk.write("toy-1", asked())
    before = desk.ledger().stored
    with pytest.raises(Tampered):
        desk.write(release, record)
    assert desk.ledger().stored == before


def test_writers_in_threads_lose_nothing(desk: Desk) -> None:
    def write(n: int) -> None:
        own = Desk(desk.home.root, "toy")
        for k in range(3):
            own.write(f"w{n}-{k}", asked())

    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    assert desk.signer
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(desk.state().releases) == sorted(f"w{n}-{k}" for n in range(3) for k in range(3))


def test_kept_values_come_back_and_changed_ones_do_not(desk: Desk) -> None:
    digest = desk.keep({"b": [1, 2.5], "a": None})
    assert desk.recall(digest) == {"a": None, "b": [1, 2.5]}
    (path,) = (p for p in (desk.home.store / "evidence").rglob("*") if p.is_file())
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"2.5", b"3.5"))
    with pytest.raises(Tampered):
        desk.recall(digest)


def test_a_case_is_found_again_by_its_name(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write("toy-1", asked())
    monkeypatch.chdir(tmp_path)
    case = reopen("home", "expectations/toy", "toy-1")
    assert case == Case(home=tmp_path / "home", folder=tmp_path / "expectations/toy", model="toy", release="toy-1")
    assert standing(case).stage == "running"
    with pytest.raises(BadInput, match=r"toy-2.*one of toy-1"):
        reopen("home", "expectations/toy", "toy-2")


@pytest.mark.parametrize("release", ["toy-1", "Toy_1.b-12", "x.y-1"])
def test_the_key_of_an_artifact_is_what_prefect_allows(release: str) -> None:
    key = Case(home=Path(), folder=Path(), model="m", release=release).artifact("package-link")
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", key)
    assert key.endswith("-package-link")


def test_the_time_is_one_that_the_ledger_takes(desk: Desk) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", now())
    assert now() <= now()
