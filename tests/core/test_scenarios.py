"""The file of scenarios: what is refused, where it stands, and whether it fits the features."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.errors import BadInput
from headgate.scenario_file import MAX_BYTES, misfits, parse
from headgate.scenarios import MAX_CASES, Scenarios

FILE = Path(__file__).parents[2] / "expectations" / "employment" / "scenarios.toml"
DEMO = parse(FILE.read_bytes(), "demo")
ABOUT = {"why": "w", "asked_by": "a"}
SAMPLE = {**ABOUT, "rows": 100, "max_share": 0.1}
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "monotone": ("relation", {"column": "n", "direction": "rising", "step": 1, "tolerance": 0.0}),
    "invariant": ("relation", {"columns": ["n", "t"], "tolerance": 0.0}),
    "counterfactual": ("relation", {"column": "t"}),
    "noise": ("corruption", {"columns": ["n"], "sd": 0.1}),
    "missing": ("corruption", {"columns": ["n", "t"], "share": 0.5}),
    "unseen_category": ("corruption", {"columns": ["t"]}),
    "out_of_range": ("corruption", {"columns": ["n"], "factor": 2}),
    "unit_mistake": ("corruption", {"columns": ["n"], "factor": 2.54}),
    "attack": ("attack", {"budget": {"n": 2, "t": ["x", "y"]}, "max_queries": 10}),
}


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf")


def written(document: dict[str, Any]) -> bytes:
    return "".join(f"{json.dumps(k)} = {toml(v)}\n" for k, v in document.items()).encode()


def read(document: dict[str, Any]) -> Scenarios:
    return parse(written(document), "x")


def problems(document: dict[str, Any] | bytes) -> list[str]:
    with pytest.raises(BadInput, match="problem") as caught:
        parse(document if isinstance(document, bytes) else written(document), "x")
    return [line[4:] for line in caught.value.got.splitlines() if line.startswith("  - ")]


def case(name: str = "c", **more: Any) -> dict[str, Any]:
    return {"name": name, **ABOUT, "inputs": {"n": 1, "t": "x"}, "expect": {"min": 0.5}, **more}


def form(kind: str, /, **more: Any) -> dict[str, Any]:
    """A document with one scenario of this kind; `...` takes a key away."""
    table, fields = FORMS[kind]
    item = {"name": kind, **SAMPLE, **({} if kind == "attack" else {"kind": kind}), **fields, **more}
    return {table: [{k: v for k, v in item.items() if v is not ...}]}


def together(*documents: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for document in documents:
        for table, items in document.items():
            found.setdefault(table, []).extend(items)
    return found


def test_the_demo_asks_all_four_kinds_and_gives_a_reason_for_each():
    assert min(len(DEMO.case), len(DEMO.relation), len(DEMO.corruption)) >= 4
    assert DEMO.attack
    kinds = {"age": "number", "schooling_code": "number", "relationship_code": "number"}
    columns = {c: kinds.get(c, "text") for c in DEMO.inputs(DEMO.case[0])}
    assert misfits(DEMO, columns, decides=True) == ()
    assert all(len(item.why) > 40 for item in (*DEMO.case, *(item for _, item in DEMO.sampled())))


@pytest.mark.parametrize("kind", FORMS)
def test_every_kind_is_read_and_fits_its_columns(kind: str):
    scenarios = read(form(kind))
    [(where, item)] = scenarios.sampled()
    assert where == f"{FORMS[kind][0]}[0] ({kind})"
    assert getattr(item, "kind", "attack") == kind
    assert misfits(scenarios, {"n": "number", "t": "text"}, decides=True) == ()


@pytest.mark.parametrize("kind", FORMS)
def test_a_key_too_many_or_too_few_is_named_by_its_path(kind: str):
    table = FORMS[kind][0]
    assert problems(form(kind, surplus=1)) == [f"{table}[0].surplus: Extra inputs are not permitted (got 1)"]
    for key in ("name", "why", "asked_by", "rows", "max_share"):
        assert problems(form(kind, **{key: ...})) == [f"{table}[0].{key}: Field required (got nothing)"]


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({}, "the file: it asks nothing"),
        ({"case": []}, "the file: it asks nothing"),
        ({"cases": [case()]}, "cases: Extra inputs"),
        (form("monotone", direction="up"), "relation[0].direction: Input should be 'rising' or 'falling'"),
        (form("monotone", kind="monoton"), "relation[0]: Input tag 'monoton'"),
        (form("monotone", kind=...), "relation[0]: Unable to extract tag"),
        (form("monotone", step=0), "relation[0].step: Input should be greater than 0"),
        (form("monotone", tolerance=-1), "relation[0].tolerance: Input should be greater than or equal to 0"),
        (form("monotone", step=float("nan")), "relation[0].step: Input should be a finite number"),
        (form("monotone", max_share=1.0), "relation[0].max_share: Input should be less than 1"),
        (form("invariant", columns=[]), "relation[0].columns: Tuple should have at least 1 item"),
        (form("invariant", columns=["n", "n"]), "relation[0].columns: ['n', 'n'] names something twice"),
        (form("invariant", tolerance=...), "relation[0].tolerance: Field required (got nothing)"),
        (form("counterfactual", values=["x"]), "relation[0].values: Tuple should have at least 2 items"),
        (form("counterfactual", values=["x", "x"]), "relation[0].values: ['x', 'x'] names something twice"),
        (form("noise", rows=0), "corruption[0].rows: Input should be greater than or equal to 1"),
        (form("noise", rows=100_001), "corruption[0].rows: Input should be less than or equal to 100000"),
        (form("noise", rows=True), "corruption[0].rows: Input should be a valid integer"),
        (form("noise", may_refuse=True, rows=501), "corruption[0]: Value error, each refused row is asked alone"),
        (form("missing", share=0), "corruption[0].share: Input should be greater than 0"),
        (form("missing", max_share=1.5), "corruption[0].max_share: Input should be less than or equal to 1"),
        (form("attack", budget={}), "attack[0].budget: Dictionary should have at least 1 item"),
        (form("attack", budget={"n": -1}), "attack[0].budget.n: Input should be greater than 0"),
        (form("attack", max_queries=0), "attack[0].max_queries: Input should be greater than or equal to 1"),
        (form("attack", rows=100_000, max_queries=101), "attack[0]: Value error, rows times max_queries is 10,100,000"),
        (form("attack", decision=True), "attack[0].decision: Input should be a valid integer"),
        (form("noise", where={"n": {}}), "corruption[0].where.n: "),
        (form("noise", where={"n": {"min": 2, "max": 1}}), "corruption[0].where.n: "),
        ({"case": [case(expect={})]}, "case[0].expect: Value error, give exactly one of"),
        ({"case": [case(expect={"decision": 1, "min": 0.1})]}, "case[0].expect: Value error, give exactly one of"),
        ({"case": [case(expect={"min": 0.2, "max": 0.1})]}, "case[0].expect: Value error, min 0.2 is above max 0.1"),
        ({"case": [case(expect={"decision": 2})]}, "case[0].expect.decision: Input should be less than or equal to 1"),
        ({"case": [case(expect={"less_than": "d"})]}, "case[0].expect.less_than: 'd' is no case of this file"),
        ({"case": [case(expect={"less_than": "c"})]}, "case[0].expect.less_than: 'c' cannot be less than itself"),
        ({"case": [case(like="d")]}, "case[0].like: 'd' is no case of this file"),
        ({"case": [case(like="c")]}, "case[0].like: 'c' is in the end like itself"),
        ({"case": [case(inputs={"n": [1]})]}, "case[0].inputs.n: "),
        ({"case": [case(inputs={"n": 2**60})]}, "case[0].inputs.n: an integer of 61 bits"),
        ({"case": [case("a/b")]}, "case[0].name: Value error, a name matches"),
        ({"case": [case(why="")]}, "case[0].why: String should have at least 1 character"),
        ({"case": 3}, "case: Input should be a valid array"),
        ({"case": [3]}, "case[0]: Input should be an object"),
        ({"case": [case(), case()]}, "the file: 2 scenarios are called 'c'; expected distinct names"),
        (together(form("noise", name="c"), {"case": [case()]}), "the file: 2 scenarios are called 'c'"),
    ],
)
def test_what_is_wrong_is_said_once_with_its_path(document: dict[str, Any], complaint: str):
    [problem] = problems(document)
    assert problem.startswith(complaint)


def test_all_problems_are_said_at_once_also_beside_broken_tables():
    document = together(
        {"case": [case("a", like="nobody"), {"name": "b"}, case("d", expect={"less_than": "b"})]},
        form("monotone", step="far"),
        form("invariant", columns=["n", "n"]),
        form("noise", name="a"),
    )
    found = problems(document)
    assert {p.split(":")[0] for p in found} == {
        "case[1].why",
        "case[1].asked_by",
        "case[1].expect",
        "relation[0].step",
        "case[0].like",
        "the file",
        "relation[1].columns",
    }
    assert len(found) == 7


def test_a_circle_of_cases_is_found_wherever_one_enters_it():
    cases = [case("a", like="b"), case("b", like="c"), case("c", like="b")]
    assert problems({"case": cases}) == [
        "case[1].like: 'b' is in the end like itself",
        "case[2].like: 'c' is in the end like itself",
    ]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"\xff", "not TOML that can be read"),
        (b"a = ", "not TOML that can be read"),
        (b"#" * (MAX_BYTES + 1), "the file has 1,048,577 bytes; expected at most 1,048,576"),
        (b"case = " + b"[" * 5000 + b"]" * 5000, "not TOML that can be read"),
    ],
)
def test_a_file_that_is_no_toml_is_refused(data: bytes, complaint: str):
    [problem] = problems(data)
    assert problem.startswith(complaint)


def test_there_may_be_a_thousand_cases_and_no_more():
    cases = [case(f"c{i}") for i in range(MAX_CASES + 1)]
    assert len(read({"case": cases[:-1]}).case) == MAX_CASES
    assert any(p.startswith("case: Tuple should have at most 1000 items") for p in problems({"case": cases}))


def test_a_case_takes_over_what_it_does_not_say_itself():
    scenarios = read(
        {"case": [case("a", like="b", inputs={"n": 9}), case("b", like="c", inputs={"u": True}), case("c")]}
    )
    assert [scenarios.inputs(c) for c in scenarios.case] == [
        {"n": 9, "t": "x", "u": True},
        {"n": 1, "t": "x", "u": True},
        {"n": 1, "t": "x"},
    ]


def test_the_digest_is_of_the_content_and_of_all_of_it():
    text = FILE.read_text()
    assert parse(f"# more\n{text}".encode(), "x").digest == DEMO.digest
    changed = text.replace("tolerance = 0.10", "tolerance = 0.11")
    assert changed != text
    assert parse(changed.encode(), "x").digest != DEMO.digest


FITS = {"n": "number", "t": "text", "b": "truth", "d": "time"}


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        (form("monotone", column="x"), "relation[0] (monotone): 'x' is no feature of the model"),
        (form("monotone", column="t"), "relation[0] (monotone): 't' holds text; expected number"),
        (form("noise", columns=["d"]), "corruption[0] (noise): 'd' holds time; expected number"),
        (form("noise", columns=["b"]), "corruption[0] (noise): 'b' holds truth; expected number"),
        (form("unit_mistake", columns=["t"]), "corruption[0] (unit_mistake): 't' holds text; expected number"),
        (form("out_of_range", columns=["t"]), "corruption[0] (out_of_range): 't' holds text; expected number"),
        (form("unseen_category", columns=["n"]), "corruption[0] (unseen_category): 'n' holds number; expected text"),
        (form("unseen_category", value=7), "corruption[0] (unseen_category): 't' holds text; expected number"),
        (form("counterfactual", values=[1, 2]), "relation[0] (counterfactual): 't' holds text; expected number"),
        (form("missing", columns=["x", "d"]), "corruption[0] (missing): 'x' is no feature of the model"),
        (form("invariant", columns=["x", "d"]), "relation[0] (invariant): 'x' is no feature of the model"),
        (form("attack", budget={"t": 1.0}), "attack[0] (attack): 't' holds text; expected number"),
        (form("attack", budget={"n": ["x"]}), "attack[0] (attack): 'n' holds number; expected text"),
        (form("noise", where={"t": {"min": 1}}), "corruption[0] (noise): 't' holds text; expected number"),
        (form("noise", where={"n": "x"}), "corruption[0] (noise): 'n' holds number; expected text"),
        (form("noise", where={"x": {"present": True}}), "corruption[0] (noise): 'x' is no feature of the model"),
    ],
)
def test_a_scenario_that_does_not_fit_the_columns_is_named(document: dict[str, Any], complaint: str):
    assert misfits(read(document), FITS, decides=True) == (complaint,)


def test_a_case_gives_every_feature_a_value_of_its_kind():
    scenarios = read({"case": [case(inputs={"n": "1", "t": "x", "z": 1})]})
    assert misfits(scenarios, {"n": "number", "t": "text", "b": "truth"}, decides=True) == (
        "case[0] (c): no value for b; expected one for every feature",
        "case[0] (c): 'n' holds number; expected text",
        "case[0] (c): 'z' is no feature of the model",
    )


def test_a_model_without_decisions_is_asked_about_its_score_only():
    columns = {"n": "number", "t": "text"}
    scenarios = read(
        together(
            form("counterfactual"),
            form("noise"),
            form("attack", decision=1),
            form("missing", tolerance=2.0),
            form("monotone"),
            {"case": [case("one", expect={"decision": 1}), case("two", expect={"max": 40.0})]},
        )
    )
    found = misfits(scenarios, columns, decides=False)
    assert [re.split(r"[:.]", problem)[0] for problem in found] == [
        "case[0] (one)",
        "relation[0] (counterfactual)",
        "corruption[0] (noise)",
        "attack[0] (attack)",
        "attack[0] (attack)",
    ]
    assert all("makes no decisions" in problem for problem in found)
    assert misfits(scenarios, columns, decides=True) == ("case[1] (two).expect.max: 40.0 is no score; expected 0 to 1",)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_value_stands_anywhere_is_read_or_refused_with_a_path(data: st.DataObject):
    kind = data.draw(st.sampled_from(sorted(FORMS)))
    document = together({"case": [case("a"), case("b", like="a")]}, form(kind))
    table = data.draw(st.sampled_from(sorted(document)))
    item = document[table][0]
    leaf = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5)
    value = data.draw(
        st.recursive(leaf, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=4), x, max_size=3))
    )
    key = data.draw(st.sampled_from([*sorted(item), "new"]))
    item[key] = value
    with contextlib.suppress(BadInput):  # and nothing else
        assert isinstance(parse(written(document).replace(b"null", b'"null"'), "x"), Scenarios)
