"""A real Prefect server for the flows, one for all tests, and the processes that stay warm between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import ready
from model_folder import Toy, build
from staged import built, pages, stage

from headgate.home import Home

__all__ = ["built", "pages", "stage"]


@pytest.fixture(scope="session", autouse=True)
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOGGING_TO_API_ENABLED,
        temporary_settings,
    )

    from tasks import serve, warm

    home = Home(tmp_path_factory.mktemp("prefect"))
    ready.database(home.root, "prefect")
    api = f"{serve.wait_for(home, serve.start(home, 'prefect'))}/api"
    quiet = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_LOGGING_TO_API_ENABLED: False}
    with temporary_settings({PREFECT_API_URL: api, **quiet}):
        yield
    warm.dismiss()
    serve.stop(home)


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return build(tmp_path)
