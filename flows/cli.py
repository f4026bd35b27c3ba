"""The command line. Nothing heavy is imported until a command needs it."""

from __future__ import annotations

import atexit
import gc
import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.calibrate import calibrate
from flows.drill import drill
from flows.guard import HALTED, as_json, guarded, known
from flows.operate import approvals, guard, history, promote, rollback
from flows.prove import check as check_letter
from flows.prove import checkpoint, prove
from flows.report import report
from flows.respond import monitor, respond
from flows.rollout import rollout
from flows.serve import serve
from flows.store import store
from flows.up import deployments, down, up
from flows.verify import audit, replay, verify
from flows.waive import waive
from headgate import __version__
from tasks.read import Site

if TYPE_CHECKING:
    from tasks.record import Case


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".headgate"),
    envvar="HEADGATE_HOME",
    show_default=True,
    help="The folder that holds everything Headgate writes.  [env: HEADGATE_HOME]",
)
@click.option(
    "--expectations",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    envvar="HEADGATE_EXPECTATIONS",
    help="The folder with one folder per model.  [env: HEADGATE_EXPECTATIONS; default: ./expectations]",
)
@click.pass_context
def cli(context: click.Context, home: Path, expectations: Path | None) -> None:
    """Release machine-learning models on evidence, with signed approvals and a ledger.

    \b
    First steps:
      headgate demo                     see the whole story on real data
      headgate policy check MODEL       is my policy sound?
      headgate policy calibrate MODEL   are its gates ever wrong? measured on its own rows
      headgate up                       everything on this machine: schedules, pages, forms
      headgate release MODEL            validate, train, register, evaluate, package, approve, promote
      headgate approve RELEASE ...      sign; the release goes on
      headgate waive MODEL ...          except one gate from its verdict: two people, one reason, one last day
      headgate approvals [MODEL]        what waits for whom, since when and until when
      headgate status [MODEL|RELEASE]   what stands, and why
      headgate promote MODEL VERSION    put a version live that people have approved, or say all that it lacks
      headgate report [MODEL]           the page for stakeholders: what is live, how good for whom, decided why, at risk
      headgate rollout MODEL            where a release stands on its way through the stages, and on with what is due
      headgate history MODEL            what was live when, by whom and why
      headgate rollback MODEL ...       back to the version before, in one step
      headgate serve                    answer with what is live, each subject by its stage; no restart
      headgate guard [MODEL]            put back what somebody else moved; remind, escalate, halt what is overdue
      headgate monitor [MODEL]          how does it do in use? by the plan in its own package
      headgate respond MODEL            what went wrong in use, and which steps are due
      headgate drill MODEL [SITUATION]  go through a playbook on purpose, and time it
      headgate audit [MODEL]            is all of it true?
      headgate verify PACKAGE           is this package true? offline, by itself
      headgate checkpoint MODEL         what to keep elsewhere, so that nobody can rewrite the ledger unseen
      headgate prove MODEL --entry N    that an entry is in the ledger, for somebody who does not have it
      headgate check FILE --key KEY     does such a proof hold? for somebody who has nothing but the public key

    Exit codes: 0 done or waiting as the policy says; 1 halted by a decision (a gate, a rejection, a failed audit);
    2 the caller's mistake; 3 the surroundings failed. Every command that reports has --json; the others print a file.
    """
    context.obj = Site(home=home.resolve(), expectations=expectations)


@cli.command()
@click.option("--fast", is_flag=True, help="Leave the MLflow server off at the end.")
@as_json
@click.pass_obj
@guarded
def demo(site: Site, fast: bool, as_json: bool) -> int:
    """Tell the whole story on real data: four releases, two of them halted and one taken back, and an audit."""
    from flows.run import prepare

    prepare(site.home)
    from flows.demo import demo as tell

    return tell(site.home, as_json=as_json, look=not fast)


@cli.command()
@click.argument("model")
@click.option("--data", "training", type=click.Path(path_type=Path), help="Train on this CSV or Parquet file instead.")
@click.option("--evaluate", "evaluation", type=click.Path(path_type=Path), help="Evaluate on this file instead.")
@click.option("--as", "requester", envvar="HEADGATE_USER", help="Who asks.  [env: HEADGATE_USER; default: login name]")
@click.option("--resume", metavar="RELEASE", help="Continue this release where it stopped.")
@as_json
@click.pass_obj
@guarded
def release(
    site: Site,
    model: str,
    training: Path | None,
    evaluation: Path | None,
    requester: str | None,
    resume: str | None,
    as_json: bool,
) -> int:
    """Run a release of MODEL as far as the policy and people allow.

    It ends promoted, halted (exit code 1), or waiting for approvals. Whoever asks for a release cannot approve it.
    """
    from tasks.read import read_policy

    folder = site.folder(model)
    read_policy(folder)
    tables = {"training": training, "evaluation": evaluation}
    given = {name: str(path.resolve()) for name, path in tables.items() if path is not None}
    return _release(site, folder, requester or getpass.getuser(), as_json, resume=resume, **given)


def _release(site: Site, folder: Path, requester: str, as_json: bool, **given: str | None) -> int:
    from rich.console import Console

    from flows.progress import told
    from flows.run import prepare, run_release
    from tasks.record import reopen

    prepare(site.home)
    console = Console(stderr=True)
    with told(site.home, folder.name, console):
        name = run_release(site.home, folder, requester, **given)
    return _report(reopen(str(site.home), str(folder), name), as_json)


