"""The report says what the ledger says: all of it, plainly, as text, and again to the byte."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stages_of import in_stage, later, soaked
from story_of import (
    ANA,
    CAT,
    MODEL,
    POLICY,
    SERVING,
    VERIFIER,
    Book,
    answered,
    approve,
    asked,
    halt,
    intention,
    promote,
    take,
    time_at,
    waiting,
    whole,
)
from tallies import binary
from test_dossier import STATED
from test_sideline import BACK, closed, found, rolled_back, say, withdrawal
from waivers_of import approved_book, revoke

from headgate import chronicle
from headgate.address import Places, bare, filled, is_form, is_known
from headgate.audit import audit
from headgate.canonical import digest_of
from headgate.errors import Tampered
from headgate.facts import Facts, facts
from headgate.judge import judge
from headgate.markup import Markup, element, table, text
from headgate.overview import broken, line, misindexed, overview
from headgate.policy_file import parse
from headgate.portrait import portrait, worth
from headgate.records import Evaluated, Requested
from headgate.report import again, claims, facts_of, page
from headgate.reported import Reported, misreported, told_from
from headgate.risks import risks
from headgate.state import fold
from headgate.walk import Walk
from headgate.watch import Incident, RolledBack

DAY = 24 * 60
FORM = f"http://127.0.0.1:4200/v2/deployments/deployment/{'0' * 36}/run?parameters=%7B%22home%22%3A%20%22h%22%7D"
LINKS = Places(FORM, "http://localhost:5000", "../packages")
EVIL = "<script>alert(1)</script>\"><img src=x onerror=alert(2)>' \u202e {{x}} ]]> -->"


def reading(book: Book) -> Callable[[str], bytes]:
    """Reads as the store does: what is not what its digest says is no evidence."""

    def read(digest: str) -> bytes:
        data = book.evidence.get(digest, b"")
        if digest_of(data) != digest:
            raise Tampered("evidence", got="other bytes", expected=digest, next_step="restore it")
        return data

    return read


def told(book: Book, minutes: float | None = None) -> Facts:
    made = time_at(book.ledger.size if minutes is None else minutes)
    return facts(book.ledger, book.state, reading(book), made)


def shown(book: Book, minutes: float | None = None, places: Places = LINKS) -> bytes:
    return page(told(book, minutes), places)


class Reader(HTMLParser):
    """A page as a program reads it: its elements, and its text by the element around it."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.said = ""
        self.feed(data.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, "every element is closed where it should be"

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.said += data

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


def read(data: bytes) -> Reader:
    found = Reader(data)
    assert found.open == []
    return found


def wrong(book: Book, data: bytes, *declared: str) -> list[str]:
    """What the audit says of a report, without the rest of the audit."""
    walk, report = Walk(MODEL, book.evidence, None), Reported(data, declared)
    size = told_from(report, book.ledger)
    state = None if size is None else fold(MODEL, book.ledger.at(size).entries)
    return [a.got for a in misreported(walk, state, book.ledger, report) if a.name == "other_report"]


def closed_incident() -> Book:
    book = whole()
    say(book, closed(book, found(book)))
    return book


def open_incident() -> Book:
    book = whole()
    found(book)
    return book


def promoting() -> Book:
    book = approve(waiting(), "tiny-1")
    book.say("tiny-1", intention(book, "tiny-1"))
    return book


def refused() -> Book:
    return halt(take(Book(), "tiny-1", until="evaluated"), "tiny-1", "evaluate", "roc-auc", "FAIL", "gate_failed")


def taken_back() -> Book:
    book = waiting()
    slot = book.say("tiny-1", answered(book, "tiny-1", ANA, "risk"))
    say(book, withdrawal(slot), "tiny-1")
    return book


def revoked() -> Book:
    book = promote(approved_book(), "tiny-1")
    revoke(book, 0)
    return book


BOOKS: dict[str, Callable[[], Book]] = {
    "nothing": Book,
    "asked": lambda: take(Book(), "tiny-1", until="requested"),
    "registered": lambda: take(Book(), "tiny-1", until="registered"),
    "waiting": waiting,
    "promoting": promoting,
    "halted": refused,
    "taken back": taken_back,
    "live": whole,
    "rolled back": lambda: rolled_back(whole()),
    "an incident": open_incident,
    "no incident any more": closed_incident,
    "waived": lambda: promote(approved_book(), "tiny-1"),
    "in a stage": lambda: in_stage(2),
    "asked about a stage": lambda: later(b := soaked(in_stage(2)), asked(b, "broad")),
    "waiver revoked": revoked,
    "stated": lambda: promote(approve(take(Book(POLICY + STATED), "tiny-1"), "tiny-1"), "tiny-1"),
}


@pytest.mark.parametrize("name", BOOKS)
def test_a_page_is_one_accessible_file_that_loads_and_runs_nothing(name: str) -> None:
    found = read(shown(BOOKS[name]()))
    assert not found.all("script", "iframe", "object", "embed", "link", "form", "input", "base", "button")
    assert not [a for _, a in found.elements if any(key.startswith("on") or key == "style" for key in a)]
    (rule,) = [a["content"] for a in found.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert rule is not None
    assert "default-src 'none'; script-src 'none'" in rule
    levels = [int(tag[1]) for tag, _ in found.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in zip([0, *levels], levels, strict=False)), "headings in order"
    assert all((a.get("src") or "").startswith("data:image/svg+xml;base64,") and a.get("alt") for a in found.all("img"))
    assert len(found.all("caption")) == len(found.all("table"))
    assert all(a.get("scope") in ("col", "row") for a in found.all("th"))
    ids = [a["id"] for _, a in found.elements if "id" in a]
    assert len(set(ids)) == len(ids)
    assert {(a["href"] or "")[1:] for a in found.all("a") if (a["href"] or "").startswith("#")} <= set(ids)


@pytest.mark.parametrize("name", BOOKS)
def test_every_page_is_made_again_from_what_it_names(name: str) -> None:
    book = BOOKS[name]()
    data = shown(book)
    named = claims(data)
    assert named["headgate.root"] == book.ledger.root()
    assert again(book.ledger, book.state, reading(book), named) == data
    json.dumps(facts_of(told(book)), allow_nan=False)
    if book.ledger.size:
        assert wrong(book, data) == []
        if name not in ("rolled back", "an incident", "no incident any more"):
            book.say("tiny-9", Requested(**{**dict(book.state.releases["tiny-1"].step(Requested))}), minutes=2 * DAY)
            assert wrong(book, data) == [], "an old page is no forged one"


STANDS = {
    "nothing": "Nothing is live. No release was ever asked for.",
    "asked": "Nothing is live. No version was ever promoted.",
    "registered": "The newest release, tiny-1, is not finished.",
    "waiting": "tiny-1 (version 1) waits for 2 × product, 1 × risk until 2026-07-03 12:07 UTC.",
    "promoting": "A move was begun and is not closed: 'champion' is to move from nothing to version 1.",
    "halted": "The newest release, tiny-1, was halted.",
    "live": "Version 2 is live as 'champion' since 2026-07-01 12:25 UTC by ana@example.org as risk",
    "in a stage": "Version 1 is live as 'pilot' for 5% of everybody since 2026-07-01 12:1",
    "asked about a stage": "tiny-1 (version 1, to reach broad) waits for 1 × product, 1 × risk until",
    "rolled back": "Version 1 is live as 'champion' since 2026-07-01 12:41 UTC by pipeline.",
    "an incident": "MLflow showed version 7 as 'champion' where the ledger has version 2",
}


@pytest.mark.parametrize("name", STANDS)
def test_where_a_model_stands_is_said_on_top(name: str) -> None:
    head = shown(BOOKS[name]()).decode().partition("<nav")[0]
    assert STANDS[name] in read(head.encode() + b"</body></html>").said
    assert ('class="good"' in head) == (name in ("live", "rolled back", "in a stage", "asked about a stage"))


def test_a_version_that_is_live_by_a_waiver_does_not_look_as_if_it_had_passed() -> None:
    data = shown(BOOKS["waived"]())
    assert 'class="good"' not in data.decode().partition("<nav")[0]
    said = read(data).said
    assert "FAIL tiny-1: the gates said FAIL. It went on as PASS with 1 waiver (roc-auc: FAIL)." in said
    assert "1 met, 1 not met. People signed that it may go on although these did not pass: roc-auc." in said


def test_it_says_how_good_it_is_for_whom_and_what_was_decided_by_whom_and_why() -> None:
    said = read(shown(whole())).said
    for words in (
        "Of 100 cases it is right in about 75.",
        "It is right least often for sex: f (72 of 100)",
        "0.8006 to 0.8668",
        "Every group",
        "declined: not before the summer",
        "signed with the SSH key SHA256:",
        "Corrective plan, owned by modellers, playbook 'data_refused':",
        "mend the data",
        "a rollback leads to",
        "The policy states none.",
        "No gate was ever waived.",
    ):
        assert words.casefold() in said.casefold(), words
    slots = [int(n) for n in re.findall(r"#(\d+)", said)]
    assert slots == sorted(slots, reverse=True), "newest first"


def test_only_what_waits_has_a_link_to_its_form() -> None:
    forms = [a["href"] for a in read(shown(waiting())).all("a") if "deployment" in str(a["href"])]
    assert forms == [filled(FORM, 1)]
    assert forms[0] == FORM.replace("%7D", "%2C%20%22version%22%3A%201%7D")
    assert not [a for a in read(shown(whole())).all("a") if "deployment" in str(a["href"])]
    assert "http://localhost:5000/#/models/tiny/versions/2" in {a["href"] for a in read(shown(whole())).all("a")}
    assert not [a for a in read(shown(whole(), places=Places())).all("a") if not str(a["href"]).startswith("#")]


@pytest.mark.parametrize(
    ("name", "days", "urgency", "said"),
    [
        ("live", 80, "soon", "is certified until 2026-09-29."),
        ("live", 90, "soon", "is certified until 2026-09-29."),
        ("live", 91, "now", "is not certified any more: that ended on 2026-09-29."),
        ("live", 320, "soon", "The policy is due for review by 2027-06-01."),
        ("live", 335, "soon", "The policy is due for review by 2027-06-01."),
        ("live", 336, "now", "The policy was due for review by 2027-06-01."),
        ("waiting", 3, "now", "tiny-1 was not answered until 2026-07-03 12:07 UTC: it is to be halted."),
        ("waived", 1, "known", "tiny-1 went on although roc-auc did not pass"),
        ("waived", 40, "soon", "signed for that until 2026-08-30."),
        ("waived", 61, "now", "that waiver is over."),
        ("waiver revoked", 1, "now", "that waiver is revoked."),
        ("live", 1, "known", "the policy has no impact assessment."),
        ("waiting", 1, "known", "the gate no-worse was not judged:"),
    ],
)
def test_what_is_at_risk_is_named_in_time(name: str, days: int, urgency: str, said: str) -> None:
    found = risks(told(BOOKS[name](), days * DAY))
    assert [r.urgency for r in found if said in r.what] == [urgency]
    assert [r.urgency for r in found] == sorted((r.urgency for r in found), key=["now", "soon", "known"].index)


def test_a_certificate_counts_from_the_promotion_also_after_a_rollback() -> None:
    book = whole()
    slot = say(book, BACK, minutes=50 * DAY)
    say(book, RolledBack(alias="champion", old=2, new=1, started=slot), minutes=50 * DAY)
    assert any("version 1, live" in r.what.casefold() and r.urgency == "now" for r in risks(told(book, 91 * DAY)))


@pytest.mark.parametrize("lost", ["judged", "tally", "policy"])
def test_missing_evidence_is_said_and_is_no_success(lost: str) -> None:
    book = whole()
    stands = book.release("tiny-2")
    asked, evaluated = stands.step(Requested), stands.step(Evaluated)
    digest = {"judged": evaluated.judged, "tally": evaluated.tally, "policy": asked.policy_file}[lost]
    del book.evidence[digest]
    data = shown(book)
    assert 'class="good"' not in data.decode().partition("<nav")[0]
    assert "cannot be read" in read(data).said
    assert "Evidence that the ledger names cannot be read" in " ".join(r.what for r in risks(told(book)))
    book.evidence[digest] = b"other"
    assert shown(book) == data
    assert wrong(book, data) == []


HARM: dict[str, Callable[[bytes], bytes]] = {
    "a better word": lambda d: d.replace(b"was halted", b"was fine", 1),
    "a later time": lambda d: d.replace(time_at(41).encode(), time_at(61).encode()),
    "an earlier time": lambda d: d.replace(time_at(41).encode(), time_at(1).encode()),
    "no time": lambda d: d.replace(b'"headgate.made"', b'"headgate.mad"'),
    "a time without a zone": lambda d: d.replace(time_at(41).encode(), b"2026-07-01T12:41:00"),
    "a link to elsewhere": lambda d: d.replace(b"http://localhost:5000", b"http://evil.example"),
    "a form of elsewhere": lambda d: d.replace(b"http://127.0.0.1:4200", b"http://127.0.0.1.evil.example"),
    "no form": lambda d: d.replace(b"/v2/deployments/", b"/phish/"),
    "packages of elsewhere": lambda d: d.replace(b"../packages", b"../elsewhere"),
    "a script": lambda d: d.replace(b"</main>", b"<script>1</script></main>"),
    "another maker": lambda d: d.replace(b"Headgate 0.", b"Headgate 9."),
    "no rule": lambda d: d.replace(b"script-src 'none'", b"script-src *"),
    "two sizes": lambda d: d.replace(b"<meta name=", b'<meta name="headgate.ledger" content="1 x">\n<meta name=', 1),
    "another size": lambda d: d.replace(b'content="40 sha', b'content="39 sha'),
    "many entries": lambda d: d.replace(b'content="40 sha', b'content="999999999999999999 sha'),
    "nothing": lambda d: b"",
    "half": lambda d: d[: len(d) // 2],
    "no text": lambda d: b"\xff\xfe" + d,
}


@pytest.mark.parametrize("harm", HARM)
def test_what_somebody_changed_in_a_report_is_found(harm: str) -> None:
    book = whole()
    data = shown(book, 41)
    assert wrong(book, data) == []
    broken_page = HARM[harm](data)
    assert broken_page != data
    assert len(wrong(book, broken_page)) >= 1


def test_a_page_from_few_entries_cannot_claim_to_be_newer_than_those_that_followed() -> None:
    book = whole()
    before = book.copy()
    found(book)
    stale = shown(before, 41)
    assert wrong(book, stale) == [], "made before the incident"
    named = {**claims(stale), "headgate.made": time_at(5 * DAY)}
    hidden = again(before.ledger, before.state, before.evidence.__getitem__, named)
    assert wrong(before, hidden) == []
    assert wrong(book, hidden) == [f"reports/tiny.html: made at {time_at(5 * DAY)} from 40 entries"]


def test_the_audit_compares_the_report_with_the_rest() -> None:
    book = whole()
    data = shown(book.copy())
    rolled_back(book)
    sound = audit(MODEL, book.slots, VERIFIER, book.evidence, report=Reported(data))
    assert (sound.reports, sound.anomalies) == (1, ())
    forged = audit(MODEL, book.slots, VERIFIER, book.evidence, report=Reported(data.replace(b"declined", b"agreed")))
    assert [a.name for a in forged.anomalies] == ["other_report"]
    assert audit(MODEL, book.slots, VERIFIER, book.evidence).reports == 0


def test_a_report_outlives_what_was_cut_off_a_ledger() -> None:
    book = whole()
    short = Book(ledger=book.ledger.at(30), evidence=book.evidence)
    assert len(wrong(short, shown(book))) == 1


def test_a_server_that_was_declared_may_be_linked_to() -> None:
    book = whole()
    data = shown(book, places=Places(mlflow="https://mlflow.example/base"))
    assert len(wrong(book, data)) == 1
    assert wrong(book, data, "https://mlflow.example") == []
    assert len(wrong(book, data, "http://mlflow.example")) == 1


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)", "file:///etc/passwd", "//evil.example", "http://", "http://x:y@127.0.0.1",
        "http://127.0.0.1.evil.example", "http://localhost.evil.example", "http://evil.example#@localhost", "http://[::1",
        "http://127.0.0.1:notaport", "http://local\nhost", "http://localhost/\"><script>", "http://localhost/\u202e",
        "http://localhost:99999", "HTTP://evil.example", "ftp://localhost", "",
    ],
)  # fmt: skip
def test_an_address_leads_here_or_nowhere(url: str) -> None:
    assert not is_known(url, ())


