"""The rules of a rollout's stages: rule 15 of `headgate.state`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from headgate.entry import Entry, moment
from headgate.phase import Soaked
from headgate.records import ApprovalRequested, PromotionStarted
from headgate.release import Reached, Release, Request
from headgate.standing import State, demand


def begin(state: State, release: Release, entry: Entry, record: PromotionStarted) -> None:
    """Nothing, if a promotion may begin.

    Raises:
        Tampered: it may not.
    """
    due, rolling = release.next_stage, state.rolling
    alone = rolling is None or rolling.id == release.id
    demand(alone, entry, f"no other rollout, but {rolling and rolling.id} has not ended")
    demand(not state.accused(release), entry, "no open incident of the version in use")
    demand(due is None or record.alias == due.alias, entry, f"the alias of the next stage, '{due and due.alias}'")
    if release.stage == "rolling":
        demand(due is not None and not due.roles, entry, "a stage that needs no quorum for itself")
        _soaked(state, release, entry)
    else:
        demand(release.stage == "approved", entry, "a complete quorum and no rejection")
        demand(state.holds(release), entry, "the version behind every stage that was reached")


def ask(state: State, release: Release, entry: Entry, record: ApprovalRequested) -> Release:
    """The release once people are asked about its next stage.

    Raises:
        Tampered: they may not be.
    """
    due = release.next_stage
    demand(release.stage == "rolling", entry, "a release between two stages")
    demand(due is not None and (record.stage, record.roles) == (due.name, due.roles), entry, "the next stage's quorum")
    demand(record.rollout == (), entry, "the stages that people were told of at first")
    _soaked(state, release, entry)
    asked = Request(entry.seq, entry.time, record)
    return replace(release, requests=(*release.requests, asked), reminders=0, deputies={})


def soak(state: State, release: Release, entry: Entry, record: Soaked) -> Release:
    """The release once its newest stage has soaked.

    Raises:
        Tampered: it has not, or not yet.
    """
    demand(release.stage == "rolling" and state.holds(release), entry, "a release between two stages")
    terms, last = release.here, release.reached[-1]
    demand(last.soaked is None and record.stage == terms.name, entry, f"the stage '{terms.name}', once")
    enough = record.minutes >= terms.soak_minutes and record.requests >= terms.min_requests
    demand(enough, entry, f"{terms.soak_minutes:g} minutes and {terms.min_requests:,} requests")
    passed = moment(entry.time) - moment(last.time)
    demand(passed >= timedelta(minutes=record.minutes), entry, "no more minutes than have passed")
    return replace(release, reached=(*release.reached[:-1], replace(last, soaked=record)))


def _soaked(state: State, release: Release, entry: Entry) -> None:
    last: Reached = release.reached[-1]
    demand(last.soaked is not None, entry, f"'{last.record.alias}' to have soaked")
    demand(state.holds(release), entry, "the version behind every stage that was reached")
