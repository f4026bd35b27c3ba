"""Record: the desk at which the ledger of one model is read and written. The only task module that others import."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from headgate.canonical import canonical, parse
from headgate.entry import Digest, spelled
from headgate.errors import BadInput, SlotTaken
from headgate.evidence import Evidence
from headgate.following import Following
from headgate.home import Home
from headgate.ledger import Ledger, enter
from headgate.policy import Policy, Retention
from headgate.policy_file import parse as parse_policy
from headgate.record import Record
from headgate.records import KINDS, Requested
from headgate.release import Release
from headgate.signing import Signer, Verifier
from headgate.state import State, advance
from tasks.follow import follow
from tasks.place import store_of
from tasks.unlock import signer, verifier

_TRIES = 8

LONGEST = 2000
"""Signs in a reason, a note or a name."""


@dataclass(frozen=True)
class Case:
    """A release as it travels between tasks: where its records are, and its name. Everything else is looked up.

    Attributes:
        home: the folder of `headgate.home.Home`. folder: the model's folder under `expectations/`.
        model, release: their names.
    """

    home: Path
    folder: Path
    model: str
    release: str

    def artifact(self, step: str) -> str:
        """The key of a Prefect artifact of a step."""
        return slug(f"{self.release}-{step}")


class Desk:
    """Reads and writes the records of one model.

    Attributes:
        pinned: the policy of a release that is being opened, and that the ledger therefore does not name yet.

    Raises on reading:
        Tampered: the ledger is not what was written.
        Unavailable: the store cannot be read.
    """

    def __init__(self, home: Path, model: str) -> None:
        self.home = Home(home)
        self.model = model
        self.store = store_of(self.home)
        self.evidence = Evidence(store_of(self.home, "evidence", retained=self._retained))
        self.pinned: Policy | None = None

    @classmethod
    def create(cls, home: Path, model: str) -> Desk:
        """A desk in a home that may be new. Elsewhere a missing store is an error: it is more likely not mounted."""
        store_of(Home(home), create=True)
        return cls(home, model)

    @cached_property
    def signer(self) -> Signer:
        """The pipeline's key, made in a home that is new.

        Raises:
            BadInput, Tampered: as `tasks.unlock`.
        """
        return signer(self.home)

    @property
    def signs(self) -> bool:
        """Whether the pipeline's private key is here; elsewhere records can only be read."""
        return self.home.pipeline_key.exists()

    @cached_property
    def verifier(self) -> Verifier:
        """What verifies the pipeline's signatures; it needs the public key alone."""
        return verifier(self.home)

    @cached_property
    def _following(self) -> Following:
        return follow(self.home, self.model, self.verifier)

    def ledger(self) -> Ledger:
        """The whole verified ledger of the model; empty if the model has none. A process verifies an entry once."""
        return self._following.ledger(self.store)

    def whole(self) -> Ledger:
        """The same, after every entry was read and verified again: before something outside is moved by it."""
        return self._following.whole(self.store)

    def state(self, ledger: Ledger | None = None) -> State:
        """What the ledger says now, or what one that was read before says."""
        return self._following.state(self.ledger() if ledger is None else ledger)

    def _retained(self) -> Retention | None:
        """How long evidence must stay: by the policy that is being pinned, else by that of the newest release."""
        if self.pinned:
            return self.pinned.evidence
        newest = list(self.state().releases.values())[-1:]
        return self.policy(newest[0]).evidence if newest else None

    def policy(self, release: Release) -> Policy:
        """The policy that a release was opened under, whatever the file says now."""
        asked = release.step(Requested)
        return parse_policy(self.evidence.get(asked.policy_file), f"of release {release.id}")

    def release(self, name: str) -> Release:
        """What the ledger says about one release."""
        return self.state().release(name)

    def keep(self, value: object) -> Digest:
        """Store a JSON value as evidence, in canonical bytes."""
        return self.evidence.put(canonical(value))

    def recall(self, digest: Digest) -> object:
        """The JSON value that `keep` stored."""
        return parse(self.evidence.get(digest))

    def write(self, release: str | None, record: Record, actor: str = "pipeline") -> Ledger:
        """Append a record about `release`, or none, whatever else was appended meanwhile, if the rules allow it."""
        return self.decide(lambda _, __: (release, record), actor)

    def decide(self, decision: Callable[[Ledger, State], tuple[str | None, Record]], actor: str = "pipeline") -> Ledger:
        """Append what `decision` makes of the present ledger; decide again if another writer took the slot.

        Raises:
            SlotTaken: others were faster `_TRIES` times.
            Tampered: the record would break a rule of `headgate.state`.
        """
        for _ in range(_TRIES):
            ledger = self.ledger()
            release, record = decision(ledger, self.state(ledger))
            try:
                return self.append(ledger, release, record, actor)
            except SlotTaken:
                continue
        raise SlotTaken(
            f"ledger of {self.model}",
            got=f"another writer in the next slot, {_TRIES} times",
            expected="a free slot",
            next_step="try again",
        )

    def append(self, ledger: Ledger, release: str | None, record: Record, actor: str = "pipeline") -> Ledger:
        """Append a record that was decided from exactly this ledger.

        Raises:
            SlotTaken: the ledger has grown since: decide again.
            Tampered: the record would break a rule of `headgate.state`. Nothing is written then.
        """
        kind, body = KINDS[type(record)], record.model_dump(mode="json")
        at, nonce = now(), secrets.token_hex(16)
        entry, data = ledger.sealed(
            self.signer, kind=kind, actor=actor, body=body, release=release, time=at, nonce=nonce
        )
        advance(self.state(ledger), entry)
        grown = enter(self.store, ledger, entry, data)
        self._following.wrote(grown)
        return grown


def reopen(home: str, folder: str, release: str) -> Case:
    """The case of a release that was opened before.

    Raises:
        BadInput: the model has no such release.
    """
    case = Case(home=Path(home).resolve(), folder=Path(folder).resolve(), model=Path(folder).name, release=release)
    standing(case)
    return case


def standing(case: Case) -> Release:
    """Where a release stands, by its ledger."""
    return Desk(case.home, case.model).release(case.release)


def slug(text: str) -> str:
    """The key of a Prefect artifact: Prefect allows lowercase letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def demand_lines(subject: str, next_step: str, **given: str) -> None:
    """Nothing, if each of these texts is what may be recorded of a person: one line of visible signs.

    Raises:
        BadInput: one of them is not.
    """
    for what, text in given.items():
        if not text.strip() or not text.isprintable() or len(text) > LONGEST:
            expected = f"one line of at most {LONGEST:,} visible signs"
            raise BadInput(subject, got=f"{what} {text!r}", expected=expected, next_step=next_step)


def now() -> str:
    """The time, in UTC, as the ledger spells it."""
    return spelled(datetime.now(UTC))
