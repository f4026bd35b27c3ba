"""Pack: a release package as a folder with its archive beside it, and its files read back from either."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from headgate.errors import BadInput

MOST_BYTES, MOST_FILES = 2**30, 10_000
"""What a package may hold at most: more is no package, but an attack on whoever opens it."""

# What the libraries raise when the bytes of an archive are not as they were written.
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, RuntimeError, ValueError)


def pack(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a package's folder, and the whole folder into the archive beside it.

    The archive has the same bytes whenever the files have: names in order, no times. Both are copies for readers: the
    ledger and the evidence are what counts.
    """
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    draft = folder.with_name(f".{folder.name}.zip")
    with zipfile.ZipFile(draft, "w") as archive:
        for name, data in unpack(folder).items():
            archive.writestr(zipfile.ZipInfo(f"{folder.name}/{name}"), data, zipfile.ZIP_DEFLATED)
    draft.replace(archive_of(folder))


def archive_of(folder: Path) -> Path:
    """The archive beside a package's folder."""
    return folder.with_name(f"{folder.name}.zip")


def unpack(place: Path) -> dict[str, bytes]:
    """Everything in a package by its path, read into memory; nothing is written.

    Raises:
        BadInput: there is no such folder or archive, or it is larger than a package can be.
    """
    if place.is_dir():
        found = {p.relative_to(place).as_posix(): p for p in sorted(place.rglob("*")) if p.is_file()}
        _demand_modest(place, len(found), sum(p.stat().st_size for p in found.values()))
        return {name: p.read_bytes() for name, p in found.items()}
    try:
        with zipfile.ZipFile(place) as archive:
            listed = [info for info in archive.infolist() if not info.is_dir()]
            _demand_modest(place, len(listed), sum(info.file_size for info in listed))
            _demand_distinct(place, [info.filename for info in listed])
            return _below_the_top({info.filename: archive.read(info) for info in listed})
    except _DAMAGED as error:
        raise _no_package(place, f"{type(error).__name__}: {error}") from error


def _below_the_top(files: dict[str, bytes]) -> dict[str, bytes]:
    """An archive unpacks into one folder, which is no part of the package's names."""
    tops = {name.partition("/")[0] for name in files}
    if len(tops) != 1 or not all("/" in name for name in files):
        return files
    return {name.partition("/")[2]: data for name, data in files.items()}


def _demand_modest(place: Path, files: int, size: int) -> None:
    if files > MOST_FILES or size > MOST_BYTES:
        raise _no_package(place, f"{files:,} files of {size:,} bytes together")


def _demand_distinct(place: Path, names: list[str]) -> None:
    # Of two files under one name another tool may show the one that was not checked.
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _no_package(place, f"several files called {', '.join(twice)}")


def _no_package(place: Path, got: str) -> BadInput:
    return BadInput(
        f"package {place}",
        got=got,
        expected=f"a package's folder or .zip archive of at most {MOST_FILES:,} files and {MOST_BYTES:,} bytes",
        next_step="name the folder that holds manifest.json, or its archive",
    )
