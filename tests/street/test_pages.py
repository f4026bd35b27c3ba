"""The ways of use, in a browser: a scheduled release is decided, another version is promoted, the registry shows it.

All of it by the pages alone, as approvers and operators see them.

The screenshots are kept in the folder that HEADGATE_SHOTS names, else in the test's own.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import pytest
from model_folder import PEOPLE, Toy, better
from terminal import Terminal

from headgate import sshsig
from headgate.approval import as_asked, namespace, statement
from headgate.records import Registered, Requested
from headgate.release import Release
from headgate.state import fold
from tasks.record import Desk

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = next((p for p in ("/usr/bin/chromium", "/usr/bin/google-chrome") if Path(p).exists()), None)
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
T = TypeVar("T")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: nobody can look at the pages"),
    pytest.mark.timeout(900),  # for a machine that is busy with other tests
]


@pytest.fixture(scope="module")
def places(terminal: Terminal) -> dict[str, str]:
    """The platform, with a release every minute until the first one has begun."""
    policy = terminal.toy.folder / "policy.toml"
    policy.write_text(policy.read_text() + '\n[schedule]\ncron = "* * * * *"\n')
    return dict(terminal.json("up"))


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        opened = browser.new_page(viewport={"width": 1400, "height": 1000})
        opened.set_default_timeout(60_000)
        yield opened
        browser.close()


def awaited(find: Callable[[], T | None], what: str, seconds: float = 300) -> T:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := find():
            return found
        time.sleep(0.3)
    raise AssertionError(f"{what} did not come within {seconds:.0f} s")


def released(toy: Toy) -> Release | None:
    if not toy.home.joinpath("store").exists():
        return None
    return fold(toy.name, Desk(toy.home, toy.name).ledger().entries).releases.get("toy-1")


class Server:
    """The Prefect server, asked as its pages ask it."""

    def __init__(self, place: str) -> None:
        self.place = place

    def ask(self, method: str, path: str, body: object = None) -> Any:
        # On SQLite it answers 503 while its database is locked; its pages ask again too.
        for _ in range(40):
            answer = httpx.request(method, f"{self.place}/api{path}", json=body, timeout=60)
            if answer.status_code != 503:
                break
            time.sleep(0.5)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def switch_off(self) -> None:
        deployment = self.ask("GET", "/deployments/name/release/toy")
        (schedule,) = deployment["schedules"]
        self.ask("PATCH", f"/deployments/{deployment['id']}/schedules/{schedule['id']}", {"active": False})
        # On a slow machine the next ones are due already, and an answer would wait behind them.
        due = {"state": {"type": {"any_": ["SCHEDULED"]}}, "deployment_id": {"any_": [deployment["id"]]}}
        for run in self.ask("POST", "/flow_runs/filter", {"flow_runs": due}):
            self.ask("DELETE", f"/flow_runs/{run['id']}")

    def waiting(self, key: str) -> str | None:
        """The id of the run that is suspended with this form."""
        found = [r["id"] for r in self.suspended() if r["name"] == "toy-1"]
        return next((i for i in found if self.run(i)["state"]["state_details"]["pause_key"] == key), None)

    def suspended(self) -> Any:
        return self.ask("POST", "/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["PAUSED"]}}}})

    def run(self, run: str) -> Any:
        return self.ask("GET", f"/flow_runs/{run}")

    def start(self, flow: str, **given: str) -> str:
        """Run a deployment of the toy by hand; the run's id."""
        deployment = self.ask("GET", f"/deployments/name/{flow}/toy")
        body = {"parameters": {**deployment["parameters"], **given}}
        return str(self.ask("POST", f"/deployments/{deployment['id']}/create_flow_run", body)["id"])

    def is_waiting(self, run: str) -> bool:
        return bool(self.run(run)["state"]["type"] == "PAUSED")

    def link(self, run: str) -> str:
        """The link to the promotion's form, on the page of evidence of a run."""
        pages = self.ask("POST", "/artifacts/filter", {"flow_runs": {"id": {"any_": [run]}}})
        found = [re.search(r"\[promote it by hand[^\]]*\]\(([^)]+)\)", str(page["data"])) for page in pages]
        return next(link[1] for link in found if link)

    def count(self, flow: str) -> int:
        return int(self.ask("POST", "/flow_runs/count", {"flows": {"name": {"any_": [flow]}}}))

    def newest(self, flow: str) -> str:
        """How the newest run of a flow ended, or stands."""
        those = {"flows": {"name": {"any_": [flow]}}, "sort": "EXPECTED_START_TIME_DESC", "limit": 1}
        return next((str(run["state"]["name"]) for run in self.ask("POST", "/flow_runs/filter", those)), "")


