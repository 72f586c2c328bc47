"""What the same operations buy without spikes: the students with ReLU, and smaller networks."""

from __future__ import annotations

from collections.abc import Iterator

from experiments.reproduction.rows import Document
from experiments.results.models import operations, priced_as_teacher_j, smallest_line
from experiments.results.text import Section, facts, table
from sne_deploy.report.units import joules


def section(document: Document) -> Section:
    """Tables; the model's plot shows the points."""
    return Section(tuple(_lines(document)))


def _lines(document: Document) -> Iterator[str]:
    figures = document.rows[0].figures
    yield (
        "The students with ReLU in the place of spiking neurons, trained on the same parts of the teacher's "
        "features; a MAC and a SynOp count as one operation each, though they cost different energies. The "
        "energies of networks without spikes are those of their MACs at the teacher's price."
    )
    yield ""
    rows = [
        (
            str(twin["students"]),
            f"{100 * point['accuracy']:.2f} %",
            f"{operations(point):,.0f}",
            joules(point["energy_j"]),
            f"{100 * twin['accuracy']:.2f} %",
            f"{twin['macs']:,}",
            joules(priced_as_teacher_j(figures, twin["macs"])),
        )
        for point, twin in zip(figures["first"], figures["twins"], strict=True)
    ]
    head = ("students", "spiking", "SynOps and host MACs", "energy", "with ReLU", "MACs", "energy")
    yield from table(head, rows)
    yield "Networks of the teacher's family, narrower, trained as it was:"
    yield ""
    family = [
        (
            str(one["width"]),
            f"{100 * one['accuracy']:.2f} %",
            f"{one['macs']:,}",
            joules(priced_as_teacher_j(figures, one["macs"])),
            f"{one['parameters']:,}",
        )
        for one in figures["family"]
    ]
    yield from table(("width", "accuracy", "MACs", "energy", "parameters"), family)
    yield smallest_line(figures)
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
