"""A real Prefect server for the flows, one for all tests, and the processes that stay warm between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from model_folder import Toy, build
from staged import built, pages, stage

__all__ = ["built", "pages", "stage"]


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> Iterator[None]:
    from prefect.settings import (
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOGGING_TO_API_ENABLED,
        temporary_settings,
    )
    from prefect.testing.utilities import prefect_test_harness

    from tasks import warm

    with (
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_LOGGING_TO_API_ENABLED: False}),
    ):
        yield
    warm.dismiss()


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return build(tmp_path)
