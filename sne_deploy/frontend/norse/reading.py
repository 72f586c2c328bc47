"""One torch or Norse module as layers: its options and tensors, or why it cannot become any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.frontend.norse.encoders import CURRENTS, ENCODER_KINDS, RATES
from sne_deploy.model.ensemble import Layer, OptionValue
from sne_deploy.model.layers.geometry import same_padding
from sne_deploy.model.layers.registry import LAYER_KINDS
from sne_deploy.neurons.table import CELLS, Derived

Array = npt.NDArray[Any]

CELL_OF_LAYER: Mapping[str, str] = Derived(
    lambda models: {cell.layer: cell.kind for model in models for cell in model.cells if cell.layer}
)
"""Norse's layers over time, and their cells."""
DROPPED = ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "Identity")
"""Modules that do nothing at inference."""


def is_known(kind: str) -> bool:
    """Whether a class of torch's or Norse's becomes layers, or none."""
    return kind in (*DROPPED, *ENCODER_KINDS, "LILinearCell") or CELL_OF_LAYER.get(kind, kind) in LAYER_KINDS


def is_cell(kind: str) -> bool:
    """Whether it has a state and sees one step."""
    return kind in CELLS or kind == "LILinearCell"


class RefusedError(Exception):
    """Why one module cannot become a layer."""


def read_layers(kind: str, module: Any) -> tuple[Layer, ...]:
    """The layers that a module is; none where it does nothing at inference.

    Parameters
    ----------
    kind : str
        The name of its class, which must be torch's or Norse's own.
    module : torch.nn.Module
        Its tensors are copied.

    Raises
    ------
    RefusedError
        No layer computes what it does.
    """
    if kind in (*DROPPED, *RATES):
        return ()
    if kind in CURRENTS:
        return (_current_encoder(module),)
    if kind == "LILinearCell":
        weight = _arrays(module, "input_weights")["input_weights"]
        return Layer("Linear", {}, {"weight": weight}), _read_cell("LICell", module)
    cell = CELL_OF_LAYER.get(kind, kind)
    return ((_read_cell if cell in CELLS else _read)(cell, module),)


def _array(name: str, value: Any, remedy: str = "use module.float()") -> Array:
    """A copy; float64 of integers, which is exact."""
    import torch

    if isinstance(value, torch.Tensor):
        if value.is_sparse or value.is_quantized:
            raise RefusedError(f"{name} is sparse or quantised; use to_dense() or dequantize()")
        if value.is_meta:
            raise RefusedError(f"{name} is on the meta device and has no values; load them first")
        if value.dtype in (torch.float32, torch.float64):
            return value.detach().cpu().numpy().copy()
        if value.dtype in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
            return value.detach().cpu().numpy().astype(np.float64)
        raise RefusedError(f"{name} has dtype {value.dtype}, must be float32 or float64; {remedy}")
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        return np.array(value, dtype=np.float64)
    raise RefusedError(f"{name} is a {type(value).__name__}, must be a tensor or a number")


def _arrays(module: Any, *names: str) -> dict[str, Array]:
    values = {name: getattr(module, name) for name in names}
    return {name: _array(name, value) for name, value in values.items() if value is not None}


def _read(kind: str, module: Any) -> Layer:
    """A layer without state: its options and tensors are the module's attributes of the same names."""
    for name, allowed, remedy in _ONLY:
        if getattr(module, name, allowed) != allowed:
            raise RefusedError(f"{name}={getattr(module, name)!r} is not supported; {remedy}")
    if kind.startswith("AvgPool") and module.ceil_mode:
        raise RefusedError("ceil_mode=True is not supported; pad the input instead")
    if kind.startswith("AvgPool") and any(_tuple(module.padding)) and not module.count_include_pad:
        raise RefusedError(
            "count_include_pad=False with padding is not supported; NIR's average divides by the window"
        )
    options = {name: _option(kind, module, name) for name in _OPTIONS.get(kind, ())}
    return Layer(kind, options, _arrays(module, *LAYER_KINDS[kind].tensors))


