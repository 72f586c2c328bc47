"""Pass: a leaky integrator followed by a threshold becomes one spiking group that no spike resets.

NIR writes a neuron without reset as LI (or CubaLI, I) -> Threshold. Between them runs a potential, which no
synapse of the chip carries; together they are LIF neurons whose spikes subtract nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sne_deploy.ir.network import Network, NeuronNode
from sne_deploy.neurons.table import MODELS


@dataclass(frozen=True)
class FuseThresholds:
    """Requires and produces a Network with linear nodes; the fused group has the threshold's name."""

    def apply(self, network: Network) -> Network:
        """Fuse every Threshold whose one input is an integrator; one that is also read out stays as well."""
        integrators = {neuron.name: neuron for neuron in network.neurons if MODELS[neuron.kind].fires_as}
        fused: dict[str, str] = {}
        for neuron in network.neurons:
            sources = [source for source, target in network.edges if target == neuron.name]
            if _is_threshold(network, neuron) and len(sources) == 1 and sources[0] in integrators:
                fused[neuron.name] = sources[0]
        if not fused:
            return network
        edges = [edge for edge in network.edges if fused.get(edge[1]) != edge[0]]
        still_read = {source for source, _ in edges}
        gone = {name for name in fused.values() if name not in still_read}
        edges += [
            (source, threshold)
            for threshold, integrator in fused.items()
            for source, target in network.edges
            if target == integrator
        ]
        back = {(source, t) for t, i in fused.items() for source, target in network.back_edges if target == i}
        return replace(
            network,
            neurons=tuple(
                _fused(integrators[fused[neuron.name]], neuron) if neuron.name in fused else neuron
                for neuron in network.neurons
                if neuron.name not in gone
            ),
            edges=tuple(edge for edge in edges if edge[1] not in gone),
            back_edges=network.back_edges | back,
        )


def _is_threshold(network: Network, neuron: NeuronNode) -> bool:
    return type(network.graph.nodes[neuron.name]).__name__ == "Threshold"


def _fused(integrator: NeuronNode, threshold: NeuronNode) -> NeuronNode:
    return replace(
        integrator,
        name=threshold.name,
        kind=MODELS[integrator.kind].fires_as or integrator.kind,
        v_th=threshold.v_th,
        v_reset=np.asarray(0.0),
        v_sub=np.asarray(0.0),
    )
