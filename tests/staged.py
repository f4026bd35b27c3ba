"""The stage as fixtures, for tests of tasks and of flows."""

from __future__ import annotations

import pytest
from model_folder import Toy, better, build
from stage import Pages, Stage, approve_all, keep, opened, recorded, restore, run

from tasks.record import Case


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> Pages:
    """Records the artifacts of all tasks instead of sending them to Prefect."""
    return recorded(monkeypatch)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Toy, Case, Case]:
    """The stage, made once by the real tasks; only Great Expectations and the serving probe have tests of their own."""
    toy = build(tmp_path_factory.mktemp("stage"))
    with pytest.MonkeyPatch.context() as patch:
        recorded(patch)
        live = opened(toy, "approve")
        approve_all(toy, live)
        run("promote", live)
        ready = opened(toy, "approve", training=str(better(toy)))
        approve_all(toy, ready)
    keep(toy)
    return toy, live, ready


@pytest.fixture
def stage(built: tuple[Toy, Case, Case], pages: Pages) -> Stage:
    """The stage as it was when it was made, whatever another test did to it."""
    toy, live, ready = built
    restore(toy)
    return Stage(toy, live, ready, pages, lambda until, **given: opened(toy, until, **given))
