"""Part: what every table of the policy is made of, and the kinds of text that stand in it."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What a model, a stage's alias and a role may be called. MLflow itself accepts newlines, NUL and `name@alias`."""

RESERVED_ALIAS = re.compile(r"latest|v\d+", re.IGNORECASE)

_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def _plain_name(name: str) -> str:
    if not MODEL_NAME.fullmatch(name):
        raise ValueError(f"a name matches {MODEL_NAME.pattern}")
    return name


def _plain_alias(alias: str) -> str:
    if RESERVED_ALIAS.fullmatch(alias) or "." in alias:
        raise ValueError("MLflow reserves 'latest' and 'v<number>' and refuses dots: choose another alias")
    return alias


def _importable(function: str) -> str:
    if not _FUNCTION.fullmatch(function):
        raise ValueError("a function is written package.module:function")
    return function


def _ascending(ends: tuple[float, float]) -> tuple[float, float]:
    if not 0 < ends[1] - ends[0] < float("inf"):
        raise ValueError("a range is [lowest, highest], the lowest first")
    return ends


Name = Annotated[str, AfterValidator(_plain_name)]
Alias = Annotated[str, AfterValidator(_plain_name), AfterValidator(_plain_alias)]
Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1)]
Function = Annotated[str, AfterValidator(_importable)]
Range = Annotated[tuple[float, float], AfterValidator(_ascending)]
Slice = Text | Annotated[tuple[Text, ...], Field(min_length=1)]
Slices = Annotated[tuple[Slice, ...], Field(min_length=1)]


class Part(BaseModel):
    """Base of every part of the policy: frozen, strict, no unknown keys, no NaN and no infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
