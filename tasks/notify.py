"""Notify: tell people, by their channels, what the ledger says, and record how that went."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from headgate.errors import BadInput, HeadgateError
from headgate.notice import Notice, due
from headgate.oversight import Notify
from tasks.record import Desk


@task(name="notify", cache_policy=NO_CACHE)
def notify(home: Path, model: str) -> int:
    """Send what is due about a model, and return how many messages could not be sent. It never raises.

    A dead channel costs its timeout, and is tried at most `headgate.notice.MOST_TRIES` times for one entry.
    """
    try:
        desk = Desk(home, model)
        return sum(_tell(desk, notice) for notice in due(desk.ledger().entries, _Plans(desk).of))
    except HeadgateError as error:  # a release does not wait for those who are told about it
        logging.getLogger(__name__).warning("nobody was told about %s: %s", model, error)
        return 0


class _Plans:
    """The communication plan of each release, read once."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._state = desk.state()
        self._known: dict[str, tuple[Notify, ...]] = {}

    def of(self, release: str | None) -> tuple[Notify, ...]:
        """The plan of a release; of the newest one where an entry is about the model."""
        newest = list(self._state.releases)[-1:]
        if not newest:
            return ()
        name = release or newest[0]
        if name not in self._known:
            self._known[name] = self._desk.policy(self._state.release(name)).notify
        return self._known[name]


def _tell(desk: Desk, notice: Notice) -> bool:
    """Send one message, record how that went, and say whether it failed."""
    failure = _failure(notice)
    desk.write(None, notice.outcome(failure))
    return failure is not None


def _failure(notice: Notice) -> str | None:
    kind, _, name = notice.line.channel.partition(":")
    try:
        sent = _by_block(name, notice) if kind == "block" else _by_address(name, notice)
    except HeadgateError as error:
        return error.got
    except Exception as error:  # whatever a channel raises; its text may quote an address, which may hold a secret
        return type(error).__name__
    return None if sent else "the channel refused it, or does not answer"


def _by_address(name: str, notice: Notice) -> bool:
    import apprise

    address = os.environ.get(name)
    if not address:
        raise BadInput(name, got="no such environment variable", expected="an Apprise address", next_step="set it")
    sender = apprise.Apprise()
    if not sender.add(address):
        raise BadInput(name, got="no address that Apprise knows", expected="an Apprise address", next_step="correct it")
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it logs addresses
    return bool(sender.notify(body=notice.body, title=notice.subject, body_format=apprise.NotifyFormat.TEXT))


def _by_block(name: str, notice: Notice) -> bool:
    from prefect.blocks.abstract import NotificationBlock
    from prefect.blocks.core import Block

    block: Any = Block.load(name)
    if not isinstance(block, NotificationBlock):
        raise BadInput(name, got=f"a {type(block).__name__}", expected="a notification block", next_step="name another")
    with block.raise_on_failure():
        sent = block.notify(notice.body, notice.subject)
        if inspect.isawaitable(sent):  # some blocks only know how to be awaited
            asyncio.run(_awaited(sent))
    return True


async def _awaited(sent: Awaitable[None]) -> None:
    await sent
