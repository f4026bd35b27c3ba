"""Respond: look at what is in use from the terminal, and answer alarms by the steps of the incident plan."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.guard import HALTED, as_json, guarded, known
from flows.operate import as_who
from headgate.markdown import plain
from tasks.read import Site

if TYPE_CHECKING:
    from headgate.standing import Alarm
    from tasks.attend import Called
    from tasks.monitor import Look, Watched


@click.command()
@click.argument("model", required=False)
@as_json
@click.pass_obj
@guarded
def monitor(site: Site, model: str | None, as_json: bool) -> int:
    """Look at what is in use of MODEL, or of all models, now, by the monitoring plan in its own package.

    The platform does so as often as each plan says. Every look is recorded, with the counts that it was made from; and
    each look has its own share of the chance of a false alarm, so that looking often costs little. Exit code 1 while
    an incident is open.
    """
    _join(site.home)
    from tasks.monitor import look_at
    from tasks.notify import notify
    from tasks.place import models_of
    from tasks.record import Desk

    names = [known(site, model, model)] if model else models_of(site.home)
    found = {}
    for name in names:
        found[name] = look_at(site.home, name)
        notify.fn(site.home, name)
        if found[name].done:
            from tasks.report import refresh  # its figures are imported only where there is something to tell

            refresh(site.home, name)
    alarms = {name: Desk(site.home, name).state().alarms for name in names}
    _show_looks(found, alarms, as_json=as_json)
    return HALTED if _serious(a for each in alarms.values() for a in each.values()) else 0


@click.command()
@click.argument("model")
@click.argument("slot", type=click.IntRange(0), required=False)
@click.option("--done", "step", type=click.IntRange(1), metavar="N", help="Record that step N was done. Needs --note.")
@click.option("--note", help="What was done and found; recorded.")
@click.option("--close", "closing", is_flag=True, help="Record that the alarm is over. Needs --reason.")
@click.option("--reason", help="Why it is over; recorded.")
@as_who
@as_json
@click.pass_obj
@guarded
def respond(  # noqa: PLR0913  # the options of one command
    site: Site,
    model: str,
    slot: int | None,
    step: int | None,
    note: str | None,
    closing: bool,
    reason: str | None,
    who: str,
    as_json: bool,
) -> int:
    """List the open alarms of MODEL with the steps of the incident plan in its package: who owns them, and until when.

    \b
    What is to be done:  headgate respond employment
    A step is done:      headgate respond employment 42 --done 1 --note "went back to version 3"
    It is over:          headgate respond employment 42 --close --reason "the extract was repaired"

    SLOT may be left out where one alarm is open. Exit code 1 while an incident is open.
    """
    _join(site.home)
    from tasks import attend as answering
    from tasks.record import Desk

    name = known(site, model, model)
    if step is not None:
        place = _slot(answering.called(Desk(site.home, name), slot))
        answering.step(site.home, name, place, step, note=_given("--done", "--note", note), who=who)
    if closing:
        place = _slot(answering.called(Desk(site.home, name), slot))
        answering.close(site.home, name, place, reason=_given("--close", "--reason", reason), who=who)
    if step is not None or closing:
        from tasks.report import refresh

        refresh(site.home, name)
    found = answering.called(Desk(site.home, name), None if closing else slot)
    _show_alarms(name, found, as_json=as_json)
    return HALTED if _serious(one.alarm for one in found) else 0


def _join(home: Path) -> None:
    """Use the local Prefect server if it runs, and start none: it only says where the report's form is."""
    from flows.run import point_to
    from headgate.home import Home
    from tasks.serve import running

    own = running(Home(home), "prefect")
    if own is not None and "PREFECT_API_URL" not in os.environ:
        point_to(f"{own.url}/api")  # before Prefect is imported, which reads it then


def _serious(alarms: Any) -> bool:
    return any(alarm.record.severity == "incident" for alarm in alarms)


def _slot(found: Sequence[Called]) -> int:
    from headgate.errors import BadInput

    if len(found) != 1:
        raise BadInput(
            "headgate respond",
            got=f"{len(found)} open alarms and no slot",
            expected="the slot of the alarm that is meant",
            next_step="see `headgate respond MODEL`",
        )
    return found[0].alarm.seq


