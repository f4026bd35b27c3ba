"""Answer: a person's decision about a waiting release, from the terminal."""

from __future__ import annotations

from pathlib import Path

import click

from headgate.approval import statement
from headgate.errors import BadInput
from headgate.markdown import plain
from tasks.approve import answer, record_answer
from tasks.record import Case, Desk, standing


def answered(  # noqa: PLR0913 - the options of the command
    case: Case,
    *,
    role: str | None,
    key: Path | None,
    reject: bool,
    reason: str,
    show: bool,
    person: str | None,
    statement: Path | None,
    signature: Path | None,
) -> bool:
    """Take the answer; whether one was recorded.

    Raises:
        BadInput: the options do not fit together, or the answer does not count.
    """
    if reject and not reason:
        raise _unfit("--reject without --reason", "a reason: it is recorded, and others act on it")
    if show:
        click.echo(_text(case, role, person, reject, reason), nl=False)
        return False
    if statement and signature:
        record_answer(case, _bytes(statement), _bytes(signature))
        return True
    if not (role and key):
        raise _unfit("neither --role and --key nor --statement and --signature", "one of the two pairs")
    who = answer(case, role=role, key=key, decision="reject" if reject else "approve", reason=reason)
    click.echo(f"{plain(who)} {'declined' if reject else 'approved'} {case.release} as {role}.", err=True)
    return True


def _text(case: Case, role: str | None, person: str | None, reject: bool, reason: str) -> str:
    if not (role and person):
        raise _unfit("--show without --role and --person", "both: they are part of the statement")
    ledger = Desk(case.home, case.model).ledger()
    decided = {"person": person, "role": role, "reason": reason}
    spoken = statement(ledger, standing(case), decision="reject" if reject else "approve", **decided)
    return spoken.text().decode()


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise _unfit(f"{path}, which is no file", "the statement and its signature")
    return path.read_bytes()


def _unfit(got: str, expected: str) -> BadInput:
    return BadInput("answer", got=got, expected=expected, next_step="see `headgate approve --help`")
