"""Students as networks: made from a list of layers, and copied to be trained further."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sne_deploy.distill.schema.layers import POOL_KERNEL, LayerModel
from sne_deploy.errors import InputError
from sne_deploy.frontend.norse.build import module_from_layers
from sne_deploy.frontend.norse.modules import layers_from_module
from sne_deploy.model.ensemble import Layer
from sne_deploy.model.layers.mirror import mirrored
from sne_deploy.model.layers.registry import LAYER_KINDS
from sne_deploy.model.layers.skips import SKIPS, source_of
from sne_deploy.neurons.table import CELLS

Shape = tuple[int, ...]
_CONVS = {"Conv1d": (nn.Conv1d, 1), "Conv2d": (nn.Conv2d, 2)}
_VECTOR, _IMAGE = ("a vector", (1,)), ("images (channels, height, width)", (3,))
_TAKES = {
    "Linear": _VECTOR,
    "LIFRecurrentCell": _VECTOR,
    "SkipLinear": _VECTOR,
    "SkipConv2d": _IMAGE,
    "BatchNorm1d": ("a vector or (channels, length)", (1, 2)),
    "Conv1d": ("(channels, length)", (2,)),
    "Conv2d": _IMAGE,
    "AvgPool2d": _IMAGE,
    "BatchNorm2d": _IMAGE,
}
"""What a layer takes, and the numbers of axes that this has; others take any."""


def student_network(
    layers: Sequence[LayerModel],
    input_shape: Shape,
    outputs: int,
    dt_s: float,
    where: str = "students.layers",
) -> nn.Sequential:
    """Make an untrained student: torch layers with their usual initial weights, and Norse cells.

    ``outputs`` is what a layer's ``out`` is where it is left out; ``where`` names the layers in messages.

    Raises
    ------
    InputError
        A layer that does not fit what comes out of the one before it; names its position.
    """
    modules: list[nn.Module] = []
    shape = input_shape
    sent: list[Shape] = []
    for index, layer in enumerate(layers):
        place = f"{where}.{index} ({layer.kind})"
        _check_takes(place, layer.kind, shape)
        if layer.kind in SKIPS:
            modules.append(_skip(place, layer, shape, sent))
            continue
        try:
            module = _student_layer(layer, shape, outputs, dt_s)
            shape = _shape_after(module, shape)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{place}: does not fit an input of shape {shape}: {reason}") from None
        modules.append(module)
        if layer.kind in CELLS:
            sent.append(shape)
    return nn.Sequential(*modules)


def _skip(place: str, layer: LayerModel, shape: Shape, sent: Sequence[Shape]) -> nn.Module:
    """A map from the spikes of an earlier cell onto a shape."""
    from sne_deploy.frontend.norse.skips import SkipConv2d, SkipLinear

    passed = layer.over or 1
    source = source_of(passed, sent)
    if source is None:
        raise InputError(
            f"{place}: over {passed} needs more than {passed} cells before it; there are {len(sent)}: set "
            "over to fewer, or put it further behind"
        )
    if len(source) != len(shape):
        raise InputError(
            f"{place}: spikes of shape {source} do not fit onto {shape}: put it where both are images, or "
            "both vectors"
        )
    if layer.kind == "SkipLinear":
        return SkipLinear(source[0], shape[0], over=passed)
    window = {"stride": layer.stride, "padding": layer.padding, "groups": layer.groups}
    made = SkipConv2d(source[0], shape[0], layer.kernel or 1, over=passed, **window)
    found = tuple(made(torch.zeros(1, *source), torch.zeros(())).shape[1:])
    if found != shape:
        raise InputError(
            f"{place}: makes shape {found} of spikes of shape {source}, but {shape} comes in beside it: "
            "change its stride, kernel or padding"
        )
    return made


def _check_takes(place: str, kind: str, shape: Shape) -> None:
    """Refuse an input of another number of axes, of which torch would take some for a batch."""
    wanted, axes = _TAKES.get(kind, ("", (len(shape),)))
    if len(shape) in axes:
        return
    if 1 in axes:
        remedy = "the layer {kind = 'Flatten'} is missing before it"
    else:
        remedy = "put it before 'Flatten', or leave it out"
    raise InputError(f"{place}: takes {wanted}, but what comes in has shape {shape}: {remedy}")


def _student_layer(layer: LayerModel, shape: Shape, outputs: int, dt_s: float) -> nn.Module:
    out = layer.out or outputs
    if layer.kind == "Linear":
        return nn.Linear(shape[0], out, bias=layer.bias)
    if layer.kind in _CONVS:
        make: Any = _CONVS[layer.kind][0]
        kernel = 3 if layer.kernel is None else layer.kernel
        more = {"stride": layer.stride, "padding": layer.padding, "groups": layer.groups}
        conv: nn.Module = make(shape[0], out, kernel, bias=layer.bias, **more)
        return conv
    if layer.kind == "AvgPool2d":
        size = POOL_KERNEL if layer.kernel is None else layer.kernel
        return nn.AvgPool2d(size, layer.stride, layer.padding)
    if layer.kind in ("BatchNorm1d", "BatchNorm2d"):
        return nn.BatchNorm1d(shape[0]) if layer.kind == "BatchNorm1d" else nn.BatchNorm2d(shape[0])
    if layer.kind == "Flatten":
        return nn.Flatten()
    if layer.kind == "Dropout":
        return nn.Dropout(layer.p)
    return _cell(layer, shape, out, dt_s)


def _cell(layer: LayerModel, shape: Shape, out: int, dt_s: float) -> nn.Module:
    """A Norse cell from its times and thresholds; recurrent weights are drawn from torch's random state."""
    kind = LAYER_KINDS[layer.kind]
    values = {
        "tau_mem_inv": 1.0 / layer.tau_mem_s,
        "tau_syn_inv": 1.0 / layer.tau_syn_s,
        "v_th": layer.v_th,
        "v_reset": layer.v_reset,
        "v_leak": layer.v_leak,
    }
    tensors = {name: np.array(values[name], np.float32) for name in kind.tensors if name in values}
    if "input_weights" in kind.tensors:
        drawn = {"input_weights": (out, shape[0]), "recurrent_weights": (out, out)}
        for name, size in drawn.items():
            gain = 1.2 if name == "input_weights" else 0.25
            tensors[name] = (torch.randn(size) * gain / size[1] ** 0.5).numpy()
        np.fill_diagonal(tensors["recurrent_weights"], 0.0)
    (cell,) = module_from_layers((Layer(layer.kind, {"dt": dt_s}, tensors),)).children()
    for name, parameter in cell.named_parameters():
        parameter.requires_grad_(name.endswith("_weights"))
    return cell.train()


