"""CIFAR-10: how the teacher's features are divided, and what that is worth when half of the students run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from experiments.reproduction.rows import Document
from experiments.results.published import ENSEMBLE, PARTITION_POINTS
from experiments.results.text import Section, Spread, facts, percentage, picture, points, spread, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNINFORMED = ("contiguous", "random")


def section(document: Document) -> Section:
    """Table, comparison, plot."""
    return Section(tuple(_lines(document)), {f"{document.name}.svg": partial(_plot, document)})


def accuracies(document: Document, variant: str, students: int) -> list[float]:
    """With the first so many students, seed by seed."""
    return [row.figures["first"][students - 1]["accuracy"] for row in document.variant(variant)]


def half(document: Document) -> int:
    """Half of the students."""
    return max(1, len(document.rows[0].figures["first"]) // 2)


def gain(document: Document, variant: str, against: str, students: int) -> Spread:
    """Accuracy beyond another division's, seed by seed."""
    ours, theirs = (accuracies(document, name, students) for name in (variant, against))
    return spread(a - b for a, b in zip(ours, theirs, strict=True))


def _lines(document: Document) -> Iterator[str]:
    count = len(document.rows[0].figures["first"])
    yield (
        f"Accuracy with {half(document)} of {count} students active, the first in the policy's order, which "
        "is found on validation data; gains are differences within a seed, in points."
    )
    yield ""
    head = (
        "division", f"accuracy, {half(document)} of {count}", "gain over contiguous", "gain over random",
        f"accuracy, {count} of {count}", "teacher's accuracy",
    )  # fmt: skip
    yield from table(head, [_row(document, variant) for variant in document.variants])
    yield from picture(f"{document.name}.svg", "Accuracy against the number of active students")
    yield _best(document)
    yield ""
    yield from facts(document, [row.figures["test"] for row in document.rows])


def _row(document: Document, variant: str) -> tuple[str, ...]:
    count = len(document.rows[0].figures["first"])
    gains = (
        "" if variant == other else points(gain(document, variant, other, half(document)))
        for other in UNINFORMED
    )
    theirs = [row.figures["test"]["teacher_accuracy"] for row in document.variant(variant)]
    return (
        variant,
        percentage(spread(accuracies(document, variant, half(document)))),
        *gains,
        percentage(spread(accuracies(document, variant, count))),
        percentage(spread(theirs)),
    )


def _best(document: Document) -> str:
    """The informed division with the highest mean, beside what was published."""
    informed = [name for name in document.variants if name not in UNINFORMED]
    best = max(informed, key=lambda name: spread(accuracies(document, name, half(document))).mean)
    gains = " and ".join(
        f"{points(gain(document, best, other, half(document)))} points over {other}" for other in UNINFORMED
    )
    return (
        f"Best informed division: {best}: {gains}. It was picked among {len(informed)} on these very "
        f"figures, which favours it. Published: up to {PARTITION_POINTS:g} points, with other networks "
        f"({ENSEMBLE.key})."
    )


def _plot(document: Document) -> Figure:
    from experiments.results.plots import COLOURS, drawn, percent_axis

    def draw(panels: Sequence[Axes]) -> None:
        (axes,) = panels
        variants = document.variants
        for index, (colour, variant) in enumerate(zip(COLOURS[: len(variants)], variants, strict=True)):
            _curve(axes, document, variant, colour, 0.06 * (index - (len(variants) - 1) / 2))
        axes.set_xlabel("active students")
        axes.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
        percent_axis(axes, "accuracy, deployed (%)")
        axes.legend(loc="lower right")

    return drawn(draw, height=3.0)


def _curve(axes: Axes, document: Document, variant: str, colour: str, shift: float) -> None:
    """One division; points are moved sideways a little, so that error bars do not hide each other."""
    counts = range(1, len(document.rows[0].figures["first"]) + 1)
    spreads = [spread(accuracies(document, variant, count)) for count in counts]
    axes.errorbar(
        [count + shift for count in counts],
        [one.mean for one in spreads],
        yerr=None if spreads[0].n == 1 else [one.std for one in spreads],
        fmt="o-", color=colour, elinewidth=0.8, capsize=2, linewidth=0.9, markersize=3,
        label=variant,
    )  # fmt: skip
