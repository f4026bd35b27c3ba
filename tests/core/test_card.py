from __future__ import annotations

import base64
import math
import re
from dataclasses import replace
from itertools import product
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from story_of import (
    ANA,
    BOB,
    DIGEST,
    POLICY,
    REQUESTER,
    Book,
    evaluated,
    judged_of,
    signers,
    take,
    time_at,
    waiting,
    whole,
)
from waivers_of import FAILING, revoke, spoken, waive, waived
from waivers_of import approved_book as excused_book

from headgate.approval import objections
from headgate.card import (
    PICTURE,
    approvals,
    confidence,
    picture,
    tags,
    verdict_page,
    verdict_table,
)
from headgate.forest import forest, image
from headgate.judgement import Judged, Judgement, Omission
from headgate.markdown import escaped
from headgate.model_card import model_card
from headgate.package import pinned
from headgate.policy_file import parse
from headgate.records import RECORDS, Evaluated, Halted, Packaged, Rejected, Requested, record_of
from headgate.story import sentence
from headgate.verdict import Verdict

STORY = whole()
RELEASE, JUDGED = STORY.release("tiny-2"), judged_of(STORY, "tiny-2")
POLICY_ = parse(POLICY, "of the story")
CARD = model_card(POLICY_, RELEASE, JUDGED)
PARSER = MarkdownIt("commonmark").enable("table")


def judgement(**changes: object) -> Judgement:
    made = {
        "gate": "g", "metric": "roc_auc", "slice": "all", "form": "limit", "verdict": Verdict.PASS, "reason": "because",
        "value": 0.7, "lower": 0.65, "upper": 0.75, "n": 400, "limit": 0.6, "alpha": 0.05, "p_harm": 1.0,
        "method": "DeLong", "rows_needed": None, "evidence": None,
    }  # fmt: skip
    return Judgement.model_validate({**made, **changes})


def judged(*each: Judgement, alpha: float = 0.05) -> Judged:
    return Judged(judgements=each, family=len(each), alpha=alpha)


def cells(page: str) -> list[list[str]]:
    """The rows of all tables of a page, as a reader's parser sees them."""
    rows: list[list[str]] = []
    for token in PARSER.parse(page):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and token.level == 4:
            rows[-1].append("".join(t.content for t in token.children or []))
    return rows


def test_the_card_has_every_gate_with_its_verdict_slice_n_and_arithmetic():
    shown = cells(CARD)
    assert len(JUDGED.judgements) == 5
    for j in JUDGED.judgements:
        assert [j.gate, j.slice, f"{j.n:,}", j.reason] in [row[1:5] for row in shown]
    assert {gate.label for gate in POLICY_.gate} <= {row[1] for row in shown if len(row) > 1}


def test_the_card_has_every_group_with_its_bounds():
    groups = [j for j in JUDGED.judgements if j.slice != "all"]
    assert len(groups) == 2
    shown = cells(CARD)
    for j in groups:
        assert [j.slice, j.metric, j.form] in [row[:3] for row in shown]
        assert any(f"{j.lower:.4g} to {j.upper:.4g}" in row for row in shown)


def test_scenarios_are_no_groups_and_the_card_names_what_lies_beside_it():
    page = model_card(POLICY_, RELEASE, judged(judgement(slice="twin", form="scenarios"), judgement(slice="sex=f")))
    groups = page[page.index("### Results by group") : page.index("## Environmental")]
    assert [row[0] for row in cells(groups)] == ["group", "sex=f"]
    beside = set(re.findall(r"`([a-z-]+\.[a-z]+)`", page[page.index("## More Information") :]))
    assert {name for name in pinned(RELEASE) if not name.endswith(("suite.json", "cdx.json"))} <= beside
    assert PICTURE in beside