class Approver:
    """Somebody at the run's page."""

    def __init__(self, page: Page, server: Server, shots: Path) -> None:
        self.page, self.server, self.shots = page, server, shots
        self.run = ""

    def shoot(self, name: str) -> None:
        path = self.shots / f"{name}.png"
        self.page.screenshot(path=path)
        assert path.stat().st_size > 10_000

    def read(self) -> None:
        self.page.goto(f"{self.server.place}/v2/runs/flow-run/{self.run}")
        self.page.get_by_role("tab", name="Artifacts").click()
        self.page.get_by_text("What to decide on", exact=False).first.wait_for()
        self.shoot("1-run")
        self.page.locator("a[href*='/artifacts/key/toy-1-approve']").first.click()
        self.page.locator("a[href*='/artifacts/artifact/']").first.click()  # the newest is on top
        self.page.get_by_text("waits for your decision", exact=False).first.wait_for()
        for told in ("Against the champion", "What the policy demands otherwise", "version 1 in MLflow", "roc-auc"):
            self.page.get_by_text(told, exact=False).first.wait_for()
        self.shoot("2-evidence")
        self.page.get_by_text("approves as risk", exact=False).first.scroll_into_view_if_needed()
        self.shoot("3-what-is-signed")

    def open_form(self) -> None:
        self.page.goto(f"{self.server.place}/v2/runs/flow-run/{self.run}")
        self.page.locator("button[aria-haspopup=menu]").last.click()
        self.page.get_by_role("menuitem", name="Resume").click()
        self.page.get_by_text("Resume Flow Run", exact=True).wait_for()

    def statement(self, role: str) -> str:
        """The text to sign, as it can be copied from the page."""
        dialog = self.page.get_by_role("dialog")
        block = dialog.locator("pre", has_text=f"-n {role}@headgate").first
        return block.inner_text().partition("<<'STATEMENT'\n")[2].partition("STATEMENT")[0]

    def submit(self, role: str, key: Path, shot: str) -> None:
        shown = self.statement(role)
        signature = sshsig.sign(key.read_bytes(), shown.encode(), namespace(role))
        dialog = self.page.get_by_role("dialog")
        self._choose("Decision", "approve")
        dialog.get_by_label("Your name").fill(json.loads(shown)["person"])
        self._choose("Your role", role)
        dialog.get_by_label("Signature").fill(signature)
        self.shoot(shot)
        self._resume()

    def _resume(self) -> None:
        from playwright.sync_api import TimeoutError as Unchanged

        dialog = self.page.get_by_role("dialog")
        for _ in range(3):
            dialog.get_by_role("button", name="Resume").click()
            with suppress(Unchanged):  # the server's database was locked: the page says so, and one tries again
                return dialog.wait_for(state="detached", timeout=20_000)
            self.shoot("not-taken")
        raise AssertionError(dialog.inner_text())

    def _choose(self, label: str, value: str) -> None:
        self.page.get_by_role("dialog").get_by_label(label).click()
        self.page.get_by_role("option", name=value, exact=True).click()


def test_a_scheduled_release_is_decided_and_an_operator_promotes_another_and_the_registry_shows_it(
    terminal: Terminal, places: dict[str, str], page: Page, tmp_path: Path
) -> None:
    shots = Path(os.environ.get("HEADGATE_SHOTS", tmp_path))
    shots.mkdir(parents=True, exist_ok=True)
    decide_the_scheduled_release(terminal, places, page, shots)
    promote_another_version(terminal, places, page, shots)


def decide_the_scheduled_release(terminal: Terminal, places: dict[str, str], page: Page, shots: Path) -> None:
    """It waits; a wrong signature brings the form back; two people sign, and it goes live."""
    toy, server = terminal.toy, Server(places["prefect"])
    awaited(lambda: released(toy), "the scheduled release")
    server.switch_off()
    approver = Approver(page, server, shots)
    approver.run = awaited(lambda: server.waiting("answer-0"), "the form")
    assert server.run(approver.run)["auto_scheduled"]
    approver.read()

    approver.open_form()
    approver.submit("risk", toy.keys["product"], "4-wrong-signature")
    awaited(lambda: server.waiting("answer-1"), "the form that comes back")
    approver.open_form()
    page.get_by_text("Not recorded", exact=False).first.wait_for()
    page.get_by_text("may sign as risk for nobody", exact=False).first.wait_for()
    assert page.get_by_role("dialog").get_by_label("Your name").input_value() == PEOPLE["risk"]
    approver.shoot("5-what-was-wrong")

    approver.submit("risk", toy.keys["risk"], "6-signed")
    awaited(lambda: server.waiting("answer-2"), "the form for the second role")
    approver.open_form()
    approver.submit("product", toy.keys["product"], "7-second-role")
    awaited(lambda: (r := released(toy)) and r.promoted, "the promotion")

    awaited(lambda: server.run(approver.run)["state"]["name"] == "Promoted", "the end of the run")
    page.goto(f"{server.place}/v2/runs/flow-run/{approver.run}")
    page.get_by_text("Promoted").first.wait_for()
    approver.shoot("8-promoted")
    page.goto(f"{places['mlflow']}/#/models/toy/versions/1")
    page.get_by_text("champion").first.wait_for()
    approver.shoot("9-mlflow")
    assert terminal.json("status")["toy"]["aliases"] == {"champion": 1}
    assert terminal.json("audit")["toy"]["anomalies"] == []


