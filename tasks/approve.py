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

from headgate import sshsig
from headgate.approval import Decision, Statement, moment, namespace, objections, statement
from headgate.errors import BadInput
from headgate.markdown import escaped
from headgate.policy import Policy
from headgate.records import ApprovalRequested, Approved, Rejected
from headgate.release import Release
from headgate.state import fold
from headgate.watch import Withdrawn
from tasks.pack import pack
from tasks.read import SIGNERS, read_file, read_signers
from tasks.record import Case, Desk, now
from tasks.sign import owner, private_key


@task(name="approve", cache_policy=NO_CACHE)
def approve(case: Case) -> None:
    """Ask for the policy's quorum. Nothing waits: whoever signs later lets the release continue."""
    desk = Desk(case.home, case.model)
    release = desk.release(case.release)
    policy = desk.policy(release)
    desk.write(case.release, _request(policy))
    create_markdown_artifact(key=case.artifact("approve"), markdown=_shown(desk.release(case.release)))


def _request(policy: Policy) -> ApprovalRequested:
    expires = moment(now()) + timedelta(hours=policy.approval.expires_hours)
    last = policy.rollout.stage[-1]
    roles = {**dict(policy.approval.roles), **{role: policy.approval.roles[role] for role in last.needs}}
    return ApprovalRequested(roles=roles, expires=expires.isoformat(timespec="seconds").replace("+00:00", "Z"))


def answer(
    case: Case, *, role: str, key: Path, decision: Decision = "approve", reason: str = "", password: bytes | None = None
) -> str:
    """Sign the present statement in a role, record the answer, and return who it was.

    Args:
        key: a private SSH key, OpenSSH or PEM.
        decision: with `withdraw`, an approval that this person gave in this role is taken back.
        reason: why; required to reject and to withdraw.

    Raises:
        BadInput: the release waits for no answer, or this signature would not count; nothing is recorded.
    """
    desk = Desk(case.home, case.model)
    ledger = desk.ledger()
    release = fold(case.model, ledger.entries).release(case.release)
    if release.stage not in ("waiting", "approved"):
        raise _refused(release, f"a release that is {release.stage}", ["only a waiting release takes answers"])
    private = private_key(key)
    person = owner(sshsig.public_key(private, password), namespace(role), read_signers(case.folder))
    text = statement(ledger, release, person=person, role=role, decision=decision, reason=reason).text()
    signature = sshsig.sign(private, text, namespace(role), password).encode()
    record_answer(case, text, signature)
    return person


def record_answer(case: Case, text: bytes, signature: bytes) -> None:
    """Record a signed statement, wherever it was signed, if it counts.

    Raises:
        BadInput: it does not, with every reason. Nothing is recorded.
    """
    desk = Desk(case.home, case.model)
    ledger = desk.ledger()
    release = fold(case.model, ledger.entries).release(case.release)
    against = objections(text, signature, signers=read_signers(case.folder), ledger=ledger, release=release, at=now())
    if against:
        raise _refused(release, "a signature that does not count", against)
    spoken, signature = Statement.read(text), sshsig.rearm(signature).encode()  # kept as OpenSSH writes it
    record = _record(desk, release, spoken, signature, read_file(case.folder / SIGNERS))
    desk.write(release.id, record, actor=spoken.person)
    pack(desk.home.package(release.id), _answer_files(spoken, signature))


def new_throwaway_key(path: Path, person: str, role: str) -> str:
    """Make an SSH key for a demo or a drill, and return the person's line for `allowed_signers`."""
    key = sshsig.new_key()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(key)
    return f'{person} namespaces="{namespace(role)}" {sshsig.public_key(key).text}'


def _record(desk: Desk, release: Release, spoken: Statement, signature: bytes, listed: bytes) -> Approved | Withdrawn:
    text = spoken.text()
    common = {
        "role": spoken.role,
        "person": spoken.person,
        "key": sshsig.verify(text, signature, namespace(spoken.role)).fingerprint,
        "statement": desk.evidence.put(text),
        "signature": desk.evidence.put(signature),
        "signers": desk.evidence.put(listed),
    }
    if spoken.decision == "withdraw":
        return Withdrawn(**common, reason=spoken.reason, answer=_given(release, spoken))
    return Approved(**common) if spoken.decision == "approve" else Rejected(**common, reason=spoken.reason)


def _given(release: Release, spoken: Statement) -> int:
    """The slot of the approval that is taken back."""
    who = (spoken.person, spoken.role)
    given = [answer.seq for answer in release.approvals if (answer.record.person, answer.record.role) == who]
    if not given:
        raise _refused(release, "a withdrawal", [f"{spoken.person} did not approve as {spoken.role}"])
    return given[0]


def _answer_files(spoken: Statement, signature: bytes) -> dict[str, bytes]:
    kind = "-withdrawn" if spoken.decision == "withdraw" else ""
    name = re.sub(r"[^A-Za-z0-9._@-]", "_", f"{spoken.role}-{spoken.person}") + kind
    return {f"approvals/{name}.txt": spoken.text(), f"approvals/{name}.sig": signature}


def _refused(release: Release, got: str, reasons: Sequence[str]) -> BadInput:
    return BadInput(
        f"answer for release {release.id}",
        got=f"{got}: {'; '.join(reasons)}",
        expected="a signature that counts",
        next_step=f"see `headgate status {release.id}`",
    )


def _shown(release: Release) -> str:
    asked = release.step(ApprovalRequested)
    lines = "".join(
        f"\n- {n} × **{escaped(role)}**: `headgate approve {release.id} --role {role} --key ~/.ssh/id_ed25519`"
        for role, n in asked.roles.items()
    )
    return f"# {escaped(release.id)} waits for approval\n\nUntil {asked.expires}, by signature:\n{lines}\n"
