"""What is recorded about the stages of a rollout: what people agreed to, and that a stage has soaked."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from headgate.record import Record


class Terms(Record):
    """A stage of the rollout, as the people who are asked agree to it.

    Attributes:
        audience: per attribute the values that belong to it; empty for everybody. share: of the audience, in [0, 1].
        soak_minutes, min_requests: how long it lasts, and how much it answers, before the next stage may begin.
        roles: the quorum that this stage needs for itself, once the stage before has soaked; empty for none.
    """

    name: str
    alias: str
    audience: dict[str, tuple[str, ...]]
    share: float
    soak_minutes: float
    min_requests: int
    roles: dict[str, Annotated[int, Field(ge=1)]]

    @property
    def who(self) -> str:
        """Whom it serves, in words."""
        groups = " and ".join(f"{name} {' or '.join(values)}" for name, values in sorted(self.audience.items()))
        return f"{100 * self.share:.4g}% of {groups or 'everybody'}" if self.share < 1 else groups or "everybody"


class Soaked(Record):
    """A stage lasted as long, and answered as much, as the policy demands before the next one.

    Attributes:
        minutes: since the alias was moved. requests: that were answered there by the version, as the router wrote down.
    """

    stage: str
    minutes: float
    requests: int
