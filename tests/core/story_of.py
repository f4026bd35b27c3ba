"""Whole releases in memory, with real keys, real tallies and a real package: what the other tests take apart."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from tallies import binary

from headgate import sshsig
from headgate.approval import Statement, namespace, statement
from headgate.attestation import attestations
from headgate.calibration import NUMBERS, Calibration, Known, Silence, Trial
from headgate.canonical import canonical, digest_of
from headgate.checkpoint import sign
from headgate.dossier import calibrated, crosswalks, documents
from headgate.endorsement import VERDICTS, endorsements, judged_so
from headgate.entry import moment
from headgate.finding import DataReport, Finding
from headgate.judge import judge
from headgate.judgement import Judged
from headgate.ledger import Ledger, append
from headgate.lineage import FACETS, LINEAGE, packed
from headgate.materials import software_bill
from headgate.model_signature import sign_model
from headgate.package import CHECKPOINT, HISTORY, manifest, pinned
from headgate.plan import plan
from headgate.policy_file import parse
from headgate.record import Record
from headgate.records import (
    KINDS,
    ApprovalRequested,
    Approved,
    Evaluated,
    Failure,
    Packaged,
    Promoted,
    PromotionStarted,
    Registered,
    Rejected,
    Requested,
    Snapshot,
    Table,
    Trained,
    Validated,
)
from headgate.release import Release
from headgate.rollout import quorum, terms
from headgate.serving import ServingProfile
from headgate.signers import AllowedSigners
from headgate.signing import Signer, Verifier
from headgate.state import State, fold
from headgate.tally import Tally
from headgate.verdict import Verdict

POLICY = b"""
[model]
name = "tiny"
task = "binary"
owner = "modellers"
tier = "low"
purpose = "Shows how a release goes."

[data]
train = "train.csv"
evaluate = "evaluate.csv"
label = "y"
id = "row"
slices = ["sex"]
min_slice_rows = 30

[train]
estimator = "sklearn.linear_model.LogisticRegression"
params = { C = 0.5, max_iter = 200 }

[[gate]]
metric = "roc_auc"
min = 0.6

[[gate]]
name = "no-worse"
metric = "accuracy"
against = "champion"
max_decrease = 0.2
slices = "each"
without_champion = "omit"

[[gate]]
metric = "latency_p99_ms"
max = 50
owner = "platform"
playbook = "slow"

[approval]
roles = { risk = 1, product = 2 }
expires_hours = 48

[[rollout.stage]]
name = "broad"
alias = "champion"
needs = ["risk"]

[renewal]
certify_days = 90
review_by = 2027-06-01

[playbook]
data_refused = ["mend the data"]
gate_failed = ["find the rows", "release again"]
gate_undecided = ["collect rows"]
gate_error = ["repair the step"]
rejected = ["talk to them"]
slow = ["measure again"]
"""

STAGED = POLICY.replace(
    b"""name = "broad"
alias = "champion"
needs = ["risk"]
""",
    b"""name = "internal"
alias = "internal"
audience = { group = ["employee"] }
soak_minutes = 2

[[rollout.stage]]
name = "pilot"
alias = "pilot"
share = 0.05
soak_minutes = 3
min_requests = 20

[[rollout.stage]]
name = "broad"
alias = "champion"
needs = { risk = 1, product = 1 }
""",
)
"""The same through three stages, of which the last one needs a quorum for itself."""

SCHEMAS = Path(__file__).parents[2] / "headgate" / "schemas" / FACETS
MODEL, REQUESTER = "tiny", "dora@example.org"
ANA, BOB, CAT, DOLLY = "ana@example.org", "bob@example.org", "cat@example.org", "dolly@example.org"
START = datetime(2026, 7, 1, 12, tzinfo=UTC)


def _pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


SIGNER = Signer(_pem(ec.derive_private_key(20260701, ec.SECP256R1())))
VERIFIER = Verifier(SIGNER.public_pem)
KEYS = {
    name: _pem(ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))
    for number, name in enumerate((ANA, BOB, CAT, REQUESTER, "mallory@example.org"), 1)
}
KEYS[DOLLY] = KEYS[REQUESTER]


def line(person: str, *roles: str, key: str | None = None, options: str = "") -> str:
    """One line of allowed_signers."""
    named = ",".join(namespace(role) for role in roles)
    return f'{person} namespaces="{named}"{options} {sshsig.public_key(KEYS[key or person]).text}\n'


SIGNERS = "".join(
    (
        line(ANA, "risk"),
        line(BOB, "product"),
        line(CAT, "product", "risk"),
        line(REQUESTER, "product"),
        line(DOLLY, "product"),
    )
)


def time_at(minutes: float) -> str:
    """The time so many minutes after the stories begin."""
    return (START + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


class Shelf:
    """A store in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def put(self, name: str, data: bytes) -> bool:
        return self.files.setdefault(name, data) is data

    def get(self, name: str) -> bytes | None:
        return self.files.get(name)

    def names(self, prefix: str) -> list[str]:
        return sorted(name for name in self.files if name.startswith(prefix))