def _report(case: Case, as_json: bool) -> int:
    from flows.show import show_release
    from headgate.markdown import plain
    from tasks.promote import why_not
    from tasks.record import Desk, standing

    show_release(Desk(case.home, case.model), case.release, as_json=as_json, brief=True)
    stage = standing(case).stage
    for reason in why_not(case) if stage == "approved" else ():
        click.echo(f"Not promoted: {plain(reason)}", err=True)
    return 0 if stage in ("waiting", "rolling", "promoted") else HALTED


@cli.command()
@click.argument("name", metavar="RELEASE")
@click.option("--role", help="The role you answer in; your key must be allowed to sign for it.")
@click.option("--key", type=click.Path(path_type=Path), help="Your SSH key; without one, ssh-agent signs.")
@click.option("--reject", is_flag=True, help="Decline instead. Needs --reason.")
@click.option("--withdraw", is_flag=True, help="Take your own approval back, before the promotion. Needs --reason.")
@click.option("--reason", default="", help="Why; part of what you sign.")
@click.option("--show", is_flag=True, help="Only print the statement, to sign it elsewhere. Needs --role and --person.")
@click.option("--person", help="Your name in allowed_signers, for --show.")
@click.option("--statement", type=click.Path(path_type=Path), help="A statement that was signed elsewhere.")
@click.option("--signature", type=click.Path(path_type=Path), help="Its signature, from `ssh-keygen -Y sign`.")
@as_json
@click.pass_obj
@guarded
def approve(site: Site, name: str, as_json: bool, **given: Any) -> int:
    """Answer for RELEASE by an SSH signature; with the last approval it goes on.

    \b
    What to decide on:   headgate approve employment-3
    With ssh-agent:      headgate approve employment-3 --role risk
    With a key file:     headgate approve employment-3 --role risk --key ~/.ssh/id_ed25519
    With a hardware key: headgate approve employment-3 --role risk --key ~/.ssh/id_ed25519_sk.pub
    On another machine:
      headgate approve employment-3 --role risk --person ana@example.org --show > statement.txt
      ssh-keygen -Y sign -n risk@headgate -f ~/.ssh/id_ed25519_sk statement.txt
      headgate approve employment-3 --statement statement.txt --signature statement.txt.sig
    """
    from flows.run import prepare

    prepare(site.home)
    from flows.answer import answered
    from headgate.records import Requested
    from tasks.record import Desk, reopen

    model = name.rpartition("-")[0]
    asked = Desk(site.home, known(site, model, name)).release(name).step(Requested)
    folder = site.folder(model) if site.expectations else Path(asked.folder)
    case = reopen(str(site.home), str(folder), name)
    if not answered(case, as_json=as_json, **given):
        return 0
    return _release(site, folder, asked.requester, as_json, resume=name)


@cli.command()
@click.argument("name", metavar="[MODEL|RELEASE]", required=False)
@as_json
@click.pass_obj
@guarded
def status(site: Site, name: str | None, as_json: bool) -> None:
    """Show what stands: aliases and releases of all models, or of one; or all about one release."""
    from flows.show import show_models, show_release
    from tasks.place import models_of
    from tasks.record import Desk

    models = models_of(site.home)
    if name is None or name in models:
        show_models([Desk(site.home, m) for m in models if name in (None, m)], as_json=as_json)
    else:
        show_release(Desk(site.home, known(site, name.rpartition("-")[0], name)), name, as_json=as_json)


@cli.group()
def policy() -> None:
    """Work on a model's policy."""


@policy.command()
@click.argument("model")
@click.option("--rows", type=click.IntRange(1), help="Plan for so many evaluation rows instead of those at hand.")
@as_json
@click.pass_obj
@guarded
def check(site: Site, model: str, rows: int | None, as_json: bool) -> None:
    """Check the policy of MODEL: all problems at once, each with its place in the file; and what its gates can decide.

    For each gate and slice, the smallest margin that it can confirm and the smallest violation that it can see with the
    rows at hand. A gate that they cannot decide is named; that is a warning, and the exit code stays 0.
    """
    from flows.foresee import as_plain, show_foresight
    from flows.show import show_policy
    from tasks.foresee import foresee
    from tasks.read import read_policy, read_signers

    folder = site.folder(model)
    sound, signers = read_policy(folder), read_signers(folder)
    found = foresee(site.home, folder, sound, rows)
    show_policy(sound, signers, as_json=as_json, plan=as_plain(found))
    if not as_json:
        show_foresight(found)


@policy.command()
@guarded
def schema() -> None:
    """Print the policy's JSON Schema, for editors that check TOML while it is written."""
    import json

    from headgate.policy import Policy

    click.echo(json.dumps(Policy.model_json_schema(), indent=2))


for command in (
    waive,
    store,
    audit,
    verify,
    replay,
    checkpoint,
    prove,
    check_letter,
    promote,
    rollback,
    rollout,
    history,
    report,
    guard,
    monitor,
    respond,
    drill,
    serve,
    approvals,
    up,
    down,
    deployments,
):
    cli.add_command(command)
policy.add_command(calibrate)


def main() -> None:
    """The entry point of the `headgate` command."""
    os.environ.setdefault("PYTHONWARNINGS", "ignore")  # other people's deprecations are not the user's business
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads cost tenfold on a busy machine
    # Before it ends, Python looks through all objects for cycles: most of a second, with Prefect and MLflow imported.
    atexit.register(gc.freeze)
    cli()
