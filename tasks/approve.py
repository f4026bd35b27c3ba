"""Approve: ask people for their signatures, and take their answers."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import deployment

from headgate import sshsig
from headgate.approval import Decision, Statement, moment, namespace, objections, statement
from headgate.entry import spelled
from headgate.errors import BadInput
from headgate.policy import Policy
from headgate.records import ApprovalRequested, Approved, Rejected
from headgate.release import Release
from headgate.rollout import quorum, terms
from headgate.watch import Withdrawn
from tasks.brief import page
from tasks.pack import pack
from tasks.read import SIGNERS, read_file, read_signers
from tasks.record import Case, Desk, now
from tasks.sign import pen


@task(name="approve", cache_policy=NO_CACHE)
def approve(case: Case) -> None:
    """Ask for the policy's quorum. Nothing waits: whoever signs later lets the release continue."""
    desk = Desk(case.home, case.model)
    release = desk.release(case.release)
    policy = desk.policy(release)
    desk.write(case.release, _request(policy))
    if not deployment.id:  # else the run is suspended with a form, and shows the page itself
        create_markdown_artifact(key=case.artifact("approve"), markdown=page(case, form=False))


def ask_about(case: Case, stage: str) -> None:
    """Ask for the quorum that the next stage of the rollout needs for itself."""
    desk = Desk(case.home, case.model)
    desk.write(case.release, _request(desk.policy(desk.release(case.release)), stage))
    create_markdown_artifact(key=case.artifact("approve"), markdown=page(case, form=False))


def _request(policy: Policy, stage: str | None = None) -> ApprovalRequested:
    expires = moment(now()) + timedelta(hours=policy.approval.expires_hours)
    return ApprovalRequested(
        roles=quorum(policy, stage),
        expires=spelled(expires, "seconds"),
        clicks=policy.approval.ui_click,
        rollout=terms(policy) if stage is None else (),
        stage=stage,
    )


def answer(case: Case, *, role: str, key: Path | None, decision: Decision = "approve", reason: str = "") -> str:
    """Sign the present statement in a role, record the answer, and return who it was.

    Args:
        key: see `tasks.sign.pen`; without one, ssh-agent signs.
        decision: with `withdraw`, an approval that this person gave in this role is taken back.
        reason: why; required to reject and to withdraw.

    Raises:
        BadInput: the release waits for no answer, or this signature would not count; nothing is recorded.
    """
    desk = Desk(case.home, case.model)
    ledger = desk.ledger()
    release = desk.state(ledger).release(case.release)
    if release.stage not in ("waiting", "approved"):
        raise _refused(release, f"a release that is {release.stage}", ["only a waiting release takes answers"])
    by = pen(key, namespace(role), read_signers(case.folder))
    text = statement(ledger, release, person=by.person, role=role, decision=decision, reason=reason).text()
    record_answer(case, text, by.sign(text))
    return by.person


def record_answer(case: Case, text: bytes, signature: bytes | None) -> None:
    """Record a signed statement, wherever it was signed, if it counts.

    Args:
        signature: None for a click, which counts only where the policy lets it.

    Raises:
        BadInput: it does not, with every reason. Nothing is recorded.
    """
    desk = Desk(case.home, case.model)
    ledger = desk.ledger()
    release = desk.state(ledger).release(case.release)
    against = objections(text, signature, signers=read_signers(case.folder), ledger=ledger, release=release, at=now())
    if against:
        raise _refused(release, "a signature that does not count" if signature else "no signature", against)
    spoken, listed = Statement.read(text), read_file(case.folder / SIGNERS)
    kept = None if signature is None else sshsig.rearm(signature).encode()  # as OpenSSH writes it
    desk.write(release.id, _record(desk, release, spoken, kept, listed), actor=spoken.person)
    pack(desk.home.package(release.id), _answer_files(spoken, kept))


def new_throwaway_key(path: Path, person: str, role: str) -> str:
    """Make an SSH key for a demo or a drill, and return the person's line for `allowed_signers`."""
    key = sshsig.new_key()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(key)
    return f'{person} namespaces="{namespace(role)}" {sshsig.public_key(key).text}'


def _record(
    desk: Desk, release: Release, spoken: Statement, signature: bytes | None, listed: bytes
) -> Approved | Withdrawn:
    said = {"role": spoken.role, "person": spoken.person, "statement": desk.evidence.put(spoken.text())}
    said["signers"] = desk.evidence.put(listed)
    if signature is None:
        return Approved(**said, key=None, signature=None, assurance="ui-click")
    said["key"] = sshsig.verify(spoken.text(), signature, namespace(spoken.role)).fingerprint
    said["signature"] = desk.evidence.put(signature)
    if spoken.decision == "withdraw":
        return Withdrawn(**said, reason=spoken.reason, answer=_given(release, spoken))
    if spoken.decision == "reject":
        return Rejected(**said, assurance="ssh", reason=spoken.reason)
    return Approved(**said, assurance="ssh")


def _given(release: Release, spoken: Statement) -> int:
    """The slot of the approval that is taken back."""
    who = (spoken.person, spoken.role)
    given = [answer.seq for answer in release.agreed if (answer.record.person, answer.record.role) == who]
    if not given:
        raise _refused(release, "a withdrawal", [f"{spoken.person} did not approve as {spoken.role}"])
    return given[0]


def _answer_files(spoken: Statement, signature: bytes | None) -> dict[str, bytes]:
    about = f"-{spoken.stage}" if spoken.stage else ""
    kind = f"{about}-withdrawn" if spoken.decision == "withdraw" else about
    name = re.sub(r"[^A-Za-z0-9._@-]", "_", f"{spoken.role}-{spoken.person}") + kind
    signed = {} if signature is None else {f"approvals/{name}.sig": signature}
    return {f"approvals/{name}.txt": spoken.text(), **signed}


def _refused(release: Release, got: str, reasons: Sequence[str]) -> BadInput:
    return BadInput(
        f"answer for release {release.id}",
        got=f"{got}: {'; '.join(reasons)}",
        expected="a signature that counts",
        next_step=f"see `headgate status {release.id}`",
    )
