"""The flags in a home are those that its ledgers render, and nothing is served of a ledger that cannot be read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from model_folder import REQUESTER, build
from stage import Stage, new_process, run

from flows.cli import cli
from headgate.errors import Tampered, Unavailable
from headgate.flags import document
from headgate.home import Home
from headgate.ledger import slot_name
from tasks import route as routes
from tasks.audit import audit_all
from tasks.rollback import roll_back
from tasks.route import keep_up, lay, route, routed, wrong


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags that differ are compared once more at once."""
    monkeypatch.setattr(routes, "AGAIN", 0.0)


def flags(stage: Stage) -> dict[str, dict[str, int]]:
    said = json.loads(Home(stage.toy.home).flags.read_bytes())["flags"]
    return {key: flag["variants"] for key, flag in said.items()}


def test_the_flags_follow_the_ledger(stage: Stage) -> None:
    found = route(stage.toy.home)
    assert flags(stage) == {"serve.toy": {"broad": 1, "none": 0}}
    assert found.unread == {}
    run("promote", stage.ready)
    assert flags(stage) == {"serve.toy": {"broad": 2, "none": 0}}, "whoever moves an alias writes them again"
    assert wrong(stage.toy.home) == {}
    roll_back(stage.toy.home, "toy", reason="complaints", who=REQUESTER)
    assert flags(stage) == {"serve.toy": {"broad": 1, "none": 0}}


def test_where_no_router_ever_ran_nobody_writes_flags(stage: Stage) -> None:
    run("promote", stage.ready)
    keep_up(stage.toy.home)
    assert not Home(stage.toy.home).flags.exists()
    assert wrong(stage.toy.home) == {}


