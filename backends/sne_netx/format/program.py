"""From the layers of a ``.net`` file to a Program of the same integers.

What each field becomes is said in ``docs/netx.md``. A student's unit is one unit of a weight: 64 of v.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.errors import GraphError
from sne_deploy.ir.program import HostAffine, NeuronGroup, Program, ProgramInput, Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights
from sne_deploy.model.layers.geometry import window_sizes
from sne_netx.format.layers import (
    BIAS_EXP,
    FORMATS,
    SILENT_THRESHOLD,
    NetFile,
    NetLayer,
    NetNeuron,
    Shape,
    spread,
)
from sne_netx.format.synapses import check_conv, synapses_of
from sne_netx.format.weights import netx_dense

Array = npt.NDArray[Any]
T = TypeVar("T")

SCALE = float(2**FORMATS.state_shift)
INPUT = "input"
_INTEGRATOR = NetNeuron(FORMATS.decay_unity, 0, SILENT_THRESHOLD)
"""Sums its inputs up in v; the current without decay, of a layer without a neuron, has no register."""


@dataclass(frozen=True)
class ReadOptions:
    """How a file is taken.

    Attributes
    ----------
    skip_input_neurons : bool
        Leave an input layer's neurons out: the network then takes their spikes.
    input_shape : tuple of int or None
        Of the input, for a file without an input layer that begins with a convolution.
    dt_s : float
        Seconds per step, of which a file says nothing.
    """

    skip_input_neurons: bool = False
    input_shape: Shape | None = None
    dt_s: float = 1e-3


@dataclass(frozen=True, eq=False)
class _Place:
    """Where the next layer connects: to a group, at a depth, of a shape, flattened or not."""

    source: str
    depth: int
    shape: Shape
    flat: bool = False


@dataclass(frozen=True, eq=False)
class _Built:
    """What a layer becomes, and where the next one connects."""

    place: _Place
    group: NeuronGroup | None = None
    synapses: tuple[Synapse, ...] = ()
    host: HostAffine | None = None
    warnings: tuple[str, ...] = ()


def build_program(net: NetFile, student: str, options: ReadOptions) -> Program:
    """Build the Program, all but its graph.

    Raises
    ------
    GraphError
        Layers that do not chain, or that have no Program; names the layer and the field.
    """
    place = _Place(INPUT, 0, _input_shape(net, options))
    built: list[_Built] = []
    for layer in net.layers:
        try:
            built.append(_build(net, layer, place, options))
        except ValueError as error:
            text = str(error) if isinstance(error, GraphError) else f"field 'weight': {error}"
            raise GraphError(f"{layer.label}: {text}") from None
        place = built[-1].place
    groups = tuple(part.group for part in built if part.group is not None)
    if place.flat or not groups:
        raise GraphError("it must end with a layer of neurons")
    hosts = tuple(part.host for part in built if part.host is not None)
    shape = _input_shape(net, options)
    entry = ProgramInput(INPUT, shape, "current", _range_of(net.layers[0])) if hosts else None
    return Program(
        name=student,
        precision="fixed",
        timesteps=net.timesteps or 1,
        input=entry or ProgramInput(INPUT, shape, "spikes"),
        groups=groups,
        synapses=tuple(synapse for part in built for synapse in part.synapses),
        outputs=(groups[-1].name,),
        readout="count" if groups[-1].spiking else "v_last",
        hosts=hosts,
        warnings=tuple(text for part in built for text in part.warnings),
        graph=None,  # the caller raises one
        dt_s=options.dt_s,
        formats=FORMATS,
    )


def _input_shape(net: NetFile, options: ReadOptions) -> Shape:
    first = next((layer for layer in net.layers if layer.type != "flatten"), net.layers[0])
    if first.type == "input":
        return first.shape
    if options.input_shape is not None:
        return options.input_shape
    if first.type == "conv":
        raise GraphError(f"{first.label}: no input layer says what shape it takes; give one: input_shape=")
    return (int(_need(first.weight).shape[1]),) if first.weight is not None else (1,)


def _build(net: NetFile, layer: NetLayer, place: _Place, options: ReadOptions) -> _Built:
    if layer.type == "flatten":
        return _Built(replace(place, flat=True))
    last = layer is net.layers[-1]
    if layer.type == "input":
        return _input(layer, place, options, own=bool(net.extra))
    return _conv(layer, place, last=last) if layer.type == "conv" else _dense(layer, place, last=last)


def _input(layer: NetLayer, place: _Place, options: ReadOptions, *, own: bool) -> _Built:
    if layer.index != 0:
        raise GraphError("an input layer behind other layers")
    if layer.neuron is None or options.skip_input_neurons:
        return _Built(place)
    if np.any(layer.neuron.i_decay != FORMATS.decay_unity) and not own:
        raise GraphError(
            f"neuron field 'iDecay' is {np.min(layer.neuron.i_decay)}: netx gives a constant input to the "
            "neurons' bias, behind the current; give 4096, or leave these neurons out and give their spikes"
        )
    group = _group(layer, layer.neuron, 0, reads=False)
    host = HostAffine(
        target=group.name,
        matrix=sparse.csr_matrix(sparse.identity(layer.size, format="csr") * float(layer.gain)),
        bias=np.full(layer.size, float(layer.offset)),
        register_scale=1.0,
        register_limit=FORMATS.bias_mant_max,
        per_step_messages=group.has_current,
    )
    return _Built(_Place(group.name, 0, layer.shape), group, host=host)


def _range_of(layer: NetLayer) -> tuple[float, float]:
    """The values whose current fits the register."""
    if layer.gain == 0:
        return (0.0, 1.0)
    ends = sorted((sign * FORMATS.bias_mant_max - layer.offset) / layer.gain for sign in (-1, 1))
    return (ends[0], ends[1])


def _conv(layer: NetLayer, place: _Place, *, last: bool) -> _Built:
    if place.flat:
        raise GraphError("a convolution behind a flatten layer")
    weights = _convolution(layer, place.shape)
    check_conv(weights.kernel)
    group = _group(layer, _need(layer.neuron), place.depth + 1, reads=last)
    synapses = synapses_of(_synapse(place.source, group.name), weights)
    return _Built(_Place(group.name, group.depth, group.shape), group, synapses)


def _convolution(layer: NetLayer, shape: Shape) -> ConvWeights:
    kernel = _need(layer.weight)
    if len(shape) != 3:
        raise GraphError(f"a convolution takes maps (c, h, w), and what comes before it has shape {shape}")
    if shape[0] != kernel.shape[1] * layer.groups:
        raise GraphError(
            f"field 'weight' takes {kernel.shape[1] * layer.groups} channels, it gets {shape[0]}"
        )
    found = window_sizes(shape, kernel.shape[2:], layer.stride, layer.padding, layer.dilation)
    if (len(kernel), *found) != layer.shape:
        raise GraphError(f"field 'shape' is {layer.shape}, the convolution gives {(len(kernel), *found)}")
    return ConvWeights(
        kernel=kernel,
        in_shape=(shape[0], shape[1], shape[2]),
        out_shape=(layer.shape[0], layer.shape[1], layer.shape[2]),
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
    )


def _dense(layer: NetLayer, place: _Place, *, last: bool) -> _Built:
    weight, shape = _need(layer.weight), place.shape
    if len(shape) == 3 and shape[1] * shape[2] > 1 and not place.flat:
        raise GraphError(f"a dense layer behind maps of shape {shape} without a flatten layer between them")
    if int(np.prod(shape)) != weight.shape[1]:
        raise GraphError(f"field 'weight' has {weight.shape[1]} columns for {int(np.prod(shape))} inputs")
    parts = [weight] if layer.weight_rec is None else [weight, layer.weight_rec]
    exact, changed = netx_dense(parts) if any(np.any(part) for part in parts) else (parts, 0)
    group = _group(layer, layer.neuron or _summing(layer, last=last), place.depth + 1, reads=last)
    forward = _synapse(place.source, group.name)
    synapses = synapses_of(forward, DenseWeights(exact[0]), layer.delay, changed)
    if layer.weight_rec is not None and group.spiking:
        loop = replace(forward, name=f"{forward.name}_rec", source=group.name, within_sample=True)
        synapses += synapses_of(loop, DenseWeights(exact[1]))
    warnings = _changed_weights(layer, parts, exact) if changed else ()
    return _Built(_Place(group.name, group.depth, group.shape), group, synapses, warnings=warnings)


def _changed_weights(layer: NetLayer, given: list[Array], exact: list[Array]) -> tuple[str]:
    off = np.concatenate([np.abs(a - b).reshape(-1) for a, b in zip(given, exact, strict=True)])
    differ = f"{np.count_nonzero(off):,} of {off.size:,} differ, by up to {off.max()}"
    what = "netx computes with other weights than the file holds, and so does every target here"
    return (f"{layer.label}: {what}: {differ}",)


def _summing(layer: NetLayer, *, last: bool) -> NetNeuron:
    if not last:
        raise GraphError("field 'neuron' is missing, so that it does not spike, and layers follow")
    if layer.bias is not None:
        raise GraphError("field 'neuron' is missing: its v is the sum of its inputs and one bias; use none")
    return _INTEGRATOR


def _synapse(source: str, target: str) -> Synapse:
    return Synapse(f"{target}.weight", source, target, DenseWeights(np.zeros((0, 0), np.int32)))


def _group(layer: NetLayer, neuron: NetNeuron, depth: int, *, reads: bool) -> NeuronGroup:
    """The neurons of a layer; ``reads``: it is the last, and read where its threshold is the largest."""
    reads = reads and bool(np.all(np.asarray(neuron.v_th_mant) >= SILENT_THRESHOLD))
    if not reads and np.max(neuron.v_th_mant) > FORMATS.vth_mant_max:
        raise GraphError(
            f"neuron field 'vThMant' is {np.max(neuron.v_th_mant)}, more than the register's "
            f"{FORMATS.vth_mant_max}: such neurons never spike, which is for the last layer as a whole, "
            "whose v is then read"
        )
    return NeuronGroup(
        name=f"{layer.type}-{layer.index}",
        kind=_kind(neuron, reads=reads),
        shape=layer.shape,
        du=spread(np.asarray(neuron.i_decay - 1), layer.shape),
        dv=spread(np.asarray(neuron.v_decay), layer.shape),
        vth_mant=_register(0) if reads else spread(np.asarray(neuron.v_th_mant), layer.shape),
        bias_mant=_register(0) if layer.bias is None else spread(layer.bias, layer.shape),
        bias_exp=BIAS_EXP,
        v_init=_register(0),
        depth=depth,
        scale=SCALE,
        v_reset=np.asarray(0.0),
    )


def _kind(neuron: NetNeuron, *, reads: bool) -> str:
    if np.any(neuron.i_decay != FORMATS.decay_unity):
        return "cuba_li" if reads else "cuba_lif"
    if reads:
        return "li"
    return "lif" if np.any(neuron.v_decay) else "if"


def _register(value: int) -> Array:
    return np.asarray(value, dtype=np.int32)


def _need(value: T | None) -> T:
    if value is None:
        raise GraphError("a field is missing")
    return value
