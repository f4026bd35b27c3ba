"""The three ways in which people use it, in a real browser: a schedule asks, people answer on its page, an operator
promotes another version from a form; and the registry shows it. Each test goes on where the last one ended."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from model_folder import PEOPLE, better, build
from terminal import Terminal

from headgate.errors import HeadgateError
from headgate.records import Registered, Requested
from headgate.release import Release
from tasks.record import Desk

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

CHROMIUM = next((p for p in ("/usr/bin/chromium", "/usr/bin/google-chrome") if Path(p).exists()), None)
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
SHOTS = "HEADGATE_SCREENSHOTS"
"""Where screenshots are kept; the test's own folder by default."""

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the pages were not looked at"),
    pytest.mark.timeout(420),
]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    toy = build(tmp_path_factory.mktemp("browser"))
    policy = toy.folder / "policy.toml"
    policy.write_text(policy.read_text() + '\n[schedule]\ncron = "* * * * *"\n')
    opened = Terminal(toy)
    yield opened
    opened.run("down")


@pytest.fixture(scope="module")
def places(desk: Terminal) -> dict[str, str]:
    up: dict[str, str] = desk.json("up", "--detach")
    return up


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1400, "height": 1400})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


@pytest.fixture(scope="module")
def shot(page: Page, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], object]:
    folder = Path(os.environ.get(SHOTS) or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)

    def take(name: str) -> None:
        page.screenshot(path=folder / f"{name}.png")
        assert (folder / f"{name}.png").stat().st_size > 10_000

    return take


def until(what: Callable[[], Any], patience: float = 150) -> Any:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            if found := what():
                return found
        except (AssertionError, LookupError, HeadgateError):  # not yet there
            pass
        time.sleep(1)
    raise AssertionError(f"not within {patience} s")


def client(places: dict[str, str]) -> Any:
    from prefect.client.orchestration import SyncPrefectClient

    return SyncPrefectClient(f"{places['prefect']}/api")


def release(desk: Terminal, name: str) -> Release:
    # Read here: a new process every second would take the machine from the worker.
    return Desk(desk.toy.home, "toy").state().releases[name]


def stage(desk: Terminal, name: str) -> str:
    return release(desk, name).stage


def waiting(desk: Terminal) -> str | None:
    return next((r.id for r in Desk(desk.toy.home, "toy").state().releases.values() if r.stage == "waiting"), None)


def run_of(desk: Terminal, name: str) -> str:
    return str(release(desk, name).step(Requested).run)


def suspended(places: dict[str, str], run: str, times: int) -> bool:
    """Whether a run waits for its answer number `times`, from 0."""
    with client(places) as prefect:
        state = prefect.read_flow_run(run).state
    return bool(state.is_paused() and state.state_details.pause_key == f"answer-{times}")


def form(page: Page, places: dict[str, str], run: str) -> Locator:
    page.goto(f"{places['prefect']}/v2/runs/flow-run/{run}")
    page.get_by_role("button", name="Open menu").first.click()
    page.get_by_role("menuitem", name="Resume").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("ssh-keygen").first.wait_for()
    return dialog


def answer(page: Page, dialog: Locator, *, name: str, role: str, signature: str) -> None:
    for number, choice in ((0, "approve"), (1, role)):
        dialog.get_by_role("combobox").nth(number).click()
        page.get_by_role("option", name=choice, exact=True).click()
    dialog.get_by_label(re.compile("your name", re.IGNORECASE)).fill(name)
    dialog.get_by_label(re.compile("signature", re.IGNORECASE)).fill(signature)


def signature(desk: Terminal, shown: str, role: str) -> str:
    """What the command that a page shows for a role prints, run in a shell as it is copied, with the person's key."""
    found = re.search(rf"ssh-keygen -Y sign -n {role}@headgate .*?\nSTATEMENT$", shown, re.DOTALL | re.MULTILINE)
    assert found, shown
    line = found[0].replace("~/.ssh/id_ed25519", str(desk.toy.keys[role]))
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout


def test_a_schedule_asks_and_a_wrong_signature_only_brings_the_form_back(
    desk: Terminal, places: dict[str, str], page: Page, shot: Callable[[str], object]
) -> None:
    until(lambda: stage(desk, "toy-1") == "waiting")
    with client(places) as prefect:  # one release is enough
        deployment = prefect.read_deployment_by_name("release/toy")
        for schedule in deployment.schedules:
            prefect.update_deployment_schedule(deployment.id, schedule.id, active=False)
    run = run_of(desk, "toy-1")
    until(lambda: suspended(places, run, 0))
    dialog = form(page, places, run)
    assert "ssh-keygen -Y sign -n risk@headgate" in dialog.inner_text()
    shot("1-a-schedule-asks")
    answer(page, dialog, name=PEOPLE["risk"], role="risk", signature="no signature at all")
    shot("2-a-wrong-answer")
    dialog.get_by_role("button", name="Resume").click()
    until(lambda: suspended(places, run, 1))
    assert release(desk, "toy-1").missing == {"product": 1, "risk": 1}


