"""The chips: cores at their place, what lives there, and what binds it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sne_deploy.page.details.chip import MOST_CORES, ChipModel
from sne_deploy.page.details.model import Details
from sne_deploy.page.figure import SCHEMA, Absent, Figure
from sne_deploy.report.schema import ReportModel

NAME, TITLE = "chip", "What lives on the cores, and what binds them"
GAP, LABEL = 0.3, 2.0
"""Between tiles, and above a chip for its number, in widths of a core."""
SQUARE, STRIPE = 0.92, 0.25
"""Side of what is drawn of a core, and height of its student's stripe."""
SIDE, LEAST, TALLEST = 30, 8, 800
"""Pixels: a core's side at most and at least, and the figure's height, unless cores are at their least."""
NAMED = 8
"""Layers of a core that are named; the others are counted."""


def chip(report: ReportModel, details: Details) -> Figure | Absent:
    """Draw a square for each core, or for each chip where there are too many cores."""
    found = details.chip
    if found is None:
        reason = report.unplaced or "the report does not say where neurons are"
        remedy = "; --target loihi has them" if report.precision == "float" else ""
        return Absent(NAME, TITLE, f"the students are on no cores: {reason}{remedy}")
    layout = Layout.of(found)
    numbers = layout.numbers(found.chips) if found.each == "core" and found.chips > 1 else []
    spec = {
        "$schema": SCHEMA,
        "height": layout.pixels(found.chips),
        "layer": [*layout.free(found), _tiles(found, report, layout), *numbers],
        "view": {"stroke": None},
        "resolve": {"scale": {"color": "independent"}},
    }
    return Figure(NAME, TITLE, _caption(found, report), _description(found, report), spec)


@dataclass(frozen=True)
class Layout:
    """Where squares are, in widths of a core: chips in rows, about as wide as high together.

    Attributes
    ----------
    across : int
        Chips in a row.
    columns : int
        Tiles of a chip from west to east.
    beside, each : int
        Cores of a tile beside each other, and all of them.
    full : int
        Cores of a chip.
    tile, chip : (float, float)
        Width and height from one to the next.
    above : float
        What is free above a chip's first row.
    """

    across: int
    columns: int
    beside: int
    each: int
    full: int
    tile: tuple[float, float]
    chip: tuple[float, float]
    above: float

    @classmethod
    def of(cls, found: ChipModel) -> Layout:
        """For cores as their chip has them, or for one square a chip."""
        mesh, whole = found.mesh, found.each == "chip"
        columns, rows = (1, 1) if whole else (mesh.columns, mesh.rows)
        full = 1 if whole else mesh.cores or max(found.places.in_tile) + 1
        each = 1 if whole else mesh.cores_per_tile or full
        beside = math.ceil(math.sqrt(each))
        tile = beside + GAP, math.ceil(each / beside) + GAP
        above = 0.0 if whole or found.chips == 1 else LABEL
        width, height = columns * tile[0] + (above and GAP), rows * tile[1] + above
        across = min(found.chips, math.ceil(math.sqrt(found.chips * height / width)))
        return cls(across, columns, beside, each, full, tile, (width, height), above)

    def pixels(self, chips: int) -> int:
        """Height of the figure."""
        rows = math.ceil(chips / self.across) * self.chip[1]
        return round(rows * max(LEAST, min(SIDE, TALLEST / rows)))

    @property
    def corners(self) -> list[dict[str, str]]:
        """Transforms from chip, tile and core of the tile to the left and the top of a square."""
        (wide, high), (width, height) = self.tile, self.chip
        return [
            _calculate(
                "left",
                f"datum.chip % {self.across} * {width} + datum.x * {wide} + datum.in_tile % {self.beside}",
            ),
            _calculate(
                "top",
                f"floor(datum.chip / {self.across}) * {height} + {self.above} + datum.y * {high}"
                f" + floor(datum.in_tile / {self.beside})",
            ),
        ]

    def axes(self, chips: int) -> dict[str, Any]:
        """Where a square begins: two scales without axes, that all layers share."""
        across, down = self.across * self.chip[0], math.ceil(chips / self.across) * self.chip[1]
        return {
            "x": {"field": "left", "type": "quantitative", "axis": None, "scale": {"domain": [0, across]}},
            "y": {"field": "top", "type": "quantitative", "axis": None, "scale": {"domain": [down, 0]}},
        }

    def free(self, found: ChipModel) -> list[dict[str, Any]]:
        """A faint square at every place for a core, under those in use."""
        if found.each == "chip":
            return []
        sites = [
            _calculate("chip", f"floor(datum.place / {self.full})"),
            _calculate("tile", f"floor(datum.place % {self.full} / {self.each})"),
            _calculate("in_tile", f"datum.place % {self.full} % {self.each}"),
            _calculate("x", f"datum.tile % {self.columns}"),
            _calculate("y", f"floor(datum.tile / {self.columns})"),
        ]
        data = {"sequence": {"start": 0, "stop": found.chips * self.full, "as": "place"}}
        mark = {"type": "rect", "opacity": 0.12, "tooltip": False, "aria": False}
        return [{"data": data, "transform": [*sites, *self.corners, *_far(SQUARE, SQUARE)], "mark": mark,
                 "encoding": {**self.axes(found.chips), **_ends()}}]  # fmt: skip

    def numbers(self, chips: int) -> list[dict[str, Any]]:
        """The number of each chip, above it."""
        chip_at = [*(_calculate(name, "0") for name in ("x", "y", "in_tile")), *self.corners]
        mark = {"type": "text", "align": "left", "baseline": "bottom", "tooltip": False}
        text = {"field": "label", "type": "nominal"}
        return [{"data": {"sequence": {"start": 0, "stop": chips, "as": "chip"}},
                 "transform": [*chip_at, _calculate("label", "'chip ' + datum.chip")],
                 "mark": mark,
                 "encoding": {**self.axes(chips), "text": text}}]  # fmt: skip


