"""A home of its own, with servers of its own, for a user's day."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
import ready
from model_folder import build
from terminal import Terminal


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    opened = Terminal(build(tmp_path_factory.mktemp("street")))
    ready.database(opened.toy.home, "prefect")
    yield opened
    opened.run("down")
    shutil.rmtree(opened.toy.home)
