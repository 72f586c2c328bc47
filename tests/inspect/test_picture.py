"""The picture: valid, the same every time, and text that fits whatever it says."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.inspect.picture import FONT_SIZE, Box, Link, graph_picture, text_width
from tests.effort import examples

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    "</text><script>alert(1)</script>",
    '" onload="alert(1)',
    "a&b;<!--",
    "]]>",
    "\x00\x1b[31mred\x07",
    "\u202eright to left",
    "\ud800",
    "new\nline\ttab",
    "名前" * 30,
    "x" * 500,
]


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314  what was just made here


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in parsed(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text_and_nothing_else(name: str) -> None:
    svg = graph_picture(name, [Box(name, (name,), "map"), Box("b", (), "port")], [Link(name, "b", name)])
    root = parsed(svg)
    svg.encode("utf-8")
    known = {"svg", "title", "defs", "marker", "path", "rect", "text", "g"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= known
    assert not any(key.startswith("on") for element in root.iter() for key in element.attrib)
    shown = [text for text in texts(svg) if text]
    assert all(text.isprintable() for text in shown)
    assert max(map(len, shown)) <= 96


@given(st.lists(st.text(max_size=60), min_size=1, max_size=6, unique=True))
@settings(max_examples=examples(100))
def test_any_text_makes_a_document(names: list[str]) -> None:
    boxes = [Box(name, (name, name), "neurons") for name in names]
    links = [Link(a, b, a) for a, b in pairwise(names)]
    svg = graph_picture("title", boxes, links)
    assert len(list(parsed(svg).iter(f"{SVG}g"))) == len(names)
    assert svg == graph_picture("title", boxes, links)


def test_the_whole_of_a_long_name_is_in_the_tooltip() -> None:
    name = "layer." * 20
    svg = graph_picture("t", [Box(name, (), "map")], [])
    assert any(element.text == name for element in parsed(svg).iter(f"{SVG}title"))
    assert any(text.endswith("…") for text in texts(svg))


def test_arrows_that_carry_the_step_before_are_dashed() -> None:
    svg = graph_picture("t", [Box("a", (), "neurons")], [Link("a", "a", "loop", dashed=True)])
    assert svg.count("stroke-dasharray") == 1
    assert "loop" in texts(svg)


def test_nothing_is_loaded_from_elsewhere() -> None:
    svg = graph_picture("t", [Box("a", ("b",), "map")], [])
    assert re.findall(r"https?://[^\"]*", svg) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"href|url\((?!#head\))|@import|<image|<style", svg)


@pytest.mark.parametrize("bold", [False, True])
def test_text_is_never_wider_than_its_box(bold: bool) -> None:
    """Measured in DejaVu Sans, the widest of the fonts that viewers fall back to."""
    matplotlib = pytest.importorskip("matplotlib", reason="measures text with matplotlib's font")
    from matplotlib.ft2font import FT2Font

    size = 100
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    font = FT2Font(f"{matplotlib.get_data_path()}/fonts/ttf/{name}")
    font.set_size(size, 72)
    for code in [*range(32, 127), ord("…")]:
        real = font.load_char(code).linearHoriAdvance / 2**16 / size * FONT_SIZE
        assert text_width(chr(code), FONT_SIZE, bold=bold) >= real, chr(code)
