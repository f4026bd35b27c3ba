"""Guard: what every command shares: JSON on demand, and errors as messages and exit codes."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable
from typing import Any

import click

from headgate.errors import BadInput, HeadgateError
from tasks.read import Site

HALTED = 1
"""The exit code of a decision that stopped something: a gate, a rejection, a failed audit."""

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def guarded(command: Callable[..., int | None]) -> Callable[..., None]:
    """Turn errors into messages and exit codes."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            code = command(*args, **kwargs) or 0
        except HeadgateError as error:
            _complain(error)
            code = error.exit_code
        except Exception:  # whatever it was, it was not a pass
            traceback.print_exc()
            click.echo("Unexpected. Nothing was promoted by this; what was recorded stays. Please report it.", err=True)
            code = HeadgateError.exit_code
        sys.exit(code)

    return run


def _complain(error: HeadgateError) -> None:
    click.echo(
        f"{click.style('error', fg='red', bold=True)}: {error.subject}\n  got:      {error.got}\n"
        f"  expected: {error.expected}\n  next:     {error.next_step}",
        err=True,
    )


def known(site: Site, model: str, name: str) -> str:
    """The model, if this home has a ledger of it. Raises BadInput, which speaks of `name`, if not."""
    from tasks.place import models_of

    if model not in models_of(site.home):
        raise BadInput(
            f"'{name}'",
            got=f"no ledger in {site.home}, or in HEADGATE_STORE where that is set",
            expected="a model or a release that was made with this home",
            next_step="run `headgate status`, or set HEADGATE_HOME",
        )
    return model
