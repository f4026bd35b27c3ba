"""A rollout as people see it: real stages, a router over real HTTP, and what the router wrote down moves it on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from rollouts import staged
from router import ask, clean, predicted, serving, told, until
from stage import Stage
from test_custody import OPERATOR, look
from test_promote import anomalies
from test_roll import agree, case

from headgate.flags import below, bucket
from headgate.records import Registered
from tasks import retreat
from tasks.connect import client as registry_of
from tasks.record import Case, standing
from tasks.roll import roll
from tasks.rollback import roll_back
from tasks.route import wrong

__all__ = ["case", "clean", "staged"]

EMPLOYEE = {"group": "employee"}
ODD = {"x1": "not a number"}
PEOPLE = [f"person-{n}" for n in range(400)]
FEW = [each for each in PEOPLE if bucket("toy", each) < below(0.05)]
OTHERS = [each for each in PEOPLE if each not in FEW][:40]
CROWD: dict[str, dict[str, Any]] = {
    "staff": {"audience": EMPLOYEE},
    "few": {"subject": FEW[0]},
    "all": {"subject": OTHERS[0]},
}

Answer = tuple[str, int]


def asked(client: httpx.Client, subjects: list[str], audience: dict[str, str] | None = None) -> list[Answer]:
    """The stage and version that answered each."""
    answer = client.post("/models/toy/predict", json=[ask(each, audience=audience or {}) for each in subjects])
    assert answer.status_code == 200
    assert not [each for each in answer.json() if "error" in each]
    return [(each["stage"], each["version"]) for each in answer.json()]


@dataclass
class Crowd:
    """Everybody who asks while something happens: an employee, somebody of the few, and somebody else."""

    client: httpx.Client
    seen: dict[str, list[tuple[int, Answer]]] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    def ask_on(self) -> None:
        while not self.ended.wait(0.01):
            for who, given in {
                "staff": {"audience": EMPLOYEE},
                "few": {"subject": FEW[0]},
                "all": {"subject": OTHERS[0]},
            }.items():
                said = predicted(self.client, **given)
                self.seen.setdefault(who, []).append((said.status_code, (said.json()["stage"], said.json()["version"])))

    def course(self, who: str) -> list[Answer]:
        """What somebody was served, one after the other."""
        found = [answer for _, answer in self.seen[who]]
        return [each for at, each in enumerate(found) if not at or found[at - 1] != each]

    def hears(self, who: str, due: Answer) -> float:
        """Seconds until somebody is served something."""
        return until(lambda: self.seen.get(who, [(0, ("", 0))])[-1][1] == due)


@contextmanager
def crowd(client: httpx.Client) -> Iterator[Crowd]:
    """People who ask without a pause, and are answered each time."""
    made = Crowd(client)
    thread = threading.Thread(target=made.ask_on)
    thread.start()
    try:
        yield made
    finally:
        made.ended.set()
        thread.join()
    assert {status for each in made.seen.values() for status, _ in each} == {200}


def version_of(case: Case) -> int:
    return standing(case).step(Registered).version


def to_pilot(client: httpx.Client, case: Case) -> int:
    """Roll to the pilot, wait until the router has followed, and return the version that is there."""
    (held,) = roll.fn(case)
    assert "answered 0 of 3" in held
    version = version_of(case)
    # Whom a row would be answered by is told with its refusal, which is counted for no stage.
    assert until(lambda: predicted(client, subject=FEW[0], inputs=ODD).json()["stage"] == "pilot") < 3
    return version


def test_each_is_served_the_stage_that_is_meant_for_them(clean: Stage, staged: Stage, case: Case) -> None:
    with serving(staged) as client:
        assert {*asked(client, PEOPLE), *asked(client, PEOPLE, EMPLOYEE)} == {("broad", 1)}
        version = to_pilot(client, case)
        for _ in range(2):
            due = [("pilot", version) if each in FEW else ("broad", 1) for each in PEOPLE]
            assert asked(client, PEOPLE) == due
        assert {*asked(client, PEOPLE, EMPLOYEE)} == {("internal", version)}
        assert {*asked(client, OTHERS, {"group": "guest"})} == {("broad", 1)}
        page, metrics = client.get("/").text, client.get("/metrics").text
        assert "5% of all" in page
        assert "group: employee" in page
        assert f'rows_total{{model="toy",outcome="answered",stage="pilot",version="{version}"}} ' in metrics
    assert 10 <= len(FEW) <= 30
    assert wrong(staged.toy.home) == {}


def test_what_the_router_answered_takes_the_rollout_on(clean: Stage, staged: Stage, case: Case) -> None:
    with serving(staged) as client:
        version = to_pilot(client, case)
        asked(client, OTHERS)
        asked(client, OTHERS, EMPLOYEE)
        assert "answered 0 of 3" in roll.fn(case)[0], "of the pilot nobody has asked yet"
        asked(client, FEW[:2])
        assert predicted(client, subject=FEW[2], inputs=ODD).status_code == 422
        assert "answered 2 of 3" in roll.fn(case)[0], "a caller's mistake is no answer"
        asked(client, FEW[2:3])
        assert roll.fn(case) == ()
        assert standing(case).missing == {"risk": 1}
        lines = [line for line in told(staged, "requests") if line.stage == "pilot"]
        assert [line.subject for line in lines] == FEW[:3]
        agree(staged, case)
        with crowd(client) as people:
            assert roll.fn(case) == ()
            assert people.hears("all", ("broad", version)) < 3
        assert people.course("staff") == [("internal", version)]
        assert people.course("few") == [("pilot", version)]
        assert people.course("all") == [("broad", 1), ("broad", version)]
    soaked = next(one.soaked for one in standing(case).reached if one.record.alias == "pilot")
    assert soaked is not None
    assert soaked.requests == 3
    assert anomalies(staged) == []


def test_a_rollback_takes_everybody_back_and_refuses_nobody(clean: Stage, staged: Stage, case: Case) -> None:
    with serving(staged) as client:
        version = to_pilot(client, case)
        with crowd(client) as people:
            people.hears("few", ("pilot", version))
            roll_back(case.home, case.model, reason="complaints", who=OPERATOR)
            assert max(people.hears(who, ("broad", 1)) for who in ("staff", "few")) < 3
        assert {*asked(client, PEOPLE), *asked(client, PEOPLE, EMPLOYEE)} == {("broad", 1)}
        assert people.course("all") == [("broad", 1)]
    assert anomalies(staged) == []


def test_after_the_end_a_rollback_takes_the_widest_stage_back_too(clean: Stage, staged: Stage, case: Case) -> None:
    with serving(staged) as client:
        version = to_pilot(client, case)
        asked(client, FEW[:3])
        roll.fn(case)
        agree(staged, case)
        roll.fn(case)
        with crowd(client) as people:
            people.hears("all", ("broad", version))
            assert roll_back(case.home, case.model, reason="complaints", who=OPERATOR) == (version, 1)
            assert max(people.hears(who, ("broad", 1)) for who in ("all", "staff", "few")) < 3
    assert anomalies(staged) == []


def test_what_somebody_does_to_aliases_in_the_registry_is_served_to_nobody(
    clean: Stage, staged: Stage, case: Case
) -> None:
    with serving(staged) as client:
        version = to_pilot(client, case)
        registry = registry_of(staged.desk.home)
        with crowd(client) as people:
            registry.set_registered_model_alias("toy", "champion", str(version))
            registry.set_registered_model_alias("toy", "pilot", "1")
            registry.delete_registered_model_alias("toy", "internal")
            time.sleep(1.5)
            look(staged)  # and the guard, which puts them back, makes nobody wait either
        assert people.course("all") == [("broad", 1)]
        assert people.course("few") == [("pilot", version)]
        assert people.course("staff") == [("internal", version)]
    assert wrong(staged.toy.home) == {}


@pytest.mark.parametrize(("alias", "stays"), [("internal", "few"), ("pilot", "staff")])
def test_whose_stage_has_no_version_any_more_is_served_the_last_ones(
    clean: Stage, staged: Stage, case: Case, alias: str, stays: str
) -> None:
    with serving(staged) as client:
        version = to_pilot(client, case)
        with crowd(client) as people:
            people.hears("few", ("pilot", version))
            retreat._one(staged.desk, staged.registry, alias, "it harms", OPERATOR, None)
            left = {"few", "staff"} - {stays}
            assert people.hears(left.pop(), ("broad", 1)) < 3
        assert len(people.course(stays)) == 1
        assert people.course("all") == [("broad", 1)]
