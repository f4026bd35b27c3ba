"""The audit: one pure function from what is stored and what the outside shows to everything that is wrong with it.

It believes nothing that it can recompute: the chain, the signatures, the rules of a release, the bytes behind every
digest, the policy, the package, the verdicts from the report and the tallies, the quorum, and the approvals. What it
finds it names, with the smallest witness.

What it cannot see: entries cut off the end, unless a witness to them is given; a name's key that was never theirs,
unless it is given the signers as they are known elsewhere; and anything else done by whoever holds the pipeline's key
and the store, unless a person approved afterwards: their signature covers the ledger's root.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from headgate import assent, inquest
from headgate.canonical import canonical, digest_of
from headgate.challenge import Challenges
from headgate.display import Display, misplaced, misshown, rendered_from
from headgate.entry import Digest
from headgate.errors import HeadgateError
from headgate.excuse import adds, standing
from headgate.finding import DataReport
from headgate.judge import judge
from headgate.judgement import Judged
from headgate.ledger import Anomaly, Ledger, examined
from headgate.likeness import alike
from headgate.package import HISTORY, strayed
from headgate.record import Record
from headgate.records import (
    KINDS,
    Evaluated,
    Packaged,
    Requested,
    Validated,
    record_of,
    relied_on,
)
from headgate.reported import Reported, misreported, told_from
from headgate.serving import ServingProfile
from headgate.signers import AllowedSigners
from headgate.signing import Verifier
from headgate.state import State, advance
from headgate.tally import Tally
from headgate.walk import Findings, Place, Walk
from headgate.witness import against

_COUNTS = "one that still counts"


def audit(  # noqa: PLR0913  # what is stored, what is shown, and what is known from outside
    model: str,
    slots: Mapping[int, bytes],
    verifier: Verifier,
    evidence: Mapping[Digest, bytes],
    live: Mapping[str, int | None] | None = None,
    *,
    pages: Mapping[int, Display] = MappingProxyType({}),
    report: Reported | None = None,
    signers: AllowedSigners | None = None,
    witnesses: Mapping[str, bytes] | None = None,
) -> Findings:
    """Everything that is wrong with the records of one model.

    Args:
        slots: the ledger's stored bytes by slot. evidence: all stored evidence by the digest it is stored under.
        live: the version behind each alias as the registry shows it, where an alias that is absent points to nothing;
            None if the registry was not asked. pages: what it shows of versions. report: the page for stakeholders.
        signers: everybody who could ever sign, as known from outside the store; None to believe the recorded files.
        witnesses: what `headgate.witness` takes: checkpoints and approval texts, by where they are kept.
    """
    walk = Walk(model, {d: data for d, data in evidence.items() if digest_of(data) == d}, signers)
    ledger, anomalies = examined(slots, model, verifier)
    found = list(anomalies)
    found += [
        Anomaly("changed_evidence", -1, digest_of(evidence[d]), d) for d in evidence.keys() - walk.evidence.keys()
    ]
    if not any(a.slot >= 0 for a in found):
        found += against(ledger, witnesses or {}, verifier)
        found += _contents(walk, ledger, live, pages, report)
    return Findings(entries=len(slots), anomalies=tuple(found), ledger=ledger, checkpoint=None, **walk.checked)


def _contents(
    walk: Walk,
    ledger: Ledger,
    live: Mapping[str, int | None] | None,
    pages: Mapping[int, Display],
    report: Reported | None,
) -> Iterator[Anomaly]:
    state, slot, claimed, told = State(walk.model), -1, rendered_from(pages, ledger), told_from(report, ledger)
    kept: dict[int, State] = {}
    for place in states(walk, ledger):
        if isinstance(place, Anomaly):
            yield place
            return
        state, slot, record = place.state, place.slot, record_of(place.entry.kind, dict(place.entry.body))
        yield from _absent(walk, place, relied_on(record))
        yield from recomputed(walk, place, record)
        kept |= {slot + 1: state} if slot + 1 in (told, *claimed.values()) else {}
    if live is not None:
        yield from misplaced(state, slot, live)
    yield from misshown(walk, kept, claimed, pages)
    yield from misreported(walk, kept.get(told or 0), ledger, report)


def states(walk: Walk, ledger: Ledger) -> Iterator[Place | Anomaly]:
    """Each entry of a checked ledger in its place; ends with an anomaly where one breaks a rule."""
    state = State(walk.model)
    for entry in ledger.entries:
        aliases = state.aliases
        try:
            state = advance(state, entry)
        except HeadgateError as error:
            yield Anomaly("broken_rule", entry.seq, error.got, error.expected)
            return
        yield Place(entry, state, aliases, ledger)


def _absent(walk: Walk, at: Place, digests: tuple[Digest, ...]) -> Iterator[Anomaly]:
    walk.checked["digests"] += len(digests)
    missing = (digest for digest in digests if digest not in walk.evidence)
    yield from (at.anomaly("missing_evidence", "nothing", f"the evidence {digest}") for digest in missing)


def recomputed(walk: Walk, at: Place, record: Record) -> Iterator[Anomaly]:
    """What is wrong with a record, by everything that can be computed again."""
    try:
        yield from _AGAIN.get(type(record), _nothing)(walk, at, record)
    except Exception as error:  # whatever forged evidence causes is a finding, and the walk goes on
        yield at.anomaly("not_recomputable", f"{type(error).__name__}: {error}", f"a sound '{KINDS[type(record)]}'")


def _nothing(walk: Walk, at: Place, record: Record) -> Iterator[Anomaly]:
    yield from ()


def _policy(walk: Walk, at: Place, record: Requested) -> Iterator[Anomaly]:
    policy = walk.policy(at.release)
    if (policy.digest, policy.model.name) != (record.policy, walk.model):
        expected = f"{policy.digest} of {policy.model.name}, by the policy's own content"
        yield at.anomaly("wrong_policy", f"{record.policy} of {walk.model}", expected)
    if record.trainer != policy.train.owner:
        yield at.anomaly("wrong_policy", f"{record.trainer}, who answers for the training", f"{policy.train.owner}")
    if record.champion != at.aliases.get(policy.alias):
        yield at.anomaly("other_champion", record.champion, f"{at.aliases.get(policy.alias)} behind '{policy.alias}'")


def _data(walk: Walk, at: Place, record: Validated) -> Iterator[Anomaly]:
    walk.checked["verdicts"] += 1
    again = DataReport.model_validate_json(walk.get(record.report)).verdict
    if again != record.verdict:
        yield at.anomaly("other_verdict", record.verdict.name, f"{again.name}, by the report {record.report}")


def _verdict(walk: Walk, at: Place, record: Evaluated) -> Iterator[Anomaly]:
    walk.checked["verdicts"] += 1
    tally = Tally.from_bytes(walk.get(record.tally))
    serving = None if record.serving is None else ServingProfile.from_bytes(walk.get(record.serving))
    asked = None if record.challenges is None else Challenges.from_bytes(walk.get(record.challenges))
    known = record.champion is not None
    again = judge(walk.policy(at.release), tally, serving, has_champion=known, challenges=asked)
    data = canonical(again.model_dump(mode="json"))
    same = digest_of(data) == record.judged or alike(walk.get(record.judged), data)
    if not same or again.verdict != record.verdict:
        got = f"{record.verdict.name} ({record.judged})"
        yield at.anomaly("other_verdict", got, f"{again.verdict.name} ({digest_of(data)})")
    opened = at.release.step(Requested)
    if record.champion != opened.champion:
        yield at.anomaly("other_champion", record.champion, f"{opened.champion}, as when the release was opened")
    yield from _excuses(walk, at, record, again)


def _excuses(walk: Walk, at: Place, record: Evaluated, again: Judged) -> Iterator[Anomaly]:
    used = at.release.waivers
    left = standing(again, used)
    if used and record.standing is not left:
        yield at.anomaly("other_standing", record.standing.name, f"{left.name}, by the waivers {record.waived}")
    for waiver in used:
        if not adds(waiver, again, [w for w in used if w.seq < waiver.seq]):
            yield at.anomaly("void_waiver", f"slot {waiver.seq}: {waiver.told()}", "a waiver of a judgement made here")
    yield from assent.excuses_still(walk, at)


def _package(walk: Walk, at: Place, record: Packaged) -> Iterator[Anomaly]:
    files: dict[str, Digest] = json.loads(walk.get(record.package))["files"]
    yield from _absent(walk, at, tuple(files.values()))
    yield from (at.anomaly("other_package", *each) for each in strayed(at.release, files))
    told = walk.get(files[HISTORY]).splitlines(keepends=True)
    if tuple(told) != tuple(line + b"\n" for line in at.before.stored[: len(told)]) or len(told) <= _judged(at):
        yield at.anomaly("other_package", f"{len(told)} entries in {HISTORY}", "the ledger up to the packaging")


def _judged(at: Place) -> int:
    kind = KINDS[Evaluated]
    return next(e.seq for e in at.before.entries if (e.kind, e.release) == (kind, at.release.id))


_AGAIN: dict[type[Record], Callable[[Walk, Place, Any], Iterator[Anomaly]]] = {
    Requested: _policy,
    Validated: _data,
    Evaluated: _verdict,
    Packaged: _package,
    **assent.AGAIN,
    **inquest.AGAIN,
}
"""What can be computed again, by kind of record."""
