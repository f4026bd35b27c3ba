"""Text for pages: tables, and values from people and data that must stay text wherever they are shown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

_MARKUP = re.compile(r"([\\`*_\[\]|~])")
_LINE_START = re.compile(r"^(?:[-+=#](?![\w.])|[0-9]{1,9}(?=[.)](?:\s|$)))")


def plain(value: object) -> str:
    r"""A value as one line of visible characters: for terminals.

    Line breaks become blanks; control, format and bidirectional signs, surrogates and what Unicode does not define
    become U+FFFD.

    >>> plain("a\nb\x1b[31m")
    'a b�[31m'
    """
    shown = " ".join(str(value).splitlines())
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in shown)


def escaped(value: object) -> str:
    r"""A value as Markdown text that means nothing but itself, in a cell or at the start of a paragraph.

    A bare web address may still become a link to what it says.

    >>> escaped("<b>*x*|y")
    '&lt;b&gt;\\*x\\*\\|y'
    >>> escaped("1. x"), escaped("# x"), escaped(-1.5)
    ('1\\. x', '\\# x', '-1.5')
    """
    text = _MARKUP.sub(r"\\\1", html.escape(plain(value).strip(), quote=False))
    start = _LINE_START.match(text)
    if start is None:
        return text
    # A number at the start is harmless without its dot, any other sign without itself.
    at = start.end() if text[0].isdigit() else 0
    return f"{text[:at]}\\{text[at:]}"


def fenced(text: str) -> str:
    r"""Text of several lines as it is, to be copied; whatever fences it contains itself.

    >>> fenced("a ``` b")
    '````text\na ``` b\n````'
    """
    longest = max((len(found) for found in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def bullets(items: Iterable[object]) -> str:
    """A Markdown list below a line of text, each item after a line break; nothing for no items. Items are escaped."""
    return "".join(f"\n- {escaped(item)}" for item in items)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; every cell is escaped."""
    lines = [header, ["---"] * len(header)]
    cells = [[str(c) for c in line] for line in lines] + [[escaped(c) for c in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
