"""Drill: go through a playbook on purpose, so that it is known before it is needed whether it can be followed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from headgate.alarm import Drilled
from headgate.errors import BadInput
from headgate.mandate import Mandate, mandate
from headgate.records import KINDS, Packaged
from tasks.record import Desk, demand_lines, now

Ask = Callable[[int, str], str]
"""Shows a step by its number and its text, waits until it was done, and gives what was found."""


def plan_of(desk: Desk) -> Mandate:
    """The plans of the version in use; of the newest packaged release where nothing is in use.

    Raises:
        BadInput: nothing was ever packaged.
    """
    state = desk.state()
    used = [maker for version in state.aliases.values() if (maker := state.maker(version)) is not None]
    packed = [release for release in state.releases.values() if release.find(Packaged) is not None]
    found = used[-1:] or packed[-1:]
    if not found:
        raise _unfit(desk.model, "nothing that was packaged", "a release with an incident plan")
    return mandate(found[0], desk.evidence.get)


def drilled(desk: Desk) -> Mapping[str, str]:
    """When each situation was drilled last."""
    kind = KINDS[Drilled]
    return {str(e.body["situation"]): e.time for e in desk.ledger().entries if e.kind == kind}


def drill(home: Path, model: str, situation: str, ask: Ask, *, who: str) -> Drilled:
    """Go through a playbook step by step, and record how long it took. If it is broken off, nothing is recorded.

    Raises:
        BadInput: the plan does not know the situation, or what is recorded is no line.
    """
    desk = Desk(home, model)
    known = plan_of(desk)
    steps = known.steps(situation)
    if not steps:
        names = sorted(s.name for s in known.answering.situations)
        raise _unfit(model, f"situation '{situation}'", f"one of {', '.join(names)}")
    demand_lines(*_about(model), who=who)
    started = now()
    took = [_timed(model, ask, number, step) for number, step in enumerate(steps, 1)]
    record = Drilled(
        release=known.release,
        incidents=known.incidents,
        situation=situation,
        started=started,
        steps=steps,
        seconds=tuple(seconds for seconds, _ in took),
        notes=tuple(note for _, note in took),
        who=who,
    )
    desk.write(None, record, actor=who)
    return record


def _timed(model: str, ask: Ask, number: int, step: str) -> tuple[float, str]:
    begun = time.monotonic()
    note = ask(number, step)
    demand_lines(*_about(model), note=note or "-")
    return round(time.monotonic() - begun, 1), note


def _about(model: str) -> tuple[str, str]:
    """What errors speak of, and what to do next."""
    return f"drill of {model}", f"see `headgate drill {model}`"


def _unfit(model: str, got: str, expected: str) -> BadInput:
    subject, next_step = _about(model)
    return BadInput(subject, got=got, expected=expected, next_step=next_step)
