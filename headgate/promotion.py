"""Whether an alias may move, and what an open intention becomes after a crash.

MLflow has no conditional write of an alias. So a promotion is an intention in the ledger (where a competitor loses),
the write, a read back, and a record. Killed between any two of them, the next run ends where an undisturbed one would
have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from headgate.records import ApprovalRequested, Evaluated, PromotionStarted, Registered, Validated
from headgate.release import Release, version_of
from headgate.state import State
from headgate.verdict import Verdict
from headgate.watch import RollbackStarted


@dataclass(frozen=True)
class Seen:
    """What the registry shows when it is asked, just before the decision.

    Attributes:
        live: the version behind the alias, None if there is none.
        changed: the files of the candidate's version whose bytes are not those that were registered.
    """

    live: int | None
    changed: tuple[str, ...] = ()


def refusals(
    state: State,
    release: Release,
    alias: str,
    seen: Seen,
    objections: Mapping[str, Sequence[str]],
    waivers: Mapping[int, Sequence[str]] = MappingProxyType({}),
) -> tuple[str, ...]:
    """Everything that forbids moving `alias` to the release's version; empty means go.

    Args:
        objections: per approver, why their approval does not count any more (`approval.objections`); an approver
            against whom nothing is said has an empty entry, else nobody looked.
        waivers: the same per waiver that the release uses, by its slot (`waiver.still`).
    """
    return (
        *_of_evidence(release),
        *_of_waivers(state, release, waivers),
        *_of_people(release, objections),
        *_of_stages(state, release),
        *_of_aliases(state, release, alias, seen),
    )


def _of_evidence(release: Release) -> Iterator[str]:
    if not release.is_open:
        yield f"the release is {release.stage}; expected one that is open"
    data, gates = release.find(Validated), release.find(Evaluated)
    said = {"data": data.verdict if data else None, "gates": gates.standing if gates else None}
    for what, verdict in said.items():
        if verdict is not Verdict.PASS:
            yield f"the {what} say {'nothing' if verdict is None else verdict.name}; expected PASS"


def _of_waivers(state: State, release: Release, waivers: Mapping[int, Sequence[str]]) -> Iterator[str]:
    for waiver in release.waivers:
        name = f"the waiver of {waiver.record.gate} (slot {waiver.seq})"
        stands = state.waivers.get(waiver.seq)
        if stands is None or stands.revoked is not None:
            yield f"{name} {'is not in the ledger' if stands is None else f'was revoked in slot {stands.revoked}'}"
        if waiver.seq not in waivers:
            yield f"{name} was not looked at again"
        yield from (f"{name} does not count: {reason}" for reason in waivers.get(waiver.seq, ()))


def _of_people(release: Release, objections: Mapping[str, Sequence[str]]) -> Iterator[str]:
    if release.find(ApprovalRequested) is None:
        yield "nobody was asked for approval yet"
    if len(objections) < len(release.approvals):
        yield f"{len(objections)} of {len(release.approvals)} approvals were looked at again; expected all"
    for role, n in release.missing.items():
        yield f"{n} approval(s) as {role} are missing"
    if release.is_rejected:
        yield "a person rejected the release"
    for person, reasons in objections.items():
        yield from (f"the approval of {person} does not count: {reason}" for reason in reasons)


def _of_stages(state: State, release: Release) -> Iterator[str]:
    due, other = release.next_stage, state.rolling
    if other is not None and other.id != release.id:
        yield f"the rollout of {other.id} has not ended: `headgate rollback {state.model}` ends it"
    if release.reached and not state.holds(release):
        yield "a stage that it had reached is not at its version any more"
    for slot in state.accused(release):
        yield f"the alarm of slot {slot} about its version is open; see `headgate respond {state.model}`"
    if release.stage == "rolling" and release.reached[-1].soaked is None:
        here = release.here
        long, much = f"{here.soak_minutes:g} minutes", f"{here.min_requests:,} requests"
        yield f"the stage '{here.name}' has not soaked yet: it takes {long} and {much}"
    if release.stage == "rolling" and due is not None and due.roles:
        yield f"the stage '{due.name}' needs {', '.join(f'{n} × {role}' for role, n in due.roles.items())} for itself"


def _of_aliases(state: State, release: Release, alias: str, seen: Seen) -> Iterator[str]:
    decided = state.aliases.get(alias)
    evaluated = release.find(Evaluated)
    last = release.last_alias(alias)
    champion = state.aliases.get(last)
    if evaluated is not None and evaluated.champion != champion:
        yield (
            f"the gates compared with {version_of(evaluated.champion)}, but '{last}' is now {version_of(champion)}: "
            "release again, against the current champion"
        )
    registered = release.find(Registered)
    if registered is None:
        yield "no version is registered yet"
    ours = state.intention is not None and state.intention.release == release.id
    mid_promotion = ours and registered is not None and seen.live == registered.version
    if seen.live != decided and not mid_promotion:
        shown, recorded = version_of(seen.live), version_of(decided)
        yield f"MLflow's '{alias}' is {shown}, the ledger says {recorded}: somebody else moved it"
    if state.intention is not None and state.intention.release != release.id:
        whose = state.intention.release
        what = "a rollback" if whose is None else f"the promotion of {whose}"
        yield f"{what} is still open; settle it first with `headgate guard {state.model}`"
    for slot, incident in state.incidents.items():
        was, shown = version_of(incident.recorded), version_of(incident.shown)
        yield (
            f"the incident of slot {slot} is open: '{incident.alias}' was found at {shown} instead of {was}; "
            f"see `headgate guard {state.model}`"
        )
    for name in seen.changed:
        yield f"the registered file {name} has changed since the gates judged it"


def settle(intention: PromotionStarted | RollbackStarted, live: int | None) -> Literal["record", "act", "stop"]:
    """What to do about an open intention when the alias is at `live`.

    record: the write happened, only its record is missing. act: it did not happen yet. stop: the alias is neither
    where it was nor where it should go, so that somebody else moved it: the promotion is undone. A rollback goes on
    even then, because a retreat is always possible.
    """
    if live == intention.new:
        return "record"
    return "act" if live == intention.old or isinstance(intention, RollbackStarted) else "stop"
