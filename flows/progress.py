"""Progress: what the ledger says, as it is said."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from headgate.errors import HeadgateError
from headgate.markdown import plain
from headgate.records import record_of
from headgate.story import sentence
from tasks.place import models_of
from tasks.record import Desk

_EVERY = 0.2


@contextmanager
def told(home: Path, model: str, console: Console) -> Iterator[None]:
    """Print every entry that is added to a model's ledger while the body runs, with the seconds since it began."""
    done = threading.Event()
    desk = Desk(home, model)
    told_before = desk.ledger().size if model in models_of(home) else 0
    teller = threading.Thread(target=_tell, args=(desk, console, done, told_before), daemon=True)
    with console.status(f"[bold]{model}[/]: starting"):
        teller.start()
        try:
            yield
        finally:
            done.set()
            teller.join()


def _tell(desk: Desk, console: Console, done: threading.Event, size: int) -> None:
    begun, last = time.monotonic(), False
    while not last:
        last = done.wait(_EVERY)  # once more after the end, so that the last entry is told too
        try:
            entries = desk.ledger().entries[size:]
        except HeadgateError:
            continue
        for entry in entries:
            said = sentence(record_of(entry.kind, dict(entry.body)))
            line(console, f"  {time.monotonic() - begun:5.1f} s  {entry.kind:<18} {said}")
        size += len(entries)


def line(console: Console, text: str) -> None:
    """Print a line as it is: nothing in it is markup, and the terminal may wrap it."""
    console.print("\n".join(map(plain, text.split("\n"))), markup=False, highlight=False, soft_wrap=True)
