"""Small graphs for docs/nir.md: one for every NIR primitive, for every topology, and for every refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import nir
import numpy as np

DT_S = 1e-3
N = 4
"""Values of a flat signal."""
IMAGE = (2, 4, 4)

Nodes = Mapping[str, Any]
Edges = Sequence[tuple[str, str]]


def graph(nodes: Nodes, edges: Edges, dt_s: float | None = DT_S) -> nir.NIRGraph:
    """A graph with its time step."""
    metadata = {} if dt_s is None else {"dt_s": dt_s}
    return nir.NIRGraph(dict(nodes), list(edges), metadata=metadata, type_check=False)


def net(edges: str, **nodes: Any) -> nir.NIRGraph:
    """A graph of edges such as ``"input>lif lif>output"``; these two need no node of their own."""
    whole = {"input": _input(), **nodes} if "input" in edges else dict(nodes)
    if "output" in edges:
        whole["output"] = nir.Output(None)
    pairs = [edge.split(">") for edge in edges.split()]
    return graph(whole, [(source, target) for source, target in pairs])


def _input(size: int = N) -> nir.Input:
    return nir.Input(np.array([size]))


def chain(*middle: Any, shape: Sequence[int] = (N,), dt_s: float | None = DT_S) -> nir.NIRGraph:
    """Input, these nodes one behind the other, Output; named by their types."""
    nodes: dict[str, Any] = {"input": nir.Input(np.array(shape))}
    for node in middle:
        base = type(node).__name__.lower()
        nodes[base if base not in nodes else f"{base}{len(nodes)}"] = node
    nodes["output"] = nir.Output(None)
    return graph(nodes, list(pairwise(nodes)), dt_s)


def lif(shape: Any = (N,), *, metadata: Any = None, **changes: Any) -> nir.LIF:
    """LIF neurons: tau 10 ms, r 1, v_th 1."""
    values = {"tau": 10e-3, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, **changes}
    fields = {name: np.broadcast_to(value, shape) * 1.0 for name, value in values.items()}
    return nir.LIF(**fields, metadata=dict(metadata or {}))


def cuba(make: Any, **more: float) -> Any:
    """CubaLIF or CubaLI neurons."""
    values = {"tau_syn": 5e-3, "tau_mem": 10e-3, "r": 1.0, "v_leak": 0.0, "w_in": 1.0, **more}
    return make(**{name: np.full(N, value) for name, value in values.items()})


def li() -> nir.LI:
    """Leaky integrators."""
    return nir.LI(np.full(N, 10e-3), np.ones(N), np.zeros(N))


def _weights(*shape: int) -> Any:
    return np.random.default_rng(0).normal(0.5, 1.0, shape)


def _matrix() -> nir.Linear:
    return nir.Linear(_weights(N, N))


def _pool(make: Any) -> nir.NIRGraph:
    window = np.array([2, 2])
    return chain(make(window, window, np.array([0, 0])), lif((2, 2, 2)), shape=IMAGE)


def _nested(levels: int, *inner: Any) -> nir.NIRGraph:
    """Graphs around nodes, as many as levels."""
    made = chain(*inner, dt_s=None)
    for _ in range(levels - 1):
        made = chain(made, dt_s=None)
    return made


PRIMITIVES: Mapping[str, Callable[[], nir.NIRGraph]] = {
    "Input": lambda: chain(lif()),
    "Output": lambda: chain(lif()),
    "Affine": lambda: chain(nir.Affine(_weights(N, N), _weights(N)), lif()),
    "Linear": lambda: chain(_matrix(), lif()),
    "Scale": lambda: chain(nir.Scale(_weights(N)), lif()),
    "Conv1d": lambda: chain(
        nir.Conv1d(4, _weights(3, 2, 3), 1, 1, 1, 1, _weights(3)), lif((3, 4)), shape=(2, 4)
    ),
    "Conv2d": lambda: chain(
        nir.Conv2d((4, 4), _weights(3, 2, 3, 3), 2, 1, 1, 1, _weights(3)), lif((3, 2, 2)), shape=IMAGE
    ),
    "SumPool2d": lambda: _pool(nir.SumPool2d),
    "AvgPool2d": lambda: _pool(nir.AvgPool2d),
    "Flatten": lambda: chain(nir.Flatten({"input": np.array(IMAGE)}, 0, -1), lif((32,)), shape=IMAGE),
    "Delay": lambda: chain(nir.Delay(np.array([0, 1, 2, 3]) * DT_S), lif()),
    "Threshold": lambda: chain(_matrix(), nir.Threshold(np.full(N, 0.5))),
    "I": lambda: chain(nir.I(np.full(N, 100.0))),
    "IF": lambda: chain(nir.IF(np.full(N, 500.0), np.ones(N), np.zeros(N))),
    "LI": lambda: chain(li()),
    "LIF": lambda: chain(lif()),
    "CubaLI": lambda: chain(cuba(nir.CubaLI)),
    "CubaLIF": lambda: chain(cuba(nir.CubaLIF, v_threshold=1.0, v_reset=0.0)),
    "NIRGraph": lambda: chain(_nested(1, _matrix(), lif())),
}
"""By the name of the class in ``nir.ir``."""


def _many_parameters() -> nir.NIRGraph:
    values = np.linspace(1, 2, N)
    return chain(
        _matrix(), lif(tau=0.01 * values, v_threshold=values, v_leak=0.1 * values, v_reset=-0.1 * values)
    )


TOPOLOGIES: Mapping[str, Callable[[], nir.NIRGraph]] = {
    "branches that meet after different numbers of groups": lambda: net(
        "input>a a>first first>second input>b b>second second>output",
        a=_matrix(), b=_matrix(), first=lif(), second=lif(),
    ),
    "a cycle of one neuron group": lambda: net(
        "input>neurons neurons>back neurons>output back>neurons", neurons=lif(), back=_matrix()
    ),
    "a cycle of one neuron group with a Delay": lambda: net(
        "input>neurons neurons>back neurons>output back>delay delay>neurons",
        neurons=lif(), back=_matrix(), delay=nir.Delay(np.full(N, 2 * DT_S)),
    ),
    "a cycle of two neuron groups": lambda: net(
        "input>first first>second second>first second>output", first=lif(), second=lif()
    ),
    "several Inputs and several Outputs": lambda: net(
        "left>first right>fc fc>first first>second first>spikes second>more",
        left=_input(), right=_input(2), fc=nir.Linear(_weights(N, 2)), first=lif(), second=lif(),
        spikes=nir.Output(None), more=nir.Output(None),
    ),
    "a graph in a graph in a graph": lambda: chain(_nested(2, lif())),
    "a delay that is no whole number of steps": lambda: chain(nir.Delay(np.full(N, 1.3 * DT_S)), lif()),
    "every neuron with its own tau, v_threshold, v_leak, v_reset": _many_parameters,
    "parameters of one value, broadcast to the neurons": lambda: chain(lif((1,))),
    "metadata reset = subtract": lambda: chain(lif(metadata={"reset": "subtract"})),
    "metadata reset = subtract, reset_delayed = true": lambda: chain(
        lif(metadata={"reset": "subtract", "reset_delayed": True})
    ),
    "metadata reset = value, reset_delayed = true": lambda: chain(
        lif(metadata={"reset": "value", "reset_delayed": True})
    ),
    "metadata reset = none": lambda: chain(lif(metadata={"reset": "none"})),
    "integrators and spiking neurons both read out": lambda: net(
        "input>li input>lif li>one lif>two", li=li(), lif=lif(), one=nir.Output(None), two=nir.Output(None)
    ),
    "LI, then Threshold: neurons without a reset": lambda: chain(li(), nir.Threshold(np.full(N, 0.2))),
    "tau = dt: no memory": lambda: chain(lif(tau=DT_S)),
    "two convolutions and a pooling between two groups": lambda: chain(
        lif(IMAGE),
        nir.Conv2d((4, 4), _weights(2, 2, 1, 1), 1, 0, 1, 1, np.zeros(2)),
        nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        nir.Conv2d((2, 2), _weights(3, 2, 2, 2), 1, 0, 1, 1, _weights(3)),
        lif((3, 1, 1)),
        shape=IMAGE,
    ),
}  # fmt: skip


class Unknown(nir.ir.NIRNode):
    """A node that NIR 1.0.8 does not have."""

    def __init__(self) -> None:
        self.input_type, self.output_type = {"input": np.array([N])}, {"output": np.array([N])}
        self.metadata: dict[str, Any] = {}


REFUSALS: Mapping[str, Callable[[], nir.NIRGraph]] = {
    "a node of another type": lambda: chain(Unknown(), lif()),
    "no time step": lambda: chain(lif(), dt_s=None),
    "tau below dt": lambda: chain(lif(tau=0.5 * DT_S)),
    "v_threshold not above v_reset": lambda: chain(lif(v_reset=1.0)),
    "an integrator whose membrane feeds neurons": lambda: chain(li(), _matrix(), lif()),
    "an Output behind a map": lambda: chain(lif(), _matrix()),
    "a group that is read twice": lambda: net(
        "input>lif lif>one lif>two", lif=lif(), one=nir.Output(None), two=nir.Output(None)
    ),
    "linear maps in a circle": lambda: net(
        "input>a a>b b>a b>lif lif>output", a=_matrix(), b=_matrix(), lif=lif()
    ),
    "a negative delay": lambda: chain(nir.Delay(np.full(N, -DT_S)), lif()),
    "a delay of 100 steps": lambda: chain(nir.Delay(np.full(N, 100 * DT_S)), lif()),
    "a delayed bias": lambda: chain(
        nir.Affine(np.eye(N), np.ones(N)), nir.Delay(np.full(N, DT_S)), lif()
    ),
    "metadata reset = other": lambda: chain(lif(metadata={"reset": "other"})),
    "reset_delayed without a reset": lambda: chain(lif(metadata={"reset": "none", "reset_delayed": True})),
    "padding 'same' with a stride": lambda: chain(
        nir.Conv2d((4, 4), _weights(2, 2, 2, 2), 2, "same", 1, 1, np.zeros(2)), lif(IMAGE), shape=IMAGE
    ),
    "graphs nested too deep": lambda: chain(_nested(6, lif())),
    "an inner graph with two Inputs": lambda: chain(
        net("a>lif b>lif lif>out", a=_input(), b=_input(), lif=lif(), out=nir.Output(None))
    ),
    "parameters of another shape": lambda: chain(lif((3,))),
}  # fmt: skip
