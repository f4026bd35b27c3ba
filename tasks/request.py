"""Request: open a release, and pin the policy before the first row is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from headgate.ledger import Ledger
from headgate.policy import Policy
from headgate.record import Record
from headgate.records import Requested
from headgate.state import State
from tasks.read import read_file, read_policy, read_scenarios, read_signers
from tasks.record import Case, Desk


@task(name="request", cache_policy=NO_CACHE)
def request(
    home: str,
    folder: str,
    requester: str,
    training: str | None = None,
    evaluation: str | None = None,
    run: str | None = None,
) -> Case:
    """Open a release of the model in `folder` and return its case; of a run that opened one before, that one's.

    Args:
        home: where the records are kept. requester: who asks; that person cannot approve.
        training, evaluation: tables to use instead of the policy's.
        run: the id of the Prefect run that asks. It begins again when people have answered, and after a crash.

    Raises:
        BadInput: the folder or its policy is not usable. Nothing is recorded then.
    """
    place = Path(folder).resolve()
    desk = Desk.create(Path(home).resolve(), place.name)
    name = _opened(desk, run) or _open(desk, place, requester, (training, evaluation), run)
    return Case(home=desk.home.root, folder=place, model=place.name, release=name)


def _opened(desk: Desk, run: str | None) -> str | None:
    """The release that a run has opened."""
    if run is None:
        return None
    return next((name for name, r in desk.state().releases.items() if r.step(Requested).run == run), None)


def _open(desk: Desk, place: Path, requester: str, given: tuple[str | None, str | None], run: str | None) -> str:
    policy = read_policy(place)
    desk.pinned = policy
    body = _requested(desk, place, policy, given, {"requester": requester, "run": run})
    return str(desk.decide(_opening(policy, body), actor=requester).entries[-1].release)


def _requested(
    desk: Desk, folder: Path, policy: Policy, given: tuple[str | None, str | None], named: dict[str, str | None]
) -> Callable[[State], Requested]:
    read_signers(folder)
    pinned = {
        "policy": desk.keep(policy.model_dump(mode="json")),
        "policy_file": desk.evidence.put(read_file(folder / "policy.toml")),
        "training_suite": desk.evidence.put(read_file(folder / policy.data.training_suite)),
        "evaluation_suite": desk.evidence.put(read_file(folder / policy.data.evaluation_suite)),
    }
    scenarios = read_scenarios(folder, policy)
    asked = None if scenarios is None else desk.evidence.put(scenarios)
    tables = {
        "training": str(Path(given[0]).resolve() if given[0] else folder / policy.data.train),
        "evaluation": str(Path(given[1]).resolve() if given[1] else folder / policy.data.evaluate),
    }

    def body(state: State) -> Requested:
        champion = state.aliases.get(policy.alias)
        said = {**named, **pinned, **tables, "scenarios": asked, "trainer": policy.train.owner}
        return Requested.model_validate({"champion": champion, "folder": str(folder), **said})

    return body


def _opening(policy: Policy, body: Callable[[State], Requested]) -> Callable[[Ledger, State], tuple[str, Record]]:
    # The name counts the model's releases. Two that ask at once want the same slot; the loser counts again.
    return lambda _, state: (f"{policy.model.name}-{len(state.releases) + 1}", body(state))
