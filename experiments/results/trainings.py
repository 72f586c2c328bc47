"""Section of losses, trained anew with each seed; and what tables of such runs share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from experiments.markdown import table
from experiments.reproduction.rows import Document
from experiments.results.text import (
    SPIKES_FEWER_PERCENT,
    TEMPERATURES,
    TEMPERATURES_POINTS,
    Section,
    Spread,
    counted,
    energy,
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

Test = dict[str, Any]
"""Figures of a run on the test data, as :func:`experiments.study.summary.measure` gives them."""


def tests_of(document: Document, variant: str) -> list[Test]:
    """Figures on the test data, by seed."""
    return [row.figures["test"] for row in document.variant(variant)]


def values(document: Document, variant: str, key: str) -> list[float]:
    """A figure on the test data, by seed."""
    return [test[key] for test in tests_of(document, variant)]


def accuracies(tests: Sequence[Test]) -> tuple[str, str, str]:
    """In floating point, as deployed, and the drop."""
    exact, deployed = ([test[key] for test in tests] for key in ("float_accuracy", "accuracy"))
    return percentage(spread(exact)), percentage(spread(deployed)), points(differences(exact, deployed))


def differences(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Seed by seed."""
    return spread(a - b for a, b in zip(ours, theirs, strict=True))


def cost(tests: Sequence[Test], key: str) -> str:
    """A mean per sample, over the seeds."""
    return (energy if key == "energy_j" else counted)(spread(test[key] for test in tests))


# --- losses -----------------------------------------------------------------------------------------

REFERENCE = "conventional"
NAMES = {
    "no-distillation": "labels alone",
    "conventional": "conventional distillation",
    "two-temperatures": "two temperatures",
    "activity-cost": "cost of activity",
    "combination": "two temperatures and cost",
}


def losses(document: Document) -> Section:
    """What losses do to accuracy and spikes: table, choices, plot."""
    return section(_losses(document), document, _losses_plot)


def _losses(document: Document) -> Iterator[str]:
    yield "Means per sample. Drop: float minus deployed.\n"
    head = ("", "float", "deployed", "drop, points", "spikes", "of conventional's", "SynOps", "energy")
    yield from table(head, [_loss_row(document, variant) for variant in document.variants])
    yield from picture(f"{document.name}.svg", "Accuracy against spikes per inference")
    alone, both = (_saved(document, variant) for variant in ("two-temperatures", "combination"))
    yield (
        f"Against conventional distillation, seed by seed: two temperatures {alone} of accuracy; with a cost "
        f"of activity as well {both}. Published, without such a cost: up to "
        f"{SPIKES_FEWER_PERCENT} % fewer at {TEMPERATURES_POINTS:+.2f} points, with other networks "
        f"({TEMPERATURES[0]}).\n"
    )
    yield from facts(document, [row.figures["test"] for row in document.rows])
    yield "Chosen on validation data, by means over the seeds, before any test sample was run:\n"
    rows = [
        (
            choice.what,
            one.variant,
            f"{100 * one.accuracy:.2f} %",
            f"{one.spikes:,.0f}",
            "chosen" if one.variant == choice.chosen else "",
        )
        for choice in document.choices
        for one in choice.candidates
    ]
    yield from table(("choice", "candidate", "validation accuracy", "spikes", ""), rows)
    for choice in document.choices:
        missed = "" if choice.met else " No candidate kept that rule: the one that came closest was taken."
        yield f"- {choice.what}: {choice.rule}.{missed}"
    yield ""


def _loss_row(document: Document, variant: str) -> tuple[str, ...]:
    tests = tests_of(document, variant)
    return (
        NAMES.get(variant, variant),
        *accuracies(tests),
        cost(tests, "spikes"),
        _part(relative_spikes(document, variant)),
        cost(tests, "synops"),
        cost(tests, "energy_j"),
    )


def relative_spikes(document: Document, variant: str) -> Spread:
    """Spikes as a fraction of conventional distillation's, seed by seed."""
    ours, theirs = (values(document, name, "spikes") for name in (variant, REFERENCE))
    return spread(a / b for a, b in zip(ours, theirs, strict=True))


def _part(value: Spread) -> str:
    return shown(value, lambda number: f"{100 * number:.1f}", " %")


def _saved(document: Document, variant: str) -> str:
    gained = differences(*(values(document, name, "accuracy") for name in (variant, REFERENCE)))
    fewer = relative_spikes(document, variant)
    return f"{_part(Spread(1 - fewer.mean, fewer.std, fewer.n))} fewer spikes at {points(gained)} points"


def _losses_plot(document: Document) -> Figure:
    from experiments.results.plots import COLOURS, bars, drawn, percent_axis

    def draw(panels: Sequence[Axes]) -> None:
        (axes,) = panels
        for colour, variant in zip(COLOURS[: len(document.variants)], document.variants, strict=True):
            spikes, right = (spread(values(document, variant, key)) for key in ("spikes", "accuracy"))
            bars(axes, [spikes], [right], fmt="o", color=colour, label=NAMES.get(variant, variant))
        axes.set_xlim(left=0)
        axes.set_xlabel("spikes per inference")
        percent_axis(axes, "accuracy, deployed (%)")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))

    return drawn(draw, height=2.8)
