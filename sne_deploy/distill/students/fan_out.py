"""How many synapses a spike of each neuron reaches on the chip: the price of a spike while training.

Counted on the synapses that the compiler makes: linear maps between two layers composed, borders, strides
and groups as they are, a zero weight no synapse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sne_deploy.chips.chip import DEFAULT_CHIP, load_chip
from sne_deploy.distill.students.simulate import flat_layers, is_integrator, is_neuron
from sne_deploy.frontend.norse.modules import layers_from_module
from sne_deploy.ir.fan_out import fan_out
from sne_deploy.model.ensemble import Encoder, Student

if TYPE_CHECKING:
    from torch import Tensor, nn

Array = npt.NDArray[Any]


def fan_outs(network: nn.Module, input_shape: tuple[int, ...]) -> tuple[Tensor, ...]:
    """Count the synapses behind every neuron of a student, as its weights are now.

    Returns
    -------
    tuple of float32 tensors of shape (*shape,)
        One per spiking layer, in order, in the shape of its rates; a neuron of the last layer has none.

    Raises
    ------
    UnsupportedError, GraphError
        The student cannot be compiled.
    """
    import torch

    from sne_deploy.passes.pipeline import compile_student

    program = compile_student(
        Student("student", layers_from_module(network), _any_readout(network)),
        input_shape=input_shape,
        timesteps=1,
        encoder=Encoder("spikes"),  # the synapses after the first layer do not depend on it
        precision="float",
        formats=load_chip(DEFAULT_CHIP).registers,
    )
    found = {group.name: np.zeros(group.size) for group in program.groups if group.spiking}
    for synapse in program.synapses:
        if synapse.source in found:
            found[synapse.source] += fan_out(synapse.weights)
    return tuple(
        torch.from_numpy(found[group.name].astype(np.float32)).reshape(group.shape)
        for group in program.groups
        if group.spiking
    )


def _any_readout(network: nn.Module) -> Any:
    """A readout that fits the last layer."""
    last = [layer for layer in flat_layers(network) if is_neuron(layer)][-1:]
    return "v_last" if last and is_integrator(last[0]) else "count"
