"""MNIST: what losses do to accuracy and spikes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from experiments.reproduction.rows import Choice, Document
from experiments.results.published import SPIKES_FEWER_PERCENT, TEMPERATURES, TEMPERATURES_POINTS
from experiments.results.text import (
    Section,
    Spread,
    counted,
    energy,
    facts,
    percentage,
    picture,
    points,
    shown,
    spread,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REFERENCE = "conventional"
NAMES = {
    "no-distillation": "labels alone",
    "conventional": "conventional distillation",
    "two-temperatures": "two temperatures",
    "activity-cost": "cost of activity",
    "combination": "two temperatures and cost",
}
HEAD = (
    "", "float", "deployed", "drop, points", "spikes", "of conventional's", "SynOps", "energy",
)  # fmt: skip


def section(document: Document) -> Section:
    """Table, choices, plot."""
    return Section(tuple(_lines(document)), {f"{document.name}.svg": partial(_plot, document)})


def _lines(document: Document) -> Iterator[str]:
    measured = [row.figures["test"] for row in document.rows]
    yield "Means per sample. Drop: float minus deployed."
    yield ""
    yield from table(HEAD, [_row(document, variant) for variant in document.variants])
    yield from picture(f"{document.name}.svg", "Accuracy against spikes per inference")
    yield _compared(document)
    yield ""
    yield from facts(document, measured)
    yield "Chosen on validation data, by means over the seeds, before any test sample was run:"
    yield ""
    rows = [row for choice in document.choices for row in _candidates(choice)]
    yield from table(("choice", "candidate", "validation accuracy", "spikes", ""), rows)
    for choice in document.choices:
        missed = "" if choice.met else " No candidate kept that rule: the one that came closest was taken."
        yield f"- {choice.what}: {choice.rule}.{missed}"
    yield ""


def _values(document: Document, variant: str, key: str) -> list[float]:
    return [row.figures["test"][key] for row in document.variant(variant)]


def _row(document: Document, variant: str) -> tuple[str, ...]:
    exact, deployed = (_values(document, variant, key) for key in ("float_accuracy", "accuracy"))
    drop = spread(a - b for a, b in zip(exact, deployed, strict=True))
    return (
        NAMES.get(variant, variant),
        percentage(spread(exact)),
        percentage(spread(deployed)),
        points(drop),
        counted(spread(_values(document, variant, "spikes"))),
        _percent(relative_spikes(document, variant)),
        counted(spread(_values(document, variant, "synops"))),
        energy(spread(_values(document, variant, "energy_j"))),
    )


def relative_spikes(document: Document, variant: str) -> Spread:
    """Spikes as a fraction of conventional distillation's, seed by seed."""
    ours, theirs = (_values(document, name, "spikes") for name in (variant, REFERENCE))
    return spread(a / b for a, b in zip(ours, theirs, strict=True))


def _percent(value: Spread) -> str:
    return shown(value, lambda number: f"{100 * number:.1f}", " %")


def _compared(document: Document) -> str:
    alone, both = (_saved(document, variant) for variant in ("two-temperatures", "combination"))
    return (
        f"Against conventional distillation, seed by seed: two temperatures {alone} of accuracy; with a cost "
        f"of activity as well {both}. Published, without such a cost: up to "
        f"{SPIKES_FEWER_PERCENT} % fewer at {TEMPERATURES_POINTS:+.2f} points, with other networks "
        f"({TEMPERATURES.key})."
    )


def _saved(document: Document, variant: str) -> str:
    deployed = zip(
        _values(document, variant, "accuracy"), _values(document, REFERENCE, "accuracy"), strict=True
    )
    fewer = relative_spikes(document, variant)
    return (
        f"{_percent(Spread(1 - fewer.mean, fewer.std, fewer.n))} fewer spikes at "
        f"{points(spread(a - b for a, b in deployed))} points"
    )


def _candidates(choice: Choice) -> Iterator[tuple[str, ...]]:
    for one in choice.candidates:
        mark = "chosen" if one.variant == choice.chosen else ""
        yield choice.what, one.variant, f"{100 * one.accuracy:.2f} %", f"{one.spikes:,.0f}", mark


def _plot(document: Document) -> Figure:
    from experiments.results.plots import COLOURS, drawn, percent_axis

    def draw(panels: Sequence[Axes]) -> None:
        (axes,) = panels
        for colour, variant in zip(COLOURS[: len(document.variants)], document.variants, strict=True):
            spikes, right = (spread(_values(document, variant, key)) for key in ("spikes", "accuracy"))
            alone = spikes.n == 1
            axes.errorbar(
                spikes.mean,
                right.mean,
                xerr=None if alone else spikes.std,
                yerr=None if alone else right.std,
                fmt="o",
                color=colour,
                elinewidth=0.8,
                capsize=2,
                label=NAMES.get(variant, variant),
            )
        axes.set_xlim(left=0)
        axes.set_xlabel("spikes per inference")
        percent_axis(axes, "accuracy, deployed (%)")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))

    return drawn(draw, height=2.8)
