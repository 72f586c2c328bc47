"""A weight that is 0 is no synapse, nor is one that quantisation makes 0: on every target, and on the map.

Operations are counted here by loops over the network's own layers, which know what a convolution is and
nothing of the compiler: of its weights, the large ones exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import sne_deploy as sne
from sne_deploy.inspect.registers_view import connection_views
from tests.networks import lif_box

pytestmark = pytest.mark.usefixtures("warm_lava")

SHAPE, STEPS, SAMPLES, BITS = (2, 6, 5), 5, 3, 4


def thinned(weight: torch.Tensor) -> torch.Tensor:
    """Whether each weight is there: half are 0, and a quarter so small that 4 bits make them 0."""
    kind = torch.randint(0, 4, weight.shape)
    with torch.no_grad():
        large = torch.where(torch.rand(weight.shape) < 0.8, 1.0, -1.0) * (
            0.5 + 0.5 * torch.rand(weight.shape)
        )
        weight.copy_(torch.where(kind < 2, 0.0, torch.where(kind == 2, 1e-3 * large, large)))
    return kind == 3


@dataclass(frozen=True, eq=False)
class Network:
    """Two convolutions and a linear map between spikes, and which of their weights are there."""

    module: nn.Sequential
    first: np.ndarray
    second: np.ndarray
    last: np.ndarray


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(5)
    maps: list[Any] = [
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        nn.Conv2d(4, 6, 2, stride=2, groups=2, bias=False),
        nn.Linear(6 * 3 * 2, 7, bias=False),
    ]
    there = [thinned(one.weight).numpy() for one in maps]
    module = nn.Sequential(
        maps[0], lif_box(v_th=0.2), maps[1], lif_box(v_th=0.1), nn.Flatten(), maps[2], lif_box(v_th=0.1)
    )
    return Network(module, *there)


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    return (np.random.default_rng(0).random((SAMPLES, STEPS, *SHAPE)) < 0.5).astype(np.float32)


def convolved(spikes: np.ndarray, there: np.ndarray, stride: int, padding: int, groups: int) -> int:
    """Spikes of shape (channels, height, width) at weights that are there, one after the other."""
    outputs, per_group, size, _ = there.shape
    height, width = ((side + 2 * padding - size) // stride + 1 for side in spikes.shape[1:])
    total = 0
    for o, c, y, x, i, j in product(*map(range, (outputs, per_group, height, width, size, size))):
        row, column = y * stride - padding + i, x * stride - padding + j
        if 0 <= row < spikes.shape[1] and 0 <= column < spikes.shape[2] and there[o, c, i, j]:
            total += int(spikes[o // (outputs // groups) * per_group + c, row, column])
    return total


def by_hand(network: Network, inputs: np.ndarray, layers: list[np.ndarray]) -> list[int]:
    """Operations of each sample, from what was sent."""
    counts = []
    for sample in range(SAMPLES):
        first, second = (layer[sample].sum(axis=0) for layer in layers[:2])
        counts.append(
            convolved(inputs[sample].sum(axis=0), network.first, 1, 1, 1)
            + convolved(first, network.second, 2, 0, 2)
            + int((second.reshape(-1)[None] * network.last).sum())
        )
    return counts


def synapses(there: np.ndarray, shape: tuple[int, ...], stride: int, padding: int, groups: int) -> int:
    """What exists: a spike of every neuron, at once."""
    return convolved(np.ones(shape), there, stride, padding, groups)


@pytest.mark.parametrize("target", ["loihi", "lava", "netx"])
def test_operations_synapses_and_energy_are_of_weights_that_are_there(
    network: Network, inputs: np.ndarray, target: str
) -> None:
    ensemble = sne.ensemble(network.module, input_shape=SHAPE, timesteps=STEPS, encoder="spikes")
    with sne.compile(ensemble, target, weight_bits=BITS, fidelity=False) as compiled:
        result = compiled.run(inputs, record="spikes")
        views = connection_views(compiled.programs[0])
        energy_pj = compiled.hardware.energy.synop.value
    assert [one.synapses for one in views] == [
        synapses(network.first, SHAPE, 1, 1, 1),
        synapses(network.second, (4, 6, 5), 2, 0, 2),
        int(network.last.sum()),
    ]
    (student,) = result.students
    sent = [layer.recorded_spikes for layer in student.layers]
    assert all(layer is not None and layer.any() for layer in sent)
    counted = by_hand(network, inputs, sent)  # type: ignore[arg-type]
    assert list(student.synops) == counted
    row = result.report.ensemble
    assert row.synops_per_sample == np.mean(counted)
    assert row.energy_per_sample_j.synops == pytest.approx(1e-12 * energy_pj * np.mean(counted))
    details = result.details
    assert details.chip is not None
    assert sum(details.chip.places.synops or ()) == sum(counted)
    (metric,) = (one for one in details.neurobench.metrics if one.name == "Effective_ACs")
    assert metric.ensemble == np.mean(counted)
