"""A model's accuracy against what it costs: students activated one by one, the cascade, its teacher."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from experiments.reproduction.rows import Document
from experiments.results.published import ENSEMBLE, OPERATIONS_DROP_POINTS, OPERATIONS_FEWER
from experiments.results.text import ABSENT, Section, facts, picture, table, times
from sne_deploy.report.units import joules

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = Mapping[str, Any]
HEAD = (
    "", "students", "accuracy", "drop, points", "SynOps", "host MACs", "fewer operations",
    "updates counted", "energy", "less energy",
)  # fmt: skip


def section(document: Document, companions: Document | None = None) -> Section:
    """Tables and plot; ``companions``: networks to show beside it."""
    draw = partial(_plot, document, companions)
    return Section(tuple(_lines(document, companions)), {f"{document.name}.svg": draw})


def _lines(document: Document, companions: Document | None) -> Iterator[str]:
    figures = document.rows[0].figures
    test = figures["test"]
    yield (
        f"Teacher: {_percent(test['teacher_accuracy'])}, {test['teacher_macs']:,} MACs, "
        f"{joules(test['teacher_energy_j'])}. The model with its own policy: "
        f"{_percent(test['accuracy'])} deployed, {_percent(test['float_accuracy'])} in floating point; the "
        f"same class on {100 * test['agreement']:.1f} % of the samples."
    )
    yield ""
    yield "The first students in the policy's order, on every sample:"
    yield ""
    rows = [point_row(f"first {point['students']}", point) for point in figures["first"]]
    yield from table(HEAD, rows)
    yield "The cascade, by the confidence that ends it:"
    yield ""
    rows = [point_row(f"{point['threshold']:g}", point) for point in figures["cascade"]]
    yield from table(HEAD, rows)
    gates = figures["gates"]
    yield (
        f"Gates that choose students from the input, trained on {gates[0]['trained_on']:,} training images, "
        "by the cross-entropy (nats) that all students may cost; their own MACs are counted:"
    )
    yield ""
    yield from table(HEAD, [point_row(f"{point['price']:g}", point) for point in gates])
    yield from picture(f"{document.name}.svg", "Accuracy against operations and energy per inference")
    yield from _fitted(document, figures["fitted"])
    yield OPERATIONS
    yield ""
    if companions is not None:
        yield smallest_line(companions.rows[0].figures)
        yield ""
    yield from facts(document, [test])


OPERATIONS = """\
Drop: teacher minus ensemble. Fewer operations: the teacher's MACs over the ensemble's SynOps and host MACs;
*updates counted*: over these and active neuron updates. Energies are counts times published constants, the
teacher's is that of its arithmetic alone."""


def point_row(name: str, point: Point) -> tuple[str, ...]:
    """A point's cells."""
    return (
        name,
        f"{point['mean_students']:.2f}",
        _percent(point["accuracy"]),
        f"{100 * point['drop']:.2f}",
        f"{point['synops']:,.0f}",
        f"{point['host_macs']:,.0f}",
        times(point["ratio_ops"]),
        times(point["ratio_ops_updates"]),
        joules(point["energy_j"]),
        times(point["ratio_energy"]),
    )


def _fitted(document: Document, fitted: Sequence[Point]) -> Iterator[str]:
    yield (
        "Operating points: the cheapest one whose drop against the teacher on validation data is within what "
        "is allowed, and what it is on test data:"
    )
    yield ""
    rows = []
    for one in fitted:
        drop = 100 * one["allowed_drop"]
        allowed = f"{drop:g} point" if drop == 1 else f"{drop:g} points"
        rows.append(
            point_row(allowed, one)
            if one["reached"]
            else (f"{allowed}: not reached on validation data", *[ABSENT] * (len(HEAD) - 1))
        )
    yield from table(HEAD, rows)
    if document.example == "cifar10":
        yield (
            f"Published for CIFAR-10: up to {OPERATIONS_FEWER} x fewer operations at a drop of "
            f"{OPERATIONS_DROP_POINTS} points, with other networks ({ENSEMBLE.key})."
        )
        yield ""


