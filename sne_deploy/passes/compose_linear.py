"""Pass: chains of linear maps between two neuron groups become one connection and one bias.

For x = W2 (W1 s + b1) + b2 the connection is W2 W1 and the bias W2 b1 + b2. Two convolutions stay a
convolution where that is exact, borders included; otherwise the product is dense or sparse. Pooling thus
costs no neurons, and its synaptic operations are those of the composed synapse.

Delays, and edges that carry the step before, become a connection's lag; a delay that differs between its
elements splits the connection, one for each delay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.errors import GraphError, UnsupportedError
from sne_deploy.ir.network import Connection, DelayNode, LinearNode, Network
from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights, Weights

Array = npt.NDArray[Any]
_GEOMETRY = ("in_shape", "out_shape", "stride", "padding", "dilation", "groups")


@dataclass(frozen=True, eq=False)
class _Term:
    """One source's contribution on its way to a neuron: ``weights`` None is the identity."""

    source: str
    weights: Weights | None
    path: tuple[str, ...]
    lag: int = 0
    closes_cycle: bool = False


@dataclass(frozen=True)
class ComposeLinear:
    """Compose. Requires a Network with linear nodes; produces one with connections and biases only."""

    def apply(self, network: Network) -> Network:
        """Walk back from every neuron to the sources that feed it.

        Raises
        ------
        GraphError
            A neuron has no input, linear maps form a cycle, or an output is not a neuron's.
        UnsupportedError
            A bias, or a constant or graded input, passes through a delay.
        """
        paths = _Paths(network)
        connections: list[Connection] = []
        biases: list[tuple[str, Array]] = []
        for neuron in network.neurons:
            terms, bias = paths.into(neuron.name)
            if not terms:
                raise GraphError(f"student {network.name!r}: neuron group {neuron.name!r} has no input")
            connections += paths.connections(terms, neuron.name)
            if bias is not None and bool(np.any(bias != 0)):
                biases.append((neuron.name, bias))
        outputs = tuple(_output_neuron(network, output) for output in network.outputs)
        if len(set(outputs)) != len(outputs):
            raise GraphError(
                f"student {network.name!r}: outputs {', '.join(map(repr, network.outputs))} read one "
                "neuron group; leave one output"
            )
        return replace(
            network,
            outputs=outputs,
            linears=(),
            delays=(),
            edges=(),
            back_edges=frozenset(),
            connections=tuple(connections),
            biases=tuple(biases),
        )


def _output_neuron(network: Network, output: str) -> str:
    """The neuron behind an output node; a reshape in between changes nothing."""
    names = {neuron.name for neuron in network.neurons}
    linears = {linear.name: linear for linear in network.linears}
    current = output
    while True:
        sources = [source for source, target in network.edges if target == current]
        if len(sources) != 1:
            raise GraphError(
                f"student {network.name!r}: the output node {current!r} has {len(sources)} inputs, not 1"
            )
        current = sources[0]
        if current in names:
            return current
        if current not in linears or linears[current].weights is not None:
            raise GraphError(
                f"student {network.name!r}: the output must be a neuron group, but it is {current!r}; "
                "end the network with a spiking or leaky-integrator layer"
            )


