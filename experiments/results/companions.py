"""Sections of networks without spikes: the students with ReLUs, and the teacher's smaller relatives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from experiments.markdown import table
from experiments.reproduction.rows import Document
from experiments.results.text import Section, facts, percent
from sne_deploy.report.units import joules

Point = Mapping[str, Any]


def operations(point: Point) -> float:
    """Synaptic operations and MACs on the host, per sample."""
    return float(point["synops"] + point["host_macs"])


def priced_as_teacher_j(figures: Point, macs: int) -> float:
    """Joules of a network's multiply-accumulates at the price of the teacher's."""
    point = figures["first"][0]
    return float(macs * point["teacher_energy_j"] / point["teacher_macs"])


def smallest(figures: Point) -> str:
    """The smallest network of the teacher's family that is as accurate as all students."""
    found, ensemble = figures["smallest"], figures["first"][-1]
    if found is None:
        return "None of the narrower networks of the teacher's family is as accurate as all students."
    return (
        "The smallest network of the teacher's family, trained as it was, that is as accurate as all "
        f"students: width {found['width']}, {found['macs']:,} MACs, "
        f"{joules(priced_as_teacher_j(figures, found['macs']))}; they: {operations(ensemble):,.0f} "
        f"operations, {joules(ensemble['energy_j'])}."
    )


def companions(document: Document) -> Section:
    """What the same operations buy without spikes, as far as measured; the model's plot shows the points."""
    return Section(tuple(_companions(document)))


def _companions(document: Document) -> Iterator[str]:
    figures = document.rows[0].figures

    def macs(network: Point) -> tuple[str, str]:
        return f"{network['macs']:,}", joules(priced_as_teacher_j(figures, network["macs"]))

    if "twins" in figures:
        yield (
            "The students with ReLU in the place of spiking neurons, trained as they were; a MAC and a SynOp "
            "count as one operation each, though they cost different energies. The energies of networks "
            "without spikes are those of their MACs at the teacher's price.\n"
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
    if "family" in figures:
        yield "Networks of the teacher's family, narrower, trained as it was:\n"
        family = [
            (str(one["width"]), percent(one["accuracy"]), *macs(one), f"{one['parameters']:,}")
            for one in figures["family"]
        ]
        yield from table(("width", "accuracy", "MACs", "energy", "parameters"), family)
        yield smallest(figures)
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
