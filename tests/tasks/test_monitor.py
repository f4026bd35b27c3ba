"""The monitor on a released model: real packages, a real registry, and telemetry as a router writes it."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_folder import better
from stage import approve_all, new_process, opened
from watched import Street, ago, outcomes, people, street, verdicts, watched_toy

from headgate.entry import moment
from headgate.errors import BadInput
from headgate.flags import NOBODY
from headgate.home import Home
from headgate.inquiry import Ask
from headgate.profile import Profile, Reference
from headgate.telemetry import Outcome, Served
from headgate.vigil import PLAN, Vigil
from tasks import alert, attend
from tasks import monitor as monitoring
from tasks.audit import audit_all
from tasks.connect import alias_version, client
from tasks.dispatch import Router
from tasks.monitor import Watched, look_at
from tasks.promote import promote
from tasks.record import Desk

__all__ = ["street", "watched_toy"]
MATURED = 2 * 24 + 1
"""Hours after which outcomes are due."""


def look(street: Street, **more: bool) -> Watched:
    return look_at(street.toy.home, street.toy.name, **more)


def seen(street: Street) -> Vigil:
    (one,) = look(street).looks
    return one.vigil


def healthy(street: Street, *, labels: bool = True) -> None:
    """Requests of today, and of the day whose outcomes are due."""
    street.write("requests", street.serve(people()))
    then = people(seed=12, first=600_000)
    street.write("requests", street.serve(then, hours=MATURED))
    if labels:
        street.write("outcomes", outcomes(then))


def kinds(street: Street) -> list[str]:
    return [entry.kind for entry in street.desk.ledger().entries]


def sound(street: Street) -> bool:
    anomalies = audit_all(street.toy.home)[street.toy.name].anomalies
    assert anomalies == ()
    return True


def alarms(street: Street) -> dict[str, Any]:
    return {alarm.record.check: alarm for alarm in street.desk.state().alarms.values()}


def later(street: Street, monkeypatch: pytest.MonkeyPatch, **passed: float) -> None:
    """So much time passes for the monitor and the ledger."""
    at = (moment(ago(0)) + timedelta(**passed)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    for module in ("tasks.monitor", "tasks.alert", "tasks.record"):
        monkeypatch.setattr(f"{module}.now", lambda: at)


def test_a_healthy_version_passes_every_check_and_the_audit_looks_again(street: Street) -> None:
    healthy(street)
    watched = look(street)
    (one,) = watched.looks
    assert verdicts(one.vigil) == dict.fromkeys(one.vigil.checks, "PASS")
    assert (watched.done, watched.unwatched, watched.blind) == ((), (), False)
    assert kinds(street)[-1] == "monitored"
    assert sound(street)


def test_no_row_is_kept(street: Street) -> None:
    healthy(street)
    (one,) = look(street).looks
    desk = street.desk
    kept = [desk.evidence.get(c.profile) for c in one.vigil.counted.values() if c.profile]
    kept.append(desk.evidence.get(str(one.vigil.reference)))
    for data in kept:
        assert b"r500000" not in data
        assert b"s500000" not in data
    assert Profile.from_bytes(kept[0]).requests == 1200
    assert Reference.from_bytes(kept[-1]).rows == 1200


def test_drifted_inputs_are_found_and_told_as_a_warning(street: Street) -> None:
    moved = people().assign(x2=lambda f: np.where(f["id"] % 5 < 2, 3.0, f["x2"]))
    street.write("requests", street.serve(moved))
    watched = look(street)
    assert watched.looks[0].vigil.of("other-rows").name == "FAIL"
    (alarm,) = alarms(street).values()
    assert (alarm.record.severity, alarm.record.playbook, alarm.record.respond_by) == ("warning", "drifted", None)
    assert alarm.record.reason.startswith("total variation of x2 0.3")
    assert "above the maximum 0.2" in watched.done[0]
    assert sound(street)


def test_a_warning_is_told_once_and_ends_when_the_check_passes_again(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    street.write("requests", street.serve(people().assign(x2=3.0)))
    look(street)
    assert look(street).done == (), "it is open already"
    assert kinds(street).count("alarmed") == len(alarms(street))
    later(street, monkeypatch, hours=25)
    monkeypatch.setattr("watched.ago", _ahead(25))
    street.write("requests", street.serve(people(seed=3, first=700_000)))
    done = look(street).done
    assert "warning of version 1, other-rows, is over" in " ".join(done)
    assert "other-rows" not in alarms(street)
    assert sound(street)


def _ahead(hours: float) -> Any:
    return lambda before: ago(before - hours)


@pytest.mark.parametrize("group", ["a", "b"])
def test_a_drop_in_one_group_is_found_there_and_the_alias_goes_back_in_the_registry(street: Street, group: str) -> None:
    assert promote.fn(street.ready) == ()
    then = people(seed=12, first=600_000)
    wrong = then["label"].where(then["group"] != group, 1 - then["label"])
    street.write("requests", street.serve(then, hours=MATURED, version=2))
    street.write("outcomes", outcomes(then, wrong))
    watched = look(street)
    told = watched.looks[0].vigil
    bad = [s.slice for s in told.sightings if s.check == "worse-for-some" and s.verdict.name == "FAIL"]
    assert bad == [f"group={group}"]
    alarm = alarms(street)["worse-for-some"]
    assert (alarm.record.severity, alarm.record.response) == ("incident", "retreat")
    assert moment(alarm.record.respond_by) - moment(told.until) == timedelta(hours=4)
    assert "version 2 was taken back: 'champion' is version 1" in watched.done
    assert alias_version(client(Home(street.toy.home)), street.toy.name, "champion") == 1
    assert [e.actor for e in street.desk.ledger().entries if e.kind == "rollback_started"] == ["monitor"]
    assert sound(street)
    assert look(street).looks[0].version == 1
    assert kinds(street).count("rolled_back") == 1, "of what is used no more, nothing is brought back again"


PILOT = """[[rollout.stage]]
name = "pilot"
alias = "pilot"
share = 0.5

