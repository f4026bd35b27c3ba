"""The store: named bytes, written once.

Write-once under concurrency is what the ledger stands on: of several writers of one name exactly one succeeds, and
nobody ever sees half of its bytes. A folder gives that through ``link(2)``, which never replaces an existing name.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from headgate.errors import BadInput, Unavailable

# No part starts with a dot, so that the temporary files of a folder can never be a name of the store.
_NAME = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,199}/)*[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")


class Store(Protocol):
    """What a store can do. All methods raise `BadInput` for a name that is none, `Unavailable` if it cannot be told."""

    def put(self, name: str, data: bytes) -> bool:
        """Write once: True if this call created it, False if something was there already, which stays as it was."""
        ...

    def get(self, name: str) -> bytes | None:
        """The whole bytes under a name, or None if there are none."""
        ...

    def names(self, prefix: str) -> list[str]:
        """All names that start with a prefix, sorted. A name written during the call may be missing."""
        ...


def is_name(name: str) -> bool:
    """Whether a store could have written it."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> str:
    """The name itself: relative, parts of ASCII letters, digits, ``._-`` joined by ``/``, none starting with ``.-``.

    Raises:
        BadInput: it is no such name.
    """
    if not is_name(name):
        raise BadInput(
            "name in the store",
            got=repr(name),
            expected="parts of letters, digits, '.', '_', '-' joined by '/', each starting with a letter, digit or '_'",
            next_step="choose a plain relative name",
        )
    return name


class FolderStore:
    """A store in a folder of a POSIX file system that has hard links.

    The folder must exist: a missing one is more likely an unmounted disk than an empty store. It need not be trusted:
    whoever can write to it can delete or replace files, which digests, chain and signatures make visible.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def create(cls, root: Path) -> FolderStore:
        """A store in a folder that is made if it does not exist."""
        with _reported(str(root)):
            root.mkdir(parents=True, exist_ok=True)
        return cls(root)

    @property
    def place(self) -> str:
        """The folder's address."""
        return self.root.resolve().as_uri()

    def put(self, name: str, data: bytes) -> bool:
        """Write once; on return the bytes survive a power cut, whichever writer they came from."""
        path = self._path(name)
        with _reported(str(path)):
            path.parent.mkdir(parents=True, exist_ok=True)
            created = _link_whole(data, path)
            # Also after a loss: the winner may have died between its link and its fsync.
            for folder in path.relative_to(self.root).parents:
                _sync_folder(self.root / folder)
        return created

    def get(self, name: str) -> bytes | None:
        """The whole bytes under a name, or None if there are none."""
        path = self._path(name)
        with _reported(str(path)):
            try:
                return path.read_bytes()
            except FileNotFoundError:
                return None

    def names(self, prefix: str) -> list[str]:
        """All names that start with a prefix, sorted; temporary files and other strangers are not names."""
        folder = prefix.rpartition("/")[0]
        top = self._path(folder) if folder else self._present_root()
        with _reported(str(top)):
            found = (path.relative_to(self.root).as_posix() for path in _files(top))
            return sorted(name for name in found if name.startswith(prefix) and is_name(name))

    def _path(self, name: str) -> Path:
        return self._present_root() / check_name(name)

    def _present_root(self) -> Path:
        if not self.root.is_dir():
            raise _unavailable(str(self.root), "no folder")
        return self.root


def _link_whole(data: bytes, path: Path) -> bool:
    # The random part of a temporary name decides nothing: it only keeps two writers apart.
    handle, temporary = tempfile.mkstemp(prefix=".put-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o444)
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        Path(temporary).unlink()
    return True


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _files(top: Path) -> Iterator[Path]:
    if not top.exists():
        return
    # Without onerror, os.walk leaves out what it cannot read and calls the rest everything.
    for folder, _, files in os.walk(top, onerror=_fail):
        yield from (Path(folder, file) for file in files)


def _fail(error: OSError) -> None:
    raise error


@contextmanager
def _reported(subject: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _unavailable(subject, f"{type(error).__name__}: {error.strerror or error}") from error


def _unavailable(subject: str, got: str) -> Unavailable:
    return Unavailable(
        f"store {subject}",
        got=got,
        expected="a readable and writable folder of a file system with hard links",
        next_step="mount or repair it, or create the store's folder, and try again",
    )
