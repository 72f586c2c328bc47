"""In which order a graph's nodes are computed within a step, and which edges carry the last step's value.

NIR is continuous in time and says neither. A cycle needs one edge whose value is that of the step before;
here that is the edge that closes the cycle in a depth-first walk from the inputs. The walk takes nodes in the
order of their names, so the order in which a file lists its edges changes nothing. For the usual recurrent
cell, neurons -> matrix -> the same neurons, it is the matrix's edge into the neurons: spikes of step t - 1
arrive at step t.
"""

from __future__ import annotations

from dataclasses import dataclass

import nir

Edge = tuple[str, str]


@dataclass(frozen=True)
class Topology:
    """Order and back edges of a graph.

    Attributes
    ----------
    order : tuple of str
        Every node; the source of an edge that is no back edge comes before its target.
    back_edges : frozenset of (str, str)
        Edges whose value is that of the step before. At a sample's first step it is what their source gives
        where no neuron has spiked: zero, or the biases of linear maps.
    """

    order: tuple[str, ...]
    back_edges: frozenset[Edge]


def execution_order(graph: nir.NIRGraph) -> Topology:
    """Order the nodes of a flat graph; see the module's text.

    Parameters
    ----------
    graph : nir.NIRGraph
        Every edge names nodes of it; it is not changed.
    """
    successors: dict[str, list[str]] = {str(name): [] for name in graph.nodes}
    for source, target in sorted({(str(a), str(b)) for a, b in graph.edges}, reverse=True):
        successors[source].append(target)
    inputs = sorted(str(name) for name, node in graph.nodes.items() if isinstance(node, nir.Input))
    finished: list[str] = []
    back: set[Edge] = set()
    state: dict[str, int] = {}
    for root in [*inputs, *sorted(successors)]:
        _walk(root, successors, state, finished, back)
    return Topology(tuple(reversed(finished)), frozenset(back))


_OPEN, _DONE = 1, 2


def _walk(
    root: str, successors: dict[str, list[str]], state: dict[str, int], finished: list[str], back: set[Edge]
) -> None:
    """Depth first from one node, without recursion: graphs may be deep."""
    if root in state:
        return
    state[root] = _OPEN
    path = [(root, list(successors[root]))]
    while path:
        name, waiting = path[-1]
        if not waiting:
            state[name] = _DONE
            finished.append(name)
            path.pop()
            continue
        target = waiting.pop()
        if target not in state:
            state[target] = _OPEN
            path.append((target, list(successors[target])))
        elif state[target] == _OPEN:
            back.add((name, target))