class _Paths:
    """What every linear node hands on: terms of the sources behind it, and a bias."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._linears = {linear.name: linear for linear in network.linears}
        self._delays = {delay.name: delay for delay in network.delays}
        self._parts = {
            name for name, node in network.graph.nodes.items() if str(node.metadata.get("role")) == "part"
        }
        self._sources: dict[str, list[str]] = {}
        for source, target in network.edges:
            self._sources.setdefault(target, []).append(source)
        self._sizes = {neuron.name: neuron.size for neuron in network.neurons}
        self._sizes[network.input.name] = network.input.size
        self._done: dict[str, tuple[list[_Term], Array | None]] = {}
        for name in self._linear_order():
            self._done[name] = self._handed_on(name)

    def _linear_order(self) -> list[str]:
        """Linear nodes, each after those that it hears."""
        inside = self._linears.keys() | self._delays.keys()
        graph = {name: [s for s in self._sources.get(name, ()) if s in inside] for name in sorted(inside)}
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            around = ", ".join(map(repr, dict.fromkeys(error.args[1])))
            raise GraphError(
                f"student {self._network.name!r}: linear maps form a cycle ({around}); put neurons on it"
            ) from None

    def into(self, target: str) -> tuple[list[_Term], Array | None]:
        """Terms and bias that arrive at a node, one term for each source and lag."""
        merged: dict[tuple[str, int, bool], _Term] = {}
        bias: Array | None = None
        for source in self._sources.get(target, ()):
            late = int((source, target) in self._network.back_edges)
            terms, own = self._done.get(source, ([_Term(source, None, ())], None))
            bias = _add(bias, own)
            for term in terms:
                closes = term.closes_cycle or bool(late)
                key = (term.source, term.lag + late, closes)
                moved = replace(term, lag=term.lag + late, closes_cycle=closes)
                merged[key] = self._sum(merged[key], moved) if key in merged else moved
        return list(merged.values()), bias

    def _sum(self, first: _Term, second: _Term) -> _Term:
        """Two paths from one source are one synapse: its weights are their sum."""
        weights = add(self._weights(first), self._weights(second))
        return replace(first, weights=weights, path=(*first.path, *second.path))

    def _handed_on(self, name: str) -> tuple[list[_Term], Array | None]:
        terms, bias = self.into(name)
        if name in self._linears:
            return [_through(self._linears[name], term) for term in terms], _push(self._linears[name], bias)
        self._check_delayed(name, terms, bias)
        return [part for term in terms for part in self._delayed(self._delays[name], term)], bias

    def _check_delayed(self, name: str, terms: list[_Term], bias: Array | None) -> None:
        network = self._network
        kind = network.input.kind
        hosted = kind != "spikes" and any(t.source == network.input.name for t in terms)
        if not bool(np.any(self._delays[name].steps)):
            return
        if hosted or (bias is not None and bool(np.any(bias != 0))):
            what = {"current": "a constant input", "graded": "a graded input"}[kind] if hosted else "a bias"
            raise UnsupportedError(
                f"student {network.name!r}",
                [f"node {name!r} delays {what}, which would begin late; put it after the next neurons"],
            )

    def _delayed(self, delay: DelayNode, term: _Term) -> list[_Term]:
        """One term for each delay: the rows that have it."""
        path = (*term.path, delay.name)
        values = np.unique(delay.steps)
        if len(values) == 1:
            return [replace(term, path=path, lag=term.lag + int(values[0]))]
        matrix = self._weights(term).matrix()
        parts = []
        for value in values:
            kept = sparse.diags((delay.steps == value).astype(np.float64))
            part = SparseWeights(sparse.csr_matrix(kept @ matrix))
            name = (*path, str(value))
            parts.append(replace(term, weights=part, path=name, lag=term.lag + int(value)))
        return parts

    def _weights(self, term: _Term) -> Weights:
        if term.weights is not None:
            return term.weights
        return SparseWeights(sparse.identity(self._sizes[term.source], format="csr"))

    def connections(self, terms: list[_Term], target: str) -> list[Connection]:
        """Named connections; a name that two paths would share gets a number."""
        found: list[Connection] = []
        taken: set[str] = set()
        for term in terms:
            path = [name for name in term.path if name not in self._parts]
            kept = dict.fromkeys(path) if len(path) < len(term.path) else path
            base = "+".join(kept) or f"{term.source}-{target}"
            name, number = base, 2
            while name in taken:
                name, number = f"{base}.{number}", number + 1
            taken.add(name)
            weights = self._weights(term)
            found.append(Connection(name, term.source, target, weights, term.lag, term.closes_cycle))
        return found


def _through(linear: LinearNode, term: _Term) -> _Term:
    if linear.weights is None:
        return term
    weights = linear.weights if term.weights is None else compose(linear.weights, term.weights)
    return replace(term, weights=weights, path=(*term.path, linear.name))


def _push(linear: LinearNode, bias: Array | None) -> Array | None:
    if linear.weights is None or bias is None:
        return bias if linear.bias is None else _add(bias, linear.bias)
    return _add(np.asarray(linear.weights.matrix() @ bias), linear.bias)


def _add(left: Array | None, right: Array | None) -> Array | None:
    if left is None or right is None:
        return left if right is None else right
    return np.asarray(left + right)


def add(first: Weights, second: Weights) -> Weights:
    """The map first + second: a convolution where both are of one geometry, dense where one of them is."""
    if isinstance(first, ConvWeights) and isinstance(second, ConvWeights):
        same = all(getattr(first, f) == getattr(second, f) for f in _GEOMETRY)
        if same and first.kernel.shape == second.kernel.shape:
            return first.with_values(first.kernel + second.kernel)
    if isinstance(first, DenseWeights) or isinstance(second, DenseWeights):
        return DenseWeights(np.asarray((first.matrix() + second.matrix()).toarray()))
    return SparseWeights(sparse.csr_matrix(first.matrix() + second.matrix()))


def compose(outer: Weights, inner: Weights) -> Weights:
    """The map outer @ inner: a convolution where that is exact, dense where one of them is, else sparse."""
    if isinstance(outer, ConvWeights) and isinstance(inner, ConvWeights):
        return _compose_convolutions(outer, inner)
    if isinstance(outer, DenseWeights):
        return DenseWeights(np.asarray((inner.matrix().T @ outer.array.T).T))
    if isinstance(inner, DenseWeights):
        return DenseWeights(np.asarray(outer.matrix() @ inner.array))
    return SparseWeights(sparse.csr_matrix(outer.matrix() @ inner.matrix()))


def _compose_convolutions(outer: ConvWeights, inner: ConvWeights) -> Weights:
    product = sparse.csr_matrix(outer.matrix() @ inner.matrix())
    composed = ConvWeights(
        kernel=_composed_kernel(outer, inner),
        in_shape=inner.in_shape,
        out_shape=outer.out_shape,
        stride=(outer.stride[0] * inner.stride[0], outer.stride[1] * inner.stride[1]),
        padding=(
            inner.padding[0] + outer.padding[0] * inner.stride[0],
            inner.padding[1] + outer.padding[1] * inner.stride[1],
        ),
        groups=gcd(outer.groups, inner.groups),
    )
    difference = abs(composed.matrix() - product)
    largest = float(abs(product).max()) if product.nnz else 0.0
    exact = difference.nnz == 0 or float(difference.max()) <= 1e-12 * largest
    return composed if exact else SparseWeights(product)


def _composed_kernel(outer: ConvWeights, inner: ConvWeights) -> Array:
    """Kernel of the composition, shape (c_out, c_in / gcd(groups), k_h, k_w), dilation 1."""
    k_outer, k_inner = _ungrouped(outer), _ungrouped(inner)
    size = [
        (inner.kernel.shape[2 + d] - 1) * inner.dilation[d]
        + (outer.kernel.shape[2 + d] - 1) * outer.dilation[d] * inner.stride[d]
        + 1
        for d in (0, 1)
    ]
    full = np.zeros((k_outer.shape[0], k_inner.shape[1], *size))
    for i in range(k_outer.shape[2]):
        for j in range(k_outer.shape[3]):
            for k in range(k_inner.shape[2]):
                for m in range(k_inner.shape[3]):
                    y = i * outer.dilation[0] * inner.stride[0] + k * inner.dilation[0]
                    x = j * outer.dilation[1] * inner.stride[1] + m * inner.dilation[1]
                    full[:, :, y, x] += k_outer[:, :, i, j] @ k_inner[:, :, k, m]
    groups = gcd(outer.groups, inner.groups)
    c_out, c_in = full.shape[0] // groups, full.shape[1] // groups
    blocks = [full[g * c_out : (g + 1) * c_out, g * c_in : (g + 1) * c_in] for g in range(groups)]
    return np.concatenate(blocks)


def _ungrouped(conv: ConvWeights) -> Array:
    """The kernel with its groups written out as zeros: (c_out, c_in, k_h, k_w)."""
    each, last = conv.kernel.shape[1], conv.groups - 1
    blocks = np.split(conv.kernel, conv.groups)
    beside = [((0, 0), (g * each, (last - g) * each), (0, 0), (0, 0)) for g in range(conv.groups)]
    return np.concatenate([np.pad(block, zeros) for block, zeros in zip(blocks, beside, strict=True)])
