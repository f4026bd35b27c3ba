"""Verify, replay, audit: what an auditor does; with a package, without a network, a server or the store."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.guard import HALTED, as_json, guarded
from headgate.edition import NOW
from headgate.errors import BadInput
from headgate.markdown import plain
from tasks.read import Site

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
@click.pass_obj
@guarded
def verify(site: Site, package: Path, signers: Path | None, key: Path | None, as_json: bool) -> int:
    """Check PACKAGE, a folder or its archive, by itself: offline, and without the store it came from.

    Every file against the manifest, the ledger's chain and signatures up to the packaging, the verdicts computed again
    from report and tally, and the signatures under the approvals. Whatever is wrong is named with its smallest witness,
    and the exit code is 1. Without --signers and --key the package's own are believed: whoever made it made those too.

    The checkpoint of a sound package is remembered under HEADGATE_HOME, and a later package or audit that contradicts
    it is refused: another history of the same size, or another key. A package that is older than what was seen is
    compared as far as it goes.
    """
    _without_threads()
    from headgate.home import Home
    from headgate.signers import AllowedSigners
    from headgate.verification import verify as check
    from tasks.pack import unpack
    from tasks.remember import look_back

    known = AllowedSigners.parse(signers.read_text()) if signers else None
    found = check(unpack(package), key=key.read_bytes() if key else None, signers=known)
    compared = look_back(Home(site.home), found, trusted=key is not None)
    _show(found, compared, as_json=as_json)
    return 0 if found.sound else HALTED


@click.command()
@_package
@as_json
@guarded
def replay(package: Path, as_json: bool) -> int:
    """Judge every gate of PACKAGE again, from its tally under its policy, and compare with its verdicts to the bit.

    Another C library may compute the last bits of a number otherwise. That is said, and the exit code is 0;
    it is 1 if anything else differs. A tally holds no rows: replaying needs nobody's data.
    """
    _without_threads()
    from headgate.replay import replay as judge_again
    from tasks.pack import unpack

    found = judge_again(unpack(package))
    _show_replay(found, as_json=as_json)
    return 0 if found.same else HALTED


@click.command()
@click.argument("model", required=False)
@click.option("--store", metavar="URL", help="Audit this copy of the store instead: a folder, or s3://bucket/prefix.")
@click.option("--offline", is_flag=True, help="Do not ask MLflow where the aliases are.")
@click.option(
    "--signers",
    type=_file,
    help="An allowed_signers file kept elsewhere: whoever holds the pipeline's key can forge the recorded ones.",
)
@click.option(
    "--witness",
    "kept",
    multiple=True,
    type=_file,
    help="A checkpoint, or the text that an approver signed, kept elsewhere: the ledger must continue it.",
)
@as_json
@click.pass_obj
@guarded
def audit(site: Site, model: str | None, kept: tuple[Path, ...], as_json: bool, **given: Any) -> int:
    """Recompute everything that is recorded about MODEL, or about all models, and name whatever is wrong.

    The ledger must also continue every checkpoint that was seen before: by this home, in MLflow, and by --witness.
    MLflow's pages, and the reports (`headgate report`) and the flags (`headgate serve`) of this home, must be what the
    ledger renders.
    """
    from flows.show import show_findings
    from headgate.signers import AllowedSigners
    from tasks.audit import audit_all

    signers, store = given["signers"], given["store"]
    if kept and model is None:
        raise BadInput("--witness", got="no MODEL", expected="the model that it speaks of", next_step="name it")
    asked = {
        "model": model,
        "store": store,
        "ask_registry": not given["offline"] and store is None,
        "signers": AllowedSigners.parse(signers.read_text()) if signers else None,
        "witnesses": {str(path): path.read_bytes() for path in kept},
    }
    found = audit_all(site.home, **asked)
    show_findings(found, as_json=as_json)
    return HALTED if any(f.anomalies for f in found.values()) or not found else 0


def _without_threads() -> None:
    # No sum is left to a BLAS here, and its threads take as long to start as a package to verify.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _show(found: Verified, compared: str, *, as_json: bool) -> None:
    wrong = [vars(anomaly) for anomaly in found.anomalies]
    if as_json:
        told = {"package": found.package, "edition": found.edition, "release": found.release, "sound": found.sound}
        return click.echo(
            json.dumps({**told, "checked": found.checked, "compared": compared, "anomalies": wrong}, indent=2)
        )
    checked = ", ".join(f"{count} {what}" for what, count in found.checked.items()) or "nothing"
    click.echo(plain(f"{found.release or 'package'} {found.package}: checked {checked}; {compared}"))
    if found.edition is not None and found.edition < NOW:
        click.echo(f"It is of the format v{found.edition}, of which less is compared than of v{NOW}, today's.")
    for each in wrong:
        where = "" if each["slot"] < 0 else f" in slot {each['slot']}"
        click.echo(plain(f"  {each['name']}{where}: got {each['got']}; expected {each['expected']}"))
    click.echo("Nothing is wrong." if found.sound else f"NOT SOUND: {len(wrong)} things are wrong. Do not rely on it.")


def _show_replay(found: Replay, *, as_json: bool) -> None:
    each = [{"verdict": j.verdict.name, "gate": j.gate, "reason": j.reason} for j in found.judged.judgements]
    if as_json:
        told = {
            "same": found.same,
            "exact": found.exact,
            "stored": found.stored,
            "again": found.again,
            "judgements": each,
        }
        return click.echo(json.dumps(told, indent=2))
    for one in each:
        click.echo(plain(f"{one['verdict']:<12} {one['gate']}: {one['reason']}"))
    said = f"NOT the same: stored {found.stored}, again {found.again}"
    if found.same:
        said = "the same to the bit" if found.exact else "the same but for the last bits, as with another C library"
    click.echo(f"{len(each)} comparisons judged again, together {found.judged.verdict.name}: {said}.")
