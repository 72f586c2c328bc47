"""Series that a training learns from, and reading them as it does."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.torture.files.student import spikes_and_labels

COPIES = 40


def learned() -> dict[str, Any]:
    """As many as a training needs, most of them shorter than the longest, of classes from 0."""
    x, y = spikes_and_labels()
    x[0, 3] = x[2, 3] = 0
    arrays = {"x": x, "y": y - 1, "lengths": np.array([3, 4, 3])}
    return {name: np.concatenate([array] * COPIES) for name, array in arrays.items()}


def read_learned(path: Path) -> None:
    """The training and the validation samples."""
    from sne_deploy.distill.data.splits import load_splits

    experiment = _experiment()
    described = experiment.data.model_copy(update={"file": str(path)})
    load_splits(described, 0, timesteps=experiment.students.timesteps)


@cache
def _experiment() -> Any:
    """What ``sne init`` writes for them."""
    from sne_deploy.distill.data.survey import survey
    from sne_deploy.distill.experiment import load_experiment
    from sne_deploy.distill.template import write_experiment

    with tempfile.TemporaryDirectory() as name:
        data, file = Path(name) / "x.npz", Path(name) / "e.toml"
        np.savez(data, **learned())
        write_experiment(survey(str(data), None), file)
        return load_experiment(file)
