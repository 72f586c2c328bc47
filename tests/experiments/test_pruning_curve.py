"""The curve of pruning: its settings can be trained, and families are compared where they lose as little."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.pruning_curve import Point, changed, cheapest, settings
from sne_deploy.distill.experiment import load_experiment

FILES = sorted((Path(__file__).parents[2] / "experiments" / "settings").glob("pruning*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_point_is_an_experiment(path: Path) -> None:
    experiment = load_experiment(path)
    made = [changed(experiment, by, sparsity, price, 3) for _, by, sparsity, price in settings()]
    assert len({one.fingerprint("students") for one in made}) == len(made)
    assert {one.fingerprint("teacher") for one in made} == {made[0].fingerprint("teacher")}
    assert made[0].students == experiment.students


def test_the_cheapest_of_each_family_loses_no_more_than_a_point() -> None:
    def point(family: str, accuracy: float, synops: float) -> Point:
        return Point(family, 0.0, 0.0, accuracy, accuracy, synops, 0.0, 0.0)

    curve = [
        point("as it is", 0.9, 100.0),
        point("a", 0.895, 60.0),
        point("a", 0.891, 50.0),
        point("a", 0.88, 10.0),
        point("b", 0.88, 1.0),
    ]
    assert cheapest(curve) == {"as it is": 100.0, "a": 50.0, "b": None}
