"""Lineage: what a ledger tells as OpenLineage's events, for the tools that draw and search where things come from.

Nothing is stored for it: the events are derived from the ledger and the evidence that it names, so that they can be
made again at any time, and are the same to the byte. A longer ledger only adds events at the end.

A release is a run of the job ``MODEL.release``; each step that left a record is a run below it. A step starts when the
entry before it was written, and completes with its own. It fails if the release cannot go on from it: that the step
itself worked is no success. A promotion starts with its intention, and is aborted if that is given up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from headgate import facets as f
from headgate import records as r
from headgate.canonical import canonical, digest_of
from headgate.entry import Digest, Entry
from headgate.facets import HOUSE, PRODUCER, RUN_EVENT, Json
from headgate.finding import DataReport
from headgate.judgement import Judged
from headgate.ledger import Ledger
from headgate.phase import Soaked
from headgate.record import Record
from headgate.records import record_of
from headgate.release import Release
from headgate.state import State, fold
from headgate.verdict import Verdict
from headgate.watch import Escalated, Reminded, Withdrawn

LINEAGE = "lineage.ndjson"
"""A release's events up to its packaging, in its package: one per line, in canonical JSON."""

FACETS = "lineage-facets.json"
"""The JSON Schema of our own facets, beside them."""

Evidence = Callable[[Digest], bytes]
"""The bytes behind a digest."""

_RUNS = uuid5(NAMESPACE_URL, PRODUCER)


@dataclass(frozen=True)
class _At:
    """An entry of a release, with what its events are made of.

    Attributes:
        opened: the entry that opened the release. before: the release's entry before this one.
    """

    ledger: Ledger
    state: State
    evidence: Evidence
    entry: Entry
    opened: Entry
    before: Entry

    @property
    def model(self) -> str:
        return self.ledger.model

    @property
    def name(self) -> str:
        return str(self.entry.release)

    @property
    def release(self) -> Release:
        return self.state.release(self.name)

    @property
    def registered(self) -> r.Registered:
        return self.release.step(r.Registered)

    def run(self, step: str = "") -> str:
        """The id of a run. The opening entry's nonce is in it: two homes may have a release of the same name."""
        return str(uuid5(_RUNS, "/".join((self.opened.nonce, self.model, self.name, step))))

    def kept(self, what: str, digest: Digest) -> Json:
        """Evidence as a dataset."""
        return f.dataset(HOUSE, f"{self.model}.{what}", "FILE", digest)

    def is_last(self, alias: str) -> bool:
        """Whether an alias is the last stage's."""
        return self.release.last_alias(alias) == alias

    def traffic(self, name: str, **more: Json) -> tuple[Json, ...]:
        """Whom the stage of this name or alias serves, where people were told of stages."""
        return tuple(f.traffic(self.model, t, **more) for t in self.release.rollout if name in (t.name, t.alias))

    def candidate(self) -> Json:
        return f.version(self.model, self.registered.version, self.registered)


@dataclass(frozen=True)
class _Done:
    """What a step did: its facets, what went in and what came out, and why the release cannot go on, if so."""

    facets: Json = field(default_factory=dict)
    inputs: tuple[Json, ...] = ()
    outputs: tuple[Json, ...] = ()
    failure: str = ""


def events(
    ledger: Ledger, evidence: Evidence, *, release: str | None = None, since: int = 0, until: int | None = None
) -> Iterator[Json]:
    """The events of a model's releases, or of one, in the order of the ledger.

    Args:
        since, until: only of the slots from here, up to before there.

    Raises:
        Tampered: the ledger breaks a rule, or evidence is not what the ledger names.
        Unavailable: evidence cannot be read.
    """
    state = fold(ledger.model, ledger.entries)
    opened: dict[str, Entry] = {}
    before: dict[str, Entry] = {}
    for entry in ledger.entries[:until]:
        if entry.release is None:
            continue
        at = _At(
            ledger, state, evidence, entry, opened.setdefault(entry.release, entry), before.get(entry.release, entry)
        )
        before[entry.release] = entry
        if entry.seq >= since and release in (None, entry.release):
            yield from _told(at, record_of(entry.kind, dict(entry.body)))


def render(events: Iterable[Json]) -> bytes:
    """Events as newline-delimited canonical JSON."""
    return b"".join(canonical(event) + b"\n" for event in events)


def packed(ledger: Ledger, evidence: Evidence, release: str) -> bytes:
    """The file `LINEAGE` of a release's package: its events up to the packaging."""
    packaged = (e.seq for e in ledger.entries if (e.release, e.kind) == (release, r.KINDS[r.Packaged]))
    return render(events(ledger, evidence, release=release, until=next(packaged, ledger.size)))


