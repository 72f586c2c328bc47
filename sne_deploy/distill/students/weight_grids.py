"""The values that each weight of a student can have on the chip, as the compiler's quantiser chooses them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from sne_deploy.chips.registers import RegisterFormats, SignMode
from sne_deploy.distill.students.register_run import LayerRegisters, layer_registers
from sne_deploy.distill.students.simulate import flat_layers, is_neuron, is_skip
from sne_deploy.distill.students.student import CONSTANT
from sne_deploy.errors import InputError, UnsupportedError, VerificationError
from sne_deploy.ir.program import ALWAYS_ON, NeuronGroup, Program, Synapse
from sne_deploy.ir.registers import quantise_weights
from sne_deploy.ir.weights import row_extents
from sne_deploy.model.ensemble import Encoder, Readout, Student
from sne_deploy.passes.weight_registers import extent

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class WeightGrid:
    """The values that a weight tensor can have on the chip.

    Attributes
    ----------
    factor : float array that broadcasts over the tensor
        From the tensor to the weights of the synapse that it becomes.
    parts : tuple of (float or float array that broadcasts over the tensor, SignMode)
        What one integer stands for, and the sign mode, of each synapse that shares the weight; inf for rows
        that have no weights in that synapse.
    formats : RegisterFormats
        Of the integers.
    """

    factor: Array
    parts: tuple[tuple[float | Array, SignMode], ...]
    formats: RegisterFormats

    def nearest(self, values: Array) -> Array:
        """The stored values: float64, of the tensor's shape and unit."""
        left = np.asarray(values, dtype=np.float64) * self.factor
        stored = np.zeros_like(left)
        for lsb, mode in self.parts:
            integers, _ = quantise_weights(left, lsb, self.formats.weight_range(mode))
            own = integers * np.where(np.isinf(lsb), 0.0, lsb)
            stored, left = stored + own, left - own
        return np.asarray(stored / self.factor)


@dataclass(frozen=True, eq=False)
class OnChip:
    """A folded student as the chip holds it.

    Attributes
    ----------
    grids : mapping of str to WeightGrid
        Of every tensor that becomes weights of synapses, by the name of the network's parameter.
    registers : tuple of LayerRegisters
        Of each layer of neurons, in order.
    """

    grids: dict[str, WeightGrid]
    registers: tuple[LayerRegisters, ...]


def weight_grids(
    network: nn.Module,
    input_shape: Shape,
    timesteps: int,
    readout: Readout,
    formats: RegisterFormats,
    encoder: Encoder = CONSTANT,
) -> dict[str, WeightGrid]:
    """The grids of :func:`on_chip` alone."""
    return on_chip(network, input_shape, timesteps, readout, formats, encoder).grids


def on_chip(
    network: nn.Module,
    input_shape: Shape,
    timesteps: int,
    readout: Readout,
    formats: RegisterFormats,
    encoder: Encoder = CONSTANT,
) -> OnChip:
    """Compile a folded student and read off its registers, and the grid of each tensor of weights.

    See :func:`sne_deploy.distill.students.quantise_aware.folded`.

    Raises
    ------
    UnsupportedError
        A synapse's weights are sums of several of the network's; or the student cannot be compiled.
    """
    import nir

    from sne_deploy.frontend.norse.modules import layers_from_module
    from sne_deploy.passes.pipeline import compile_student
    from sne_deploy.passes.quantise import Quantise

    tensors = weight_tensors(network, encoder)
    exact = compile_student(
        Student("student", layers_from_module(network), readout),
        input_shape=input_shape,
        timesteps=timesteps,
        encoder=encoder,
        precision="float",
        formats=formats,
    )
    fixed = Quantise(formats).apply(exact)
    maps = (nir.Affine, nir.Linear, nir.Conv1d, nir.Conv2d)
    nodes = [name for name, node in exact.graph.nodes.items() if isinstance(node, maps)]
    grids: dict[str, WeightGrid] = {}
    for tensor, node in zip(tensors, nodes, strict=True):
        stored = [synapse for synapse in fixed.synapses if node in _path(synapse)]
        if not stored:  # before the first neurons: computed on the host
            continue
        gain = _gain(exact.group(stored[0].target))
        grids[tensor.weight] = _grid(network, tensor, gain, stored, fixed)
        _check(grids[tensor.weight], network, tensor, exact, node)
        axons = [s for s in fixed.synapses_into(stored[0].target) if s.source == ALWAYS_ON]
        if tensor.bias is not None and axons:
            rows = _per_channel(gain, network, tensor)
            grids[tensor.bias] = WeightGrid(rows, _parts(axons, fixed, network, tensor, 1), formats)
    gains = [_gain(group) for group in exact.groups]
    return OnChip(grids, tuple(layer_registers(network, input_shape, exact, fixed, gains)))


