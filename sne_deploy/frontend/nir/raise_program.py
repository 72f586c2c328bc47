"""From a Program back to a NIR graph: registers as time constants, integers as weights in student's units.

With S the group's scale, a = dv / 4096 and b = (du + 1) / 4096 (floating point: a = dv, b = du)::

    weight           w 2^(weight_exp + 6) / S
    v_threshold      v_reset + vth_mant 2^6 / S;   v_leak = v_reset + v_init / S
    LIF, LI          tau = dt / a,      r = 1 / a
    CubaLIF, CubaLI  tau_mem = dt / a, tau_syn = dt / b,  r = 1 / a,  w_in = 1 / b
    IF, I            r = 1 / dt         (a = 0, b = 1)

A group's bias becomes that of the map before it. Compiled in floating point, the graph is the same network
but for the rounding of its state, with two exceptions, which are told as warnings: a bias of v behind a
synaptic current has to come through that current, which it builds up first; and a membrane that does not
leak, but has a synaptic current or a resting potential, gets a time constant of 10^9 steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.chips.registers import RegisterFormats
from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.raise_maps import LinearMap, keeps_shape, map_node
from sne_deploy.frontend.nir.shapes import graph_shapes, set_types
from sne_deploy.ir.program import ALWAYS_ON, HostAffine, NeuronGroup, Program, Synapse
from sne_deploy.ir.weights import map_values, scale_rows

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

NO_LEAK_STEPS = 1e9
"""Membrane time constant, in steps, of a neuron that does not leak, where NIR has none without a leak."""


@dataclass(frozen=True, eq=False)
class Raised:
    """A graph, and what it does not say exactly."""

    graph: nir.NIRGraph
    warnings: tuple[str, ...]


def raise_program(program: Program) -> Raised:
    """Raise a Program's groups and synapses to NIR nodes; see the module's text.

    Parameters
    ----------
    program : Program
        Cycles of a group with itself only.

    Raises
    ------
    GraphError
        Something that NIR cannot say: a cycle of several groups, a soft reset that subtracts anything but the
        threshold, a readout that starts away from its resting value, maps too large to be written out.
    """
    builder = _Builder(program, program.dt_s)
    for group in program.groups:
        builder.add_group(group)
    return builder.finish()


@dataclass
class _Builder:
    """Collects nodes and edges; it lives for one call of :func:`raise_program`."""

    program: Program
    dt_s: float
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        entry = self.program.input
        self.nodes[entry.name] = nir.Input({"input": np.array(entry.shape)})
        self.shapes[entry.name] = entry.shape

    def add_group(self, group: NeuronGroup) -> None:
        """The neurons, and the maps that end on them."""
        program = self.program
        silent = {ALWAYS_ON, *(other.name for other in program.groups if not other.spiking)}
        synapses = [s for s in program.synapses_into(group.name) if s.source not in silent]
        host = program.host_of(group.name)
        bias, warned = _bias(group, program)
        maps = [_host_map(program, host, group)] if host is not None else []
        maps += [self._synaptic_map(synapse, group) for synapse in synapses]
        if not maps:
            raise GraphError(f"group {group.name!r} has no input, which a graph needs")
        maps[0] = maps[0].with_bias(bias)
        kept = all(
            m.source != group.name and keeps_shape(m, self.shapes[m.source], group.shape) for m in maps
        )
        self.shapes[group.name] = group.shape if kept else (group.size,)
        node, more = neuron_node(group, self.shapes[group.name], self.dt_s, self.program.formats)
        self.nodes[group.name] = node
        self.warnings += warned + more
        for linear in maps:
            self._connect(linear, group.name)

    def _synaptic_map(self, synapse: Synapse, group: NeuronGroup) -> LinearMap:
        unit = np.asarray(2.0 ** (synapse.weight_exp + _shift(self.program)) / group.scale)
        reals = map_values(synapse.weights, lambda values: values.astype(np.float64))
        weights = scale_rows(reals, unit)
        return LinearMap(synapse.name, synapse.source, weights, None, self._delay_steps(synapse))

    def _delay_steps(self, synapse: Synapse) -> int:
        """Steps by which the graph delays; its cycles take one by themselves."""
        steps = self.program.lag(synapse) - synapse.late
        order = [group.name for group in self.program.groups]
        if synapse.source == synapse.target:
            return steps - 1
        if synapse.source in order and order.index(synapse.source) > order.index(synapse.target):
            raise GraphError(
                f"synapse {synapse.name!r} closes a cycle of several groups, which is not raised to a graph"
            )
        return steps

    def _connect(self, linear: LinearMap, target: str) -> None:
        """Make the way from a source: a delay and a flatten where needed, the map, its target."""
        last, shape = linear.source, self.shapes[linear.source]
        if linear.delay_steps:
            delay = nir.Delay(np.full(shape, linear.delay_steps * self.dt_s))
            last = self._add(f"{linear.name}.delay", delay, last)
        node = map_node(linear, shape, self.shapes[target])
        if not isinstance(node, (nir.Conv1d, nir.Conv2d, nir.Scale)) and len(shape) > 1:
            last = self._add(f"{linear.name}.flatten", nir.Flatten({"input": np.array(shape)}, 0, -1), last)
        last = self._add(linear.name, node, last)
        self.edges.append((last, target))

    def _add(self, name: str, node: Any, source: str) -> str:
        taken = {*self.nodes, *(group.name for group in self.program.groups)}
        free = next(
            name + suffix
            for suffix in ("", *(f".{n}" for n in range(len(taken) + 1)))
            if name + suffix not in taken
        )
        self.nodes[free] = node
        self.edges.append((source, free))
        return free

    def finish(self) -> Raised:
        """The graph with its outputs, every node typed."""
        several = len(self.program.outputs) > 1
        for index, name in enumerate(self.program.outputs):
            output = nir.Output({"output": np.array(self.shapes[name])})
            self._add(f"output{index:04d}" if several else "output", output, name)
        graph = nir.NIRGraph(self.nodes, self.edges, metadata={"dt_s": self.dt_s}, type_check=False)
        set_types(graph, graph_shapes(graph, self.program.input.shape))
        return Raised(graph, tuple(self.warnings))


def neuron_node(
    group: NeuronGroup, shape: Shape, dt_s: float, formats: RegisterFormats | None
) -> tuple[Any, list[str]]:
    """Make the NIR neurons of a group, and say what they do not say exactly."""
    a, b = _fractions(group, formats)
    if not group.spiking and bool(np.any(group.v_init)):
        raise GraphError(
            f"group {group.name!r}: a readout that does not start at its resting value, which NIR cannot say"
        )
    leak = np.asarray(group.v_reset + np.asarray(group.v_init) / group.scale)
    spikes = _firing(group, a, formats)

    def full(value: Array | float) -> Array:
        value = np.asarray(value, dtype=np.float64)
        return (np.broadcast_to(value, (group.size,)) if value.ndim == 0 else value).reshape(shape).copy()

    plain = not bool(np.any(group.v_init)) and (group.reset is not None or not bool(np.any(group.v_reset)))
    if bool(np.all(a == 0)) and bool(np.all(b == 1)) and plain:
        r = {"r": full(1.0 / dt_s)}
        node = (
            nir.IF(**r, **{name: full(value) for name, value in spikes.items()})
            if group.spiking
            else nir.I(**r)
        )
        return _with_reset(node, group, a), []
    warnings = []
    if bool(np.any(a == 0)):
        warnings.append(
            f"group {group.name!r}: its membrane does not leak; in its NIR graph, it nearly does not"
        )
        a = np.where(a == 0, 1.0 / NO_LEAK_STEPS, a)
    arrays = {
        "r": full(1.0 / a),
        "v_leak": full(leak),
        **{name: full(value) for name, value in spikes.items()},
    }
    if group.has_current or not bool(np.all(b == 1)):
        kind = nir.CubaLIF if group.spiking else nir.CubaLI
        node = kind(tau_mem=full(dt_s / a), tau_syn=full(dt_s / b), w_in=full(1.0 / b), **arrays)
    else:
        node = (nir.LIF if group.spiking else nir.LI)(tau=full(dt_s / a), **arrays)
    return _with_reset(node, group, a), warnings


def _firing(group: NeuronGroup, a: Array, formats: RegisterFormats | None) -> dict[str, Array]:
    """Threshold and reset value of a spiking group, in the student's units."""
    if not group.spiking:
        return {}
    unit = (1 if formats is None else 2**formats.state_shift) / group.scale
    threshold = np.asarray(group.vth_mant) * unit
    if group.vsub_mant is None:
        return {"v_threshold": threshold + group.v_reset, "v_reset": np.asarray(group.v_reset)}
    if group.reset is None:
        return {"v_threshold": threshold + group.v_reset, "v_reset": np.zeros(())}
    if bool(np.any(group.v_reset)) or not any(_subtracts(group, a)):
        raise GraphError(
            f"group {group.name!r}: a spike subtracts something else than its threshold, which NIR cannot say"
        )
    return {"v_threshold": threshold, "v_reset": np.zeros(())}


