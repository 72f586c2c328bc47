"""Section of the ablation: what every option adds and costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from experiments.markdown import table
from experiments.reproduction.rows import Document, Record
from experiments.results.text import (
    ABSENT,
    Section,
    Spread,
    counted,
    facts,
    percentage,
    picture,
    points,
    section,
    shown,
    spread,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


RECIPE = "recipe"
"""What the others are compared with."""
NO_ROW = (
    "Trained thresholds and leaks have no row: in a step that begins at rest a neuron spikes where the "
    "scale and the shift of the batch norm before it bring its current above v_th tau / dt, so that another "
    "threshold or leak is another scale and shift, and these are trained.\n"
)
NOT_LAVA = "none of them compared with `lava`."


def ablation(document: Document) -> Section:
    """One line for each option, and a plot of all of them."""
    return section(_lines(document), document, _plot)


def _lines(document: Document) -> Iterator[str]:
    teacher = percentage(spread(_values(document.variant(RECIPE), "teacher_accuracy")))
    yield (
        "One narrow student of one step, trained on a tenth of the images: the recipe with one change at a "
        "time. Accuracies are on validation data; gains are differences from the recipe within a seed, in "
        f"points; SynOps are related to the recipe's in the same way. The teacher: {teacher}. What helps "
        "here need not help at full length, nor the reverse.\n"
    )
    head = (
        "", "what is changed", "float", "deployed", "gain, points", "SynOps", "of the recipe's",
        "weights kept",
    )  # fmt: skip
    yield from table(head, [_row(document, variant) for variant in document.variants])
    yield from picture(f"{document.name}.svg", "Gain and SynOps of each option against the recipe")
    yield NO_ROW
    measured = [row.figures["validation"] for row in document.rows]
    verified = max(figures["verified_samples"] or 0 for figures in measured)
    target = (
        f"Target `loihi`, {measured[0]['weight_bits']}-bit weights, {measured[0]['samples']:,} validation "
        "samples; "
        + (f"in each row {verified} of them run on `lava` too, equal in every bit." if verified else NOT_LAVA)
    )
    yield from facts(document, measured, target)


def _row(document: Document, variant: str) -> tuple[str, ...]:
    rows = document.variant(variant)
    kept = spread(row.figures["weights_kept"] / row.figures["weights"] for row in rows)
    alone = variant == RECIPE
    return (
        variant,
        rows[0].figures["about"],
        percentage(spread(_values(rows, "float_accuracy"))),
        percentage(spread(_values(rows, "accuracy"))),
        "" if alone else points(_gain(document, variant)),
        counted(spread(_values(rows, "synops"))),
        "" if alone else _relative(_ratio(document, variant)),
        shown(kept, lambda value: f"{100 * value:.0f}", " %"),
    )


def _values(rows: Sequence[Record], key: str) -> list[float]:
    return [row.figures["validation"][key] for row in rows]


def _pairs(document: Document, variant: str, key: str) -> list[tuple[float, float]]:
    """An option's figure and the recipe's, of the seeds that both have."""
    recipe = {row.seed: row.figures["validation"][key] for row in document.variant(RECIPE)}
    return [
        (row.figures["validation"][key], recipe[row.seed])
        for row in document.variant(variant)
        if row.seed in recipe
    ]


def _gain(document: Document, variant: str) -> Spread:
    return spread(ours - theirs for ours, theirs in _pairs(document, variant, "accuracy"))


def _ratio(document: Document, variant: str) -> Spread:
    """NaN where the recipe's student never spikes."""
    return spread(
        ours / theirs if theirs else math.nan for ours, theirs in _pairs(document, variant, "synops")
    )


def _relative(value: Spread) -> str:
    return ABSENT if math.isnan(value.mean) else shown(value, lambda number: f"{number:.2f}", " x")


def _plot(document: Document) -> Figure:
    from experiments.results.plots import BLUE, GREY, ORANGE, drawn

    names = [name for name in document.variants if name != RECIPE]

    def draw(panels: Sequence[Axes]) -> None:
        for axes, found, colour, label, zero in (
            (panels[0], _gain, BLUE, "gain over the recipe, points", 0.0),
            (panels[1], _ratio, ORANGE, "SynOps, of the recipe's", 1.0),
        ):
            values = [found(document, name) for name in names]
            scale = 100.0 if found is _gain else 1.0
            alone = all(one.n == 1 for one in values)
            style: Any = {"fmt": "o", "color": colour, "elinewidth": 0.8, "capsize": 2}
            axes.errorbar(
                [scale * one.mean for one in values],
                range(len(names)),
                xerr=None if alone else [scale * one.std for one in values],
                **style,
            )
            axes.axvline(zero, color=GREY, linewidth=0.8)
            axes.set_xlabel(label)
        panels[0].set_yticks(range(len(names)), names)
        panels[0].invert_yaxis()

    return drawn(draw, columns=2, height=1.0 + 0.24 * len(names), sharey=True)
