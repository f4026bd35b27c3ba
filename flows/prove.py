"""Prove: what outsiders need to hold a ledger to its word, printed as files of public formats, and checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.guard import HALTED, as_json, guarded, known
from headgate.markdown import plain
from tasks.read import Site

if TYPE_CHECKING:
    from headgate.checkpoint import Checkpoint
    from headgate.letter import Shown
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
    is none, because the ledger is another one or shorter. `headgate check` checks both, without the ledger.
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
    ledger.jsonl, without its newline) to the root in the checkpoint below it. `headgate check` checks it there.
    """
    from headgate.proof import inclusion

    desk = _desk(site, model)
    _print(inclusion(desk.ledger(), slot, desk.signer), as_json=as_json)


@click.command()
@click.argument("letter", type=_file)
@click.option(
    "--key", type=_file, required=True, help="The pipeline's public key (PEM), as you have it from elsewhere."
)
@click.option("--entry", type=_file, help="The entry that is to be in the ledger: its stored bytes.")
@click.option("--since", type=_file, help="The checkpoint that you have kept, which the ledger is to continue.")
@as_json
@guarded
def check(letter: Path, key: Path, entry: Path | None, since: Path | None, as_json: bool) -> int:
    """Check what you were sent about a ledger that you do not have: offline, and with the pipeline's public key alone.

    \b
    A proof from `headgate prove`:                headgate check PROOF --key pipeline.pub --entry ENTRY
    A proof from `headgate checkpoint --since`:   headgate check PROOF --key pipeline.pub --since KEPT
    A checkpoint:                                 headgate check CHECKPOINT --key pipeline.pub

    ENTRY may be a line of a package's ledger.jsonl. Exit codes: 0 it holds; 1 it does not, and the first thing that is
    wrong is named; 2 a file is none of these.
    """
    from headgate.letter import opened
    from headgate.signing import Verifier

    kept = {name: path.read_bytes() for name, path in {"entry": entry, "since": since}.items() if path is not None}
    found = opened(letter.read_bytes(), Verifier(key.read_bytes()), **kept)
    _show(found, as_json=as_json)
    return 0 if found.holds else HALTED


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


def _show(found: Shown, *, as_json: bool) -> None:
    new, wrong = found.checkpoint, found.wrong
    if as_json:
        seen = {"model": new.model, "key": new.key, "size": new.size, "root": new.root} if new else {}
        parts = {"entry": found.entry and found.entry.model_dump(), "old": found.old and found.old.size}
        told = {"holds": found.holds, "kind": found.kind, **seen, **parts, "wrong": wrong and vars(wrong)}
        return click.echo(json.dumps(told, indent=2))
    if new is None or wrong is not None:
        click.echo("It does NOT hold. Do not rely on it.")
        return click.echo(plain(f"  {wrong}"))
    click.echo(plain(f"{_subject(found, new)}: {new.size:,} entries with the root {new.root}, signed by {new.key}."))


def _subject(found: Shown, new: Checkpoint) -> str:
    entry, old = found.entry, found.old
    if entry is not None:
        of = "" if entry.release is None else f" of {entry.release}"
        return f"Entry {entry.seq} ({entry.kind}{of}, by {entry.actor}, {entry.time}) is in the ledger of {new.model}"
    if old is not None:
        return f"The ledger of {new.model} continues what was kept, its first {old.size:,} entries"
    return f"This is a checkpoint of the ledger of {new.model}"
