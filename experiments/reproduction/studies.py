"""Studies that both examples have: the model, its bits, its noise; and how a study is described."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from experiments.reproduction import measure
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
        return self.lab.record(Run(self.study, variant, self.seeds[0], changes), measurement)

    def every_seed(
        self, variant: str, changes: Mapping[str, Any], measurement: Measurement
    ) -> tuple[Record, ...]:
        """A run with each seed."""
        runs = (Run(self.study, variant, seed, changes) for seed in self.seeds)
        return tuple(self.lab.record(run, measurement) for run in runs)

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
    printed beside the figures.
    """

    name: str
    about: str
    run: Callable[[Bench], Found]
    changes: Mapping[str, Any] = field(default_factory=dict)


def model_study(bench: Bench) -> Found:
    """The committed model: accuracy and costs, along students and thresholds."""
    return Found((bench.one("model", {}, measure.model_figures(bench.subject, bench.verify)),))


def noise_study(bench: Bench) -> Found:
    """The committed model and its teacher on corrupted images."""
    return Found((bench.one("model", {}, measure.noise(bench.subject)),))


def companions_study(widths: Sequence[int]) -> Callable[[Bench], Found]:
    """ReLU twins and smaller networks of the teacher's family."""

    def run(bench: Bench) -> Found:
        return Found((bench.one("model", {}, measure.companions(bench.subject, widths)),))

    return run


def quantisation_study(bits: Sequence[int], epochs: int) -> Callable[[Bench], Found]:
    """Fewer bits after training, for the committed model and over seeds, and with training for them."""

    def run(bench: Bench) -> Found:
        rows = [bench.one("model", {}, measure.weight_bits(bench.subject, bits, bench.verify))]
        for name, tuned in (("after-training", 0), ("quantisation-aware", epochs)):
            for width in bits:
                changes = {"quantisation.weight_bits": width, "quantisation.epochs": tuned}
                taken = measure.deployed(bench.verify)
                rows += bench.every_seed(f"{name}-{width}", changes, taken)
        return Found(tuple(rows))

    return run


def joined(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Changes in one; later ones win."""
    return {key: value for part in parts for key, value in part.items()}
