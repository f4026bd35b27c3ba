"""Assent: the audit of what people said: the quorum that was asked for, answers, waivers, and what relied on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from headgate.approval import moment, objections
from headgate.ledger import Anomaly
from headgate.phase import Terms
from headgate.policy_file import parse
from headgate.record import Record
from headgate.records import ApprovalRequested, Approved, PromotionStarted, Rejected, Requested
from headgate.release import Answer
from headgate.revocation import revocation_objections
from headgate.rollout import quorum, terms
from headgate.signers import AllowedSigners
from headgate.waived import Waived, WaiverRevoked
from headgate.waiver import objections as waiver_objections
from headgate.waiver import still
from headgate.walk import Place, Walk
from headgate.watch import Withdrawn

_COUNTS = "one that still counts"


def _quorum(walk: Walk, at: Place, record: ApprovalRequested) -> Iterator[Anomaly]:
    policy = walk.policy(at.release)
    asked, due = policy.approval, quorum(policy, record.stage)
    latest = moment(at.time) + timedelta(hours=asked.expires_hours)
    if record.roles != due or moment(record.expires) > latest:
        yield at.anomaly("other_quorum", f"{record.roles} until {record.expires}", f"{due} until {latest}")
    if record.clicks != asked.ui_click:
        yield at.anomaly("other_quorum", f"clicks of {list(record.clicks)}", f"clicks of {list(asked.ui_click)}")
    if record.stage is None:
        yield from _stages(at, record, terms(policy))


def _stages(at: Place, record: ApprovalRequested, due: tuple[Terms, ...]) -> Iterator[Anomaly]:
    # A ledger from before there were several names none, and one is not skipped by that.
    if record.rollout != due and (record.rollout, len(due)) != ((), 1):
        yield at.anomaly("other_rollout", [t.name for t in record.rollout], f"{[t.name for t in due]}, by the policy")


def _approval(walk: Walk, at: Place, record: Approved | Withdrawn) -> Iterator[Anomaly]:
    walk.checked["approvals"] += 1
    yield from _signed(walk, at, record, "void_approval", lambda signers: _objections(walk, at, record, signers))


def _signed(
    walk: Walk,
    at: Place,
    record: Approved | Withdrawn | Waived | WaiverRevoked,
    void: str,
    against: Callable[[AllowedSigners], tuple[str, ...]],
) -> Iterator[Anomaly]:
    then = against(AllowedSigners.parse(walk.get(record.signers).decode()))
    yield from (at.anomaly(void, reason, "signatures that count") for reason in then)
    if walk.signers is not None:
        unknown = [reason for reason in against(walk.signers) if reason not in then]
        yield from (at.anomaly("unknown_signer", reason, "a key known from outside the store") for reason in unknown)


def _waiver(walk: Walk, at: Place, record: Waived) -> Iterator[Anomaly]:
    walk.checked["waivers"] += 1
    policy = parse(walk.get(record.policy_file), f"of the waiver in slot {at.slot}")
    if record.policy != policy.digest:
        yield at.anomaly("wrong_policy", record.policy, f"{policy.digest}, by the policy's own content")
    text, signatures = walk.get(record.statement), [walk.get(digest) for digest in record.signatures]

    def against(signers: AllowedSigners) -> tuple[str, ...]:
        return waiver_objections(
            text, signatures, signers=signers, ledger=at.before, policy=policy, at=at.time, record=record
        )

    yield from _signed(walk, at, record, "void_waiver", against)


def _revocation(walk: Walk, at: Place, record: WaiverRevoked) -> Iterator[Anomaly]:
    text, signature = walk.get(record.statement), walk.get(record.signature)
    waiver = at.state.waivers[record.waiver]

    def against(signers: AllowedSigners) -> tuple[str, ...]:
        return revocation_objections(
            text, signature, signers=signers, ledger=at.before, waiver=waiver, at=at.time, record=record
        )

    yield from _signed(walk, at, record, "void_waiver", against)


def _promotion(walk: Walk, at: Place, record: PromotionStarted) -> Iterator[Anomaly]:
    # By the stages that people were told of, which were compared with the policy's when they were asked.
    alias = at.release.next_alias(walk.policy(at.release).alias)
    if record.alias != alias:
        yield at.anomaly("other_alias", record.alias, f"{alias}, which is the policy's")
    for answer in at.release.approvals:
        signers = AllowedSigners.parse(walk.get(answer.record.signers).decode())
        against = _objections(walk, at, answer.record, signers, answer)
        yield from (at.anomaly("void_approval", reason, _COUNTS) for reason in against)
    yield from excuses_still(walk, at)


def _objections(
    walk: Walk, at: Place, record: Approved | Withdrawn, signers: AllowedSigners, answer: Answer | None = None
) -> tuple[str, ...]:
    return objections(
        walk.get(record.statement),
        None if record.signature is None else walk.get(record.signature),
        signers=signers,
        ledger=at.before,
        release=at.release,
        at=at.time if answer is None else at.release.judged_at(answer, at.time),
        record=record,
        request=None if answer is None else at.release.answered(answer),
    )


def excuses_still(walk: Walk, at: Place) -> Iterator[Anomaly]:
    """The waivers of a release that do not count any more."""
    policy, requester = walk.policy(at.release), at.release.step(Requested).requester
    for waiver in at.release.waivers:
        signers = AllowedSigners.parse(walk.get(waiver.record.signers).decode())
        against = still(
            waiver, walk.get, signers=signers, ledger=at.before, policy=policy, requester=requester, at=at.time
        )
        yield from (at.anomaly("void_waiver", f"slot {waiver.seq}: {reason}", _COUNTS) for reason in against)


AGAIN: Mapping[type[Record], Callable[[Walk, Place, Any], Iterator[Anomaly]]] = {
    ApprovalRequested: _quorum,
    Approved: _approval,
    Rejected: _approval,
    Withdrawn: _approval,
    PromotionStarted: _promotion,
    Waived: _waiver,
    WaiverRevoked: _revocation,
}
"""What is computed again, by kind of record."""
