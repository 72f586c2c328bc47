"""Fewer bits for a weight: after training, and with training for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from experiments.reproduction.rows import Document
from experiments.results.text import (
    Section,
    counted,
    energy,
    facts,
    percentage,
    picture,
    points,
    spread,
    table,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WAYS = {"after-training": "after training", "quantisation-aware": "trained for them"}
MODEL = "model"
HEAD = ("weights", "bits", "float", "deployed", "drop, points", "spikes", "SynOps", "energy")


def section(document: Document) -> Section:
    """Table and plot."""
    return Section(tuple(_lines(document)), {f"{document.name}.svg": partial(_plot, document)})


def widths(document: Document, way: str) -> list[int]:
    """Bits that a way was measured at, widest first."""
    found = (name.removeprefix(f"{way}-") for name in document.variants if name.startswith(f"{way}-"))
    return sorted((int(width) for width in found), reverse=True)


def _lines(document: Document) -> Iterator[str]:
    yield (
        "The head is fitted anew to each width's outputs, except for the model, whose weights are "
        "rounded and nothing else. Drop: float minus deployed, of the same weights. Training for few bits "
        "goes on from the trained students: more epochs in all than those that it is compared with had."
    )
    yield ""
    rows = [_row(document, way, width) for way in WAYS for width in widths(document, way)]
    yield from table(HEAD, [*_model_rows(document), *rows])
    yield from picture(f"{document.name}.svg", "Accuracy against bits of a weight")
    trained = [row.figures["test"] for row in document.rows if row.variant != MODEL]
    yield from facts(document, [*trained, *_bits(document)])


def _bits(document: Document) -> list[dict[str, float]]:
    return [figures for row in document.variant(MODEL) for figures in row.figures["bits"]]


def _model_rows(document: Document) -> Iterator[tuple[str, ...]]:
    for figures in _bits(document):
        yield _cells("the model", int(figures["weight_bits"]), [figures])


def _row(document: Document, way: str, width: int) -> tuple[str, ...]:
    tests = [row.figures["test"] for row in document.variant(f"{way}-{width}")]
    return _cells(WAYS[way], width, tests)


def _cells(name: str, width: int, tests: Sequence[dict[str, float]]) -> tuple[str, ...]:
    return (
        name,
        str(width),
        percentage(spread(test["float_accuracy"] for test in tests)),
        percentage(spread(test["accuracy"] for test in tests)),
        points(spread(test["float_accuracy"] - test["accuracy"] for test in tests)),
        counted(spread(test["spikes"] for test in tests)),
        counted(spread(test["synops"] for test in tests)),
        energy(spread(test["energy_j"] for test in tests)),
    )


def _plot(document: Document) -> Figure:
    from experiments.results.plots import BLUE, GREY, ORANGE, drawn, percent_axis

    def draw(panels: Sequence[Axes]) -> None:
        (axes,) = panels
        for way, colour in zip(WAYS, (ORANGE, BLUE), strict=True):
            bits = widths(document, way)
            rows = [document.variant(f"{way}-{width}") for width in bits]
            spreads = [spread(row.figures["test"]["accuracy"] for row in seeds) for seeds in rows]
            axes.errorbar(
                bits, [one.mean for one in spreads],
                yerr=None if spreads[0].n == 1 else [one.std for one in spreads],
                fmt="o-", color=colour, elinewidth=0.8, capsize=2, label=WAYS[way],
            )  # fmt: skip
        model = _bits(document)
        axes.plot(
            [row["weight_bits"] for row in model], [row["accuracy"] for row in model], "s:", color=GREY,
            linewidth=0.8, label="the model",
        )  # fmt: skip
        axes.set_xticks(sorted({int(row["weight_bits"]) for row in model}))
        axes.invert_xaxis()
        axes.set_xlabel("bits of a weight")
        percent_axis(axes, "accuracy, deployed (%)")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))

    return drawn(draw, height=2.6)