def _percent(value: float | None) -> str:
    return ABSENT if value is None else f"{100 * value:.2f} %"


def operations(point: Point) -> float:
    """Synaptic operations and MACs on the host, per sample."""
    return float(point["synops"] + point["host_macs"])


def priced_as_teacher_j(figures: Mapping[str, Any], macs: int) -> float:
    """Joules of a network's multiply-accumulates at the price of the teacher's."""
    point = figures["first"][0]
    return float(macs * point["teacher_energy_j"] / point["teacher_macs"])


def smallest_line(figures: Mapping[str, Any]) -> str:
    """The smallest network of the teacher's family that is as accurate as all students."""
    smallest, ensemble = figures["smallest"], figures["first"][-1]
    if smallest is None:
        return "None of the narrower networks of the teacher's family is as accurate as all students."
    return (
        "The smallest network of the teacher's family, trained as it was, that is as accurate as all "
        f"students: width {smallest['width']}, {smallest['macs']:,} MACs, "
        f"{joules(priced_as_teacher_j(figures, smallest['macs']))}; they: {operations(ensemble):,.0f} "
        f"operations, {joules(ensemble['energy_j'])}."
    )


def _plot(document: Document, companions: Document | None) -> Figure:
    from experiments.results.plots import drawn, log_axis, percent_axis

    figures = document.rows[0].figures
    test = figures["test"]

    def draw(panels: Sequence[Axes]) -> None:
        left, right = panels
        _curves(left, figures, operations)
        _curves(right, figures, lambda point: 1e6 * float(point["energy_j"]))
        _teacher(left, test["teacher_macs"], test["teacher_accuracy"])
        _teacher(right, 1e6 * test["teacher_energy_j"], test["teacher_accuracy"])
        if companions is not None:
            beside = companions.rows[0].figures
            _networks(left, beside, float)
            _networks(right, beside, lambda macs: 1e6 * priced_as_teacher_j(beside, macs))
        log_axis(left, "operations per inference (SynOps + MACs)")
        log_axis(right, "energy per inference (µJ)")
        percent_axis(left)
        right.tick_params(labelleft=False)
        handles, labels = left.get_legend_handles_labels()
        left.figure.legend(handles, labels, loc="outside lower center", ncols=3)

    return drawn(draw, columns=2, height=3.8, sharey=True)


def _curves(axes: Axes, figures: Mapping[str, Any], cost: Any) -> None:
    from experiments.results.plots import BLUE, ORANGE, PINK

    first, cascade, gates = figures["first"], figures["cascade"], figures["gates"]
    axes.plot(
        [cost(point) for point in cascade], [point["accuracy"] for point in cascade], "-", color=BLUE,
        label="cascade, by threshold",
    )  # fmt: skip
    axes.plot(
        [cost(point) for point in first], [point["accuracy"] for point in first], "o--", color=ORANGE,
        linewidth=0.8, label="first 1, 2, ... students",
    )  # fmt: skip
    axes.plot(
        [cost(point) for point in gates], [point["accuracy"] for point in gates], "x", color=PINK,
        markersize=5, label="gates, by price",
    )  # fmt: skip


def _teacher(axes: Axes, cost: float, accuracy: float) -> None:
    from experiments.results.plots import GREY

    axes.plot([cost], [accuracy], "*", color=GREY, markersize=9, label="teacher")


def _networks(axes: Axes, figures: Mapping[str, Any], cost: Callable[[int], float]) -> None:
    from experiments.results.plots import GREEN, PURPLE

    for key, colour, mark, label in (
        ("twins", GREEN, "s:", "the same students with ReLU"),
        ("family", PURPLE, "^:", "smaller networks"),
    ):
        rows = figures[key]
        axes.plot(
            [cost(row["macs"]) for row in rows], [row["accuracy"] for row in rows], mark, color=colour,
            linewidth=0.8, label=label,
        )  # fmt: skip
