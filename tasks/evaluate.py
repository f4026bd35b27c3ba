"""Evaluate: score the candidate and the champion on the same rows, and judge the gates."""

from __future__ import annotations

import contextlib
import json
import subprocess

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from headgate.card import verdict_page
from headgate.challenge import Challenges
from headgate.forest import forest, image
from headgate.judge import judge
from headgate.policy import Policy
from headgate.records import Evaluated, Registered, Requested, Snapshot, Trained
from headgate.release import Release
from headgate.scenario_file import parse
from headgate.serving import ServingProfile
from headgate.state import State
from headgate.tally import Tally
from tasks.challenge import challenge
from tasks.excuse import record_verdict
from tasks.load import fetch, frame_of, opened, proof_of
from tasks.predict import features_of, labels_of, predictions
from tasks.probe import FEW, MANY
from tasks.record import Case, Desk
from tasks.tally import Made, Scoring, tallied
from tasks.warm import take_probe


@task(name="evaluate", cache_policy=NO_CACHE)
def evaluate(case: Case) -> None:
    """Tally the predictions, measure serving, judge every gate, and record the verdict."""
    desk = Desk(case.home, case.model)
    state = desk.state()
    release = state.release(case.release)
    policy = desk.policy(release)
    probe = _start_probe(desk, release, policy)
    tally = _tally(desk, state, release, policy)
    challenges = _challenged(desk, release, policy)
    serving = _answer(probe, policy.serving.timeout_seconds)
    champion = release.step(Requested).champion
    judged = judge(policy, tally, serving, has_champion=champion is not None, challenges=challenges)
    record = Evaluated(
        verdict=judged.verdict,
        judged=desk.keep(judged.model_dump(mode="json")),
        tally=desk.evidence.put(tally.to_bytes()),
        serving=None if serving is None else desk.evidence.put(serving.to_bytes()),
        champion=champion,
        challenges=None if challenges is None else desk.evidence.put(challenges.to_bytes()),
    )
    heard = record_verdict(desk, case, judged, record)
    page = verdict_page(release.id, judged, heard.used, heard.refused)
    drawn = image(forest(judged, title=f"{release.id}: {judged.verdict.name}"))
    create_markdown_artifact(key=case.artifact("evaluate"), markdown=f"{page}\n\n{drawn}\n")


def _tally(desk: Desk, state: State, release: Release, policy: Policy) -> Tally:
    live = release.step(Requested).champion
    makers = [release, *([maker] if live is not None and (maker := state.maker(live)) else [])]
    models = tuple(Made(maker.step(Registered), maker.step(Trained).features) for maker in makers)
    return tallied(Scoring(desk.home.root, policy, release.step(Snapshot).evaluation, models))


def _challenged(desk: Desk, release: Release, policy: Policy) -> Challenges | None:
    asked = release.step(Requested).scenarios
    if asked is None:
        return None
    scenarios = parse(desk.evidence.get(asked), f"of release {release.id}")
    frame = frame_of(desk.home, release.step(Snapshot).evaluation)
    model = opened(desk, release.step(Registered), policy)
    features, decides = list(release.step(Trained).features), policy.model.task == "binary"
    # A scenario is about a person, whatever this candidate reads of one: what it does not read cannot turn its answer.
    return challenge(
        lambda rows: predictions(model, rows[features], policy),
        frame[list(features_of(frame, policy.data))],
        labels_of(frame, policy),
        range(len(frame)),
        scenarios,
        policy.train.seed,
        policy.threshold if decides else None,
    )


def _start_probe(desk: Desk, release: Release, policy: Policy) -> subprocess.Popen[bytes]:
    registered = release.step(Registered)
    proof = proof_of(desk, registered)
    request = {
        "folder": str(fetch(desk.home, registered.source)),
        "files": proof.files,
        "signature": proof.signature.decode(),
        "key": proof.key.decode(),
        "home": str(desk.home.root),
        "rows": release.step(Snapshot).evaluation.model_dump(mode="json"),
        "features": release.step(Trained).features,
        "requests": policy.serving.requests,
        "warmup": policy.serving.warmup,
        "loads": _loads(policy),
        "trusted": policy.train.trusted_types,
        "unsafe_pickle": policy.train.unsafe_pickle,
    }
    probe = take_probe()
    assert probe.stdin is not None  # noqa: S101 - opened as a pipe
    with contextlib.suppress(BrokenPipeError):  # it has died: that it gives no answer is the evidence
        probe.stdin.write(json.dumps(request).encode())
        probe.stdin.close()
    probe.stdin = None  # else `communicate` would flush what is closed
    return probe


def _loads(policy: Policy) -> int:
    """How often the probe loads the model again: more where a gate asks how long that takes."""
    return MANY if any("load_ms" in gate.metrics for gate in policy.gate) else FEW


def _answer(probe: subprocess.Popen[bytes], timeout: float) -> ServingProfile | None:
    # No answer is no evidence: the gates that need it say ERROR.
    try:
        out, _ = probe.communicate(timeout=timeout)
        return ServingProfile.model_validate_json(out) if probe.returncode == 0 else None
    except (subprocess.TimeoutExpired, ValueError):
        probe.kill()
        probe.communicate()
        return None
