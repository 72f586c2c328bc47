"""Floating-point forwards of a Program's layers: plain PyTorch without neurons, and Norse with its own.

Both get their inputs in their own number format beforehand, which is not counted. Weights are the Program's
integers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import norse.torch as snn
import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from sne_deploy.errors import SneError
from sne_deploy.ir.program import NeuronGroup, Program, Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights

Array = npt.NDArray[Any]
Prepared = tuple[Callable[[Array], Any], Callable[[Any], None]]
"""From uint8 (N, T, *shape) to what the forward takes; and the forward, which gives nothing."""


def plain_forward(program: Program, number: str) -> Prepared:
    """All layers on samples x steps as one batch, without neurons, state, spikes or counts.

    A recurrent layer's second product is computed too, once for all steps. ``number``: float32 or bfloat16.
    """
    dtype: torch.dtype = getattr(torch, number)
    layers = [
        _layer(synapse, dtype)
        for group in program.groups
        for synapse in sorted(program.synapses_into(group.name), key=lambda synapse: synapse.within_sample)
    ]

    def prepare(inputs: Array) -> Any:
        return torch.from_numpy(inputs.reshape(-1, *program.input.shape)).to(dtype)

    return prepare, _without_gradients(torch.nn.Sequential(*layers))


def _without_gradients(module: Any) -> Callable[[Any], None]:
    def forward(x: Any) -> None:
        with torch.inference_mode():
            module(x)

    return forward


class _Map(torch.nn.Module):
    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.forward = function


def _layer(synapse: Synapse, dtype: torch.dtype) -> torch.nn.Module:
    weights = synapse.weights
    if isinstance(weights, ConvWeights):
        kernel, stride, padding = torch.from_numpy(weights.kernel).to(dtype), weights.stride, weights.padding
        return _Map(lambda x: functional.conv2d(x, kernel, stride=stride, padding=padding))
    matrix = torch.from_numpy(_dense(weights)).to(dtype)
    return _Map(lambda x: functional.linear(x.flatten(1), matrix))


def _dense(weights: Any) -> Array:
    if not isinstance(weights, DenseWeights):
        raise SneError(f"the benchmark has dense layers and convolutions, not {type(weights).__name__}")
    return weights.array


def norse_forward(program: Program) -> Prepared:
    """Norse's own layers, float32, all samples and steps in one call.

    Dense layers work on (T, N, n) at once, convolutions are lifted over time, neurons are Norse's ``LIF``
    and ``LIFRecurrent`` with the Program's time constants and thresholds.
    """
    layers: list[Any] = []
    for group in program.groups:
        forward, *loops = sorted(program.synapses_into(group.name), key=lambda synapse: synapse.within_sample)
        if loops:
            layers.append(_norse_recurrent(group, forward, loops[0]))
        else:
            layers.extend((_norse_layer(group, forward), snn.LIF(p=parameters(group))))

    def prepare(inputs: Array) -> Any:
        return torch.from_numpy(np.ascontiguousarray(np.swapaxes(inputs, 0, 1))).float()

    return prepare, _without_gradients(snn.SequentialState(*layers))


def parameters(group: NeuronGroup) -> Any:
    """A group's decays with a threshold of 1."""
    return snn.LIFParameters(
        tau_syn_inv=torch.tensor(1000 * (int(group.du) + 1) / 4096),
        tau_mem_inv=torch.tensor(1000 * int(group.dv) / 4096),
        v_th=torch.tensor(1.0),
    )


def _scaled(group: NeuronGroup, weights: Array) -> Any:
    """Weights for a threshold of 1; Norse multiplies the current by dt / tau_mem, Loihi does not."""
    values = torch.from_numpy(weights).float() * (4096 / int(group.dv) / int(group.vth_mant))
    return torch.nn.Parameter(values, requires_grad=False)


def _norse_layer(group: NeuronGroup, synapse: Synapse) -> Any:
    weights = synapse.weights
    if isinstance(weights, ConvWeights):
        c_out, c_in, side = weights.kernel.shape[:3]
        conv = torch.nn.Conv2d(c_in, c_out, side, weights.stride, weights.padding, bias=False)
        conv.weight = _scaled(group, weights.kernel)
        return snn.Lift(conv)
    return torch.nn.Sequential(torch.nn.Flatten(2), dense_layer(group, synapse))


def dense_layer(group: NeuronGroup, synapse: Synapse) -> torch.nn.Linear:
    """The synapse's weights for a threshold of 1."""
    weights = _dense(synapse.weights)
    linear = torch.nn.Linear(weights.shape[1], weights.shape[0], bias=False)
    linear.weight = _scaled(group, weights)
    return linear


def _norse_recurrent(group: NeuronGroup, forward: Synapse, loop: Synapse) -> Any:
    layer = snn.LIFRecurrent(forward.weights.shape[1], group.size, p=parameters(group))
    layer.input_weights = _scaled(group, _dense(forward.weights))
    layer.recurrent_weights = _scaled(group, _dense(loop.weights))
    return layer
