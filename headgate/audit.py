"""The audit: one pure function from what is stored and what the outside shows to everything that is wrong with it.

It believes nothing that it can recompute: the chain, the signatures, the rules of a release, the bytes behind every
digest, the policy, the package, the verdicts from the report and the tallies, the quorum, and the approvals. What it
finds it names, with the smallest witness.

What it cannot see: entries cut off the end of a ledger whose reader never saw them; a name's key that was never theirs,
unless it is given the signers as they are known elsewhere; and anything else done by whoever holds the pipeline's key
and the store, unless a person approved afterwards: their signature covers the ledger's root.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from headgate.approval import moment, objections
from headgate.canonical import canonical, digest_of
from headgate.entry import Digest, unseal
from headgate.errors import HeadgateError, Tampered
from headgate.finding import DataReport
from headgate.judge import judge
from headgate.ledger import Anomaly, Ledger, check
from headgate.package import HISTORY, pinned
from headgate.policy import Policy
from headgate.policy_file import parse
from headgate.records import (
    KINDS,
    ApprovalRequested,
    Approved,
    Evaluated,
    Packaged,
    PromotionStarted,
    Record,
    Rejected,
    Requested,
    Validated,
    record_of,
    relied_on,
)
from headgate.release import Release
from headgate.serving import ServingProfile
from headgate.signers import AllowedSigners
from headgate.signing import Verifier
from headgate.state import State, advance
from headgate.tally import Tally


@dataclass(frozen=True)
class Findings:
    """What an audit looked at and what was wrong.

    Attributes:
        entries, digests, verdicts, approvals: how many were checked; nothing checked is not "all well".
        anomalies: everything that is wrong, in the order of the ledger. Beside those of `Anomaly`, the names are
            ``changed_evidence``, ``missing_evidence``, ``broken_rule``, ``not_recomputable``, ``wrong_policy``,
            ``other_champion``, ``other_verdict``, ``other_package``, ``other_quorum``, ``void_approval``,
            ``unknown_signer``, ``other_alias`` and ``moved_alias``.
    """

    entries: int
    digests: int
    verdicts: int
    approvals: int
    anomalies: tuple[Anomaly, ...]


@dataclass
class _Walk:
    model: str
    evidence: Mapping[Digest, bytes]
    signers: AllowedSigners | None
    checked: dict[str, int] = field(default_factory=lambda: {"digests": 0, "verdicts": 0, "approvals": 0})

    def get(self, digest: Digest) -> bytes:
        if digest not in self.evidence:
            raise Tampered(
                f"evidence {digest}", got="nothing", expected="its bytes", next_step="restore it from a copy"
            )
        return self.evidence[digest]

    def policy(self, release: Release) -> Policy:
        return parse(self.get(release.step(Requested).policy_file), f"of release {release.id}")


@dataclass(frozen=True)
class _Place:
    """An entry in its place: `release` as it stands after it, `aliases` and `before` as they stood before it."""

    slot: int
    time: str
    release: Release
    aliases: Mapping[str, int]
    before: Ledger

    def anomaly(self, name: str, got: object, expected: object) -> Anomaly:
        return Anomaly(name, self.slot, str(got), str(expected))


def audit(
    model: str,
    slots: Mapping[int, bytes],
    verifier: Verifier,
    evidence: Mapping[Digest, bytes],
    live: Mapping[str, int | None] | None = None,
    *,
    signers: AllowedSigners | None = None,
) -> Findings:
    """Everything that is wrong with the records of one model.

    Args:
        slots: the ledger's stored bytes by slot. evidence: all stored evidence by the digest it is stored under.
        live: the version behind each alias as the registry shows it, where an alias that is absent points to nothing;
            None if the registry was not asked.
        signers: everybody who could ever sign, as known from outside the store; None to believe the recorded files.
    """
    walk = _Walk(model, {d: data for d, data in evidence.items() if digest_of(data) == d}, signers)
    found = list(check(slots, model, verifier))
    found += [
        Anomaly("changed_evidence", -1, digest_of(evidence[d]), d) for d in evidence.keys() - walk.evidence.keys()
    ]
    if not any(a.slot >= 0 for a in found):
        found += _contents(walk, _ledger(model, slots, verifier), live)
    return Findings(entries=len(slots), anomalies=tuple(found), **walk.checked)


def _ledger(model: str, slots: Mapping[int, bytes], verifier: Verifier) -> Ledger:
    stored = tuple(slots[slot] for slot in sorted(slots))
    return Ledger(model, tuple(unseal(data, verifier)[0] for data in stored), stored)


def _contents(walk: _Walk, ledger: Ledger, live: Mapping[str, int | None] | None) -> Iterator[Anomaly]:
    state = State(walk.model)
    for slot, entry in enumerate(ledger.entries):
        aliases = state.aliases
        try:
            state = advance(state, entry)
        except HeadgateError as error:
            yield Anomaly("broken_rule", slot, error.got, error.expected)
            return
        before = Ledger(ledger.model, ledger.entries[:slot], ledger.stored[:slot])
        place = _Place(slot, entry.time, state.releases[str(entry.release)], aliases, before)
        record = record_of(entry.kind, dict(entry.body))
        yield from _absent(walk, place, relied_on(record))
        yield from _recomputed(walk, place, record)
    if live is not None:
        yield from _aliases(state, ledger.size - 1, live)


def _absent(walk: _Walk, at: _Place, digests: tuple[Digest, ...]) -> Iterator[Anomaly]:
    walk.checked["digests"] += len(digests)
    missing = (digest for digest in digests if digest not in walk.evidence)
    yield from (at.anomaly("missing_evidence", "nothing", f"the evidence {digest}") for digest in missing)


def _recomputed(walk: _Walk, at: _Place, record: Record) -> Iterator[Anomaly]:
    try:
        yield from _AGAIN.get(type(record), _nothing)(walk, at, record)
    except Exception as error:  # whatever forged evidence causes is a finding, and the walk goes on
        yield at.anomaly("not_recomputable", f"{type(error).__name__}: {error}", f"a sound '{KINDS[type(record)]}'")


def _nothing(walk: _Walk, at: _Place, record: Record) -> Iterator[Anomaly]:
    yield from ()


def _policy(walk: _Walk, at: _Place, record: Requested) -> Iterator[Anomaly]:
    policy = walk.policy(at.release)
    if (policy.digest, policy.model.name) != (record.policy, walk.model):
        expected = f"{policy.digest} of {policy.model.name}, by the policy's own content"
        yield at.anomaly("wrong_policy", f"{record.policy} of {walk.model}", expected)
    if record.champion != at.aliases.get(policy.alias):
        yield at.anomaly("other_champion", record.champion, f"{at.aliases.get(policy.alias)} behind '{policy.alias}'")


def _data(walk: _Walk, at: _Place, record: Validated) -> Iterator[Anomaly]:
    walk.checked["verdicts"] += 1
    again = DataReport.model_validate_json(walk.get(record.report)).verdict
    if again != record.verdict:
        yield at.anomaly("other_verdict", record.verdict.name, f"{again.name}, by the report {record.report}")


def _verdict(walk: _Walk, at: _Place, record: Evaluated) -> Iterator[Anomaly]:
    walk.checked["verdicts"] += 1
    tally = Tally.from_bytes(walk.get(record.tally))
    serving = None if record.serving is None else ServingProfile.from_bytes(walk.get(record.serving))
    again = judge(walk.policy(at.release), tally, serving, has_champion=record.champion is not None)
    digest = digest_of(canonical(again.model_dump(mode="json")))
    if (digest, again.verdict) != (record.judged, record.verdict):
        got = f"{record.verdict.name} ({record.judged})"
        yield at.anomaly("other_verdict", got, f"{again.verdict.name} ({digest})")
    asked = at.release.step(Requested)
    if record.champion != asked.champion:
        yield at.anomaly("other_champion", record.champion, f"{asked.champion}, as when the release was opened")


def _package(walk: _Walk, at: _Place, record: Packaged) -> Iterator[Anomaly]:
    files: dict[str, Digest] = json.loads(walk.get(record.package))["files"]
    yield from _absent(walk, at, tuple(files.values()))
    for name, digest in pinned(at.release).items():
        if files.get(name) != digest:
            yield at.anomaly("other_package", f"{files.get(name)} as {name}", f"{digest}, as the ledger says")
    told = walk.get(files[HISTORY]).splitlines(keepends=True)
    if tuple(told) != tuple(line + b"\n" for line in at.before.stored[: len(told)]) or len(told) <= _judged(at):
        yield at.anomaly("other_package", f"{len(told)} entries in {HISTORY}", "the ledger up to the packaging")


def _judged(at: _Place) -> int:
    kind = KINDS[Evaluated]
    return next(e.seq for e in at.before.entries if (e.kind, e.release) == (kind, at.release.id))


def _quorum(walk: _Walk, at: _Place, record: ApprovalRequested) -> Iterator[Anomaly]:
    asked = walk.policy(at.release).approval
    latest = moment(at.time) + timedelta(hours=asked.expires_hours)
    if record.roles != dict(asked.roles) or moment(record.expires) > latest:
        yield at.anomaly("other_quorum", f"{record.roles} until {record.expires}", f"{asked.roles} until {latest}")


def _approval(walk: _Walk, at: _Place, record: Approved) -> Iterator[Anomaly]:
    walk.checked["approvals"] += 1
    against = _objections(walk, at, record, AllowedSigners.parse(walk.get(record.signers).decode()))
    yield from (at.anomaly("void_approval", reason, "an answer that counts") for reason in against)
    if walk.signers is not None:
        unknown = [reason for reason in _objections(walk, at, record, walk.signers) if reason not in against]
        yield from (at.anomaly("unknown_signer", reason, "a key known from outside the store") for reason in unknown)


def _promotion(walk: _Walk, at: _Place, record: PromotionStarted) -> Iterator[Anomaly]:
    alias = walk.policy(at.release).alias
    if record.alias != alias:
        yield at.anomaly("other_alias", record.alias, f"{alias}, which is the policy's")
    for given in (a.record for a in at.release.approvals):
        against = _objections(walk, at, given, AllowedSigners.parse(walk.get(given.signers).decode()))
        yield from (at.anomaly("void_approval", reason, "an approval that still counts") for reason in against)


def _objections(walk: _Walk, at: _Place, record: Approved, signers: AllowedSigners) -> tuple[str, ...]:
    text, signature = walk.get(record.statement), walk.get(record.signature)
    return objections(text, signature, signers=signers, ledger=at.before, release=at.release, at=at.time, record=record)


_AGAIN: dict[type[Record], Callable[[_Walk, _Place, Any], Iterator[Anomaly]]] = {
    Requested: _policy,
    Validated: _data,
    Evaluated: _verdict,
    Packaged: _package,
    ApprovalRequested: _quorum,
    Approved: _approval,
    Rejected: _approval,
    PromotionStarted: _promotion,
}
"""What can be computed again, by kind of record."""


def _aliases(state: State, slot: int, live: Mapping[str, int | None]) -> Iterator[Anomaly]:
    for alias in dict.fromkeys((*state.aliases, *live)):
        allowed = [state.aliases.get(alias)]
        if state.intention is not None and state.intention.record.alias == alias:
            allowed.append(state.intention.record.new)
        if live.get(alias) not in allowed:
            decided = " or ".join(map(str, allowed))
            yield Anomaly("moved_alias", slot, f"'{alias}' at {live.get(alias)}", f"{decided}, as the ledger decided")