def _subtracts(group: NeuronGroup, a: Array) -> tuple[bool, bool]:
    """Whether the soft reset subtracts the threshold, and whether it does so at the next step."""
    threshold, subtracted = np.asarray(group.vth_mant), np.asarray(group.vsub_mant)
    with np.errstate(divide="ignore", invalid="ignore"):
        later = np.abs(threshold / (1 - a) - subtracted) <= 1
    return bool(np.all(threshold == subtracted)), bool(np.all(later))


def _with_reset(node: Any, group: NeuronGroup, a: Array) -> Any:
    if group.reset == "value_delayed":
        node.metadata = {"reset": "value", "reset_delayed": True}
    elif group.reset == "subtract":
        now, _ = _subtracts(group, a)
        node.metadata = {"reset": "subtract", **({} if now else {"reset_delayed": True})}
    elif group.spiking and group.reset is None:
        node.metadata = {"reset": "none"}
    return node


def _shift(program: Program) -> int:
    return 0 if program.formats is None else program.formats.state_shift


def _fractions(group: NeuronGroup, formats: RegisterFormats | None) -> tuple[Array, Array]:
    """Decay per step of v and of u."""
    if formats is not None:
        unity = formats.decay_unity
        return np.asarray(group.dv) / unity, (np.asarray(group.du) + 1) / unity
    return np.asarray(group.dv, dtype=np.float64), np.asarray(group.du, dtype=np.float64)


