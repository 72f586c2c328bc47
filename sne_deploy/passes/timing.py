"""When each group works: depths that let what met in the graph meet on the chip.

Every synapse takes a step, so a connection of lag L (0 for a plain one) from depth s reaches depth d in time
where ``d - s - 1 + L >= 0``; the rest is its delay. Depths are the smallest that satisfy this for every
connection; where a cycle makes that impossible, its back edges are let go, and are late.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from sne_deploy.ir.network import Connection, Network


@dataclass(frozen=True)
class Timing:
    """Depth of every group, and the groups in an order in which sources come first."""

    order: tuple[str, ...]
    depths: Mapping[str, int]

    def room(self, connection: Connection) -> int:
        """Steps to spare beyond the one that a synapse takes; negative: the steps by which it is late."""
        return self.depths[connection.target] - self.depths.get(connection.source, 0) - 1 + connection.lag


def on_host(network: Network, connection: Connection) -> bool:
    """Whether a connection is computed on the host instead of by synapses."""
    return network.input.kind != "spikes" and connection.source == network.input.name


def time_groups(network: Network, on_hosts: Collection[str]) -> Timing:
    """Find the depths.

    Parameters
    ----------
    network : Network
        Composed.
    on_hosts : collection of str
        Groups that the host sends a current to; they need no source to begin.
    """
    synaptic = [connection for connection in network.connections if not on_host(network, connection)]
    forward = [connection for connection in synaptic if not connection.closes_cycle]
    order = _order(network, forward)
    biased = {name for name, _ in network.biases} - set(on_hosts)
    # The always-on axon is a synapse too: it reaches depth 1 at the earliest.
    start = {neuron.name: int(neuron.name in biased and neuron.has_current) for neuron in network.neurons}
    depths = _depths(order, synaptic, start)
    if depths is None:
        depths = _depths(order, forward, start)
        assert depths is not None  # noqa: S101  forward connections form no cycle
    return Timing(tuple(sorted(order, key=lambda name: depths[name])), depths)


def _order(network: Network, forward: list[Connection]) -> list[str]:
    """Groups, sources first."""
    sources: dict[str, set[str]] = {neuron.name: set() for neuron in network.neurons}
    for connection in forward:
        if connection.source in sources:
            sources[connection.target].add(connection.source)
    return list(TopologicalSorter(sources).static_order())


def _depths(
    order: list[str], connections: list[Connection], start: Mapping[str, int]
) -> dict[str, int] | None:
    """The least depths, by relaxation; None where a cycle raises them without end."""
    depths = dict(start)
    into: dict[str, list[Connection]] = {}
    for connection in connections:
        into.setdefault(connection.target, []).append(connection)
    for _ in range(len(order) + 1):
        changed = False
        for name in order:
            for connection in into.get(name, ()):
                needed = depths.get(connection.source, 0) + 1 - connection.lag
                if needed > depths[name]:
                    depths[name], changed = needed, True
        if not changed:
            return depths
    return None
