"""Deploy: bring the deployments of a Prefect server to what the policies say, and drain the pool that they run in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import yaml
from prefect import get_client
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from headgate.deployment import POOL, Deployment, project

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.actions import DeploymentScheduleCreate

_HEADER = """# For a standing Prefect server: `prefect deploy --all`, from this folder. infra/README.md has the rest.
# Made by `headgate deployments > prefect.yaml`; what runs when stands in the [schedule] of the policies.
"""


def deploy(wanted: Iterable[Deployment], home: str) -> None:
    """Create or change exactly these deployments of a home, and the pool; others of the same home are deleted.

    What was scheduled while nobody ran it is left out: a release that is overdue three times is made once, next time.
    """
    with get_client(sync_client=True) as client:
        _open_pool(client)
        kept = {_create(client, one) for one in wanted}
        for found in client.read_deployments():
            if found.id not in kept and POOL in found.tags and found.parameters.get("home") == home:
                client.delete_deployment(found.id)


def as_yaml(wanted: Iterable[Deployment]) -> str:
    """The text of a `prefect.yaml` with the same deployments."""
    return _HEADER + str(yaml.safe_dump(project(wanted), sort_keys=False, width=110, allow_unicode=True))


def drain(patience: float, say: Callable[[str], None]) -> tuple[str, ...]:
    """Let no new run begin in the pool, wait for those that are running, and return those that were not waited for.

    Args:
        patience: seconds. say: is told whenever it changes what is waited for.
    """
    end, told = time.monotonic() + patience, ""
    with get_client(sync_client=True) as client:
        _pause(client, paused=True)
        while (busy := _busy(client)) and time.monotonic() < end:
            if (now := ", ".join(busy)) != told:
                say(f"waiting for {now}, at most {end - time.monotonic():.0f} s more; Ctrl-C waits no longer")
                told = now
            time.sleep(0.5)
    return busy


def _open_pool(client: SyncPrefectClient) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound

    try:
        client.read_work_pool(POOL)
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    _pause(client, paused=False)


def _pause(client: SyncPrefectClient, *, paused: bool) -> None:
    from prefect.client.schemas.actions import WorkPoolUpdate

    client.update_work_pool(POOL, WorkPoolUpdate(is_paused=paused))


def _busy(client: SyncPrefectClient) -> tuple[str, ...]:
    from prefect.client.schemas import filters as f
    from prefect.client.schemas.objects import StateType

    kinds = f.FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING])
    pool = f.WorkPoolFilter(name=f.WorkPoolFilterName(any_=[POOL]))
    state = f.FlowRunFilter(state=f.FlowRunFilterState(type=kinds))
    return tuple(run.name for run in client.read_flow_runs(flow_run_filter=state, work_pool_filter=pool))


def _create(client: SyncPrefectClient, one: Deployment) -> UUID:
    from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions

    flow: Flow[..., Any] = load_flow_from_entrypoint(one.entrypoint)
    return client.create_deployment(
        client.create_flow_from_name(one.flow),
        one.name,
        entrypoint=one.entrypoint,
        parameters=dict(one.parameters),
        parameter_openapi_schema=parameter_schema(flow).model_dump(),
        description=one.description,
        tags=[POOL],
        schedules=_schedules(one),
        concurrency_limit=1,
        concurrency_options=ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy(one.collision)),
        work_pool_name=POOL,
        pull_steps=[],
        paused=False,
        enforce_parameter_schema=True,
    )


def _schedules(one: Deployment) -> list[DeploymentScheduleCreate]:
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule

    if one.schedule is None:
        return []
    cron = CronSchedule(cron=one.schedule.cron, timezone=one.schedule.timezone)
    return [DeploymentScheduleCreate(schedule=cron, active=one.schedule.active, slug=one.slug)]
