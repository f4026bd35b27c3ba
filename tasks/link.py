"""Link: the address of a deployment's form in Prefect, filled in, and a run of it that is asked for here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from headgate.address import form_at

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse


def form_of(flow: str, name: str, **filled: object) -> str | None:
    """Where the form of the deployment `flow/name` is, with these parameters set; None if the server has none.

    The server is that of `PREFECT_API_URL`, whose pages lie beside its API.
    """
    from prefect import get_client

    place = os.environ.get("PREFECT_API_URL", "").rstrip("/").removesuffix("/api")
    if not place:
        return None
    with get_client(sync_client=True) as client:
        found = _deployment(client, flow, name)
    if found is None:
        return None
    return form_at(f"{place}/v2/deployments/deployment/{found.id}/run", {**found.parameters, **filled})


def begin(flow: str, name: str, key: str, **given: object) -> bool:
    """Ask the server for a run of the deployment `flow/name`; whether it has one.

    Args:
        key: of two requests with one key, the second changes nothing.
    """
    from prefect import get_client

    if not os.environ.get("PREFECT_API_URL"):
        return False
    with get_client(sync_client=True) as client:
        found = _deployment(client, flow, name)
        if found is not None:
            client.create_flow_run_from_deployment(found.id, parameters=dict(given), idempotency_key=key)
    return found is not None


def _deployment(client: SyncPrefectClient, flow: str, name: str) -> DeploymentResponse | None:
    from prefect.exceptions import ObjectNotFound

    try:
        return client.read_deployment_by_name(f"{flow}/{name}")
    except ObjectNotFound:
        return None
