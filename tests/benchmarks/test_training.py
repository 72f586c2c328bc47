"""Steps of a training against a plain loop: both sides have the same network, and a ratio comes of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmarks import training
from sne_deploy.distill.students.networks import student_network


@pytest.mark.parametrize("name", list(training.SHAPES))
def test_both_sides_have_the_same_network(name: str) -> None:
    described = training.layers(training.SHAPES[name])
    ours: Any = student_network(described, (3, 32, 32), training.CLASSES, 1e-3).eval()
    plain = training.plain_network(name).eval()
    plain.load_state_dict(ours.state_dict(), strict=True)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = training.simulated(ours, x, 1, "v_last", None).outputs
        spikes = plain[:3](x)
    assert 0 < float(spikes.mean()) < 1
    torch.testing.assert_close(logits, plain(x))


def test_a_step_of_both_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    training.main(["--network", "small-student", "--batch", "2", "--batches", "1", "--rounds", "1"])
    assert "small-student: " in capsys.readouterr().out
