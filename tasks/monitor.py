"""Monitor: look at what is in use by the plans of its own package, and do what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from headgate.alarm import Monitored
from headgate.entry import moment, spelled
from headgate.errors import HeadgateError, SlotTaken
from headgate.mandate import FILES, Mandate, in_use_since, mandate, strayed
from headgate.markdown import bullets, escaped, table
from headgate.members import Seen
from headgate.package import MANIFEST
from headgate.profile import Reference
from headgate.record import Record
from headgate.records import Packaged, Snapshot
from headgate.release import Release
from headgate.state import State
from headgate.stewardship import Check
from headgate.tally import Tally
from headgate.verdict import Verdict
from headgate.vigil import PLAN, Vigil, vigil
from tasks.alert import follow
from tasks.gather import Window, reference_of, seen, window_of
from tasks.record import Desk, now, slug


@dataclass(frozen=True)
class Look:
    """One look at one version, and the alias that it is behind."""

    alias: str
    version: int
    vigil: Vigil


@dataclass(frozen=True)
class Watched:
    """What was done about one model.

    Attributes:
        looks: those that were made now. done: what else was done. stuck: what could not be. Both in sentences.
        unwatched: the versions in use whose policy does not say how they are watched.
    """

    looks: tuple[Look, ...]
    done: tuple[str, ...]
    stuck: tuple[str, ...]
    unwatched: tuple[int, ...]

    @property
    def blind(self) -> bool:
        """Whether something could not be measured."""
        return any(look.vigil.verdict is Verdict.ERROR for look in self.looks)


@task(name="monitor", cache_policy=NO_CACHE)
def monitor(home: str, model: str) -> Watched:
    """Make the looks that are due, and show them on the run's page. See `look_at`."""
    watched = look_at(Path(home), model, only_due=True)
    if watched.looks or watched.done:
        create_markdown_artifact(key=slug(f"{model}-monitor"), markdown=shown(model, watched))
    return watched


def look_at(home: Path, model: str, *, only_due: bool = False) -> Watched:
    """Look at every version behind an alias of a model, and do what follows: alarms, their ends, reminders, retreats.

    Args:
        only_due: leave out what its plan does not want to be looked at yet.

    Raises:
        Tampered: the ledger is not what was written, or evidence that a look needs is gone.
        Unavailable: the store does not answer.
    """
    desk = Desk(home, model)
    followed = [follow(desk)]
    looks, unwatched = [], []
    for version, aliases in _in_use(desk.state()).items():
        release = desk.state().maker(version)
        known = None if release is None else mandate(release, desk.evidence.get)
        if release is None or known is None or not known.checks:
            unwatched.append(version)
        elif not only_due or _is_due(desk.state(), version):
            with suppress(SlotTaken):  # another monitor looks just now, or the alias was moved
                looks.append(Look(aliases[-1], version, _look(desk, release, known, aliases)))
                followed.append(follow(desk))
    done = tuple(line for each in followed for line in each.done)
    return Watched(tuple(looks), done, followed[-1].stuck, tuple(unwatched))


def _in_use(state: State) -> dict[int, tuple[str, ...]]:
    """The versions behind aliases, each once, with the aliases that point to it."""
    versions = dict.fromkeys(state.aliases.values())
    return {version: tuple(a for a, behind in state.aliases.items() if behind == version) for version in versions}


def _is_due(state: State, version: int) -> bool:
    last = state.looks.get(version)
    return last is None or moment(last.due) <= moment(now())


