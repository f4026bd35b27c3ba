"""Overhear: read what routers have written down about a model, which may be millions of lines.

A file belongs to one hour and one writer, is only ever appended to, and may end in a torn line. What is torn, or is no
such line, counts as nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from headgate.canonical import canonical
from headgate.errors import Unavailable
from headgate.home import Home
from headgate.telemetry import KINDS, Line, Served, read

L = TypeVar("L", bound=Line)

_HOUR = len("2026-07-01T12")
_PIECE = 16 * 2**20
_ANSWERED = b'{"failure":null,"id":'


@dataclass(frozen=True)
class Wanted:
    """Requests that a stage answered with a version, from a time on."""

    stage: str
    version: int
    since: str


def files(home: Home, model: str, kind: type[Line], since: str = "") -> Iterator[Path]:
    """The files of a kind, oldest hour first: those that may hold a line from `since` on (RFC 3339, UTC)."""
    name = next(name for name, shape in KINDS.items() if shape is kind)
    for path in sorted((home.telemetry / model / name).glob("*/*.jsonl")):
        if path.parent.name >= since[:_HOUR]:
            yield path


def lines(path: Path, kind: type[L]) -> Iterator[L | None]:
    """The lines of a file, one at a time; None for one that is torn or no such line.

    Raises:
        Unavailable: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            for line in file:
                found, _ = read(kind, line)
                yield found[0] if found else None
    except OSError as error:
        raise _unreadable(path, error) from error


def answered(home: Home, model: str, wanted: Wanted, *, closely: bool) -> int:
    """How many requests were answered.

    Args:
        closely: parse every line that is counted. Otherwise only its ends are looked at, as the router spells them,
            ten times as fast: never fewer, and more only where a disk has spoiled the middle of a line.

    Raises:
        Unavailable: a file cannot be read.
    """
    return sum(_answered(path, wanted, closely) for path in files(home, model, Served, wanted.since))


def _answered(path: Path, wanted: Wanted, closely: bool) -> int:
    try:
        with path.open("rb") as file:
            return sum(_fits(line, wanted) if closely else True for line in _spotted(file, wanted))
    except OSError as error:
        raise _unreadable(path, error) from error


def _spotted(file: BinaryIO, wanted: Wanted) -> Iterator[bytes]:
    """The lines that begin and end as those that are wanted: canonical JSON has its keys in order."""
    since, ending = _padded(wanted.since[:-1]), _ending(wanted)
    for data, whole in _pieces(file):
        for end in ending.finditer(data, 0, whole):
            begin = data.rfind(b"\n", 0, end.start()) + 1
            if data.startswith(_ANSWERED, begin) and _padded(end[1].decode()) >= since:
                yield data[begin : end.end()]


def _pieces(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """A file piece by piece, each from the beginning of a line on, and where the last whole line in it ends."""
    data = b""
    while piece := file.read(_PIECE):
        data += piece
        whole = data.rfind(b"\n") + 1
        yield data, whole
        data = data[whole:]


def _ending(wanted: Wanted) -> re.Pattern[bytes]:
    stage, time = re.escape(canonical(wanted.stage)), rb"([0-9T:-]{19}(?:\.[0-9]{1,6})?)Z"
    subject = rb'"(?:[^"\\\n]|\\.)*"'
    return re.compile(
        rb',"stage":%s,"subject":%s,"time":"%s","version":%d\}\n' % (stage, subject, time, wanted.version)
    )


def _padded(time: str) -> str:
    """A time without its Z, so that the text sorts as the time does."""
    return time[:19] + (time[19:] or ".").ljust(7, "0")


def _fits(line: bytes, wanted: Wanted) -> bool:
    found, _ = read(Served, line)
    return any((one.stage, one.version, one.failure) == (wanted.stage, wanted.version, None) for one in found)


def _unreadable(path: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"telemetry {path}",
        got=f"{type(error).__name__}: {error.strerror or error}",
        expected="a file that can be read",
        next_step="make it readable: what a stage answered is not known without it",
    )
