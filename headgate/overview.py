"""The overview: one page with a line for each model, which leads to the model's report."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from headgate.canonical import digest_of
from headgate.display import prefix_of
from headgate.errors import HeadgateError
from headgate.facts import Facts, facts
from headgate.ledger import Anomaly, Ledger
from headgate.markup import element, joined, table
from headgate.report import MAKER, document, metas, standing
from headgate.reported import untimely
from headgate.risks import risks
from headgate.signs import chip, when
from headgate.state import fold
from headgate.subject import Read

INDEX = "index.html"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_WORDS = {"good": "in order", "warn": "look", "bad": "act now"}
_BROKEN = "-"
"""In the place of size, head and time: of a model whose records cannot be read."""


@dataclass(frozen=True)
class Line:
    """What the overview says of a model.

    Attributes:
        ledger, made: size and head of the ledger that it was made from, and when; None if that cannot be read.
        stands: where the model stands, in sentences, each with its tone.
    """

    model: str
    ledger: str | None
    made: str | None
    stands: tuple[tuple[str, str], ...]


def line(told: Facts) -> Line:
    """The line of a model."""
    return Line(told.model, f"{told.size} {told.head}", told.made, tuple(standing(told, risks(told))))


def broken(model: str) -> Line:
    """The line of a model that nothing can be said about."""
    said = "Its records cannot be read. That is no good sign: `headgate audit` says what is wrong."
    return Line(model, None, None, (("bad", said),))


def overview(lines: Sequence[Line]) -> bytes:
    """The page, as one HTML file like the reports."""
    meta = [("headgate.ledger", f"{each.model} {each.ledger or _BROKEN} {each.made or _BROKEN}") for each in lines]
    header = element(
        "header",
        element("p", "Headgate report", class_="kicker"),
        element("h1", "All models"),
        element("p", "Each name leads to the model's own page, which may be newer.", class_="note"),
    )
    none = element("p", "Nothing was released yet: there is no model to report.")
    rows = [_row(each) for each in lines]
    body = table("What stands about each model", ("model", "state", "in words", "as of"), rows) if rows else none
    footer = element("footer", f"Models: {len(lines)}. ", MAKER)
    return document("All models", meta, joined((header, element("main", body), footer), "\n"))


def _row(each: Line) -> tuple[object, ...]:
    order = list(_WORDS)
    tone = max((tone for tone, _ in each.stands), key=order.index, default="bad")
    said = joined((element("p", said) for _, said in each.stands))
    name = element("a", each.model, href=f"{each.model}.html")
    return (name, chip(_WORDS[tone], tone), said, when(each.made, "not known"))


def misindexed(data: bytes, ledgers: Mapping[str, Ledger], read: Read) -> Iterator[Anomaly]:
    """What an overview says otherwise than the ledgers that it names had it.

    Args:
        ledgers: all that there are, checked. read: the evidence behind a digest.
    """
    told = [value.split(" ") for name, value in metas(data) if name == "headgate.ledger"]
    try:
        due = overview([_again(ledgers, read, *each) for each in told])
    except (HeadgateError, ValueError, TypeError, KeyError) as error:
        yield _other(f"{type(error).__name__}: {error}", "ledgers that these go on from, each with a time")
        return
    if data != due:
        expected = f"{digest_of(due)}, as {MAKER} renders it; `headgate report` makes it again"
        yield _other(f"{digest_of(data)}", expected)


def _again(ledgers: Mapping[str, Ledger], read: Read, model: str, size: str, *rest: str) -> Line:
    if (size, *rest) == (_BROKEN, _BROKEN) and _NAME.fullmatch(model):
        return broken(model)
    head, made = rest
    known = prefix_of(f"{size} {head}", ledgers[model])
    wrong = ["another ledger"] if known is None else [got for got, _ in untimely(made, ledgers[model], known)]
    if known is None or wrong:
        raise ValueError(f"{model!r:.100}: {'; '.join(wrong)}")
    ledger = ledgers[model].at(known)
    return line(facts(ledger, fold(model, ledger.entries), read, made))


def _other(got: str, expected: str) -> Anomaly:
    return Anomaly("other_report", -1, f"reports/{INDEX}: {got}", expected)
