"""Pass: chains of linear maps between two neuron groups become one connection and one bias.

For x = W2 (W1 s + b1) + b2 the connection is W2 W1 and the bias W2 b1 + b2. Two convolutions stay a
convolution where that is exact, borders included; otherwise the product is dense or sparse. Pooling thus
costs no neurons, and its synaptic operations are those of the composed synapse.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.errors import GraphError
from sne_deploy.ir.network import Connection, LinearNode, Network
from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights, Weights

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class _Term:
    """One source's contribution on its way to a neuron: ``weights`` None is the identity."""

    source: str
    weights: Weights | None
    path: tuple[str, ...]


@dataclass(frozen=True)
class ComposeLinear:
    """Compose. Requires a Network with linear nodes; produces one with connections and biases only."""

    def apply(self, network: Network) -> Network:
        """Walk back from every neuron to the sources that feed it.

        Raises
        ------
        GraphError
            A neuron has no input, linear maps form a cycle, or the output is not a neuron's.
        """
        connections: list[Connection] = []
        biases: list[tuple[str, Array]] = []
        sizes = {neuron.name: neuron.size for neuron in network.neurons} | {
            network.input.name: network.input.size
        }
        for neuron in network.neurons:
            terms, bias = _gather(network, neuron.name, frozenset())
            if not terms:
                raise GraphError(f"student {network.student!r}: neuron group {neuron.name!r} has no input")
            for term in terms:
                weights = term.weights or SparseWeights(sparse.identity(sizes[term.source], format="csr"))
                name = "+".join(term.path) or f"{term.source}-{neuron.name}"
                connections.append(Connection(name, term.source, neuron.name, weights))
            if bias is not None and bool(np.any(bias != 0)):
                biases.append((neuron.name, bias))
        return replace(
            network,
            output=_output_neuron(network),
            linears=(),
            edges=(),
            connections=tuple(connections),
            biases=tuple(biases),
        )


def _output_neuron(network: Network) -> str:
    """The neuron behind the output node; a reshape in between changes nothing."""
    names = {neuron.name for neuron in network.neurons}
    linears = {linear.name: linear for linear in network.linears}
    current = network.output
    while True:
        sources = [source for source, target in network.edges if target == current]
        if len(sources) != 1:
            raise GraphError(
                f"student {network.student!r}: the output node {current!r} has {len(sources)} inputs, not 1"
            )
        current = sources[0]
        if current in names:
            return current
        if current not in linears or linears[current].weights is not None:
            raise GraphError(
                f"student {network.student!r}: the output must be a neuron group, but it is {current!r}; "
                "end the network with a spiking or leaky-integrator layer"
            )


def _gather(network: Network, target: str, seen: frozenset[str]) -> tuple[list[_Term], Array | None]:
    """Terms and bias of everything that feeds ``target``."""
    linears = {linear.name: linear for linear in network.linears}
    terms: list[_Term] = []
    bias: Array | None = None
    for source, end in network.edges:
        if end != target:
            continue
        if source not in linears:
            terms.append(_Term(source, None, ()))
            continue
        if source in seen:
            raise GraphError(f"student {network.student!r}: linear maps form a cycle at {source!r}")
        inner, inner_bias = _gather(network, source, seen | {source})
        terms.extend(_through(linears[source], term) for term in inner)
        bias = _add(bias, _push(linears[source], inner_bias))
    return terms, bias


def _through(linear: LinearNode, term: _Term) -> _Term:
    if linear.weights is None:
        return term
    weights = linear.weights if term.weights is None else compose(linear.weights, term.weights)
    return _Term(term.source, weights, (*term.path, linear.name))


def _push(linear: LinearNode, bias: Array | None) -> Array | None:
    if linear.weights is None or bias is None:
        return bias if linear.bias is None else _add(bias, linear.bias)
    return _add(np.asarray(linear.weights.matrix() @ bias), linear.bias)


def _add(left: Array | None, right: Array | None) -> Array | None:
    if left is None or right is None:
        return left if right is None else right
    return np.asarray(left + right)


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
    c_out, c_in_group, k_h, k_w = conv.kernel.shape
    full = np.zeros((c_out, c_in_group * conv.groups, k_h, k_w))
    per_group = c_out // conv.groups
    for g in range(conv.groups):
        rows = slice(g * per_group, (g + 1) * per_group)
        full[rows, g * c_in_group : (g + 1) * c_in_group] = conv.kernel[rows]
    return full
