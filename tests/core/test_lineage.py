"""Lineage: valid by the official schemas and by our own, derived from the ledger alone, and drawn."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from stages_of import in_stage
from story_of import (
    ANA,
    BOB,
    DIGEST,
    MODEL,
    REQUESTER,
    SCHEMAS,
    Book,
    approve,
    intention,
    judged_of,
    registered,
    take,
    waiting,
    whole,
)
from waivers_of import approved_book as excused

from headgate.canonical import canonical, digest_of
from headgate.facets import OWN, PRODUCER, SPEC
from headgate.finding import DataReport, Finding
from headgate.lineage import events, packed, render
from headgate.pedigree import image, pedigree
from headgate.records import Evaluated, PromotionUndone, Registered, Validated
from headgate.verdict import Verdict
from headgate.watch import Escalated, Reminded

OFFICIAL = Path(__file__).parents[2].parent / "shared" / "vectors" / "openlineage"
official = pytest.mark.skipif(not OFFICIAL.is_dir(), reason="OpenLineage's own schemas are not here")
OURS = json.loads(SCHEMAS.read_text())


def undone() -> Book:
    """A promotion that was given up, and one that is open."""
    book = approve(waiting(), "tiny-1")
    started = book.say("tiny-1", intention(book, "tiny-1"))
    book.say("tiny-1", PromotionUndone(alias="champion", now=None, started=started, why="MLflow was away"))
    book.say("tiny-1", intention(book, "tiny-1"))
    return book


STORIES = {"whole": whole(), "waived": excused(), "undone": undone(), "waiting": waiting(), "staged": in_stage(3)}


def told(book: Book, **given: object) -> list[dict]:
    return [json.loads(line) for line in rendered(book, **given).splitlines()]


def rendered(book: Book, **given: object) -> bytes:
    return render(events(book.ledger, book.evidence.__getitem__, **given))


def facets(value: object) -> Iterator[tuple[str, dict]]:
    """All facets anywhere in an event, by their keys."""
    if isinstance(value, dict):
        for key, part in value.items():
            if isinstance(part, dict) and "_schemaURL" in part:
                yield key, part
            yield from facets(part)
    elif isinstance(value, list):
        for part in value:
            yield from facets(part)


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings(part)


@pytest.fixture(params=STORIES)
def book(request: pytest.FixtureRequest) -> Book:
    return STORIES[request.param]


@official
def test_every_event_is_valid_by_the_official_schema_and_every_standard_facet_by_its_own(book: Book) -> None:
    files = {path.stem: json.loads(path.read_text()) for path in (OFFICIAL / "facets").glob("*.json")}
    spec = json.loads((OFFICIAL / "OpenLineage.json").read_text())
    known = Registry().with_resources((s["$id"], Resource.from_contents(s)) for s in (*files.values(), spec))
    assert f"{SPEC}/2-0-2/OpenLineage.json" == spec["$id"]
    event = Draft202012Validator({"$ref": f"{spec['$id']}#/$defs/RunEvent"}, registry=known)
    seen = Counter()
    for each in told(book):
        event.validate(each)
        for key, facet in facets(each):
            if not key.startswith("headgate_"):
                address, _, name = facet["_schemaURL"].partition("#/$defs/")
                assert address == files[name]["$id"]
                assert list(files[name]["properties"]) == [key]
                Draft202012Validator({"$ref": address}, registry=known).validate({key: facet})
                seen[key] += 1
    assert {"parent", "version", "schema", "dataQualityAssertions", "test", "datasetType", "symlinks"} <= set(seen)


def test_our_facets_are_valid_by_the_schema_that_is_published_and_it_is_closed(book: Book) -> None:
    Draft202012Validator.check_schema(OURS)
    ours, seen = Draft202012Validator(OURS), set()
    assert OURS["$id"] == OWN
    for each in told(book):
        for key, facet in facets(each):
            if key.startswith("headgate_"):
                name = facet["_schemaURL"].removeprefix(f"{OWN}#/$defs/")
                assert OURS["properties"][key] == {"$ref": f"#/$defs/{name}"}
                ours.validate({key: facet})
                assert not ours.is_valid({key: {**facet, "more": 1}})
                seen.add(key)
    assert {"headgate_entry", "headgate_verdicts", "headgate_approvals"} <= seen


def test_addresses_times_and_names_are_what_the_standard_asks_for(book: Book) -> None:
    for each in told(book):
        datetime.fromisoformat(each["eventTime"])
        assert re.fullmatch(
            r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", each["run"]["runId"]
        )
        for _, facet in facets(each):
            assert facet["_producer"] == each["producer"] == PRODUCER
            for address in (facet["_schemaURL"], each["schemaURL"]):
                assert urlsplit(address).scheme in ("https", "urn")
                assert address.startswith((f"{SPEC}/", f"{OWN}#")), "nothing that pretends to be a page"
        for side in ("inputs", "outputs"):
            names = [(found["namespace"], found["name"]) for found in each[side]]
            assert len(set(names)) == len(names)


def test_every_run_starts_once_and_ends_at_most_once_and_has_its_parent(book: Book) -> None:
    runs: dict[str, list[dict]] = {}
    for each in told(book):
        runs.setdefault(each["run"]["runId"], []).append(each)
    releases = {key for key, (first, *_) in runs.items() if first["job"]["name"] == f"{MODEL}.release"}
    assert len(releases) == len(book.state.releases)
    for key, (first, *rest) in runs.items():
        assert first["eventType"] == "START"
        assert [e["eventType"] in ("COMPLETE", "FAIL", "ABORT") for e in rest] in ([], [True])
        assert {e["job"]["name"] for e in rest} <= {first["job"]["name"]}
        assert all(first["eventTime"] <= e["eventTime"] for e in rest)
        parents = {e["run"]["facets"].get("parent", {}).get("run", {}).get("runId") for e in (first, *rest)}
        assert parents <= ({None} if key in releases else releases)
    open_ones = [r for r in book.state.releases.values() if r.is_open]
    unended = [key for key, each in runs.items() if len(each) == 1]
    assert len(unended) == len(open_ones) + sum(r.started is not None for r in open_ones)


def test_there_is_nothing_of_a_step_that_was_not_recorded_and_something_of_each_that_was(book: Book) -> None:
    of_releases = {e.seq: e for e in book.ledger.entries if e.release is not None}
    named = [each["run"]["facets"]["headgate_entry"] for each in told(book)]
    assert {said["slot"] for said in named} == set(of_releases)
    for said in named:
        assert said["entry"] == digest_of(book.ledger.stored[said["slot"]])
    for upto in STEPS:
        kinds = {each["job"]["name"].rpartition(".")[2] for each in told(take(Book(), "tiny-1", until=upto))}
        assert kinds == {"release", *JOBS[: STEPS.index(upto)]}


STEPS = ("requested", "snapshot", "validated", "trained", "registered", "evaluated", "packaged", "asked")
JOBS = ("snapshot", "validate", "train", "register", "evaluate", "package", "approve")


def test_it_is_the_same_to_the_byte_and_a_longer_ledger_only_adds(book: Book) -> None:
    everything = rendered(book)
    assert everything == rendered(book.copy())
    assert everything.splitlines() == [canonical(json.loads(line)) for line in everything.splitlines()]
    for size in range(book.ledger.size + 1):
        shorter = Book(book.policy_file, book.ledger.at(size))
        shorter.evidence = book.evidence
        before = rendered(shorter)
        assert everything.startswith(before)
        assert before + rendered(book, since=size) == everything
        assert before == rendered(book, until=size)


def test_two_homes_with_a_release_of_the_same_name_do_not_share_runs() -> None:
    book = take(Book(), "tiny-1")
    other = type(book.ledger)(MODEL)
    for entry, data in zip(book.ledger.entries, book.ledger.stored, strict=True):
        other = other.grown(entry.model_copy(update={"nonce": f"other-{entry.seq:06}"}), data)
    here, there = (list(events(x, book.evidence.__getitem__)) for x in (book.ledger, other))
    assert not {e["run"]["runId"] for e in here} & {e["run"]["runId"] for e in there}


def find(book: Book, job: str, kind: str = "COMPLETE", release: int = 0) -> dict:
    found = [
        e for e in told(book) if e["job"]["name"] == f"{MODEL}.release{job and '.'}{job}" and e["eventType"] == kind
    ]
    return found[release]


def versions(each: dict, side: str) -> dict[str, str]:
    return {d["name"]: d["facets"].get("version", {}).get("datasetVersion") for d in each[side]}


def test_the_chain_from_rows_to_traffic_is_connected_by_full_digests() -> None:
    book = whole()
    files = digest_of(canonical(book.release("tiny-2").step(Registered).files))
    chain = [find(book, job, release=1) for job in ("snapshot", "train", "register", "evaluate", "package", "promote")]
    for before, after in pairwise(chain):
        out, into = versions(before, "outputs"), versions(after, "inputs")
        assert set(out.items()) & set(into.items()), f"{before['job']['name']} -> {after['job']['name']}"
    assert versions(chain[0], "inputs") == {"x.csv": DIGEST}
    assert versions(chain[2], "outputs") == {"tiny/2": files}
    assert versions(chain[3], "inputs") == {"tiny.evaluation": DIGEST, "tiny/2": files, "tiny/1": files}
    assert versions(chain[5], "outputs") == {"tiny@champion": files, "tiny.traffic.broad": None}
    (made,) = chain[2]["outputs"]
    assert (made["namespace"], made["facets"]["datasetType"]["datasetType"]) == ("mlflow", "MODEL")
    alias, traffic = chain[5]["outputs"]
    assert (traffic["namespace"], traffic["facets"]["datasetType"]["datasetType"]) == ("headgate", "TRAFFIC")
    assert traffic["facets"]["documentation"]["description"] == "everybody"
    assert alias["facets"]["lifecycleStateChange"]["lifecycleStateChange"] == "OVERWRITE"
    promoted = chain[5]["run"]["facets"]["headgate_promotion"]
    assert (promoted["alias"], promoted["old"], promoted["new"], promoted["outcome"]) == ("champion", 1, 2, "promoted")


def test_tables_have_columns_and_counts_and_what_the_data_gate_found() -> None:
    read = {d["name"]: d for d in find(whole(), "validate")["inputs"]}
    for name in ("tiny.training", "tiny.evaluation"):
        fields = read[name]["facets"]["schema"]["fields"]
        assert [(f["name"], f["ordinal_position"]) for f in fields] == [("row", 1), ("y", 2), ("sex", 3)]
        counted = read[name]["inputFacets"]["inputStatistics"]
        assert (counted["rowCount"], counted["size"]) == (400, 9)
        (found,) = read[name]["inputFacets"]["dataQualityAssertions"]["assertions"]
        assert (found["assertion"], found["success"], found["severity"]) == ("rows", True, "error")


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.ERROR, Verdict.FAIL])
def test_anything_but_a_pass_is_no_success_and_stands_at_its_own_table(verdict: Verdict) -> None:
    book = take(Book(), "tiny-1", until="snapshot")
    report = DataReport(
        findings=(
            Finding(check="ids", table="training", column="row", verdict=verdict, reason="3 of 400", rows=3),
            Finding(check="size", table="evaluation", verdict=verdict, reason="few", severity="warning"),
        )
    )
    book.say("tiny-1", Validated(verdict=report.verdict, report=book.keep(report.model_dump(mode="json"))))
    failed = find(book, "validate", "FAIL")
    assert verdict.name in failed["run"]["facets"]["errorMessage"]["message"]
    said = {d["name"]: d["inputFacets"]["dataQualityAssertions"]["assertions"] for d in failed["inputs"]}
    ((first,), (second,)) = said["tiny.training"], said["tiny.evaluation"]
    assert (first["success"], first["column"], first["params"]["rows"]) == (False, "row", 3)
    assert (second["success"], second["severity"]) == (False, "warn")


def test_the_gates_are_tests_and_their_arithmetic_is_whole() -> None:
    book = whole()
    judged, facts = judged_of(book, "tiny-1"), find(book, "evaluate")["run"]["facets"]
    tests = facts["test"]["tests"]
    assert Counter(t["status"] for t in tests) == {"pass": len(judged.judgements), "skip": len(judged.omitted)}
    said = facts["headgate_verdicts"]
    assert (said["verdict"], said["standing"], said["evidence"]) == (
        "PASS", "PASS", book.release("tiny-1").step(Evaluated).judged,
    )  # fmt: skip
    assert [(c["gate"], c["value"], c["lower"]) for c in said["comparisons"]] == [
        (j.gate, j.value, j.lower) for j in judged.judgements
    ]


def test_a_waived_gate_stays_failed_and_the_waiver_names_its_people() -> None:
    book = excused()
    facts = find(book, "evaluate")["run"]["facets"]
    (failed,) = [t for t in facts["test"]["tests"] if t["status"] == "fail"]
    assert failed["severity"] == "warn"
    said = facts["headgate_verdicts"]
    assert (said["verdict"], said["standing"]) == ("FAIL", "PASS")
    assert [p["person"] for p in said["waivers"][0]["people"]] == [ANA, BOB]


def test_answers_name_person_role_and_key_and_a_no_is_a_failure() -> None:
    book = whole()
    asked = find(book, "approve")["run"]["facets"]["headgate_approvals"]
    assert (asked["quorum"], asked["answers"]) == ({"product": 2, "risk": 1}, [])
    relied_on = find(book, "promote")["run"]["facets"]["headgate_approvals"]["answers"]
    assert [(a["role"], a["person"], a["agreed"]) for a in relied_on][:2] == [
        ("risk", ANA, True),
        ("product", BOB, True),
    ]
    assert all(a["key"].startswith("SHA256:") for a in relied_on)
    declined = find(book, "answer", "FAIL")["run"]["facets"]
    assert "not before the summer" in declined["errorMessage"]["message"]
    (said,) = declined["headgate_approvals"]["answers"]
    assert (said["agreed"], said["reason"]) == (False, "not before the summer")


def test_a_halt_fails_the_release_and_says_why() -> None:
    ended = find(whole(), "", "FAIL")
    assert ended["run"]["facets"]["errorMessage"]["message"] == "halted at validate: FAIL rows (both): as found"
    assert find(whole(), "halt")["eventType"] == "COMPLETE"


def test_a_promotion_that_is_given_up_is_aborted_and_the_next_one_is_another_run() -> None:
    moves = [e for e in told(undone()) if e["job"]["name"] == f"{MODEL}.release.promote"]
    assert [e["eventType"] for e in moves] == ["START", "ABORT", "START"]
    assert moves[0]["run"]["runId"] == moves[1]["run"]["runId"] != moves[2]["run"]["runId"]
    assert moves[1]["run"]["facets"]["headgate_promotion"]["why"] == "MLflow was away"


def test_no_text_of_the_evidence_but_verdicts_and_reasons_goes_out(book: Book) -> None:
    shown = set(strings(told(book)))
    tallied = {digest_of(data) for data in book.evidence.values()}
    assert not any(text.startswith(("-----BEGIN", "ssh-")) for text in shown)
    assert {text for text in shown if text.startswith("sha256:")} <= tallied | {
        DIGEST, digest_of(canonical({"MLmodel": DIGEST})), *map(digest_of, book.ledger.stored),
    }  # fmt: skip


def test_evidence_that_is_gone_is_an_error_and_never_half_a_story() -> None:
    book = whole()
    del book.evidence[book.release("tiny-1").step(Evaluated).judged]
    with pytest.raises(KeyError):
        told(book)


def test_a_package_ends_before_its_packaging_and_holds_one_release_only() -> None:
    book = whole()
    for name in ("tiny-1", "tiny-2"):
        lines = [json.loads(x) for x in packed(book.ledger, book.evidence.__getitem__, name).splitlines()]
        assert lines == told(book, release=name)[: len(lines)]
        assert lines[-1]["job"]["name"] == f"{MODEL}.release.evaluate"


# The picture.


def drawn(book: Book, name: str = "tiny-1") -> str:
    release = book.release(name)
    judged = judged_of(book, name) if release.find(Evaluated) else None
    return pedigree(MODEL, release, judged)


def texts(svg: str) -> list[str]:
    return [e.text or "" for e in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314 - our own


@pytest.mark.parametrize("until", STEPS)
def test_the_picture_can_be_drawn_after_every_step_and_is_one_file(until: str) -> None:
    svg = drawn(take(Book(), "tiny-1", until=until))
    assert svg == drawn(take(Book(), "tiny-1", until=until))
    assert "href" not in svg
    assert "not moved yet" in texts(svg)
    assert len([1 for _ in re.finditer('stroke-dasharray="4 3"', svg)]) >= 2, "what has not happened is dashed"


def test_the_picture_shows_who_answered_and_where_the_alias_went() -> None:
    first, second, refused, declined = (texts(drawn(whole(), f"tiny-{n}")) for n in (1, 2, 3, 4))
    assert {"training rows", "400 rows", "version 1", "gates PASS", ANA, BOB, "risk", "champion", "none → 1"} <= set(
        first
    )
    assert {"1 → 2", "version 1", "compared with"} <= set(second)
    assert {"data FAIL", "halted", "at validate", "not reached"} <= set(refused)
    assert {"declined", "halted", "at approve"} <= set(declined)
    assert f"{REQUESTER}" in " ".join(first)


def test_what_people_write_stays_text_in_the_picture() -> None:
    book = take(Book(), "tiny-1", until="validated")
    book.tell("tiny-1", "trained", {
        "estimator": DIGEST, "environment": DIGEST, "format": "skops", "features": ["</text><script>"],
        "seconds": 1.0,
    })  # fmt: skip
    book.say("tiny-1", registered(book, 1, run="<b>", source="models:/m-</title>&"))
    svg = drawn(book)
    ET.fromstring(svg)  # noqa: S314 - our own
    assert "<b>" not in svg
    assert image(svg).startswith("![")


def test_who_is_waited_for_is_no_lineage_and_stops_none() -> None:
    book = waiting()
    before = rendered(book)
    book.say("tiny-1", Reminded(missing={"risk": 1, "product": 2}))
    book.say("tiny-1", Escalated(role="risk", to="product"))
    assert rendered(book) == before


def test_a_rollout_is_told_stage_by_stage_and_ends_with_the_last() -> None:
    book = in_stage(3)
    told_of = [
        (e["job"]["name"].removeprefix("tiny.release"), e["eventType"], [d["name"] for d in e["outputs"]])
        for e in told(book)
        if e["eventType"] == "COMPLETE" and (e["job"]["name"].endswith(("promote", "soak", "release")))
    ]
    moved = [(f"tiny@{alias}", f"tiny.traffic.{name}") for name, alias in
             (("internal", "internal"), ("pilot", "pilot"), ("broad", "champion"))]  # fmt: skip
    assert told_of == [
        (".promote", "COMPLETE", list(moved[0])),
        (".soak", "COMPLETE", []),
        (".promote", "COMPLETE", list(moved[1])),
        (".soak", "COMPLETE", []),
        (".promote", "COMPLETE", list(moved[2])),
        ("", "COMPLETE", []),
    ]
    soaked = [e for e in told(book) if e["job"]["name"].endswith("soak") and e["eventType"] == "COMPLETE"]
    (served,) = [d for d in soaked[1]["inputs"] if d["name"] == "tiny.traffic.pilot"]
    assert served["inputFacets"]["inputStatistics"]["rowCount"] == 20
    assert served["facets"]["documentation"]["description"] == "5% of everybody"
    runs = [e["run"]["runId"] for e in told(book) if e["eventType"] == "START"]
    assert len(set(runs)) == len(runs), "two questions and two soaks are runs of their own"
