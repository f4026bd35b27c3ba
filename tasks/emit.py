"""Emit: tell as OpenLineage's events what happened since the last time, first to the store, then to a collector."""

from __future__ import annotations

import re
from contextlib import suppress

from headgate.entry import Digest
from headgate.lineage import events, render
from tasks.post import start
from tasks.record import Case, Desk

LOG = "openlineage.log"
"""Below the home's folder of servers: what became of the sending."""

_RANGE = re.compile(r"([0-9]{9})-([0-9]{9})\.ndjson")


def emit(case: Case) -> Digest | None:
    """Keep the events of all entries since the last time as evidence, and let them be sent to `OPENLINEAGE_URL`.

    Nobody waits for the sending, and nothing depends on it. Entries are told at least once: two runs at the same time
    may tell the same ones, by the same events.

    Returns:
        The digest of the events; None if there is nothing new.

    Raises:
        Tampered: the ledger or evidence is not what was written.
        Unavailable: the store cannot be read or written.
    """
    desk = Desk(case.home, case.model)
    ledger = desk.ledger()
    told = _told(desk, ledger.size)
    if told == ledger.size:
        return None
    rendered = render(events(ledger, desk.evidence.get, since=told))
    digest = desk.evidence.put(rendered)
    desk.store.put(f"{_place(desk)}{told:09}-{ledger.size:09}.ndjson", digest.encode())
    if rendered:
        with suppress(OSError):  # no process, no file: the evidence is there, and nothing was decided by it
            start(rendered, desk.home.servers / LOG)
    return digest


def _told(desk: Desk, size: int) -> int:
    """The first slot that was not told yet. A range beyond the ledger was not written here, and hides nothing."""
    place = _place(desk)
    ranges = (_RANGE.fullmatch(name.removeprefix(place)) for name in desk.store.names(place))
    ends = (int(found[2]) for found in ranges if found)
    return max((end for end in ends if end <= size), default=0)


def _place(desk: Desk) -> str:
    return f"lineage/{desk.model}/"