@dataclass
class Book:
    """A ledger that grows, and its evidence. It writes whatever it is told: the rules are what is tested."""

    policy_file: bytes = POLICY
    ledger: Ledger = field(default_factory=lambda: Ledger(MODEL))
    evidence: dict[str, bytes] = field(default_factory=dict)

    def put(self, data: bytes) -> str:
        self.evidence[digest_of(data)] = data
        return digest_of(data)

    def keep(self, value: object) -> str:
        return self.put(canonical(value))

    def say(self, release: str, record: Record, *, minutes: float | None = None) -> int:
        """Append a record and return its slot."""
        self.tell(release, KINDS[type(record)], record.model_dump(mode="json"), minutes=minutes)
        return self.ledger.size - 1

    def tell(self, release: str | None, kind: str, body: Any, *, minutes: float | None = None) -> None:
        slot = self.ledger.size
        at = time_at(slot if minutes is None else minutes)
        self.ledger = append(
            Shelf(), self.ledger, SIGNER,
            kind=kind, actor="pipeline", body=body, release=release, time=at, nonce=f"nonce-{slot:06}",
        )  # fmt: skip

    @property
    def state(self) -> State:
        return fold(MODEL, self.ledger.entries)

    def release(self, name: str) -> Release:
        return self.state.release(name)

    @property
    def slots(self) -> dict[int, bytes]:
        return dict(enumerate(self.ledger.stored))

    def copy(self) -> Book:
        return Book(self.policy_file, self.ledger, dict(self.evidence))


@functools.cache
def tallied(*, champion: bool, seed: int = 1, rows: int = 400) -> Tally:
    """The tally of seeded rows; the champion scores almost as the candidate does."""
    random = np.random.default_rng(seed)
    scores = random.random(rows)
    labels = (random.random(rows) < scores).astype(int)
    other = np.clip(scores + random.normal(0, 0.02, rows), 0, 1) if champion else None
    return binary(labels, scores, {"sex": random.choice(["f", "m"], rows)}, champion=other)


SERVING = ServingProfile(latencies_us=tuple(range(5_000, 5_400)), loads_ms=(3.0,), peak_memory_mib=200.0)
DIGEST = digest_of(b"anything")
ENVIRONMENT = software_bill([("scikit-learn", "1.9.1"), ("numpy", "2.4.0")], "3.11.2")


def requested(book: Book, champion: int | None) -> Requested:
    policy = parse(book.policy_file, "of the story")
    return Requested(
        requester=REQUESTER,
        folder="/expectations/tiny",
        policy=book.keep(policy.model_dump(mode="json")),
        policy_file=book.put(book.policy_file),
        training_suite=book.put(b"{}"),
        evaluation_suite=book.put(b'{"expectations":[]}'),
        training="train.csv",
        evaluation="evaluate.csv",
        champion=champion,
    )


def snapshot() -> Snapshot:
    table = Table(origin="x.csv", digest=DIGEST, suffix=".csv", size=9, rows=400, columns=("row", "y", "sex"))
    return Snapshot(training=table, evaluation=table)


def validated(book: Book, verdict: Verdict = Verdict.PASS) -> Validated:
    report = DataReport(findings=(Finding(check="rows", table="both", verdict=verdict, reason="400 of 400"),))
    return Validated(verdict=report.verdict, report=book.keep(report.model_dump(mode="json")))


