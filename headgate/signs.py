"""Signs of a report: a state as a coloured word, a time, and facts with their names."""

from __future__ import annotations

from collections.abc import Iterable

from headgate.chronicle import clock
from headgate.markup import Markup, element, joined

TONES = {"PASS": "good", "INCONCLUSIVE": "warn", "ERROR": "bad", "FAIL": "bad", "now": "bad", "soon": "warn"}
"""The colour of a word. It is never the only sign: the word stands there."""

_SIGNS = {"good": "✓ ", "warn": "! ", "bad": "✕ "}


def chip(word: str, tone: str | None = None) -> Markup:
    """A word that stands for a state, with its colour."""
    chosen = TONES.get(word, "") if tone is None else tone
    sign = _SIGNS.get(chosen)
    shown = element("span", Markup(sign), aria_hidden="true") if sign else None
    return element("span", shown, word, class_=f"chip {chosen}".strip())


def when(time: str | None, without: str = "") -> Markup | str:
    """A time of the ledger, for people and for programs."""
    return without if time is None else element("time", clock(time), datetime=time)


def described(facts: Iterable[tuple[str, object]]) -> Markup:
    """Facts, each with its name."""
    return element("dl", *(joined((element("dt", name), element("dd", said))) for name, said in facts))
