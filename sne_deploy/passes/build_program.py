"""Pass: composed Network -> floating-point Program. Gains, biases, the constant input and time get a place.

* The gain goes onto the weights, so that u is what v receives.
* A constant or graded input is folded: the first maps are computed on the host, biases included.
* A bias goes to ``bias_mant`` of a group without synaptic current, and onto an always-on axon otherwise.
* The leak adds a (v_leak - v_reset) to ``bias_mant``; the state is kept relative to v_reset.
* A group runs one step behind the latest of its sources; earlier ones get a delay, so that what met in the
  source graph meets on the chip. Lags of the graph (cycles, delays) are kept by the same delays; a cycle
  whose lag is shorter than the steps that its synapses take is late by the difference, with a warning.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.chips.registers import RegisterFormats
from sne_deploy.errors import UnsupportedError
from sne_deploy.ir.network import Connection, Network, NeuronNode
from sne_deploy.ir.program import ALWAYS_ON, HostAffine, NeuronGroup, Program, Synapse, reset_kind
from sne_deploy.ir.weights import DenseWeights, scale_rows
from sne_deploy.passes.timing import Timing, on_host, time_groups

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class BuildProgram:
    """Requires a Network of connections; produces a Program with ``precision="float"``.

    Attributes
    ----------
    formats : RegisterFormats
        Delays and resets are within these, whatever the precision.
    """

    formats: RegisterFormats

    def apply(self, network: Network) -> Program:
        """Build the groups, the synapses and the host's part.

        Raises
        ------
        UnsupportedError
            Lists what has no place on the chip: a readout that does not fit, an integrator's potential that
            feeds other neurons, a delay beyond the chip's range.
        """
        biases = dict(network.biases)
        hosts = _hosts(network, biases)
        targets = frozenset(host.target for host in hosts)
        timing = time_groups(network, targets)
        synapses = [_synapse(network, c, timing) for c in network.connections if not on_host(network, c)]
        problems = [
            *_output_problems(network),
            *_source_problems(network),
            *_input_problems(network),
            *_reset_problems(network, self.formats),
            *(problem for synapse in synapses if (problem := _delay_problem(synapse, self.formats))),
        ]
        if problems:
            raise UnsupportedError(f"student {network.name!r}", problems)
        synapses += [
            axon
            for name in timing.order
            if (axon := _always_on(network.neuron(name), biases.get(name), targets)) is not None
        ]
        position = {name: index for index, name in enumerate(timing.order)}
        return Program(
            name=network.name,
            precision="float",
            timesteps=network.timesteps,
            input=network.input,
            groups=tuple(
                _group(
                    network.neuron(name), timing.depths[name], _membrane_bias(network, name, biases, targets)
                )
                for name in timing.order
            ),
            synapses=tuple(sorted(synapses, key=lambda synapse: position[synapse.target])),
            outputs=network.outputs,
            readout=network.readout,
            hosts=tuple(sorted(hosts, key=lambda host: position[host.target])),
            graph=network.graph,
            dt_s=network.dt_s,
            warnings=(*network.warnings, *_late_warnings(network.name, synapses)),
        )


def _output_problems(network: Network) -> list[str]:
    """Spiking groups are counted, leaky integrators are read."""
    outputs = [network.neuron(name) for name in network.outputs]
    integrators = [neuron for neuron in outputs if not neuron.spiking]
    if integrators and network.readout == "count":
        wrong, remedy = integrators, "v_last, v_mean or v_max"
    elif not integrators and network.readout != "count":
        wrong, remedy = outputs, "count"
    else:
        return []
    return [f"readout {network.readout!r} of group {n.name!r} of kind {n.kind}; use {remedy}" for n in wrong]


def _source_problems(network: Network) -> list[str]:
    """Synapses carry spikes; a potential goes nowhere but to the output."""
    silent = {neuron.name for neuron in network.neurons if not neuron.spiking}
    problems = [
        f"group {c.source!r} does not spike, but its potential feeds group {c.target!r}; make it a spiking "
        "neuron, put a Threshold right behind it, or let it be an output only"
        for c in network.connections
        if c.source in silent
    ]
    read = set(network.outputs)
    heard = {connection.source for connection in network.connections}
    unread = sorted(silent - read - heard)
    return [
        *dict.fromkeys(problems),
        *(f"group {n!r} does not spike and is no output; remove it" for n in unread),
    ]


def _input_problems(network: Network) -> list[str]:
    """What the host computes reaches every group at the step of its input."""
    late = [c.target for c in network.connections if on_host(network, c) and c.lag]
    if network.input.kind != "graded":
        return []
    return [
        f"group {name!r} hears the graded input a step late, over an edge that closes a cycle; let the input "
        "enter beside the cycle"
        for name in late
    ]


def _reset_problems(network: Network, formats: RegisterFormats) -> list[str]:
    """Kinds of reset that the chip has not got."""
    kinds = [
        (neuron.name, reset_kind(neuron.v_sub, delayed=neuron.reset_delayed))
        for neuron in network.neurons
        if neuron.spiking
    ]
    has = " or ".join(kind.replace("_", "-") for kind, _ in formats.resets)
    return [
        f"group {name!r} resets by {kind.replace('_', '-')!r}; {formats.chip} by {has}: train with that, "
        f"give --reset {has} for a .nir file, or another chip with --hardware"
        for name, kind in kinds
        if kind is not None and formats.compartments(kind) is None
    ]


def _delay_problem(synapse: Synapse, formats: RegisterFormats) -> str | None:
    if synapse.delay <= formats.delay_max:
        return None
    return (
        f"connection {synapse.name!r} from {synapse.source!r} to {synapse.target!r} needs a delay of "
        f"{synapse.delay} steps; {formats.chip} has at most {formats.delay_max}; use shorter delays, a "
        "longer dt, or another chip with --hardware"
    )


def _late_warnings(student: str, synapses: list[Synapse]) -> list[str]:
    return [
        f"student {student!r}: connection {synapse.name!r} closes a cycle of several neuron groups and "
        f"arrives {synapse.late} step{'s' if synapse.late > 1 else ''} later than in the graph, since every "
        "synapse takes a step; target norse keeps the graph's timing"
        for synapse in synapses
        if synapse.late
    ]


def _hosts(network: Network, biases: Mapping[str, Array]) -> list[HostAffine]:
    """One for each group: by whatever paths it comes, the input reaches it at the same step."""
    matrices: dict[str, sparse.csr_matrix] = {}
    for connection in network.connections:
        if on_host(network, connection):
            matrix, target = connection.weights.matrix(), connection.target
            matrices[target] = sparse.csr_matrix(matrices[target] + matrix) if target in matrices else matrix
    graded = network.input.kind == "graded"
    return [_host(network.neuron(name), matrix, biases, graded) for name, matrix in matrices.items()]


def _host(
    neuron: NeuronNode, weights: sparse.csr_matrix, biases: Mapping[str, Array], graded: bool
) -> HostAffine:
    gain = sparse.diags(np.broadcast_to(neuron.gain, (neuron.size,)))
    bias = np.broadcast_to(biases.get(neuron.name, np.asarray(0.0)), (neuron.size,)) * neuron.gain
    matrix = sparse.csr_matrix(gain @ weights)
    matrix.sort_indices()
    return HostAffine(
        target=neuron.name,
        matrix=matrix,
        bias=np.asarray(bias, dtype=np.float64),
        per_step_messages=graded or neuron.has_current,
    )


def _membrane_bias(
    network: Network, name: str, biases: Mapping[str, Array], on_hosts: Collection[str]
) -> Array:
    """bias_mant of a group: the leak's pull, and the affine bias where nothing else carries it."""
    neuron = network.neuron(name)
    bias = neuron.a * (neuron.v_leak - neuron.v_reset)
    carried = neuron.has_current or name in on_hosts
    if name in biases and not carried:
        bias = bias + neuron.gain * biases[name]
    return _scalar_if_uniform(np.asarray(bias, dtype=np.float64))