def trained(book: Book) -> Trained:
    kept = {"estimator": book.put(b"model bytes"), "environment": book.put(ENVIRONMENT)}
    return Trained(**kept, format="skops", features=("age", "sex"), seconds=1.5)


def registered(book: Book, version: int, **changes: Any) -> Registered:
    files = {"MLmodel": DIGEST}
    signature = book.put(sign_model(SIGNER, f"{MODEL}/{version}", files))
    made = {"version": version, "run": f"run{version}", "source": f"models:/m-{version}", "files": files}
    return Registered(**{**made, "signature": signature, **changes})


def evaluated(book: Book, champion: int | None, *, serving: ServingProfile | None = SERVING) -> Evaluated:
    tally = tallied(champion=champion is not None)
    judged = judge(parse(book.policy_file, "of the story"), tally, serving, has_champion=champion is not None)
    return Evaluated(
        verdict=judged.verdict,
        judged=book.keep(judged.model_dump(mode="json")),
        tally=book.put(tally.to_bytes()),
        serving=None if serving is None else book.put(serving.to_bytes()),
        champion=champion,
    )


def judged_of(book: Book, release: str) -> Judged:
    return Judged.model_validate_json(book.evidence[book.release(release).step(Evaluated).judged])


def known_of(stands: Release) -> Known:
    """A calibration of the release's gates on its table, with another that was unsound."""
    tried = {"gate": "roc-auc", "slice": "all", "runs": 200}
    trials = (
        Trial(world="fault", fault="labels_flipped", told="a fifth of the labels", event="halt", times=199, **tried),
        Trial(world="at the limit", event="false pass", value=0.6, limit=0.6, times=7, declared=0.05, **tried),
        Trial(world="itself", event="false halt", value=0.8, limit=0.6, times=0, declared=0.01, **tried),
    )
    made = {"made": "a model fitted for this", "version": None, "rows": 400, "runs": 200, "seed": 1, "alpha": 0.05}
    best = Calibration(
        policy=stands.step(Requested).policy,
        evaluation=stands.step(Snapshot).evaluation.digest,
        trials=trials,
        silences=(Silence(fault="leak", reason="no ceiling was set", excused=True),),
        notes=("nothing else was left out",),
        **made,
    )
    return Known(best=best, others=1, unsound=1)


def files_of(book: Book, release: str) -> dict[str, bytes]:
    """The files of a release's package."""
    policy, stands, judged = parse(book.policy_file, "of the story"), book.release(release), judged_of(book, release)
    files = {
        **{name: book.evidence[digest] for name, digest in pinned(stands).items()},
        **documents(policy, stands, book.evidence.__getitem__),
        LINEAGE: packed(book.ledger, book.evidence.__getitem__, release),
        FACETS: SCHEMAS.read_bytes(),
        "allowed_signers": SIGNERS.encode(),
        HISTORY: b"".join(entry + b"\n" for entry in book.ledger.stored),
        CHECKPOINT: sign(book.ledger, SIGNER).note,
        **attestations(SIGNER, stands, judged),
        **endorsements(SIGNER, stands, {VERDICTS: judged_so(stands, judged)}),
        "pipeline.pub": SIGNER.public_pem,
        NUMBERS: known_of(stands).to_bytes(),
        **calibrated(stands, known_of(stands).to_bytes()),
    }
    return {**files, **crosswalks({name: digest_of(data) for name, data in files.items()})}


def packaged(book: Book, release: str) -> Packaged:
    files = files_of(book, release)
    for data in files.values():
        book.put(data)
    return Packaged(package=book.put(manifest(files)))


def minutes(book: Book) -> int:
    """When the newest entry was written, in minutes since the stories begin."""
    return int((moment(book.ledger.entries[-1].time) - START).total_seconds()) // 60


def asked(book: Book, stage: str | None = None) -> ApprovalRequested:
    policy = parse(book.policy_file, "of the story")
    return ApprovalRequested(
        roles=quorum(policy, stage),
        expires=time_at((book.ledger.size if stage is None else minutes(book)) + 48 * 60),
        rollout=terms(policy) if stage is None else (),
        stage=stage,
    )