def test_the_card_says_who_what_and_from_what():
    assert CARD.startswith("Shows how a release goes.\n"), "lists of versions show the first line"
    for part in (
        "# tiny, version 2", "| owner | modellers |", "| tier | low |", f"| asked for by | {REQUESTER}",
        "### Out-of-Scope Use",
        RELEASE.step(Requested).policy, RELEASE.step(Evaluated).tally, "LogisticRegression", "age, sex",
        "400 from x.csv", "at least 0.5", "Groups under 30 rows", "90 days", "2027-06-01", "## Evaluation: PASS",
    ):  # fmt: skip
        assert part in CARD.replace("\\_", "_"), part


def test_an_omitted_gate_is_shown_as_not_judged_and_never_as_a_pass():
    first = judged_of(STORY, "tiny-1")
    page = model_card(POLICY_, STORY.release("tiny-1"), first)
    assert "- no-worse was not judged: there is no champion to compare with" in page
    assert not any(row[1:2] == ["no-worse"] for row in cells(page))
    empty = Judged(judgements=(), omitted=(Omission(gate="g", reason="r"),), family=0, alpha=0.05)
    assert verdict_page("tiny-9", empty).startswith("# tiny-9: ERROR")


def test_the_worst_comes_first():
    order = [Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.ERROR]
    made = judged(*(judgement(gate=v.name.lower(), verdict=v) for v in order))
    assert [row[1] for row in cells(verdict_table(made))[1:]] == ["fail", "error", "inconclusive", "pass"]
    assert re.findall(r'font-weight="bold">([A-Z]+)<', forest(made, title="x")) == [
        "FAIL", "ERROR", "INCONCLUSIVE", "PASS",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("alpha", "shown"), [(0.05, "95%"), (0.025, "97.5%"), (0.001, "99.9%"), (0.1, "90%"), (0.005, "99.5%")]
)
def test_the_confidence_is_not_rounded_up(alpha, shown):
    made = judged(judgement(), alpha=alpha)
    assert confidence(made) == shown
    assert f"one-sided {shown} confidence" in verdict_table(made)
    assert f"bounds at {shown};" in forest(made, title="x")


def test_what_is_unknown_is_said_and_not_shown_as_a_number():
    each = [
        judgement(slice="a", value=None, lower=None, upper=None, verdict=Verdict.ERROR),
        judgement(slice="b", lower=None),
        judgement(slice="c", value=0.0004, lower=0.0001, upper=0.0008),
    ]
    shown = cells(model_card(POLICY_, RELEASE, judged(*each)))
    assert ["a", "roc_auc", "limit", "not measurable", "none", "400", "none"] in shown
    assert ["b", "roc_auc", "limit", "0.7", "unbounded to 0.75", "400", "none"] in shown
    assert ["c", "roc_auc", "limit", "0.0004", "0.0001 to 0.0008", "400", "none"] in shown


def test_nothing_from_data_or_people_is_markup():
    evil = "<script>alert(1)</script> | **x** [a](http://b)\n# c\u202e"
    page = verdict_page(evil, judged(judgement(gate=evil, slice=evil, reason=evil)))
    assert "<" not in page
    assert "\u202e" not in page
    assert len(cells(page)) == 2
    assert [t.tag for t in PARSER.parse(page) if t.tag.startswith("h")] == ["h1", "h1"]
    assert [len(row) for row in cells(page)] == [5, 5]


def test_the_answers_are_shown_with_their_no():
    shown = cells(approvals(STORY.release("tiny-1")))
    assert [row[:3] for row in shown[1:3]] == [[ANA, "risk", "yes"], [BOB, "product", "yes"]]
    assert "**promoted**" in approvals(STORY.release("tiny-1"))
    assert [row[:3] for row in cells(approvals(STORY.release("tiny-4")))[1:]] == [[ANA, "risk", "no"]]
    assert "Nobody was asked yet" in approvals(waiting().release("tiny-1"))


