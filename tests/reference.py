"""A slow, plain simulator of a Program, to hold every backend against.

It shares no code with any backend: Python numbers, one sample at a time, and every spike is walked through
every synapse that exists, found by the textbook definition of its weights. What it counts it counts there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sne_deploy.ir.program import ALWAYS_ON, HostAffine, NeuronGroup, Program, Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights

Number = Any


@dataclass
class LayerReference:
    """What one group did: lists over samples, then (for states and spikes) over steps and neurons."""

    synops: list[int] = field(default_factory=list)
    spikes: list[int] = field(default_factory=list)
    active: list[int] = field(default_factory=list)
    idle: list[int] = field(default_factory=list)
    u_wraps: list[int] = field(default_factory=list)
    v_saturations: list[int] = field(default_factory=list)
    raster: list[list[list[bool]]] = field(default_factory=list)
    u: list[list[list[Number]]] = field(default_factory=list)
    v: list[list[list[Number]]] = field(default_factory=list)


@dataclass
class Reference:
    """What a Program does on N samples."""

    layers: dict[str, LayerReference]
    raw_outputs: list[list[Number]]
    input_spikes: list[int]


def simulate(program: Program, inputs: np.ndarray) -> Reference:
    """Run the samples one by one, each from its own beginning."""
    outgoing: dict[str, list[tuple[Synapse, dict[int, list[tuple[int, Number]]]]]] = {}
    for synapse in program.synapses:
        outgoing.setdefault(synapse.source, []).append((synapse, fan_out(synapse)))
    result = Reference({group.name: LayerReference() for group in program.groups}, [], [])
    for sample in inputs:
        _simulate_sample(program, sample, outgoing, result)
    return result


def fan_out(synapse: Synapse) -> dict[int, list[tuple[int, Number]]]:
    """Input index to its existing synapses: (output index, weight), weight not zero."""
    targets: dict[int, list[tuple[int, Number]]] = {}
    for output, source, weight in existing(synapse.weights):
        targets.setdefault(source, []).append((output, weight))
    return targets


def existing(weights: Any) -> Iterator[tuple[int, int, Number]]:
    """Every (output, input, weight) that is a synapse."""
    if isinstance(weights, DenseWeights):
        table = weights.array.tolist()
        triples: Any = ((o, i, w) for o, row in enumerate(table) for i, w in enumerate(row))
    elif isinstance(weights, SparseWeights):
        coo = weights.csr.tocoo()
        triples = zip(coo.row.tolist(), coo.col.tolist(), coo.data.tolist(), strict=True)
    else:
        triples = _convolution(weights)
    return (triple for triple in triples if triple[2] != 0)


def _convolution(conv: ConvWeights) -> Iterator[tuple[int, int, Number]]:
    kernel = conv.kernel.tolist()
    c_out, c_per_group = conv.kernel.shape[:2]
    _, in_h, in_w = conv.in_shape
    _, out_h, out_w = conv.out_shape
    for o in range(c_out):
        first = o // (c_out // conv.groups) * c_per_group
        for y in range(out_h):
            for x in range(out_w):
                for c in range(c_per_group):
                    for i, row in enumerate(kernel[o][c]):
                        for j, weight in enumerate(row):
                            sy = y * conv.stride[0] - conv.padding[0] + i * conv.dilation[0]
                            sx = x * conv.stride[1] - conv.padding[1] + j * conv.dilation[1]
                            if 0 <= sy < in_h and 0 <= sx < in_w:
                                yield (
                                    (o * out_h + y) * out_w + x,
                                    ((first + c) * in_h + sy) * in_w + sx,
                                    weight,
                                )


def _simulate_sample(program: Program, sample: Any, outgoing: dict[str, Any], result: Reference) -> None:
    run = _SampleRun(program, sample, outgoing)
    for machine_step in range(-program.max_depth, program.timesteps + program.max_depth + 1):
        run.machine_step(machine_step)
    for name, layer in result.layers.items():
        run.states[name].store(layer, run.synops[name])
    result.input_spikes.append(run.entered)
    groups = [program.group(name) for name in program.outputs]
    result.raw_outputs.append([value for g in groups for value in _read_out(program, g, run.states[g.name])])


class _SampleRun:
    """One sample, from its own beginning, on the machine's clock (its first input is sent at step 1)."""

    def __init__(self, program: Program, sample: Any, outgoing: dict[str, Any]) -> None:
        self.program, self.outgoing = program, outgoing
        self.arrivals = {g.name: [[0] * g.size for _ in range(program.timesteps)] for g in program.groups}
        self.synops = {g.name: 0 for g in program.groups}
        self.depths = {g.name: g.depth for g in program.groups}
        fixed = program.precision == "fixed"
        self.states = {g.name: STATES.get(g.kind, GroupState)(g, fixed=fixed) for g in program.groups}
        self.currents = {host.target: _host_currents(program, host, sample) for host in program.hosts}
        flat = np.asarray(sample).reshape(program.timesteps, -1) if not program.hosts else np.zeros((0, 0))
        self.spikes = flat.tolist()
        self.entered = 0
        for host in program.hosts:
            if host.per_step_messages:
                self.entered += program.timesteps * program.group(host.target).size

    def machine_step(self, machine_step: int) -> None:
        """Everything that is sent at one step; what arrives later is stored at its step of the sample."""
        if ALWAYS_ON in self.outgoing:
            self.send(ALWAYS_ON, 0, machine_step)
            self.entered += 0 < machine_step <= self.program.timesteps
        if 0 < machine_step <= len(self.spikes):
            active = [axon for axon, spike in enumerate(self.spikes[machine_step - 1]) if spike]
            self.entered += len(active)
            for axon in active:
                self.send(self.program.input.name, axon, machine_step)
        for group in self.program.groups:
            step = machine_step - group.depth - 1
            if 0 <= step < self.program.timesteps:
                for neuron in self.states[group.name].update(self.a_in(group.name, step)):
                    self.send(group.name, neuron, machine_step)

    def a_in(self, name: str, step: int) -> list[Number]:
        """What a group receives at a step of the sample."""
        arrived = self.arrivals[name][step]
        if name not in self.currents:
            return arrived
        return [c + a for c, a in zip(self.currents[name][step], arrived, strict=True)]

    def send(self, source: str, neuron: int, machine_step: int) -> None:
        """Walk one spike through every synapse that it meets."""
        for synapse, targets in self.outgoing.get(source, ()):
            step = machine_step + 1 + synapse.delay - self.depths[synapse.target] - 1
            if not 0 <= step < self.program.timesteps:
                continue  # it would arrive in another sample
            for output, weight in targets.get(neuron, ()):
                self.arrivals[synapse.target][step][output] += weight * 2**synapse.weight_exp
                self.synops[synapse.target] += 1


