"""Admission: a store that is written to only after `headgate store check` accepted it.

The check leaves a marker in the store itself; of several the newest counts. It names one place, so that a copy of the
store elsewhere has none. Whoever can write to the store can forge it: it keeps people from mistakes, and proves nothing
to others.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from headgate.canonical import canonical, digest_of
from headgate.conformance import Conformance, Use
from headgate.errors import BadInput, Tampered
from headgate.evidence import Evidence
from headgate.store import Store


class Marker(BaseModel):
    """What a check leaves behind.

    Attributes:
        place, use: what was checked, and for what. accepted: what was decided. checked: when. findings: the digest of
            the whole `Conformance`, which is evidence in the same store.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    place: str
    use: Use
    accepted: bool
    checked: str
    findings: str


class Admitted:
    """A store that refuses to write until it is accepted. Reading needs no acceptance.

    Args:
        store: the store. place: what it calls itself. use: what it is to hold. url: what people call it.
    """

    def __init__(self, store: Store, place: str, use: Use, url: str) -> None:
        self._store, self._place, self._use, self._url = store, place, use, url
        self._accepted = False

    def put(self, name: str, data: bytes) -> bool:
        """Write once.

        Raises:
            BadInput: no check has accepted the store for this use, or the last one refused it.
        """
        if not self._accepted:
            last = newest(self._store, self._place, self._use)
            if last is None or not last.accepted:
                raise self._refused(last)
            self._accepted = True
        return self._store.put(name, data)

    def get(self, name: str) -> bytes | None:
        """The whole bytes under a name, or None if there are none."""
        return self._store.get(name)

    def names(self, prefix: str) -> list[str]:
        """All names that start with a prefix, sorted."""
        return self._store.names(prefix)

    def _refused(self, last: Marker | None) -> BadInput:
        return BadInput(
            f"store {self._url}",
            got=f"refused by the check of {last.checked}" if last else "no check has accepted it",
            expected=f"a store that was seen to keep what the {self._use} needs",
            next_step=f"run `headgate store check {self._url}{' --evidence' * (self._use == 'evidence')}`",
        )


def mark(store: Store, found: Conformance, checked: str) -> str:
    """Leave the marker of a check in the store, and return its name.

    Args:
        checked: when, RFC 3339 in UTC with milliseconds and ``Z``, so that names sort by time.
    """
    findings = Evidence(store).put(canonical(found.model_dump(mode="json")))
    said = Marker(place=found.place, use=found.use, accepted=found.accepted, checked=checked, findings=findings)
    name = f"{_shelf(found.place, found.use)}{_plain(checked)}-{_plain(findings)[6:22]}.json"
    store.put(name, canonical(said.model_dump(mode="json")))
    return name


def newest(store: Store, place: str, use: Use) -> Marker | None:
    """What the newest check of a place for a use said, or None if there was none.

    Raises:
        Tampered: that is not what a check writes.
    """
    names = store.names(_shelf(place, use))
    if not names:
        return None
    try:
        said = Marker.model_validate_json(store.get(names[-1]) or b"")
    except ValidationError as error:
        raise _unreadable(names[-1], f"{error.error_count()} problem(s)") from error
    if (said.place, said.use) != (place, use):
        raise _unreadable(names[-1], f"one of {said.place} for {said.use}")
    return said


def _unreadable(name: str, got: str) -> Tampered:
    return Tampered(
        f"marker {name}", got=got, expected="what a check of this store wrote", next_step="run `headgate store check`"
    )


def _shelf(place: str, use: Use) -> str:
    return f"accepted/{use}/{_plain(digest_of(place.encode()))[6:22]}/"


def _plain(text: str) -> str:
    return "".join(filter(str.isalnum, text))
