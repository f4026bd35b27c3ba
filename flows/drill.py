"""Drill: go through a playbook on purpose from the terminal, or see which of them are due."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click

from flows.guard import as_json, guarded, known
from flows.operate import as_who
from headgate.markdown import plain
from tasks.read import Site


@click.command()
@click.argument("model")
@click.argument("situation", required=False)
@as_who
@as_json
@click.pass_obj
@guarded
def drill(site: Site, model: str, situation: str | None, who: str, as_json: bool) -> None:
    """Go through the playbook of SITUATION step by step, as the incident plan of what is in use has it, and time it.

    Do each step as if it were needed, and say what was found. It is recorded when the last one is done, and is no
    alarm. Without SITUATION, all playbooks are listed, with when each was drilled last and when it is due.
    """
    from flows.show import print_json
    from tasks.drill import drill as go_through
    from tasks.record import Desk

    name = known(site, model, model)
    if situation is None:
        _show(Desk(site.home, name), as_json=as_json)
        return
    done = go_through(site.home, name, situation, _ask, who=who)
    if as_json:
        return print_json(done.model_dump(mode="json"))
    click.echo(f"'{plain(situation)}' took {sum(done.seconds):,.0f} s in {len(done.steps)} step(s). It is recorded.")


def _ask(number: int, step: str) -> str:
    click.echo(f"{number}. {plain(step)}", err=True)
    return str(click.prompt("   done; what was found", default="", show_default=False, err=True))


def _show(desk: Any, *, as_json: bool) -> None:
    from flows.show import add_row, console, print_json, seconds, titled
    from headgate.entry import moment
    from tasks.drill import drilled, plan_of

    plans, last = plan_of(desk), drilled(desk)
    stated = plans.answering.incidents
    rows: list[dict[str, Any]] = []
    for each in plans.answering.situations:
        at = last.get(each.name)
        due = moment(at) + timedelta(days=stated.drill_days) if at and stated else None
        rows.append({"situation": each.name, "steps": len(each.steps), "last": at, "due": due and due.isoformat()})
    if as_json:
        return print_json(rows)
    every = f"every {stated.drill_days} days" if stated else "nobody has stated how often"
    shown = titled(f"{desk.model}: playbooks, drilled {every}", "situation", "steps", "drilled last", "due")
    for row in rows:
        when = "never" if row["last"] is None else seconds(row["last"])
        by = "now" if row["due"] is None else seconds(row["due"])
        add_row(shown, row["situation"], row["steps"], when, by if stated else "")
    console().print(shown)