def signed(spoken: Statement, key: str | None = None, role: str | None = None) -> tuple[bytes, bytes]:
    """A statement's text and a signature over it, by default its own person's in its own role."""
    text = spoken.text()
    return text, sshsig.sign(KEYS[key or spoken.person], text, namespace(role or spoken.role)).encode()


def answered(
    book: Book, release: str, person: str, role: str, *, reason: str | None = None, signers: str = SIGNERS
) -> Approved:
    """A person's yes, or no with a reason, for what the ledger holds now."""
    spoken = statement(
        book.ledger,
        book.release(release),
        person=person,
        role=role,
        decision="approve" if reason is None else "reject",
        reason=reason or "",
    )
    text, signature = signed(spoken)
    common = {
        "role": role,
        "person": person,
        "key": sshsig.public_key(KEYS[person]).fingerprint,
        "statement": book.put(text),
        "signature": book.put(signature),
        "signers": book.put(signers.encode()),
    }
    return Approved(**common) if reason is None else Rejected(**common, reason=reason)


def intention(book: Book, release: str) -> PromotionStarted:
    stands = book.release(release)
    alias = stands.next_stage.alias if stands.next_stage else "champion"
    return PromotionStarted(
        alias=alias,
        old=book.state.aliases.get(alias),
        new=stands.step(Registered).version,
        package=stands.step(Packaged).package,
        policy=stands.step(Requested).policy,
        approvals=tuple(a.seq for a in stands.approvals),
    )


def done(book: Book) -> Promoted:
    open_one = book.state.intention
    assert open_one is not None
    record = open_one.record
    serves = book.release(open_one.release or "").serves
    return Promoted(alias=record.alias, old=record.old, new=record.new, started=open_one.seq, serves=serves)


STEPS = ("requested", "snapshot", "validated", "trained", "registered", "evaluated", "packaged", "asked")
PEOPLE = ((ANA, "risk"), (BOB, "product"), (CAT, "product"))


def take(book: Book, release: str, *, version: int = 1, champion: int | None = None, until: str = "asked") -> Book:
    """The steps of a good release, up to one of them."""
    makers: dict[str, Any] = {
        "requested": lambda: requested(book, champion),
        "snapshot": snapshot,
        "validated": lambda: validated(book),
        "trained": lambda: trained(book),
        "registered": lambda: registered(book, version),
        "evaluated": lambda: evaluated(book, champion),
        "packaged": lambda: packaged(book, release),
        "asked": lambda: asked(book),
    }
    for step in STEPS[: STEPS.index(until) + 1]:
        book.say(release, makers[step]())
    return book


def approve(book: Book, release: str, people: Iterable[tuple[str, str]] = PEOPLE) -> Book:
    for person, role in people:
        book.say(release, answered(book, release, person, role))
    return book


def promote(book: Book, release: str) -> Book:
    book.say(release, intention(book, release))
    book.say(release, done(book))
    return book


def halt(book: Book, release: str, step: str, what: str, verdict: Any, situation: str | None = None) -> Book:
    failure = Failure(what=what, verdict=verdict, reason="as found")
    book.say(release, plan(parse(book.policy_file, "x"), step, [failure], situation=situation))
    return book


@functools.cache
def _waiting() -> Book:
    return take(Book(), "tiny-1")


@functools.cache
def _whole() -> Book:
    book = promote(approve(_waiting().copy(), "tiny-1"), "tiny-1")
    promote(approve(take(book, "tiny-2", version=2, champion=1), "tiny-2"), "tiny-2")
    take(book, "tiny-3", champion=2, until="snapshot")
    book.say("tiny-3", validated(book, Verdict.FAIL))
    halt(book, "tiny-3", "validate", "rows (both)", "FAIL", "data_refused")
    take(book, "tiny-4", version=3, champion=2)
    book.say("tiny-4", answered(book, "tiny-4", ANA, "risk", reason="not before the summer"))
    return halt(book, "tiny-4", "approve", f"{ANA} as risk", "FAIL", "rejected")


def waiting() -> Book:
    """A release that waits for approval."""
    return _waiting().copy()


def whole() -> Book:
    """Two releases promoted, the second against the first; one halted by its data, one by a person."""
    return _whole().copy()


def signers(text: str = SIGNERS) -> AllowedSigners:
    return AllowedSigners.parse(text)