def test_the_tags_lead_to_the_evidence():
    found = tags(RELEASE, JUDGED)
    assert found["headgate.package"] == RELEASE.step(Packaged).package
    assert found["headgate.verdict"] == "PASS"
    assert found["headgate.verdicts"] == "PASS: roc-auc, no-worse, latency-p99-ms"
    early = tags(take(Book(), "tiny-1", until="trained").release("tiny-1"), None)
    assert set(early) == {"headgate.release", "headgate.stage", "headgate.policy"}


def test_a_gates_tag_is_its_worst_slice():
    made = judged(judgement(), judgement(slice="a", verdict=Verdict.FAIL), judgement(slice="b"))
    assert tags(RELEASE, made)["headgate.verdicts"] == "FAIL: g"


# The forest plot.

EXTREME = [None, 0.0, -0.0, 1.0, 0.5, 5e-324, 1e-300, -1e308, 1e308, 1.7976931348623157e308, -3.5]
SVG = "{http://www.w3.org/2000/svg}"


def numbers(document: str) -> list[float]:
    tree = ET.fromstring(document)  # noqa: S314  # made one expression before
    names = ("x", "y", "x1", "x2", "y1", "y2", "width", "height")
    return [float(e.attrib[n]) for e in tree.iter() for n in names if n in e.attrib and "%" not in e.attrib[n]]


@pytest.mark.parametrize("value", EXTREME)
def test_the_plot_is_well_formed_for_extreme_values(value):
    for lower, upper, limit in product(EXTREME, EXTREME, [x for x in EXTREME if x is not None]):
        j = judgement(value=value, lower=lower, upper=upper, limit=limit, floor=limit, ceiling=None)
        assert all(map(math.isfinite, numbers(forest(judged(j), title="x"))))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.text(max_size=200), st.text(max_size=80), st.sampled_from(["&", "<", '"', "'", "a & b", "\u202e", "\ud800"]))
def test_the_plot_is_well_formed_for_any_text(text, gate, sign):
    j = judgement(gate=gate + sign * 70, slice=text + sign, reason=sign + text)
    made = forest(judged(j), title=text + sign)
    tree = ET.fromstring(made.encode())  # noqa: S314  # made one expression before
    assert tree.tag == f"{SVG}svg"
    assert {e.tag.removeprefix(SVG) for e in tree.iter()} <= {"svg", "rect", "text", "title", "line"}


def test_names_that_are_cut_are_cut_between_signs():
    # Every place where an entity could be cut in two.
    for length in range(100):
        made = forest(judged(judgement(gate="x" * length, slice="race=a & sex=b & age=c & x=d & y=e & z=f")), title="t")
        ET.fromstring(made)  # noqa: S314  # made one expression before


def test_the_plot_is_where_the_numbers_are():
    each = judged(judgement(value=0.7, lower=0.65, upper=0.75, limit=0.6, floor=0.6))
    tree = ET.fromstring(forest(each, title="x"))  # noqa: S314  # made one expression before
    bar, tick = tree.findall(f"{SVG}line")
    page, allowed, square = tree.findall(f"{SVG}rect")
    low, high, limit = float(bar.attrib["x1"]), float(bar.attrib["x2"]), float(tick.attrib["x1"])
    middle = float(square.attrib["x"]) + 4
    assert limit == float(allowed.attrib["x"]) < low < middle < high
    assert page.attrib["width"] == "100%"
    assert (middle - low) / (high - low) == pytest.approx(0.5, abs=0.01)
    assert (low - limit) / (high - limit) == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.parametrize(("floor", "ceiling"), [(0.1, None), (None, -0.1), (-0.1, 0.1), (None, None)])
def test_a_tick_stands_at_each_end_of_what_is_allowed(floor, ceiling):
    j = judgement(value=0.0, lower=-0.2, upper=0.2, limit=0.1, floor=floor, ceiling=ceiling)
    tree = ET.fromstring(forest(judged(j), title="x"))  # noqa: S314  # made one expression before
    bar, *shown = [float(line.attrib["x1"]) for line in tree.findall(f"{SVG}line")]
    width = float(tree.findall(f"{SVG}line")[0].attrib["x2"]) - bar
    wanted = [x for x in (floor, ceiling) if x is not None]
    assert [(x - bar) / width * 0.4 - 0.2 for x in shown] == pytest.approx(wanted, abs=0.001)