def _always_on(neuron: NeuronNode, bias: Array | None, on_hosts: Collection[str]) -> Synapse | None:
    if bias is None or not neuron.has_current or neuron.name in on_hosts:
        return None
    weights = DenseWeights((neuron.gain * bias).reshape(-1, 1))
    return Synapse(name=f"{neuron.name}-bias", source=ALWAYS_ON, target=neuron.name, weights=weights)


def _group(neuron: NeuronNode, depth: int, bias: Array) -> NeuronGroup:
    return NeuronGroup(
        name=neuron.name,
        kind=neuron.kind,
        shape=neuron.shape,
        du=neuron.b,
        dv=neuron.a,
        vth_mant=neuron.v_th - neuron.v_reset,
        bias_mant=bias,
        bias_exp=0,
        v_init=_scalar_if_uniform(np.asarray(neuron.v_leak - neuron.v_reset)),
        depth=depth,
        scale=1.0,
        v_reset=neuron.v_reset,
        vsub_mant=neuron.v_sub,
        reset_delayed=neuron.reset_delayed,
        own=neuron.own,
    )


def _synapse(network: Network, connection: Connection, timing: Timing) -> Synapse:
    neuron = network.neuron(connection.target)
    room = timing.room(connection)
    return Synapse(
        name=connection.name,
        source=connection.source,
        target=connection.target,
        weights=scale_rows(connection.weights, neuron.gain),
        delay=max(room, 0),
        within_sample=connection.lag > 0,
        late=max(-room, 0),
    )


def _scalar_if_uniform(value: Array) -> Array:
    flat = value.reshape(-1)
    return np.asarray(flat[0]) if flat.size and bool(np.all(flat == flat[0])) else flat
