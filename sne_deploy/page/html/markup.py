"""HTML from plain text: whatever is not :class:`Html` is escaped, and no character in it is obeyed."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

from sne_deploy.text import middle_out, visible

MAX_TEXT, MAX_NAME = 2000, 200
"""Characters of one piece of text, and of what names something; a longer one loses its middle."""
_VOID = frozenset({"meta", "input", "br"})


class Html(str):
    """Markup, in which everything that came from elsewhere is escaped already."""

    __slots__ = ()


def text(value: str, length: int = MAX_TEXT) -> Html:
    """Plain text as markup: control and direction characters shown as escapes, bounded in length."""
    return Html(html.escape(visible(middle_out(value, length))))


def tag(element: str, *children: str, **attributes: str | bool | None) -> Html:
    """One element.

    Parameters
    ----------
    element : str
    *children : str or Html
        Plain text is escaped.
    **attributes : str, bool or None
        ``class_`` is ``class``, other underscores are hyphens; True is an attribute without a value, None
        and False none.
    """
    given = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{text(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if element in _VOID:
        return Html(f"<{element}{given}>")
    return Html(f"<{element}{given}>{joined(children)}</{element}>")


def joined(parts: Iterable[str]) -> Html:
    """Several pieces, one after the other."""
    return Html("".join(part if isinstance(part, Html) else text(part) for part in parts))


def named(given: str) -> Html:
    """What names something, short enough for a heading or a row."""
    return given if isinstance(given, Html) else text(given, MAX_NAME)


def value(shown: str, of: str) -> Html:
    """A number of ``report.json`` as it is shown, and its path there, such as ``ensemble.accuracy``."""
    return tag("span", shown, class_="value", data_of=of)


def table(
    caption: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    words: Sequence[int] = (0,),
    styles: Sequence[str | None] = (),
) -> Html:
    """Make a table that scrolls within itself where it is too wide; the first column names its row.

    Parameters
    ----------
    caption : str
        For who hears it, without seeing the table.
    heads : sequence of str
    rows : sequence of sequences of str
    words : sequence of int
        Columns of words; the others are numbers, and stand to the right.
    styles : sequence of str or None
        Of each row: ``sum`` stands out, ``aside`` steps back.
    """
    side = ["words" if index in words else None for index in range(len(heads))]
    head = joined(tag("th", cell, scope="col", class_=at) for cell, at in zip(heads, side, strict=True))
    body = []
    for (first, *others), style in zip_longest(rows, styles):
        cells = [tag("td", cell, class_=at) for cell, at in zip(others, side[1:], strict=True)]
        body.append(tag("tr", tag("th", named(first), scope="row", class_=side[0]), *cells, class_=style))
    inner = tag(
        "table",
        tag("caption", caption, class_="unseen"),
        tag("thead", tag("tr", head)),
        tag("tbody", *body),
    )
    return tag("div", inner, class_="scrolls", role="region", aria_label=f"Table: {caption}", tabindex="0")


def data_script(identifier: str, value: Any) -> Html:
    """JSON for the page's script, in which no name ends the element or runs."""
    content = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        content = content.replace(character, f"\\u{ord(character):04x}")
    return Html(f'<script type="application/json" id="{identifier}">{content}</script>')
