"""Route: write who is served which version of each model, as the ledgers have it, where routers look.

The file is derived: whoever lost it makes it again, and the audit compares. It says who is served what, never whether
that is allowed. A router makes it; once it is there, whoever moves an alias writes it again, and so does the guard.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headgate.anomaly import Anomaly
from headgate.errors import HeadgateError, Tampered, Unavailable
from headgate.flags import Route, document, misrouted
from headgate.home import Home
from headgate.release import Release
from headgate.state import State
from tasks.place import models_of
from tasks.record import Desk

_STEP = 1_000_000
"""Nanoseconds by which a file is newer than the one before it: flagd reads again only what is."""


AGAIN = 2.0
"""Seconds after which flags that differ are compared once more: an alias that just moves is no forgery."""

_TRIES = 8


@dataclass(frozen=True)
class Routed:
    """What the ledgers of a home say about who is served what.

    Attributes:
        routes: of every model of which a version is live.
        unread: why the others have no flag, and nobody is served.
    """

    routes: Mapping[str, Route] = field(default_factory=dict)
    unread: Mapping[str, HeadgateError] = field(default_factory=dict)

    @property
    def document(self) -> bytes:
        """The flags, in flagd's format."""
        return document(self.routes)


def route(home: Path) -> Routed:
    """Write the flags of all models of a home, if the file does not say so already.

    A model whose ledger cannot be read has no flag in it.

    Raises:
        Unavailable: the store does not answer at all, or the file cannot be written.
    """
    for _ in range(_TRIES):
        found = routed(home, models_of(home))
        if not lay(Home(home).flags, found.document):  # others may have written what they read before
            break
    return found


def keep_up(home: Path) -> None:
    """Write the flags again, in a home that has any. What keeps it from that is logged and stops nothing."""
    try:
        if Home(home).flags.exists():
            route(home)
    except Exception as error:  # derived, and no reason to fail what was decided
        logging.getLogger(__name__).warning("the flags are as they were: %s", error)


def routed(home: Path, models: Iterable[str]) -> Routed:
    """What the ledgers of some models say now."""
    routes: dict[str, Route] = {}
    unread: dict[str, HeadgateError] = {}
    for model in models:
        try:
            desk = Desk(home, model)
            if (found := route_of(desk, desk.state())) is not None:
                routes[model] = found
        except HeadgateError as error:
            unread[model] = error
    return Routed(routes, unread)


def route_of(desk: Desk, state: State) -> Route | None:
    """Who of a model is served what; None while no version is live.

    The stages are those of the policy under which the highest version that is live was made.

    Raises:
        Tampered: the policy is not what the release was opened under, or no release made that version.
        Unavailable: the store cannot be read.
        BadInput: its stages cannot be told apart.
    """
    if not state.aliases:
        return None
    made = maker(state, max(state.aliases.values()))
    return Route(desk.policy(made).rollout.stage, dict(state.aliases))


def maker(state: State, version: int) -> Release:
    """The release that made a version.

    Raises:
        Tampered: none did.
    """
    found = state.maker(version)
    if found is None:
        raise Tampered(
            f"version {version} of {state.model}",
            got="no release that registered it",
            expected="one, as every version behind an alias has",
            next_step="run `headgate audit`",
        )
    return found


def lay(path: Path, data: bytes) -> bool:
    """Put a file in its place, at once and newer than the one before it; whether it was not there already.

    Raises:
        Unavailable: it cannot be written.
    """
    try:
        if path.is_file() and path.read_bytes() == data:
            return False
        _replace(path, data)
    except OSError as error:
        raise Unavailable(
            f"flags {path}",
            got=f"{type(error).__name__}: {error.strerror or error}",
            expected="a place that can be written",
            next_step="correct it; routers go on with what they read last, as far as the ledgers allow it",
        ) from error
    return True


def wrong(home: Path) -> dict[str, Anomaly]:
    """What the file of flags says otherwise than the ledgers, for an audit: as `headgate.flags.misrouted`.

    Raises:
        Unavailable: the store does not answer, or the file cannot be read.
    """
    found = _differing(home)
    if not found:
        return found
    time.sleep(AGAIN)
    return _differing(home)


def _differing(home: Path) -> dict[str, Anomaly]:
    path = Home(home).flags
    try:
        data = path.read_bytes() if path.exists() else None
    except OSError as error:
        raise Unavailable(
            f"flags {path}", got=type(error).__name__, expected="a file that can be read", next_step="make it readable"
        ) from error
    return misrouted(data, {} if data is None else routed(home, models_of(home)).routes)


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            _newer(file.fileno(), path)
        Path(draft).replace(path)
    finally:
        Path(draft).unlink(missing_ok=True)


def _newer(handle: int, path: Path) -> None:
    # Clocks run back, and two files of one tick of the clock look as old as each other.
    now = os.fstat(handle).st_mtime_ns
    before = path.stat().st_mtime_ns if path.exists() else 0
    os.utime(handle, ns=(now, max(now, before + _STEP)))
