"""What the ledger's entries say. A record names by digest everything that it relied on; its rule stands in `state`."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import Field, model_validator

from headgate.alarm import AlarmClosed, Alarmed, AlarmOverdue, Drilled, Monitored, StepTaken
from headgate.entry import Digest
from headgate.errors import Tampered
from headgate.phase import Soaked, Terms
from headgate.record import Record, Time
from headgate.verdict import NamedVerdict, Verdict
from headgate.waived import Waived, WaiverRevoked
from headgate.watch import (
    Escalated,
    Incident,
    IncidentClosed,
    Notified,
    Reminded,
    RollbackStarted,
    RolledBack,
    Withdrawn,
)


class Table(Record):
    """A table of rows, pinned by the digest of its file's whole content."""

    origin: str
    digest: Digest
    suffix: Literal[".csv", ".parquet"]
    size: int
    rows: int
    columns: tuple[str, ...]

    @property
    def file(self) -> str:
        """The name of the file that it was read from."""
        return self.origin.rpartition("/")[2]


class Requested(Record):
    """A release begins, before the first row is read: who asked for what, under which policy, who trains, which run."""

    requester: str
    folder: str
    policy: Digest
    policy_file: Digest
    training_suite: Digest
    evaluation_suite: Digest
    training: str
    evaluation: str
    champion: int | None
    scenarios: Digest | None = None
    trainer: str | None = None
    run: str | None = None


class Snapshot(Record):
    """The rows are copied and their full content is digested."""

    training: Table
    evaluation: Table


class Validated(Record):
    """The data gate's verdict and its report (a `DataReport`)."""

    verdict: NamedVerdict
    report: Digest


class Trained(Record):
    """A candidate is fitted: bytes, format, the features it reads in order, and the bill of the software around it."""

    estimator: Digest
    environment: Digest
    format: Literal["skops", "cloudpickle"]
    features: tuple[str, ...]
    seconds: float


class Registered(Record):
    """The candidate is a version in MLflow's registry; `files` has each file's digest, `signature` signs them."""

    version: int
    run: str
    source: str
    files: dict[str, Digest]
    signature: Digest


class Evaluated(Record):
    """The gates' verdict, the judgements (a `Judged`) and the evidence that they were computed from.

    Attributes:
        waived: the slots of the waivers that were applied, ascending. They change neither verdict nor judgements.
        unwaived: the worst verdict that no waiver covers; None if no waiver was applied.
    """

    verdict: NamedVerdict
    judged: Digest
    tally: Digest
    serving: Digest | None
    champion: int | None
    challenges: Digest | None = None
    waived: tuple[int, ...] = ()
    unwaived: NamedVerdict | None = None

    @model_validator(mode="after")
    def _both_or_neither(self) -> Evaluated:
        if (self.unwaived is None) != (self.waived == ()):
            raise ValueError("waived and unwaived are given together or not at all")
        return self

    @property
    def standing(self) -> Verdict:
        """What the release goes on with: the verdict, or what the waivers leave of it."""
        return self.verdict if self.unwaived is None else self.unwaived


class Packaged(Record):
    """The release package is complete: the digest of its manifest."""

    package: Digest


class ApprovalRequested(Record):
    """People are asked: the quorum per role, until when it counts, and which roles may agree without a signature.

    Attributes:
        rollout: the stages in order; empty in a ledger from before there were several: one, which the policy names.
        stage: the stage that needs this quorum for itself; None for the release.
    """

    roles: Annotated[dict[str, Annotated[int, Field(ge=1)]], Field(min_length=1)]
    expires: Time
    clicks: tuple[str, ...] = ()
    rollout: tuple[Terms, ...] = ()
    stage: str | None = None


class Approved(Record):
    """A person agreed, in a role, by a signature over the statement's exact bytes.

    Attributes:
        assurance: `ui-click` where nobody signed: whoever could open the page typed this name.
    """

    role: str
    person: str
    key: str | None
    statement: Digest
    signature: Digest | None
    signers: Digest
    assurance: Literal["ssh", "ui-click"] = "ssh"

    @model_validator(mode="after")
    def _signed(self) -> Approved:
        if (self.assurance == "ssh") != (self.key is not None) or (self.key is None) != (self.signature is None):
            raise ValueError("a key and a signature go together, and a click has neither")
        return self