def test_a_judgement_says_where_its_value_may_be():
    allowed = {j.gate: (j.floor, j.ceiling) for j in JUDGED.judgements}
    assert allowed == {"roc-auc": (0.6, None), "no-worse": (-0.2, None), "latency-p99-ms": (None, 50.0)}


def test_unbounded_bars_run_to_the_edges():
    def bar(**changes: object) -> tuple[float, float]:
        tree = ET.fromstring(forest(judged(judgement(**changes)), title="x"))  # noqa: S314  # made before
        line = tree.findall(f"{SVG}line")[0]
        return float(line.attrib["x1"]), float(line.attrib["x2"])

    left, right = bar(lower=None, upper=None)
    low, high = bar()
    assert left < low < high < right
    nothing = forest(judged(judgement(value=None, lower=None, upper=None)), title="x")
    assert "<line" not in nothing, "what is not known is not drawn"


def test_the_plot_has_every_comparison_with_its_numbers_and_what_was_not_judged():
    each = [
        judgement(gate="alone"),
        judgement(gate="gap", slice="sex", form="gap", groups=("sex=f", "sex=m"), floor=-0.06, ceiling=0.06, value=0.01,
                  lower=None, upper=0.02),
        judgement(gate="by-group", slice="race=a", floor=None, ceiling=0.9),
        judgement(gate="by-group", slice="race=b", value=None, lower=None, upper=None, verdict=Verdict.ERROR),
        judgement(gate="scenarios", slice="twin", form="scenarios", floor=None, ceiling=0.0, value=0.0, lower=0.0,
                  upper=0.0),
    ]  # fmt: skip
    made = Judged(judgements=tuple(each), omitted=(Omission(gate="new", reason="r"),), family=5, alpha=0.05)
    tree = ET.fromstring(forest(made, title="x"))  # noqa: S314  # made one expression before
    texts = [t.text for t in tree.iter(f"{SVG}text") if t.text] + ["".join(t.itertext()) for t in tree.iter()]
    shown = "\n".join(texts)
    for part in (
        "alone", "0.7 (0.65 to 0.75)", "gap · sex", "0.01 (unbounded to 0.02)", "± 0.06", "race=a", "≤ 0.9", "race=b",
        "not measured", "scenarios · twin", "≤ 0", "new: not judged", "new: r",
    ):  # fmt: skip
        assert part in shown, part
    assert len(re.findall(r'font-weight="bold">([A-Z]+)<', forest(made, title="x"))) == len(each)


def test_the_comparisons_of_a_gate_share_a_scale_and_scenarios_do_not():
    def ticks(form: str) -> list[float]:
        wide = judgement(form=form, slice="race=wide", floor=0.6, value=0.5, lower=-3.0, upper=3.0)
        tree = ET.fromstring(forest(judged(wide, judgement(form=form, slice="race=b", floor=0.6)), title="x"))  # noqa: S314
        return [float(e.attrib["x1"]) for e in tree.findall(f"{SVG}line") if e.attrib["x1"] == e.attrib["x2"]]

    assert len(ticks("champion")) == len(ticks("scenarios")) == 2
    assert len(set(ticks("champion"))) == 1
    assert len(set(ticks("scenarios"))) == 2


def test_the_plot_can_stand_in_a_page_and_beside_it():
    made = forest(JUDGED, title="tiny-2")
    found = re.fullmatch(r"!\[[^\]]+\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", image(made))
    assert found is not None
    assert base64.b64decode(found[1]).decode() == made
    assert picture(PICTURE) in CARD


# The ledger in sentences.


