"""Studies that both examples have: the model, its bits, its noise; and how a study is described."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from experiments.reproduction import measure
from experiments.reproduction.model import family, model_figures, relu_twins
from experiments.reproduction.rows import Candidate, Choice, Record
from experiments.reproduction.runs import Lab, Measurement, Run


@dataclass(frozen=True)
class Found:
    """What a study gave."""

    rows: tuple[Record, ...]
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True)
class Bench:
    """What a study works with."""

    study: str
    lab: Lab
    seeds: tuple[int, ...]
    subject: measure.Subject
    verify: int

    def one(self, variant: str, changes: Mapping[str, Any], measurement: Measurement) -> Record:
        """A run with the first seed."""
        return self.one_seed(variant, self.seeds[0], changes, measurement)

    def one_seed(
        self, variant: str, seed: int, changes: Mapping[str, Any], measurement: Measurement
    ) -> Record:
        """A run with a seed."""
        return self.lab.record(Run(self.study, variant, seed, changes), measurement)

    def every_seed(
        self, variant: str, changes: Mapping[str, Any], measurement: Measurement
    ) -> tuple[Record, ...]:
        """A run with each seed."""
        return tuple(self.one_seed(variant, seed, changes, measurement) for seed in self.seeds)

    def candidates(self, variants: Mapping[str, Mapping[str, Any]]) -> list[Candidate]:
        """Train each variant with every seed; means of their figures on the validation data."""
        found = []
        for variant, changes in variants.items():
            records = self.every_seed(f"candidate-{variant}", changes, measure.candidate())
            figures = [record.figures["validation"] for record in records]
            accuracy, spikes = (fmean(each[key] for each in figures) for key in ("accuracy", "spikes"))
            wall_s = sum(record.wall_s for record in records)
            found.append(Candidate(variant=variant, accuracy=accuracy, spikes=spikes, wall_s=wall_s))
        return found


@dataclass(frozen=True)
class Study:
    """A question, and how it is answered.

    ``changes`` of the experiment file, by dotted key, hold in all of its runs at the full setting and are
    printed beside the figures. ``base``: the experiment file, where it is not the example's.
    """

    name: str
    about: str
    run: Callable[[Bench], Found]
    changes: Mapping[str, Any] = field(default_factory=dict)
    base: Path | None = None


def twins_study(bench: Bench) -> Found:
    """The students with ReLUs."""
    return Found((bench.one("model", {}, relu_twins(bench.subject)),))


def family_study(widths: Sequence[int], bench: Bench) -> Found:
    """Smaller networks of the teacher's family."""
    return Found((bench.one("family", {}, family(bench.subject, widths)),))


def common_studies(
    bits: Sequence[int], epochs: int, reduced: Mapping[str, Any], base: Path | None = None
) -> tuple[Study, ...]:
    """The committed model, its bits, its noise; ``reduced``: what many trainings can afford, of ``base``.

    Fewer bits are measured of the committed model; and over seeds, of reduced ones, after training and with
    ``epochs`` of training for them.
    """

    def model(bench: Bench) -> Found:
        return Found((bench.one("model", {}, model_figures(bench.subject, bench.verify)),))

    def noise(bench: Bench) -> Found:
        return Found((bench.one("model", {}, measure.noise(bench.subject)),))

    def fewer_bits(bench: Bench) -> Found:
        return Found((bench.one("model", {}, measure.weight_bits(bench.subject, bits, bench.verify)),))

    def quantisation(bench: Bench) -> Found:
        rows: list[Record] = []
        for name, tuned in (("after-training", 0), ("quantisation-aware", epochs)):
            for width in bits:
                changes = {"quantisation.weight_bits": width, "quantisation.epochs": tuned}
                rows += bench.every_seed(f"{name}-{width}", changes, measure.deployed(bench.verify))
        return Found(tuple(rows))

    widths = ", ".join(str(width) for width in bits)
    return (
        Study("model", "the committed model along its students and thresholds", model),
        Study("bits", f"the committed model with {widths} bits", fewer_bits),
        Study(
            "quantisation",
            f"{widths} bits, after training and with training for them",
            quantisation,
            reduced,
            base,
        ),
        Study("noise", "the committed model and its teacher on corrupted images", noise),
    )


def joined(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Changes in one; later ones win."""
    return {key: value for part in parts for key, value in part.items()}
