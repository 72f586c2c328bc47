"""A graph as an SVG picture: one file that needs nothing else, the same bytes for the same graph.

Names come from files: they are escaped, and a long one is cut, with the whole of it in its tooltip.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal
from xml.sax.saxutils import escape

from sne_deploy.inspect.drawing import Arrow, Drawing, Point, arrange
from sne_deploy.report.units import printable

BoxKind = Literal["port", "map", "neurons", "readout", "delay", "unknown"]

FONT = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
FONT_SIZE = 12.0
LABEL_SIZE = 10.5
LINE = 16.0
PADDING_X, PADDING_Y = 12.0, 8.0
MARGIN = 16.0
NAME_LENGTH, TEXT_LENGTH = 36, 48
"""Characters that are shown of a name, and of another line."""
_COLOURS: dict[BoxKind, tuple[str, str]] = {
    "port": ("#f3f3f3", "#666666"),
    "map": ("#e6effa", "#35689f"),
    "neurons": ("#e4f3e3", "#37773a"),
    "readout": ("#f1e8f7", "#75479a"),
    "delay": ("#fdf2dc", "#a8761a"),
    "unknown": ("#fde8e6", "#a8322a"),
}
_HEAD = """<marker id="head" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8"
 markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0.5 L8,4 L0,7.5 z" fill="#444444"/></marker>"""
_WIDTHS = {
    **dict.fromkeys("iljtfrI.,:;!|'()[] -", 0.44),
    **dict.fromkeys("mMW@%", 1.0),
    **dict.fromkeys("wOQG&+=<>~#^", 0.85),
}
"""Of characters unlike the others, in em: at least those of DejaVu Sans, the widest of the fonts above."""


@dataclass(frozen=True)
class Box:
    """A node: its name, what it is in lines of text, and the colour that its kind has."""

    name: str
    lines: tuple[str, ...]
    kind: BoxKind


@dataclass(frozen=True)
class Link:
    """An edge: ``label`` beside it; dashed where it carries the step before."""

    source: str
    target: str
    label: str = ""
    dashed: bool = False


def graph_picture(title: str, boxes: Sequence[Box], links: Sequence[Link], notes: Sequence[str] = ()) -> str:
    """Draw a graph.

    Parameters
    ----------
    title : str
        The heading.
    boxes : sequence of Box
        Sources first, but for links against the order, which are drawn upward.
    links : sequence of Link
    notes : sequence of str
        Lines below the heading.

    Returns
    -------
    str
        The SVG document.
    """
    texts = {
        box.name: [_shortened(printable(box.name), NAME_LENGTH), *map(_line, box.lines)] for box in boxes
    }
    sizes = {name: _box_size(lines) for name, lines in texts.items()}
    arrows = [Arrow(link.source, link.target, _label_size(link.label)) for link in links]
    drawing = arrange(sizes, arrows)
    heading = [
        _shortened(printable(title), 2 * TEXT_LENGTH),
        *(_shortened(printable(n), 2 * TEXT_LENGTH) for n in notes),
    ]
    width = max(drawing.width, *(text_width(line, FONT_SIZE, bold=True) for line in heading)) + 2 * MARGIN
    top = MARGIN + LINE * len(heading) + 10
    shift = ((width - drawing.width) / 2, top)
    height = top + drawing.height + MARGIN
    parts = [_opening(width, height, title), *_heading(heading)]
    parts += [
        _arrow(points, shift, dashed=link.dashed) for link, points in zip(links, drawing.arrows, strict=True)
    ]
    parts += [
        _label(link.label, point, shift)
        for link, point in zip(links, drawing.labels, strict=True)
        if link.label
    ]
    parts += [_box(box, texts[box.name], sizes[box.name], drawing, shift) for box in boxes]
    return "\n".join([*parts, "</svg>\n"])


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """A generous estimate of a text's width in pixels: the fonts named here are no wider."""
    return size * (1.13 if bold else 1.0) * sum(map(_character_width, text))