_SPLIT = re.compile(r"(\.\d+)?(\.low)?$")
"""What quantisation adds to the names of synapses that it makes of one."""


def _path(synapse: Synapse) -> list[str]:
    """The nodes that a synapse was composed of."""
    return _SPLIT.sub("", synapse.name).split("+")


def _gain(group: NeuronGroup) -> Array:
    """What the compiler multiplies a Norse cell's input with: a = dt / tau_mem; 1 for an IAFCell."""
    return np.asarray(1.0) if group.kind == "if" else np.asarray(group.dv, dtype=np.float64)


def _parts(
    stored: list[Synapse], fixed: Program, network: nn.Module, tensor: WeightTensor, ndim: int
) -> tuple[tuple[float | Array, SignMode], ...]:
    """What an integer of each synapse stands for: of each row where these have scales, or synapses, apart."""
    channels = network.get_parameter(tensor.weight).shape[0]
    scale = np.asarray(fixed.group(stored[0].target).scale, dtype=np.float64)
    rows = scale if scale.ndim == 0 else scale.reshape(channels, -1)[:, 0]
    first, *others = (s for s in stored if not s.name.endswith(".low"))
    apart = {s.name: _rows_of(s, channels) for s in others}
    apart[first.name] = ~np.any([*apart.values(), np.zeros(channels, dtype=bool)], axis=0)
    found: list[tuple[float | Array, SignMode]] = []
    for one in stored:
        lsb = 2.0 ** (fixed.registers.state_shift + one.weight_exp) / rows
        if others:
            lsb = np.where(apart[one.name.removesuffix(".low")], lsb, np.inf)
        shaped = float(lsb) if np.ndim(lsb) == 0 else lsb.reshape(-1, *(1,) * (ndim - 1))
        found.append((shaped, one.sign_mode))
    return tuple(found)


def _rows_of(synapse: Synapse, channels: int) -> Array:
    """Which channels have weights in a synapse that was split off."""
    return np.asarray(row_extents(synapse.weights).reshape(channels, -1).max(axis=1) > 0)


def _per_channel(gain: Array, network: nn.Module, tensor: WeightTensor) -> Array:
    """The gain of each output channel of a map, shape () or (n_out,)."""
    if gain.ndim == 0:
        return gain
    channels = network.get_parameter(tensor.weight).shape[0]
    rows = gain.reshape(channels, -1)
    if bool(np.any(rows != rows[:, :1])):
        raise InputError(
            f"{tensor.weight}: neurons of one channel have different time constants, so that a weight has no "
            "single value on the chip; give a channel one time constant"
        )
    return np.asarray(rows[:, 0])


def _grid(
    network: nn.Module, tensor: WeightTensor, gain: Array, stored: list[Synapse], fixed: Program
) -> WeightGrid:
    rows = _per_channel(gain, network, tensor)
    ndim = network.get_parameter(tensor.weight).ndim
    factor = rows if rows.ndim == 0 else rows.reshape(-1, *(1,) * (ndim - 1))
    parts = _parts(stored, fixed, network, tensor, ndim)
    return WeightGrid(np.asarray(factor * tensor.taps), parts, fixed.registers)