BESIDE = {
    "monitored": {
        "version": 2, "alias": "champion", "look": 3, "plan": DIGEST, "incidents": DIGEST, "verdict": "PASS",
        "until": "2026-07-01T12:00:00Z", "due": "2026-07-01T13:00:00Z", "findings": DIGEST, "reference": None,
    },
    "alarmed": {
        "version": 2, "release": "tiny-2", "check": "ranks", "severity": "warning", "playbook": "slow",
        "reason": "it is below", "plan": DIGEST, "incidents": DIGEST, "findings": DIGEST, "respond_by": None,
    },
    "step_taken": {"alarm": 9, "step": 1, "of": "measure again", "who": "olga", "note": "measured"},
    "alarm_overdue": {"alarm": 9, "release": "tiny-2", "check": "ranks", "respond_by": "2026-07-01T13:00:00Z"},
    "drilled": {
        "release": "tiny-2", "incidents": DIGEST, "situation": "slow", "started": "2026-07-01T13:00:00Z",
        "steps": ["measure again"], "seconds": [7.0], "notes": ["fast"], "who": "olga",
    },
    "alarm_closed": {"alarm": 9, "check": "ranks", "who": None, "reason": "it is above again"},
    "rollback_started": {"alias": "champion", "old": 2, "new": 1, "reason": "complaints"},
    "rolled_back": {"alias": "champion", "old": 2, "new": 1, "started": 7},
    "incident": {"alias": "champion", "recorded": 2, "shown": None, "response": "freeze", "why": "deleted"},
    "incident_closed": {"incident": 9, "alias": "champion", "now": 2, "how": "put back"},
    "soaked": {"stage": "pilot", "minutes": 61.5, "requests": 2048},
    "reminded": {"missing": {"risk": 1}},
    "escalated": {"role": "risk", "to": "board"},
    "approval_withdrawn": {
        "answer": 3, "role": "risk", "person": ANA, "key": "k", "reason": "new facts", "statement": DIGEST,
        "signature": DIGEST, "signers": DIGEST,
    },
    "notified": {
        "about": 3, "event": "asked", "audience": "risk team", "channel": "env:RISK", "template": "plain",
        "outcome": "failed", "detail": "ConnectionError",
    },
}  # fmt: skip


def test_every_kind_of_entry_has_a_sentence_of_one_line():
    told = {}
    for entry in STORY.ledger.entries:
        record = record_of(entry.kind, dict(entry.body))
        told[entry.kind] = sentence(record)
    for entry in told_of_waivers().ledger.entries:
        told.setdefault(entry.kind, sentence(record_of(entry.kind, dict(entry.body))))
    told |= {kind: sentence(record_of(kind, body)) for kind, body in BESIDE.items()}
    assert set(RECORDS) - set(told) == {"promotion_undone"}
    assert all(text.isprintable() and text for text in told.values())
    assert len(set(told.values())) == len(told)
    undone = record_of("promotion_undone", {"alias": "champion", "now": None, "started": 3, "why": "no\nanswer\x1b"})
    assert sentence(undone) == "'champion' stays nothing: no answer\ufffd"


def test_the_sentences_say_what_happened():
    records = [record_of(e.kind, dict(e.body)) for e in STORY.ledger.entries]
    told = "\n".join(map(sentence, records))
    for part in (
        f"asked for by {REQUESTER}", "400 training rows", "data FAIL", "gates PASS; compared with version 1",
        "needs 2 × product, 1 × risk until", f"{BOB} agreed as product", f"{ANA} declined as risk: not before",
        "'champion' is to move from version 1 to version 2", "'champion' is version 2",
        "FAIL at validate: 1 finding(s), first 'rows (both)'",
    ):  # fmt: skip
        assert part in told, part
    assert any(isinstance(r, Rejected) for r in records)
    assert any(isinstance(r, Halted) for r in records)


