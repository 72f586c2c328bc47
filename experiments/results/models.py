"""Section of a model: accuracy against cost, what was chosen on validation data, how it was trained."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from experiments.markdown import table
from experiments.reproduction.rows import Document
from experiments.results.companions import Point, operations, smallest
from experiments.results.text import (
    ABSENT,
    ENSEMBLE,
    OPERATIONS_DROP_POINTS,
    OPERATIONS_FEWER,
    Section,
    duration,
    facts,
    percent,
    picture,
    times,
)
from sne_deploy.report.units import joules

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEAD = (
    "", "students", "accuracy", "drop, points", "SynOps", "host MACs", "fewer operations",
    "updates counted", "energy", "less energy",
)  # fmt: skip


def model(document: Document, beside: Sequence[Document] = ()) -> Section:
    """Students activated one by one, the cascade, gates, the teacher; ``beside``: its companions."""
    companions: Point = {key: value for one in beside for key, value in one.rows[0].figures.items()}
    draw = partial(_model_plot, document, companions)
    return Section(tuple(_model(document, companions)), {f"{document.name}.svg": draw})


def _model(document: Document, companions: Point) -> Iterator[str]:
    figures = document.rows[0].figures
    test, gates = figures["test"], figures["gates"]
    yield (
        f"Teacher: {percent(test['teacher_accuracy'])}, {test['teacher_macs']:,} MACs, "
        f"{joules(test['teacher_energy_j'])}. The model with its own policy: "
        f"{percent(test['accuracy'])} deployed, {percent(test['float_accuracy'])} in floating point; the "
        f"same class on {100 * test['agreement']:.1f} % of the samples.\n"
    )
    yield "The first students in the policy's order, on every sample:\n"
    yield from table(HEAD, [_point(f"first {point['students']}", point) for point in figures["first"]])
    yield "The cascade, by the confidence that ends it:\n"
    yield from table(HEAD, [_point(f"{point['threshold']:g}", point) for point in figures["cascade"]])
    if gates:
        yield (
            f"Gates that choose students from the input, trained on {gates[0]['trained_on']:,} training "
            "images, by the cross-entropy (nats) that all students may cost; their own MACs are counted:\n"
        )
        yield from table(HEAD, [_point(f"{point['price']:g}", point) for point in gates])
    yield from picture(f"{document.name}.svg", "Accuracy against operations and energy per inference")
    yield (
        "Operating points: the cheapest one whose drop against the teacher on validation data is within what "
        "is allowed, and what it is on test data:\n"
    )
    yield from table(HEAD, [_fitted(point) for point in figures["fitted"]])
    if "budgets" in figures:
        yield from budgets(figures)
    if document.example == "cifar10":
        yield (
            f"Published for CIFAR-10: up to {OPERATIONS_FEWER} x fewer operations at a drop of "
            f"{OPERATIONS_DROP_POINTS} points, with other networks ({ENSEMBLE[0]}).\n"
        )
    yield OPERATIONS
    yield ""
    if "family" in companions:
        yield smallest(companions["family"], figures["first"][-1])
        yield ""
    yield from facts(document, [test])
    yield from trained(figures)


OPERATIONS = """\
Drop: teacher minus ensemble. Fewer operations: the teacher's MACs over the ensemble's SynOps and host MACs;
*updates counted*: over these and active neuron updates. Energies are counts times published constants, the
teacher's is that of its arithmetic alone."""


def _point(name: str, point: Point) -> tuple[str, ...]:
    return (
        name,
        f"{point['mean_students']:.2f}",
        percent(point["accuracy"]),
        f"{100 * point['drop']:.2f}",
        f"{point['synops']:,.0f}",
        f"{point['host_macs']:,.0f}",
        times(point["ratio_ops"]),
        times(point["ratio_ops_updates"]),
        joules(point["energy_j"]),
        times(point["ratio_energy"]),
    )


def _fitted(point: Point) -> tuple[str, ...]:
    drop = 100 * point["allowed_drop"]
    return _chosen(f"{drop:g} point" if drop == 1 else f"{drop:g} points", point)


def _chosen(allowed: str, point: Point) -> tuple[str, ...]:
    if point["reached"]:
        return _point(allowed, point)
    return (f"{allowed}: not reached on validation data", *[ABSENT] * (len(HEAD) - 1))


