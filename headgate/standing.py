"""What stands about a model: the value that `state.fold` makes of a ledger, and that its rules read and renew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from headgate.alarm import Alarmed, Monitored, StepTaken
from headgate.entry import Entry
from headgate.errors import BadInput, Tampered
from headgate.kept import Kept
from headgate.records import PromotionStarted, Registered
from headgate.release import Release, Waiver
from headgate.watch import Incident, RollbackStarted


@dataclass(frozen=True)
class Intention:
    """A promotion or a rollback (of no release) that was begun and not yet closed: the first thing to settle."""

    seq: int
    time: str
    release: str | None
    record: PromotionStarted | RollbackStarted


@dataclass(frozen=True)
class Alarm:
    """An open alarm, the slot and time of its record, the steps that were taken, and whether nobody came in time."""

    seq: int
    time: str
    record: Alarmed
    steps: tuple[StepTaken, ...] = ()
    overdue: bool = False


@dataclass(frozen=True)
class State:
    """What stands about a model.

    Attributes:
        releases: all of them by name, oldest first.
        aliases: the version that each alias of the model points to, as decided here.
        intention: the open promotion or rollback, if any.
        waivers: all that were ever recorded, by their slots.
        behind: the versions that each alias can go back to, the newest last.
        incidents: those that are open, by their slots.
        restores: of each alias, the times at which an incident about it was closed.
        makers: the release that registered each version.
        looks: the newest look of the monitor at each version. alarms: those that are open, by their slots.
    """

    model: str
    releases: Kept[str, Release] = field(default_factory=Kept)
    aliases: Mapping[str, int] = field(default_factory=dict)
    intention: Intention | None = None
    waivers: Mapping[int, Waiver] = field(default_factory=dict)
    behind: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    incidents: Mapping[int, Incident] = field(default_factory=dict)
    restores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    makers: Kept[int, str] = field(default_factory=Kept)
    looks: Mapping[int, Monitored] = field(default_factory=dict)
    alarms: Mapping[int, Alarm] = field(default_factory=dict)

    def release(self, name: str) -> Release:
        """The release called `name`.

        Raises:
            BadInput: there is none.
        """
        if name not in self.releases:
            raise BadInput(
                f"release {name}",
                got="no such release",
                expected=f"one of {', '.join(self.releases) or 'none yet'}",
                next_step=f"run `headgate status {self.model}`",
            )
        return self.releases[name]

    @property
    def disputed(self) -> frozenset[str]:
        """The aliases with an open incident."""
        return frozenset(incident.alias for incident in self.incidents.values())

    def places(self, alias: str) -> tuple[int | None, ...]:
        """Where an alias may be found: where the ledger has it, or where an open intention takes it."""
        ours = [self.intention.record.new] if self.intention and self.intention.record.alias == alias else []
        return (self.aliases.get(alias), *ours)

    def reaches(self, release: Release) -> tuple[str, ...]:
        """The aliases that point to the release's version, the widest stage first."""
        made = release.find(Registered)
        found = tuple(alias for alias, version in self.aliases.items() if made and version == made.version)
        order = [stage.alias for stage in release.rollout]
        return tuple(sorted(found, key=lambda alias: -order.index(alias) if alias in order else 1))

    def holds(self, release: Release) -> bool:
        """Whether every stage that the release has reached is still at its version."""
        return not self.left(release)

    def left(self, release: Release) -> tuple[str, ...]:
        """The aliases of the stages that the release has reached and that are not at its version any more, sorted."""
        return tuple(sorted({one.record.alias for one in release.reached} - set(self.reaches(release))))

    def is_early(self, alias: str) -> bool:
        """Whether an alias is that of a stage before the last one: who is in it can be served the last one's."""
        maker = self.maker(self.aliases.get(alias, 0))
        return maker is not None and alias in [stage.alias for stage in maker.rollout[:-1]]

    def accused(self, release: Release) -> tuple[int, ...]:
        """The slots of the open alarms of severity `incident` about the release's version."""
        made = release.find(Registered)
        ours = (a for a in self.alarms.values() if made and a.record.version == made.version)
        return tuple(alarm.seq for alarm in ours if alarm.record.severity == "incident")

    @property
    def rolling(self) -> Release | None:
        """The release whose rollout has begun and not ended."""
        return next((release for release in self.releases.values() if release.is_rolling), None)

    def maker(self, version: int) -> Release | None:
        """The release that registered `version`."""
        return self.releases.get(self.makers.get(version, ""))


def with_release(state: State, release: Release) -> State:
    """The state with a release as it stands now."""
    made = release.find(Registered)
    makers = state.makers.put(made.version, release.id) if made and made.version not in state.makers else state.makers
    return replace(state, releases=state.releases.put(release.id, release), makers=makers)


def demand(holds: bool, entry: Entry, expected: str) -> None:
    """Nothing, if a rule holds.

    Raises:
        Tampered: it does not, so that this code did not write the entry.
    """
    if not holds:
        raise Tampered(
            f"ledger of {entry.model}, slot {entry.seq}",
            got=f"'{entry.kind}' of release {entry.release}",
            expected=expected,
            next_step="run `headgate audit`; an entry that breaks a rule was not written by Headgate",
        )
