"""Sections of networks without spikes: the students with ReLUs, and the teacher's smaller relatives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.markdown import table
from experiments.reproduction.rows import Document
from experiments.results.text import Section, facts, percent
from sne_deploy.report.units import joules

Point = Mapping[str, Any]


def operations(point: Point) -> float:
    """Synaptic operations and MACs on the host, per sample."""
    return float(point["synops"] + point["host_macs"])


def smallest(family: Sequence[Point], ensemble: Point) -> str:
    """The smallest network of the teacher's family that is as accurate as all students."""
    enough = [one for one in family if one["accuracy"] >= ensemble["accuracy"]]
    if not enough:
        return "None of the narrower networks of the teacher's family is as accurate as all students."
    found = min(enough, key=lambda one: int(one["macs"]))
    return (
        "The smallest network of the teacher's family, trained as it was, that is as accurate as all "
        f"students: width {found['width']}, {found['macs']:,} MACs, "
        f"{joules(found['energy_j'])}; they: {operations(ensemble):,.0f} "
        f"operations, {joules(ensemble['energy_j'])}."
    )


def _bound(spiking: Point, twin: Point) -> str:
    """What is lost by spikes and pruning, and what by the networks, of all students."""
    teacher = spiking["teacher_accuracy"]
    lost, dense = (100 * (teacher - one["accuracy"]) for one in (spiking, twin))
    return (
        f"All of them lose {lost:.2f} points to the teacher with spikes, {dense:.2f} with ReLUs: the other "
        f"{lost - dense:.2f} are what spikes, pruning and the chip's integers cost."
    )


def companions(document: Document) -> Section:
    """What the same operations buy without spikes, as far as measured; the model's plot shows the points."""
    return Section(tuple(_companions(document)))


def _companions(document: Document) -> Iterator[str]:
    figures = document.rows[0].figures
    if "twins" in figures:
        yield (
            "The students with ReLU in the place of spiking neurons, trained as they were, but not pruned, "
            "in the order that is best for them; a MAC and a SynOp count as one operation each, though they "
            "cost different energies. The energies of networks without spikes are those of their MACs at the "
            "teacher's price.\n"
        )
        rows = [
            (
                str(twin["students"]),
                percent(point["accuracy"]),
                f"{operations(point):,.0f}",
                joules(point["energy_j"]),
                percent(twin["accuracy"]),
                f"{twin['macs']:,}",
                joules(twin["energy_j"]),
            )
            for point, twin in zip(figures["first"], figures["twins"], strict=True)
        ]
        head = ("students", "spiking", "SynOps and host MACs", "energy", "with ReLU", "MACs", "energy")
        yield from table(head, rows)
        yield _bound(figures["first"][-1], figures["twins"][-1]) + "\n"
    if "family" in figures:
        yield "Networks of the teacher's family, narrower, trained as it was:\n"
        family = [
            (
                str(one["width"]),
                percent(one["accuracy"]),
                f"{one['macs']:,}",
                joules(one["energy_j"]),
                f"{one['parameters']:,}",
            )
            for one in figures["family"]
        ]
        yield from table(("width", "accuracy", "MACs", "energy", "parameters"), family)
    arithmetic = "all energy but that of the MACs' arithmetic, and any tuning of how they are trained"
    if "first" in figures:
        target = (
            "Spiking: target `loihi`, deployed integers; the others: floating point. "
            f"{figures['first'][0]['samples']:,} test samples. None of these runs was compared with `lava`: "
            "the model's own section says what was."
        )
        left_out = (
            f"of networks without spikes, {arithmetic}; of the spiking students, what the model's own "
            "section says"
        )
    else:
        target, left_out = f"Floating point; {figures['samples']:,} test samples.", arithmetic
    yield from facts(document, [], target, left_out)