[[rollout.stage]]
name = "broad\""""


def test_a_version_in_a_stage_is_watched_by_its_own_plan_and_its_rollout_ends_where_it_does_harm(
    street: Street,
) -> None:
    policy = street.toy.folder / "policy.toml"
    text = policy.read_text()
    policy.write_text(text.replace('[[rollout.stage]]\nname = "broad"', PILOT))
    try:
        case = opened(street.toy, "approve", training=str(better(street.toy)))
        approve_all(street.toy, case)
        assert promote.fn(case) == ()
    finally:
        policy.write_text(text)
    assert street.desk.state().aliases == {"champion": 1, "pilot": 3}
    healthy(street)
    then = people(seed=21, first=900_000)
    street.write("requests", street.serve(then, hours=MATURED, version=3))
    street.write("outcomes", outcomes(then, 1 - then["label"]))
    watched = look(street)
    assert {one.version: one.vigil.of("worse-for-some").name for one in watched.looks} == {1: "PASS", 3: "FAIL"}
    assert {one.version: one.vigil.release for one in watched.looks} == {1: "toy-1", 3: "toy-3"}
    assert "version 3 was taken back: 'pilot' is no version" in watched.done
    assert street.desk.state().aliases == {"champion": 1}
    assert street.desk.release("toy-3").halted is not None
    assert sound(street)


def test_where_there_is_no_way_back_it_is_said_and_the_alarm_stands(street: Street) -> None:
    then = people(seed=12, first=600_000)
    street.write("requests", street.serve(then, hours=MATURED))
    street.write("outcomes", outcomes(then, 1 - then["label"]))
    assert "version 1 is still in use" in look(street).stuck[0]
    assert "worse-for-some" in alarms(street)


def test_a_retreat_of_what_no_alias_points_to_does_nothing(street: Street) -> None:
    assert alert.retreat(street.toy.home, street.toy.name, 2, "no reason", "drifted") == ()


