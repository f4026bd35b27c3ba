"""Run the release flow as the command line does, in this process."""

from __future__ import annotations

from model_folder import REQUESTER, Toy


def run(toy: Toy, **given: str | None) -> str:
    """Run the release flow as the command line does, and return the release's name."""
    from flows.release import release
    from tasks import warm

    if "resume" not in given:
        warm.warm_up()
    ended = release(folder=str(toy.folder), home=str(toy.home), requester=REQUESTER, return_state=True, **given)
    if ended.name in ("Failed", "Crashed"):
        ended.result()
    return str(ended.message)


def approve_all(toy: Toy, name: str) -> None:
    """Let every role of the toy's policy approve."""
    from tasks.approve import answer
    from tasks.record import reopen

    for role, key in toy.keys.items():
        answer(reopen(str(toy.home), str(toy.folder), name), role=role, key=key)


def promoted(toy: Toy, **given: str | None) -> str:
    """Release and approve; the name of the promoted release."""
    name = run(toy, **given)
    approve_all(toy, name)
    return run(toy, resume=name)
