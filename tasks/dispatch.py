"""Dispatch: the router without its HTTP: choose a version by the flags, ask the ledger, open it, predict, write down.

A router fails closed. It answers with nothing that the ledger has not behind an alias, and with no byte that is not the
registered one. Only telemetry fails open: an answer that was computed is given also where it cannot be written down,
because people wait for it; every lost line is counted, and the router says that it is not ready until it can write.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

from headgate.board import Seat
from headgate.errors import HeadgateError, Unavailable
from headgate.flags import NOBODY
from headgate.home import Home
from headgate.inquiry import Ask, Known, Told
from headgate.reply import ODD, Refusal, Reply, shut, unserved
from headgate.telemetry import Complaint, Line, Outcome
from tasks.choose import Chooser
from tasks.gauge import Gauges
from tasks.heed import EVERY, GRACE, Heard, Ledgers, Made, Served, served
from tasks.hold import MOST, RETRY, Opened, Versions
from tasks.jot import LARGEST, Full, Jotter
from tasks.record import now
from tasks.score import score

_PATIENCE = 5.0


@dataclass(frozen=True)
class Limits:
    """How often, how long and how much; tests have less patience."""

    every: float = EVERY
    grace: float = GRACE
    retry: float = RETRY
    most: int = MOST
    largest: int = LARGEST


class Router:
    """Answers, and follows the ledgers of a home while it is started.

    Args:
        models: whom it serves; None for all of the home.
    """

    def __init__(self, home: Path, models: tuple[str, ...] | None = None, limits: Limits = Limits()) -> None:
        self.gauges = Gauges()
        self._home, self._limits = Home(home), limits
        self._ledgers = Ledgers(home, models, grace=limits.grace)
        self._versions = Versions(limits.most, limits.retry)
        self._jotter = Jotter(self._home.telemetry, limits.largest)
        self._losing: HeadgateError | None = None
        self._chooser: Chooser | None = None
        self._ended = Event()
        self._threads = [
            Thread(target=self._ledgers.follow, args=(self._ended, limits.every), daemon=True),
            Thread(target=self._open_ahead, daemon=True),
        ]

    def start(self) -> None:
        """Write the flags, read them, and follow the ledgers from now on.

        Raises:
            Unavailable: the flags cannot be written or read.
        """
        self._ledgers.look()
        if self._ledgers.trouble is not None:
            raise self._ledgers.trouble
        self._chooser = Chooser(self._home.flags)
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Follow no more, and let go of the files."""
        self._ended.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(_PATIENCE)
        if self._chooser is not None:
            self._chooser.close()
        self._versions.close()
        self._jotter.close()

    @property
    def models(self) -> tuple[str, ...]:
        """Whom it serves."""
        return self._ledgers.models

    def answer(self, model: str, asks: Sequence[Ask], began: float) -> list[Reply]:
        """What is said of rows, in their order.

        Args:
            began: when the request was received, by `time.perf_counter`.

        Raises:
            BadInput: there is no such model.
        """
        self._ledgers.demand(model)
        found = self._replies(model, asks)
        seconds, at = time.perf_counter() - began, now()
        self.gauges.request(model, seconds)
        for each in found:
            self.gauges.row(model, each.stage, each.version, each.outcome)
        lines = [each.line(ask, at, round(seconds * 1000, 3)) for ask, each in zip(asks, found, strict=True)]
        with suppress(Unavailable):  # counted, and told by `troubles`: whoever asked still gets the answer
            self._keep(model, "requests", [line for line in lines if line is not None])
        return found

    def learn(self, model: str, known: Sequence[Known]) -> None:
        """Write down what became of requests; whether they were made here, nobody asks.

        Raises:
            BadInput: there is no such model.
            Unavailable: it could not be written down, or (`Full`) there is too much of it.
        """
        self._ledgers.demand(model)
        at = now()
        self._keep(model, "outcomes", [Outcome(id=each.id, time=at, label=each.label) for each in known])
        self.gauges.told(model, "outcomes", len(known))

    def complain(self, model: str, told: Told) -> None:
        """Write down what a person says about an answer.

        Raises:
            BadInput, Unavailable: as `learn`.
        """
        self._ledgers.demand(model)
        self._keep(model, "reports", [Complaint(id=told.id, time=now(), text=told.text)])
        self.gauges.told(model, "reports", 1)

    def troubles(self) -> list[str]:
        """Why it should be asked nothing now; empty if it is ready. After a loss of telemetry it tries to write."""
        if self._losing is not None:
            try:
                self._jotter.check()
                self._losing = None
            except Unavailable as error:
                self._losing = error
        found = [str(each) for each in (self._ledgers.trouble, self._losing) if each is not None]
        stuck = [seat for seat in self.seats() if seat.troubles or seat.route is None]
        if len(stuck) == len(self.models):
            found += [f"no model can be served: {'; '.join(t for s in stuck for t in s.troubles) or 'nothing is live'}"]
        return found

    def seats(self) -> list[Seat]:
        """What stands about each model."""
        return [self._seat(model) for model in self.models]

    def _seat(self, model: str) -> Seat:
        try:
            heard = self._ledgers.may_serve(model)
        except HeadgateError as error:
            return Seat(model, None, {}, (str(error),))
        self.gauges.aged(model, time.monotonic() - heard.at)
        states = dict.fromkeys((v for m, v in self._versions.held if m == model), "ready")
        broken = {v: e for _, v in heard.made if (e := self._versions.trouble(model, v)) is not None}
        told = tuple(f"version {version}: {error}" for version, error in broken.items())
        return Seat(model, heard.route, {**states, **dict.fromkeys(broken, "refused")}, told)

    def _replies(self, model: str, asks: Sequence[Ask]) -> list[Reply]:
        try:
            heard = self._ledgers.may_serve(model)
        except HeadgateError as error:
            return [Reply(_name(), refusal=shut(error)) for _ in asks]
        picked = [self._pick(model, heard, ask) for ask in asks]
        found = [reply for reply, _ in picked]
        groups: dict[Served, list[int]] = {}
        for at, reply in enumerate(found):
            if reply.refusal is None:
                groups.setdefault((reply.stage, reply.version), []).append(at)
        for places in groups.values():
            for at, said in zip(
                places, self._said(model, picked[places[0]][1], [asks[at] for at in places]), strict=True
            ):
                found[at] = replace(found[at], **said)
        return found

    def _pick(self, model: str, heard: Heard, ask: Ask) -> tuple[Reply, Made | None]:
        try:
            stage, version = self._chosen(model, ask)
        except Unavailable as error:
            return Reply(_name(), refusal=shut(error)), None
        made = served(heard, stage, version)
        if made is not None:
            return Reply(_name(), stage, version), made
        known = stage == NOBODY or (heard.route is not None and stage in heard.route.served)
        return Reply(_name(), stage if known else ODD, version, refusal=unserved(model, stage, version)), None

    def _chosen(self, model: str, ask: Ask) -> Served:
        assert self._chooser is not None  # noqa: S101 - started
        return self._chooser.choose(model, ask.subject, ask.audience)

    def _said(self, model: str, made: Made | None, asks: Sequence[Ask]) -> list[dict[str, Any]]:
        """Of each row its scores and decision, or its refusal."""
        assert made is not None  # noqa: S101 - it was picked
        try:
            opened = self._opened(model, made)
        except HeadgateError as error:
            return [{"refusal": shut(error)}] * len(asks)
        found = score(opened, made.release, [ask.inputs for ask in asks])
        return [
            {"refusal": each} if isinstance(each, Refusal) else {"scores": each, "decision": opened.decision(each)}
            for each in found
        ]

    def _opened(self, model: str, made: Made) -> Opened:
        try:
            return self._versions.get(self._ledgers.desk(model), made.release, made.policy)
        except HeadgateError:
            self.gauges.unopened(model, made.version)
            raise

    def _keep(self, model: str, kind: str, lines: Sequence[Line]) -> None:
        try:
            self._jotter.jot(model, lines)
        except Unavailable as error:
            self.gauges.lost(kind, len(lines))
            if not isinstance(error, Full):
                self._losing = error
            raise

    def _open_ahead(self) -> None:
        """Open what goes live before anybody waits for it, once; what cannot be opened is refused when it is asked."""
        tried: set[tuple[str, int]] = set()
        while True:
            for model in self.models:
                with suppress(HeadgateError):
                    for made in self._ledgers.may_serve(model).made.values():
                        if (model, made.version) not in tried:
                            tried.add((model, made.version))
                            self._opened(model, made)
            if self._ended.wait(self._limits.every):
                return


def _name() -> str:
    return secrets.token_hex(16)
