"""The report: one page for stakeholders: what is live, how good it is for whom, what was decided, what is at risk.

A page names the ledger, the time and the addresses that it was made from, so that whoever has the ledger can make it
again, to the byte. It is one file: it runs nothing, and loads nothing from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel

from headgate import __version__
from headgate.address import Places
from headgate.chronicle import clock
from headgate.facts import Facts, facts
from headgate.ledger import Ledger
from headgate.markup import Markup, element, joined
from headgate.portrait import lineage, portrait
from headgate.risks import Risk, risks
from headgate.sections import (
    decision_section,
    live_section,
    reply_section,
    risk_section,
    summary_section,
    waiting_section,
    waiver_section,
)
from headgate.signs import described, when
from headgate.state import State
from headgate.stylesheet import STYLE
from headgate.subject import Read

MAKER = f"Headgate {__version__}"
"""Who renders. A page of another version may use other words, and has to be made again before it can be compared."""

_META = re.compile(rb'^<meta name="(headgate\.[a-z]+|generator)" content="([^"<>]*)">$', re.MULTILINE)


def page(told: Facts, places: Places) -> bytes:
    """A report as one HTML file."""
    found = risks(told)
    title = f"{told.model}: what is live, how good it is, and what was decided"
    body = joined((_header(told, found), _contents(), _main(told, found, places), _footer(told)), "\n")
    return document(title, _meta(told, places), body)


def facts_of(told: Facts) -> dict[str, Any]:
    """The facts as values of JSON, without the pictures."""
    made = {**asdict(told), "risks": [asdict(risk) for risk in risks(told)]}
    for each in made["subjects"]:
        del each["picture"], each["lineage"]
    return dict(json.loads(json.dumps(made, default=_value)))


def _value(value: object) -> object:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


def again(ledger: Ledger, state: State, read: Read, claimed: Mapping[str, str]) -> bytes:
    """The page that this ledger, of the size that was claimed, renders at the time and with the addresses claimed."""
    places = Places(*(claimed.get(f"headgate.{name}") for name in ("form", "mlflow", "packages")))
    return page(facts(ledger, state, read, claimed["headgate.made"]), places)


def metas(data: bytes) -> list[tuple[str, str]]:
    """What a page says of itself: names with their values, in the order in which they stand."""
    found = [
        (name.decode(), html.unescape(value.decode(errors="replace")))
        for name, value in _META.findall(data.partition(b"<title>")[0])
    ]
    return found


def claims(data: bytes) -> dict[str, str]:
    """The same by name; what stands there twice counts as it stands first."""
    return dict(reversed(metas(data)))


def document(title: str, meta: Iterable[tuple[str, str]], body: Markup) -> bytes:
    """A file that browsers show: nothing in it may run, and no server is asked for anything."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    rule = f"default-src 'none'; script-src 'none'; img-src data:; style-src 'sha256-{digest}'"
    policy = f"{rule}; base-uri 'none'; form-action 'none'"
    head = (
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        *(element("meta", name=name, content=value) for name, value in (("generator", MAKER), *meta)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        Markup(f"<style>{STYLE}</style>"),
    )
    lines = ("<!DOCTYPE html>", '<html lang="en">', "<head>", *head, "</head>", "<body>", body, "</body>", "</html>\n")
    return "\n".join(lines).encode()


def _meta(told: Facts, places: Places) -> Iterator[tuple[str, str]]:
    named = {"form": places.form, "mlflow": places.mlflow, "packages": places.packages}
    known: dict[str, str | None] = {
        "model": told.model,
        "ledger": f"{told.size} {told.head}",
        "root": told.root,
        "made": told.made,
    }
    yield from ((f"headgate.{name}", value) for name, value in (known | named).items() if value is not None)


def _header(told: Facts, found: tuple[Risk, ...]) -> Markup:
    stands = [element("li", said, class_=tone) for tone, said in standing(told, found)]
    purpose = told.about.purpose if told.about else "What it is for cannot be told: no policy was read."
    made = ("As of ", when(told.made), f", from the {told.size} entries of its ledger.")
    return element(
        "header",
        element("p", "Headgate report", class_="kicker"),
        element("h1", told.model),
        element("p", purpose, class_="purpose"),
        element("ul", *stands, class_="stand"),
        element("p", *made, class_="note"),
    )


_UNDONE = {
    "halted": "was halted",
    "rejected": "was declined",
    "running": "is not finished",
    "rolling": "has not reached everybody yet",
}
"""What is said of a release that did not come to its end, by where it stands."""


def standing(told: Facts, found: tuple[Risk, ...]) -> Iterator[tuple[str, str]]:
    """Where the model stands: sentences, each with its tone, about what is live, wrong, waiting and stopped."""
    urgent = [risk.what for risk in found if risk.urgency == "now"]
    waived = any(each.live_as and each.excused for each in told.subjects)
    for live in told.live:
        people = f" by {', '.join(live.people)}" if live.people else ""
        whom = "" if live.serves is None else f" for {live.serves}"
        said = f"Version {live.version} is live as '{live.alias}'{whom} since {clock(live.since)}{people}."
        yield "warn" if urgent or waived else "good", said
    if not told.live:
        never = "No release was ever asked for." if told.newest is None else "No version was ever promoted."
        yield "warn", f"Nothing is live. {never}"
    yield from (("bad", what) for what in urgent)
    for wait in told.waits:
        owed = ", ".join(wait.owed) or "its promotion"
        about = f"version {wait.version}" + ("" if wait.stage is None else f", to reach {wait.stage}")
        yield "warn", f"{wait.release} ({about}) waits for {owed} until {clock(wait.until)}."
    if told.newest and told.newest[1] in _UNDONE:
        yield "warn", f"The newest release, {told.newest[0]}, {_UNDONE[told.newest[1]]}."


_NAMES = {
    "plain": "In plain words",
    "live": "What is live, and who waits for what",
    "risk": "What is at risk",
    "quality": "How good it is, and for whom",
    "decided": "What was decided",
    "people": "Who answered",
    "waivers": "Waivers and incidents",
    "lineage": "Where it comes from",
    "page": "About this page",
}


def _contents() -> Markup:
    links = [element("li", element("a", name, href=f"#{key}")) for key, name in _NAMES.items()]
    return element("nav", element("ul", *links), aria_label="Contents")


def _main(told: Facts, found: tuple[Risk, ...], places: Places) -> Markup:
    parts: dict[str, Iterator[Markup]] = {
        "plain": summary_section(told, found),
        "live": _stands(told, places),
        "risk": risk_section(found, told.about),
        "quality": _quality(told),
        "decided": decision_section(told),
        "people": reply_section(told),
        "waivers": waiver_section(told),
        "lineage": _lineage(told),
        "page": _about_page(told, places),
    }
    return element("main", joined((_section(key, inside) for key, inside in parts.items()), "\n"))


def _section(key: str, inside: Iterator[Markup]) -> Markup:
    heading = element("h2", _NAMES[key], id=f"{key}-title")
    return element("section", heading, Markup("\n"), joined(inside, "\n"), id=key, aria_labelledby=f"{key}-title")


def _stands(told: Facts, places: Places) -> Iterator[Markup]:
    yield element("h3", "Live")
    yield from live_section(told, places)
    yield element("h3", "Waiting")
    yield from waiting_section(told, places)


def _quality(told: Facts) -> Iterator[Markup]:
    if not told.subjects:
        yield element("p", "No version was judged yet. Nothing is known about how good it is.")
    for each in told.subjects:
        yield from portrait(each)


def _lineage(told: Facts) -> Iterator[Markup]:
    if not told.subjects:
        yield element("p", "There is no version yet.")
    yield from map(lineage, told.subjects)


def _about_page(told: Facts, places: Places) -> Iterator[Markup]:
    command = element("code", f"headgate audit {told.model}")
    yield element(
        "p",
        "It was derived from the ledger and the evidence that it names, and says nothing else. It is not signed: ",
        command,
        " makes it again from the same entries and compares it, to the byte. What was recorded later is not in it.",
    )
    yield described(
        (
            ("Made", when(told.made)),
            ("Ledger", f"{told.size} entries"),
            ("Its head", element("code", told.head)),
            ("Its Merkle root", element("code", told.root)),
            ("MLflow", places.mlflow or joined(("no page is known; ", element("code", "headgate up"), " starts one"))),
            (
                "Form in Prefect",
                "linked from each release that waits"
                if places.form
                else "not known: the server did not answer, or has no such form",
            ),
            ("Rendered by", MAKER),
        )
    )


def _footer(told: Facts) -> Markup:
    return element("footer", f"{told.model}, ledger of {told.size} entries, {clock(told.made)}. ", MAKER)