def test_people_sign_what_the_page_shows_and_the_version_goes_live(
    desk: Terminal, places: dict[str, str], page: Page, shot: Callable[[str], object]
) -> None:
    run = run_of(desk, "toy-1")
    for attempt, role in enumerate(("risk", "product"), 1):
        until(lambda n=attempt: suspended(places, run, n))  # type: ignore[misc]
        dialog = form(page, places, run)
        if role == "risk":
            assert "no signature" in dialog.inner_text() or "BEGIN SSH SIGNATURE" in dialog.inner_text()
            assert dialog.get_by_label(re.compile("your name", re.IGNORECASE)).input_value() == PEOPLE["risk"]
        shot(f"3-{role}-is-asked")
        answer(page, dialog, name=PEOPLE[role], role=role, signature=signature(desk, dialog.inner_text(), role))
        dialog.get_by_role("button", name="Resume").click()
    until(lambda: stage(desk, "toy-1") == "promoted")
    page.goto(f"{places['prefect']}/v2/runs/flow-run/{run}")
    page.get_by_text("Promoted").first.wait_for()
    shot("4-the-run-is-promoted")
    page.goto(f"{places['mlflow']}/#/models/toy/versions/1")
    page.get_by_text("champion").first.wait_for()
    shot("5-the-registry-shows-it")


def test_an_operator_promotes_another_version_from_the_form(
    desk: Terminal, places: dict[str, str], page: Page, shot: Callable[[str], object]
) -> None:
    with client(places) as prefect:
        deployment = prefect.read_deployment_by_name("release/toy")
        given = {**deployment.parameters, "training": str(better(desk.toy))}
        run = str(prefect.create_flow_run_from_deployment(deployment.id, parameters=given).id)
    name = until(lambda: waiting(desk))
    until(lambda: suspended(places, run, 0))
    version = release(desk, name).step(Registered).version
    link = artifact_link(places, run)
    shown = signable(desk, name)
    for role, ended in (("risk", "Refused"), ("product", "Promoted")):
        page.goto(link)
        box = page.get_by_label(re.compile("^version", re.IGNORECASE)).first
        box.wait_for()
        assert box.input_value() == str(version), "the form is filled in"
        page.get_by_label(re.compile("^who", re.IGNORECASE)).fill(PEOPLE[role])
        page.get_by_label(re.compile("^role", re.IGNORECASE)).fill(role)
        page.get_by_label(re.compile("^signature", re.IGNORECASE)).fill(signature(desk, shown, role))
        shot(f"6-{role}-promotes-by-hand")
        page.get_by_role("button", name="Submit").click()
        until(lambda e=ended: newest(places, "promote") == e)  # type: ignore[misc]
    assert desk.json("history", "toy")["spans"][-1]["version"] == version
    page.goto(f"{places['mlflow']}/#/models/toy/versions/{version}")
    page.get_by_text("champion").first.wait_for()
    shot("7-another-version-is-live")
    with client(places) as prefect:
        assert prefect.read_flow_run(run).state.name == "Promoted", "the page that waited is closed"


def artifact_link(places: dict[str, str], run: str) -> str:
    """The link to the promotion's form, on the page of evidence of a run that waits."""
    from prefect.client.schemas import filters as f

    with client(places) as prefect:
        runs = f.FlowRunFilter(id=f.FlowRunFilterId(any_=[run]))  # type: ignore[list-item]
        pages = [str(one.data) for one in prefect.read_artifacts(flow_run_filter=runs)]
    found = [link for shown in pages if (link := re.search(r"\[promote it by hand[^\]]*\]\(([^)]+)\)", shown))]
    return found[0][1]


def signable(desk: Terminal, name: str) -> str:
    from headgate.brief import signing
    from tasks.read import read_signers

    book = Desk(desk.toy.home, "toy")
    return signing(book.ledger(), book.release(name), read_signers(desk.toy.folder), datetime.now(UTC))


def newest(places: dict[str, str], flow: str) -> str:
    from prefect.client.schemas import filters as f
    from prefect.client.schemas.sorting import FlowRunSort

    with client(places) as prefect:
        found = prefect.read_flow_runs(
            flow_filter=f.FlowFilter(name=f.FlowFilterName(any_=[flow])), sort=FlowRunSort.START_TIME_DESC, limit=1
        )
    return str(found[0].state.name) if found else ""


def test_the_guard_puts_back_what_somebody_moved_within_a_minute_or_so(desk: Terminal, places: dict[str, str]) -> None:
    import mlflow

    registry = mlflow.MlflowClient(places["mlflow"])
    registry.set_registered_model_alias("toy", "champion", "1")
    until(lambda: str(registry.get_model_version_by_alias("toy", "champion").version) == "2")
    assert desk.json("audit")["toy"]["anomalies"] == []


def test_down_waits_for_the_worker_and_ends_everything(desk: Terminal) -> None:
    assert desk.json("down") == {"worker": "stopped", "prefect": "stopped", "mlflow": "stopped"}
