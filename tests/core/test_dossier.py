"""The documents of a package: complete, honest about what is missing, valid where a format is standard, made again."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from story_of import POLICY, Book, files_of, judged_of, take, tallied
from test_verification import package, repacked

from headgate.calibration import NUMBERS, Known, known_page
from headgate.canonical import digest_of
from headgate.crosswalk import TABLE, Crosswalk
from headgate.errors import BadInput, Tampered
from headgate.facets import SCHEMA
from headgate.front_matter import front_matter
from headgate.judgement import Judged
from headgate.lineage import FACETS
from headgate.materials import MODEL_BILL, SOFTWARE_BILL, software_bill
from headgate.metrics import BINARY, RESOURCES
from headgate.plain_summary import plain_summary
from headgate.plans import INCIDENTS, MONITORING, IncidentPlan, MonitoringPlan
from headgate.policy_file import parse
from headgate.records import Evaluated, Requested, Snapshot, Trained
from headgate.stewardship import QUESTIONS, Question
from headgate.verdict import Verdict
from headgate.verification import verify

STATED = b"""
[datasheet]
purpose = "To try <b>things</b>."

[impact]
people = ["those in the table"]
benefits = ["they are tried"]
oversight = "Somebody looks at each."
redress = "Write to the front desk."
assessed_by = "the board"
assessed_on = 2026-05-01
[[impact.harm]]
what = "A slight nuisance."
who = "everybody"
severity = "low"
likelihood = "likely"
mitigation = "None is needed."
owner = "modellers"
[[impact.harm]]
what = "A grave wrong | to f."
who = "f"
severity = "severe"
likelihood = "rare"
mitigation = "The gate."
owner = "the board"
gate = "no-worse"

[monitoring]
owner = "modellers"
every_minutes = 60
label_delay_days = 7.0
min_rows = 100
[[monitoring.check]]
name = "ranks"
watches = "performance"
of = ["roc_auc"]
slices = ["sex"]
min = 0.6
window_hours = 24.0
severity = "incident"
playbook = "gate_failed"

