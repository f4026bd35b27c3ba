"""Mandate: by what a version is watched and answered for: the files of its own package, and nothing else.

What was approved is what is executed. So the bytes that lie in the package's folder are compared with its manifest, and
the manifest with what the ledger says was packaged, before a word of them is followed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from headgate.canonical import digest_of
from headgate.entry import Digest, Entry, moment, spelled
from headgate.errors import BadInput, Tampered
from headgate.package import MANIFEST
from headgate.plans import INCIDENTS, MONITORING, IncidentPlan, MonitoringPlan
from headgate.policy import Policy
from headgate.policy_file import parse
from headgate.records import KINDS, Packaged, Promoted, Registered
from headgate.release import Release
from headgate.stewardship import Check
from headgate.watch import RolledBack

POLICY = "policy.toml"
FILES = (MONITORING, INCIDENTS, POLICY)
"""The files that are executed, by their names in a package."""

UNSTATED_HOURS, UNSTATED_MINUTES = 24.0, 60
"""How soon an incident is answered, and how often the plans themselves are looked at, where nobody has stated it."""


@dataclass(frozen=True)
class Mandate:
    """What one version is watched by.

    Attributes:
        plan, incidents: the digests of both plans' files.
    """

    release: str
    version: int
    policy: Policy
    monitoring: MonitoringPlan
    answering: IncidentPlan
    plan: Digest
    incidents: Digest

    @property
    def checks(self) -> tuple[Check, ...]:
        """What is watched; nothing where the policy does not say how."""
        return self.monitoring.monitoring.check if self.monitoring.monitoring else ()

    @property
    def every_minutes(self) -> int:
        """How often it is looked."""
        return self.monitoring.monitoring.every_minutes if self.monitoring.monitoring else UNSTATED_MINUTES

    def delay(self, check: Check) -> float:
        """How many days before a look the window of a check ends: outcomes are asked for when all of them are due.

        Those that come early are not like the others, so nothing is decided by them.
        """
        stated = self.monitoring.monitoring
        return stated.label_delay_days if stated and check.watches == "performance" else 0.0

    def respond_by(self, until: str) -> str:
        """Until when a person must have begun to answer what a look found that ended at a time."""
        stated = self.answering.incidents
        late = moment(until) + timedelta(hours=stated.respond_hours if stated else UNSTATED_HOURS)
        return spelled(late)

    def check(self, name: str) -> Check | None:
        """The check of that name, if the plan has it."""
        return next((check for check in self.checks if check.name == name), None)

    def steps(self, playbook: str) -> tuple[str, ...]:
        """What people do in a situation; nothing if the incident plan does not know it."""
        return next((s.steps for s in self.answering.situations if s.name == playbook), ())


def mandate(release: Release, get: Callable[[Digest], bytes]) -> Mandate:
    """The mandate of a release that was packaged.

    Args:
        get: the bytes behind a digest, verified.

    Raises:
        Tampered: the package names no such files, or they are about another version.
        BadInput: they are no such plans, or the release was not packaged.
    """
    named = _named(release, get(release.step(Packaged).package))
    monitoring = MonitoringPlan.from_bytes(get(named[MONITORING]))
    answering = IncidentPlan.from_bytes(get(named[INCIDENTS]))
    version = release.step(Registered).version
    about = {(monitoring.release, monitoring.version), (answering.release, version)}
    if about != {(release.id, version)}:
        raise _strange(release, f"plans about {sorted(about)}", f"plans about version {version}")
    policy = parse(get(named[POLICY]), f"of release {release.id}")
    return Mandate(release.id, version, policy, monitoring, answering, named[MONITORING], named[INCIDENTS])


def strayed(release: Release, listed: bytes, found: Mapping[str, bytes | None]) -> tuple[str, ...]:
    """What in a package's folder is not as it was packaged, in words; empty if the plans may be followed.

    Args:
        listed: the manifest, as evidence. found: the manifest and `FILES` as they lie in the folder; None for what is
            not there.
    """
    named = _named(release, listed)
    expected = {MANIFEST: release.step(Packaged).package, **{name: named[name] for name in FILES}}
    return tuple(_changed(expected, found))


def in_use_since(version: int, aliases: Mapping[str, int], entries: Sequence[Entry]) -> str:
    """Since when a version is in use, behind any of its aliases without a break.

    Args:
        aliases: where each alias stands after the entries, which are those of one sound ledger.

    Raises:
        BadInput: it is not in use.
    """
    kinds = (KINDS[Promoted], KINDS[RolledBack])
    times: dict[str, str] = {}
    for entry in entries:
        if entry.kind in kinds:
            times[str(entry.body["alias"])] = entry.time
    found = [times[alias] for alias, behind in aliases.items() if behind == version and alias in times]
    if not found:
        raise BadInput(
            f"version {version}", got="no alias", expected="one that is in use", next_step="see `headgate status`"
        )
    return min(found, key=moment)


def _changed(expected: Mapping[str, Digest], found: Mapping[str, bytes | None]) -> Iterable[str]:
    for name, digest in expected.items():
        data = found.get(name)
        if data is None:
            yield f"{name} is missing; {digest} was packaged"
        elif digest_of(data) != digest:
            yield f"{name} is {digest_of(data)}; {digest} was packaged"


def _named(release: Release, listed: bytes) -> dict[str, Digest]:
    files: dict[str, Digest] = json.loads(listed)["files"]
    missing = sorted(set(FILES) - set(files))
    if missing:
        raise _strange(release, f"a package without {', '.join(missing)}", f"one with {', '.join(FILES)}")
    return files


def _strange(release: Release, got: str, expected: str) -> Tampered:
    return Tampered(
        f"the plans of {release.id}", got=got, expected=expected, next_step="see `headgate verify`, or release again"
    )
