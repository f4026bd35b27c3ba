"""Evaluate: score the candidate and the champion on the same rows, and judge the gates."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from headgate.card import verdict_page
from headgate.judge import judge
from headgate.policy import Data, Policy
from headgate.records import Evaluated, Registered, Requested, Snapshot, Trained
from headgate.release import Release
from headgate.serving import ServingProfile
from headgate.slices import as_tuple, banded, memberships
from headgate.state import State
from headgate.tally import Tally, count
from tasks.load import fetch, frame_of, open_model
from tasks.record import Case, Desk
from tasks.warm import take_probe

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


@task(name="evaluate", cache_policy=NO_CACHE)
def evaluate(case: Case) -> None:
    """Tally the predictions, measure serving, judge every gate, and record the verdict."""
    desk = Desk(case.home, case.model)
    state = desk.state()
    release = state.release(case.release)
    policy = desk.policy(release)
    probe = _start_probe(desk, release, policy)
    tally = _tally(desk, state, release, policy)
    serving = _answer(probe, policy.serving.timeout_seconds)
    champion = release.step(Requested).champion
    judged = judge(policy, tally, serving, has_champion=champion is not None)
    record = Evaluated(
        verdict=judged.verdict,
        judged=desk.keep(judged.model_dump(mode="json")),
        tally=desk.evidence.put(tally.to_bytes()),
        serving=None if serving is None else desk.evidence.put(serving.to_bytes()),
        champion=champion,
    )
    desk.write(case.release, record)
    create_markdown_artifact(key=case.artifact("evaluate"), markdown=verdict_page(release.id, judged))


def _tally(desk: Desk, state: State, release: Release, policy: Policy) -> Tally:
    frame = frame_of(desk.home, release.step(Snapshot).evaluation)
    live = release.step(Requested).champion
    champion = None if live is None else state.maker(live)
    return count(
        frame[policy.data.label].to_numpy(),
        _scores(frame, release, policy),
        memberships(slice_columns(frame, policy.data), policy.data.slices),
        policy.threshold,
        champion=None if champion is None else _scores(frame, champion, policy),
    )


def _scores(frame: pd.DataFrame, release: Release, policy: Policy) -> NDArray[np.float64]:
    # Column 1 is the probability of the class 1, whatever order the labels were seen in: scikit-learn sorts them.
    registered = release.step(Registered)
    model = open_model(
        fetch(registered.source),
        registered.files,
        trusted=policy.train.trusted_types,
        unsafe_pickle=policy.train.unsafe_pickle,
    )
    scores: NDArray[np.float64] = model.predict_proba(frame[list(release.step(Trained).features)])[:, 1]
    return scores


def slice_columns(frame: pd.DataFrame, data: Data) -> Mapping[str, Sequence[object]]:
    """The columns that `data.slices` names, bands made from their numbers."""
    names = {name for part in data.slices for name in as_tuple(part)}
    made = {n: banded(frame[data.bands[n].column].tolist(), data.bands[n]) for n in names & data.bands.keys()}
    return {n: made[n] if n in made else frame[n].astype(object).tolist() for n in sorted(names)}


def _start_probe(desk: Desk, release: Release, policy: Policy) -> subprocess.Popen[bytes]:
    registered = release.step(Registered)
    request = {
        "folder": str(fetch(registered.source)),
        "registered": registered.model_dump(mode="json"),
        "home": str(desk.home.root),
        "rows": release.step(Snapshot).evaluation.model_dump(mode="json"),
        "features": release.step(Trained).features,
        "requests": policy.serving.requests,
        "warmup": policy.serving.warmup,
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


def _answer(probe: subprocess.Popen[bytes], timeout: float) -> ServingProfile | None:
    # No answer is no evidence: the gates that need it say ERROR.
    try:
        out, _ = probe.communicate(timeout=timeout)
        return ServingProfile.model_validate_json(out) if probe.returncode == 0 else None
    except (subprocess.TimeoutExpired, ValueError):
        probe.kill()
        probe.communicate()
        return None