class Rejected(Approved):
    """A person declined, by a signature too."""

    reason: str


class PromotionStarted(Record):
    """The intention to move an alias. A competitor loses here."""

    alias: str
    old: int | None
    new: int
    package: Digest
    policy: Digest
    approvals: tuple[int, ...]


class Promoted(Record):
    """The alias was moved and read back.

    Attributes:
        started: the slot of the intention. serves: whom the stage serves, in words; None for the last one.
    """

    alias: str
    old: int | None
    new: int
    started: int
    serves: str | None = None


class PromotionUndone(Record):
    """An open intention was given up, and the alias is where it was."""

    alias: str
    now: int | None
    started: int
    why: str


class Failure(Record):
    """One thing that failed, with its arithmetic."""

    what: str
    verdict: NamedVerdict
    reason: str


class Halted(Record):
    """The release ended, and no alias points to its version: what failed, who owns it, what comes next."""

    step: str
    verdict: NamedVerdict
    failures: Annotated[tuple[Failure, ...], Field(min_length=1)]
    owner: str
    playbook: str
    next_step: str
    then: tuple[str, ...]


RECORDS: dict[str, type[Record]] = {
    "requested": Requested,
    "snapshot": Snapshot,
    "validated": Validated,
    "trained": Trained,
    "registered": Registered,
    "evaluated": Evaluated,
    "packaged": Packaged,
    "approval_requested": ApprovalRequested,
    "approved": Approved,
    "rejected": Rejected,
    "promotion_started": PromotionStarted,
    "promoted": Promoted,
    "promotion_undone": PromotionUndone,
    "soaked": Soaked,
    "halted": Halted,
    "waived": Waived,
    "waiver_revoked": WaiverRevoked,
    "rollback_started": RollbackStarted,
    "rolled_back": RolledBack,
    "incident": Incident,
    "incident_closed": IncidentClosed,
    "reminded": Reminded,
    "escalated": Escalated,
    "approval_withdrawn": Withdrawn,
    "notified": Notified,
    "monitored": Monitored,
    "alarmed": Alarmed,
    "step_taken": StepTaken,
    "alarm_overdue": AlarmOverdue,
    "alarm_closed": AlarmClosed,
    "drilled": Drilled,
}
"""The kinds of entry. Of another kind no state is derived."""

KINDS = {record: kind for kind, record in RECORDS.items()}


def record_of(kind: str, body: dict[str, Any]) -> Record:
    """The record that a ledger entry holds.

    Raises:
        Tampered: the kind is unknown, or the body does not have its shape.
    """
    if kind not in RECORDS:
        raise Tampered("ledger entry", got=f"kind '{kind}'", expected=f"one of {sorted(RECORDS)}", next_step=_NEXT)
    try:
        return RECORDS[kind].model_validate_json(_json(body))
    except ValueError as error:
        raise Tampered(f"ledger entry '{kind}'", got=str(error), expected="its shape", next_step=_NEXT) from error


def relied_on(record: Record) -> tuple[Digest, ...]:
    """The digests of the evidence that a record names.

    Rows and registered files are kept elsewhere and checked whenever they are loaded: `Snapshot` names no evidence.
    """
    hints = get_type_hints(type(record), include_extras=True)
    one = (value for name, value in record if hints[name] in (Digest, Digest | None) and value is not None)
    several = record.signatures if isinstance(record, Waived) else ()
    return tuple(dict.fromkeys((*one, *several)))


def _json(body: dict[str, Any]) -> bytes:
    # Strict validation takes a JSON array for a tuple, but not a Python list.
    return json.dumps(body, allow_nan=False).encode()


_NEXT = "read the ledger with the version of Headgate that wrote it, or run `headgate audit`"
