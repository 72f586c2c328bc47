"""A graph as an SVG picture: one file that needs nothing else, the same bytes for the same graph.

Names come from files: they are escaped, and a long one is cut, with the whole of it in its tooltip.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal
from xml.sax.saxutils import escape

from sne_deploy.inspect.drawing import Arrow, Point, arrange
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
_HEADING = ({"font_weight": "bold"}, {"fill": "#444444"})
"""The first line, and the others."""
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
    texts = {box.name: [_line(box.name, NAME_LENGTH), *map(_line, box.lines)] for box in boxes}
    sizes = {name: _box_size(lines) for name, lines in texts.items()}
    drawing = arrange(sizes, [Arrow(link.source, link.target, _label_size(link.label)) for link in links])
    heading = [_line(line, 2 * TEXT_LENGTH) for line in (title, *notes)]
    width = max(drawing.width, *(text_width(line, FONT_SIZE, bold=True) for line in heading)) + 2 * MARGIN
    top = MARGIN + LINE * len(heading) + 10
    shift = ((width - drawing.width) / 2, top)
    size = {"width": f"{width:.0f}", "height": f"{top + drawing.height + MARGIN:.0f}"}
    frame = "".join(f' {name}="{value}"' for name, value in size.items())
    parts = [
        f'''<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg"{frame} viewBox="0 0 {size["width"]} {size["height"]}"
 font-family="{FONT}" font-size="{FONT_SIZE:g}" fill="#111111">''',
        _tag("title", _escaped(title)),
        _tag("defs", _HEAD),
        _tag("rect", **size, fill="#ffffff"),
        *(
            _text(MARGIN, MARGIN + 11 + LINE * at, line, **_HEADING[at > 0])
            for at, line in enumerate(heading)
        ),
    ]
    arrows = zip(links, drawing.arrows, strict=True)
    parts += [_arrow(_moved(points, shift), dashed=link.dashed) for link, points in arrows]
    labels = zip(links, _moved(drawing.labels, shift), strict=True)
    parts += [_label(link.label, point) for link, point in labels if link.label]
    centres = dict(zip(drawing.boxes, _moved(drawing.boxes.values(), shift), strict=True))
    parts += [_box(box, texts[box.name], sizes[box.name], centres[box.name]) for box in boxes]
    return "\n".join([*parts, "</svg>\n"])


def _moved(points: Iterable[Point], shift: Point) -> list[Point]:
    return [(x + shift[0], y + shift[1]) for x, y in points]


def _tag(name: str, content: str = "", /, **attributes: str | float) -> str:
    """An element; numbers have one decimal."""
    shown = "".join(
        f' {key.replace("_", "-")}="{value if isinstance(value, str) else f"{value:.1f}"}"'
        for key, value in attributes.items()
    )
    return f"<{name}{shown}>{content}</{name}>" if content else f"<{name}{shown}/>"


def _text(x: float, y: float, line: str, **attributes: str | float) -> str:
    return _tag("text", _escaped(line), x=x, y=y, **attributes)


def _rectangle(centre: Point, size: Point, **attributes: str | float) -> str:
    x, y = centre[0] - size[0] / 2, centre[1] - size[1] / 2
    return _tag("rect", x=x, y=y, width=size[0], height=size[1], **attributes)


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """A generous estimate of a text's width in pixels: the fonts named here are no wider."""
    return size * (1.13 if bold else 1.0) * sum(map(_character_width, text))


def _character_width(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF" or ord(character) > 0x24F:
        return 1.05
    return _WIDTHS.get(character, 0.78 if character.isupper() else 0.65)


def _line(text: str, length: int = TEXT_LENGTH) -> str:
    shown = printable(text)
    return shown if len(shown) <= length else f"{shown[: length - 1]}…"


def _box_size(lines: Sequence[str]) -> tuple[float, float]:
    widest = max(text_width(line, FONT_SIZE, bold=at == 0) for at, line in enumerate(lines))
    return (round(max(widest, 60.0) + 2 * PADDING_X, 1), LINE * len(lines) + 2 * PADDING_Y - 4)


def _label_size(label: str) -> tuple[float, float]:
    return (round(text_width(_line(label), LABEL_SIZE) + 6, 1), LINE) if label else (0.0, 0.0)


def _arrow(points: Sequence[Point], *, dashed: bool) -> str:
    style = {"stroke_dasharray": "5 4"} if dashed else {}
    style |= {"fill": "none", "stroke": "#444444", "marker_end": "url(#head)"}
    return _tag("path", d=_course(points), stroke_width=1.2, **style)


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


def _label(label: str, point: Point) -> str:
    style: dict[str, str | float] = {"font_size": LABEL_SIZE, "fill": "#444444", "text_anchor": "middle"}
    return _rectangle(point, _label_size(label), fill="#ffffff") + _text(
        point[0], point[1] + 3.5, _line(label), **style
    )


def _box(box: Box, lines: Sequence[str], size: Point, centre: Point) -> str:
    fill, stroke = _COLOURS[box.kind]
    top = centre[1] - size[1] / 2 + PADDING_Y + 10
    parts = [
        _tag("title", _escaped(": ".join([box.name, *box.lines[:1]]))),
        _rectangle(centre, size, rx="12" if box.kind == "port" else "4", fill=fill, stroke=stroke),
    ]
    for at, line in enumerate(lines):
        bold = {} if at else {"font_weight": "bold"}
        parts.append(_text(centre[0], top + LINE * at, line, text_anchor="middle", **bold))
    return _tag("g", "\n".join(parts))


def _escaped(text: str) -> str:
    return escape(printable(text), {'"': "&quot;"})