def _host_currents(program: Program, host: HostAffine, sample: Any) -> list[list[Number]]:
    """What the host sends at each step of the sample."""
    if program.input.kind == "current":
        return [_host_current(host, sample)] * program.timesteps
    return [_host_current(host, x) for x in sample]


def _host_current(host: HostAffine, values_in: Any) -> list[Number]:
    x = np.asarray(values_in, dtype=float).reshape(-1).tolist()
    values = []
    scales = np.broadcast_to(1.0 if host.register_scale is None else host.register_scale, host.bias.shape)
    rows = zip(host.matrix.toarray().tolist(), host.bias.tolist(), scales.tolist(), strict=True)
    for row, bias, scale in rows:
        c = sum(w * value for w, value in zip(row, x, strict=True)) + bias
        if host.register_scale is not None:
            c = max(-host.register_limit, min(host.register_limit, round(c * scale)))
        values.append(c)
    return values


class GroupState:
    """One group during one sample."""

    def __init__(self, group: NeuronGroup, *, fixed: bool) -> None:
        def each(value: Any) -> list[Number]:
            return np.broadcast_to(np.asarray(value), (group.size,)).tolist()

        self.own = {name: each(value) for name, value in group.own.items()}

        self.fixed, self.spiking, self.size = fixed, group.spiking, group.size
        self.du, self.dv, self.v = each(group.du), each(group.dv), each(group.v_init)
        self.bias = [b * 2**group.bias_exp for b in each(group.bias_mant)]
        self.threshold = [th * (64 if fixed else 1) for th in each(group.vth_mant)]
        soft = None if group.vsub_mant is None else each(group.vsub_mant)
        self.subtracted = None if soft is None else [sub * (64 if fixed else 1) for sub in soft]
        self.delayed = group.reset_delayed
        self.compartments = (
            2 if fixed and self.spiking and soft is not None and any(soft) else 1
        )  # on Loihi 1
        self.u: list[Number] = [0] * group.size
        self.active = self.updates = self.u_wraps = self.v_saturations = 0
        self.raster: list[list[bool]] = []
        self.us: list[list[Number]] = []
        self.vs: list[list[Number]] = []

    def update(self, a_in: list[Number]) -> list[int]:
        """One step; the neurons that spike."""
        fired = []
        for k, a in enumerate(a_in):
            self.updates += self.compartments
            self.active += self.compartments * (a != 0 or self.u[k] != 0 or self.v[k] != 0)
            waits = self.delayed and self.v[k] > self.threshold[k]
            self.u[k], self.v[k] = (self._integers if self.fixed else self._reals)(k, a)
            if waits:
                self.v[k] = 0
            if self.spiking and self.v[k] > self.threshold[k]:
                fired.append(k)
                if self.subtracted is not None:
                    self.v[k] -= self.subtracted[k]
                elif not self.delayed:
                    self.v[k] = 0
        self.raster.append([k in fired for k in range(self.size)])
        self.us.append(list(self.u))
        self.vs.append(list(self.v))
        return fired

    def _integers(self, k: int, a: int) -> tuple[int, int]:
        u = _decayed(self.u[k], 4096 - self.du[k] - 1) + a * 64
        self.u_wraps += not -(2**23) < u <= 2**23
        if u > 2**23:
            u -= 2**24
        elif u <= -(2**23):
            u += 2**24
        v = self.membrane(k, u)
        waits = self.delayed and self.v[k] > self.threshold[k]  # nothing of v is left
        self.v_saturations += not waits and abs(v) > 2**23 - 1
        return u, max(-(2**23) + 1, min(2**23 - 1, v))

    def _reals(self, k: int, a: float) -> tuple[float, float]:
        u = self.u[k] * (1 - self.du[k]) + a
        return u, self.membrane(k, u)

    def membrane(self, k: int, u: Number) -> Number:
        """V of neuron k with the new u, before it saturates and spikes."""
        v, dv = self.v[k], self.dv[k]
        return (_decayed(v, 4096 - dv) if self.fixed else v * (1 - dv)) + u + self.bias[k]

    def store(self, layer: LayerReference, synops: int) -> None:
        """Append this sample's results."""
        layer.synops.append(synops)
        layer.spikes.append(sum(map(sum, self.raster)))
        layer.active.append(self.active)
        layer.idle.append(self.updates - self.active)
        layer.u_wraps.append(self.u_wraps)
        layer.v_saturations.append(self.v_saturations)
        layer.raster.append(self.raster)
        layer.u.append(self.us)
        layer.v.append(self.vs)


