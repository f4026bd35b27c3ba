"""Kill -9 of the command line before any of its writes: the next run ends in the same state, with no step twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from deadly import moments
from model_folder import Toy
from prefect.settings import PREFECT_API_URL
from runs import run
from terminal import Terminal
from test_release import PROMOTED, STREET, case, desk, kinds, live, sound, versions

from tasks.approve import answer
from tasks.record import standing

RELEASE, LAST_APPROVAL = 105, 40
"""How many moments there are in a first release, and in the approval that lets it go live."""

REGISTERED = 35
"""Soon after `registered`: the next process has not asked MLflow for anything before it needs the model."""


def some(count: int, quick: int, *always: int) -> list[object]:
    """All moments, most of them for `make proof`."""
    chosen = {*moments(count, quick), *always}
    return [pytest.param(each, marks=() if each in chosen else pytest.mark.proof) for each in range(count)]


def doomed(toy: Toy, moment: int, *words: str) -> None:
    """Run a command that dies at this moment; what it has started dies with it."""
    places = {"PYTHONPATH": str(Path(__file__).parents[1]), "PREFECT_API_URL": PREFECT_API_URL.value()}
    process = subprocess.run(
        [sys.executable, "-m", "deadly", str(moment), *words],
        env={**Terminal(toy).environment, **places},
        cwd=toy.folder,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    # Threads write in no fixed order, so that the last moments may not come.
    assert process.returncode in (0, -signal.SIGKILL), process.stderr


@pytest.mark.parametrize("moment", some(RELEASE, 1, REGISTERED))
def test_a_release(toy: Toy, moment: int) -> None:
    doomed(toy, moment, "release", "toy")
    # Before the first write of all there is no folder yet for the ledger to be read from.
    begun = toy.home.joinpath("store").exists() and "toy-1" in desk(toy).state().releases
    assert run(toy, **({"resume": "toy-1"} if begun else {})) == "toy-1"
    assert Counter(kinds(toy)) == Counter(STREET)
    assert (live(toy), versions(toy)) == (None, 1)
    assert sound(toy)


@pytest.mark.parametrize("moment", some(LAST_APPROVAL, 1))
def test_the_approval_that_lets_it_go_live(toy: Toy, moment: int) -> None:
    name = run(toy)
    answer(case(toy, name), role="risk", key=toy.keys["risk"])
    doomed(toy, moment, "approve", name, "--role", "product", "--key", str(toy.keys["product"]))
    if standing(case(toy, name)).missing:
        answer(case(toy, name), role="product", key=toy.keys["product"])
    run(toy, resume=name)
    assert Counter(kinds(toy)) == Counter(PROMOTED)
    assert (live(toy), versions(toy)) == (1, 1)
    assert sound(toy)
