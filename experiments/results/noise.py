"""Noisy images: what the ensemble and its teacher lose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from experiments.reproduction.rows import Document
from experiments.results.text import Section, facts, picture, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNITS = {
    "gaussian": ("Gaussian noise", "sigma"),
    "salt_and_pepper": ("salt and pepper", "part of the pixels"),
    "occlusion": ("occluded square", "part of a side"),
    "contrast": ("contrast", "factor"),
}
"""Each sort's name, and what its strength is."""
CLEAN, ALL = "clean", "all"
HEAD = (
    "images", "strength", "teacher", "ensemble", "teacher loses", "ensemble loses", "students", "SynOps",
)  # fmt: skip


def section(document: Document) -> Section:
    """Tables and plot."""
    return Section(tuple(_lines(document)), {f"{document.name}.svg": partial(_plot, document)})


def _lines(document: Document) -> Iterator[str]:
    figures = document.rows[0].figures
    rows = figures["noise"]
    yield (
        "The model with its own policy, and its teacher, on the same noisy test images, of values "
        "in [0, 1]. What is lost is relative to clean images: (clean - noisy) / clean."
    )
    yield ""
    yield from table(HEAD, [_row(row) for row in rows])
    yield "Mean loss over the strengths of each sort, and over the sorts:"
    yield ""
    means = [
        (_name(drop["family"]), f"{100 * drop['teacher_drop']:.1f} %", f"{100 * drop['ensemble_drop']:.1f} %")
        for drop in figures["mean_drops"]
    ]
    yield from table(("", "teacher", "ensemble"), means)
    yield from picture(f"{document.name}.svg", "Accuracy of teacher and ensemble against strength of noise")
    target = (
        f"Target `loihi`, deployed integers; {rows[0]['samples']:,} test images; one draw of the noise. None "
        "of these runs was compared with `lava`: the model's own section says what was."
    )
    yield from facts(document, [], target, "other sorts of noise, and how much draws of it differ")


def _name(family: str) -> str:
    return family if family in (ALL, CLEAN) else UNITS[family][0]


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    clean = row["family"] == CLEAN
    return (
        CLEAN if clean else ", ".join(UNITS[row["family"]]),
        "" if clean else f"{row['strength']:g}",
        f"{100 * row['teacher_accuracy']:.2f} %",
        f"{100 * row['ensemble_accuracy']:.2f} %",
        "" if clean else f"{100 * row['teacher_drop']:.1f} %",
        "" if clean else f"{100 * row['ensemble_drop']:.1f} %",
        f"{row['mean_students']:.2f}",
        f"{row['synops']:,.0f}",
    )


def _plot(document: Document) -> Figure:
    from experiments.results.plots import BLUE, GREY, drawn, percent_axis

    rows = document.rows[0].figures["noise"]
    families = list(dict.fromkeys(row["family"] for row in rows if row["family"] != CLEAN))

    def draw(panels: Sequence[Axes]) -> None:
        for axes, family in zip(panels, families, strict=True):
            points = sorted(
                (row for row in rows if row["family"] in (family, CLEAN)),
                key=lambda row: _strength(row, family),
            )
            for who, colour, mark in (("teacher", GREY, "*--"), ("ensemble", BLUE, "o-")):
                axes.plot(
                    [_strength(row, family) for row in points],
                    [row[f"{who}_accuracy"] for row in points],
                    mark, color=colour, linewidth=0.9, label=who,
                )  # fmt: skip
            if family == "contrast":
                axes.invert_xaxis()
            name, unit = UNITS[family]
            axes.set_title(name, loc="left")
            axes.set_xlabel(unit)
            axes.xaxis.get_major_locator().set_params(nbins=4)  # type: ignore[call-arg]
        percent_axis(panels[0])
        panels[0].legend(loc="lower left")

    return drawn(draw, columns=len(families), height=2.6, sharey=True)


def _strength(row: Mapping[str, Any], family: str) -> float:
    """Clean images have a contrast of 1 and none of the others."""
    return (1.0 if family == "contrast" else 0.0) if row["family"] == CLEAN else float(row["strength"])
