"""Jot: append lines of telemetry, as the one writer of its files.

The lines of one call reach the file by one write. Where a write fails or comes out short, its lines are lost, and the
writer goes on in a new file: so a torn line stands at the end of a file only.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from headgate.errors import Unavailable
from headgate.telemetry import KINDS, Line

LARGEST = 256 * 2**20
"""Bytes of one file, which holds an hour of one kind: more than that is not what people send who know an answer."""


class Full(Unavailable):
    """This hour's file has as much as it may have."""


class Jotter:
    """Appends lines below a folder. Threads may share it; processes may not.

    Args:
        root: the telemetry's folder. largest: bytes that a file may have.
    """

    def __init__(self, root: Path, largest: int = LARGEST) -> None:
        self._root, self._largest = root, largest
        self._writing = Lock()
        self._files: dict[tuple[str, str], tuple[str, int]] = {}
        self._writer = _writer()

    def jot(self, model: str, lines: Sequence[Line]) -> None:
        """Append lines of one kind and one hour, all of them or none.

        Raises:
            Full: the hour's file is as large as it may be.
            Unavailable: they were not written, or not whole.
        """
        if not lines:
            return
        data = b"".join(line.to_line() for line in lines)
        kind, hour = _kind(lines[0]), lines[0].time[:13]
        with self._writing:
            try:
                self._append(model, kind, hour, data)
            except OSError as error:
                self._start_anew()
                raise self._lost(f"{type(error).__name__}: {error.strerror or error}") from error

    def check(self) -> None:
        """Make sure that lines can be written.

        Raises:
            Unavailable: they cannot.
        """
        probe = self._root / f".{self._writer}"
        try:
            _folder(self._root)
            probe.write_bytes(b"x" * 4096)
            probe.unlink()
        except OSError as error:
            raise self._lost(f"{type(error).__name__}: {error.strerror or error}") from error

    def close(self) -> None:
        """Let go of the files; what is written later is in new ones."""
        with self._writing:
            self._start_anew()

    def _append(self, model: str, kind: str, hour: str, data: bytes) -> None:
        handle = self._handle(model, kind, hour)
        if os.fstat(handle).st_size + len(data) > self._largest:
            raise Full(
                f"telemetry of {model}",
                got=f"more than {self._largest:,} bytes of {kind} in an hour",
                expected="less",
                next_step="wait for the next hour, and find out who sends so much",
            )
        if os.write(handle, data) != len(data):
            raise OSError(0, "a part of it was written")

    def _handle(self, model: str, kind: str, hour: str) -> int:
        of, (known, handle) = (model, kind), self._files.get((model, kind), ("", -1))
        # Who tidies up may delete a file that is still written to: what is written then is nowhere.
        if known != hour or not os.fstat(handle).st_nlink:
            if handle >= 0:
                del self._files[of]
                os.close(handle)
            folder = _folder(self._root, model, kind, hour)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            handle = os.open(folder / f"{self._writer}.jsonl", flags, 0o600)
            self._files[of] = (hour, handle)
        return handle

    def _start_anew(self) -> None:
        for _, handle in self._files.values():
            os.close(handle)
        self._files.clear()
        self._writer = _writer()

    def _lost(self, got: str) -> Unavailable:
        return Unavailable(
            f"telemetry in {self._root}",
            got=got,
            expected="a folder that can be written, on a disk with room",
            next_step="make room or correct the folder: what is not written is not monitored",
        )


def _writer() -> str:
    return f"{os.getpid()}-{secrets.token_hex(4)}"


def _kind(line: Line) -> str:
    return next(kind for kind, shape in KINDS.items() if type(line) is shape)


def _folder(*parts: Path | str) -> Path:
    """The folder, each part made for its owner alone: these are rows of people."""
    made = Path(parts[0])
    made.mkdir(parents=True, exist_ok=True, mode=0o700)
    for part in parts[1:]:
        made = made / part
        made.mkdir(exist_ok=True, mode=0o700)
    return made