def _bias(group: NeuronGroup, program: Program) -> tuple[Array, list[str]]:
    """What the maps before a group add at every step, (n,), in the student's units; and warnings."""
    fixed = program.precision == "fixed"
    a, b = _fractions(group, program.formats)
    bias = np.asarray(group.bias_mant, dtype=np.float64) * 2.0**group.bias_exp - a * np.asarray(group.v_init)
    behind_current = group.has_current or not bool(np.all(b == 1))
    if fixed and behind_current and bool(np.any(group.v_init)):
        bias = np.where(np.abs(bias) < 2**group.bias_exp, 0.0, bias)  # the leak's pull, as rounded
    membrane = np.broadcast_to(bias / group.scale, (group.size,)).copy()
    current = np.zeros(group.size)
    for synapse in program.synapses_into(group.name):
        if synapse.source == ALWAYS_ON:
            unit = 2.0 ** (synapse.weight_exp + _shift(program)) / group.scale
            current += synapse.weights.matrix().toarray().reshape(-1) * unit
    if not behind_current or not bool(np.any(membrane)):
        return current + membrane, []
    text = (
        f"group {group.name!r}: its bias comes through the current in its NIR graph, which it builds up first"
    )
    return current + membrane * b, [text]


def _host_map(program: Program, host: HostAffine, group: NeuronGroup) -> LinearMap:
    unit = 1.0 if host.register_scale is None else host.register_scale * 2 ** _shift(program) / group.scale
    matrix = sparse.csr_matrix(sparse.diags(np.broadcast_to(unit, (group.size,))) @ host.matrix)
    return LinearMap(f"{group.name}.host", program.input.name, matrix, host.bias * unit, 0)