def test_addresses_are_known_without_their_passwords() -> None:
    for url in ("http://127.0.0.1:5000", "https://localhost/x", "http://[::1]:80/", "http://127.9.9.9"):
        assert is_known(url, ())
    assert bare("https://u:p@mlflow.example/x/") == "https://mlflow.example/x"
    assert bare("sqlite:///x.db") is None
    assert is_form(FORM)
    assert not is_form(FORM.replace("%7B", "%5B"))
    assert not is_form(FORM.partition("?")[0])
    assert filled(filled(FORM, 1), 2) == filled(FORM, 2)


def test_what_people_write_stays_text() -> None:
    seen = EVIL.replace("\u202e", "")
    policy = POLICY.replace(b"Shows how a release goes.", seen.replace('"', "'").encode())
    book = take(Book(policy + STATED), "tiny-1")
    book.say("tiny-1", answered(book, "tiny-1", CAT, "risk", reason=seen))
    say(book, Incident(alias="champion", recorded=None, shown=7, response="restore", why=EVIL))
    data = shown(book)
    page_ = read(data)
    assert not page_.all("script")
    assert [a for a in page_.all("img") if a.get("src") == "x"] == []
    assert "<script>alert(1)</script>" in page_.said, "it is there to be read"
    assert "\u202e" not in data.decode()
    assert wrong(book, data) == []


