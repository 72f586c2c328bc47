"""From the tree of a ``.net`` file to its layers, everything checked, nothing skipped.

netx skips layers of a type that it does not know, ignores the delays of convolutions and the refractory
delay, and cuts fractions off: here each of these is an error that names the layer and the field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.errors import GraphError, UnsupportedError
from sne_netx.format.fields import Fields
from sne_netx.format.layers import (
    FORMATS,
    NEURON_TYPES,
    NO_NEURON,
    THRESHOLD_LIMIT,
    LayerType,
    NetFile,
    NetLayer,
    NetNeuron,
    Shape,
)

Array = npt.NDArray[Any]

ROOTS = ("layer", "simulation", "sne_deploy")
"""What is read at the root of a file."""
_TRAINING = {"scaleRho", "tauRho", "theta", "type", "iDecay", "vDecay", "vThMant"}
_NEURON = {*_TRAINING, "refDelay", "wgtExp", "gradedSpike", "messageBits"}
_DENSE = {"type", "shape", "inFeatures", "outFeatures", "weight", "bias", "delay", "neuron"}
_CONV = {
    "type",
    "shape",
    "inChannels",
    "outChannels",
    "kernelSize",
    "stride",
    "padding",
    "dilation",
    "groups",
}
_KNOWN = {
    "input": {"type", "shape", "weight", "bias", "neuron"},
    "flatten": {"type", "shape"},
    "dense": _DENSE,
    "dense_rec": {*_DENSE, "weight_rec"},
    "conv": {*_CONV, "weight", "bias", "delay", "neuron"},
}
_UNRUN = ("pool", "convT", "unpool", "average", "concat")
_MOST_LAYERS, _MOST_NEURONS = 10_000, 2**24


def parse_net(tree: Mapping[str, Any]) -> NetFile:
    """Check and convert a file.

    Raises
    ------
    GraphError
        A field is missing or wrong; names the layer and the field.
    UnsupportedError
        Lists every layer of a type, and every neuron of a kind, that is not supported.
    """
    root = Fields(tree, "")
    if "layer" not in root:
        raise GraphError("is HDF5 but no .net file: group 'layer' is missing")
    groups = _layers(root)
    problems = [problem for layer in groups if (problem := _unsupported(layer))]
    if problems:
        raise UnsupportedError("cannot be read", problems)
    layers = tuple(_layer(index, layer) for index, layer in enumerate(groups))
    neurons = sum(layer.size for layer in layers)
    if neurons > _MOST_NEURONS:
        raise GraphError(f"its layers have {neurons} neurons; the limit is {_MOST_NEURONS}")
    extra = tree.get("sne_deploy", {})
    if not isinstance(extra, Mapping):
        raise root.wrong("sne_deploy", "must be a group")
    return NetFile(layers, _timesteps(root), extra)


def _layers(root: Fields) -> list[Fields]:
    stored = root.group("layer")
    names = stored.names()
    if not names or len(names) > _MOST_LAYERS or names != {str(index) for index in range(len(names))}:
        shown = ", ".join(map(repr, sorted(names)[:5]))
        raise GraphError(
            f"group 'layer' must hold the layers 0, 1, 2, ... without a gap; it holds {shown:.100}"
        )
    return [stored.group(str(index), f"layer {index}") for index in range(len(names))]


def _timesteps(root: Fields) -> int | None:
    if "simulation" not in root:
        return None
    simulation = root.group("simulation")
    if "tSample" not in simulation:
        return None
    sample, step = simulation.number("tSample"), simulation.number("Ts") if "Ts" in simulation else 1.0
    steps = sample / step if step > 0 else 0.0
    if not 1 <= steps <= 1_000_000 or steps != int(steps):
        raise simulation.wrong("tSample", f"is {sample:g} in steps of {step:g}: no whole number of steps")
    return int(steps)


def _unsupported(layer: Fields) -> str | None:
    kind = layer.text("type")
    if kind in _UNRUN:
        return f"{layer.label}: type {kind!r:.60}, which netx does not run either"
    if kind not in _KNOWN:
        return f"{layer.label}: type {kind!r:.60}; known: {', '.join(_KNOWN)}"
    if layer.is_group("weight"):
        return f"{layer.label}: complex weights"
    if "neuron" not in layer:
        return None
    neuron = layer.group("neuron")
    found = neuron.text("type")
    if found not in NEURON_TYPES:
        return f"{layer.label}: neuron type {found!r:.60}; known: {', '.join(NEURON_TYPES)}"
    for name, plain, why in (
        ("gradedSpike", 0, "graded spikes"),
        ("messageBits", 0, "graded spikes"),
        ("wgtExp", 0, "an exponent of weights, which netx ignores"),
        ("refDelay", 1, "a refractory delay, which netx ignores"),
    ):
        value = neuron.integer(name, -(2**31), 2**31 - 1, plain)
        if value > plain or value < 0:
            return f"{layer.label}: neuron field {name!r} is {value}: {why}"
    return None


def _layer(index: int, fields: Fields) -> NetLayer:
    kind = fields.text("type")
    fields = fields.relabelled(f"layer {index} ({kind})")
    fields.check_known(_KNOWN[kind])
    if kind == "input":
        return _input(index, fields)
    if kind == "flatten":
        shape = fields.sizes("shape", (1, 2, 3)) if "shape" in fields else (1,)
        return NetLayer(index, "flatten", shape)
    return _conv(index, fields) if kind == "conv" else _dense(index, fields, recurrent=kind == "dense_rec")


def _neuron(fields: Fields, shape: Shape) -> NetNeuron | None:
    """Of a layer's neurons; None where there is none, or what netx takes for none."""
    if "neuron" not in fields:
        return None
    neuron = fields.group("neuron")
    neuron.check_known(_NEURON)
    shapes = (shape,) if len(shape) == 1 else (shape[:1], shape[::-1])
    most = {"iDecay": FORMATS.decay_unity, "vDecay": FORMATS.decay_unity, "vThMant": THRESHOLD_LIMIT}
    decay, leak, threshold = (neuron.each(name, high, shapes) for name, high in most.items())
    if all(np.array_equal(a, b) for a, b in zip((decay, leak, threshold), NO_NEURON, strict=True)):
        return None
    if np.min(decay) == 0:
        raise neuron.wrong("iDecay", "is 0: a current without decay has no register; give 1 to 4096")
    if np.max(leak) > FORMATS.decay_max:
        raise neuron.wrong("vDecay", f"is {np.max(leak)}, more than the register's {FORMATS.decay_max}")
    return NetNeuron(decay, leak, threshold)


