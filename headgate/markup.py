"""HTML made of elements: what is no `Markup` is text, and is escaped. There is no other way in.

Control, format and bidirectional signs become visible, as they do in Markdown and in a terminal.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from headgate.markdown import plain

_VOID = frozenset(("meta", "link", "img", "br", "hr"))


class Markup(str):
    """HTML that `element` made, or a constant of the code. Never made from what people or data say."""

    __slots__ = ()


def text(value: object) -> Markup:
    """A value as text; markup stays what it is.

    >>> text("<b>"), text(Markup("<b>"))
    ('&lt;b&gt;', '<b>')
    """
    return value if isinstance(value, Markup) else Markup(html.escape(plain(value)))


def element(name: str, /, *inside: object, **attributes: object) -> Markup:
    """An element. What is None inside is left out, as is an attribute of None; True stands for its bare name.

    Args:
        name: of the element. attributes: by name, ``class_`` for ``class`` and ``data_label`` for ``data-label``.

    >>> element("a", "1 < 2", href="?a&b", class_="x")
    '<a href="?a&amp;b" class="x">1 &lt; 2</a>'
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items() if value is not None)
    end = "" if name in _VOID else f"</{name}>"
    return Markup(f"<{name}{given}>{joined(inside)}{end}")


def joined(parts: Iterable[object], between: str = "") -> Markup:
    """Parts one after the other; None is none."""
    return Markup(between.join(text(part) for part in parts if part is not None))


def listed(items: Iterable[object], *, kind: str = "ul", **attributes: object) -> Markup | None:
    """A list, one item a line; None of no items."""
    lines = [element("li", item) for item in items]
    return element(kind, Markup("\n"), joined(lines, "\n"), **attributes) if lines else None


def table(caption: object, header: Sequence[str], rows: Iterable[Sequence[object]], *, kind: str = "stack") -> Markup:
    """A table with a caption, in a frame that scrolls by itself; the first cell of a row is its heading.

    Args:
        kind: ``stack`` for one whose rows become cards on a narrow screen, ``wide`` for one that is scrolled there.
    """
    head = element("tr", *(element("th", name, scope="col") for name in header))
    body = joined((_row(header, row) for row in rows), "\n")
    made = element("table", element("caption", caption), element("thead", head), element("tbody", Markup("\n"), body))
    # Whoever has no mouse scrolls a frame by its focus, and hears what it is.
    return element("div", made, class_=f"frame {kind}", role="region", aria_label=caption, tabindex=0)


def _row(header: Sequence[str], row: Sequence[object]) -> Markup:
    first = element("th", row[0], scope="row")
    return element("tr", first, *(element("td", c, data_label=n) for n, c in zip(header[1:], row[1:], strict=True)))


def _attribute(name: str, value: object) -> str:
    key = name.rstrip("_").replace("_", "-")
    return f" {key}" if value is True else f' {key}="{html.escape(plain(value))}"'
