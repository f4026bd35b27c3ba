"""What a Prefect server runs: from the policies, the same for the local platform and for a standing one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from story_of import POLICY
from watch_of import WATCHED

from headgate.deployment import POOL, deployments, project
from headgate.errors import BadInput
from headgate.policy_file import parse
from tasks.deploy import as_yaml

ROOT = Path(__file__).parents[2]
SCHEDULE = b'[schedule]\ncron = "0 6 * * 1"\ntimezone = "Europe/Berlin"\nactive = false\n'
PLAIN, TIMED = parse(POLICY, "plain"), parse(POLICY + b"\n" + SCHEDULE, "timed")


def test_every_model_can_be_released_promoted_rolled_back_audited_and_watched_and_all_are_guarded_together() -> None:
    made = deployments({"/x/tiny": PLAIN}, "/home")
    assert [(one.flow, one.name) for one in made] == [
        ("release", "tiny"),
        ("promote", "tiny"),
        ("rollback", "tiny"),
        ("audit", "tiny"),
        ("monitor", "tiny"),
        ("guard", "all"),
    ]
    assert made[0].parameters == {"folder": "/x/tiny", "home": "/home"}
    assert made[1].parameters == {"folder": "/x/tiny", "home": "/home"}
    assert made[2].parameters == made[3].parameters == {"home": "/home", "model": "tiny"}
    assert len({one.slug for one in made}) == len(made)


def test_only_a_policy_that_has_a_schedule_releases_by_itself() -> None:
    assert deployments({"/x/tiny": PLAIN}, "/home")[0].schedule is None
    found = deployments({"/x/tiny": TIMED}, "/home")[0].schedule
    assert found is not None
    assert (found.cron, found.timezone, found.active) == ("0 6 * * 1", "Europe/Berlin", False)


def test_a_release_that_goes_on_after_an_answer_waits_for_its_place_and_is_never_left_out() -> None:
    made = {one.flow: one.collision for one in deployments({"/x/tiny": PLAIN}, "/home")}
    assert made["release"] == made["rollback"] == "ENQUEUE"
    assert made["guard"] == made["monitor"] == made["audit"] == "CANCEL_NEW", "of ticks that were missed one is enough"


def test_a_policy_without_a_schedule_keeps_its_digest() -> None:
    assert "schedule" not in PLAIN.model_dump(mode="json")
    assert PLAIN.digest != TIMED.digest


@pytest.mark.parametrize(
    "wrong",
    [
        b'cron = "0 6 * *"',
        b'cron = "0 6 * * 1"\ntimezone = "Mars/Base"',
        b'timezone = "UTC"',
        b'cron = "0 6 * * 1"\nx=1',
    ],
)
def test_a_schedule_that_cannot_be_kept_is_refused_by_its_path(wrong: bytes) -> None:
    with pytest.raises(BadInput, match="schedule"):
        parse(POLICY + b"\n[schedule]\n" + wrong + b"\n", "wrong")


def test_the_text_holds_exactly_these_values_and_names_schedules_that_can_be_switched_off() -> None:
    made = deployments({"expectations/tiny": TIMED}, ".headgate")
    text = as_yaml(made)
    assert yaml.safe_load(text) == project(made)
    (first, *_) = yaml.safe_load(text)["deployments"]
    (timed,) = first["schedules"]
    assert timed == {"slug": "release-tiny", "cron": "0 6 * * 1", "timezone": "Europe/Berlin", "active": False}
    assert "parameters" not in timed, "a schedule with parameters of its own loses them when it is switched"
    assert first["work_pool"]["name"] == POOL


def test_the_file_for_a_standing_server_is_what_the_policies_say_today() -> None:
    folder = Path("expectations/employment")
    policy = parse((ROOT / folder / "policy.toml").read_bytes(), "employment")
    assert (ROOT / "prefect.yaml").read_text() == as_yaml(deployments({str(folder): policy}, ".headgate"))


@pytest.mark.parametrize(("minutes", "cron"), [(1, "*/1"), (30, "*/30"), (59, "*/59"), (60, "17"), (1440, "17")])
def test_a_monitor_starts_as_often_as_the_policy_says_and_every_hour_at_least(minutes: int, cron: str) -> None:
    stated = parse(WATCHED.replace(b"every_minutes = 30", b"every_minutes = %d" % minutes), "watched")
    for policy, expected in ((stated, cron), (PLAIN, "17")):
        (watching,) = [one for one in deployments({"/x/tiny": policy}, "/home") if one.flow == "monitor"]
        assert watching.schedule is not None
        assert watching.schedule.cron == f"{expected} * * * *"
