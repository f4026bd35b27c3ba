"""The report in a browser, as stakeholders see it: by day, by night, on a telephone, on paper.

The screenshots are kept in the folder that HEADGATE_SHOTS names, else in the test's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from story_of import Book, whole
from test_pages import CHROMIUM, FLAGS
from test_sideline import found

from headgate.address import Places
from headgate.facts import facts
from headgate.report import page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: nobody can look at the page")

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 780}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    book = whole()
    found(book)
    path = tmp_path_factory.mktemp("report") / "tiny.html"
    path.write_bytes(made(book))
    return path


def made(book: Book) -> bytes:
    told = facts(book.ledger, book.state, book.evidence.__getitem__, "2026-07-02T12:00:00Z")
    return page(told, Places(mlflow="http://localhost:5000", packages="../packages"))


def looked_at(browser: Browser, file: Path, name: str, **how: object) -> tuple[Page, list[str]]:
    """The page as it is seen, and everything that it asked for or complained of."""
    page = browser.new_context(**how).new_page()  # type: ignore[arg-type]
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("request", lambda request: heard.append(request.url) if not request.url.startswith("data:") else None)
    page.goto(file.as_uri())
    shots = Path(os.environ.get("HEADGATE_SHOTS", file.parent))
    page.screenshot(path=shots / f"report-{name}.png", full_page=True)
    assert (shots / f"report-{name}.png").stat().st_size > 10_000
    return page, heard


@pytest.mark.parametrize("look", ["light", "dark"])
def test_it_looks_as_its_reader_likes_and_asks_no_server_for_anything(browser: Browser, file: Path, look: str) -> None:
    page, heard = looked_at(browser, file, look, viewport=WIDE, color_scheme=look)
    assert heard == [file.as_uri()], "its style is applied by its own rule, and nothing else is loaded"
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colour == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}[look]
    assert page.get_by_role("heading", level=1).inner_text() == "tiny"
    assert page.get_by_role("listitem").filter(has_text="An incident is open since").first.is_visible()
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 100)")
    page.get_by_role("link", name="What was decided").click()
    assert page.url.endswith("#decided")
    assert page.get_by_role("table", name="All 5 comparisons").count() == 0
    page.get_by_text("All 5 comparisons, with their arithmetic").click()
    assert page.get_by_role("table", name="All 5 comparisons").is_visible()
    page.context.close()


def test_on_a_telephone_nothing_is_wider_than_the_screen(browser: Browser, file: Path) -> None:
    page, _ = looked_at(browser, file, "phone", viewport=NARROW)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    frames = page.locator(".frame.wide, .picture")
    assert frames.count() >= 2
    assert all(frames.nth(n).get_attribute("tabindex") == "0" for n in range(frames.count())), (
        "scrolled without a mouse"
    )
    page.context.close()


def test_on_paper_what_is_folded_is_open(browser: Browser, file: Path) -> None:
    page, _ = looked_at(browser, file, "paper", viewport=WIDE)
    page.emulate_media(media="print")
    folded = page.get_by_role("table", name="All 5 comparisons")
    assert folded.is_visible()
    assert not page.get_by_role("navigation").is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.context.close()
