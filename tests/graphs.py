"""Random NIR graphs: every primitive, branches, cycles, several inputs and outputs, nested graphs.

Weights are multiples of 1/16 and decays powers of two, so that sums in float64 are exact wherever no
time constant of another value is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from hypothesis import strategies as st

DT_S = 1e-3
Shape = tuple[int, ...]
SHAPES: tuple[Shape, ...] = ((3,), (5,), (2, 4), (1, 4, 4), (2, 3, 4))
SEPARATORS = (".", "_", " ", "-", "")


@dataclass(frozen=True)
class Options:
    """What a random graph may have.

    ``nested``: levels of graphs in graphs. ``readouts``: leaky integrators before an output; never elsewhere,
    since what they give is no spike. ``bare``: an input or a linear map may lead straight to an output.
    """

    nodes: int = 7
    inputs: int = 2
    outputs: int = 2
    nested: int = 1
    cycles: bool = True
    delays: bool = True
    resets: bool = True
    readouts: bool = True
    metadata: bool = True
    bare: bool = False
    dtypes: tuple[str, ...] = ("f8", "f4")


@st.composite
def random_graphs(draw: Any, options: Options | None = None, **changes: Any) -> nir.NIRGraph:
    """Valid, small graphs, without input and output types set; ``metadata["dt_s"]`` is :data:`DT_S`.

    Keyword arguments are fields of :class:`Options`. Every node is reached from an input; every cycle has
    spiking neurons; some nodes lead nowhere.
    """
    chosen = Options(**{**vars(options or Options()), **changes})
    graph = _Builder(draw, chosen).graph()
    graph.metadata["dt_s"] = DT_S
    return graph


@dataclass(frozen=True)
class _Signal:
    """What a node gives; ``spiking`` where it can only be the spikes of neurons, perhaps delayed."""

    name: str
    shape: Shape
    spiking: bool


class _Builder:
    """Grows one graph; ``nodes`` and ``edges`` are what it has."""

    def __init__(self, draw: Any, options: Options) -> None:
        self.draw, self.options = draw, options
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.signals: list[_Signal] = []
        self.entered: dict[str, Shape] = {}

    def pick(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def graph(self) -> nir.NIRGraph:
        for _ in range(self.draw(st.integers(1, self.options.inputs))):
            self.add_input(self.pick(*SHAPES))
        for _ in range(self.draw(st.integers(1, self.options.nodes))):
            self.grow(self.pick(*self.signals))
        if self.options.cycles and self.pick(False, True):
            self.close_cycle()
        for _ in range(self.draw(st.integers(1, self.options.outputs))):
            self.add_output()
        return self.finished()

    def inner(self, shape: Shape) -> tuple[nir.NIRGraph, _Signal]:
        """A graph with one input of this shape and one output, and the signal that leaves it."""
        self.add_input(shape)
        for _ in range(self.draw(st.integers(0, 3))):
            self.grow(self.signals[-1])
        if self.options.cycles and self.pick(False, True):
            self.close_cycle()
        last = self.signals[-1]
        self.add("output", nir.Output(np.array(last.shape)), last)
        return self.finished(), last

    def finished(self) -> nir.NIRGraph:
        names = self.draw(st.permutations(list(self.nodes)))
        edges = self.draw(st.permutations(self.edges))
        metadata = {"made": "at random", "size": len(names)} if self.options.metadata else {}
        nodes = {name: self.nodes[name] for name in names}
        return nir.NIRGraph(nodes, list(edges), metadata=metadata, type_check=False)

    def add_input(self, shape: Shape) -> None:
        name = self.name("input")
        self.nodes[name] = nir.Input(np.array(shape))
        self.signals.append(_Signal(name, shape, spiking=False))

    def add_output(self) -> None:
        spiking = [s for s in self.signals if s.spiking or self.options.bare]
        readout = self.options.readouts and self.pick(False, True)
        if readout or not spiking:
            source = self.pick(*self.signals)
            signal = self.neurons(source, self.pick("LI", "CubaLI", "I") if readout else "LIF")
            self.signals.remove(signal)
        else:
            signal = self.pick(*spiking)
        if len(signal.shape) > 1 and self.pick(False, True):
            flat = nir.Flatten({"input": np.array(signal.shape)}, 0, -1)
            shape = (int(np.prod(signal.shape)),)
            signal = _Signal(self.add("flat", flat, signal), shape, signal.spiking)
        self.add("output", nir.Output(np.array(signal.shape)), signal)

    def grow(self, source: _Signal) -> None:
        """Add one node after a signal, and perhaps a second edge into it."""
        axes = len(source.shape)
        kinds = ["LIF", "CubaLIF", "IF", "Threshold", "Scale"]
        kinds += ["Linear", "Affine"] if axes == 1 else ["Flatten"]
        kinds += ["Conv1d"] if axes == 2 else ["Conv2d", "SumPool2d", "AvgPool2d"] if axes == 3 else []
        kinds += ["Delay"] if self.options.delays else []
        kinds += ["NIRGraph"] if self.options.nested else []
        kind = self.pick(*kinds)
        signal = self.neurons(source, kind) if kind in _NEURONS else getattr(self, kind.lower())(source)
        others = [s for s in self.signals if s.shape == source.shape and s not in (source, signal)]
        if others and self.pick(False, False, True):
            self.edges.append((self.pick(*others).name, signal.name))

    def close_cycle(self) -> None:
        """Lead spiking neurons back to a node, through a matrix where their shapes differ."""
        sources = [
            s for s in self.signals if s.spiking and isinstance(self.nodes[s.name], (nir.LIF, nir.CubaLIF))
        ]
        if not sources:
            return
        source = self.pick(*sources)
        target, shape = self.pick(*self.entered.items())
        if shape == source.shape and (source.name, target) not in self.edges and self.pick(False, True):
            self.edges.append((source.name, target))
        elif len(shape) == len(source.shape) == 1:
            back = nir.Linear(self.values((shape[0], source.shape[0])))
            self.edges.append((self.add("back", back, source), target))

    def add(self, base: str, node: Any, source: _Signal) -> str:
        name = self.name(base)
        self.nodes[name] = node
        self.edges.append((source.name, name))
        if not isinstance(node, nir.Output):
            self.entered[name] = source.shape
        if self.options.metadata and self.pick(False, False, True):
            node.metadata = {**node.metadata, "note": f"of {base}", "more": {"numbers": np.arange(3)}}
        return name

    def name(self, base: str) -> str:
        count = len(self.nodes)
        wanted = self.pick(base, f"{base}{self.pick(*SEPARATORS)}{count}", f"b{count}.{base}")
        return f"{wanted}.{count}" if wanted in self.nodes else str(wanted)

    def signal(self, base: str, node: Any, source: _Signal, shape: Shape, *, spiking: bool) -> _Signal:
        made = _Signal(self.add(base, node, source), shape, spiking)
        self.signals.append(made)
        return made

    def neurons(self, source: _Signal, kind: str) -> _Signal:
        make, fields = _NEURONS[kind]
        values = {"r" if name == "rate" else name: self.parameter(name, source.shape) for name in fields}
        metadata = self.reset(values) if self.options.resets and kind in ("LIF", "CubaLIF", "IF") else {}
        node = make(**values, metadata=metadata)
        return self.signal(
            kind.lower(), node, source, source.shape, spiking=kind not in ("LI", "CubaLI", "I")
        )

    def parameter(self, field: str, shape: Shape) -> np.ndarray:
        """One value for all neurons, or one for each."""
        values = np.asarray(_CHOICES[field], dtype=self.pick(*self.options.dtypes))
        if self.pick(False, True):
            return self.rng.choice(values, shape)
        return np.full(shape, self.rng.choice(values))

    def reset(self, values: dict[str, np.ndarray]) -> dict[str, Any]:
        choice = self.pick("", "", "value", "subtract", "delayed", "none", "later")
        if choice == "delayed":
            tau = values.get("tau", values.get("tau_mem"))
            late = tau is None or bool(np.all(tau > 1.5 * DT_S))
            return {"reset": "subtract", "reset_delayed": late}
        if choice == "later":
            return {"reset": "value", "reset_delayed": True}
        return {"reset": choice} if choice else {}

    def values(self, shape: Shape) -> np.ndarray:
        weights = self.rng.integers(-8, 17, shape) / 16.0 * (self.rng.random(shape) < 0.8)
        return weights.astype(self.pick(*self.options.dtypes))

    def linear(self, source: _Signal) -> _Signal:
        size = self.pick(2, 3, 5)
        return self.signal(
            "fc", nir.Linear(self.values((size, *source.shape))), source, (size,), spiking=False
        )

    def affine(self, source: _Signal) -> _Signal:
        size = self.pick(2, 3, 5)
        node = nir.Affine(self.values((size, *source.shape)), self.values((size,)))
        return self.signal("affine", node, source, (size,), spiking=False)

    def scale(self, source: _Signal) -> _Signal:
        return self.signal("scale", nir.Scale(self.values(source.shape)), source, source.shape, spiking=False)

    def delay(self, source: _Signal) -> _Signal:
        steps = self.rng.integers(0, 4, source.shape) if self.pick(False, True) else np.full(source.shape, 1)
        node = nir.Delay((steps * DT_S).astype(self.pick(*self.options.dtypes)))
        return self.signal("delay", node, source, source.shape, spiking=source.spiking)

    def flatten(self, source: _Signal) -> _Signal:
        axes = len(source.shape)
        start = self.pick(*range(axes - 1))
        end = self.pick(*range(start + 1, axes))
        shape = (
            *source.shape[:start], int(np.prod(source.shape[start : end + 1])), *source.shape[end + 1 :]
        )  # fmt: skip
        end = self.pick(end, end - axes)
        node = nir.Flatten({"input": np.array(source.shape)}, start, end)
        return self.signal("flat", node, source, shape, spiking=source.spiking)

    def conv1d(self, source: _Signal) -> _Signal:
        channels, length = source.shape
        groups = self.pick(*(g for g in (1, channels) if channels % g == 0))
        out, kernel, stride, padding = (
            groups * self.pick(1, 2),
            self.pick(1, 2),
            self.pick(1, 2),
            self.pick(0, 1),
        )
        size = (length + 2 * padding - kernel) // stride + 1
        node = nir.Conv1d(
            self.pick(None, length), self.values((out, channels // groups, kernel)), stride, padding, 1,
            groups, self.values((out,)),
        )  # fmt: skip
        return self.signal("conv", node, source, (out, size), spiking=False)

    def conv2d(self, source: _Signal) -> _Signal:
        channels, *sizes = source.shape
        groups = self.pick(*(g for g in (1, channels) if channels % g == 0))
        out = groups * self.pick(1, 2)
        kernel, stride = self.pick((1, 1), (2, 2), (3, 2), (1, 3)), self.pick((1, 1), (2, 1))
        padding, dilation = self.pick((0, 0), (1, 0), (1, 1)), self.pick((1, 1), (1, 1), (2, 1))
        shape = [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(sizes, kernel, stride, padding, dilation, strict=True)
        ]
        if min(shape) < 1:
            dilation, kernel, shape, stride, padding = (1, 1), (1, 1), sizes, (1, 1), (0, 0)
        node = nir.Conv2d(
            self.pick(None, tuple(sizes)), self.values((out, channels // groups, *kernel)), stride, padding,
            dilation, groups, self.values((out,)),
        )  # fmt: skip
        return self.signal("conv", node, source, (out, *shape), spiking=False)

    def sumpool2d(self, source: _Signal) -> _Signal:
        return self.pool(nir.SumPool2d, source)

    def avgpool2d(self, source: _Signal) -> _Signal:
        return self.pool(nir.AvgPool2d, source)

    def pool(self, make: Any, source: _Signal) -> _Signal:
        channels, *sizes = source.shape
        kernel, stride, padding = (
            self.pick((1, 1), (2, 2), (2, 1)),
            self.pick((1, 1), (2, 2)),
            self.pick((0, 0), (1, 0)),
        )
        shape = [
            max(1, (n + 2 * p - k) // s + 1)
            for n, k, s, p in zip(sizes, kernel, stride, padding, strict=True)
        ]
        if any(n + 2 * p < k for n, k, p in zip(sizes, kernel, padding, strict=True)):
            kernel, stride, padding, shape = (1, 1), (1, 1), (0, 0), sizes
        node = make(np.array(kernel), np.array(stride), np.array(padding))
        return self.signal("pool", node, source, (channels, *shape), spiking=False)

    def nirgraph(self, source: _Signal) -> _Signal:
        options = Options(**{**vars(self.options), "nested": self.options.nested - 1})
        graph, last = _Builder(self.draw, options).inner(source.shape)
        return self.signal("block", graph, source, last.shape, spiking=last.spiking)


_FIRES = ("v_threshold", "v_reset")
_CUBA = ("tau_syn", "tau_mem", "r", "v_leak", "w_in")
_NEURONS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "LIF": (nir.LIF, ("tau", "r", "v_leak", *_FIRES)),
    "CubaLIF": (nir.CubaLIF, (*_CUBA, *_FIRES)),
    "IF": (nir.IF, ("rate", *_FIRES)),
    "LI": (nir.LI, ("tau", "r", "v_leak")),
    "CubaLI": (nir.CubaLI, _CUBA),
    "I": (nir.I, ("rate",)),
    "Threshold": (nir.Threshold, ("threshold",)),
}
_CHOICES: dict[str, tuple[float, ...]] = {
    "tau": (DT_S, 2 * DT_S, 4 * DT_S, 10 * DT_S),
    "tau_mem": (DT_S, 2 * DT_S, 4 * DT_S, 10 * DT_S),
    "tau_syn": (DT_S, 2 * DT_S, 4 * DT_S, 5 * DT_S),
    "r": (1.0, 2.0, 4.0),
    "rate": (1 / DT_S, 0.5 / DT_S),
    "w_in": (1.0, 2.0, 4.0),
    "v_leak": (0.0, 0.0, 0.0625, -0.125),
    "v_reset": (0.0, 0.0, -0.25, 0.125),
    "v_threshold": (0.25, 0.5, 1.0),
    "threshold": (0.0, 0.25, 0.5),
}


def assert_same_graph(a: nir.NIRGraph, b: nir.NIRGraph) -> None:
    """The same nodes, with the same values of the same types, edges and metadata; inner graphs too."""
    assert set(a.nodes) == set(b.nodes)
    assert sorted(a.edges) == sorted(b.edges)
    np.testing.assert_equal(a.metadata, b.metadata)
    for name, node in a.nodes.items():
        other = b.nodes[name]
        assert type(node) is type(other), name
        if isinstance(node, nir.NIRGraph):
            assert_same_graph(node, other)
            continue
        for field, value in vars(node).items():
            if field in ("input_type", "output_type") and not isinstance(node, (nir.Input, nir.Output)):
                continue
            np.testing.assert_equal(getattr(other, field), value, f"{name}.{field}")
            if isinstance(value, np.ndarray):
                assert getattr(other, field).dtype == value.dtype, f"{name}.{field}"