def _tiles(found: ChipModel, report: ReportModel, layout: Layout) -> dict[str, Any]:
    """The cores in use: coloured by use, with a stripe at the foot in the colour of the student."""
    rows, tables = _columns(found, report)
    transform = [_look_up(name, texts) for name, texts in tables.items()]
    transform += [
        _calculate(name, f"datum.{name} / {report.data.samples}")
        for name in ("synops", "updates")
        if name in rows
    ]
    use: dict[str, Any] = {}
    if "used" in rows:
        transform.append(_calculate("use", "datum.used / datum.limit"))
        scale, legend = {"domain": [0, 1]}, {"format": ".0%", "orient": "top"}
        use = {"color": {"field": "use", "type": "quantitative", "title": "used of what binds",
                         "scale": scale, "legend": legend}}  # fmt: skip
    mark = {"type": "rect", "aria": False}
    tile = {"transform": _far(SQUARE, SQUARE), "mark": mark, "encoding": {**_ends(), **use}}
    names = tables["student"]
    student = {"field": "student_text", "type": "nominal", "title": "student", "scale": {"domain": names},
               "legend": {"orient": "top"}}  # fmt: skip
    lower = _calculate("top", f"datum.top + {SQUARE - STRIPE}")
    foot = {"transform": [lower, *_far(SQUARE, STRIPE)], "mark": mark,
            "encoding": {**_ends(), "color": student}}  # fmt: skip
    return {
        "data": {"values": _csv(rows), "format": {"type": "csv", "parse": dict.fromkeys(rows, "number")}},
        "transform": [*transform, *layout.corners],
        "encoding": {**layout.axes(found.chips), "tooltip": _tooltip(found, rows)},
        "layer": [tile] if len(names) == 1 else [tile, foot],
    }


def _columns(
    found: ChipModel, report: ReportModel
) -> tuple[dict[str, Sequence[float]], dict[str, list[str]]]:
    """Numbers of each square, and the texts that some of them stand for: thousands share a few."""
    places, names = found.places, [student.name for student in report.students]
    students = [
        ", ".join(dict.fromkeys(names[found.layers[layer].student] for layer, _ in held))
        for held in places.holds
    ]
    holds = [_holds(found, held) for held in places.holds]
    tables = {
        "student": list(dict.fromkeys(students)),
        "holds": list(dict.fromkeys(holds)),
        "binds": [resource.replace("_", " ") for resource in found.resources],
    }
    rows: dict[str, Sequence[float] | None] = {
        "chip": places.chip,
        "x": places.x,
        "y": places.y,
        "in_tile": places.in_tile,
        "cores": places.cores if found.each == "chip" else None,
        "student": _indices(students, tables["student"]),
        "holds": _indices(holds, tables["holds"]),
        "binds": places.resource,
        "used": places.used,
        "limit": places.limit,
        "synops": places.synops,
        "updates": places.updates,
        "waited_for": places.waited_for,
        "busiest": places.busiest_s,
    }
    known = {name: values for name, values in rows.items() if values is not None}
    return known, {name: texts for name, texts in tables.items() if name in known}