def test_groups_and_figures_of_any_name_stay_text() -> None:
    chance = np.random.default_rng(1)
    scores = chance.random(400)
    labels = (chance.random(400) < scores).astype(int)
    tally = binary(labels, scores, {"sex": chance.choice(["<script>1</script>", "</svg>&"], 400)})
    book = take(Book(), "tiny-1", until="registered")
    judged = judge(parse(POLICY, "x"), tally, SERVING, has_champion=False)
    kept = {"judged": book.keep(judged.model_dump(mode="json")), "tally": book.put(tally.to_bytes())}
    serving = book.put(SERVING.to_bytes())
    book.say("tiny-1", Evaluated(verdict=judged.verdict, serving=serving, champion=None, **kept))
    page_ = read(shown(book))
    assert not page_.all("script", "svg")
    assert "sex: <script>1</script>" in page_.said
    for image in page_.all("img"):
        svg = base64.b64decode(str(image["src"]).partition("base64,")[2])
        assert b"<script" not in svg


def test_what_is_left_out_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chronicle, "MOST", 5)
    said = read(shown(whole())).said
    assert "20 older decisions are in the ledger" in said
    assert "2 older answers are in the ledger" in said


def test_a_number_that_makes_no_sense_is_not_told() -> None:
    each = replace(told(whole()).subjects[0], right={}, mistakes="")
    said = read(f"<html>{''.join(map(str, portrait(each)))}</html>".encode()).said
    assert "right, of 100" not in said
    assert "cannot be said in one number" in " ".join(worth(each))


