"""The promotion by hand, with a form in Prefect: a version goes live, or all that it lacks is said."""

from __future__ import annotations

from prefect import State, flow
from prefect.states import Completed, Failed

from tasks.ask import agreed
from tasks.emit import emit
from tasks.notify import notify
from tasks.promote import case_of, refuse
from tasks.publish import publish
from tasks.reap import settle, sign_case, sign_on
from tasks.report import refresh
from tasks.roll import advance


@flow(name="promote", persist_result=False)
def promote(
    version: int,
    who: str = "",
    role: str = "",
    reason: str = "",
    signature: str = "",
    stage: str = "",
    folder: str = "",
    home: str = ".headgate",
) -> State[None]:
    """Take a version to its next stage, after taking an approval if one is given. What lacks its evidence stays.

    Args:
        version: The number of the model's version in MLflow.
        who: Your name in allowed_signers. Empty if everybody who was asked has agreed already.
        role: The role that you agree in, such as risk.
        reason: Why; part of what you sign.
        signature: What the command printed, from BEGIN to END. Without one, the run's page shows text and command.
        stage: The stage of the rollout that it is to reach; empty for the next one.
        folder: The model's folder under expectations/.
        home: Where Headgate keeps its records (HEADGATE_HOME).
    """
    sign_on(home)
    case = case_of(home, folder, version)
    sign_case(case)
    against = agreed(case, who=who, role=role, reason=reason, signature=signature) if who or role or signature else ()
    refused = against or refuse(case, stage) or advance(case)
    publish(case)
    emit(case)
    notify(case.home, case.model)
    refresh(case.home, case.model)
    settle(case.home)
    if refused:
        return Failed(name="Refused", message="; ".join(refused))
    return Completed(name="Promoted", message=case.release)
