"""The monitor on a released model: real packages, a real registry, and telemetry as a router writes it."""

from __future__ import annotations

from watched import Street, outcomes, people, street, verdicts, watched_toy

from tasks.audit import audit_all
from tasks.monitor import look_at

__all__ = ["street", "watched_toy"]


def look(street: Street, **more):
    return look_at(street.toy.home, street.toy.name, **more)


def test_a_healthy_version_passes_every_check(street: Street) -> None:
    now, then = people(), people(seed=12, first=600_000)
    street.write("requests", street.serve(now))
    street.write("requests", street.serve(then, hours=2 * 24 + 1))
    street.write("outcomes", outcomes(then))
    watched = look(street)
    (one,) = watched.looks
    assert verdicts(one.vigil) == dict.fromkeys(one.vigil.checks, "PASS")
    assert watched.done == ()
    found = audit_all(street.toy.home)[street.toy.name]
    assert found.anomalies == ()
