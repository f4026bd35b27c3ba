"""The verdicts as a picture: one line per comparison, with its interval and its limit, as SVG.

A forest plot, as in meta-analysis (Lewis and Clarke, BMJ 2001): the square is the value, the bar its one-sided bounds.
The comparisons of a gate share a scale, so that groups can be compared by eye; gates do not, since metrics have
different units, nor do scenarios, since each has a limit of its own. The numbers stand beside the plot.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterator, Sequence

from headgate.card import confidence, demand, picture
from headgate.judgement import Judged, Judgement
from headgate.markdown import plain
from headgate.slices import ALL
from headgate.verdict import Verdict

_COLOUR = {
    Verdict.PASS: "#2e7d32",
    Verdict.INCONCLUSIVE: "#b26a00",
    Verdict.ERROR: "#5f6368",
    Verdict.FAIL: "#c62828",
}
# As wide as the description of a version in MLflow, which does not shrink a picture.
_ROW, _LEFT, _PLOT, _WIDTH, _TOP = 22, 256, 196, 838, 92
_NUMBERS, _LIMIT, _VERDICT = _LEFT + _PLOT + 12, 676, 738
_NAME = 38
"""The most characters of a name that fit left of the plot; the whole name is in the hint."""

_Ends = tuple[float, float]


def forest(judged: Judged, *, title: str) -> str:
    """An SVG document of all judgements by gate, the worst gate first and in it the worst comparison."""
    body = [line for n, row in enumerate(_rows(judged)) for line in _drawn(row, _TOP + _ROW * n)]
    height = _TOP + _ROW * sum(1 for _ in _rows(judged))
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
            f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12" role="img">',
            '<rect width="100%" height="100%" fill="white"/>',
            f'<text x="16" y="26" font-size="17" font-weight="bold">{_text(title)}</text>',
            f'<text x="16" y="46" fill="#5f6368">Square: value; bar: one-sided bounds at {confidence(judged)}; arrow: '
            "unbounded; tick: limit; shaded: allowed. The comparisons of a gate share a scale.</text>",
            *_said(_TOP - _ROW, "gate", ("value (bounds)", "allowed", "verdict"), "#5f6368"),
            *body,
            "</svg>\n",
        )
    )


_Row = tuple[str, str, Judgement | None, _Ends]
"""A name, its hint, what is drawn beside it (nothing beside a heading), and the ends of the scale."""


def image(svg: str) -> str:
    """The picture within a Markdown page, for where no file can stand beside it."""
    return picture(f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}")


def _rows(judged: Judged) -> Iterator[_Row]:
    gates: dict[str, list[Judgement]] = {}
    for j in sorted(judged.judgements, key=lambda j: -j.verdict):
        gates.setdefault(j.gate, []).append(j)
    for gate, each in gates.items():
        if len(each) > 1:
            yield gate, gate, None, (0.0, 0.0)
        for j in each:
            alone = gate if j.slice == ALL else f"{gate} · {j.slice}"
            name = alone if len(each) == 1 else f"    {j.slice}"
            yield name, f"{alone}: {j.reason}", j, _ends([j] if j.form == "scenarios" else each)
    for omitted in judged.omitted:
        yield f"{omitted.gate}: not judged", f"{omitted.gate}: {omitted.reason}", None, (0.0, 0.0)


def _drawn(row: _Row, y: int) -> Iterator[str]:
    name, hint, j, ends = row
    if j is not None:
        yield from _band(j, y, ends)
    shown = name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
    x = 16 + 4 * (len(name) - len(name.lstrip()))
    # A picture in the picture clips what is wider than expected.
    yield f'<svg y="{y - 11}" width="{_LEFT - 8}" height="{_ROW}">'
    yield f'<text x="{x}" y="15"><title>{_text(hint)}</title>{_text(shown.strip())}</text></svg>'
    if j is not None:
        yield from _interval(j, y, ends)
        yield from _said(y, "", (_figures(j), demand(j), j.verdict.name), _COLOUR[j.verdict])


def _said(y: int, name: str, figures: tuple[str, str, str], colour: str) -> Iterator[str]:
    texts = zip((16, _NUMBERS, _LIMIT, _VERDICT), (name, *figures), strict=True)
    for x, text in texts:
        bold = f' fill="{colour}" font-weight="bold"' if x == _VERDICT and not name else ' fill="#5f6368"'
        if text:
            yield f'<text x="{x}" y="{y + 4}"{bold}>{_text(text)}</text>'


def _figures(j: Judgement) -> str:
    if j.value is None:
        return "not measured"
    lower, upper = ("unbounded" if x is None else f"{x:.4g}" for x in (j.lower, j.upper))
    return f"{j.value:.4g}" if lower == upper == f"{j.value:.4g}" else f"{j.value:.4g} ({lower} to {upper})"


def _band(j: Judgement, y: int, ends: _Ends) -> Iterator[str]:
    low, high = _place(j.floor, ends, open_at=_LEFT), _place(j.ceiling, ends, open_at=_LEFT + _PLOT)
    if j.value is not None:
        yield f'<rect x="{low}" y="{y - 9}" width="{round(max(high - low, 0), 1)}" height="18" fill="#eef4ee"/>'


def _interval(j: Judgement, y: int, ends: _Ends) -> Iterator[str]:
    if j.value is None:
        return
    colour, right = _COLOUR[j.verdict], _LEFT + _PLOT
    low, high = _place(j.lower, ends, open_at=_LEFT), _place(j.upper, ends, open_at=right)
    value = _place(j.value, ends, open_at=_LEFT)
    yield _line(low, y, high, y, colour, 2)
    yield f'<rect x="{value - 4}" y="{y - 4}" width="8" height="8" fill="{colour}"/>'
    for limit in (_place(x, ends, open_at=_LEFT) for x in _limits(j)):
        yield _line(limit, y - 9, limit, y + 9, "black", 1.5)
    for end, known, inward in ((_LEFT, j.lower, 6), (right, j.upper, -6)):
        if known is None:
            yield from (_line(end, y, end + inward, y + side, colour, 2) for side in (-4, 4))


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float) -> str:
    return f'<line x1="{x1}" x2="{x2}" y1="{y1}" y2="{y2}" stroke="{colour}" stroke-width="{width}"/>'


def _limits(j: Judgement) -> list[float]:
    return [x for x in (j.floor, j.ceiling) if x is not None]


def _ends(each: Sequence[Judgement]) -> _Ends:
    numbers = [x for j in each for x in (j.value, j.lower, j.upper, *_limits(j)) if x is not None and math.isfinite(x)]
    return min(numbers, default=0.0), max(numbers, default=0.0)


def _place(x: float | None, ends: _Ends, *, open_at: float) -> float:
    # A bound that is not known, or infinite, runs to the edge of the plot.
    if x is None or not math.isfinite(x):
        return open_at
    # Halved, because the distance of two large numbers may be infinite.
    low, high = ends[0] / 2, ends[1] / 2
    return round(_LEFT + _PLOT * (0.06 + 0.88 * (x / 2 - low) / ((high - low) or 1.0)), 1)


def _text(value: str) -> str:
    return html.escape(plain(value))