def _told(at: _At, record: Record) -> Iterator[Json]:
    if isinstance(record, r.Requested):
        yield _event(at, "START", "", at.entry.time, _Done(_parameters(record)))
    elif isinstance(record, r.PromotionStarted):
        yield _event(at, "START", f"promote/{at.entry.seq}", at.entry.time, _intended(at, record, "started"))
    elif isinstance(record, r.Promoted | r.PromotionUndone):
        yield _closed(at, record)
    elif not isinstance(record, _BESIDE):
        yield from _step(at, record)
    if isinstance(record, r.Halted) or (isinstance(record, r.Promoted) and at.is_last(record.alias)):
        yield _ended(at, record)


# They change who is waited for, and nothing that a version is made from. What a promotion relied on says itself.
_BESIDE = (Reminded, Escalated, Withdrawn)


def _step(at: _At, record: Record) -> Iterator[Json]:
    name, done = _STEPS[type(record)]
    # What happens once in a release needs no number to be told from others.
    again = isinstance(record, r.Approved | Soaked) or getattr(record, "stage", None)
    step = f"{name}/{at.entry.seq}" if again else name
    told = done(at, record)
    yield _event(at, "START", step, at.before.time, _Done())
    yield _event(at, "FAIL" if told.failure else "COMPLETE", step, at.entry.time, told)


def _closed(at: _At, record: r.Promoted | r.PromotionUndone) -> Json:
    start = at.ledger.entries[record.started]
    intended = record_of(start.kind, dict(start.body))
    assert isinstance(intended, r.PromotionStarted)  # noqa: S101 - by the rules of `headgate.state`
    step = f"promote/{record.started}"
    if isinstance(record, r.PromotionUndone):
        told = _intended(at, intended, "undone", record.started, why=record.why)
        return _event(at, "ABORT", step, at.entry.time, told)
    told = _intended(at, intended, "promoted", record.started)
    inputs = (at.candidate(), at.kept("package", intended.package))
    outputs = (f.alias(at.model, intended, at.registered), *at.traffic(record.alias))
    return _event(at, "COMPLETE", step, at.entry.time, _Done(told.facets, inputs, outputs))


def _intended(at: _At, record: r.PromotionStarted, outcome: str, slot: int | None = None, **why: str) -> _Done:
    relied_on = [a for a in at.release.answers if a.seq in record.approvals]
    moved = f.promotion(record, at.entry.seq if slot is None else slot, outcome, **why)
    return _Done(moved | f.approvals(relied_on, package=record.package))


def _ended(at: _At, record: r.Promoted | r.Halted) -> Json:
    if isinstance(record, r.Promoted):
        return _event(at, "COMPLETE", "", at.entry.time, _Done())
    found = "; ".join(f"{x.verdict.name} {x.what}: {x.reason}" for x in record.failures)
    return _event(at, "FAIL", "", at.entry.time, _Done(failure=f"halted at {record.step}: {found}"))


def _event(at: _At, kind: str, step: str, time: str, done: _Done) -> Json:
    entry = f.facet("headgate_entry", slot=at.entry.seq, entry=digest_of(at.ledger.stored[at.entry.seq]))
    failed = f.facet("errorMessage", message=done.failure, programmingLanguage="PYTHON") if done.failure else {}
    return {
        "eventType": kind,
        "eventTime": time,
        "producer": PRODUCER,
        "schemaURL": RUN_EVENT,
        "run": {"runId": at.run(step), "facets": entry | _parent(at, step) | failed | done.facets},
        "job": {"namespace": HOUSE, "name": _job(at, step), "facets": _job_type("TASK" if step else "DAG")},
        "inputs": list(done.inputs),
        "outputs": list(done.outputs),
    }


def _job(at: _At, step: str = "") -> str:
    return ".".join(part for part in (at.model, "release", step.partition("/")[0]) if part)


def _job_type(kind: str) -> Json:
    return f.facet("jobType", processingType="BATCH", integration="HEADGATE", jobType=kind)


def _parent(at: _At, step: str) -> Json:
    above = {"run": {"runId": at.run()}, "job": {"namespace": HOUSE, "name": _job(at)}}
    return f.facet("parent", **above, root=above) if step else {}


def _parameters(record: r.Requested) -> Json:
    given = {"requester": record.requester, "policy": record.policy, "champion": str(record.champion or "none")}
    return f.facet("executionParameters", parameters=[{"key": key, "value": value} for key, value in given.items()])


