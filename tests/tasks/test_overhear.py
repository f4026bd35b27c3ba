"""Counting what a stage answered: as parsing every line would, whatever else and however torn the files are."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from headgate.entry import moment
from headgate.errors import Unavailable
from headgate.home import Home
from headgate.telemetry import Outcome, Served, read
from tasks import overhear
from tasks.overhear import Wanted, answered, files, lines

SINCE = "2026-07-01T12:30:00.500Z"
WANTED = Wanted("pilot", 3, SINCE)
ODD = ["person", 'with "quotes"', "back\\slash", "line\nend", 'x","stage":"pilot","subject":"y', "", "é\u2028"]
TIMES = [
    f"2026-07-01T{at}Z" for at in ("11:59:59", "12:30:00", "12:30:00.5", "12:30:00.500", "12:30:00.49", "13:00:00")
]


def served(draw: random.Random) -> Served:
    inputs = {"stage": "pilot", "subject": draw.choice(ODD), "version": 3, "text": draw.choice(ODD)}
    return Served(
        id=draw.choice(ODD) or "id",
        time=draw.choice(TIMES),
        subject=draw.choice(ODD) or "subject",
        stage=draw.choice(["pilot", "pilot", "broad", "pilot2"]),
        version=draw.choice([3, 3, 3, 13, 31]),
        inputs=inputs,
        scores=(0.5,),
        ms=1.0,
        failure=draw.choice([None, None, "Tampered"]),
    )


def written(home: Home, data: bytes, hour: str = "2026-07-01T12", kind: str = "requests") -> Path:
    folder = home.telemetry / "toy" / kind / hour
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{len(list(folder.iterdir()))}.jsonl"
    path.write_bytes(data)
    return path


def parsed(data: bytes) -> int:
    found, _ = read(Served, data)
    ours = [x for x in found if (x.stage, x.version, x.failure) == ("pilot", 3, None)]
    return sum(moment(x.time) >= moment(SINCE) for x in ours)


@pytest.mark.parametrize("seed", range(20))
def test_it_counts_what_parsing_every_line_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    draw, home = random.Random(seed), Home(tmp_path)  # noqa: S311
    data = b"".join(served(draw).to_line() for _ in range(200))
    torn = data[: draw.randrange(len(data))]
    written(home, data)
    written(home, torn)
    monkeypatch.setattr(overhear, "_PIECE", draw.choice([7, 400, 2**24]))
    due = parsed(data) + parsed(torn[: torn.rfind(b"\n") + 1])
    assert answered(home, "toy", WANTED, closely=True) == answered(home, "toy", WANTED, closely=False) == due > 0


def test_a_line_that_a_disk_has_spoiled_is_no_answer_once_it_matters(tmp_path: Path) -> None:
    home, line = Home(tmp_path), served_now().to_line()
    spoiled = line[:60] + bytes(20) + line[80:]
    written(home, line + spoiled + line)
    assert answered(home, "toy", WANTED, closely=True) == 2
    assert answered(home, "toy", WANTED, closely=False) == 3


def served_now() -> Served:
    return Served(
        id="r", time=SINCE, subject="s", stage="pilot", version=3, inputs={"text": "t" * 60}, scores=(0.5,), ms=1.0
    )


@pytest.mark.parametrize("closely", [True, False])
def test_hours_before_are_not_opened_and_nothing_is_nothing(tmp_path: Path, closely: bool) -> None:
    home = Home(tmp_path)
    assert answered(home, "toy", WANTED, closely=closely) == 0
    old = written(home, served_now().to_line(), "2026-07-01T11")
    written(home, b"")
    new = written(home, served_now().to_line(), "2026-07-02T00")
    written(home, served_now().to_line(), kind="outcomes")
    assert answered(home, "toy", WANTED, closely=closely) == 1
    assert list(files(home, "toy", Served)) == [old, *files(home, "toy", Served, SINCE)]
    assert new in files(home, "toy", Served, SINCE)


@pytest.mark.parametrize("closely", [True, False])
def test_what_cannot_be_read_is_not_taken_for_nothing(tmp_path: Path, closely: bool) -> None:
    home = Home(tmp_path)
    path = written(home, b"")
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(Unavailable, match="telemetry"):
        answered(home, "toy", WANTED, closely=closely)
    with pytest.raises(Unavailable, match="telemetry"):
        list(lines(path, Served))


def test_lines_come_one_at_a_time_and_a_torn_one_is_none(tmp_path: Path) -> None:
    one = Outcome(id="r", time=SINCE, label=1)
    path = written(Home(tmp_path), one.to_line() * 2 + b"{}\n" + one.to_line()[:9], kind="outcomes")
    assert list(lines(path, Outcome)) == [one, one, None, None]
