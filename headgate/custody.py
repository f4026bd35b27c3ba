"""Custody: which aliases somebody else moved, what is done about it, and where an alias can go back to.

The registry takes any alias write from anyone who may write to it, keeps no history and no author. So the ledger says
where an alias belongs, and whatever else the registry shows is an incident: put back, or frozen for a person, as the
policy says. An alias that is moved again and again is frozen in any case: two writers that correct each other forever
serve nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from headgate.entry import moment
from headgate.errors import BadInput
from headgate.oversight import Guard
from headgate.standing import State
from headgate.watch import Incident

_WINDOW = timedelta(hours=1)


@dataclass(frozen=True)
class Target:
    """The version that an alias would be put back to, as the registry has it.

    Attributes:
        exists: whether the registry still has the version. changed: its files that are not as they were registered.
    """

    exists: bool = True
    changed: tuple[str, ...] = ()

    @property
    def fault(self) -> str | None:
        """Why it must not be served; None if it may."""
        if not self.exists:
            return "it was deleted from the registry"
        return f"its files have changed: {', '.join(self.changed)}" if self.changed else None


def moved(state: State, shown: Mapping[str, int | None]) -> dict[str, int | None]:
    """The aliases that are not where the ledger has them, with what is shown, and for which no incident is open.

    Args:
        shown: the version behind each alias to look at, as the registry shows it; None for none. An alias that an open
            intention is about may be where it was or where it goes.
    """
    return {a: v for a, v in shown.items() if a not in state.disputed and v not in state.places(a)}


def incident(state: State, alias: str, shown: int | None, guard: Guard, target: Target, at: str) -> Incident:
    """The incident of a moved alias, and the response that it gets.

    Args:
        target: the version that the ledger has for it. at: RFC 3339 time in UTC.
    """
    recorded = state.aliases.get(alias)
    response, why = guard.response, "as the policy says"
    recent = [t for t in state.restores.get(alias, ()) if moment(at) - moment(t) < _WINDOW]
    if recorded is not None and target.fault is not None:
        response, why = "freeze", f"version {recorded} cannot be served: {target.fault}"
    elif len(recent) >= guard.max_restores_per_hour:
        response, why = "freeze", f"it was moved {len(recent)} times within an hour"
    return Incident(alias=alias, recorded=recorded, shown=shown, response=response, why=why)


def retreat(state: State, alias: str, wanted: int | None, targets: Mapping[int, Target]) -> int | None:
    """The version that a rollback of `alias` goes to: the wanted one, or the newest earlier one that can be served.

    None, to take the alias away, where there is none and a later stage serves those who are in this one.

    Args:
        targets: every version that the alias can go back to, as the registry has it.

    Raises:
        BadInput: there is none; with what is wrong with each.
    """
    behind = state.behind.get(alias, ())
    candidates = [v for v in reversed(behind) if wanted in (None, v)]
    sound = [v for v in candidates if v in targets and targets[v].fault is None]
    if sound:
        return sound[0]
    if wanted is None and state.is_early(alias):
        return None
    faults = "; ".join(f"version {v}: {targets[v].fault if v in targets else 'not looked at'}" for v in candidates)
    raise BadInput(
        f"rollback of '{alias}' of {state.model}" + ("" if wanted is None else f" to version {wanted}"),
        got=faults or f"{'nothing' if not behind else 'versions ' + ', '.join(map(str, behind))} to go back to",
        expected="a version that the alias had before the present one, in the registry with the bytes that were judged",
        next_step=f"see `headgate history {state.model}`; what never was live, or was rolled back, needs a release",
    )