def budgets(figures: Point) -> Iterator[str]:
    """What parts of the teacher's operations buy; each student alone; what each one more brings."""
    yield (
        "What parts of the teacher's operations buy, on test data. Order and temperatures of a cascade "
        "are those that are most accurate on validation data within that part, the threshold is the highest "
        "that it pays for there:\n"
    )
    yield from table(HEAD, [_chosen(f"{point['fewer']} x fewer", point) for point in figures["budgets"]])
    yield from _who_runs(figures)
    first = figures["validation_first"]
    if len(first) == 1:
        return
    yield "Each student by itself, on every sample:\n"
    yield from table(HEAD, [_point(f"student {k}", point) for k, point in enumerate(figures["alone"])])
    best, equal = figures["best_alone"]["student"], figures["best_alone"]["equal_operations"]
    alone = figures["alone"][best]
    yield (
        f"Does the ensemble pay? The best student alone on validation data is student {best}: "
        f"{percent(alone['accuracy'])} at {operations(alone):,.0f} operations. The cascade that costs no "
        f"more on validation data: {percent(equal['accuracy'])} at {operations(equal):,.0f}, "
        f"{100 * (equal['accuracy'] - alone['accuracy']):+.2f} points. On validation data each student that "
        f"is added brings, in points: {', '.join(_added(first))}.\n"
    )


def _who_runs(figures: Point) -> Iterator[str]:
    """Orders of the cascades, and which students are mirror images."""
    found = [(point["fewer"], point["order"]) for point in figures["budgets"] if point.get("order")]
    if found:
        orders = "; ".join(f"at {fewer} x {', '.join(map(str, order))}" for fewer, order in found)
        yield f"Students in the order in which they run: {orders}.\n"
    mirrors = [(k, source) for k, source in enumerate(figures.get("mirrors", ())) if source is not None]
    if mirrors:
        images = ", ".join(f"{k} of {source}" for k, source in mirrors)
        yield f"Mirror images, which were not trained: {images}.\n"


def _added(first: Sequence[Point]) -> Iterator[str]:
    for before, after in itertools.pairwise(first):
        yield (
            f"{100 * (after['accuracy'] - before['accuracy']):+.2f} from {before['students']} to "
            f"{after['students']}"
        )


def trained(figures: Point) -> Iterator[str]:
    """Where and how long each part was trained, as the training wrote it; and how sparse the students are."""
    if "weights" in figures:
        kept = figures["weights_kept"] / figures["weights"]
        yield (
            f"- Weights of all students: {figures['weights']:,}; not zero: {figures['weights_kept']:,}, "
            f"{100 * kept:.1f} %. A zero is no synapse and costs nothing."
        )
        yield ""
    stages = figures.get("trained")
    if not stages:
        return
    yield "Trained, as the training recorded it:\n"
    rows = [
        (
            name,
            str(stage["epochs"]),
            duration(stage["seconds"]),
            "; ".join(f"{duration(seconds)} on {machine}" for machine, seconds in _machines(stage)),
        )
        for name, stage in stages.items()
    ]
    yield from table(("stage", "epochs", "time", "machine"), rows)


def _machines(stage: Point) -> list[tuple[str, float]]:
    """Those that did some of it; the last one is listed even where it only found the stage finished."""
    return [(machine, seconds) for machine, seconds in stage["machines"].items() if seconds > 0]


def _model_plot(document: Document, companions: Point) -> Figure:
    from experiments.results.plots import drawn, log_axis, percent_axis

    def draw(panels: Sequence[Axes]) -> None:
        left, right = panels
        figures = document.rows[0].figures
        _curves(left, figures, operations, figures["test"]["teacher_macs"])
        _curves(
            right, figures, lambda point: 1e6 * point["energy_j"], 1e6 * figures["test"]["teacher_energy_j"]
        )
        _networks(left, companions, lambda row: row["macs"])
        _networks(right, companions, lambda row: 1e6 * row["energy_j"])
        log_axis(left, "operations per inference (SynOps + MACs)")
        log_axis(right, "energy per inference (µJ)")
        percent_axis(left)
        right.tick_params(labelleft=False)
        handles, labels = left.get_legend_handles_labels()
        left.figure.legend(handles, labels, loc="outside lower center", ncols=3)

    return drawn(draw, columns=2, height=3.8, sharey=True)


def _curves(axes: Axes, figures: Point, cost: Callable[[Point], float], teacher: float) -> None:
    from experiments.results.plots import BLUE, GREY, ORANGE, PINK, curve

    curve(axes, figures["cascade"], cost, "-", BLUE, "cascade, by threshold")
    curve(axes, figures["first"], cost, "o--", ORANGE, "first 1, 2, ... students", linewidth=0.8)
    if figures["gates"]:
        curve(axes, figures["gates"], cost, "x", PINK, "gates, by price", markersize=5)
    axes.plot(
        [teacher], [figures["test"]["teacher_accuracy"]], "*", color=GREY, markersize=9, label="teacher"
    )


def _networks(axes: Axes, figures: Point, cost: Callable[[Point], float]) -> None:
    from experiments.results.plots import GREEN, PURPLE, curve

    if "twins" in figures:
        curve(axes, figures["twins"], cost, "s:", GREEN, "the same students with ReLU", linewidth=0.8)
    if "family" in figures:
        curve(axes, figures["family"], cost, "^:", PURPLE, "smaller networks", linewidth=0.8)