def _input(index: int, fields: Fields) -> NetLayer:
    shape = fields.sizes("shape", (1, 2, 3))
    neuron = _neuron(fields, shape)
    if neuron is None and "neuron" in fields:
        raise fields.wrong("neuron", "does not spike, so that nothing would reach the next layer")
    return NetLayer(
        index,
        "input",
        shape,
        neuron,
        gain=fields.integer("weight", -(2**20), 2**20, 64),
        offset=fields.integer("bias", -(2**20), 2**20, 0),
    )


def _dense(index: int, fields: Fields, *, recurrent: bool) -> NetLayer:
    size = int(np.prod(fields.sizes("shape", (1, 2, 3))))
    weight = _matrix(fields, "weight", size)
    _check_count(fields, "outFeatures", size)
    _check_count(fields, "inFeatures", weight.shape[1])
    weight_rec = _matrix(fields, "weight_rec", size) if recurrent else None
    if weight_rec is not None and weight_rec.shape[1] != size:
        raise fields.wrong("weight_rec", f"has shape {weight_rec.shape}, must have ({size}, {size})")
    bias = _bias(fields)
    if bias is not None:
        bias = bias.reshape(-1)
        if bias.size not in (1, size):
            raise fields.wrong("bias", f"has {bias.size} values for {size} neurons")
    delay = _delay(fields, weight.shape)
    if delay is not None and recurrent:
        raise fields.wrong("delay", "is not 0 in a recurrent layer, whose weights netx then misreads")
    kind: LayerType = "dense_rec" if recurrent else "dense"
    return NetLayer(index, kind, (size,), _neuron(fields, (size,)), weight, weight_rec, bias, delay)