def _character_width(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF" or ord(character) > 0x24F:
        return 1.05
    return _WIDTHS.get(character, 0.78 if character.isupper() else 0.65)


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _line(text: str) -> str:
    return _shortened(printable(text), TEXT_LENGTH)


def _box_size(lines: Sequence[str]) -> tuple[float, float]:
    widest = max(text_width(line, FONT_SIZE, bold=at == 0) for at, line in enumerate(lines))
    return (round(max(widest, 60.0) + 2 * PADDING_X, 1), LINE * len(lines) + 2 * PADDING_Y - 4)


def _label_size(label: str) -> tuple[float, float]:
    return (round(text_width(_line(label), LABEL_SIZE) + 6, 1), LINE) if label else (0.0, 0.0)


def _opening(width: float, height: float, title: str) -> str:
    size = f'width="{width:.0f}" height="{height:.0f}"'
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width:.0f} {height:.0f}"
 font-family="{FONT}" font-size="{FONT_SIZE:g}" fill="#111111">
<title>{_escaped(title)}</title>
<defs>{_HEAD}</defs>
<rect {size} fill="#ffffff"/>"""


def _heading(lines: Sequence[str]) -> list[str]:
    first = f'<text x="{MARGIN:g}" y="{MARGIN + 11:.1f}" font-weight="bold">{_escaped(lines[0])}</text>'
    rest = [
        f'<text x="{MARGIN:g}" y="{MARGIN + 11 + LINE * at:.1f}" fill="#444444">{_escaped(line)}</text>'
        for at, line in enumerate(lines[1:], 1)
    ]
    return [first, *rest]


def _arrow(points: Sequence[Point], shift: Point, *, dashed: bool) -> str:
    moved = [(x + shift[0], y + shift[1]) for x, y in points]
    style = ' stroke-dasharray="5 4"' if dashed else ""
    return (
        f'<path d="{_course(moved)}" fill="none" stroke="#444444" stroke-width="1.2"{style} '
        'marker-end="url(#head)"/>'
    )


def _course(points: Sequence[Point]) -> str:
    """Straight within each pair of points, bent between two; a self-loop leaves and enters from the side."""
    if points[0][0] != points[1][0]:
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in points[1:])
        return f"M{points[0][0]:.1f},{points[0][1]:.1f} C{corners}"
    pieces = [f"M{points[0][0]:.1f},{points[0][1]:.1f}"]
    for at, ((x0, y0), (x1, y1)) in enumerate(pairwise(points)):
        if abs(x1 - x0) + abs(y1 - y0) < 0.05:
            continue
        if at % 2 == 0 or abs(x1 - x0) < 0.05:
            pieces.append(f"L{x1:.1f},{y1:.1f}")
        else:
            middle = (y0 + y1) / 2
            pieces.append(f"C{x0:.1f},{middle:.1f} {x1:.1f},{middle:.1f} {x1:.1f},{y1:.1f}")
    return " ".join(pieces)


def _label(label: str, point: Point, shift: Point) -> str:
    text = _line(label)
    width, height = _label_size(label)
    x, y = point[0] + shift[0], point[1] + shift[1]
    return (
        f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'fill="#ffffff"/><text x="{x:.1f}" y="{y + 3.5:.1f}" font-size="{LABEL_SIZE:g}" fill="#444444" '
        f'text-anchor="middle">{_escaped(text)}</text>'
    )


def _box(box: Box, lines: Sequence[str], size: Point, drawing: Drawing, shift: Point) -> str:
    fill, stroke = _COLOURS[box.kind]
    x, y = (a + b for a, b in zip(drawing.boxes[box.name], shift, strict=True))
    corner = 12 if box.kind == "port" else 4
    bold = [' font-weight="bold"', *[""] * len(lines)]
    top = y - size[1] / 2 + PADDING_Y + 10
    texts = [
        f'<text x="{x:.1f}" y="{top + LINE * at:.1f}" text-anchor="middle"{bold[at]}>{_escaped(line)}</text>'
        for at, line in enumerate(lines)
    ]
    frame = (
        f'x="{x - size[0] / 2:.1f}" y="{y - size[1] / 2:.1f}" width="{size[0]:.1f}" height="{size[1]:.1f}"'
    )
    whole = _escaped(": ".join([box.name, *box.lines[:1]]))
    rectangle = f'<rect {frame} rx="{corner}" fill="{fill}" stroke="{stroke}"/>'
    return "\n".join([f"<g><title>{whole}</title>", rectangle, *texts, "</g>"])


def _escaped(text: str) -> str:
    return escape(printable(text), {'"': "&quot;"})
