"""Pass: NIR graph -> Network. Time constants become fractions per step; every map becomes weights.

A NIR node is integrated as NIR defines it, with forward Euler at dt: I <- I + b (w_in S - I), then v with
the *new* I, where a = dt / tau_mem and b = dt / tau_syn must lie in (0, 1]::

    CubaLIF, CubaLI   u = a r I      gain = a b r w_in
    LIF, LI           u = a r x      gain = a r,  b = 1
    IF                u = dt r x     gain = dt r, a = 0, b = 1

State starts at v_leak (IF: at v_reset). Not modelled: Threshold, Delay, I, nested graphs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
import numpy.typing as npt
from scipy import sparse

from sne_deploy.ensembles import Readout
from sne_deploy.errors import GraphError, UnsupportedError
from sne_deploy.ir.network import LinearNode, Network, NeuronKind, NeuronNode
from sne_deploy.ir.program import ProgramInput
from sne_deploy.ir.weights import ConvWeights, DenseWeights, SparseWeights

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class LowerNir:
    """Make time discrete. Requires a validated graph; produces a Network with linear nodes and edges."""

    student: str
    input: ProgramInput
    readout: Readout
    timesteps: int

    def apply(self, graph: nir.NIRGraph) -> Network:
        """Lower every node.

        Raises
        ------
        UnsupportedError
            Lists every node of an unknown type.
        GraphError
            dt is missing, shapes do not chain, or a fraction lies outside (0, 1].
        """
        from sne_deploy.frontend.shapes import graph_shapes

        dt_s = _dt_s(graph, self.student)
        shapes = graph_shapes(graph, self.input.shape)
        source_of = {target: source for source, target in graph.edges}
        neurons: list[NeuronNode] = []
        linears: list[LinearNode] = []
        unknown: list[str] = []
        for name, node in graph.nodes.items():
            if isinstance(node, (nir.Input, nir.Output)):
                continue
            if type(node) in _NEURONS:
                neurons.append(_NEURONS[type(node)](name, node, shapes[name], dt_s))
            elif type(node) in _LINEARS:
                in_shape = shapes[source_of[name]]
                linears.append(_LINEARS[type(node)](name, node, in_shape, shapes[name]))
            else:
                unknown.append(f"node {name!r} of type {type(node).__name__}")
        if unknown:
            raise UnsupportedError(f"student {self.student!r}: cannot be compiled", unknown)
        input_name, output_name = _ends(graph, self.student)
        return Network(
            student=self.student,
            input=ProgramInput(input_name, self.input.shape, self.input.kind, self.input.range),
            output=output_name,
            readout=self.readout,
            timesteps=self.timesteps,
            dt_s=dt_s,
            graph=graph,
            neurons=tuple(neurons),
            linears=tuple(linears),
            edges=tuple((str(a), str(b)) for a, b in graph.edges),
        )


def _dt_s(graph: nir.NIRGraph, student: str) -> float:
    value = graph.metadata.get("dt_s")
    if value is None:
        raise GraphError(
            f"student {student!r}: the graph names no time step (NIR has none); give one in seconds: "
            "--dt-s, dt_s=, or 'dt_s' in the graph's metadata"
        )
    dt_s = float(value)
    if not (np.isfinite(dt_s) and dt_s > 0):
        raise GraphError(f"student {student!r}: dt_s {dt_s} must be a positive number of seconds")
    return dt_s


def _ends(graph: nir.NIRGraph, student: str) -> tuple[str, str]:
    inputs = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    outputs = [name for name, node in graph.nodes.items() if isinstance(node, nir.Output)]
    if len(inputs) != 1 or len(outputs) != 1:
        raise UnsupportedError(
            f"student {student!r}",
            [f"{len(inputs)} inputs and {len(outputs)} outputs; exactly one of each is supported"],
        )
    return inputs[0], outputs[0]


def _fraction(name: str, what: str, tau_s: Array, dt_s: float) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        fraction = dt_s / np.asarray(tau_s, dtype=np.float64)
    if not bool(np.all((fraction > 0) & (fraction <= 1.0 + 1e-12))):
        worst = float(fraction[~((fraction > 0) & (fraction <= 1.0 + 1e-12))].flat[0])
        raise GraphError(
            f"node {name!r}: dt/{what} is {worst:g}, outside (0, 1]; give {what} of at least dt = {dt_s:g} s"
        )
    return np.minimum(fraction, 1.0)


def _flat(value: Array | float, size: int) -> Array:
    """float64, shape () where all equal, else (n,)."""
    flat = np.broadcast_to(np.asarray(value, dtype=np.float64), np.shape(value)).reshape(-1)
    if flat.size == 1 or bool(np.all(flat == flat[0])):
        return np.asarray(flat[0])
    if flat.size != size:
        raise GraphError(f"a parameter has {flat.size} values for {size} neurons")
    return flat.copy()


def _neuron(
    name: str,
    kind: NeuronKind,
    shape: Shape,
    *,
    a: Array,
    b: Array,
    gain: Array,
    leak: Array,
    th: Array,
    reset: Array,
) -> NeuronNode:
    size = int(np.prod(shape))
    a, b, gain, leak, th, reset = (_flat(value, size) for value in (a, b, gain, leak, th, reset))
    return NeuronNode(name, kind, shape, a=a, b=b, gain=gain, v_leak=leak, v_th=th, v_reset=reset)


_ONE = np.asarray(1.0)
_ZERO = np.asarray(0.0)


def _lif(name: str, node: nir.LIF, shape: Shape, dt_s: float) -> NeuronNode:
    a = _fraction(name, "tau", node.tau, dt_s)
    return _neuron(
        name,
        "lif",
        shape,
        a=a,
        b=_ONE,
        gain=a * node.r,
        leak=node.v_leak,
        th=node.v_threshold,
        reset=node.v_reset,
    )


def _cuba_lif(name: str, node: nir.CubaLIF, shape: Shape, dt_s: float) -> NeuronNode:
    a = _fraction(name, "tau_mem", node.tau_mem, dt_s)
    b = _fraction(name, "tau_syn", node.tau_syn, dt_s)
    gain = a * node.r * (b * node.w_in)
    return _neuron(
        name,
        "cuba_lif",
        shape,
        a=a,
        b=b,
        gain=gain,
        leak=node.v_leak,
        th=node.v_threshold,
        reset=node.v_reset,
    )


def _li(name: str, node: nir.LI, shape: Shape, dt_s: float) -> NeuronNode:
    a = _fraction(name, "tau", node.tau, dt_s)
    return _neuron(
        name, "li", shape, a=a, b=_ONE, gain=a * node.r, leak=node.v_leak, th=_ZERO, reset=node.v_leak
    )


def _cuba_li(name: str, node: nir.CubaLI, shape: Shape, dt_s: float) -> NeuronNode:
    a = _fraction(name, "tau_mem", node.tau_mem, dt_s)
    b = _fraction(name, "tau_syn", node.tau_syn, dt_s)
    gain = a * node.r * (b * node.w_in)
    return _neuron(name, "cuba_li", shape, a=a, b=b, gain=gain, leak=node.v_leak, th=_ZERO, reset=node.v_leak)


def _if(name: str, node: nir.IF, shape: Shape, dt_s: float) -> NeuronNode:
    return _neuron(
        name,
        "if",
        shape,
        a=_ZERO,
        b=_ONE,
        gain=dt_s * node.r,
        leak=node.v_reset,
        th=node.v_threshold,
        reset=node.v_reset,
    )


def _affine(name: str, node: nir.Affine, _in_shape: Shape, _out_shape: Shape) -> LinearNode:
    weights = DenseWeights(np.asarray(node.weight, dtype=np.float64))
    return LinearNode(name, weights, np.asarray(node.bias, dtype=np.float64).reshape(-1))


def _linear(name: str, node: nir.Linear, _in_shape: Shape, _out_shape: Shape) -> LinearNode:
    return LinearNode(name, DenseWeights(np.asarray(node.weight, dtype=np.float64)), None)


def _scale(name: str, node: nir.Scale, in_shape: Shape, _out_shape: Shape) -> LinearNode:
    diagonal = np.broadcast_to(np.asarray(node.scale, dtype=np.float64), in_shape).reshape(-1)
    return LinearNode(name, SparseWeights(sparse.csr_matrix(sparse.diags(diagonal))), None)


def _pair(value: Any) -> tuple[int, int]:
    flat = np.asarray(value).reshape(-1)
    return (int(flat[0]), int(flat[-1]))


def _conv2d(name: str, node: nir.Conv2d, in_shape: Shape, out_shape: Shape) -> LinearNode:
    weights = ConvWeights(
        kernel=np.asarray(node.weight, dtype=np.float64),
        in_shape=(in_shape[0], in_shape[1], in_shape[2]),
        out_shape=(out_shape[0], out_shape[1], out_shape[2]),
        stride=_pair(node.stride),
        padding=_pair(node.padding),
        dilation=_pair(node.dilation),
        groups=int(node.groups),
    )
    return LinearNode(name, weights, _per_channel(node.bias, out_shape))


def _conv1d(name: str, node: nir.Conv1d, in_shape: Shape, out_shape: Shape) -> LinearNode:
    weights = ConvWeights(
        kernel=np.asarray(node.weight, dtype=np.float64)[:, :, None, :],
        in_shape=(in_shape[0], 1, in_shape[1]),
        out_shape=(out_shape[0], 1, out_shape[1]),
        stride=(1, _pair(node.stride)[0]),
        padding=(0, _pair(node.padding)[0]),
        dilation=(1, _pair(node.dilation)[0]),
        groups=int(node.groups),
    )
    return LinearNode(name, weights, _per_channel(node.bias, out_shape))


def _per_channel(bias: Array, out_shape: Shape) -> Array:
    return np.repeat(np.asarray(bias, dtype=np.float64).reshape(-1), int(np.prod(out_shape[1:])))


def _pool(name: str, node: nir.AvgPool2d | nir.SumPool2d, in_shape: Shape, out_shape: Shape) -> LinearNode:
    kernel_size = _pair(node.kernel_size)
    tap = 1.0 / (kernel_size[0] * kernel_size[1]) if isinstance(node, nir.AvgPool2d) else 1.0
    weights = ConvWeights(
        kernel=np.full((in_shape[0], 1, *kernel_size), tap),
        in_shape=(in_shape[0], in_shape[1], in_shape[2]),
        out_shape=(out_shape[0], out_shape[1], out_shape[2]),
        stride=_pair(node.stride),
        padding=_pair(node.padding),
        groups=in_shape[0],
    )
    return LinearNode(name, weights, None)


def _flatten(name: str, _node: nir.Flatten, _in_shape: Shape, _out_shape: Shape) -> LinearNode:
    return LinearNode(name, None, None)


_NEURONS: dict[type, Callable[[str, Any, Shape, float], NeuronNode]] = {
    nir.LIF: _lif,
    nir.CubaLIF: _cuba_lif,
    nir.LI: _li,
    nir.CubaLI: _cuba_li,
    nir.IF: _if,
}
_LINEARS: dict[type, Callable[[str, Any, Shape, Shape], LinearNode]] = {
    nir.Affine: _affine,
    nir.Linear: _linear,
    nir.Scale: _scale,
    nir.Conv1d: _conv1d,
    nir.Conv2d: _conv2d,
    nir.AvgPool2d: _pool,
    nir.SumPool2d: _pool,
    nir.Flatten: _flatten,
}