def _check(grid: WeightGrid, network: nn.Module, tensor: WeightTensor, exact: Program, node: str) -> None:
    """The factor must give the weights that the compiler composed."""
    composed = max(extent(s.weights.values) for s in exact.synapses if node in _path(s))
    own = extent(network.get_parameter(tensor.weight).detach().numpy(force=True) * grid.factor)
    if abs(composed - own) > 1e-6 * composed:
        raise VerificationError(
            f"{tensor.weight}: its largest synaptic weight is {own:g} while training, {composed:g} compiled"
        )


@dataclass(frozen=True)
class WeightTensor:
    """A map's tensors, by their names in the network.

    Attributes
    ----------
    weight : str
    bias : str or None
    taps : float
        Product of the average pools before it: what a synapse's weight is, per weight of the tensor.
    """

    weight: str
    bias: str | None
    taps: float


def weight_tensors(network: nn.Module, encoder: Encoder = CONSTANT) -> list[WeightTensor]:
    """List the weights of a student without batch norm, in order.

    Raises
    ------
    UnsupportedError
        Behind the first neurons, maps in a row add up to other weights than their own; lists them all.
    """
    names = {id(module): name for name, module in network.named_modules()}
    walk = _Walk(names, on_host=encoder.kind in ("constant", "graded"))
    for layer in flat_layers(network):
        walk.visit(layer)
    if walk.problems:
        raise UnsupportedError("quantisation-aware training", walk.problems)
    return walk.found


class _Walk:
    """A student's layers one by one, from the neurons before a map to those behind it."""

    def __init__(self, names: dict[int, str], *, on_host: bool) -> None:
        self._names = names
        self.found: list[WeightTensor] = []
        self.problems: list[str] = []
        self._on_host = on_host
        self._taps = 1.0
        self._map: str | None = None

    def visit(self, layer: nn.Module) -> None:
        """Take the next layer."""
        name = self._names[id(layer)]
        if is_neuron(layer):
            if hasattr(layer, "recurrent_weights"):
                self._add(layer, name, "input_weights")
            self._on_host, self._taps, self._map = False, 1.0, None
            if hasattr(layer, "recurrent_weights"):
                self._add(layer, name, "recurrent_weights")
                self._map = None
        elif is_skip(layer):
            self.found.append(WeightTensor(f"{name}.weight".lstrip("."), None, 1.0))
        elif isinstance(layer, nn.AvgPool2d):
            self._pool(layer, name)
        elif "Pool" in type(layer).__name__:
            self.problems.append(f"{name} ({type(layer).__name__}): of pools, AvgPool2d alone can be trained")
        elif isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            self._add(layer, name, "weight")

    def _add(self, layer: nn.Module, name: str, weight: str) -> None:
        if self._map is not None:
            self._refuse(f"{name} ({type(layer).__name__}) follows {self._map} without neurons between them")
        bias = f"{name}.bias".lstrip(".") if getattr(layer, "bias", None) is not None else None
        self.found.append(WeightTensor(f"{name}.{weight}".lstrip("."), bias, self._taps))
        self._map = name

    def _pool(self, pool: nn.AvgPool2d, name: str) -> None:
        kernel, stride = _pair(pool.kernel_size), _pair(pool.stride)
        if self._map is not None:
            self._refuse(f"{name} (AvgPool2d) follows {self._map}: put it before the map, or neurons between")
        elif kernel[0] > stride[0] or kernel[1] > stride[1]:
            self._refuse(
                f"{name} (AvgPool2d): windows of {kernel} at strides of {stride} overlap; do not let them"
            )
        self._taps *= 1.0 / (kernel[0] * kernel[1])

    def _refuse(self, problem: str) -> None:
        if not self._on_host:
            self.problems.append(problem)


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])
