"""Promote: move the alias in MLflow, between an intention and a record in the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from headgate.approval import objections
from headgate.errors import BadInput, SlotTaken
from headgate.ledger import Ledger
from headgate.markdown import bullets, escaped
from headgate.policy import Policy
from headgate.promotion import Seen, refusals
from headgate.records import Packaged, PromotionStarted, Registered, Requested
from headgate.release import Answer, Release
from headgate.state import State
from headgate.waiver import still
from tasks.connect import alias_version, client
from tasks.load import changed_files, fetch, proof_of
from tasks.move import finish
from tasks.read import read_signers
from tasks.record import Case, Desk, now

if TYPE_CHECKING:
    from mlflow import MlflowClient


@task(name="promote", cache_policy=NO_CACHE)
def promote(case: Case) -> tuple[str, ...]:
    """Move the alias of the release's next stage to its version.

    Returns:
        Everything that forbids it, and then nothing was moved; empty if the alias is there.

    Raises:
        Tampered: the alias was moved, or the registered files were changed, by somebody else in the middle of a
            promotion.
        Unavailable: MLflow does not answer. The intention stays open, and the next run settles it.
    """
    desk = Desk(case.home, case.model)
    registry = client(desk.home)
    desk.whole()
    refused = _begin(desk, registry, case)
    if not refused:
        _finish(desk, registry, case)
    create_markdown_artifact(key=case.artifact("promote"), markdown=_shown(desk.release(case.release), refused))
    return refused


def case_of(home: str, folder: str, version: int) -> Case:
    """The case of the release that made a version.

    Raises:
        BadInput: no release made it, so that there is no evidence about it.
    """
    place = Path(folder).resolve()
    state = Desk(Path(home).resolve(), place.name).state()
    made = state.maker(version)
    if made is None:
        known = sorted(r.step(Registered).version for r in state.releases.values() if r.find(Registered))
        raise BadInput(
            f"version {version} of {place.name}",
            got="a version that no release made: there is no evidence about it",
            expected=f"one of {known}",
            next_step=f"release it: `headgate release {place.name}`",
        )
    return Case(home=Path(home).resolve(), folder=place, model=place.name, release=made.id)


def refuse(case: Case, stage: str) -> tuple[str, ...]:
    """Why a stage of the rollout cannot be promoted to now; empty if it can. An empty name means the next one."""
    desk = Desk(case.home, case.model)
    release = desk.release(case.release)
    stages = [one.name for one in desk.policy(release).rollout.stage]
    if stage and stage not in stages:
        return (f"there is no stage '{stage}'; the policy has {', '.join(stages)}",)
    reached, due = stages[: len(release.reached)], stages[len(release.reached) :]
    if not stage or not release.is_open or stage in due[:1]:
        return ()
    if stage in reached:
        return (f"the stage '{stage}' is reached already; the next one is '{due[0]}'",)
    return (f"the stage '{stage}' comes after '{due[0]}', which is the next one",)


def why_not(case: Case) -> tuple[str, ...]:
    """Everything that forbids the promotion now; nothing is moved by asking."""
    desk = Desk(case.home, case.model)
    ledger = desk.ledger()
    state = desk.state(ledger)
    return _refusals(desk, client(desk.home), case, desk.policy(state.release(case.release)), ledger, state)


def _begin(desk: Desk, registry: MlflowClient, case: Case) -> tuple[str, ...]:
    # A competitor that takes the slot has changed what this decision was made from, so it is made again from the start.
    while True:
        ledger = desk.ledger()
        state = desk.state(ledger)
        release = state.release(case.release)
        policy = desk.policy(release)
        if release.stage == "promoting" or _is_live(registry, state, release):
            return ()
        refused = _refusals(desk, registry, case, policy, ledger, state)
        if refused:
            return refused
        try:
            desk.append(ledger, release.id, _intention(state, release, policy))
            return ()
        except SlotTaken:
            continue


def _is_live(registry: MlflowClient, state: State, release: Release) -> bool:
    done = release.promoted
    if done is None or state.aliases.get(done.alias) != done.new:
        return False
    return alias_version(registry, state.model, done.alias) == done.new


def _refusals(
    desk: Desk, registry: MlflowClient, case: Case, policy: Policy, ledger: Ledger, state: State
) -> tuple[str, ...]:
    release = state.release(case.release)
    registered, alias = release.step(Registered), release.next_alias(policy.alias)
    seen = Seen(
        live=alias_version(registry, case.model, alias),
        changed=changed_files(fetch(desk.home, registered.source), proof_of(desk, registered)),
    )
    waivers = _waivers(desk, case, policy, ledger, release)
    return refusals(state, release, alias, seen, _objections(desk, case, ledger, release), waivers)


def _objections(desk: Desk, case: Case, ledger: Ledger, release: Release) -> dict[str, tuple[str, ...]]:
    # Against today's signers, so that a key that was revoked since does not count.
    signers = read_signers(case.folder)
    return {
        _answer(answer): objections(
            desk.evidence.get(answer.record.statement),
            None if answer.record.signature is None else desk.evidence.get(answer.record.signature),
            signers=signers,
            ledger=ledger,
            release=release,
            at=release.judged_at(answer, now()),
            record=answer.record,
            request=release.answered(answer),
        )
        for answer in release.approvals
    }


def _answer(answer: Answer) -> str:
    about = "" if answer.stage is None else f" of '{answer.stage}'"
    return f"{answer.record.person} as {answer.record.role}{about}"


def _waivers(desk: Desk, case: Case, policy: Policy, ledger: Ledger, release: Release) -> dict[int, tuple[str, ...]]:
    signers, requester = read_signers(case.folder), release.step(Requested).requester
    return {
        waiver.seq: still(
            waiver,
            desk.evidence.get,
            signers=signers,
            ledger=ledger,
            policy=policy,
            requester=requester,
            at=now(),
        )
        for waiver in release.waivers
    }


def _intention(state: State, release: Release, policy: Policy) -> PromotionStarted:
    alias = release.next_alias(policy.alias)
    return PromotionStarted(
        alias=alias,
        old=state.aliases.get(alias),
        new=release.step(Registered).version,
        package=release.step(Packaged).package,
        policy=release.step(Requested).policy,
        approvals=tuple(answer.seq for answer in release.approvals),
    )


def _finish(desk: Desk, registry: MlflowClient, case: Case) -> None:
    intention = desk.state().intention
    if intention is not None and intention.release == case.release:  # else another run has settled it
        finish(desk, registry)


def _shown(release: Release, refused: tuple[str, ...]) -> str:
    name = escaped(release.id)
    if refused:
        return f"# {name} was not promoted\n{bullets(refused)}\n"
    where = f"has reached '{escaped(release.reached[-1].record.alias)}'" if release.is_rolling else "is live"
    return f"# {name} {where}\n\nThe alias moved, and was read back."
