"""The flags in a home are those that its ledgers render, and nothing is served of a ledger that cannot be read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from model_folder import build
from stage import Stage, new_process, run

from headgate.errors import Tampered, Unavailable
from headgate.flags import document
from headgate.home import Home
from headgate.ledger import slot_name
from tasks.route import lay, route, routed, wrong


def flags(stage: Stage) -> dict[str, dict[str, int]]:
    said = json.loads(Home(stage.toy.home).flags.read_bytes())["flags"]
    return {key: flag["variants"] for key, flag in said.items()}


def test_the_flags_follow_the_ledger(stage: Stage) -> None:
    found = route(stage.toy.home)
    assert flags(stage) == {"serve.toy": {"broad": 1, "none": 0}}
    assert found.unread == {}
    run("promote", stage.ready)
    assert [a.name for a in wrong(stage.toy.home)] == ["other_flags"], "they lag behind until somebody writes them"
    route(stage.toy.home)
    assert flags(stage) == {"serve.toy": {"broad": 2, "none": 0}}
    assert wrong(stage.toy.home) == ()


def test_what_has_not_changed_is_not_written_and_what_has_is_newer(stage: Stage) -> None:
    route(stage.toy.home)
    path = Home(stage.toy.home).flags
    os.utime(path, (4e9, 4e9))  # by somebody whose clock is ahead
    before = path.stat()
    route(stage.toy.home)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    run("promote", stage.ready)
    route(stage.toy.home)
    assert path.stat().st_mtime_ns > before.st_mtime_ns
    assert path.stat().st_mode & 0o777 == 0o644
    assert [p.name for p in path.parent.glob(".flags*")] == []


def test_a_file_that_somebody_edited_is_found_and_written_again(stage: Stage) -> None:
    route(stage.toy.home)
    path = Home(stage.toy.home).flags
    due = path.read_bytes()
    path.write_bytes(due.replace(b'"broad": 1', b'"broad": 2'))
    (found,) = wrong(stage.toy.home)
    assert "serve.toy" in found.got
    route(stage.toy.home)
    assert path.read_bytes() == due
    path.unlink()
    assert wrong(stage.toy.home) == (), "no file serves nobody"


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
