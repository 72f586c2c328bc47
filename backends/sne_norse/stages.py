"""A student's layers, each over all steps of a chunk of samples at once.

What a stage takes and gives has shape (B, T, ...), or (B, 1, ...) where it is the same at every step: a
layer without state is computed once there, and over all rows at once elsewhere. Spikes are uint8, everything
else is float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from sne_deploy.frontend.norse.build import module_from_layers, stateless_module
from sne_deploy.model.ensemble import Layer
from sne_deploy.model.layers.layer_rules import conv_geometry
from sne_deploy.model.layers.registry import LAYER_KINDS, output_shape
from sne_norse import map_kernels
from sne_norse.cell_kernels import CELL_KERNELS

Array = npt.NDArray[Any]
Way = Literal["compiled", "torch", "norse"]
"""What computes a layer: a compiled kernel, torch's module over all rows, or Norse's cell step by step."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One layer.

    Attributes
    ----------
    layer : Layer
    shape : tuple of int
        Of what it sends for one sample at one step.
    way : Way
    run : callable
        ``run(x, timesteps)``.
    """

    layer: Layer
    shape: tuple[int, ...]
    way: Way
    run: Callable[[Array, int], Array]

    @property
    def cell(self) -> bool:
        """Whether it is a neuron group of the Program."""
        return LAYER_KINDS[self.layer.kind].neuron


def make_stage(layer: Layer, input_shape: tuple[int, ...]) -> Stage:
    """What computes a layer on inputs of that shape."""
    shape = output_shape(layer, input_shape)
    if LAYER_KINDS[layer.kind].neuron:
        compiled = layer.kind in CELL_KERNELS
        run = _compiled_cell(layer, shape) if compiled else _norse_cell(layer)
        return Stage(layer, shape, "compiled" if compiled else "norse", run)
    if layer.kind in _COMPILED:
        return Stage(layer, shape, "compiled", _COMPILED[layer.kind](layer, shape))
    return Stage(layer, shape, "torch", _torch_layer(layer))


def _compiled_cell(layer: Layer, shape: tuple[int, ...]) -> Callable[[Array, int], Array]:
    kernel, kind = CELL_KERNELS[layer.kind], LAYER_KINDS[layer.kind]
    parameters = kernel.parameters(layer, shape)
    into = _multiply(layer.tensors["input_weights"], None) if "input_weights" in layer.tensors else None

    def run(x: Array, timesteps: int) -> Array:
        if into is not None:
            x = into(x, timesteps)
        x = np.ascontiguousarray(x, np.float64).reshape(*x.shape[:2], -1)
        out = np.empty((len(x), timesteps, *shape), np.uint8 if kind.spiking else np.float64)
        kernel.run(x, parameters, out.reshape(len(x), timesteps, -1))
        return out

    return run


def _norse_cell(layer: Layer) -> Callable[[Array, int], Array]:
    spiking = LAYER_KINDS[layer.kind].spiking

    def run(x: Array, timesteps: int) -> Array:
        module = module_from_layers([layer], dtype=torch.float64)
        entering, state = torch.from_numpy(np.asarray(x, np.float64)), None
        sent = []
        with torch.inference_mode():
            for t in range(timesteps):
                z, state = module(entering[:, t if x.shape[1] > 1 else 0], state)
                sent.append(z.numpy().astype(np.uint8) if spiking else z.numpy().copy())
        return np.stack(sent, axis=1)

    return run


def _torch_layer(layer: Layer) -> Callable[[Array, int], Array]:
    """Pooling and batch normalisation: they compute every row by itself."""
    module = stateless_module(layer, torch.float64)

    def run(x: Array, _timesteps: int) -> Array:
        rows = torch.from_numpy(np.asarray(x, np.float64)).flatten(0, 1)
        with torch.inference_mode():
            out = module(rows)
        return np.asarray(out.numpy()).reshape(*x.shape[:2], *out.shape[1:])

    return run


def _same_values(_layer: Layer, shape: tuple[int, ...]) -> Callable[[Array, int], Array]:
    """Flattening, and dropout at inference."""
    return lambda x, _timesteps: x.reshape(*x.shape[:2], *shape)


def _multiply(weights: Array, bias: Array | None) -> Callable[[Array, int], Array]:
    rows = np.ascontiguousarray(np.asarray(weights, np.float64).T)
    added = np.zeros(rows.shape[1]) if bias is None else np.asarray(bias, np.float64)

    def run(x: Array, _timesteps: int) -> Array:
        out = np.empty((*x.shape[:-1], rows.shape[1]))
        sent = np.ascontiguousarray(x).reshape(-1, rows.shape[0])
        map_kernels.multiply(sent, rows, added, out.reshape(-1, rows.shape[1]))
        return out

    return run


def _linear(layer: Layer, _shape: tuple[int, ...]) -> Callable[[Array, int], Array]:
    return _multiply(layer.tensors["weight"], layer.tensors.get("bias"))


def _convolution(layer: Layer, shape: tuple[int, ...]) -> Callable[[Array, int], Array]:
    """A one-dimensional one is a two-dimensional one of height 1."""
    _, stride, padding, dilation, groups = conv_geometry(layer)
    axes = len(stride)
    weight = np.asarray(layer.tensors["weight"], np.float64)
    if axes == 1:
        weight, stride, padding, dilation = weight[:, :, None], (1, *stride), (0, *padding), (1, *dilation)
    geometry = np.array(
        [*(n for axis in zip(stride, padding, dilation, strict=True) for n in axis), groups], np.int64
    )
    c_out, per_group = weight.shape[:2]
    taps = weight.reshape(groups, c_out // groups, per_group, *weight.shape[2:]).transpose(0, 2, 3, 4, 1)
    taps = np.ascontiguousarray(taps).reshape(groups * per_group, *weight.shape[2:], c_out // groups)
    bias = np.asarray(layer.tensors.get("bias", np.zeros(c_out)), np.float64)

    def run(x: Array, _timesteps: int) -> Array:
        out = np.empty((*x.shape[:2], *shape))
        planes = (1,) * (2 - axes)
        sent = np.ascontiguousarray(x).reshape(-1, x.shape[2], *planes, *x.shape[3:])
        map_kernels.convolve(sent, taps, bias, geometry, out.reshape(len(sent), c_out, *planes, *shape[1:]))
        return out

    return run


_COMPILED: Mapping[str, Callable[[Layer, tuple[int, ...]], Callable[[Array, int], Array]]] = {
    "Linear": _linear,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
    "Flatten": _same_values,
    "Dropout": _same_values,
}
