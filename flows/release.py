"""The release: validate, train, register, evaluate, package, approve, promote, or halt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from prefect import State, flow
from prefect.runtime import flow_run

from headgate import records as r
from headgate.phase import Soaked
from headgate.record import Record
from tasks.approve import approve
from tasks.ask import asked, waits
from tasks.emit import emit
from tasks.evaluate import evaluate
from tasks.halt import halt
from tasks.notify import notify
from tasks.package import package
from tasks.promote import promote
from tasks.publish import publish
from tasks.reap import ending, settle, sign_case, sign_on
from tasks.record import Case, reopen, standing
from tasks.register import register
from tasks.report import refresh
from tasks.request import request
from tasks.roll import roll
from tasks.snapshot import snapshot
from tasks.spread import reach, runner
from tasks.train import train
from tasks.validate import validate

# Each step and the record that it leaves. A step that has left its record is not done again.
STEPS: dict[Callable[[Case], object], type[Record]] = {
    snapshot: r.Snapshot,
    validate: r.Validated,
    train: r.Trained,
    register: r.Registered,
    evaluate: r.Evaluated,
    package: r.Packaged,
    approve: r.ApprovalRequested,
    promote: r.Promoted,
    roll: Soaked,
    halt: r.Halted,
}


def _run_name() -> str:
    given = flow_run.parameters
    return str(given["resume"] or f"{Path(given['folder']).name}, asked by {given['requester']}")


@flow(name="release", flow_run_name=_run_name, persist_result=False, task_runner=runner())
def release(
    folder: str,
    home: str = ".headgate",
    requester: str = "schedule",
    training: str | None = None,
    evaluation: str | None = None,
    resume: str | None = None,
) -> State[None]:
    """Take one candidate through every step, as far as the policy and people allow.

    Args:
        folder: The model's folder under expectations/.
        home: Where Headgate keeps its records (HEADGATE_HOME).
        requester: Who asks for the release. That person cannot approve it.
        training: A CSV or Parquet file to train on instead of the policy's.
        evaluation: A CSV or Parquet file to evaluate on instead of the policy's.
        resume: The name of a release to continue where it stopped.
    """
    sign_on(home)
    asking = flow_run.id or None
    case = reopen(home, folder, resume) if resume else request(home, folder, requester, training, evaluation, asking)
    sign_case(case)
    if not waits(case):
        _advance(case)
    while asked(case):
        _advance(case)
    settle(case.home)
    return ending(standing(case).stage, case.release)


def _advance(case: Case) -> None:
    if standing(case).find(r.Evaluated) is None:
        reach(case.home)
    for step, record in STEPS.items():
        if standing(case).due(record):
            step(case)
    publish(case)
    emit(case)
    notify(case.home, case.model)
    refresh(case.home, case.model)
