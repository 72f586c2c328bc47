"""Whatever text is given, it stays text."""

from __future__ import annotations

import json
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from sne_deploy.page.html.markup import MAX_TEXT, data_script, table, tag
from sne_deploy.text import middle_out, visible

HOSTILE = st.text(max_size=40) | st.sampled_from(
    ["</script><script>alert(1)</script>", "\u2028\u202e<b>", '"onload="x', "&lt;", "\x00\x1b[0m", "<!--"]
)


class Read(HTMLParser):
    """What a browser would make of markup: elements with their attributes, and all text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def as_shown(text: str) -> str:
    return visible(middle_out(text, MAX_TEXT))


@given(HOSTILE, HOSTILE)
def test_text_and_attributes_stay_text(text: str, attribute: str) -> None:
    read = Read(tag("p", text, aria_label=attribute))
    assert read.elements == [("p", {"aria-label": as_shown(attribute)})]
    assert read.text == as_shown(text)


@given(st.lists(st.tuples(HOSTILE, HOSTILE), max_size=3))
def test_a_table_has_one_cell_for_each_text(rows: list[tuple[str, str]]) -> None:
    read = Read(table("all", ("name", "number"), rows))
    names = [name for name, _ in read.elements]
    assert (names.count("th"), names.count("td")) == (2 + len(rows), len(rows))
    assert set(names) <= {"div", "table", "caption", "thead", "tbody", "tr", "th", "td"}


@given(st.recursive(HOSTILE | st.integers() | st.none(), lambda each: st.lists(each, max_size=3)))
def test_data_comes_back_and_ends_no_element(data: object) -> None:
    script = data_script("data", data)
    inner = script.removeprefix('<script type="application/json" id="data">').removesuffix("</script>")
    assert json.loads(inner) == data
    assert not set(inner) & set("<>&")
    assert inner.isascii()