def _option(kind: str, module: Any, name: str) -> OptionValue:
    value: Any = getattr(module, name)
    if value == "valid":
        return (0,) * len(module.kernel_size)
    if value == "same":
        padding = same_padding(module.kernel_size, module.dilation)
        if padding is None:
            raise RefusedError(
                f"padding='same' with kernel_size={module.kernel_size} and dilation={module.dilation} pads "
                "one side more than the other; use an odd kernel or give the padding in numbers"
            )
        return _tuple(padding)
    if name == "eps":
        return float(value)
    if name == "ceil_mode":
        return bool(value)
    if name in ("groups", "start_dim", "end_dim", "over"):
        return int(value)
    return _tuple(value, 1 if kind.endswith("1d") else 2)


def _read_cell(kind: str, module: Any) -> Layer:
    known = LAYER_KINDS[kind]
    tensors = {
        name: _array(name, getattr(module.p, name), f"give the cell's parameters {name}=p.{name}.float()")
        for name in CELLS[kind].tensors
    }
    options: dict[str, OptionValue] = {"dt": float(module.dt)}
    if known.spiking:
        tensors |= _steepness(module.p)
        options["method"] = str(module.p.method)
        options["reset_method"] = _reset_method(getattr(module.p, "reset_method", None))
    if CELLS[kind].recurrent:
        tensors |= _arrays(module, "input_weights", "recurrent_weights")
        options["autapses"] = bool(module.autapses)
    return Layer(kind, options, tensors)


def _current_encoder(module: Any) -> Layer:
    """Neurons without a synaptic current, which Norse starts at 0."""
    layer = _read_cell("LIFBoxCell", module)
    if layer.tensors["v_leak"].any():
        raise RefusedError(
            "v_leak is not 0, where it starts; use LIFBoxCell, which starts at v_leak, and train again"
        )
    return layer


def _reset_method(function: Any) -> str:
    """The name of Norse's function that a cell resets with."""
    from norse.torch.functional import reset

    for name in ("reset_value", "reset_subtract"):
        if function in (None, getattr(reset, name)):
            return name
    raise RefusedError(
        f"reset_method={getattr(function, '__name__', function)!r} is not supported; use norse.torch's "
        "reset_value or reset_subtract"
    )


def _steepness(parameters: Any) -> dict[str, Array]:
    """The surrogate gradient's alpha, which inference never uses: left out where no layer could hold it."""
    try:
        alpha = _array("alpha", getattr(parameters, "alpha", None))
    except RefusedError:
        return {}
    return {"alpha": alpha} if alpha.size and np.isfinite(alpha).all() else {}


def _tuple(value: Any, length: int | None = None) -> tuple[int, ...]:
    if value is None or isinstance(value, int):
        return (value or 0,) * (length or 1)
    return tuple(int(entry or 0) for entry in value)


_WINDOW = ("stride", "padding", "dilation", "groups")
_OPTIONS = {
    "Conv1d": _WINDOW,
    "Conv2d": _WINDOW,
    "SkipConv2d": (*_WINDOW, "over"),
    "SkipLinear": ("over",),
    "AvgPool1d": ("kernel_size", "stride", "padding"),
    "AvgPool2d": ("kernel_size", "stride", "padding"),
    "MaxPool1d": ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "MaxPool2d": ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "AdaptiveAvgPool1d": ("output_size",),
    "AdaptiveAvgPool2d": ("output_size",),
    "Flatten": ("start_dim", "end_dim"),
    "BatchNorm1d": ("eps",),
    "BatchNorm2d": ("eps",),
}
_ONLY = (
    ("padding_mode", "zeros", "use 'zeros'"),
    ("return_indices", False, "let it return what it pools alone"),
    ("divisor_override", None, "scale the next weights"),
    ("track_running_stats", True, "it keeps no statistics for inference: train with True"),
)
"""Options that have one value here, by torch's names, and what to do about another."""
