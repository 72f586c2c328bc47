"""Sections of fewer bits for a weight: of the model, and of what is trained anew with each seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from experiments.markdown import table
from experiments.reproduction.rows import Document
from experiments.results.text import Section, facts, picture, section, spread
from experiments.results.trainings import Test, accuracies, cost, tests_of, values

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WAYS = {"after-training": "after training", "quantisation-aware": "trained for them"}
HEAD = ("weights", "bits", "float", "deployed", "drop, points", "spikes", "SynOps", "energy")


def of_the_model(document: Document) -> Section:
    """The committed model with fewer bits for a weight."""
    return Section(tuple(_of_the_model(document)), {})


def _of_the_model(document: Document) -> Iterator[str]:
    yield (
        "The weights are rounded to fewer bits and nothing else; head and policy stay. Drop: float minus "
        "deployed, of the same weights.\n"
    )
    (row,) = document.variant("model")
    tests: list[Test] = row.figures["bits"]
    yield from table(HEAD, [("the model", *_row(int(test["weight_bits"]), [test])) for test in tests])
    yield from facts(document, tests)


def trained(document: Document) -> Section:
    """Fewer bits for a weight: after training, and with training for them, over seeds."""
    return section(_trained(document), document, _plot)


def _widths(document: Document, way: str) -> list[int]:
    """Bits that a way was measured at, widest first."""
    found = (name.removeprefix(f"{way}-") for name in document.variants if name.startswith(f"{way}-"))
    return sorted((int(width) for width in found), reverse=True)


def _trained(document: Document) -> Iterator[str]:
    yield (
        "The head is fitted anew to each width's outputs. Drop: float minus deployed, of the same weights. "
        "Training for few bits goes on from the trained students: more epochs in all than those that it is "
        "compared with had.\n"
    )
    measured = [
        (name, width, tests_of(document, f"{way}-{width}"))
        for way, name in WAYS.items()
        for width in _widths(document, way)
    ]
    rows = [(name, *_row(width, tests)) for name, width, tests in measured]
    yield from table(HEAD, rows)
    yield from picture(f"{document.name}.svg", "Accuracy against bits of a weight")
    yield from facts(document, [test for _, _, tests in measured for test in tests])


def _row(width: int, tests: Sequence[Test]) -> tuple[str, ...]:
    """Bits, accuracies and costs of runs with weights of one width."""
    return (str(width), *accuracies(tests), *(cost(tests, key) for key in ("spikes", "synops", "energy_j")))


def _plot(document: Document) -> Figure:
    from experiments.results.plots import BLUE, ORANGE, bars, drawn, percent_axis

    def draw(panels: Sequence[Axes]) -> None:
        (axes,) = panels
        for (way, name), colour in zip(WAYS.items(), (ORANGE, BLUE), strict=True):
            widths = _widths(document, way)
            found = [spread(values(document, f"{way}-{width}", "accuracy")) for width in widths]
            bars(axes, widths, found, fmt="o-", color=colour, label=name)
        axes.set_xticks(sorted({width for way in WAYS for width in _widths(document, way)}))
        axes.invert_xaxis()
        axes.set_xlabel("bits of a weight")
        percent_axis(axes, "accuracy, deployed (%)")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))

    return drawn(draw, height=2.6)
