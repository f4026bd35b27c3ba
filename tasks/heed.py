"""Heed: what the ledgers say now about who may be served what, for a process that runs on, and the flags along with it.

The ledgers are looked at every second (`EVERY`). A ledger that does not answer is believed as it was read last for half
a minute more (`GRACE`); one that does not verify is not believed at all. Then the model has no flag, and nobody is
served.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Lock

from headgate.errors import BadInput, HeadgateError, Unavailable
from headgate.flags import Route, document
from headgate.home import Home
from headgate.policy import Policy
from headgate.release import Release
from headgate.state import State
from tasks.place import models_of
from tasks.record import Desk
from tasks.route import lay, maker, route_of

EVERY = 1.0
"""Seconds between two looks at the ledgers."""

GRACE = 30.0
"""Seconds for which a ledger that does not answer is believed as it was."""

SETTLING = 2.0
"""Seconds for which a version may still be served that has just left its alias: until the flags have followed."""

_NEW_MODELS = 15.0

Served = tuple[str, int]
"""A stage and a version."""


@dataclass(frozen=True)
class Made:
    """A version that may be served: the release that made it, and the policy that it was made under."""

    version: int
    release: Release
    policy: Policy


@dataclass(frozen=True)
class Heard:
    """What a ledger said when it was read last.

    Attributes:
        head: of the ledger; None before it was read.
        route: who is served what; None while nothing is live.
        made: what may be served: each stage with the version behind its alias.
        left: what might have been just before, and until when it still may.
        at: when it was read, on this machine's clock that never runs back.
        trouble: why it could not be read since.
    """

    head: str | None = None
    route: Route | None = None
    made: Mapping[Served, Made] = field(default_factory=dict)
    left: Mapping[Served, tuple[Made, float]] = field(default_factory=dict)
    at: float = 0.0
    trouble: HeadgateError | None = None


class Ledgers:
    """Follows the ledgers of a home, and writes its flags. Threads may share it.

    Args:
        models: whom to speak of; None for all that there are, also later. The flags are those of all in any case: other
            routers of this home read them too.
    """

    def __init__(self, home: Path, models: tuple[str, ...] | None = None, *, grace: float = GRACE) -> None:
        self._home, self._models, self._grace = home, models, grace
        self._heard: dict[str, Heard] = {}
        self._desks: dict[str, Desk] = {}
        self._names: tuple[str, ...] = ()
        self._search = -1.0
        self._looking = Lock()
        self.trouble: HeadgateError | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """Whom it speaks of."""
        return tuple(sorted(name for name in dict(self._heard) if self._models is None or name in self._models))

    def desk(self, model: str) -> Desk:
        """Where the records of a model are read.

        Raises:
            BadInput: the key that signs them is not here. Left to itself a desk would make another one, and the ledgers
                of a store elsewhere would look forged.
        """
        if model not in self._desks:
            key = Home(self._home).pipeline_key
            if not key.exists():
                raise BadInput(
                    f"pipeline key {key}",
                    got="no such file",
                    expected="the key of the home that these ledgers are from",
                    next_step="serve from that home, or copy its keys/ here with mode 600",
                )
            self._desks[model] = Desk(self._home, model)
        return self._desks[model]

    def may_serve(self, model: str) -> Heard:
        """What the ledger of a model says, if that may be acted on.

        Raises:
            BadInput: there is no such model here, or its stages cannot be told apart.
            Tampered, Unavailable: its ledger cannot be believed, or was not read for too long.
        """
        self.demand(model)
        heard = self._heard[model]
        if not self._believed(heard):
            raise copy(heard.trouble) if heard.trouble else _stale(model)
        return heard

    def demand(self, model: str) -> None:
        """Nothing, if it is a model of whom this speaks.

        Raises:
            BadInput: it is none.
        """
        if model not in self.models:
            raise BadInput(
                f"model {model}",
                got="no ledger of it here",
                expected=f"one of {', '.join(self.models) or 'none yet'}",
                next_step="correct the name, or release the model first",
            )

    def look(self) -> None:
        """Read all ledgers once, and write the flags if they have changed.

        What goes wrong is kept as trouble, of a model or of all.
        """
        with self._looking:
            found: HeadgateError | None = None
            try:
                self._find_new()
            except HeadgateError as error:
                found = error
            for name in self._names:
                self._heard[name] = self._read(name, self._heard.get(name, Heard()))
            try:
                lay(Home(self._home).flags, document(self._routes()))
            except HeadgateError as error:
                found = error
            self.trouble = found

    def follow(self, ended: Event, every: float = EVERY) -> None:
        """Look again and again until `ended` is set. Whatever happens, it goes on: silence would end in 503."""
        while not ended.wait(every):
            try:
                self.look()
            except Exception:  # a defect in one look is no reason not to look again
                logging.getLogger(__name__).exception("the ledgers were not read")

    def _find_new(self) -> None:
        if time.monotonic() >= self._search:
            # A ledger that was there stays asked for: one that is gone is no model less, but trouble.
            self._names = tuple(sorted({*self._names, *models_of(self._home), *(self._models or ())}))
            self._search = time.monotonic() + _NEW_MODELS

    def _read(self, model: str, before: Heard) -> Heard:
        began = time.monotonic()
        try:
            desk = self.desk(model)
            ledger = desk.ledger()
            if ledger.head == before.head and before.trouble is None:
                return replace(before, at=began)
            state = desk.state(ledger)
            route = route_of(desk, state)
            made = {} if route is None else _made(desk, state, route, before.made)
            gone = {pair: (each, began + SETTLING) for pair, each in before.made.items()}
            left = {pair: each for pair, each in {**before.left, **gone}.items() if each[1] > began}
            return Heard(ledger.head, route, made, left, began)
        except HeadgateError as error:
            return replace(before, left={}, trouble=error)

    def _routes(self) -> dict[str, Route]:
        believed = {name: heard.route for name, heard in self._heard.items() if self._believed(heard)}
        return {name: route for name, route in believed.items() if route is not None}

    def _believed(self, heard: Heard) -> bool:
        if heard.trouble is not None and not isinstance(heard.trouble, Unavailable):
            return False
        return heard.head is not None and time.monotonic() - heard.at <= self._grace


def served(heard: Heard, stage: str, version: int) -> Made | None:
    """The version, if it is behind the stage's alias now, or was a moment ago; else None."""
    made, until = heard.left.get((stage, version), (None, 0.0))
    return heard.made.get((stage, version)) or (made if time.monotonic() < until else None)


def _made(desk: Desk, state: State, route: Route, known: Mapping[Served, Made]) -> dict[Served, Made]:
    releases = {version: maker(state, version) for version in route.served.values()}
    policies = {each.release.id: each.policy for each in known.values()}
    return {
        pair: Made(pair[1], releases[pair[1]], policies.get(releases[pair[1]].id) or desk.policy(releases[pair[1]]))
        for pair in route.served.items()
    }


def _stale(model: str) -> Unavailable:
    return Unavailable(
        f"ledger of {model}",
        got="no look at it for too long",
        expected=f"one every {EVERY:g} s",
        next_step="see the router's log; restart it if it does not recover",
    )