def _snapshot(at: _At, record: r.Snapshot) -> _Done:
    tables = {"training": record.training, "evaluation": record.evaluation}
    # One file may be both tables: a dataset is named once.
    origins = {
        (found["namespace"], found["name"]): found for t in tables.values() for found in [f.rows(t, **f.read(t))]
    }
    pinned = tuple(f.rows(t, f"{at.model}.{name}", **f.written(t)) for name, t in tables.items())
    return _Done(inputs=tuple(origins.values()), outputs=pinned)


def _validated(at: _At, record: r.Validated) -> _Done:
    report, rows = DataReport.model_validate_json(at.evidence(record.report)), at.release.step(r.Snapshot)
    inputs = tuple(
        f.rows(table, f"{at.model}.{name}", **f.read(table, f.assertions(report, name)))
        for name, table in (("training", rows.training), ("evaluation", rows.evaluation))
    )
    verdict = record.verdict.name
    said = f.facet("headgate_verdicts", gate="data", verdict=verdict, standing=verdict, evidence=record.report)
    failed = f"the data gate says {verdict}" if record.verdict is not Verdict.PASS else ""
    return _Done(said, inputs, (at.kept("data-report", record.report),), failed)


def _trained(at: _At, record: r.Trained) -> _Done:
    table = at.release.step(r.Snapshot).training
    return _Done(
        inputs=(f.rows(table, f"{at.model}.training", **f.read(table)),), outputs=(f.estimator(at.model, record),)
    )


def _registered(at: _At, record: r.Registered) -> _Done:
    return _Done(inputs=(f.estimator(at.model, at.release.step(r.Trained)),), outputs=(at.candidate(),))


def _evaluated(at: _At, record: r.Evaluated) -> _Done:
    judged, waivers = Judged.model_validate_json(at.evidence(record.judged)), at.release.waivers
    table = at.release.step(r.Snapshot).evaluation
    inputs = (f.rows(table, f"{at.model}.evaluation", **f.read(table)), at.candidate(), *_champion(at, record.champion))
    standing = record.standing.name
    failed = f"the gates say {standing}" if record.standing is not Verdict.PASS else ""
    said = f.tests(judged, waivers) | f.verdicts(judged, record, waivers)
    return _Done(said, inputs, (at.kept("verdicts", record.judged),), failed)


def _champion(at: _At, number: int | None) -> Iterator[Json]:
    if number is not None:
        maker = at.state.maker(number)
        yield f.version(at.model, number, None if maker is None else maker.step(r.Registered))


def _packaged(at: _At, record: r.Packaged) -> _Done:
    inputs = (at.candidate(), at.kept("verdicts", at.release.step(r.Evaluated).judged))
    return _Done(inputs=inputs, outputs=(at.kept("package", record.package),))


def _asked(at: _At, record: r.ApprovalRequested) -> _Done:
    package = at.release.step(r.Packaged).package
    terms = f.approvals((), package=package, quorum=record.roles, expires=record.expires)
    return _Done(terms, (at.kept("package", package),))


def _answered(at: _At, record: r.Approved) -> _Done:
    package = at.release.step(r.Packaged).package
    said = [a for a in at.release.answers if a.seq == at.entry.seq]
    declined = f"{record.person} as {record.role}: {record.reason}" if isinstance(record, r.Rejected) else ""
    return _Done(f.approvals(said, package=package), (at.kept("package", package),), failure=declined)


def _soaked(at: _At, record: Soaked) -> _Done:
    answered = {"inputFacets": f.facet("inputStatistics", rowCount=record.requests)}
    return _Done(inputs=(at.candidate(), *at.traffic(record.stage, **answered)))


def _halted(at: _At, record: r.Halted) -> _Done:
    return _Done()


_STEPS: dict[type[Record], tuple[str, Callable[[_At, Any], _Done]]] = {
    r.Snapshot: ("snapshot", _snapshot),
    r.Validated: ("validate", _validated),
    r.Trained: ("train", _trained),
    r.Registered: ("register", _registered),
    r.Evaluated: ("evaluate", _evaluated),
    r.Packaged: ("package", _packaged),
    r.ApprovalRequested: ("approve", _asked),
    Soaked: ("soak", _soaked),
    r.Approved: ("answer", _answered),
    r.Rejected: ("answer", _answered),
    r.Halted: ("halt", _halted),
}
"""The job of each kind of entry, named as the flow's task, and what tells of it."""