def test_flags_that_cannot_be_written_stop_no_promotion(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    path = Home(stage.toy.home).flags
    path.unlink(missing_ok=True)
    path.mkdir()
    try:
        run("promote", stage.ready)
        assert stage.alias() == 2
        assert "the flags are as they were" in caplog.text
    finally:
        path.rmdir()


def test_of_two_who_write_at_once_the_last_word_is_the_ledgers(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    old = routed(stage.toy.home, ["toy"])
    run("promote", stage.ready)
    reads = iter([old])  # by one who was slow to write
    monkeypatch.setattr(routes, "routed", lambda home, models: next(reads, None) or routed(home, models))
    route(stage.toy.home)
    assert flags(stage) == {"serve.toy": {"broad": 2, "none": 0}}


def test_an_alias_that_moves_while_it_is_looked_at_is_no_forgery(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    route(stage.toy.home)
    monkeypatch.setattr(routes, "keep_up", lambda home: None)
    monkeypatch.setattr("tasks.move.keep_up", lambda home: None)  # killed before it could
    run("promote", stage.ready)
    assert wrong(stage.toy.home).keys() == {"toy"}
    monkeypatch.setattr(routes, "time", SimpleNamespace(sleep=lambda _: route(stage.toy.home)))
    assert wrong(stage.toy.home) == {}


def test_what_has_not_changed_is_not_written_and_what_has_is_newer(stage: Stage) -> None:
    route(stage.toy.home)
    path = Home(stage.toy.home).flags
    os.utime(path, (4e9, 4e9))  # by somebody whose clock is ahead
    before = path.stat()
    route(stage.toy.home)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    run("promote", stage.ready)
    assert path.stat().st_mtime_ns > before.st_mtime_ns
    assert path.stat().st_mode & 0o777 == 0o644
    assert [p.name for p in path.parent.glob(".flags*")] == []


def test_a_file_that_somebody_edited_is_found_and_written_again(stage: Stage) -> None:
    route(stage.toy.home)
    path = Home(stage.toy.home).flags
    due = path.read_bytes()
    path.write_bytes(due.replace(b'"broad": 1', b'"broad": 2'))
    assert "serve.toy" in wrong(stage.toy.home)["toy"].got
    route(stage.toy.home)
    assert path.read_bytes() == due
    path.unlink()
    assert wrong(stage.toy.home) == {}, "no file serves nobody"


def test_a_ledger_that_does_not_verify_has_no_flag_and_is_named(stage: Stage) -> None:
    route(stage.toy.home)
    entry = stage.toy.home / "store" / slot_name("toy", 3)
    entry.chmod(0o644)
    entry.write_bytes(entry.read_bytes().replace(b"toy-1", b"toy-9"))
    new_process()
    found = route(stage.toy.home)
    assert isinstance(found.unread["toy"], Tampered)
    assert flags(stage) == {}


def test_a_model_of_which_nothing_is_live_has_no_flag(tmp_path: Path, stage: Stage) -> None:
    home = build(tmp_path).home
    assert routed(home, []).document == document({})
    assert isinstance(routed(home, ["toy"]).unread["toy"], Unavailable), "a store that is not there is not an empty one"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="flags"):
        lay(tmp_path / "file" / "flags.json", b"x")


def audited(stage: Stage, **given: Any) -> list[str]:
    found = audit_all(stage.toy.home, ask_registry=False, **given)
    return [f"{name}: {a}" for name, f in found.items() for a in f.anomalies]


def test_the_audit_finds_flags_that_differ_from_the_ledgers(stage: Stage) -> None:
    path = Home(stage.toy.home).flags
    path.unlink(missing_ok=True)
    assert audit_all(stage.toy.home, ask_registry=False)["toy"].flags == 0, "no file claims nothing"
    route(stage.toy.home)
    due = path.read_bytes()
    assert audit_all(stage.toy.home, ask_registry=False)["toy"].flags == 1
    assert audited(stage) == audited(stage, model="toy") == []
    path.write_bytes(due.replace(b'"broad": 1', b'"broad": 2'))
    (found,) = audited(stage)
    assert found.startswith("toy: other_flags: got flags.json: serve.toy {")
    assert audited(stage, model="toy") == [found]
    assert audited(stage, store=stage.toy.home / "store") == [], "a copy has no flags"
    path.write_bytes(due.replace(b"serve.toy", b"serve.ghost"))
    ghost, toy = sorted(audited(stage))
    assert ghost.startswith("toy: other_flags: got flags.json: serve.ghost {")
    assert toy.startswith("toy: other_flags: got flags.json: serve.toy nothing")
    assert audited(stage, model="toy") == [toy]
    for odd in (b"", due + b"\n", b"{}"):
        path.write_bytes(odd)
        assert len(audited(stage)) == 1
        assert audited(stage, model="toy") == []
    route(stage.toy.home)
    assert audited(stage) == []


def test_the_command_shows_it_and_ends_with_1(stage: Stage) -> None:
    route(stage.toy.home)
    path = Home(stage.toy.home).flags
    command = ["--home", str(stage.toy.home), "audit", "--offline"]
    sound = CliRunner().invoke(cli, command)
    assert (sound.exit_code, "1 flags recomputed; nothing is wrong" in sound.output) == (0, True)
    path.write_bytes(path.read_bytes().replace(b'"broad": 1', b'"broad": 2'))
    forged = CliRunner().invoke(cli, command)
    assert (forged.exit_code, "other_flags" in forged.output) == (1, True)
    told = json.loads(CliRunner().invoke(cli, [*command, "--json"]).output)
    assert [a["name"] for a in told["toy"]["anomalies"]] == ["other_flags"]
    CliRunner().invoke(cli, ["--home", str(stage.toy.home), "guard"])
    assert CliRunner().invoke(cli, command).exit_code == 0, "the guard writes them again"


def test_of_a_broken_ledger_the_audit_tells_its_own_anomalies(stage: Stage) -> None:
    route(stage.toy.home)
    entry = stage.toy.home / "store" / slot_name("toy", 3)
    entry.chmod(0o644)
    entry.write_bytes(entry.read_bytes().replace(b"toy-1", b"toy-9"))
    new_process()
    found = audited(stage)
    assert found
    assert not [each for each in found if "other_flags" in each]
