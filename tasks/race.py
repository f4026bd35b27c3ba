"""Race: many clients want the same slots of a store at once, and say what they were told and what they read.

Everything is written below a prefix of its own, which is no ledger and no evidence, and deleted at the end as far as
the store lets it be.
"""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from headgate.admission import mark
from headgate.conformance import Bucket, Conformance, Observed, Slot, Try, Use, judged
from headgate.errors import HeadgateError
from headgate.store import FolderStore, Store
from tasks.place import folder_of

CLIENTS, SLOTS = 16, 60
_SIZES = (0, 1, 5000, 3 << 20)
_WAIT = 300.0
_PAGE = 7  # small enough that the race's names need several pages


@dataclass(frozen=True)
class Course:
    """Where a race is run.

    Attributes:
        place: what the store calls itself. opened: opens the store once more, with a client of its own.
        listed: opens it with short pages. versions: those of each name, where there are versions.
        pried: what only a bucket shows. cleared: deletes everything below a prefix.
    """

    place: str
    opened: Callable[[], Store]
    listed: Callable[[], Store]
    versions: Callable[[str], dict[str, tuple[int, int]]]
    pried: Callable[[str], Bucket | None]
    cleared: Callable[[str], None]


def check_store(
    url: str,
    use: Use,
    checked: str,
    *,
    clients: int = CLIENTS,
    slots: int = SLOTS,
    told: Callable[[int], None] = lambda _: None,
) -> tuple[Conformance, str]:
    """Probe a store, leave the marker of what was found in it, and return the findings and the marker's name.

    Args:
        checked: the time. told: called with the number of slots that were raced for.

    Raises:
        BadInput: that is no address of a store.
        Unavailable: it cannot be reached, or does not take the marker.
    """
    course, prefix = _course(url), f"probe/{secrets.token_hex(8)}/"
    course.opened().get(prefix + "contact")
    try:
        seen = observed(course, prefix, clients, slots, told)
    finally:
        course.cleared(prefix)
    found = judged(seen, use)
    return found, mark(course.opened(), found, checked)


def observed(course: Course, prefix: str, clients: int, slots: int, told: Callable[[int], None]) -> Observed:
    """What a store does, on names that begin with a prefix."""
    store, names = course.opened(), [f"{prefix}race/{slot:03}" for slot in range(slots)]
    raced = _race([course.opened() for _ in range(clients)], names, told)
    shown = [_listed(opened(), f"{prefix}race/") for opened in (course.opened, course.listed)]
    versions = _or(None, lambda: course.versions(f"{prefix}race/"))
    return Observed(
        place=course.place,
        clients=clients,
        slots=tuple(_slot(store, name, raced[name], versions) for name in names),
        listings=tuple(found if isinstance(found, str) else len(found) for found in shown),
        strangers=sum(len(set(found) - set(names)) for found in shown if not isinstance(found, str)),
        objects=len(_SIZES),
        whole=sum(_whole(store, f"{prefix}whole/{size}", secrets.token_bytes(size)) for size in _SIZES),
        again=_again(store, f"{prefix}again"),
        bucket=course.pried(prefix),
    )


@dataclass(frozen=True)
class _Outcome:
    """What one client says of one slot: whether it is its own, or why it cannot say; and what it read."""

    claims: bool | str
    read: bytes | None


def _race(stores: Sequence[Store], names: Sequence[str], told: Callable[[int], None]) -> dict[str, list[_Outcome]]:
    gate = threading.Barrier(len(stores))

    def run(who: int) -> list[_Outcome]:
        outcomes = []
        try:
            for number, name in enumerate(names):
                gate.wait(_WAIT)
                outcomes.append(_attempt(stores[who], name, _own(who, name)))
                if who == 0:
                    told(number + 1)
        except BaseException:
            gate.abort()
            raise
        return outcomes

    with ThreadPoolExecutor(len(stores)) as pool:
        rows = list(pool.map(run, range(len(stores))))
    return {name: [row[number] for row in rows] for number, name in enumerate(names)}


def _attempt(store: Store, name: str, own: bytes) -> _Outcome:
    try:
        won, found = store.put(name, own), store.get(name)
    except HeadgateError as error:
        return _Outcome(error.got, None)
    # As in headgate.ledger.append: bytes of its own are a win, whatever the answer was.
    return _Outcome(won or found == own, found)


def _slot(store: Store, name: str, outcomes: Sequence[_Outcome], versions: Any) -> Slot:
    whose = {_own(who, name): who for who in range(len(outcomes))}
    read = [outcome.read for outcome in outcomes if not isinstance(outcome.claims, str)]
    return Slot(
        claims=tuple(who for who, outcome in enumerate(outcomes) if outcome.claims is True),
        losses=sum(outcome.claims is False for outcome in outcomes),
        failures=tuple(outcome.claims for outcome in outcomes if isinstance(outcome.claims, str)),
        read=tuple(whose.get(data or b"") for data in (*read, _or(None, lambda: store.get(name)))),
        versions=None if versions is None else versions.get(name),
    )


def _own(who: int, name: str) -> bytes:
    return f"{who} wants {name}. ".encode() * 100


def _listed(store: Store, prefix: str) -> list[str] | str:
    try:
        return store.names(prefix)
    except HeadgateError as error:
        return error.got


def _whole(store: Store, name: str, data: bytes) -> bool:
    return bool(_or(False, lambda: store.put(name, data) and store.get(name) == data))


def _again(store: Store, name: str) -> Try:
    first, second = b"first", b"second"
    try:
        store.put(name, first)
        answer = "that it was created" if store.put(name, second) else "that something is there"
        return Try(answer=answer, changed=store.get(name) != first)
    except HeadgateError as error:
        return Try(answer=error.got, changed=None)


def _or(default: Any, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except HeadgateError:
        return default


def _course(url: str) -> Course:
    return _of_bucket(url) if url.startswith("s3://") else _of_folder(url)


def _of_folder(url: str) -> Course:
    store = FolderStore(folder_of(url))

    def cleared(prefix: str) -> None:
        shutil.rmtree(store.root / prefix, ignore_errors=True)
        with suppress(OSError):
            (store.root / prefix).parent.rmdir()

    def opened() -> FolderStore:
        return FolderStore(store.root)

    return Course(store.place, opened, opened, lambda _: {}, lambda _: None, cleared)


def _of_bucket(url: str) -> Course:
    from tasks import pry
    from tasks.bucket import S3Store

    def opened() -> S3Store:
        return S3Store(url, once=False)

    store = opened()
    return Course(
        place=store.place,
        opened=opened,
        listed=lambda: S3Store(url, once=False, page=_PAGE),
        versions=store.versions,
        pried=lambda prefix: pry.pry(store, prefix),
        cleared=lambda prefix: pry.clear(store, prefix),
    )
