"""Sections of a model: accuracy against cost, its companions without spikes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from experiments.markdown import table
from experiments.reproduction.rows import Document
from experiments.results.text import (
    ABSENT,
    ENSEMBLE,
    OPERATIONS_DROP_POINTS,
    OPERATIONS_FEWER,
    Section,
    facts,
    percent,
    picture,
    times,
)
from sne_deploy.report.units import joules

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = Mapping[str, Any]
HEAD = (
    "", "students", "accuracy", "drop, points", "SynOps", "host MACs", "fewer operations",
    "updates counted", "energy", "less energy",
)  # fmt: skip


def model(document: Document, beside: Document | None = None) -> Section:
    """Students activated one by one, the cascade, gates, the teacher; ``beside``: its companions."""
    draw = partial(_model_plot, document, beside)
    return Section(tuple(_model(document, beside)), {f"{document.name}.svg": draw})


def _model(document: Document, beside: Document | None) -> Iterator[str]:
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
    yield (
        f"Gates that choose students from the input, trained on {gates[0]['trained_on']:,} training images, "
        "by the cross-entropy (nats) that all students may cost; their own MACs are counted:\n"
    )
    yield from table(HEAD, [_point(f"{point['price']:g}", point) for point in gates])
    yield from picture(f"{document.name}.svg", "Accuracy against operations and energy per inference")
    yield (
        "Operating points: the cheapest one whose drop against the teacher on validation data is within what "
        "is allowed, and what it is on test data:\n"
    )
    yield from table(HEAD, [_fitted(point) for point in figures["fitted"]])
    if document.example == "cifar10":
        yield (
            f"Published for CIFAR-10: up to {OPERATIONS_FEWER} x fewer operations at a drop of "
            f"{OPERATIONS_DROP_POINTS} points, with other networks ({ENSEMBLE[0]}).\n"
        )
    yield OPERATIONS
    yield ""
    if beside is not None:
        yield _smallest(beside.rows[0].figures)
        yield ""
    yield from facts(document, [test])


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
    allowed = f"{drop:g} point" if drop == 1 else f"{drop:g} points"
    if point["reached"]:
        return _point(allowed, point)
    return (f"{allowed}: not reached on validation data", *[ABSENT] * (len(HEAD) - 1))


def operations(point: Point) -> float:
    """Synaptic operations and MACs on the host, per sample."""
    return float(point["synops"] + point["host_macs"])


def _priced_as_teacher_j(figures: Point, macs: int) -> float:
    """Joules of a network's multiply-accumulates at the price of the teacher's."""
    point = figures["first"][0]
    return float(macs * point["teacher_energy_j"] / point["teacher_macs"])


def _smallest(figures: Point) -> str:
    """The smallest network of the teacher's family that is as accurate as all students."""
    smallest, ensemble = figures["smallest"], figures["first"][-1]
    if smallest is None:
        return "None of the narrower networks of the teacher's family is as accurate as all students."
    return (
        "The smallest network of the teacher's family, trained as it was, that is as accurate as all "
        f"students: width {smallest['width']}, {smallest['macs']:,} MACs, "
        f"{joules(_priced_as_teacher_j(figures, smallest['macs']))}; they: {operations(ensemble):,.0f} "
        f"operations, {joules(ensemble['energy_j'])}."
    )


def _model_plot(document: Document, beside: Document | None) -> Figure:
    from experiments.results.plots import drawn, log_axis, percent_axis

    def draw(panels: Sequence[Axes]) -> None:
        left, right = panels
        figures, companions = document.rows[0].figures, None if beside is None else beside.rows[0].figures
        _curves(left, figures, operations, figures["test"]["teacher_macs"])
        _curves(
            right, figures, lambda point: 1e6 * point["energy_j"], 1e6 * figures["test"]["teacher_energy_j"]
        )
        if companions is not None:
            _networks(left, companions, lambda row: row["macs"])
            _networks(right, companions, lambda row: 1e6 * _priced_as_teacher_j(companions, row["macs"]))
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
    curve(axes, figures["gates"], cost, "x", PINK, "gates, by price", markersize=5)
    axes.plot(
        [teacher], [figures["test"]["teacher_accuracy"]], "*", color=GREY, markersize=9, label="teacher"
    )


def _networks(axes: Axes, figures: Point, cost: Callable[[Point], float]) -> None:
    from experiments.results.plots import GREEN, PURPLE, curve

    curve(axes, figures["twins"], cost, "s:", GREEN, "the same students with ReLU", linewidth=0.8)
    curve(axes, figures["family"], cost, "^:", PURPLE, "smaller networks", linewidth=0.8)


# --- companions -------------------------------------------------------------------------------------


def companions(document: Document) -> Section:
    """What the same operations buy without spikes; the model's plot shows the points."""
    return Section(tuple(_companions(document)))


def _companions(document: Document) -> Iterator[str]:
    figures = document.rows[0].figures

    def macs(network: Point) -> tuple[str, str]:
        return f"{network['macs']:,}", joules(_priced_as_teacher_j(figures, network["macs"]))

    yield (
        "The students with ReLU in the place of spiking neurons, trained on the same parts of the teacher's "
        "features; a MAC and a SynOp count as one operation each, though they cost different energies. The "
        "energies of networks without spikes are those of their MACs at the teacher's price.\n"
    )
    rows = [
        (
            str(twin["students"]),
            percent(point["accuracy"]),
            f"{operations(point):,.0f}",
            joules(point["energy_j"]),
            percent(twin["accuracy"]),
            *macs(twin),
        )
        for point, twin in zip(figures["first"], figures["twins"], strict=True)
    ]
    head = ("students", "spiking", "SynOps and host MACs", "energy", "with ReLU", "MACs", "energy")
    yield from table(head, rows)
    yield "Networks of the teacher's family, narrower, trained as it was:\n"
    family = [
        (str(one["width"]), percent(one["accuracy"]), *macs(one), f"{one['parameters']:,}")
        for one in figures["family"]
    ]
    yield from table(("width", "accuracy", "MACs", "energy", "parameters"), family)
    yield _smallest(figures)
    yield ""
    samples = figures["first"][0]["samples"]
    target = (
        f"Spiking: target `loihi`, deployed integers; the others: floating point. {samples:,} test samples. "
        "None of these runs was compared with `lava`: the model's own section says what was."
    )
    left_out = (
        "of networks without spikes, all energy but that of the MACs' arithmetic, and any tuning of how they "
        "are trained; of the spiking students, what the model's own section says"
    )
    yield from facts(document, [], target, left_out)