def _matrix(fields: Fields, name: str, size: int) -> Array:
    """(n_out, n_in); old files hold it flat."""
    weight = fields.integers(name)
    if weight.ndim != 2:
        if weight.size % size or (weight.ndim > 2 and weight.shape[2:] != (1,) * (weight.ndim - 2)):
            raise fields.wrong(name, f"has shape {weight.shape}, must be a matrix of {size} rows")
        weight = weight.reshape(size, -1)
    if weight.shape[0] != size:
        raise fields.wrong(name, f"has shape {weight.shape}, must have {size} rows")
    return weight


def _bias(fields: Fields) -> Array | None:
    if "bias" not in fields:
        return None
    bias = fields.integers("bias")
    low, high = FORMATS.bias_mant_min, FORMATS.bias_mant_max
    if int(bias.min()) < low or int(bias.max()) > high:
        raise fields.wrong("bias", f"reaches {int(bias.min())}..{int(bias.max())}, outside {low}..{high}")
    return bias if bool(np.any(bias)) else None


def _delay(fields: Fields, shape: tuple[int, ...]) -> Array | None:
    """Steps of every synapse; a vector has one delay per output neuron, else per input."""
    if "delay" not in fields:
        return None
    delay = fields.integers("delay")
    if int(delay.min()) < 0 or int(delay.max()) > FORMATS.delay_max:
        raise fields.wrong(
            "delay", f"reaches {int(delay.min())}..{int(delay.max())}, outside 0..{FORMATS.delay_max}"
        )
    if not bool(np.any(delay)):
        return None
    if delay.ndim <= 1 and delay.size == shape[0]:
        delay = delay.reshape(-1, 1)
    elif delay.ndim == 1 and delay.size == shape[1]:
        delay = delay.reshape(1, -1)
    elif delay.shape not in ((), shape):
        raise fields.wrong("delay", f"has shape {delay.shape}, which does not fit weights of shape {shape}")
    return np.broadcast_to(delay, shape)


def _conv(index: int, fields: Fields) -> NetLayer:
    channels, height, width = fields.sizes("shape", (3,))
    weight = fields.integers("weight")
    if weight.ndim == 5 and weight.shape[4] == 1:
        weight = weight[..., 0]
    if weight.ndim != 4 or weight.shape[0] != channels:
        raise fields.wrong(
            "weight", f"has shape {weight.shape}, must have ({channels}, c_in / groups, k_h, k_w)"
        )
    groups = fields.integer("groups", 1, 127, 1)
    _check_count(fields, "outChannels", channels)
    _check_count(fields, "inChannels", weight.shape[1] * groups)
    if "kernelSize" in fields and fields.pair("kernelSize", 1, 1) != weight.shape[2:]:
        raise fields.wrong("kernelSize", f"is not that of weights of shape {weight.shape}")
    if channels % groups:
        raise fields.wrong("groups", f"is {groups}, which does not divide {channels} channels")
    if _delay(fields, (channels, 1)) is not None:
        raise fields.wrong("delay", "is not 0; netx ignores the delays of convolutions")
    neuron = _neuron(fields, (channels, height, width))
    if neuron is None:
        raise GraphError(f"{fields.label}: field 'neuron' is missing")
    bias = _bias(fields)
    if bias is not None and bias.shape not in ((channels,), (width, height, channels)):
        allowed = f"({channels},) or ({width}, {height}, {channels})"
        raise fields.wrong("bias", f"has shape {bias.shape}, must have {allowed}")
    return NetLayer(
        index,
        "conv",
        (channels, height, width),
        neuron,
        weight,
        bias=bias,
        stride=fields.pair("stride", 1, 1),
        padding=fields.pair("padding", 0, 0),
        dilation=fields.pair("dilation", 1, 1),
        groups=groups,
    )


def _check_count(fields: Fields, name: str, wanted: int) -> None:
    if name in fields and fields.integer(name, 0, 2**31 - 1) != wanted:
        raise fields.wrong(
            name, f"is {fields.integer(name, 0, 2**31 - 1)}, the weights and shape say {wanted}"
        )
