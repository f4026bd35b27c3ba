"""Lines of telemetry are appended whole, by one writer a file, for their owner alone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from threading import Thread

import pytest

from headgate.errors import Unavailable
from headgate.telemetry import Complaint, Outcome, read
from tasks.jot import Full, Jotter

TIME = "2026-07-01T12:34:56.789Z"


def outcome(number: int, time: str = TIME) -> Outcome:
    return Outcome(id=f"request-{number}", time=time, label=1)


def files(root: Path) -> list[Path]:
    return sorted(root.rglob("*.jsonl"))


def test_lines_lie_by_model_kind_and_hour_for_their_owner_alone(tmp_path: Path) -> None:
    jotter = Jotter(tmp_path / "telemetry")
    jotter.jot("toy", [outcome(1), outcome(2)])
    jotter.jot("toy", [Complaint(id="request-1", time=TIME, text="line\nbreak")])
    jotter.jot("toy", [outcome(3, "2026-07-01T13:00:00.000Z")])
    jotter.jot("toy", [])
    folders = {p.relative_to(tmp_path / "telemetry").parent.as_posix() for p in files(tmp_path)}
    assert folders == {"toy/outcomes/2026-07-01T12", "toy/outcomes/2026-07-01T13", "toy/reports/2026-07-01T12"}
    for path in tmp_path.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)
    first = next(p for p in files(tmp_path) if p.parent.name.endswith("12"))
    assert first.name.startswith(f"{os.getpid()}-")
    assert read(Outcome, first.read_bytes()) == ((outcome(1), outcome(2)), 0)
    jotter.close()


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    jotter = Jotter(tmp_path)
    threads = [
        Thread(target=lambda k=k: [jotter.jot("toy", [outcome(100 * k + i)]) for i in range(50)]) for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (path,) = files(tmp_path)
    lines, torn = read(Outcome, path.read_bytes())
    assert (len(lines), torn) == (200, 0)
    jotter.close()


def test_a_write_that_fails_or_comes_out_short_loses_its_own_lines_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jotter, real = Jotter(tmp_path), os.write
    jotter.jot("toy", [outcome(1)])
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda handle, data: real(handle, data[:10]))
        with pytest.raises(Unavailable, match="a part of it"):
            jotter.jot("toy", [outcome(2)])
    jotter.jot("toy", [outcome(3)])
    found = [read(Outcome, path.read_bytes()) for path in files(tmp_path)]
    assert sorted(len(lines) for lines, _ in found) == [1, 1]
    assert sum(torn for _, torn in found) == 1
    assert {line.id for lines, _ in found for line in lines} == {"request-1", "request-3"}
    jotter.close()


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    jotter = Jotter(tmp_path / "file")
    with pytest.raises(Unavailable, match="telemetry in"):
        jotter.jot("toy", [outcome(1)])
    with pytest.raises(Unavailable, match="telemetry in"):
        jotter.check()
    sound = Jotter(tmp_path / "new")
    sound.check()
    assert files(tmp_path) == list((tmp_path / "new").iterdir()) == []


def test_a_file_that_was_deleted_is_begun_again(tmp_path: Path) -> None:
    jotter = Jotter(tmp_path)
    jotter.jot("toy", [outcome(1)])
    shutil.rmtree(tmp_path / "toy")
    jotter.jot("toy", [outcome(2)])
    (path,) = files(tmp_path)
    assert read(Outcome, path.read_bytes()) == ((outcome(2),), 0)
    jotter.close()


def test_an_hour_has_an_end(tmp_path: Path) -> None:
    jotter = Jotter(tmp_path, largest=200)
    jotter.jot("toy", [outcome(1)])
    with pytest.raises(Full, match="200 bytes of outcomes in an hour"):
        jotter.jot("toy", [outcome(number) for number in range(9)])
    jotter.jot("toy", [outcome(2, "2026-07-01T13:00:00.000Z")])
    jotter.close()