def test_outcomes_that_are_not_due_are_not_waited_for_and_those_that_are_late_are_counted(street: Street) -> None:
    street.write("requests", street.serve(people()))
    assert seen(street).reason("worse-for-some").count("0 rows, and at least 200 are demanded") == 1
    healthy_then = people(seed=12, first=600_000)
    street.write("requests", street.serve(healthy_then, hours=MATURED))
    found = seen(street)
    assert (found.of("worse-for-some").name, "1,200 of 1,200 outcomes" in found.reason("worse-for-some")) == (
        "ERROR",
        True,
    )
    street.write("outcomes", outcomes(healthy_then.head(1000)))
    found = seen(street)
    assert found.of("worse-for-some").name == "INCONCLUSIVE"
    assert "because too few outcomes have come" in found.reason("worse-for-some")
    street.write("outcomes", outcomes(healthy_then.tail(200)))
    assert seen(street).of("worse-for-some").name == "PASS"
    assert sound(street)


def test_of_two_outcomes_of_one_request_the_newer_one_counts(street: Street) -> None:
    then = people(seed=12, first=600_000)
    street.write("requests", street.serve(then, hours=MATURED))
    street.write("outcomes", outcomes(then, 1 - then["label"], hours=3.0))
    street.write("outcomes", outcomes(then, hours=1.0))
    assert seen(street).of("worse-for-some").name == "PASS"


def test_torn_lines_and_ids_that_come_twice_are_counted(street: Street) -> None:
    lines = street.serve(people())
    street.write("requests", lines, torn=b'{"id": "half')
    street.write("requests", lines[:7], writer="other")
    found = seen(street)
    counted = found.counted["used"]
    kept = Profile.from_bytes(street.desk.evidence.get(str(counted.profile)))
    assert (kept.requests, kept.torn, kept.repeated) == (1200, 1, 7)
    assert "; 1 more lines cannot be read" in found.reason("used")
    street.write("requests", [], writer="none")
    folder = next((Home(street.toy.home).telemetry / street.toy.name / "requests").iterdir())
    (folder / "broken.jsonl").write_bytes(b"garbage\n" * 40)
    assert set(verdicts(seen(street)).values()) <= {"ERROR", "INCONCLUSIVE"}


def test_failures_and_slow_answers_are_found(street: Street) -> None:
    street.write("requests", street.serve(people(), failed=200))
    slow = people(400, seed=5, first=800_000)
    street.write("requests", street.serve(slow, ms=np.where(np.arange(400) % 10, 5.0, 900.0)))
    found = seen(street)
    assert (found.of("no-answers").name, found.of("slow").name) == ("FAIL", "FAIL")
    assert "share of failures 0.125" in found.reason("no-answers")
    assert sound(street)


def test_what_no_version_answered_is_a_failure_of_what_its_stage_serves(street: Street) -> None:
    frame = people(300)
    stages = ["broad", NOBODY] * 150
    unserved = zip(street.serve(frame, failed=300), stages, strict=True)
    lines = [line.model_copy(update={"version": 0, "stage": stage}) for line, stage in unserved]
    street.write("requests", lines)
    assert "0 rows" in seen(street).reason("no-answers"), "it was not in use then"
    street.write("requests", [line.model_copy(update={"time": ago(0), "id": f"n{line.id}"}) for line in lines])
    assert seen(street).reason("no-answers").startswith("share of failures 1.000")


def test_requests_of_another_version_or_time_are_not_counted(street: Street) -> None:
    street.write("requests", street.serve(people(), version=2))
    street.write("requests", street.serve(people(seed=4, first=900_000), hours=25))
    street.write("requests", street.serve(people(5, seed=4, first=1_900_000)))
    assert (
        seen(street)
        .reason("used")
        .startswith("5 requests (counted, exact): is not decided against the minimum 10; it is in use only since")
    )


def test_without_any_telemetry_nothing_passes(street: Street) -> None:
    watched = look(street)
    assert watched.blind
    assert set(verdicts(watched.looks[0].vigil).values()) == {"ERROR"}
    assert alarms(street) == {}
    assert sound(street)