def _look(desk: Desk, release: Release, known: Mandate, aliases: tuple[str, ...]) -> Vigil:
    ledger, until = desk.ledger(), now()
    state = desk.state(ledger)
    since = in_use_since(known.version, state.aliases, ledger.entries)
    last = state.looks.get(known.version)
    reference, given = _seen(
        desk, release, known, lambda check: window_of(known, aliases, check, used=since, now=until)
    )
    gates = Tally.from_bytes(desk.evidence.get(known.monitoring.tally))
    look = (last.look if last else 0) + 1
    found = vigil(known, reference, gates, given, look=look, since=since, until=until)
    for each in given.values():
        for part in (each.profile, each.tally):
            if part is not None:
                desk.evidence.put(part.to_bytes())
    record = Monitored(
        version=known.version,
        alias=aliases[-1],
        look=found.look,
        plan=known.plan,
        incidents=known.incidents,
        until=until,
        due=spelled(moment(until) + timedelta(minutes=known.every_minutes)),
        verdict=found.verdict,
        findings=desk.evidence.put(found.to_bytes()),
        reference=None if reference is None else desk.evidence.put(reference.to_bytes()),
    )
    desk.decide(lambda _, now_: _still(desk, now_, record, last))
    return found


def _still(desk: Desk, state: State, record: Monitored, last: Monitored | None) -> tuple[None, Record]:
    """The record, if nobody has looked since and the version is where it was."""
    if state.looks.get(record.version) != last or state.aliases.get(record.alias) != record.version:
        raise SlotTaken(
            f"look at {desk.model} {record.version}",
            got="another look, or another version behind the alias",
            expected="what was looked at",
            next_step="look again with `headgate monitor`",
        )
    return None, record


def _seen(
    desk: Desk, release: Release, known: Mandate, window: Callable[[Check], Window]
) -> tuple[Reference | None, Mapping[str, Seen]]:
    """With what is compared, and what was counted for each check; only what is wrong with the plans, if anything is."""
    wrong = _strayed(desk, release)
    if wrong:
        return None, {PLAN: Seen(lack="; ".join(wrong))}
    reference, trouble = _reference(desk, release, known)
    rows = release.step(Snapshot).evaluation
    blank = Reference(version=known.version, evaluation=rows.digest, rows=0, inputs={}, scores={})
    found: dict[str, Seen] = {}
    shared: dict[Window, Seen] = {}
    for check in known.checks:
        place = window(check)
        if reference is None and check.watches in ("inputs", "scores"):
            found[check.name] = Seen(lack=trouble)
        elif check.watches == "performance":
            found[check.name] = seen(desk, known, reference or blank, check, place)
        else:  # whatever they watch, checks of one window are made from the same counts
            if place not in shared:
                shared[place] = seen(desk, known, reference or blank, check, place)
            found[check.name] = shared[place]
    return reference, found


def _reference(desk: Desk, release: Release, known: Mandate) -> tuple[Reference | None, str]:
    """The reference of a version, made once; or what keeps it from being made."""
    last = desk.state().looks.get(known.version)
    if last is not None and last.reference is not None:
        return Reference.from_bytes(desk.evidence.get(last.reference)), ""
    try:
        return reference_of(desk, known, release), ""
    except HeadgateError as error:
        return None, f"{error.subject}: {error.got}"


def _strayed(desk: Desk, release: Release) -> tuple[str, ...]:
    folder = desk.home.package(release.id)
    found: dict[str, bytes | None] = {}
    for name in (MANIFEST, *FILES):
        try:
            found[name] = (folder / name).read_bytes()
        except OSError:
            found[name] = None
    return strayed(release, desk.evidence.get(release.step(Packaged).package), found)


def shown(model: str, watched: Watched) -> str:
    """What was seen, as a page."""
    header = ("check", "of", "slice", "verdict", "arithmetic")
    parts = [f"# {escaped(model)} in use"]
    for look in watched.looks:
        rows = [(s.check, s.of, s.slice, s.verdict.name, s.reason) for s in look.vigil.sightings]
        said = f"Version {look.version}, '{escaped(look.alias)}', look {look.vigil.look}: {look.vigil.verdict.name}"
        parts.append(f"## {said}\n\n{table(header, rows)}")
    told = {"Done": watched.done, "Not done": watched.stuck}
    return "\n\n".join([*parts, *(f"{what}:{bullets(lines)}" for what, lines in told.items() if lines)]) + "\n"
