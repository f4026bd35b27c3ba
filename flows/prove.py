"""Prove: what outsiders need to hold a ledger to its word, printed as files of public formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.guard import as_json, guarded, known
from tasks.read import Site

if TYPE_CHECKING:
    from tasks.record import Desk

_file = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("model")
@click.option("--since", type=_file, help="A checkpoint that was kept: prove that the ledger continues it.")
@as_json
@click.pass_obj
@guarded
def checkpoint(site: Site, model: str, since: Path | None, as_json: bool) -> None:
    """Print the signed checkpoint of the ledger of MODEL: its size and Merkle root (c2sp.org/tlog-checkpoint).

    Keep it where the ledger is not: `headgate audit MODEL --witness FILE` refuses a ledger that does not continue it.
    With --since it is printed below the proof of that, as c2sp.org/tlog-witness sends it; the exit code is 1 if there
    is none, because the ledger is another one or shorter.
    """
    desk = _desk(site, model)
    _print(_note(desk) if since is None else _continued(desk, since.read_bytes()), as_json=as_json)


@click.command()
@click.argument("model")
@click.option("--entry", "slot", type=click.IntRange(0), required=True, help="The slot of the entry, from 0.")
@as_json
@click.pass_obj
@guarded
def prove(site: Site, model: str, slot: int, as_json: bool) -> None:
    """Prove that an entry is in the ledger of MODEL, to somebody who has the entry and not the ledger.

    What is printed is a c2sp.org/tlog-proof: the Merkle path from the entry's stored bytes (a line of a package's
    ledger.jsonl, without its newline) to the root in the checkpoint below it.
    """
    from headgate.proof import inclusion

    desk = _desk(site, model)
    _print(inclusion(desk.ledger(), slot, desk.signer), as_json=as_json)


def _desk(site: Site, model: str) -> Desk:
    from tasks.record import Desk

    return Desk(site.home, known(site, model, model))


def _note(desk: Desk) -> bytes:
    from headgate.checkpoint import sign

    return sign(desk.ledger(), desk.signer).note


def _continued(desk: Desk, kept: bytes) -> bytes:
    from headgate.checkpoint import read
    from headgate.errors import Tampered
    from headgate.proof import consistency
    from headgate.witness import against

    ledger, place = desk.ledger(), "the checkpoint that was kept"
    old = read(kept, desk.model, desk.verifier)
    for anomaly in against(ledger, {place: kept}, desk.verifier):
        raise Tampered(
            f"ledger of {desk.model}, slot {anomaly.slot} ({anomaly.name})",
            got=anomaly.got,
            expected=anomaly.expected,
            next_step="keep both for the investigation, and run `headgate audit`",
        )
    return consistency(ledger, old.size, desk.signer)


def _print(told: bytes, *, as_json: bool) -> None:
    """A checkpoint, or a proof above one, as it is or with its parts named."""
    if not as_json:
        return click.echo(told, nl=False)
    *proof, text, _ = told.decode().split("\n\n")
    origin, size, root = text.split("\n")
    head, *hashes = proof[0].removeprefix("c2sp.org/tlog-proof@v1\n").split("\n") if proof else [""]
    named = {"origin": origin, "size": int(size), "root": root, "text": told.decode()}
    shown = {head.split()[0]: int(head.split()[1]), "hashes": hashes} if proof else {}
    click.echo(json.dumps({**named, **shown}, indent=2))
