"""The verdicts as a picture: one line per comparison, with its interval and its limit, as SVG.

A forest plot, as in meta-analysis (Lewis and Clarke, BMJ 2001): the square is the value, the bar its one-sided bounds.
Every comparison is drawn on its own scale, since metrics have different units; the limit is the vertical tick.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator

from headgate.card import confidence
from headgate.judgement import Judged, Judgement
from headgate.markdown import plain
from headgate.verdict import Verdict

_COLOUR = {
    Verdict.PASS: "#2e7d32",
    Verdict.INCONCLUSIVE: "#b26a00",
    Verdict.ERROR: "#5f6368",
    Verdict.FAIL: "#c62828",
}
_ROW, _LEFT, _PLOT, _WIDTH, _TOP = 22, 430, 330, 980, 64
_NAME = 64
"""The most characters of a name that fit left of the plot; the whole name is in the hint."""


def forest(judged: Judged, *, title: str) -> str:
    """An SVG document of all judgements, the worst first."""
    rows = sorted(judged.judgements, key=lambda j: (-j.verdict, j.gate))
    height = _TOP + _ROW * len(rows) + 16
    body = "\n".join(line for n, j in enumerate(rows) for line in _row(j, _TOP + _ROW * n))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="sans-serif" font-size="12" role="img">\n<rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="16" y="26" font-size="17" font-weight="bold">{_text(title)}</text>\n'
        f'<text x="16" y="46" fill="#5f6368">square: value; bar: one-sided bounds at {confidence(judged)}; '
        f"tick: the limit. Each row has its own scale.</text>\n{body}\n</svg>\n"
    )


def _row(j: Judgement, y: int) -> Iterator[str]:
    colour = _COLOUR[j.verdict]
    name = j.gate if j.slice == "all" else f"{j.gate} · {j.slice}"
    hint = f"<title>{_text(f'{name}: {j.reason}')}</title>"
    yield f'<text x="16" y="{y + 4}">{hint}{_text(name[:_NAME])}</text>'
    yield f'<text x="{_LEFT + _PLOT + 20}" y="{y + 4}" fill="{colour}" font-weight="bold">{j.verdict.name}</text>'
    yield from _interval(j, y, colour)


def _interval(j: Judgement, y: int, colour: str) -> Iterator[str]:
    if j.value is None:
        return
    known = [x for x in (j.value, j.lower, j.upper) if x is not None and math.isfinite(x)]
    limits = [x for x in (j.floor, j.ceiling) if x is not None]
    ends = min(known + limits), max(known + limits)
    low, high = _place(j.lower, ends, open_at=_LEFT), _place(j.upper, ends, open_at=_LEFT + _PLOT)
    value = _place(j.value, ends, open_at=_LEFT)
    yield f'<line x1="{low}" x2="{high}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>'
    yield f'<rect x="{value - 4}" y="{y - 4}" width="8" height="8" fill="{colour}"/>'
    for limit in (_place(x, ends, open_at=_LEFT) for x in limits):
        yield f'<line x1="{limit}" x2="{limit}" y1="{y - 8}" y2="{y + 8}" stroke="black" stroke-width="1.5"/>'
    yield f'<text x="{_LEFT + _PLOT + 120}" y="{y + 4}" fill="#5f6368">{j.value:.4g} / {j.limit:.4g}</text>'


def _place(x: float | None, ends: tuple[float, float], *, open_at: float) -> float:
    # A bound that is not known, or infinite, runs to the edge of the plot.
    if x is None or not math.isfinite(x):
        return open_at
    # Halved, because the distance of two large numbers may be infinite.
    low, high = ends[0] / 2, ends[1] / 2
    return round(_LEFT + _PLOT * (0.06 + 0.88 * (x / 2 - low) / ((high - low) or 1.0)), 1)


def _text(value: str) -> str:
    return html.escape(plain(value))