def test_a_failed_release_has_a_card_too():
    book = take(Book(), "tiny-1", until="registered")
    book.say("tiny-1", evaluated(book, None, serving=None))
    page = model_card(POLICY_, book.release("tiny-1"), judged_of(book, "tiny-1"))
    assert "## Evaluation: ERROR" in page
    assert any(row[0].endswith("ERROR") and row[1] == "latency-p99-ms" and row[3] == "0" for row in cells(page))


# Waivers: never silent.


def told_of_waivers() -> Book:
    book = excused_book()
    revoke(book, 0)
    return book


def test_a_card_says_at_the_top_what_was_waived_by_whom_why_and_until_when():
    book = excused_book()
    found = judged_of(book, "tiny-1")
    page = model_card(parse(FAILING, "of the story"), book.release("tiny-1"), found)
    assert page.index("## Waivers") < page.index("## Uses") < page.index("## Evaluation")
    assert "## Evaluation: PASS with 1 waiver (roc-auc: FAIL)" in page
    above = page[: page.index("## Uses")]
    (failed,) = [j for j in found.judgements if j.verdict is not Verdict.PASS]
    for part in (escaped(failed.reason), ANA, BOB, "the new extract comes in autumn", "2026-08-30", "FAIL", "slot 0"):
        assert part in above, part
    assert ["FAIL", "roc-auc"] in [row[:2] for row in cells(page)], "the verdict stays what it is"
    assert "## Waivers" not in CARD


def test_the_verdict_page_and_the_tags_name_what_was_waived():
    book = excused_book()
    found, release = judged_of(book, "tiny-1"), book.release("tiny-1")
    page = verdict_page("tiny-1", found, release.waivers)
    assert page.startswith("# tiny-1: PASS with 1 waiver (roc-auc: FAIL)\n")
    assert page.index("## Waivers") < page.index("- **FAIL** roc-auc")
    shown = tags(release, found)
    assert shown["headgate.verdict"] == "PASS with 1 waiver (roc-auc: FAIL)"
    assert shown["headgate.verdicts"].startswith("FAIL: roc-auc")
    assert ANA in shown["headgate.waivers"]
    assert "2026-08-30" in shown["headgate.waivers"]
    assert "headgate.waivers" not in tags(RELEASE, JUDGED)


def test_a_waiver_that_does_not_count_is_told_too():
    page = verdict_page("tiny-9", judged(judgement(verdict=Verdict.FAIL)), (), {3: ("it ended *yesterday*",)})
    assert page.startswith("# tiny-9: FAIL\n")
    assert "The waiver of slot 3 does not count: it ended \\*yesterday\\*" in page


def test_a_reason_cannot_write_into_the_card():
    book = Book(FAILING)
    waive(book, waived(book, spoken(book, reason="# all **well** <b>|", slice="*all*", gate="roc-auc")))
    one = book.state.waivers[0]
    page = verdict_page("tiny-1", judged(judgement(gate="roc-auc", slice="*all*", verdict=Verdict.FAIL)), [one])
    tokens = PARSER.parse(page)
    assert len([t for t in tokens if t.type == "heading_open"]) == 2
    assert "<b>" not in page
    assert "all \\*\\*well\\*\\*" in page


def test_the_approvers_text_names_the_waivers():
    book = excused_book()
    said = next(e.body["statement"] for e in book.ledger.entries if e.kind == "approved")
    assert "roc-auc, up to FAIL, until 2026-08-30" in book.evidence[str(said)].decode()
    plain = next(e.body["statement"] for e in STORY.ledger.entries if e.kind == "approved")
    assert "waivers" not in STORY.evidence[str(plain)].decode()


def test_an_approval_of_a_release_without_its_waivers_does_not_count():
    book = excused_book()
    release = book.release("tiny-1")
    answer = release.answers[0].record
    text, signature = book.evidence[answer.statement], book.evidence[answer.signature]
    given = {"signers": signers(), "ledger": book.ledger, "at": time_at(60)}
    assert objections(text, signature, release=release, **given) == ()
    (reason,) = objections(text, signature, release=replace(release, waivers=()), **given)
    assert "list of waivers" in reason
