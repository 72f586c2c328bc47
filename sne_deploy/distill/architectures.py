"""Networks by description: teachers of ours, and students from a list of layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from sne_deploy.distill.determinism import evaluating
from sne_deploy.distill.experiment import LayerModel
from sne_deploy.distill.teacher import Teacher
from sne_deploy.errors import InputError
from sne_deploy.frontend.norse.build import module_from_layers
from sne_deploy.model.ensemble import Layer
from sne_deploy.model.layers.registry import LAYER_KINDS

if TYPE_CHECKING:
    from sne_deploy.distill.experiment import TeacherModel

Shape = tuple[int, ...]
_CONVS = {"Conv1d": (nn.Conv1d, 1), "Conv2d": (nn.Conv2d, 2)}


def teacher_network(described: TeacherModel, input_shape: Shape, classes: int) -> Teacher:
    """Make an untrained teacher.

    ``mlp``: two hidden layers. ``cnn``: two convolutions with pooling. ``resnet9``: eight convolutions of
    width, 2, 4 and 8 widths in two residual blocks, with batch normalisation. All end in ``features`` ReLUs
    and one linear map.

    Raises
    ------
    InputError
        The architecture does not fit the input.
    """
    makers: dict[str, Callable[[TeacherModel, Shape], nn.Module]] = {
        "mlp": _mlp,
        "cnn": _cnn,
        "resnet9": _resnet9,
    }
    if described.architecture is None:
        raise InputError("teacher: there is no architecture to train; it is given as ONNX")
    if described.architecture != "mlp" and len(input_shape) != 3:
        raise InputError(
            f"teacher.architecture {described.architecture!r} needs images (channels, height, width), not "
            f"{input_shape}"
        )
    try:
        features = makers[described.architecture](described, input_shape)
        with evaluating(features), torch.no_grad():
            features(torch.zeros(1, *input_shape))
        return Teacher(features, nn.Linear(described.features, classes))
    except RuntimeError as error:
        raise InputError(
            f"teacher.architecture {described.architecture!r} of width {described.width} and "
            f"{described.features} features does not fit samples of shape {input_shape}: "
            f"{str(error).splitlines()[0][:200]}"
        ) from None


def _mlp(described: TeacherModel, input_shape: Shape) -> nn.Module:
    inputs = int(np.prod(input_shape))
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(inputs, described.width),
        nn.ReLU(),
        nn.Dropout(described.dropout),
        nn.Linear(described.width, described.features),
        nn.ReLU(),
    )


def _cnn(described: TeacherModel, input_shape: Shape) -> nn.Module:
    channels, height, width = input_shape
    return nn.Sequential(
        nn.Conv2d(channels, described.width, 3, padding=1),
        nn.BatchNorm2d(described.width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(described.width, 2 * described.width, 3, padding=1),
        nn.BatchNorm2d(2 * described.width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(described.dropout),
        nn.Linear(2 * described.width * (height // 4) * (width // 4), described.features),
        nn.ReLU(),
    )


class _Residual(nn.Module):
    """x + f(x)."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Add what the inner network makes of x."""
        result: Tensor = x + self.inner(x)
        return result


def _block(channels_in: int, channels_out: int, pool: bool = False) -> list[nn.Module]:
    conv = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    after = [nn.BatchNorm2d(channels_out), nn.ReLU()]
    return [conv, nn.MaxPool2d(2), *after] if pool else [conv, *after]


def _resnet9(described: TeacherModel, input_shape: Shape) -> nn.Module:
    width = described.width
    return nn.Sequential(
        *_block(input_shape[0], width),
        *_block(width, 2 * width, pool=True),
        _Residual(nn.Sequential(*_block(2 * width, 2 * width), *_block(2 * width, 2 * width))),
        *_block(2 * width, 4 * width, pool=True),
        *_block(4 * width, 8 * width, pool=True),
        _Residual(nn.Sequential(*_block(8 * width, 8 * width), *_block(8 * width, 8 * width))),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Dropout(described.dropout),
        nn.Linear(8 * width, described.features, bias=False),
        nn.BatchNorm1d(described.features),
        nn.ReLU(),
    )


def student_network(
    layers: Sequence[LayerModel], input_shape: Shape, outputs: int, dt_s: float
) -> nn.Sequential:
    """Make an untrained student: torch layers with their usual initial weights, and Norse cells.

    Parameters
    ----------
    layers : sequence of LayerModel
    input_shape : tuple of int
        One sample at one step.
    outputs : int
        What ``out`` is where it is left out.
    dt_s : float

    Raises
    ------
    InputError
        A kind that is unknown, or a layer that does not fit the one before it; names its position.
    """
    modules: list[nn.Module] = []
    shape = input_shape
    for index, layer in enumerate(layers):
        if layer.kind not in LAYER_KINDS:
            known = ", ".join(LAYER_KINDS)
            raise InputError(f"students.layers.{index}.kind: {layer.kind!r} is unknown; known: {known}")
        try:
            module = _student_layer(layer, shape, outputs, dt_s)
            shape = _shape_after(module, shape)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"students.layers.{index} ({layer.kind}): does not fit an input of shape {shape}: {reason}"
            ) from None
        modules.append(module)
    return nn.Sequential(*modules)


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
        return nn.AvgPool2d(2 if layer.kernel is None else layer.kernel)
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
