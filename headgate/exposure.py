"""Exposure: the parts of a policy about who is served a new version, and when."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from headgate.part import Alias, Name, Part, Share


class Stage(Part):
    """One step of the rollout.

    Attributes:
        alias: in MLflow's registry, of the version that this stage is served.
        audience: who is in it: per attribute of a request the values that belong; everybody if there is none.
        share: of the audience, by a bucket that keeps a subject where it is.
        soak_minutes, min_requests: how long it lasts, and how much it must answer, before the next stage.
        needs: the roles that agree to this stage for itself, once the one before has soaked: one person each, or as
            many as are said (`{ risk = 2 }`). Of the first stage they are asked with all others.
    """

    name: Name
    alias: Alias
    audience: dict[str, tuple[str, ...]] = Field(default={})
    share: Share = 1.0
    soak_minutes: Annotated[float, Field(ge=0)] = 0
    min_requests: Annotated[int, Field(ge=0)] = 0
    needs: tuple[Name, ...] | dict[Name, Annotated[int, Field(ge=1, le=20)]] = ()

    @property
    def quorum(self) -> dict[str, int]:
        """How many people per role it needs for itself."""
        return dict(self.needs) if isinstance(self.needs, dict) else dict.fromkeys(self.needs, 1)


class Rollout(Part):
    """The stages in order; the last one's alias is what the world is served."""

    stage: Annotated[tuple[Stage, ...], Field(min_length=1)]
