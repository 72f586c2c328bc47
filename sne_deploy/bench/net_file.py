"""A Program in lava-dl's HDF5 format (``.net``), for netx to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sne_deploy.ir.program import Program
from sne_deploy.ir.weights import ConvWeights


def spatial_names(program: Program) -> set[str]:
    """Groups and input whose maps a convolution touches: height, width, channels in Lava."""
    convs = [synapse for synapse in program.synapses if isinstance(synapse.weights, ConvWeights)]
    return {name for synapse in convs for name in (synapse.source, synapse.target)}


def write_net(program: Program, path: Path) -> None:
    """Write a Program in lava-dl's HDF5 format, the layers in order; its cycles as ``dense_rec``."""
    import h5py

    with h5py.File(path, "w") as file:
        layers = file.create_group("layer")
        _net_layer(layers, "input", program.input.shape)
        spatial = spatial_names(program)
        for group in program.groups:
            incoming = program.synapses_into(group.name)
            forward = next(synapse for synapse in incoming if not synapse.gated)
            weights = forward.weights
            if isinstance(weights, ConvWeights):
                layer = _net_layer(layers, "conv", group.shape)
                layer["weight"] = weights.kernel
                layer["stride"], layer["padding"], layer["dilation"] = weights.stride, weights.padding, (1, 1)
                layer["groups"] = 1
            else:
                if forward.source in spatial:
                    _net_layer(layers, "flatten", (group.size,))
                loops = [synapse for synapse in incoming if synapse.gated]
                layer = _net_layer(layers, "dense_rec" if loops else "dense", group.shape)
                layer["weight"] = weights.matrix().toarray()
                for loop in loops:
                    layer["weight_rec"] = loop.weights.matrix().toarray()
            neuron = layer.create_group("neuron")
            neuron["type"] = np.bytes_("CUBA")
            neuron["iDecay"], neuron["vDecay"] = int(group.du) + 1, int(group.dv)
            neuron["vThMant"] = int(group.vth_mant)


def _net_layer(layers: Any, kind: str, shape: tuple[int, ...]) -> Any:
    layer = layers.create_group(str(len(layers)))
    layer["type"], layer["shape"] = np.bytes_(kind), np.asarray(shape)
    return layer
