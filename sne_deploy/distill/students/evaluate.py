"""Figures of trained students in floating point: outputs, rates, accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.distill.students.simulate import Run, simulate
from sne_deploy.distill.training.determinism import evaluating
from sne_deploy.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from sne_deploy.model.ensemble import Readout

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class StudentFigures:
    """What a student did on a data set.

    Attributes
    ----------
    outputs : float64 array of shape (N, n_out)
        In the student's units.
    rates : tuple of float
        One per spiking layer: mean spikes per neuron and step.
    spikes_per_sample : float
        Of all layers together.
    synops_per_sample : float or None
        The synapses that these spikes reach; None where their number was not given.
    """

    outputs: FloatArray
    rates: tuple[float, ...]
    spikes_per_sample: float
    synops_per_sample: float | None = None


def evaluate_student(
    network: nn.Module,
    inputs: Tensor,
    timesteps: int,
    readout: Readout,
    lengths: Tensor | None = None,
    *,
    batch_size: int = 256,
    costs: Sequence[Tensor] = (),
    run: Run = simulate,
) -> StudentFigures:
    """Run a student in evaluation mode; arguments are as for :func:`sne_deploy.distill.students.simulate`.

    ``batch_size`` changes nothing but memory and time. ``costs`` are the synapses behind each neuron of each
    spiking layer, as :func:`sne_deploy.distill.students.fan_out.fan_outs` counts them. ``run``: what runs it.
    """
    import torch

    outputs: list[Tensor] = []
    sums: list[list[float]] = []  # of spikes, by batch and layer: those of every neuron would fill the memory
    neurons: list[int] = []
    reached = 0.0
    steps = torch.full((len(inputs),), timesteps) if lengths is None else lengths
    with evaluating(network), torch.no_grad():
        for part, own in zip(torch.split(inputs, batch_size), torch.split(steps, batch_size), strict=True):
            done = run(network, part, timesteps, readout, None if lengths is None else own)
            outputs.append(done.outputs)
            made = [_spikes(layer.double(), own) for layer in done.rates]
            sums.append([float(layer.sum()) for layer in made])
            neurons = [layer[0].numel() for layer in done.rates]
            reached += sum(
                float((layer.sum(dim=0) * cost).sum()) for layer, cost in zip(made, costs, strict=bool(costs))
            )
    spikes = np.array(sums).reshape(len(sums), -1).sum(axis=0)
    counts = float(steps.sum()) * np.array(neurons, dtype=np.float64)
    rates = tuple(float(rate) for rate in spikes / counts)
    joined = torch.cat(outputs).double().numpy(force=True)
    synops = reached / len(inputs) if costs else None
    return StudentFigures(joined, rates, float(spikes.sum()) / len(inputs), synops)


def _spikes(rates: Tensor, steps: Tensor) -> Tensor:
    """Of each neuron and sample, of rates of shape (N, ...) over so many steps."""
    return rates * steps.to(rates)[(...,) + (None,) * (rates.ndim - 1)]


def accuracy(logits: FloatArray, labels: IntArray) -> float:
    """Fraction of samples whose largest logit is the label's.

    Raises
    ------
    InputError
        No samples, or arrays of different lengths.
    """
    if len(labels) == 0 or len(logits) != len(labels):
        raise InputError(f"accuracy: {len(logits)} logits for {len(labels)} labels; give as many, above 0")
    return float(np.mean(np.argmax(logits, axis=1) == labels))
