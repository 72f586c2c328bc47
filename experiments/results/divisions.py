"""Section of divisions: which features each student learns, and what that gains when half of them run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from experiments.markdown import table
from experiments.reproduction.rows import Document
from experiments.results.text import (
    ENSEMBLE,
    PARTITION_POINTS,
    Section,
    facts,
    percentage,
    picture,
    points,
    section,
    spread,
)
from experiments.results.trainings import differences, values

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNINFORMED = ("contiguous", "random")
TRAINED, EXACT = "first", "exact"
"""Figures of the trained students, and of ones that make no error."""


def division(document: Document) -> Section:
    """How the teacher's features are divided, and what that is worth when half of the students run."""
    return section(_division(document), document, _division_plot)


def _students(document: Document) -> int:
    return len(document.rows[0].figures["first"])


def half(document: Document) -> int:
    """Half of the students."""
    return max(1, _students(document) // 2)


def _first(document: Document, variant: str, students: int, kind: str = TRAINED) -> list[float]:
    """Accuracies with the first students, seed by seed."""
    return [row.figures[kind][students - 1]["accuracy"] for row in document.variant(variant)]


def _gain(document: Document, variant: str, against: str, kind: str = TRAINED) -> str:
    """Accuracy with half of the students beyond another division's, seed by seed."""
    some = half(document)
    return points(differences(*(_first(document, name, some, kind) for name in (variant, against))))


def _division(document: Document) -> Iterator[str]:
    count, some = _students(document), half(document)
    yield (
        f"Accuracy with {some} of {count} students active, the first in the policy's order, which "
        "is found on validation data; gains are differences within a seed, in points.\n"
    )
    theirs = [percentage(spread(values(document, name, "teacher_accuracy"))) for name in document.variants]
    rows = [(*row, right) for row, right in zip(_accuracies(document, TRAINED), theirs, strict=True)]
    yield from table((*_head(document), "teacher's accuracy"), rows)
    yield from picture(f"{document.name}.svg", "Accuracy against the number of active students")
    informed = [name for name in document.variants if name not in UNINFORMED]
    best = max(informed, key=lambda name: spread(_first(document, name, some)).mean)
    gained = " and ".join(f"{_gain(document, best, other)} points over {other}" for other in UNINFORMED)
    picked = (
        f"It was picked among {len(informed)} on these very figures, which favours it."
        if len(informed) > 1
        else "It was chosen before, by other figures."
    )
    yield (
        f"Best informed division: {best}: {gained}. {picked} Published: up to {PARTITION_POINTS:g} points, "
        f"with other networks ({ENSEMBLE[0]}).\n"
    )
    if all(EXACT in row.figures for row in document.rows):
        yield from _exact(document, best)
    yield from facts(document, [row.figures["test"] for row in document.rows])


def _head(document: Document) -> tuple[str, ...]:
    count, some = _students(document), half(document)
    gains = [f"gain over {other}" for other in UNINFORMED]
    return ("division", f"accuracy, {some} of {count}", *gains, f"accuracy, {count} of {count}")


def _accuracies(document: Document, kind: str) -> list[tuple[str, ...]]:
    """A row for each division: with half of the students, its gains, with all."""
    return [
        (
            variant,
            percentage(spread(_first(document, variant, half(document), kind))),
            *("" if variant == other else _gain(document, variant, other, kind) for other in UNINFORMED),
            percentage(spread(_first(document, variant, _students(document), kind))),
        )
        for variant in document.variants
    ]


def _exact(document: Document, best: str) -> Iterator[str]:
    """What students without error would reach: how much a choice of features can gain at all."""
    count, some = _students(document), half(document)
    yield (
        "Students that give the teacher's features without error, with a linear head of their own, reach on "
        "the same divisions and orders:\n"
    )
    yield from table(_head(document), _accuracies(document, EXACT))
    drawn, whole = (_first(document, "random", students, EXACT) for students in (some, count))
    ours = _first(document, best, some)
    yield (
        f"A random half of the features holds all but {points(differences(whole, drawn)).lstrip('+')} points "
        "of what all of them tell of the classes: between students without error no choice of a half can "
        "gain more. What a division gains beyond that, it gains since some features are easier to learn. "
        f"From the same half, trained students with {best} lose "
        f"{points(differences(_first(document, best, some, EXACT), ours)).lstrip('+')} points by their own "
        "errors.\n"
    )


def _division_plot(document: Document) -> Figure:
    """Points are moved sideways a little, so that error bars do not hide each other."""
    from experiments.results.plots import COLOURS, bars, drawn, percent_axis

    def draw(panels: Sequence[Axes]) -> None:
        (axes,) = panels
        variants, counts = document.variants, range(1, _students(document) + 1)
        for index, (colour, variant) in enumerate(zip(COLOURS[: len(variants)], variants, strict=True)):
            shift = 0.06 * (index - (len(variants) - 1) / 2)
            found = [spread(_first(document, variant, count)) for count in counts]
            style: Any = {"fmt": "o-", "color": colour, "linewidth": 0.9, "markersize": 3, "label": variant}
            bars(axes, [count + shift for count in counts], found, **style)
        axes.set_xlabel("active students")
        axes.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
        percent_axis(axes, "accuracy, deployed (%)")
        axes.legend(loc="lower right")

    return drawn(draw, height=3.0)
