"""Answer: a person's decision about a waiting release, from the terminal."""

from __future__ import annotations

from pathlib import Path

import click

from headgate.approval import Decision, statement
from headgate.errors import BadInput
from headgate.markdown import plain
from tasks.approve import answer, record_answer
from tasks.record import Case, Desk, standing

_DONE = {"approve": "approved", "reject": "declined", "withdraw": "took their approval back of"}


def answered(  # noqa: PLR0913 - the options of the command
    case: Case,
    *,
    as_json: bool,
    role: str | None,
    key: Path | None,
    reject: bool,
    withdraw: bool,
    reason: str,
    show: bool,
    person: str | None,
    statement: Path | None,
    signature: Path | None,
) -> bool:
    """Take the answer, or show what it is about; whether one was recorded.

    Raises:
        BadInput: the options do not fit together, or the answer does not count.
    """
    decision = _decision(reject=reject, withdraw=withdraw, reason=reason)
    if show:
        click.echo(_text(case, role, person, decision, reason), nl=False)
        return False
    if statement and signature:
        record_answer(case, _bytes(statement), _bytes(signature))
        return True
    if role is None:
        if key or decision != "approve":
            raise _unfit("an answer without --role", "the role that you answer in")
        _evidence(case, as_json=as_json)
        return False
    who = answer(case, role=role, key=key, decision=decision, reason=reason)
    click.echo(f"{plain(who)} {_DONE[decision]} {case.release} as {role}.", err=True)
    return True


def _evidence(case: Case, *, as_json: bool) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    from flows.show import show_release
    from tasks.brief import page

    if (stage := standing(case).stage) != "waiting":
        raise _unfit(f"{case.release}, which is {stage}", "a release that waits for answers, to show what it is about")
    if as_json:
        return show_release(Desk(case.home, case.model), case.release, as_json=True)
    Console().print(Markdown(page(case, form=False)))


def _decision(*, reject: bool, withdraw: bool, reason: str) -> Decision:
    if reject and withdraw:
        raise _unfit("--reject and --withdraw", "one of them: an approval is taken back, or a release is declined")
    if (reject or withdraw) and not reason:
        raise _unfit("no --reason", "a reason: it is recorded, and others act on it")
    if withdraw:
        return "withdraw"
    return "reject" if reject else "approve"


def _text(case: Case, role: str | None, person: str | None, decision: Decision, reason: str) -> str:
    if not (role and person):
        raise _unfit("--show without --role and --person", "both: they are part of the statement")
    ledger = Desk(case.home, case.model).ledger()
    spoken = statement(ledger, standing(case), decision=decision, person=person, role=role, reason=reason)
    return spoken.text().decode()


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise _unfit(f"{path}, which is no file", "the statement and its signature")
    return path.read_bytes()


def _unfit(got: str, expected: str) -> BadInput:
    return BadInput("answer", got=got, expected=expected, next_step="see `headgate approve --help`")
