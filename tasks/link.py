"""Link: the address of a deployment's form in Prefect, filled in."""

from __future__ import annotations

import os

from headgate.address import form_at


def form_of(flow: str, name: str, **filled: object) -> str | None:
    """Where the form of the deployment `flow/name` is, with these parameters set; None if the server has none.

    The server is that of `PREFECT_API_URL`, whose pages lie beside its API.
    """
    from prefect import get_client
    from prefect.exceptions import ObjectNotFound

    place = os.environ.get("PREFECT_API_URL", "").rstrip("/").removesuffix("/api")
    if not place:
        return None
    try:
        with get_client(sync_client=True) as client:
            found = client.read_deployment_by_name(f"{flow}/{name}")
    except ObjectNotFound:
        return None
    return form_at(f"{place}/v2/deployments/deployment/{found.id}/run", {**found.parameters, **filled})