def promote_another_version(terminal: Terminal, places: dict[str, str], page: Page, shots: Path) -> None:
    """By the form that a link on the version's page fills in: refused at first, promoted with the second signature."""
    toy, server = terminal.toy, Server(places["prefect"])
    run = server.start("release", training=str(better(toy)))
    asked = awaited(lambda: server.is_waiting(run) and opened_by(toy, run), "the second release")
    version = asked.step(Registered).version
    shown = f"{places['mlflow']}/#/models/toy/versions/{version}"
    page.goto(shown)
    found = page.get_by_role("link", name=f"Promote version {version} by hand, in Prefect")
    assert found.get_attribute("href") == server.link(run), "the same form, from MLflow's page and from the run's"
    page.screenshot(path=shots / "9-link.png")
    report = toy.home / "reports" / "toy.html"
    page.goto(report.as_uri())
    linked = page.get_by_role("link", name=f"promote version {version}, in Prefect")
    assert linked.get_attribute("href") == server.link(run), "and from the report, which the run has written"
    page.goto(shown)
    link = str(found.get_attribute("href"))
    for role, ended in (("risk", "Refused"), ("product", "Promoted")):
        page.goto(link)
        page.get_by_label("version").first.wait_for()
        assert page.get_by_label("version").first.input_value() == str(version), "the form is filled in"
        for label, text in (("who", PEOPLE[role]), ("role", role), ("signature", signed(toy, asked, role))):
            page.get_by_label(label, exact=False).first.fill(text)
        page.screenshot(path=shots / f"10-{role}-promotes.png")
        submit(page, server)
        awaited(lambda e=ended: server.newest("promote") == e, f"the promotion as {role}: {ended}")  # type: ignore[misc]
    assert terminal.json("history", "toy")["spans"][-1]["version"] == version
    page.goto(shown)
    page.get_by_text("champion").first.wait_for()
    page.screenshot(path=shots / "11-another-version.png")


def test_the_guard_puts_back_what_somebody_moved_and_ends_the_run_that_waited(
    terminal: Terminal, places: dict[str, str]
) -> None:
    import mlflow

    registry = mlflow.MlflowClient(places["mlflow"])
    live = registry.get_model_version_by_alias("toy", "champion").version
    registry.set_registered_model_alias("toy", "champion", "1")
    awaited(lambda: registry.get_model_version_by_alias("toy", "champion").version == live, "the guard", seconds=180)
    server = Server(places["prefect"])
    awaited(lambda: not server.suspended(), "the end of the run that waited for what the operator did")
    awaited(lambda: terminal.json("audit")["toy"]["anomalies"] == [], "a sound ledger", seconds=60)


def test_down_ends_all_of_it(terminal: Terminal, places: dict[str, str]) -> None:
    assert terminal.json("down") == dict.fromkeys(places, "stopped")
    for place in places.values():
        with pytest.raises(httpx.TransportError):
            httpx.get(place, timeout=2)


def submit(page: Page, server: Server) -> None:
    """Send the form; again if the server's database was locked, which the page says."""
    before = server.count("promote")
    for _ in range(3):
        page.get_by_role("button", name="Submit").click()
        with suppress(AssertionError):
            return awaited(lambda: server.count("promote") > before or None, "the run of the form", seconds=20) and None
    raise AssertionError(page.get_by_role("main").inner_text())


def opened_by(toy: Toy, run: str) -> Release | None:
    releases = Desk(toy.home, toy.name).state().releases.values()
    return next((r for r in releases if r.step(Requested).run == run), None)


def signed(toy: Toy, release: Release, role: str) -> str:
    """What the person signs for this role, from the command that the page shows."""
    ledger = Desk(toy.home, toy.name).ledger()
    spoken = statement(as_asked(ledger, release), release, person=PEOPLE[role], role=role, decision="approve")
    return sshsig.sign(toy.keys[role].read_bytes(), spoken.text(), namespace(role))
