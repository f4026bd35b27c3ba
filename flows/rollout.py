"""Rollout: where a release stands on its way through the stages, and what is due, from the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.guard import as_json, guarded, known
from headgate.markdown import plain
from tasks.read import Site

if TYPE_CHECKING:
    from headgate.phase import Terms
    from headgate.release import Release
    from tasks.roll import Rolled


@click.command()
@click.argument("model")
@click.option("--look", is_flag=True, help="Only show it, and take nothing on.")
@as_json
@click.pass_obj
@guarded
def rollout(site: Site, model: str, look: bool, as_json: bool) -> None:
    """Take the rollout of MODEL on as far as it is due, as the platform does every minute, and show where it stands.

    A stage begins once the one before has lasted and answered as much as the policy says, and the people whom it needs
    for itself have agreed. `headgate rollback MODEL` ends a rollout.
    """
    from flows.show import add_row, console, print_json, seconds, titled
    from tasks.record import Desk

    name = known(site, model, model)
    rolled = None if look else go_on(site.home, name)
    release = _newest(Desk(site.home, name).state().releases.values())
    if as_json:
        return print_json({"model": name, **_told(release), "held": list(rolled.held) if rolled else []})
    if release is None:
        return console().print(f"No release of {plain(name)} has asked for approval yet.", markup=False)
    header = ("stage", "serves", "alias", "since", "minutes", "answered", "needs")
    shown = titled(f"{release.id}: {release.stage}", *header)
    for row in _rows(release):
        add_row(shown, row["stage"], row["serves"], row["alias"], seconds(row["since"]), *_cells(row))
    console().print(shown)
    for line in rolled.held if rolled else ():
        console().print(f"Holds: {plain(line)}", markup=False, highlight=False)
    return None


def ready(home: Path, names: Iterable[str]) -> bool:
    """Whether a model is being rolled out; then with the local Prefect server, for the pages about it.

    To be called before Prefect is imported, which reads then where the server is.
    """
    from tasks.record import Desk

    if not any(Desk(home, name).state().rolling for name in names):
        return False
    from flows.run import prepare

    prepare(home)
    return True


def go_on(home: Path, name: str) -> Rolled | None:
    """Take the rollout of a model on, if there is one, and tell people."""
    if not ready(home, [name]):
        return None
    from tasks.notify import notify
    from tasks.report import refresh
    from tasks.roll import roll_on

    rolled = roll_on(home, name)
    if rolled is not None and rolled.moved:
        notify.fn(home, name)
        refresh(home, name)
    return rolled


def _newest(releases: Any) -> Release | None:
    """The release that is on its way, else the newest one that was told of stages."""
    told = [release for release in releases if release.rollout]
    return next((r for r in told if r.is_rolling), told[-1] if told else None)


def _told(release: Release | None) -> dict[str, Any]:
    if release is None:
        return {"release": None, "stage": None, "stages": []}
    return {"release": release.id, "stage": release.stage, "stages": list(_rows(release))}


def _rows(release: Release) -> Iterator[dict[str, Any]]:
    """Each stage: whom it serves, since when the release is there, and what it showed or still has to show."""
    for index, terms in enumerate(release.rollout):
        reached = release.reached[index] if index < len(release.reached) else None
        soaked = reached.soaked if reached else None
        yield {
            "stage": terms.name,
            "serves": terms.who,
            "alias": terms.alias,
            "since": reached.time if reached else None,
            "soaked": {"minutes": soaked.minutes, "requests": soaked.requests} if soaked else None,
            "takes": {"minutes": terms.soak_minutes, "requests": terms.min_requests},
            "needs": _needs(terms, first=index == 0, release=release),
        }


def _needs(terms: Terms, *, first: bool, release: Release) -> dict[str, int]:
    return dict(release.requests[0].record.roles) if first else dict(terms.roles)


def _cells(row: dict[str, Any]) -> tuple[str, str, str]:
    soaked, takes = row["soaked"], row["takes"]
    minutes = f"{soaked['minutes']:,.0f} of {takes['minutes']:,g}" if soaked else f"takes {takes['minutes']:,g}"
    answered = f"{soaked['requests']:,} of {takes['requests']:,}" if soaked else f"takes {takes['requests']:,}"
    return minutes, answered, ", ".join(f"{n} × {role}" for role, n in row["needs"].items())
