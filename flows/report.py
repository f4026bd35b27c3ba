"""Report: the page for stakeholders, from the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.guard import as_json, guarded, known
from tasks.read import Site

if TYPE_CHECKING:
    from headgate.errors import HeadgateError
    from tasks.report import Written


@click.command()
@click.argument("model", required=False)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the page of MODEL here instead.")
@as_json
@click.pass_obj
@guarded
def report(site: Site, model: str | None, out: Path | None, as_json: bool) -> int:
    """Write the page for stakeholders about MODEL: one HTML file, to read, print or send.

    It says in plain words what is live, how good it is and for whom, what was decided, by whom and why, who waits for
    what, and what is at risk: what has gone wrong, what runs out, what nobody knows. Everything comes from the ledger
    and the evidence that it names; evidence that is missing is named as missing. Nothing in the page runs, and nothing
    is loaded from a network.

    \b
    headgate report employment               HEADGATE_HOME/reports/employment.html
    headgate report employment --out a.html  somewhere else, without links to the packages
    headgate report employment --json        the page, and the same facts as JSON
    headgate report                          all models, and reports/index.html with a line for each

    The page names the ledger's size and root and the time it was made: `headgate audit` makes what lies in reports/
    again from that, and finds each that differs by a byte. What releases, promotes, rolls back, waives or guards writes
    the page of its model again when it ends. Days that have passed since, and reports/index.html, need this command.
    """
    if model is None:
        return _all(site, out, as_json=as_json)
    from headgate.report import facts_of
    from tasks.report import report as write

    made = write(site.home, known(site, model, model), out)
    _print(made.path, {"path": str(made.path), **facts_of(made.facts)}, as_json=as_json)
    return 0


def _all(site: Site, out: Path | None, *, as_json: bool) -> int:
    from headgate.errors import BadInput
    from headgate.report import facts_of
    from tasks.place import models_of
    from tasks.report import Written, report_all

    if out is not None:
        raise BadInput("--out", got="no MODEL", expected="the model whose page goes there", next_step="name it")
    path, made = report_all(site.home, models_of(site.home))
    told = {name: facts_of(m.facts) if isinstance(m, Written) else {"error": str(m)} for name, m in made.items()}
    _print(path, {"path": str(path), "models": told}, as_json=as_json)
    return _troubles(made)


def _troubles(made: dict[str, Written | HeadgateError]) -> int:
    from headgate.errors import HeadgateError

    errors = [error for error in made.values() if isinstance(error, HeadgateError)]
    for error in errors:
        click.echo(str(error), err=True)
    return max((error.exit_code for error in errors), default=0)


def _print(path: Path, told: dict[str, Any], *, as_json: bool) -> None:
    from flows.show import print_json

    if as_json:
        return print_json(told)
    return click.echo(str(path))
