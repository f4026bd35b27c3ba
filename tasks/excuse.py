"""Excuse: record the gates' verdict, with the waivers that cover some of it."""

from __future__ import annotations

from headgate.excuse import Heard, hear, standing
from headgate.judgement import Judged
from headgate.ledger import Ledger
from headgate.record import Record
from headgate.records import Evaluated
from headgate.state import State
from tasks.read import read_signers
from tasks.record import Case, Desk, now


def record_verdict(desk: Desk, case: Case, judged: Judged, record: Evaluated) -> Heard:
    """Record the verdict, and what became of the waivers that speak of it, as the ledger stands in that moment.

    Args:
        record: the verdict as if there were no waivers.
    """
    heard = Heard((), {})

    def decided(ledger: Ledger, state: State) -> tuple[str, Record]:
        # Again for each try: a waiver that another writer revokes in between is not used.
        nonlocal heard
        heard = _heard(desk, case, judged, ledger, state)
        if not heard.used:
            return case.release, record
        excuses = {"waived": tuple(w.seq for w in heard.used), "unwaived": standing(judged, heard.used)}
        return case.release, Evaluated(**{**dict(record), **excuses})

    desk.decide(decided)
    return heard


def _heard(desk: Desk, case: Case, judged: Judged, ledger: Ledger, state: State) -> Heard:
    release = state.release(case.release)
    return hear(
        judged,
        state,
        release,
        policy=desk.policy(release),
        ledger=ledger,
        signers=read_signers(case.folder),
        read=desk.evidence.get,
        at=now(),
    )
