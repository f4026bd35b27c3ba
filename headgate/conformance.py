"""Conformance: whether a store keeps what the ledger stands on, decided from what a probe observed.

Sequential tries do not show it: a server may look whether a name is free and then write, and so let every one of
sixteen clients through. The probe lets many clients race for the same slots, and each says what it was told and what it
read. What was not observed is not kept.

A store for the *ledger* must be write-once. A store for *evidence* alone holds bytes under their own digest, where a
second write is the same bytes or is found out; it must be write-once or keep every version. A law that is not kept is
`broken` where it is demanded, and else `noted`, for people to decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from headgate.canonical import canonical, digest_of

Use = Literal["ledger", "evidence"]
Outcome = Literal["kept", "broken", "noted"]
LEAST_CLIENTS, LEAST_SLOTS = 8, 20


class _Seen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Slot(_Seen):
    """What came of one slot that all clients wanted at once, each with bytes of its own.

    Attributes:
        claims: the clients that were told that they had created it, or that read their own bytes after a loss.
        losses: how many were told that somebody was first.
        failures: what those said that were told neither.
        read: whose bytes were read, by each client after its try and once more after the race, each reader once; None
            for bytes of nobody, or none.
        versions: the versions and the delete markers that are listed; None where the store knows no versions.
    """

    claims: tuple[int, ...]
    losses: int
    failures: tuple[str, ...]
    read: tuple[int | None, ...]
    versions: tuple[int, int] | None


class Try(_Seen):
    """One attempt at what should be refused: what was answered, and whether it took effect; None if nobody saw."""

    answer: str
    changed: bool | None


class Bucket(_Seen):
    """What only a bucket can show.

    Attributes:
        signed: a second write, with the condition, by a presigned URL. forged: the same with another signature.
        damaged: a write whose checksum does not fit. unconditional: a second write without the condition.
        erased: a deletion. versioning, lock: what the bucket says of itself.
    """

    signed: Try
    forged: Try
    damaged: Try
    unconditional: Try
    erased: Try
    versioning: str
    lock: str


class Observed(_Seen):
    """What a probe of one store saw.

    Attributes:
        place: the store. clients: how many raced. slots: what came of each slot.
        listings: how many names each listing right after the race showed, or why it showed none; strangers: those of
            them that are no slots.
        objects, whole: how many objects were written and read again, and how many of those had their digest.
        again: a second write of a slot, with the condition.
        bucket: of a bucket, the rest; None of a folder.
    """

    place: str
    clients: int
    slots: tuple[Slot, ...]
    listings: tuple[int | str, ...]
    strangers: int
    objects: int
    whole: int
    again: Try
    bucket: Bucket | None


class Law(_Seen):
    """One thing that a store should keep, what became of it, and how that was seen."""

    name: str
    outcome: Outcome
    said: str


class Conformance(_Seen):
    """What a store keeps.

    Attributes:
        place: which store. use: for what it was judged. laws: each law once.
    """

    place: str
    use: Use
    laws: Annotated[tuple[Law, ...], Field(strict=False)]

    @property
    def accepted(self) -> bool:
        """Whether it may be written to: there are laws, and none that is demanded is broken."""
        return bool(self.laws) and not self.broken

    @property
    def broken(self) -> tuple[Law, ...]:
        """The laws for which it is refused."""
        return tuple(law for law in self.laws if law.outcome == "broken")

    @property
    def digest(self) -> str:
        """The digest of all that was found."""
        return digest_of(canonical(self.model_dump(mode="json")))


def judged(seen: Observed, use: Use) -> Conformance:
    """What a store keeps, of what it must keep for a use."""
    once = tuple(_write_once(seen, demanded=use == "ledger"))
    keeping = () if use == "ledger" else (_recoverable(seen, once),)
    return Conformance(place=seen.place, use=use, laws=(*_always(seen), *once, *keeping, *_told(seen)))


def _always(seen: Observed) -> Iterator[Law]:
    failed = [why for slot in seen.slots for why in slot.failures]
    tries, enough = seen.clients * len(seen.slots), seen.clients >= LEAST_CLIENTS and len(seen.slots) >= LEAST_SLOTS
    complete = all(len(s.claims) + s.losses + len(s.failures) == seen.clients for s in seen.slots)
    said = f"{seen.clients} clients raced for {len(seen.slots)} slots; {len(failed)} of {tries} writes had no answer"
    yield _law("answers", enough and complete and not failed, True, said + (f": {failed[0]}" if failed else ""))
    whole = 0 < seen.objects == seen.whole
    yield _law("reads_back", whole, True, f"{seen.whole} of {seen.objects} objects were read back with their digest")
    listed = bool(seen.listings) and set(seen.listings) == {len(seen.slots)} and not seen.strangers
    shown = "; ".join(map(str, seen.listings)) or "nothing"
    yield _law("lists", listed, True, f"of {len(seen.slots)} names, the listings right after the race showed {shown}")


def _write_once(seen: Observed, *, demanded: bool) -> Iterator[Law]:
    slots, most = seen.slots, max((len(slot.claims) for slot in seen.slots), default=0)
    single = sum(len(slot.claims) == 1 for slot in slots)
    said = f"{single} of {len(slots)} slots had one winner" + (f", another one {most}" if most > 1 else "")
    yield _law("one_winner", 0 < len(slots) == single, demanded, said)
    alike = sum(len(slot.claims) == 1 and set(slot.read) == set(slot.claims) for slot in slots)
    said = f"in {alike} of {len(slots)} slots everybody read the whole bytes of one winner"
    yield _law("winner_stays", 0 < len(slots) == alike, demanded, said)
    said = f"a second write was answered {seen.again.answer} and {_effect(seen.again)}"
    yield _law("refuses_again", seen.again.changed is False, demanded, said)
    if seen.bucket:
        signed = seen.bucket.signed
        said = f"by a presigned URL it was answered {signed.answer} and {_effect(signed)}"
        yield _law("refuses_presigned", signed.changed is False, demanded, said)
        plain = sum(slot.versions == (1, 0) for slot in slots)
        said = f"{plain} of {len(slots)} slots list one version and no delete marker"
        yield _law("one_version", 0 < len(slots) == plain, demanded, said)


def _recoverable(seen: Observed, once: tuple[Law, ...]) -> Law:
    versioned = seen.bucket is not None and seen.bucket.versioning == "Enabled"
    kept = versioned or all(law.outcome == "kept" for law in once)
    said = "every version is kept" if versioned else "versioning is not enabled, so that it has to be write-once"
    return _law("recoverable", kept, True, said)


def _told(seen: Observed) -> Iterator[Law]:
    if seen.bucket is None:
        return
    b = seen.bucket
    tries = {
        "checks_checksums": (b.damaged, "a write with a checksum that does not fit"),
        "checks_signatures": (b.forged, "a presigned URL with another signature"),
        "refuses_unconditional": (b.unconditional, "a second write without the condition"),
        "refuses_deletion": (b.erased, "a deletion"),
    }
    for name, (tried, what) in tries.items():
        yield _law(name, tried.changed is False, False, f"{what} was answered {tried.answer} and {_effect(tried)}")
    yield _law("versions", b.versioning == "Enabled", False, f"versioning is {b.versioning}")
    yield _law("locks", b.lock == "Enabled", False, f"Object Lock is {b.lock}")


def _effect(tried: Try) -> str:
    return {True: "took effect", False: "changed nothing", None: "nobody saw what it did"}[tried.changed]


def _law(name: str, kept: bool, demanded: bool, said: str) -> Law:
    return Law(name=name, outcome="kept" if kept else "broken" if demanded else "noted", said=said)
