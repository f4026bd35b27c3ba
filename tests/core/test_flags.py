"""The flags say what `route` says, and subjects stay where they are while shares grow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext

from headgate.errors import BadInput
from headgate.exposure import Stage
from headgate.flags import BUCKETS, NOBODY, Route, below, bucket, context, document, flag_key, misrouted, route

WORDS = ("a", "b", "a.b", "", "%", "é", "bucket", "targetingKey", "0", "length", "$flagd", "__proto__", "none")
SHARES = st.one_of(st.sampled_from((0.0, 0.05, 0.07, 0.25, 1.0, 0.00001)), st.floats(0, 1))


def stage(name: str, **given: Any) -> Stage:
    return Stage(name=name, alias=given.pop("alias", name), **given)


@st.composite
def routes(draw: st.DrawFn) -> Route:
    names = draw(st.lists(st.sampled_from(("internal", "pilot", "broad", "true", "0", "x.y")), min_size=1, unique=True))
    words = st.sampled_from(WORDS)
    audiences = st.dictionaries(words, st.lists(words, max_size=3).map(tuple), max_size=2)
    stages = [
        stage(name, alias=f"to-{number}", audience=draw(audiences), share=draw(SHARES))
        for number, name in enumerate(names)
    ]
    aliases = {s.alias: draw(st.integers(1, 99)) for s in stages if draw(st.booleans())}
    return Route(tuple(stages), {**aliases, "elsewhere": 7})


@contextmanager
def flagd(path: Path) -> Iterator[OpenFeatureClient]:
    provider = FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=str(path), deadline_ms=10)
    api.set_provider_and_wait(provider, "test-flags")
    try:
        yield api.get_client("test-flags")
    finally:
        provider.shutdown()


def asked(client: OpenFeatureClient, model: str, subject: str, audience: dict[str, str]) -> tuple[str | None, int]:
    found = client.get_integer_details(
        flag_key(model), -1, EvaluationContext(subject, context(model, subject, audience))
    )
    assert found.error_code is None, found.error_message
    return found.variant, found.value


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    routes=st.dictionaries(st.sampled_from(("toy", "x.y", "m-1")), routes(), min_size=1, max_size=2),
    askers=st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8")), st.dictionaries(st.sampled_from(WORDS), st.sampled_from(WORDS))
        ),
        min_size=1,
        max_size=8,
    ),
)
def test_flagd_serves_what_the_specification_says(
    tmp_path: Path, routes: dict[str, Route], askers: list[tuple[str, dict[str, str]]]
) -> None:
    path = tmp_path / "flags.json"
    path.write_bytes(document(routes))
    with flagd(path) as client:
        for model, each in routes.items():
            for subject, audience in askers:
                due = route(each.stages, each.aliases, audience, bucket(model, subject))
                assert asked(client, model, subject, audience) == due


@given(st.text(st.characters(codec="utf-8")), st.lists(st.tuples(SHARES, SHARES), max_size=3))
def test_a_subject_stays_with_its_stage_or_goes_to_an_earlier_one_while_shares_grow(
    subject: str, shares: list[tuple[float, float]]
) -> None:
    grown = [[sorted(pair)[k] for pair in shares] + [1.0] for k in (0, 1)]
    aliases = {f"s{n}": n + 1 for n in range(len(shares) + 1)}
    before, after = (
        route([stage(f"s{n}", share=share) for n, share in enumerate(each)], aliases, {}, bucket("toy", subject))
        for each in grown
    )
    assert after[1] <= before[1]
    if len(shares) == 1 and before[0] == "s0":
        assert after == before
    assert all(below(small) <= below(large) for small, large in zip(*grown, strict=True))


def test_five_percent_are_five_percent_and_lie_inside_twenty_five() -> None:
    places = [bucket("toy", f"person-{n}") for n in range(20_000)]
    five = {n for n, place in enumerate(places) if place < below(0.05)}
    more = {n for n, place in enumerate(places) if place < below(0.25)}
    assert five < more
    assert len(five) == pytest.approx(1_000, abs=110)
    assert len(more) == pytest.approx(5_000, abs=220)
    assert 0 <= min(places) <= max(places) < BUCKETS


def test_the_bucket_is_fixed_for_ever_and_another_one_in_each_model() -> None:
    # Whoever changes these numbers deals the subjects of every rollout again.
    assert [bucket("toy", s) for s in ("", "person-1", "Ünï")] == [3070, 6941, 1000]
    assert len({bucket(model, "person-1") for model in ("a", "b", "c", "d")}) == 4


def test_a_caller_that_forgets_the_bucket_is_served_the_last_stage(tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    each = Route((stage("all", share=1.0), stage("pilot", share=0.05), stage("broad")), {"pilot": 2, "broad": 1})
    path.write_bytes(document({"toy": each}))
    with flagd(path) as client:
        assert client.get_integer_value(flag_key("toy"), -1, EvaluationContext("x", {})) == 1


def test_nobody_is_served_where_no_alias_points() -> None:
    stages = (stage("internal", audience={"group": ("employee",)}), stage("broad"))
    assert route(stages, {}, {"group": "employee"}, 0) == (NOBODY, 0)
    assert route(stages, {"internal": 2}, {"group": "employee"}, 9_999) == ("internal", 2)
    assert route(stages, {"internal": 2}, {}, 0) == (NOBODY, 0)


@pytest.mark.parametrize("names", [(), ("none", "broad"), ("broad", "broad")])
def test_stages_that_flags_cannot_tell_apart_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(BadInput, match="stages of a rollout"):
        Route(tuple(stage(name) for name in names), {})


def test_a_file_that_says_something_else_is_an_anomaly() -> None:
    due = document({m: Route((stage("broad"),), {"broad": 3}) for m in ("toy", "other")})
    said = json.loads(due)
    said["flags"]["serve.toy"]["variants"]["broad"] = 4
    said["flags"]["<new>"] = {}
    (found,) = misrouted(json.dumps(said).encode(), due)
    assert (found.name, found.slot) == ("other_flags", -1)
    assert "other in <new>, serve.toy" in found.got
    assert list(misrouted(due, due)) == list(misrouted(None, due)) == []
    for odd in (b"", b"[]", b"{}", b"\xff", b'{"flags": 3}', b"[" * 100_000):
        assert "no such document" in next(misrouted(odd, due)).got
    assert "its layout" in next(misrouted(due + b" ", due)).got
