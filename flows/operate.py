"""Operate: promote by hand, go back, look after the aliases, and ask what was live when, from the terminal."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click

from flows.guard import HALTED, as_json, guarded, known
from headgate.markdown import plain
from tasks.read import Site

F = TypeVar("F", bound=Callable[..., object])


def as_who(command: F) -> F:
    """The option that says who asks."""
    text = "Who asks; recorded as it is given.  [env: HEADGATE_USER; default: login name]"
    return click.option("--as", "who", envvar="HEADGATE_USER", default=getpass.getuser, help=text)(command)


@click.command()
@click.argument("model")
@click.argument("version", type=click.IntRange(1))
@click.option("--role", help="Approve it too, in this role.")
@click.option("--key", type=click.Path(path_type=Path), help="Your SSH key, for --role; without one, ssh-agent signs.")
@click.option("--reason", default="", help="Why; part of what you sign.")
@click.option("--stage", default="", help="The stage that it is to reach.  [default: the next one]")
@as_json
@click.pass_obj
@guarded
def promote(  # one per option
    site: Site, model: str, version: int, role: str | None, key: Path | None, reason: str, stage: str, as_json: bool
) -> int:
    """Take VERSION of MODEL to its next stage, if all that it needs is there; else say what is missing (exit code 1).

    It goes on through the stages that are due at once, such as those that need no soak and nobody's approval.
    """
    from flows.run import prepare

    prepare(site.home)
    from flows.run import run_promotion
    from flows.show import show_release
    from tasks.approve import answer
    from tasks.promote import case_of
    from tasks.record import Desk

    case = case_of(str(site.home), str(site.folder(known(site, model, model))), version)
    if role:
        answer(case, role=role, key=key, reason=reason)
    refused = run_promotion(case, version, stage)
    show_release(Desk(case.home, model), case.release, as_json=as_json, brief=True)
    for line in refused:
        click.echo(f"Not promoted: {plain(line)}", err=True)
    return HALTED if refused else 0


@click.command()
@click.argument("model")
@click.option("--to", type=click.IntRange(1), metavar="VERSION", help="To this version.  [default: the one before]")
@click.option("--reason", required=True, help="Why; it is recorded, and others act on it.")
@as_who
@as_json
@click.pass_obj
@guarded
def rollback(site: Site, model: str, to: int | None, reason: str, who: str, as_json: bool) -> None:
    """Take the aliases of MODEL back to the version that was live before, in one step.

    A rollout that has not reached its last stage is ended: its stages go back, and the last stage was never touched.
    No evaluation and no approval: to go back must always be possible. The version's bytes are compared with those that
    were registered; one that was changed or deleted is passed over. What was rolled back needs a new release.
    """
    from flows.overview import show_history
    from tasks.record import Desk
    from tasks.report import refresh
    from tasks.rollback import roll_back

    home, name = site.home, known(site, model, model)
    roll_back(home, name, reason=reason, who=who, to=to)
    refresh(home, name)
    show_history(Desk(home, name), as_json=as_json, newest=2)


@click.command()
@click.argument("model")
@click.option("--at", metavar="TIME", help="Only what was live at this time, such as 2026-07-01T12:00:00Z.")
@as_json
@click.pass_obj
@guarded
def history(site: Site, model: str, at: str | None, as_json: bool) -> None:
    """Tell which version of MODEL was live when, who put it there, and why."""
    from flows.overview import show_history
    from tasks.record import Desk

    show_history(Desk(site.home, known(site, model, model)), as_json=as_json, at=at)


@click.command()
@click.argument("model", required=False)
@click.option("--clear", "slot", type=click.IntRange(0), metavar="SLOT", help="Close the incident of this slot.")
@click.option("--reason", help="Why it is closed; required with --clear.")
@as_who
@as_json
@click.pass_obj
@guarded
def guard(site: Site, model: str | None, slot: int | None, reason: str | None, who: str, as_json: bool) -> int:
    """Look after MODEL, or all models, once, as the platform does every minute.

    What a dead process left is finished; an alias that somebody else moved is put back or frozen, as the policy says;
    people who owe an answer are reminded; what nobody approved in time is halted; the flags of routers, where there
    are any, are written again from the ledgers. Exit code 1 while an incident is open.
    """
    from tasks.place import models_of

    names = [known(site, model, model)] if model else models_of(site.home)
    from flows.rollout import ready

    ready(site.home, names)
    from flows.overview import show_watch
    from tasks.guard import clear, look_after
    from tasks.record import Desk
    from tasks.route import keep_up

    if slot is not None:
        clear(site.home, known(site, model or "", str(model)), slot, reason=_reason(reason), who=who)
    done = {name: (*look_after(site.home, name), *_rolled(site.home, name)) for name in names}
    keep_up(site.home)
    _tell(site.home, [name for name in names if done[name] or slot is not None])
    open_ones = {name: Desk(site.home, name).state().incidents for name in names}
    show_watch(done, open_ones, as_json=as_json)
    return HALTED if any(open_ones.values()) else 0


@click.command()
@click.argument("model", required=False)
@as_json
@click.pass_obj
@guarded
def approvals(site: Site, model: str | None, as_json: bool) -> None:
    """List what waits for whom, since when and until when, in MODEL or in all models."""
    from flows.overview import show_waiting
    from tasks.place import models_of
    from tasks.record import Desk

    names = [known(site, model, model)] if model else models_of(site.home)
    show_waiting([Desk(site.home, name) for name in names], as_json=as_json)


def _rolled(home: Path, name: str) -> tuple[str, ...]:
    from flows.rollout import go_on

    rolled = go_on(home, name)
    if rolled is None:
        return ()
    from tasks.record import standing

    why = "; ".join(rolled.held)
    return (f"the rollout of {rolled.case.release} is {standing(rolled.case).stage}{f': {why}' if why else ''}",)


def _tell(home: Path, names: Sequence[str]) -> None:
    for name in names:
        from tasks.report import refresh  # its figures are imported only where there is something to tell

        refresh(home, name)


def _reason(given: str | None) -> str:
    from headgate.errors import BadInput

    if not given:
        raise BadInput(
            "--clear",
            got="no --reason",
            expected="a reason: it is recorded, and the model can be promoted again",
            next_step="say what was found out",
        )
    return given
