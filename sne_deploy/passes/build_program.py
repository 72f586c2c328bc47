"""Pass: composed Network -> floating-point Program. Gains, biases, the constant input and time get a place.

* The gain goes onto the weights, so that u is what v receives.
* A constant input is folded: its first map is computed once per sample on the host, bias included.
* A bias goes to ``bias_mant`` of a group without synaptic current, and onto an always-on axon otherwise.
* The leak adds a (v_leak - v_reset) to ``bias_mant``; the state is kept relative to v_reset.
* A group runs one step behind the latest of its sources; earlier ones get a delay, so that what met in the
  source graph meets on the chip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.errors import UnsupportedError
from sne_deploy.ir.network import Connection, Network, NeuronNode
from sne_deploy.ir.program import ALWAYS_ON, HostAffine, NeuronGroup, Program, Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights, Weights, map_values

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class BuildProgram:
    """Requires a Network of connections; produces a Program with ``precision="float"``."""

    def apply(self, network: Network) -> Program:
        """Build the groups, the synapses and the host's part.

        Raises
        ------
        UnsupportedError
            A cycle through several groups, a constant input into several groups, or a readout that does
            not fit the last group.
        """
        _check_readout(network)
        order = _topological_order(network)
        biases = dict(network.biases)
        host = _host(network, biases)
        depths = _depths(network, order)
        if host is not None and depths[host.target] != 0:
            raise UnsupportedError(
                f"student {network.student!r}",
                [f"neuron group {host.target!r} gets both the constant input and spikes of other groups"],
            )
        groups = tuple(
            _group(network.neuron(name), depths[name], _membrane_bias(network, name, biases, host))
            for name in order
        )
        synapses = [_synapse(network, c, depths) for c in network.connections if not _on_host(network, c)]
        synapses += [
            axon
            for name in order
            if (axon := _always_on(network.neuron(name), biases.get(name), host)) is not None
        ]
        position = {name: index for index, name in enumerate(order)}
        return Program(
            student=network.student,
            precision="float",
            timesteps=network.timesteps,
            input=network.input,
            groups=groups,
            synapses=tuple(sorted(synapses, key=lambda synapse: position[synapse.target])),
            output=network.output,
            readout=network.readout,
            host=host,
            graph=network.graph,
            dt_s=network.dt_s,
        )


def _check_readout(network: Network) -> None:
    """Spiking groups are counted, leaky integrators are read."""
    output = network.neuron(network.output)
    integrates = output.kind in ("li", "cuba_li")
    if integrates != (network.readout != "count"):
        remedy = "v_last, v_mean or v_max" if integrates else "count"
        raise UnsupportedError(
            f"student {network.student!r}",
            [f"readout {network.readout!r} of group {output.name!r} of kind {output.kind}; use {remedy}"],
        )


def _on_host(network: Network, connection: Connection) -> bool:
    return network.input.kind == "current" and connection.source == network.input.name


def _host(network: Network, biases: Mapping[str, Array]) -> HostAffine | None:
    folded = [connection for connection in network.connections if _on_host(network, connection)]
    if not folded:
        return None
    if len(folded) > 1:
        targets = ", ".join(repr(connection.target) for connection in folded)
        raise UnsupportedError(
            f"student {network.student!r}",
            [f"a constant input feeds several neuron groups ({targets}); one is supported"],
        )
    neuron = network.neuron(folded[0].target)
    gain = sparse.diags(np.broadcast_to(neuron.gain, (neuron.size,)))
    bias = np.broadcast_to(biases.get(neuron.name, np.asarray(0.0)), (neuron.size,)) * neuron.gain
    matrix = sparse.csr_matrix(gain @ folded[0].weights.matrix())
    matrix.sort_indices()
    return HostAffine(
        target=neuron.name,
        matrix=matrix,
        bias=np.asarray(bias, dtype=np.float64),
        per_step_messages=neuron.kind in ("cuba_lif", "cuba_li"),
    )


def _membrane_bias(
    network: Network, name: str, biases: Mapping[str, Array], host: HostAffine | None
) -> Array:
    """bias_mant of a group: the leak's pull, and the affine bias where nothing else carries it."""
    neuron = network.neuron(name)
    bias = neuron.a * (neuron.v_leak - neuron.v_reset)
    carried = neuron.kind in ("cuba_lif", "cuba_li") or (host is not None and host.target == name)
    if name in biases and not carried:
        bias = bias + neuron.gain * biases[name]
    return _scalar_if_uniform(np.asarray(bias, dtype=np.float64))


def _always_on(neuron: NeuronNode, bias: Array | None, host: HostAffine | None) -> Synapse | None:
    if (
        bias is None
        or neuron.kind not in ("cuba_lif", "cuba_li")
        or (host is not None and host.target == neuron.name)
    ):
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
    )


def _synapse(network: Network, connection: Connection, depths: Mapping[str, int]) -> Synapse:
    neuron = network.neuron(connection.target)
    recurrent = connection.source == connection.target
    source_depth = depths.get(connection.source, 0)
    return Synapse(
        name=connection.name,
        source=connection.source,
        target=connection.target,
        weights=scale_rows(connection.weights, neuron.gain),
        delay=0 if recurrent else depths[connection.target] - 1 - source_depth,
        recurrent=recurrent,
    )


def scale_rows(weights: Weights, gain: Array) -> Weights:
    """Multiply row i by gain[i]; a convolution stays one where the gain is uniform in each channel."""
    if gain.ndim == 0:
        return map_values(weights, lambda values: values * float(gain))
    if isinstance(weights, DenseWeights):
        return DenseWeights(weights.array * gain[:, None])
    if isinstance(weights, ConvWeights):
        per_channel = gain.reshape(weights.out_shape[0], -1)
        if bool(np.all(per_channel == per_channel[:, :1])):
            return weights.with_values(weights.kernel * per_channel[:, 0, None, None, None])
    return SparseWeights(sparse.csr_matrix(sparse.diags(gain) @ weights.matrix()))


def _scalar_if_uniform(value: Array) -> Array:
    flat = value.reshape(-1)
    return np.asarray(flat[0]) if flat.size and bool(np.all(flat == flat[0])) else flat


def _topological_order(network: Network) -> tuple[str, ...]:
    """Neuron groups, sources first; a group's connection to itself is no obstacle."""
    waiting = {neuron.name: set[str]() for neuron in network.neurons}
    for connection in network.connections:
        if connection.source in waiting and connection.source != connection.target:
            waiting[connection.target].add(connection.source)
    order: list[str] = []
    while waiting:
        ready = [name for name, sources in waiting.items() if sources <= set(order)]
        if not ready:
            cycle = ", ".join(repr(name) for name in waiting)
            raise UnsupportedError(
                f"student {network.student!r}",
                [f"a cycle through several neuron groups (among {cycle}); only self-connections work"],
            )
        order.extend(ready)
        for name in ready:
            del waiting[name]
    return tuple(order)


def _depths(network: Network, order: tuple[str, ...]) -> dict[str, int]:
    depths: dict[str, int] = {}
    for name in order:
        sources = [
            depths.get(connection.source, 0) + 1
            for connection in network.connections
            if connection.target == name and connection.source != name and not _on_host(network, connection)
        ]
        depths[name] = max(sources, default=0)
    return depths
