from __future__ import annotations

import doctest
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from headgate import markdown
from headgate.markdown import escaped, plain, table

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
NASTY = [
    "|", "||", "\\|", "\\\\|", "a | b", "<b>", "<script>alert(1)</script>", "&lt;", "&amp;amp;", "`x`", "``", "*x*",
    "_x_", "__x__", "[a](javascript:alert(1))", "![a](b)", "~~x~~", "# x", "## x", "- x", "+ x", "* x", "1. x", "1) x",
    "> x", "---", "===", "***", "    x", "\tx", "<!-- x", "\\", "\\\\", "a\\", "a\nb", "a\r\nb", "\x1b[31m", "\u202e",
    "\x85", "\u2028", "| --- |", "\0", "\ufeff", "\U000e0041", "\u061c", "\u00ad", "\ud800", "x\\\n|", "-1.5",
    "1.5", "=",
]  # fmt: skip
TEXT = st.one_of(
    st.text(st.characters()), st.text(st.sampled_from("|\\`*_[]()~<>&#-+=!1. \nab")), st.sampled_from(NASTY)
)


def text_of(tokens: list[Token] | None) -> str:
    """What a reader sees of inline tokens; anything but text is told by its kind."""
    return "".join(
        t.content if t.type in ("text", "text_special") else "\n" if t.type == "softbreak" else f"<{t.type}>"
        for t in tokens or []
    )


def seen(value: str) -> str:
    # Blanks at the ends of a cell are layout.
    return plain(value).strip()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(TEXT)
def test_plain_is_one_line_of_visible_signs(value):
    shown = plain(value)
    assert shown.isprintable()
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)
    assert plain(shown) == shown
    shown.encode()


@pytest.mark.parametrize(
    "sign",
    [
        *map(chr, [*range(32), 0x7F, *range(0x80, 0xA0)]), *map(chr, range(0x200B, 0x2010)),
        *map(chr, range(0x2028, 0x202F)), *map(chr, range(0x2060, 0x2070)),
        "\u061c", "\u00ad", "\ufeff", "\ufff9", "\uffff", "\U000e0041", "\ud800",
    ],
    ids=ascii,
)  # fmt: skip
def test_no_control_or_bidirectional_sign_survives(sign):
    assert sign not in plain(f"a{sign}b")
    assert sign not in escaped(f"a{sign}b")
    assert plain(f"a{sign}b")[0] + plain(f"a{sign}b")[-1] == "ab"


@pytest.mark.parametrize("text", ["Größe", "東京", "½ – ≥ “x”", "ana@example.org", "a b", "🙂"])
def test_plain_leaves_what_is_visible(text):
    assert plain(text) == text


@settings(max_examples=400, deadline=None, derandomize=True)
@given(TEXT)
@example("<b>|")
def test_escaped_means_nothing_but_itself(value):
    made = escaped(value)
    assert "<" not in made
    assert "\n" not in made
    paragraph = PARSER.parse(made)
    if not seen(value):
        assert paragraph == []
        return
    assert [t.type for t in paragraph] == ["paragraph_open", "inline", "paragraph_close"]
    assert text_of(paragraph[1].children) == seen(value)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.lists(TEXT, min_size=3, max_size=3), max_size=4))
def test_a_table_keeps_its_cells_whatever_is_in_them(rows):
    tokens = PARSER.parse(table(("a", "b", "c"), rows))
    assert tokens[0].type == "table_open"
    assert tokens[-1].type == "table_close"
    assert [t.type for t in tokens if t.level == 0] == ["table_open", "table_close"]
    cells = [text_of(t.children) for t in tokens if t.type == "inline"]
    assert cells == ["a", "b", "c", *(seen(cell) for row in rows for cell in row)]


@pytest.mark.parametrize("value", NASTY)
def test_no_bare_pipe_or_tag(value):
    made = escaped(value)
    assert "<" not in made
    at = [i for i, c in enumerate(made) if c == "|"]
    for i in at:
        before = made[:i]
        assert (len(before) - len(before.rstrip("\\"))) % 2 == 1, "an odd number of backslashes escapes it"


def test_values_that_are_no_text():
    assert escaped(None) == "None"
    assert escaped(-1.5) == "-1.5"
    assert escaped({"a_b": 1}) == "{'a\\_b': 1}"


def test_the_examples_in_the_code_are_true():
    assert doctest.testmod(markdown).failed == 0
    assert doctest.testmod(markdown).attempted == 4
