"""Floating-point forwards of a Program's layers: plain PyTorch without neurons, and Norse with its own.

Both get their inputs in their own number format beforehand, which is not counted; ``loihi`` gets 0 and 1 as
bytes and gives counts. Weights are the Program's integers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import SneError
from sne_deploy.ir.program import NeuronGroup, Program, Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[Any]
Layer = Callable[[Any], Any]


def plain_forward(program: Program, number: str) -> tuple[Callable[[Array], Any], Callable[[Any], None]]:
    """All layers on samples x steps as one batch, without neurons, state, spikes or counts.

    A recurrent layer's second product is computed too, once for all steps.

    Parameters
    ----------
    program : Program
        A chain of layers.
    number : {"float32", "bfloat16"}

    Returns
    -------
    prepare : from uint8 (N, T, *shape) to what ``forward`` takes
    forward : computes, and gives nothing
    """
    import torch

    dtype: torch.dtype = getattr(torch, number)
    layers = [_layer(synapse, dtype) for synapse in _in_order(program)]

    def prepare(inputs: Array) -> Any:
        return torch.from_numpy(inputs.reshape(-1, *program.input.shape)).to(dtype)

    def forward(x: Any) -> None:
        with torch.inference_mode():
            for layer in layers:
                x = layer(x)

    return prepare, forward


def _in_order(program: Program) -> Sequence[Synapse]:
    """The forward synapse of every group and then its loops."""
    return [
        synapse
        for group in program.groups
        for synapse in sorted(program.synapses_into(group.name), key=lambda synapse: synapse.within_sample)
    ]


def _layer(synapse: Synapse, dtype: torch.dtype) -> Layer:
    import torch
    from torch.nn import functional

    weights = synapse.weights
    if isinstance(weights, ConvWeights):
        kernel, stride, padding = torch.from_numpy(weights.kernel).to(dtype), weights.stride, weights.padding
        return lambda x: functional.conv2d(x, kernel, stride=stride, padding=padding)
    matrix = torch.from_numpy(_dense(weights)).to(dtype)
    return lambda x: functional.linear(x.flatten(1), matrix)


def _dense(weights: Any) -> Array:
    if not isinstance(weights, DenseWeights):
        raise SneError(f"the benchmark has dense layers and convolutions, not {type(weights).__name__}")
    return weights.array


def norse_forward(program: Program) -> tuple[Callable[[Array], Any], Callable[[Any], None]]:
    """Norse's own layers, float32, all samples and steps in one call; results as :func:`plain_forward`.

    Dense layers work on (T, N, n) at once, convolutions are lifted over time, neurons are Norse's ``LIF``
    and ``LIFRecurrent`` with the Program's time constants and thresholds.
    """
    import norse.torch as snn
    import torch

    layers: list[Any] = []
    for group in program.groups:
        incoming = program.synapses_into(group.name)
        forward_synapse = next(synapse for synapse in incoming if not synapse.within_sample)
        loops = [synapse for synapse in incoming if synapse.within_sample]
        if loops:
            layers.append(_norse_recurrent(group, forward_synapse, loops[0], snn))
        else:
            layers.extend((_norse_layer(group, forward_synapse, snn), snn.LIF(p=_parameters(group, snn))))
    model = snn.SequentialState(*layers)

    def prepare(inputs: Array) -> Any:
        return torch.from_numpy(np.ascontiguousarray(np.swapaxes(inputs, 0, 1))).float()

    def forward(x: Any) -> None:
        with torch.inference_mode():
            model(x)

    return prepare, forward


def _parameters(group: NeuronGroup, snn: Any) -> Any:
    import torch

    return snn.LIFParameters(
        tau_syn_inv=torch.tensor(1000 * (int(group.du) + 1) / 4096),
        tau_mem_inv=torch.tensor(1000 * int(group.dv) / 4096),
        v_th=torch.tensor(1.0),
    )


def _scaled(group: NeuronGroup, weights: Array) -> Any:
    """Weights for a threshold of 1; Norse multiplies the current by dt / tau_mem, Loihi does not."""
    import torch

    return torch.from_numpy(weights).float() * (4096 / int(group.dv) / int(group.vth_mant))


def _norse_layer(group: NeuronGroup, synapse: Synapse, snn: Any) -> Any:
    import torch

    weights = synapse.weights
    if isinstance(weights, ConvWeights):
        conv = torch.nn.Conv2d(
            weights.in_shape[0],
            weights.out_shape[0],
            weights.kernel.shape[-1],
            stride=weights.stride,
            padding=weights.padding,
            bias=False,
        )
        conv.weight = torch.nn.Parameter(_scaled(group, weights.kernel), requires_grad=False)
        return snn.Lift(conv)
    linear = torch.nn.Linear(weights.shape[1], weights.shape[0], bias=False)
    linear.weight = torch.nn.Parameter(_scaled(group, _dense(weights)), requires_grad=False)
    return torch.nn.Sequential(torch.nn.Flatten(2), linear)


def _norse_recurrent(group: NeuronGroup, forward: Synapse, loop: Synapse, snn: Any) -> Any:
    import torch

    layer = snn.LIFRecurrent(forward.weights.shape[1], group.size, p=_parameters(group, snn))
    layer.input_weights = torch.nn.Parameter(_scaled(group, _dense(forward.weights)), requires_grad=False)
    layer.recurrent_weights = torch.nn.Parameter(_scaled(group, _dense(loop.weights)), requires_grad=False)
    return layer