STATES: dict[str, type[GroupState]] = {}
"""Of models with another update than the leaky ones', by name."""


def _decayed(x: int, factor: int) -> int:
    return (1 if x >= 0 else -1) * (abs(x) * factor // 4096)


def _read_out(program: Program, group: NeuronGroup, state: GroupState) -> list[Number]:
    if group.spiking:
        return [sum(column) for column in zip(*state.raster, strict=True)]
    columns = list(zip(*state.vs, strict=True))
    if program.readout == "v_last":
        return [column[-1] for column in columns]
    if program.readout == "v_max":
        return [max(column) for column in columns]
    totals = []
    for column in columns:
        total = 0
        for v in column:
            total += v
        totals.append(total)
    return totals


def assert_equal(trace: Any, expected: Reference, program: Program) -> None:
    """Hold a backend's Trace (``record="all"``) to the reference: everything equal, bit for bit."""

    def check(what: str, got: Any, wanted: Any, shape: tuple[int, ...] | None = None) -> None:
        wanted = np.asarray(wanted)
        wanted = wanted if shape is None else wanted.reshape(shape)
        np.testing.assert_array_equal(got, wanted, err_msg=f"{what} of {program.name}", strict=False)

    samples = len(expected.raw_outputs)
    check("input spikes", trace.input_spikes, expected.input_spikes)
    for group, layer in zip(program.groups, trace.layers, strict=True):
        wanted, name = expected.layers[group.name], group.name
        assert layer.name == name
        full = (samples, program.timesteps, *group.shape)
        check(f"u of {name}", layer.recorded_u, wanted.u, full)
        check(f"v of {name}", layer.recorded_v, wanted.v, full)
        if group.spiking:
            check(f"raster of {name}", layer.recorded_spikes, wanted.raster, full)
        check(f"spikes of {name}", layer.spikes, wanted.spikes)
        check(f"synops of {name}", layer.synops, wanted.synops)
        check(f"active updates of {name}", layer.updates_active, wanted.active)
        check(f"idle updates of {name}", layer.updates_idle, wanted.idle)
        if program.precision == "fixed" and layer.u_wraps is not None:
            check(f"wraps of u of {name}", layer.u_wraps, wanted.u_wraps)
            check(f"saturations of v of {name}", layer.v_saturations, wanted.v_saturations)
    check("raw outputs", trace.raw_outputs, expected.raw_outputs)
