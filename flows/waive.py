"""Waive: people except one gate from its verdict, or take that back, from the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.guard import as_json, guarded, known
from headgate.errors import BadInput
from tasks.read import Site

if TYPE_CHECKING:
    from headgate.release import Waiver
    from tasks.record import Desk
    from tasks.waive import Terms


@click.command()
@click.argument("model")
@click.option("--gate", help="The gate's name, as `headgate policy check MODEL` lists it.")
@click.option(
    "--slice", "slice", metavar="SLICE", help="Only in this slice, such as 'sex=f'.  [default: the whole gate]"
)
@click.option(
    "--covers",
    type=click.Choice(["INCONCLUSIVE", "FAIL"]),
    default="INCONCLUSIVE",
    show_default=True,
    help="The worst verdict that is excused. FAIL must be said. ERROR cannot be: nobody knows the number.",
)
@click.option(
    "--until", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="The last day on which it counts (UTC)."
)
@click.option("--reason", default="", help="Why; part of what is signed, and printed in the model's card.")
@click.option("--role", multiple=True, help="A role in which somebody signs; once per person.")
@click.option("--key", multiple=True, type=click.Path(path_type=Path), help="The private SSH key for each --role.")
@click.option("--person", multiple=True, help="The name in allowed_signers for each --role, for --show.")
@click.option("--show", is_flag=True, help="Only print the text, for each person to sign elsewhere.")
@click.option("--statement", "signed", type=click.Path(path_type=Path), help="A text that was signed elsewhere.")
@click.option("--signature", multiple=True, type=click.Path(path_type=Path), help="A signature of it; once per person.")
@click.option(
    "--revoke", "slot", type=int, metavar="SLOT", help="Take the waiver of this slot back, at once. One person."
)
@as_json
@click.pass_obj
@guarded
def waive(site: Site, model: str, as_json: bool, **given: Any) -> None:
    """Except one gate of MODEL from its verdict, in the open, for a while.

    The policy's part [waivers] says which gates, for how many days at most, and who signs: always two people or more.
    The verdict stays what it is. A release that is judged later, under the same policy, goes on with it, and its card,
    its verdict page and its approvers' text name the waiver. Whoever asked for that release cannot have signed it.
    A key signs waivers if allowed_signers lists it for namespaces="ROLE@waiver.headgate"; ROLE@headgate is not enough.

    \b
    With key files:
      headgate waive employment --gate expected-calibration-error --covers FAIL --until 2026-12-31 \\
        --reason "new questionnaire; recalibrated with the next extract" \\
        --role risk --key ~/.ssh/ana --role product --key ~/.ssh/ben
    Each on their own machine: print the text with --person instead of --key, then sign, then record.
      headgate waive ... --role risk --person ana@example.org --role product --person ben@example.org --show > text
      ssh-keygen -Y sign -n risk@waiver.headgate -f ~/.ssh/id_ed25519_sk < text > ana.sig
      headgate waive employment --statement text --signature ana.sig --signature ben.sig
    Take it back (`headgate status MODEL` shows the slots):
      headgate waive employment --revoke 12 --reason "recalibrated" --role risk --key ~/.ssh/ana
    """
    from tasks.record import Desk

    _waived(Desk(site.home, known(site, model, model)), site.folder(model), as_json=as_json, **given)


def _waived(desk: Desk, folder: Path, *, show: bool, slot: int | None, as_json: bool, **given: Any) -> None:
    """Show the text, or record it as it was signed here or elsewhere.

    Args:
        slot: of the waiver to take back; None to make one.
        given: the command's other options.

    Raises:
        BadInput: the options do not fit together, or the signatures do not count.
    """
    if show:
        click.echo((_text(desk, folder, **given) if slot is None else _taken_back(desk, slot, **given)), nl=False)
        return
    from flows.show import show_waivers
    from tasks.report import refresh

    made = _made(desk, folder, **given) if slot is None else _revoked(desk, folder, slot, **given)
    refresh(desk.home.root, desk.model)
    show_waivers(desk.model, [made], as_json=as_json)


def _made(desk: Desk, folder: Path, *, signed: Path | None, signature: Sequence[Path], **given: Any) -> Waiver:
    from tasks.waive import record_waiver, waive

    if signed is not None:
        return record_waiver(desk, folder, _bytes(signed), [_bytes(path) for path in signature])
    pairs = _paired(given["role"], given["key"], "--key")
    return waive(desk, folder, _terms(**given), pairs)


def _revoked(
    desk: Desk, folder: Path, slot: int, *, signed: Path | None, signature: Sequence[Path], **given: Any
) -> Waiver:
    from tasks.waive import record_revocation, revoke

    if signed is not None:
        if len(signature) != 1:
            raise _unfit(f"{len(signature)} --signature", "one: to take a waiver back needs one person")
        return record_revocation(desk, folder, slot, _bytes(signed), _bytes(signature[0]))
    role, key = _only(_paired(given["role"], given["key"], "--key"))
    return revoke(desk, folder, slot, role=role, key=key, reason=given["reason"])


def _text(desk: Desk, folder: Path, **given: Any) -> str:
    from tasks.waive import statement

    people = [(person, role) for role, person in _paired(given["role"], given["person"], "--person")]
    return statement(desk, folder, _terms(**given), people).text().decode()


def _taken_back(desk: Desk, slot: int, **given: Any) -> str:
    from tasks.waive import revocation_statement

    role, person = _only(_paired(given["role"], given["person"], "--person"))
    return revocation_statement(desk, slot, person=person, role=role, reason=given["reason"]).text().decode()


def _terms(**given: Any) -> Terms:
    from tasks.waive import Terms

    missing = [f"--{name}" for name in ("gate", "until", "reason") if not given[name]]
    if missing:
        raise _unfit(f"no {', '.join(missing)}", "which gate is waived, until when, and why; others act on it")
    named = {name: given[name] for name in ("gate", "slice", "covers", "reason")}
    return Terms(**named, until=given["until"].date())


def _paired(roles: Sequence[str], others: Sequence[Any], option: str) -> list[tuple[str, Any]]:
    if not roles or len(roles) != len(others):
        raise _unfit(f"{len(roles)} --role and {len(others)} {option}", f"one {option} after each --role")
    return list(zip(roles, others, strict=True))


def _only(pairs: Sequence[tuple[str, Any]]) -> tuple[str, Any]:
    if len(pairs) != 1:
        raise _unfit(f"{len(pairs)} people", "one: to take a waiver back needs no second person")
    return pairs[0]


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise _unfit(f"{path}, which is no file", "the text and its signatures")
    return path.read_bytes()


def _unfit(got: str, expected: str) -> BadInput:
    return BadInput("waiver", got=got, expected=expected, next_step="see `headgate waive --help`")
