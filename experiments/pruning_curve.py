"""Accuracy against synaptic operations: pruning, a price of activity, and both; as JSON and a table.

usage: python -m experiments.pruning_curve EXPERIMENT.toml --out OUT [--data-folder FOLDER] [--seeds N]

Each point is the experiment with another ``[students.pruning]`` and ``students.loss.synops``; measured on
validation data, as integers on target ``loihi``; means over the seeds. OUT holds ``curve.json`` and the state
of each training: a killed run goes on from there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from experiments.markdown import table
from experiments.study.summary import measure
from sne_deploy.distill.data.splits import load_splits
from sne_deploy.distill.experiment import Experiment, load_experiment
from sne_deploy.distill.run import run_experiment
from sne_deploy.errors import SneError
from sne_deploy.files import ensure_folder, write_whole
from sne_deploy.model.ensemble import Ensemble

SPARSITIES = (0.5, 0.7, 0.85, 0.93, 0.97)
PRICES = (0.1, 0.3, 1.0, 3.0)
TOGETHER = 0.3
"""The price beside pruning."""
DROP = 0.01
"""What may be lost against the student as it is, at which the families are compared."""


@dataclass(frozen=True)
class Point:
    """A student; ``price`` is ``students.loss.synops``, ``zeros`` the part of its weights that is 0.

    Accuracies are fractions on the validation data; ``synops`` are per sample, without the host's MACs.
    """

    family: str
    sparsity: float
    price: float
    accuracy: float
    float_accuracy: float
    synops: float
    spikes: float
    zeros: float


def settings() -> Iterator[tuple[str, str | None, float, float]]:
    """Of each point: its family, what is pruned by, sparsity and price."""
    yield "as it is", None, 0.0, 0.0
    yield from (("price", None, 0.0, price) for price in PRICES)
    for by in ("magnitude", "synops"):
        yield from ((by, by, sparsity, 0.0) for sparsity in SPARSITIES)
        yield from ((f"{by} and price", by, sparsity, TOGETHER) for sparsity in SPARSITIES)


def changed(experiment: Experiment, by: str | None, sparsity: float, price: float, seed: int) -> Experiment:
    """The experiment of a point."""
    document = experiment.model_dump()
    document["seed"] = seed
    document["students"]["loss"]["synops"] = price
    if by is not None:
        document["students"]["pruning"] = {"by": by, "sparsity": sparsity, "every": 10}
    return Experiment.model_validate(document)


def measured(experiment: Experiment, work: Path) -> dict[str, Any]:
    """Train, and measure on the validation data."""
    ensemble = run_experiment(experiment, work).ensemble
    data = load_splits(experiment.data, experiment.seed)
    bits = experiment.quantisation.weight_bits
    (row,) = measure(ensemble, data.x_validation.numpy(), data.y_validation, (bits,))
    names = ("accuracy", "float_accuracy", "synops", "spikes")
    return {**{name: row[name] for name in names}, "zeros": zeros(ensemble)}


def zeros(ensemble: Ensemble) -> float:
    """The part of all weights of maps that is 0, as trained."""
    networks = [student.network for student in ensemble.students if isinstance(student.network, tuple)]
    weights = [
        layer.tensors["weight"] for network in networks for layer in network if "weight" in layer.tensors
    ]
    maps = [weight for weight in weights if weight.ndim > 1]
    return float(sum((weight == 0).sum() for weight in maps) / sum(weight.size for weight in maps))


def points(experiment: Experiment, out: Path, seeds: int) -> Iterator[Point]:
    """One after the other."""
    for family, by, sparsity, price in settings():
        found = [
            measured(changed(experiment, by, sparsity, price, experiment.seed + index), out / "work")
            for index in range(seeds)
        ]
        yield Point(family, sparsity, price, **{key: fmean(one[key] for one in found) for key in found[0]})


def cheapest(curve: Sequence[Point]) -> dict[str, float | None]:
    """Of each family the fewest operations at which no more than ``DROP`` is lost; None where none does."""
    least = curve[0].accuracy - DROP
    found: dict[str, float | None] = {}
    for family in dict.fromkeys(point.family for point in curve):
        fit = [point.synops for point in curve if point.family == family and point.accuracy >= least]
        found[family] = min(fit, default=None)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the curve, and give the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.pruning_curve", description="Accuracy against synaptic operations."
    )
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data-folder", help="where the data set lies")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each point")
    given = parser.parse_args(arguments)
    try:
        changes = {} if given.data_folder is None else {"data.folder": given.data_folder}
        experiment = load_experiment(given.experiment, changes)
        out, curve = ensure_folder(given.out), []
        for point in points(experiment, out, given.seeds):
            curve.append(point)
            write_whole(out / "curve.json", json.dumps([asdict(one) for one in curve], indent=1).encode())
            print(f"{point.family} {point.sparsity:g} {point.price:g}: {point.accuracy:.3f}", file=sys.stderr)
    except SneError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    names = ["family", "sparsity", "price", "accuracy", "in floating point", "SynOps", "spikes", "zeros"]
    print("\n".join(table(names, [_cells(point) for point in curve])))
    print("\nFewest SynOps within a point of the student as it is:", json.dumps(cheapest(curve)))
    return 0


def _cells(point: Point) -> list[str]:
    return [
        point.family,
        f"{point.sparsity:g}",
        f"{point.price:g}",
        f"{100 * point.accuracy:.1f} %",
        f"{100 * point.float_accuracy:.1f} %",
        f"{point.synops:,.0f}",
        f"{point.spikes:,.0f}",
        f"{100 * point.zeros:.1f} %",
    ]


if __name__ == "__main__":
    sys.exit(main())