@given(st.text(), st.text())
@settings(max_examples=100, deadline=None)
def test_whatever_is_said_comes_back_as_text(one: str, other: str) -> None:
    made = table(one, ("a", "b"), [(one, other)])
    found = Reader(b"<html>" + element("p", made, title=other).encode() + b"</html>")
    assert {tag for tag, _ in found.elements} <= {
        "html",
        "p",
        "div",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert text(text(one)) == text(one)
    assert isinstance(made, Markup)


def test_the_overview_has_a_line_for_each_model_and_is_made_again() -> None:
    book = open_incident()
    data = overview([line(told(book)), broken("lost")])
    ledgers, get = {MODEL: book.ledger}, book.evidence.__getitem__
    said = read(data).said
    assert "An incident is open" in said
    assert "Its records cannot be read" in said
    assert {a["href"] for a in read(data).all("a")} == {"tiny.html", "lost.html"}
    assert list(misindexed(data, ledgers, get)) == []
    assert "Nothing was released yet" in read(overview([])).said
    assert list(misindexed(overview([]), {}, get)) == []
    stale = overview([line(facts(book.ledger.at(40), whole().state, get, time_at(5 * DAY)))])
    changed = {
        "a word": data.replace(b"An incident is open", b"Nothing is open"),
        "a model": data.replace(b'"tiny ', b'"tony '),
        "no model": b"",
        "half": data.replace(b' - -"', b' -"'),
        "as if nothing had happened since": stale,
    }
    for name, bad in changed.items():
        assert [a.name for a in misindexed(bad, ledgers, get)] == ["other_report"], name
    assert [a.name for a in misindexed(data, {MODEL: book.ledger.at(3)}, get)] == ["other_report"]