def _given(option: str, needed: str, text: str | None) -> str:
    from headgate.errors import BadInput

    if not text:
        raise BadInput(
            option, got=f"no {needed}", expected="a line: it is recorded", next_step="say what was done or found"
        )
    return text


def _show_looks(found: Mapping[str, Watched], alarms: Mapping[str, Mapping[int, Alarm]], *, as_json: bool) -> None:
    from flows.show import console, print_json

    if as_json:
        return print_json({name: _plain(watched, alarms[name]) for name, watched in found.items()})
    for name, watched in found.items():
        for look in watched.looks:
            _show_look(name, look)
        for line in _lines(name, watched, alarms[name]):
            console().print(plain(f"{name}: {line}"), markup=False, highlight=False)


def _lines(name: str, watched: Watched, alarms: Mapping[int, Alarm]) -> Iterator[str]:
    for version in watched.unwatched:
        yield f"nobody has stated how version {version} is watched ([monitoring] of the policy)"
    yield from (*watched.done, *watched.stuck)
    for alarm in alarms.values():
        yield f"OPEN, slot {alarm.seq}: {_told(alarm)}. Next: `headgate respond {name} {alarm.seq}`"
    if not watched.looks and not watched.unwatched:
        yield "nothing is in use"


def _show_look(name: str, look: Look) -> None:
    from flows.show import add_row, console, titled

    seen = look.vigil
    title = f"{name}: version {look.version}, '{look.alias}', look {seen.look}: {seen.verdict.name}"
    shown = titled(title, "check", "of", "slice", "verdict", "arithmetic")
    for s in seen.sightings:
        add_row(shown, s.check, s.of, s.slice, s.verdict.name, s.reason)
    console().print(shown)


def _show_alarms(name: str, found: Sequence[Called], *, as_json: bool) -> None:
    from flows.show import console, print_json

    if as_json:
        return print_json([_called(one) for one in found])
    out = console()
    say: Callable[[str], None] = lambda text: out.print(text, markup=False, highlight=False)  # noqa: E731
    if not found:
        say(f"No alarm of {plain(name)} is open.")
    for one in found:
        told = _called(one)
        say(f"slot {told['slot']}: {plain(_told(one.alarm))}")
        late = " (nobody came in time)" if told["overdue"] else ""
        until = f", to be answered by {told['respond_by']}{late}" if told["respond_by"] else ""
        say(f"  owned by {plain(told['owner'])}, reached by {plain(told['contact'] or 'nobody has stated how')}{until}")
        for each in told["steps"]:
            done = f" [done by {each['who']}: {each['note']}]" if each["who"] else ""
            say(f"  {each['step']}. {plain(each['what'] + done)}")
        say(f"  next: `headgate respond {name} {told['slot']} --done N --note TEXT`, then `--close --reason TEXT`")


def _told(alarm: Alarm) -> str:
    record = alarm.record
    return f"{record.severity} of version {record.version}, {record.check}: {record.reason}"


def _plain(watched: Watched, alarms: Mapping[int, Alarm]) -> dict[str, Any]:
    return {
        "looks": [
            {"alias": look.alias, "verdict": look.vigil.verdict.name, **look.vigil.model_dump(mode="json")}
            for look in watched.looks
        ],
        "done": list(watched.done),
        "stuck": list(watched.stuck),
        "unwatched": list(watched.unwatched),
        "alarms": {str(slot): alarm.record.model_dump(mode="json") for slot, alarm in alarms.items()},
    }


def _called(one: Called) -> dict[str, Any]:
    alarm, stated = one.alarm, one.mandate.answering.incidents
    taken = {step.step: step for step in alarm.steps}
    return {
        "slot": alarm.seq,
        "since": alarm.time,
        **alarm.record.model_dump(mode="json"),
        "owner": one.owner,
        "contact": stated.contact if stated else None,
        "overdue": alarm.overdue,
        "steps": [
            {
                "step": number,
                "what": what,
                "who": taken[number].who if number in taken else None,
                "note": taken[number].note if number in taken else None,
            }
            for number, what in enumerate(one.steps, 1)
        ],
    }
