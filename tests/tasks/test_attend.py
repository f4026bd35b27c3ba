"""The monitor and the playbooks from the terminal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result
from test_monitor import alarms, healthy, kinds, look, sound
from watched import Street, people, street, watched_toy

from flows.cli import cli

__all__ = ["street", "watched_toy"]


def run(street: Street, *words: str) -> Result:
    return CliRunner().invoke(cli, ["--home", str(street.toy.home), *words])


def told(street: Street, *words: str) -> Any:
    return json.loads(run(street, *words, "--json").stdout)


def failing(street: Street) -> int:
    street.write("requests", street.serve(people(), failed=300))
    look(street)
    return int(alarms(street)["no-answers"].seq)


def test_a_look_from_the_terminal_is_a_table_and_ends_well_where_all_is_well(street: Street) -> None:
    healthy(street)
    ended = run(street, "monitor", "toy")
    assert ended.exit_code == 0, ended.output
    for word in ("version 1", "look 1: PASS", "other-rows", "worse-for-some", "group=b", "keeps the maximum"):
        assert word in ended.stdout
    assert kinds(street)[-1] == "monitored"


def test_an_open_incident_is_exit_code_one_and_a_warning_is_none(street: Street) -> None:
    street.write("requests", street.serve(people().assign(x2=3.0)))
    assert run(street, "monitor").exit_code == 0
    street.write("requests", street.serve(people(seed=2, first=800_000), failed=900))
    ended = run(street, "monitor")
    assert ended.exit_code == 1
    assert "incident of version 1, no-answers" in ended.stdout
    assert run(street, "respond", "toy").exit_code == 1


def test_as_json_it_is_all_there(street: Street) -> None:
    failing(street)
    plain = told(street, "monitor", "toy")["toy"]
    (one,) = plain["looks"]
    assert (one["look"], one["verdict"], one["version"]) == (2, "FAIL", 1)
    assert {s["check"] for s in one["sightings"]} == {
        *("other-rows", "other-scores", "worse-for-some", "no-answers", "slow", "used")
    }
    assert [alarm["check"] for alarm in plain["alarms"].values()] == ["no-answers"]


def test_the_playbook_is_numbered_and_done_step_by_step(street: Street) -> None:
    slot = failing(street)
    shown = run(street, "respond", "toy")
    for word in (f"slot {slot}", "toy-on-call", "the bell", "1. Restart it.", "2. Go back.", "to be answered by"):
        assert word in shown.stdout
    done = run(street, "respond", "toy", str(slot), "--done", "1", "--note", "at noon", "--as", "olga")
    assert (done.exit_code, "1. Restart it. [done by olga: at noon]" in done.stdout) == (1, True)
    (one,) = told(street, "respond", "toy")
    assert [step["who"] for step in one["steps"]] == ["olga", None]
    over = run(street, "respond", "toy", "--close", "--reason", "the disk was full", "--as", "olga")
    assert (over.exit_code, "No alarm of toy is open." in over.stdout) == (0, True)
    assert sound(street)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--done", "1"), "no --note"),
        (("--close",), "no --reason"),
        (("--done", "7", "--note", "x"), "from 1 to 2"),
        (("999", "--close", "--reason", "x"), "no open alarm in slot 999"),
    ],
)
def test_what_cannot_be_recorded_is_refused(street: Street, words: tuple[str, ...], said: str) -> None:
    failing(street)
    before = kinds(street)
    ended = run(street, "respond", "toy", *words)
    assert (ended.exit_code, said in ended.stderr) == (2, True), ended.output
    assert kinds(street) == before


def test_without_an_alarm_there_is_nothing_to_answer(street: Street) -> None:
    assert "No alarm of toy is open." in run(street, "respond", "toy").stdout
    assert run(street, "respond", "toy", "--close", "--reason", "x").exit_code == 2


def test_a_playbook_is_gone_through_on_purpose_and_timed(street: Street) -> None:
    assert {row["situation"]: row["last"] for row in told(street, "drill", "toy")}["out_of_order"] is None
    words = ["--home", str(street.toy.home), "drill", "toy", "out_of_order", "--as", "olga"]
    ended = CliRunner().invoke(cli, words, input="it came up\n\n")
    assert ended.exit_code == 0, ended.output
    assert "1. Restart it." in ended.stderr
    last = street.desk.ledger().entries[-1]
    assert (last.kind, last.actor, last.body["notes"]) == ("drilled", "olga", ["it came up", ""])
    assert (last.body["steps"], len(last.body["seconds"])) == (["Restart it.", "Go back."], 2)
    assert alarms(street) == {}
    assert {row["situation"]: row["last"] for row in told(street, "drill", "toy")}["out_of_order"] == last.time
    assert "every 90 days" in run(street, "drill", "toy").stdout
    assert sound(street)


def test_a_drill_that_is_broken_off_or_of_nothing_is_not_recorded(street: Street) -> None:
    before = kinds(street)
    words = ["--home", str(street.toy.home), "drill", "toy", "out_of_order"]
    assert CliRunner().invoke(cli, words, input="it came up\n").exit_code != 0
    ended = run(street, "drill", "toy", "flood")
    assert (ended.exit_code, "one of data_refused, drifted" in ended.stderr) == (2, True)
    assert kinds(street) == before