def _holds(found: ChipModel, held: Sequence[tuple[int, int]]) -> str:
    texts = [f"{found.layers[layer].name}: {neurons:,}" for layer, neurons in held[:NAMED]]
    if len(held) > NAMED:
        texts.append(f"and {len(held) - NAMED} more")
    return "; ".join(texts)


def _indices(texts: Iterable[str], table: Sequence[str]) -> list[int]:
    at = {text: index for index, text in enumerate(table)}
    return [at[text] for text in texts]


def _csv(rows: dict[str, Sequence[float]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows)
    writer.writerows(zip(*rows.values(), strict=True))
    return text.getvalue()


def _tooltip(found: ChipModel, rows: dict[str, Sequence[float]]) -> list[dict[str, str]]:
    """What hovering shows, of what there is."""
    of_core = found.each == "core"
    shown = {
        "student_text": "student",
        "holds_text": "neurons of",
        "cores": "cores in use",
        "binds_text": "bound by",
        "used": "used",
        "limit": "limit",
        "synops": "SynOps per sample",
        "updates": "updates per sample",
        "waited_for": "steps that waited for it",
        "busiest": "busiest step (s)",
        "chip": "chip",
        **(
            {"x": "tile, west to east", "y": "tile, north to south", "in_tile": "core of the tile"}
            if of_core
            else {}
        ),
    }
    formats = {"synops": ",.1f", "updates": ",.1f", "busiest": ".3~s"}
    return [
        {
            "field": field,
            "title": title,
            **({} if field.endswith("_text") else {"format": formats.get(field, ",")}),
        }
        for field, title in shown.items()
        if field.removesuffix("_text") in rows
    ]


def _caption(found: ChipModel, report: ReportModel) -> str:
    if found.each == "chip":
        text = f"One square for each chip, since there are more than {MOST_CORES:,} cores; "
        text += "what binds is that of its fullest core."
    else:
        tiles = "" if found.mesh.cores_per_tile is None else f", in tiles of {found.mesh.cores_per_tile}"
        text = f"One square for each core at its place{tiles}; faint ones are free."
    if found.chips > 1:
        text += " Chips stand in a row from west to east, drawn in several lines."
    if found.places.used is not None:
        text += " The colour is what is used of the resource of which least is left."
    if len(report.students) > 1:
        text += " The stripe at the foot is the student's."
    if found.places.synops is None:
        return f"{text} What happened on each core was not counted."
    return f"{text} Counts are means over all {report.data.samples:,} samples."


def _description(found: ChipModel, report: ReportModel) -> str:
    cores = sum(found.places.cores)
    text = f"{cores:,} cores on {found.chips:,} chip{'s' * (found.chips > 1)} are in use."
    tight = report.mapping.tightest if report.mapping else None
    if tight is not None:
        what = tight.resource.replace("_", " ")
        text += f" The tightest uses {tight.used:,} of {tight.limit:,} {what}."
    each = [f"{student.name} {student.cores:,}" for student in report.students if student.cores is not None]
    return f"{text} Cores by student: {', '.join(each)}." if each else text


def _look_up(name: str, texts: Sequence[str]) -> dict[str, Any]:
    """The text that a number stands for, as another field."""
    table = [{"index": index, "text": text} for index, text in enumerate(texts)]
    return {"lookup": name, "from": {"data": {"values": table}, "key": "index", "fields": ["text"]},
            "as": [f"{name}_text"]}  # fmt: skip


def _calculate(name: str, expression: str) -> dict[str, str]:
    """A field from others; an expression has our own names and numbers alone."""
    return {"calculate": expression, "as": name}


def _far(width: float, height: float) -> list[dict[str, str]]:
    """The other ends of a square."""
    return [_calculate("right", f"datum.left + {width}"), _calculate("bottom", f"datum.top + {height}")]


def _ends() -> dict[str, Any]:
    return {"x2": {"field": "right"}, "y2": {"field": "bottom"}}