[incidents]
owner = "modellers"
contact = "the front desk"
respond_hours = 2.0
tell = ["the board"]
drill_days = 90
"""
FULL = POLICY.replace(b'purpose = "Shows how a release goes."', b'purpose = "Shows how."\nlicence = "mit"') + STATED
BOOK, BARE = take(Book(FULL), "tiny-1", until="evaluated"), take(Book(), "tiny-1", until="evaluated")
FILES, PLAIN = files_of(BOOK, "tiny-1"), files_of(BARE, "tiny-1")
RELEASE, JUDGED = BOOK.release("tiny-1"), judged_of(BOOK, "tiny-1")
DOCUMENTS = (
    "VERIFY.md", "card.md", "crosswalk.json", "crosswalk.md", "datasheet.md", "gate-calibration.md",
    "impact-assessment.md", "incident-plan.json", "lineage.svg", "mlbom.cdx.json", "monitoring-plan.json",
    "summary.md", "verdicts.svg", "weakest-slices.json",
)  # fmt: skip


def text(name: str, files: dict[str, bytes] = FILES) -> str:
    return files[name].decode()


# Made again.


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_doctored_document_is_found_by_its_name(name: str) -> None:
    files = package(take(Book(FULL), "tiny-1"), people=())
    again = repacked(files)
    assert verify(again).anomalies == []
    data = files[name].replace(b"tiny", b"tidy") if b"tiny" in files[name] else files[name] + b" "
    doctored = repacked(files, **{name.replace(".", "__"): data})
    if name.startswith("crosswalk"):  # which `repacked` makes again
        doctored = {**doctored, name: data, "manifest.json": manifest_with(doctored, name, data)}
    found = verify(doctored).anomalies
    assert [a.name for a in found] == ["bad_document"]
    assert found[0].got.startswith(f"{name} with sha256:")


def test_the_pages_calibration_is_the_one_of_the_numbers_beside_it() -> None:
    files = package(take(Book(FULL), "tiny-1"), people=())
    known = Known.from_bytes(files[NUMBERS])
    assert known.best is not None
    rosy = known.model_copy(update={"others": 0, "unsound": 0})
    (found,) = verify(repacked(files, **{"gate-calibration__json": rosy.to_bytes()})).anomalies
    assert found.got.startswith("gate-calibration.md with sha256:")
    other = known.model_copy(update={"best": known.best.model_copy(update={"policy": digest_of(b"another")})})
    again = known_page(other).encode()
    changed = repacked(files, **{"gate-calibration__json": other.to_bytes(), "gate-calibration__md": again})
    (found,) = verify(changed).anomalies
    assert (found.name, "one of the policy" in found.got) == ("bad_document", True)
    for odd in (b"", b"{}", known.to_bytes() + b" ", known.best.to_bytes()):
        assert [a.name for a in verify(repacked(files, **{"gate-calibration__json": odd})).anomalies] == [
            "bad_document"
        ]
    del files[NUMBERS]
    assert [a.name for a in verify(repacked(files)).anomalies] == ["bad_document"]


def test_a_page_that_says_nothing_was_measured_needs_numbers_that_say_so_too() -> None:
    files, none = package(take(Book(FULL), "tiny-1"), people=()), Known(best=None, unreadable=("it is <b>gone</b>",))
    told = known_page(none).encode()
    assert b"Not measured" in told
    assert b"<b>" not in told
    both = {"gate-calibration__json": none.to_bytes(), "gate-calibration__md": told}
    assert verify(repacked(files, **both)).anomalies == []
    alone = verify(repacked(files, **{"gate-calibration__md": told})).anomalies
    assert [a.name for a in alone] == ["bad_document"]


def test_the_schema_is_the_one_that_the_facets_were_written_by() -> None:
    files = package(take(Book(FULL), "tiny-1"), people=())
    assert digest_of(files[FACETS]) == SCHEMA, "a change of the schema needs a new number in PRODUCER"
    loose = files[FACETS].replace(b'"required"', b'"demanded"', 1)
    (found,) = verify(repacked(files, **{FACETS.replace(".", "__"): loose})).anomalies
    assert (found.name, found.got.startswith(f"{FACETS} with sha256:")) == ("bad_document", True)


def manifest_with(files: dict[str, bytes], name: str, data: bytes) -> bytes:
    from headgate.package import manifest

    return manifest({n: data if n == name else d for n, d in files.items() if n != "manifest.json"})


def test_what_was_compared_is_counted() -> None:
    assert verify(package()).checked["documents"] == len(DOCUMENTS)
    assert set(DOCUMENTS) <= set(FILES)


# The card.


def test_hugging_faces_own_reader_reads_the_card_and_keeps_groups_apart() -> None:
    from huggingface_hub import ModelCard

    grouped = POLICY.replace(b"min = 0.6\n", b'min = 0.6\nslices = "each"\n', 1)
    book = take(Book(grouped), "tiny-1", until="evaluated")
    card = ModelCard(text("card.md", files_of(book, "tiny-1")), ignore_metadata_errors=False)
    assert (card.data.library_name, card.data.license, card.data.pipeline_tag) == (
        "sklearn", "unknown", "tabular-classification",
    )  # fmt: skip
    results = card.data.eval_results
    by_group = {r.dataset_config: r.metric_value for r in results if r.metric_type == "roc_auc"}
    judged = {j.slice: j for j in judged_of(book, "tiny-1").judgements if j.metric == "roc_auc"}
    assert by_group == {name: j.value for name, j in judged.items()}
    assert len(by_group) == 3
    rows = book.release("tiny-1").step(Snapshot).evaluation
    assert {r.dataset_revision for r in results} == {rows.digest}
    assert {r.dataset_split for r in results} == {"evaluation"}
    assert "latency_p99_ms" in {r.metric_type for r in results}
    assert ModelCard(text("card.md")).data.license == "mit"


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_the_front_matter_is_yaml_whatever_a_group_is_called(label: str) -> None:
    import yaml

    j = JUDGED.judgements[0].model_copy(update={"slice": label})
    told = front_matter(parse(FULL, "x"), RELEASE, Judged(judgements=(j,), family=1, alpha=0.05))
    (found,) = yaml.safe_load(told.strip().removeprefix("---").removesuffix("---"))["model-index"][0]["results"]
    assert found["dataset"]["config"] == label
    assert found["metrics"][0]["args"]["evidence"] == j.evidence


def test_a_release_of_which_nothing_was_measured_has_a_card_that_can_be_read() -> None:
    from huggingface_hub import ModelCard

    told = front_matter(parse(FULL, "x"), RELEASE, Judged(judgements=(), family=0, alpha=0.05))
    assert ModelCard(told + "text").data.to_dict()["tags"][-1] == "verdict-error"


def test_every_row_of_numbers_names_its_evidence_and_the_digests_stand_below() -> None:
    card, stands = text("card.md"), RELEASE.step(Evaluated)
    section = card[card.index("### Results\n") : card.index("## Environmental")]
    rows = [line for line in section.splitlines() if re.match(r"\| (PASS|FAIL|ERROR|INCONCLUSIVE|sex=)", line)]
    assert len(rows) >= len(JUDGED.judgements)
    short = {digest.removeprefix("sha256:")[:12] for digest in (stands.tally, stands.serving)}
    assert all(row.rstrip(" |").rsplit(" ", 1)[1] in short for row in rows)
    for digest in (
        stands.tally, stands.serving, stands.judged, RELEASE.step(Requested).policy, RELEASE.step(Trained).environment,
    ):  # fmt: skip
        assert f"`{digest}`" in card


def test_the_card_has_the_sections_of_the_template_and_every_group_with_bounds() -> None:
    card = text("card.md")
    headings = re.findall(r"^## ([^:\n]+)", card, re.MULTILINE)
    assert headings == [
        "Model Details", "Uses", "Bias, Risks, and Limitations", "How to Get Started with the Model",
        "Training Details", "Evaluation", "Environmental Impact", "Evidence", "More Information", "Model Card Contact",
        "Every group", "Weakest slices (exploratory)",
    ]  # fmt: skip
    for label in ("all", "sex=f", "sex=m"):
        assert re.search(rf"^\| {label} \| [\d,]+ \| roc\\_auc \| 0\.\d+ \| 0\.\d+ to 0\.\d+ \| \d+ \|$", card, re.M)
    grave, slight = card.index("A grave wrong \\| to f."), card.index("A slight nuisance.")
    assert grave < slight, "the gravest first"
    assert "No impact assessment was stated" in text("card.md", PLAIN)


# Bills of materials.


@pytest.mark.parametrize("files", [FILES, PLAIN], ids=["stated", "bare"])
@pytest.mark.parametrize("name", [MODEL_BILL, SOFTWARE_BILL])
def test_cyclonedx_own_validator_accepts_both_bills(files: dict[str, bytes], name: str) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text(name, files)) is None
    broken = text(name, files).replace('"type":"library"', '"type":"magic"').replace('"type":"data"', '"type":"magic"')
    assert validator.validate_str(broken) is not None


def test_the_model_bill_has_the_card_the_data_and_every_file_with_its_hash() -> None:
    told, rows = json.loads(FILES[MODEL_BILL]), RELEASE.step(Snapshot)
    model = told["metadata"]["component"]
    hashes = {c["bom-ref"]: c["hashes"][0]["content"] for c in told["components"]}
    assert hashes["data:training"] == rows.training.digest.removeprefix("sha256:")
    assert set(hashes) == {"data:training", "data:evaluation", "file:MLmodel"}
    measured = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert [m["type"] for m in measured] == ["roc_auc", "latency_p99_ms"]
    assert all({"lowerBound", "upperBound"} == set(m["confidenceInterval"]) for m in measured)
    named = {p["name"].rpartition(":")[2]: p["value"] for p in model["modelCard"]["properties"]}
    assert named["tally"] == RELEASE.step(Evaluated).tally
    assert model["modelCard"]["considerations"]["fairnessAssessments"][1]["groupAtRisk"] == "f"


def test_the_software_bill_depends_on_the_packages_and_not_on_their_order_or_spelling() -> None:
    one = software_bill([("NumPy", "2.0"), ("ruamel.yaml", "1"), ("a_b", "1+x")], "3.11.2")
    assert software_bill([("a-b", "1+x"), ("ruamel-yaml", "1"), ("numpy", "2.0"), ("NUMPY", "2.0")], "3.11.2") == one
    assert software_bill([("numpy", "2.1")], "3.11.2") != software_bill([("numpy", "2.0")], "3.11.2")
    assert next(c["purl"] for c in json.loads(one)["components"]) == "pkg:pypi/a-b@1%2Bx"


# What people state.


def test_an_unanswered_question_is_printed_as_such_and_an_answer_as_it_is() -> None:
    sheet, questions = text("datasheet.md"), [key for asked in QUESTIONS.values() for key in asked]
    assert sheet.count("**Not stated in the policy.**") == len(questions) - 1
    assert f"{len(questions) - 1} of {len(questions)} questions are not answered" in sheet
    assert "To try &lt;b&gt;things&lt;/b&gt;." in sheet
    assert set(questions) == set(Question.__args__)
    rows = RELEASE.step(Snapshot)
    assert rows.training.digest in sheet
    assert "| sex | may be a feature | training and evaluation |" in sheet
    assert "| y | label |" in sheet


def test_an_assessment_that_is_missing_is_missing_loudly() -> None:
    assert text("impact-assessment.md", PLAIN).splitlines()[2].startswith("**NO IMPACT ASSESSMENT WAS STATED.**")
    page = text("impact-assessment.md")
    assert "NO IMPACT" not in page
    assert page.index("A grave wrong") < page.index("A slight nuisance")
    assert "1 of 2 harms are guarded by no gate" in page
    assert "Assessed by the board on 2026-05-01." in page


def test_the_plans_are_read_back_as_the_policy_states_them() -> None:
    policy = parse(FULL, "x")
    watch, act = MonitoringPlan.from_bytes(FILES[MONITORING]), IncidentPlan.from_bytes(FILES[INCIDENTS])
    assert (watch.monitoring, watch.stated) == (policy.monitoring, True)
    assert (watch.features, watch.tally) == (RELEASE.step(Trained).features, RELEASE.step(Evaluated).tally)
    assert (act.incidents, act.stated, act.guard) == (policy.incidents, True, policy.guard)
    assert {s.name: s.steps for s in act.situations} == dict(policy.playbook)
    assert {s.name: s.gates for s in act.situations}["slow"] == ("latency-p99-ms",)
    assert {s.name: s.checks for s in act.situations}["gate_failed"] == ("ranks",)
    bare = MonitoringPlan.from_bytes(PLAIN[MONITORING])
    assert (bare.stated, bare.monitoring) == (False, None)


@pytest.mark.parametrize("kind", [MonitoringPlan, IncidentPlan])
def test_what_is_no_plan_is_refused(kind: type[MonitoringPlan]) -> None:
    data = FILES[MONITORING if kind is MonitoringPlan else INCIDENTS]
    for odd in (b"{}", b"", data + b" ", data.replace(b"/v1", b"/v2"), data.replace(b'"stated":true', b'"stated":1')):
        with pytest.raises((BadInput, Tampered)):
            kind.from_bytes(odd)


# In plain words.

JARGON = (
    *BINARY, *RESOURCES, "roc", "auc", "alpha", "confidence", "interval", "metric", "slice", "threshold", "candidate",
    "champion", "verdict", "holm", "inconclusive", "policy", "gate",
)  # fmt: skip


def test_the_summary_uses_no_word_of_the_trade_and_no_decimal() -> None:
    for page in (text("summary.md"), text("summary.md", PLAIN)):
        words = set(re.findall(r"[a-z_]+", page.lower()))
        assert words & set(JARGON) == set()
        assert re.search(r"\d\.\d", page) is None
        assert re.search(r"Of 100 cases it is right in about \*\*\d+\*\*", page)
    assert re.search(r"true answer is no, it says yes for about \d+\. .*true answer is yes, it says no for", page)
    shares = re.findall(r"- sex: ([fm]): about (\d+)", text("summary.md"))
    assert [name for name, _ in shares] == ["f", "m"]


def test_the_summary_says_what_is_not_known_and_who_was_overruled() -> None:
    open_one = JUDGED.judgements[0].model_copy(update={"verdict": Verdict.INCONCLUSIVE, "slice": "sex=f"})
    judged = JUDGED.model_copy(update={"judgements": (open_one, *JUDGED.judgements[1:])})
    policy = parse(FULL.replace(b"min_slice_rows = 30", b"min_slice_rows = 300"), "x")
    page = plain_summary(policy, RELEASE, judged, tallied(champion=False))
    assert "**1 was left open, because there were too few cases to tell** (for sex: f)." in page
    assert "Whether 1 demand is met." in page
    assert "How well it works for groups with few cases: sex: f; sex: m." in page
    assert "- sex:" not in page, "a group that is too small is not told"
    missing = judged.model_copy(update={"judgements": (open_one.model_copy(update={"verdict": Verdict.ERROR}),)})
    said = plain_summary(policy, RELEASE, missing, tallied(champion=False))
    assert "**1 was not examined, because something was missing**" in said


def test_the_summary_says_where_nobody_signs() -> None:
    clicked = parse(FULL.replace(b"expires_hours = 48", b'expires_hours = 48\nui_click = ["risk"]'), "x")
    page = plain_summary(clicked, RELEASE, JUDGED, tallied(champion=False))
    assert "for risk by a click that nobody signs" in page
    assert "click" not in text("summary.md")


# The crosswalk.


def test_the_crosswalk_names_files_of_this_package_with_their_digests_and_promises_nothing() -> None:
    found = Crosswalk.from_bytes(FILES[TABLE])
    for row in found.rows:
        assert {name: digest_of(FILES[name]) if name in FILES else None for name in row.files} == row.files
    assert {row.framework for row in found.rows} == {
        "EU AI Act, Annex IV", "NIST AI RMF 1.0", "SR 26-2", "ISO/IEC 42001:2023, Annex A",
    }  # fmt: skip
    page = text("crosswalk.md")
    assert "help to produce the evidence" in page
    assert not re.search(r"complian|conform|fulfils|certif", page, re.IGNORECASE)
    assert "challenges.json (not in this package)" in page
    assert f"`card.md`: `{digest_of(FILES['card.md'])}`" in page


def test_what_people_write_stays_text_in_every_page() -> None:
    evil = "<script>x</script> | **b** [a](http://c)\\n# h"
    book = take(Book(FULL.replace(b"the front desk", evil.encode())), "tiny-1", until="evaluated")
    for name, data in files_of(book, "tiny-1").items():
        if name.endswith(".md"):
            assert b"<script>" not in data, name
