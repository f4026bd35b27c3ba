"""State is a fold: what stands about a model, from the entries of its ledger and nothing else.

The rules of a release, which `advance` enforces one entry at a time:

1. `requested` opens a release under a name that is new.
2. Every other entry belongs to a release that is open: neither halted nor promoted.
3. The steps come in the order of `STEPS`, each once.
   A version belongs to the one release that registered it.
4. Nothing is trained on data that did not pass, and nothing is packaged whose gates did not pass: such a release can
   only halt.
5. People answer only after they were asked and before the promotion begins; one person, and one key, counts once per
   role and question. Only a role that may click agrees without a signature.
6. A promotion starts only when every role has its quorum, one at a time per model, from the alias as it stands, while
   the last stage's is the version that the gates compared with.
7. A promotion ends in `promoted`, which moves the alias, or in `promotion_undone`, which does not.
8. A waiver belongs to no release. It is recorded once, before its last day has ended, by people and with keys that are
   all different. It is revoked at most once, and then it is never used again.
9. Gates that did not pass let a release go on only by waivers that `evaluated` names: each stands that day, under the
   release's policy, and is not signed by whoever asked for the release. Each must still stand when a promotion starts.
   ERROR stays ERROR, whatever is waived.
10. A rollback moves an alias back to a version that it had before the present one. It belongs to no release, needs no
    evaluation and no approval, and starts when no other intention is open. It ends in `rolled_back`.
11. An incident says that an alias was found elsewhere than the ledger has it, one per alias at a time. It is closed
    when the alias is found where the ledger has it. Until then no promotion starts; a rollback may.
12. Only a release that waits reminds and escalates; a role is given one deputy, who may answer for it from then on.
13. An approval is taken back once, by whoever gave it, before the promotion begins. They may then answer again.
14. A notification is about an earlier entry, and decides nothing.
15. A release goes through the stages that people were told of, in their order, and through no two rollouts at a time.
    The next stage begins, and people are asked about it if it needs a quorum for itself, only once the one before has
    `soaked`: for as long, and with as many answers, as was said. All stages so far must still be at its version, and
    no alarm about it of severity `incident` may be open.
16. A release halts only when no alias points to its version: a rollout goes back first.
17. A look is at a version behind its alias, and each version's looks are numbered from 1. Looks, alarms and what comes
    of them belong to no release.
18. An alarm is of the newest look at a version. A version has at most one open alarm for each check.
19. A step of an open alarm is taken once, and nobody is reminded of one twice, nor before its time.
20. An incident is closed by a person; a warning also by itself.
21. A drill follows the plan of a release that was packaged, and takes no longer than has passed. It decides nothing.

A ledger that breaks a rule was not written by this code, or not by it alone: `Tampered`, with the entry's slot.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from headgate import lookout, sideline, stages
from headgate.ledger import Entry
from headgate.phase import Soaked
from headgate.record import Record
from headgate.records import (
    ApprovalRequested,
    Approved,
    Evaluated,
    Halted,
    Packaged,
    Promoted,
    PromotionStarted,
    PromotionUndone,
    Registered,
    Requested,
    record_of,
)
from headgate.release import STEPS, Answer, Reached, Release, Request, Waiver
from headgate.standing import Intention, State, demand, with_release
from headgate.verdict import Verdict
from headgate.waived import Waived, WaiverRevoked

__all__ = ["Intention", "State", "advance", "fold"]

_BESIDE = {**sideline.RULES, **lookout.RULES}


def fold(model: str, entries: Iterable[Entry]) -> State:
    """The state of `model` after all `entries`.

    Raises:
        Tampered: an entry breaks a rule of this module.
    """
    state = State(model)
    for entry in entries:
        state = advance(state, entry)
    return state


def advance(state: State, entry: Entry) -> State:
    """The state after one more entry.

    Raises:
        Tampered: the entry breaks a rule of this module.
    """
    record = record_of(entry.kind, dict(entry.body))
    if isinstance(record, Requested):
        return _open(state, entry, record)
    if isinstance(record, (Waived, WaiverRevoked)):
        demand(entry.release is None, entry, "an entry of no release")
        return _waive(state, entry, record) if isinstance(record, Waived) else _revoke(state, entry, record)
    if isinstance(record, PromotionUndone) and entry.release is None:
        return sideline.undo(state, entry, record)
    if type(record) in _BESIDE:
        return _BESIDE[type(record)](state, entry, record)
    release = state.releases.get(entry.release or "")
    demand(release is not None and release.is_open, entry, "an entry of an open release")
    assert release is not None  # noqa: S101 - demanded above
    if isinstance(record, Registered):
        demand(state.maker(record.version) is None, entry, "a version that no other release registered")
    if isinstance(record, STEPS):
        taken = _take(state, release, entry, record)
        used = _used(state, release, entry, record) if isinstance(record, Evaluated) else release.waivers
        return with_release(state, replace(taken, waivers=used))
    return _decide(state, release, entry, record)


def _decide(state: State, release: Release, entry: Entry, record: Record) -> State:
    if isinstance(record, Approved):
        return with_release(state, _answer(release, entry, record))
    if isinstance(record, PromotionStarted):
        return _begin(state, release, entry, record)
    if isinstance(record, Promoted):
        return _finish(state, release, entry, record)
    if isinstance(record, PromotionUndone):
        return _undo(state, release, entry, record)
    if isinstance(record, Soaked):
        return with_release(state, stages.soak(state, release, entry, record))
    assert isinstance(record, Halted)  # noqa: S101 - the last kind
    demand(release.started is None, entry, "no open promotion when a release halts")
    demand(not state.reaches(release), entry, "a rollout that has gone back before it halts")
    return with_release(state, replace(release, halted=record))


def _open(state: State, entry: Entry, record: Requested) -> State:
    demand(bool(entry.release) and entry.release not in state.releases, entry, "a release name that is new")
    return with_release(state, Release(id=str(entry.release), opened=entry.time, taken=(record,)))


def _take(state: State, release: Release, entry: Entry, record: Record) -> Release:
    if isinstance(record, ApprovalRequested) and record.stage is not None:
        return stages.ask(state, release, entry, record)
    demand(not release.is_refused, entry, "nothing but a halt after data or gates that did not pass")
    demand(release.due(type(record)), entry, f"the step after '{type(release.taken[-1]).__name__}'")
    judged = entry.time if isinstance(record, Evaluated) else release.judged
    asked = (Request(entry.seq, entry.time, record),) if isinstance(record, ApprovalRequested) else ()
    return replace(release, taken=(*release.taken, record), judged=judged, requests=asked)


def _answer(release: Release, entry: Entry, record: Approved) -> Release:
    asked = release.asked
    open_one = asked is not None and release.started is None and not release.used(asked.stage)
    demand(open_one, entry, "an answer between request and promotion")
    assert asked is not None  # noqa: S101 - demanded above
    demand(record.role in release.speaking, entry, f"a role among {sorted(release.speaking)}")
    here = [a for a in release.answers if a.stage == asked.stage and a.withdrawn is None]
    before = [a.record for a in here if a.record.role == record.role]
    demand(record.person.casefold() not in {a.person.casefold() for a in before}, entry, "one answer per person")
    demand(record.key is None or record.key not in {a.key for a in before}, entry, "one answer per key")
    demand(record.key is not None or record.role in asked.clicks, entry, "a signature, or a role that may click")
    return replace(release, answers=(*release.answers, Answer(entry.seq, entry.time, record, stage=asked.stage)))


def _begin(state: State, release: Release, entry: Entry, record: PromotionStarted) -> State:
    demand(state.intention is None, entry, "no other open intention")
    demand(not state.incidents, entry, "no open incident")
    stages.begin(state, release, entry, record)
    still = all(state.waivers[waiver.seq].stands(entry.time) for waiver in release.waivers)
    demand(still, entry, "waivers that still stand")
    demand(record.old == state.aliases.get(record.alias), entry, "the alias as the ledger has it")
    champion = state.aliases.get(release.last_alias(record.alias))
    demand(champion == release.step(Evaluated).champion, entry, "the champion that the gates compared with")
    demand(record.new == release.step(Registered).version, entry, "the version that the release registered")
    demand(record.package == release.step(Packaged).package, entry, "the package that was approved")
    demand(record.policy == release.step(Requested).policy, entry, "the policy that the release was opened under")
    demand(record.approvals == tuple(a.seq for a in release.approvals), entry, "the approvals of this release")
    opened = replace(state, intention=Intention(entry.seq, entry.time, release.id, record))
    return with_release(opened, replace(release, started=record))


def _finish(state: State, release: Release, entry: Entry, record: Promoted) -> State:
    intention = _settled(state, release, entry, record.started)
    same = (record.alias, record.old, record.new) == (intention.alias, intention.old, intention.new)
    demand(same and record.serves == release.serves, entry, "the promotion that was intended")
    behind = (*state.behind.get(record.alias, ()), *([] if record.old is None else [record.old]))
    if record.new in behind:
        behind = tuple(v for v in behind if v != record.new)
    moved = replace(
        state,
        intention=None,
        aliases={**state.aliases, record.alias: record.new},
        behind={**state.behind, record.alias: behind},
    )
    reached = (*release.reached, Reached(entry.seq, entry.time, record))
    if len(reached) < len(release.rollout):
        return with_release(moved, replace(release, reached=reached, started=None))
    return with_release(moved, replace(release, reached=reached, promoted=record))


def _undo(state: State, release: Release, entry: Entry, record: PromotionUndone) -> State:
    intention = _settled(state, release, entry, record.started)
    demand(record.now == intention.old, entry, "the alias to be where it was before the promotion")
    return with_release(replace(state, intention=None), replace(release, started=None))


def _settled(state: State, release: Release, entry: Entry, started: int) -> PromotionStarted:
    intention = state.intention
    ours = intention is not None and intention.seq == started and intention.release == release.id
    demand(ours, entry, "the open promotion of this release")
    assert intention is not None  # noqa: S101 - demanded above
    assert isinstance(intention.record, PromotionStarted)  # noqa: S101 - a rollback belongs to no release
    return intention.record


def _waive(state: State, entry: Entry, record: Waived) -> State:
    waiver = Waiver(entry.seq, entry.time, record)
    demand(waiver.stands(entry.time), entry, "a last day that has not ended")
    demand(record.statement not in {w.record.statement for w in state.waivers.values()}, entry, "a new waiver")
    for what, values in (
        ("people", [p.person.casefold() for p in record.people]),
        ("keys", [p.key for p in record.people]),
    ):
        demand(len(set(values)) == len(values), entry, f"{what} that are all different")
    demand(len(record.signatures) == len(record.people), entry, "one signature per person")
    return replace(state, waivers={**state.waivers, entry.seq: waiver})


def _revoke(state: State, entry: Entry, record: WaiverRevoked) -> State:
    waiver = state.waivers.get(record.waiver)
    demand(waiver is not None and waiver.revoked is None, entry, "a waiver that is not revoked yet")
    assert waiver is not None  # noqa: S101 - demanded above
    return replace(state, waivers={**state.waivers, waiver.seq: replace(waiver, revoked=entry.seq)})


def _used(state: State, release: Release, entry: Entry, record: Evaluated) -> tuple[Waiver, ...]:
    known = set(record.waived) <= set(state.waivers)
    demand(known and list(record.waived) == sorted(set(record.waived)), entry, "recorded waivers, ascending")
    used = tuple(state.waivers[slot] for slot in record.waived)
    asked = release.step(Requested)
    demand(all(w.stands(entry.time) for w in used), entry, "waivers that are neither revoked nor over")
    demand(all(w.record.policy == asked.policy for w in used), entry, "waivers under the release's policy")
    signed = {p.person.casefold() for w in used for p in w.record.people}
    demand(asked.requester.casefold() not in signed, entry, "waivers by others than who asked for the release")
    demand(record.standing <= record.verdict, entry, "a standing that is no worse than the verdict")
    demand(record.verdict is not Verdict.ERROR or record.standing is Verdict.ERROR, entry, "ERROR left as it is")
    return used
