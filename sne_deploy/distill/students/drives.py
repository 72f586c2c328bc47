"""What drives a student's neurons, and what its ReLU twin's answer: for losses on inner layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch

from sne_deploy.distill.students.simulate import Simulation, flat_layers, is_integrator, is_neuron
from sne_deploy.distill.students.warm_start import simulate_twin, threshold_current
from sne_deploy.distill.training.determinism import evaluating

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sne_deploy.model.ensemble import Readout


def drives_of(
    networks: Iterable[nn.Module], runs: Sequence[Simulation], key: str = "loss.hoyer"
) -> list[Tensor]:
    """Currents of every spiking layer over those at which it spikes at once; what ``key`` asks for."""
    found = []
    for network, done in zip(networks, runs, strict=True):
        cells = [one for one in flat_layers(network) if is_neuron(one) and not is_integrator(one)]
        thresholds = [threshold_current(cell, key) for cell in cells]
        found += [i / one.to(i) for one, i in zip(thresholds, done.currents, strict=True)]
    return found


def twin_activations(twin: nn.Module, inputs: Tensor, timesteps: int, readout: Readout) -> list[Tensor]:
    r"""What a trained ReLU twin's neurons answer, up to the rate that a spiking neuron can have.

    .. math:: z = \min(1, \max(0, i / i_\mathrm{th}))

    Returns
    -------
    list of tensors of shape (N, *shape)
        One per spiking layer of the student, in evaluation mode, without a gradient.
    """
    with torch.no_grad(), evaluating(twin):
        done = simulate_twin(twin, inputs, timesteps, readout)
        return [drive.clamp(0, 1) for drive in drives_of([twin], [done], "loss.inner")]
