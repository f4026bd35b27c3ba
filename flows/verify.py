"""Verify and replay: what an auditor does with a package, without a network, a server or a home."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.guard import as_json, guarded
from headgate.markdown import plain

if TYPE_CHECKING:
    from headgate.replay import Replay
    from headgate.verification import Verified

_package = click.argument("package", type=click.Path(path_type=Path, exists=True))
_file = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@_package
@click.option("--signers", type=_file, help="An allowed_signers file kept elsewhere, instead of the package's own.")
@click.option("--key", type=_file, help="The pipeline's public key (PEM) kept elsewhere, instead of the package's own.")
@as_json
@guarded
def verify(package: Path, signers: Path | None, key: Path | None, as_json: bool) -> int:
    """Check PACKAGE, a folder or its archive, by itself: offline, and without the store it came from.

    Every file against the manifest, the ledger's chain and signatures up to the packaging, the verdicts computed again
    from report and tally, and the signatures under the approvals. Whatever is wrong is named with its smallest witness,
    and the exit code is 1. Without --signers and --key the package's own are believed: whoever made it made those too.
    """
    from headgate.signers import AllowedSigners
    from headgate.verification import verify as check
    from tasks.pack import unpack

    known = AllowedSigners.parse(signers.read_text()) if signers else None
    found = check(unpack(package), key=key.read_bytes() if key else None, signers=known)
    _show(found, as_json=as_json)
    return 0 if found.sound else 1


@click.command()
@_package
@as_json
@guarded
def replay(package: Path, as_json: bool) -> int:
    """Judge every gate of PACKAGE again, from its tally under its policy, and compare to the bit with its verdicts.

    The exit code is 1 if one bit differs. A tally holds no rows: replaying needs nobody's data.
    """
    from headgate.replay import replay as judge_again
    from tasks.pack import unpack

    found = judge_again(unpack(package))
    _show_replay(found, as_json=as_json)
    return 0 if found.same else 1


def _show(found: Verified, *, as_json: bool) -> None:
    wrong = [vars(anomaly) for anomaly in found.anomalies]
    if as_json:
        told = {"package": found.package, "release": found.release, "sound": found.sound, "checked": found.checked}
        return click.echo(json.dumps({**told, "anomalies": wrong}, indent=2))
    checked = ", ".join(f"{count} {what}" for what, count in found.checked.items()) or "nothing"
    click.echo(plain(f"{found.release or 'package'} {found.package}: checked {checked}"))
    for each in wrong:
        where = "" if each["slot"] < 0 else f" in slot {each['slot']}"
        click.echo(plain(f"  {each['name']}{where}: got {each['got']}; expected {each['expected']}"))
    click.echo("Nothing is wrong." if found.sound else f"NOT SOUND: {len(wrong)} things are wrong. Do not rely on it.")


def _show_replay(found: Replay, *, as_json: bool) -> None:
    each = [{"verdict": j.verdict.name, "gate": j.gate, "reason": j.reason} for j in found.judged.judgements]
    if as_json:
        told = {"same": found.same, "stored": found.stored, "again": found.again, "judgements": each}
        return click.echo(json.dumps(told, indent=2))
    for one in each:
        click.echo(plain(f"{one['verdict']:<12} {one['gate']}: {one['reason']}"))
    said = "the same to the bit" if found.same else f"NOT the same: stored {found.stored}, again {found.again}"
    click.echo(f"{len(each)} comparisons judged again, together {found.judged.verdict.name}: {said}.")