def _shape_after(module: nn.Module, shape: Shape) -> Shape:
    """Shape of what a layer makes of one sample."""
    with torch.no_grad():
        found = module.eval()(torch.zeros(1, *shape))
    module.train()
    output = found[0] if isinstance(found, tuple) else found
    return tuple(int(size) for size in output.shape[1:])


def mirror_image(network: nn.Module, input_shape: Shape) -> nn.Module:
    """A student that makes of an image what this one makes of its mirror image; in evaluation mode.

    Raises
    ------
    GraphError
        It has none: see :func:`sne_deploy.model.layers.mirror.mirrored`.
    """
    return module_from_layers(mirrored(layers_from_module(network), input_shape))


def trainable_copy(network: nn.Module) -> nn.Module:
    """Copy a student with all of its parameters to be trained; it is not changed.

    A plain deep copy loses the hooks with which Norse's recurrent cells keep their diagonal at zero.
    """
    from norse.torch.module import snn

    made = copy.deepcopy(network).requires_grad_(True)
    for part in made.modules():
        if isinstance(part, (snn.SNNRecurrentCell, snn.SNNRecurrent)) and not part.autapses:
            part.recurrent_weights.register_hook(_without_diagonal)
    return made


def _without_diagonal(gradient: Tensor) -> Tensor:
    return gradient.clone().fill_diagonal_(0.0)
