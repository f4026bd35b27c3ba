"""The board: the router's own page, which says who is served what, and what is in the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headgate.exposure import Stage
from headgate.flags import BUCKETS, Route, below
from headgate.markup import Markup, element, joined, table
from headgate.report import MAKER, document
from headgate.signs import chip, when

_STATES = {"ready": "good", "not asked yet": "none", "refused": "bad"}


@dataclass(frozen=True)
class Seat:
    """One model as the board shows it.

    Attributes:
        route: who is served what; None where nothing is live.
        states: of each version: `ready`, `not asked yet` or `refused`.
        troubles: what is in the way, in words.
    """

    model: str
    route: Route | None
    states: dict[int, str]
    troubles: tuple[str, ...]


def board(seats: Sequence[Seat], troubles: Sequence[str], made: str) -> bytes:
    """The page.

    Args:
        troubles: what is in the way of all models.
    """
    header = element(
        "header",
        element("p", "Headgate router", class_="kicker"),
        element("h1", "Who is served what"),
        element("p", "As of ", when(made), ", from the ledgers; flags that say otherwise are written again."),
        _troubles(troubles),
    )
    none = element("p", "Nothing was released yet: there is nothing to serve.")
    body = joined((_seat(each) for each in seats), "\n") if seats else none
    footer = element("footer", f"Models: {len(seats)}. ", MAKER)
    return document("Who is served what", (), joined((header, element("main", body), footer), "\n"))


def _seat(seat: Seat) -> Markup:
    rows = [] if seat.route is None else _rows(seat, seat.route)
    header = ("stage", "version", "who", "state")
    shown = table(f"{seat.model}: the first stage that fits serves", header, rows) if rows else None
    nothing = None if rows else element("p", "No version of it is live: nobody is served.")
    return element("section", element("h2", seat.model), _troubles(seat.troubles), shown, nothing)


def _rows(seat: Seat, route: Route) -> list[tuple[object, ...]]:
    served, last = route.served, route.stages[-1].name
    return [
        _row(stage, served[stage.name], seat.states, stage.name == last)
        for stage in route.stages
        if stage.name in served
    ]


def _row(stage: Stage, version: int, states: dict[int, str], last: bool) -> tuple[object, ...]:
    state = states.get(version, "not asked yet")
    return (stage.name, version, "everybody else" if last else _who(stage), chip(state, _STATES[state]))


def _who(stage: Stage) -> str:
    groups = [f"{name}: {' or '.join(values) or 'nobody'}" for name, values in sorted(stage.audience.items())]
    share = f"{below(stage.share) * 100 / BUCKETS:.4g}% of {'them' if groups else 'all'}"
    return "; ".join((*groups, *([share] if stage.share < 1 else [])) or ("everybody",))


def _troubles(found: Sequence[str]) -> Markup | None:
    return element("ul", *(element("li", said, class_="bad") for said in found), class_="stand") if found else None
