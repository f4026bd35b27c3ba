"""Overview: what was live when, what the guard did, and who is waited for, as tables or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from flows.show import add_row, console, print_json, seconds, titled
from headgate.approval import moment
from headgate.history import MOVING, Span, live, spans
from headgate.markdown import plain
from headgate.release import Release
from headgate.watch import Incident
from tasks.record import Desk


def show_history(desk: Desk, *, as_json: bool, at: str | None = None, newest: int | None = None) -> None:
    """Which version was live when, by whom and why; with `at` only what was live then.

    Raises:
        BadInput: `at` is no time with a zone.
    """
    entries = desk.ledger().entries
    found = list(spans(entries) if at is None else live(entries, moment(at).isoformat()).values())
    found = found[-newest:] if newest else found
    if as_json:
        return print_json({"model": desk.model, "spans": [asdict(span) for span in found]})
    title = f"{desk.model}: what was live" + ("" if at is None else f" at {at}")
    shown = titled(title, "alias", "version", "from", "until", "by", "why", "in doubt")
    for span in found:
        who = ", ".join(span.people)
        add_row(
            shown, span.alias, span.version, seconds(span.since), seconds(span.until), who, _why(span), _doubts(span)
        )
    console().print(shown if found else f"Nothing of {plain(desk.model)} was live{'' if at is None else ' then'}.")


def show_watch(
    done: Mapping[str, Sequence[str]], open_ones: Mapping[str, Mapping[int, Incident]], *, as_json: bool
) -> None:
    """What the guard did, and which incidents are open."""
    if as_json:
        return print_json({name: _watched(said, open_ones[name]) for name, said in done.items()})
    out = console()
    for name, said in done.items():
        out.print(f"{name}: {len(said) or 'nothing'} to do", markup=False, highlight=False)
        for line in said:
            out.print(f"  {plain(line)}", markup=False, highlight=False)
        for slot, incident in open_ones[name].items():
            told = f"'{incident.alias}' at {incident.shown} instead of {incident.recorded}: {incident.why}"
            after = f"`headgate guard {name} --clear {slot} --reason ...`, or `headgate rollback {name} --reason ...`"
            out.print(f"  OPEN, slot {slot}: {plain(told)}\n    next: {after}", markup=False, highlight=False)


def show_waiting(desks: Sequence[Desk], *, as_json: bool) -> None:
    """The releases that wait, for whom, since when and until when."""
    waiting = [
        release
        for desk in desks
        for release in desk.state().releases.values()
        if release.stage in ("waiting", "approved")
    ]
    if as_json:
        return print_json([_waiting(release) for release in waiting])
    shown = titled("waits for people", "release", "since", "until", "for", "agreed", "deputies")
    for release in waiting:
        d = _waiting(release)
        owed = ", ".join(f"{n} × {role}" for role, n in release.missing.items()) or "its promotion"
        deputies = ", ".join(f"{to} for {role}" for role, to in release.deputies.items())
        name = release.id if d["stage"] is None else f"{release.id}, stage {d['stage']}"
        add_row(shown, name, seconds(d["since"]), seconds(d["until"]), owed, ", ".join(d["agreed"]), deputies)
    console().print(shown if waiting else "Nothing waits for anybody.")


def _waiting(release: Release) -> dict[str, Any]:
    return {
        "release": release.id,
        "stage": release.question.stage,
        "since": release.requests[-1].time,
        "until": release.question.expires,
        "missing": release.missing,
        "agreed": [f"{a.record.person} as {a.record.role}" for a in release.agreed],
        "deputies": dict(release.deputies),
        "reminders": release.reminders,
    }


def _watched(said: Sequence[str], open_ones: Mapping[int, Incident]) -> dict[str, Any]:
    return {"done": list(said), "incidents": {str(k): v.model_dump(mode="json") for k, v in open_ones.items()}}


def _why(span: Span) -> str:
    return span.why if span.release is None else f"{span.release}: {span.why}"


def _doubts(span: Span) -> str:
    # The moment of its own promotion is told in JSON; here, what somebody else did.
    strange = [doubt for doubt in span.doubts if doubt.why != MOVING]
    return "; ".join(f"{seconds(d.since)} to {seconds(d.until) or 'now'}: at {d.shown}" for d in strange)