def test_telemetry_that_cannot_be_read_is_an_error(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    healthy(street)

    def fail(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("pathlib.Path.glob", fail)
    assert set(verdicts(seen(street)).values()) == {"ERROR"}


@pytest.mark.parametrize("name", ["monitoring-plan.json", "incident-plan.json", "policy.toml", "manifest.json"])
def test_a_file_of_the_package_that_was_changed_is_an_incident_and_is_not_followed(street: Street, name: str) -> None:
    healthy(street)
    path = street.folder / name
    good = path.read_bytes()
    path.chmod(0o600)
    try:
        path.write_bytes(good.replace(b"0.2", b"0.9") + b" ")
        told = seen(street)
        assert (told.checks, told.verdict.name) == ((PLAN,), "ERROR")
        assert name in told.reason(PLAN)
        (alarm,) = alarms(street).values()
        assert (alarm.record.check, alarm.record.severity, alarm.record.playbook) == (PLAN, "incident", "gate_error")
        assert attend.called(street.desk)[0].steps == ("Find out why it could not be measured.",)
    finally:
        path.write_bytes(good)
    assert seen(street).verdict.name == "PASS"
    assert PLAN in alarms(street), "an incident is closed by a person"
    assert sound(street)


def test_a_file_that_is_gone_is_an_incident_too(street: Street) -> None:
    path = street.folder / "monitoring-plan.json"
    good = path.read_bytes()
    path.unlink()
    try:
        assert "monitoring-plan.json is missing" in seen(street).reason(PLAN)
    finally:
        path.write_bytes(good)


def test_people_take_steps_and_close_what_is_over(street: Street) -> None:
    home, model = street.toy.home, street.toy.name
    street.write("requests", street.serve(people(), failed=300))
    look(street)
    slot = alarms(street)["no-answers"].seq
    (one,) = attend.called(street.desk, slot)
    assert (one.steps, one.owner) == (("Restart it.", "Go back."), "toy-on-call")
    attend.step(home, model, slot, 1, note="restarted at noon", who="olga")
    for number, match in ((1, "was done"), (3, "from 1 to 2")):
        with pytest.raises(BadInput, match=match):
            attend.step(home, model, slot, number, note="again", who="olga")
    with pytest.raises(BadInput, match="one line"):
        attend.close(home, model, slot, reason="a\nb", who="olga")
    attend.close(home, model, slot, reason="the disk was full", who="olga")
    with pytest.raises(BadInput, match="no open alarm"):
        attend.close(home, model, slot, reason="again", who="olga")
    taken, over = street.desk.ledger().entries[-2:]
    assert (taken.kind, taken.actor, taken.body["of"]) == ("step_taken", "olga", "Restart it.")
    assert (over.kind, over.body["who"]) == ("alarm_closed", "olga")
    look_at(home, model, only_due=True)
    assert "no-answers" not in alarms(street), "what a person closed opens again at the next look, not before"
    assert sound(street)


def test_nobody_who_came_in_time_is_reminded_and_who_did_not_is_once(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    street.write("requests", street.serve(people(), failed=300))
    look(street)
    later(street, monkeypatch, hours=3.9)
    look_at(street.toy.home, street.toy.name, only_due=True)
    assert "alarm_overdue" not in kinds(street)
    later(street, monkeypatch, hours=4.1)
    for _ in range(2):
        look_at(street.toy.home, street.toy.name, only_due=True)
    assert kinds(street).count("alarm_overdue") == 1


def test_a_tick_looks_only_when_the_plan_wants_it(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    healthy(street)
    assert len(look(street, only_due=True).looks) == 1
    assert look(street, only_due=True).looks == ()
    later(street, monkeypatch, minutes=61)
    assert [one.vigil.look for one in look(street, only_due=True).looks] == [2]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("died_before", ["alarmed", "rollback_started"])
def test_what_a_process_left_that_died_after_a_look_is_done_by_the_next_one(
    street: Street, monkeypatch: pytest.MonkeyPatch, died_before: str
) -> None:
    assert promote.fn(street.ready) == ()
    then = people(seed=12, first=600_000)
    street.write("requests", street.serve(then, hours=MATURED, version=2))
    street.write("outcomes", outcomes(then, 1 - then["label"]))
    from headgate.records import KINDS

    real = Desk.append

    def dying(self: Desk, ledger: Any, release: Any, record: Any, actor: str = "pipeline") -> Any:
        if KINDS[type(record)] == died_before:
            raise Killed
        return real(self, ledger, release, record, actor)

    with monkeypatch.context() as patch:
        patch.setattr(Desk, "append", dying)
        with pytest.raises(Killed):
            look(street)
    assert died_before not in kinds(street)
    new_process()
    look(street, only_due=True)
    raised = [(e.body["version"], e.body["check"]) for e in street.desk.ledger().entries if e.kind == "alarmed"]
    assert len(set(raised)) == len(raised)
    assert (2, "worse-for-some") in raised
    assert kinds(street).count("rolled_back") == 1
    assert sound(street)


def test_another_monitor_that_looked_meanwhile_is_not_disturbed(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy(street)
    real, raced = monitoring.vigil, []

    def meanwhile(*given: Any, **more: Any) -> Vigil:
        made = real(*given, **more)
        if not raced:
            raced.append(True)
            look(street)
        return made

    monkeypatch.setattr(monitoring, "vigil", meanwhile)
    assert look(street).looks == ()
    assert kinds(street).count("monitored") == 1
    assert sound(street)


def test_a_model_that_nobody_said_how_to_watch_is_named(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    real = monitoring.mandate

    def without(*given: Any) -> Any:
        found = real(*given)
        from dataclasses import replace

        return replace(found, monitoring=found.monitoring.model_copy(update={"monitoring": None}))

    monkeypatch.setattr(monitoring, "mandate", without)
    watched = look(street)
    assert (watched.looks, watched.unwatched) == ((), (1,))


def test_a_snapshot_that_was_changed_leaves_nothing_to_compare_with(street: Street) -> None:
    healthy(street)
    paths = sorted(Home(street.toy.home).snapshots.rglob("*.parquet"))
    kept = {path: path.read_bytes() for path in paths}
    for path in paths:
        path.chmod(0o600)
        path.write_bytes(kept[path] + b" ")
    try:
        found = seen(street)
        assert found.of("other-rows").name == found.of("other-scores").name == "ERROR"
        assert found.of("no-answers").name == "PASS"
    finally:
        for path, data in kept.items():
            path.write_bytes(data)


def test_rows_that_come_with_other_types_are_spelled_as_the_table_has_them() -> None:
    from tasks.gather import _typed

    whole = _typed(pd.Series([1, None], dtype=object), np.dtype("int64"))
    assert [str(v) for v in whole.astype(object)] == ["1", "<NA>"]
    assert _typed(pd.Series([1, 2]), np.dtype("float64")).tolist() == [1.0, 2.0]
    assert _typed(pd.Series(["x", "y"]), np.dtype("float64")).tolist() == ["x", "y"]
    assert _typed(pd.Series([True, None], dtype=object), np.dtype("bool")).tolist()[0] is True


def test_what_the_router_answers_is_what_the_monitor_sees(street: Street) -> None:
    frame = people()
    columns = ["x1", "x2", "group"]
    asks = [Ask(subject=f"s{row['id']}", inputs={c: row[c] for c in columns}) for row in frame.to_dict("records")]
    router = Router(street.toy.home)
    router.start()
    try:
        for at in range(0, len(asks), 300):
            replies = router.answer(street.toy.name, asks[at : at + 300], time.perf_counter())
            assert {reply.version for reply in replies} == {1}
    finally:
        router.close()
    found = seen(street)
    kept = Profile.from_bytes(street.desk.evidence.get(str(found.counted["other-rows"].profile)))
    assert (kept.requests, kept.failures, kept.torn, kept.repeated) == (1200, 0, 0, 0)
    assert (found.of("other-rows").name, found.of("other-scores").name) == ("PASS", "PASS")
    assert sound(street)


def test_the_lines_are_those_of_the_contract(street: Street) -> None:
    line = street.serve(people(1))[0]
    assert Served.model_validate_json(line.to_line()) == line
    assert json.loads(Outcome(id="r", time=ago(0), label=1).to_line())["label"] == 1
