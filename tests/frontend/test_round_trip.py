"""Norse -> layers -> NIR -> file -> NIR -> layers -> Norse gives the same outputs."""

import norse.torch as norse
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sne_deploy.frontend.nir.file import read_nir, write_nir
from sne_deploy.frontend.norse.build import module_from_layers
from sne_deploy.frontend.norse.export import export_student
from sne_deploy.frontend.norse.modules import layers_from_module
from sne_deploy.model.ensemble import Layer, Student
from sne_deploy.model.layers.registry import LAYER_KINDS, check_stack
from sne_deploy.model.layers.skips import SKIPS
from sne_deploy.neurons.table import CELLS
from tests.graph_layers import layers_from_graph
from tests.norse_oracle import run_module

F64 = torch.float64
DT = 0.0025


def t(*values):
    return torch.tensor(values[0] if len(values) == 1 else values, dtype=F64)


def lif(n=None):
    v_th = t(0.3) if n is None else torch.linspace(0.2, 0.9, n, dtype=F64)
    p = norse.LIFParameters(t(130.0), t(171.0), t(0.125), v_th, t(-0.25), "tanh", t(7.0))
    return norse.LIFCell(p, dt=DT)


def lif_box(n=None, reset=norse.reset_value):
    tau = t(210.0) if n is None else torch.linspace(50.0, 390.0, n, dtype=F64)
    p = norse.LIFBoxParameters(tau, t(0.11), t(0.35), t(-0.4), "triangle", t(3.0), reset)
    return norse.LIFBoxCell(p, dt=DT)


def recurrent(n_in, n_out, autapses=False):
    p = norse.LIFParameters(t(130.0), t(171.0), t(0.125), t(0.3), t(-0.25), "super", t(7.0))
    weights = {
        "input_weights": torch.randn(n_out, n_in, dtype=F64),
        "recurrent_weights": torch.randn(n_out, n_out, dtype=F64),
    }
    return norse.LIFRecurrentCell(n_in, n_out, p, autapses=autapses, dt=DT, **weights)


def norm(layer):
    with torch.no_grad():
        for tensor in (layer.running_mean, layer.weight, layer.bias):
            if tensor is not None:
                tensor.normal_()
        layer.running_var.uniform_(0.3, 2.0)
    return layer


D = {"dtype": F64}
CASES = {
    "LIFCell": ((5,), lambda: [lif()]),
    "LIFCell per neuron": ((5,), lambda: [lif(5)]),
    "LIFBoxCell": ((5,), lambda: [lif_box()]),
    "LIFBoxCell that subtracts": ((5,), lambda: [lif_box(5, norse.reset_subtract)]),
    "LIFBoxCell per neuron on a map": ((2, 3, 4), lambda: [lif_box(4)]),
    "LICell": ((4,), lambda: [lif(), norse.LICell(norse.LIParameters(t(70.0), t(33.0), t(0.2)), dt=DT)]),
    "LIBoxCell": ((4,), lambda: [norse.LIBoxCell(norse.LIBoxParameters(t(44.0), t(-0.3)), dt=DT)]),
    "IAFCell": ((4,), lambda: [norse.IAFCell(norse.IAFParameters(t(0.7), t(-0.2), "circ", t(2.0)), dt=DT)]),
    "LIFRecurrentCell": ((3,), lambda: [recurrent(3, 6)]),
    "LIFRecurrentCell with autapses": ((3,), lambda: [recurrent(3, 6, autapses=True)]),
    "Linear": ((6,), lambda: [nn.Linear(6, 4, **D), lif()]),
    "Linear without bias": ((6,), lambda: [nn.Linear(6, 4, bias=False, **D), lif()]),
    "Conv1d": ((4, 11), lambda: [nn.Conv1d(4, 6, 3, 2, 2, 2, 2, **D), lif()]),
    "Conv1d same": ((4, 11), lambda: [nn.Conv1d(4, 6, 5, padding="same", bias=False, **D), lif()]),
    "Conv2d": ((2, 9, 8), lambda: [nn.Conv2d(2, 4, (3, 5), (2, 1), (1, 2), (2, 1), 2, **D), lif()]),
    "Conv2d valid, no bias": (
        (2, 7, 7),
        lambda: [nn.Conv2d(2, 4, 3, padding="valid", bias=False, **D), lif()],
    ),
    "AvgPool2d": ((2, 7, 8), lambda: [nn.AvgPool2d((3, 2), (2, 1), (1, 1)), lif_box()]),
    "AvgPool2d default stride": ((2, 6, 6), lambda: [nn.AvgPool2d(2), lif_box()]),
    "AvgPool1d": ((2, 8), lambda: [nn.AvgPool1d(3, 2, 1), lif_box()]),
    "AdaptiveAvgPool1d": ((2, 6), lambda: [nn.AdaptiveAvgPool1d(3), lif_box()]),
    "AdaptiveAvgPool2d": ((2, 6, 8), lambda: [nn.AdaptiveAvgPool2d((None, 2)), lif_box()]),
    "MaxPool1d": ((2, 9), lambda: [lif_box(), nn.MaxPool1d(3, 2, 1, ceil_mode=True), lif_box()]),
    "MaxPool2d": ((2, 7, 9), lambda: [lif(), nn.MaxPool2d((3, 2), (2, 1), (1, 0), 2), lif_box()]),
    "Flatten": ((2, 3, 4), lambda: [nn.Flatten(), nn.Linear(24, 3, **D), lif()]),
    "Flatten some axes": ((2, 3, 4), lambda: [nn.Flatten(2, -1), lif(12)]),
    "BatchNorm1d folded": ((5,), lambda: [nn.Linear(5, 4, **D), norm(nn.BatchNorm1d(4, 1e-3, **D)), lif()]),
    "BatchNorm1d alone": ((5,), lambda: [norm(nn.BatchNorm1d(5, **D)), lif()]),
    "BatchNorm1d on a map": ((5, 7), lambda: [norm(nn.BatchNorm1d(5, affine=False, **D)), lif()]),
    "BatchNorm2d folded": (
        (2, 6, 6),
        lambda: [nn.Conv2d(2, 3, 3, bias=False, **D), nn.Dropout(0.4), norm(nn.BatchNorm2d(3, **D)), lif()],
    ),
    "BatchNorm2d alone": ((2, 6, 6), lambda: [lif(), norm(nn.BatchNorm2d(2, **D)), lif()]),
    "Dropout": ((4,), lambda: [nn.Dropout(0.7), lif(), nn.Identity()]),
}


def through_file(layers, shape, folder):
    graph = export_student(Student("s", tuple(layers), "count"), shape)
    write_nir(folder / "s.nir", graph)
    return graph, layers_from_graph(read_nir(folder / "s.nir"))


@pytest.mark.parametrize("case", CASES)
def test_every_layer_comes_back_with_the_same_outputs(case, tmp_path):
    torch.manual_seed(3)
    shape, make = CASES[case]
    module = norse.SequentialState(*make()).eval()
    x = torch.randn(12, 3, *shape, dtype=F64)
    expected = run_module(module, x)
    layers = layers_from_module(module)
    _, back = through_file(layers, shape, tmp_path)
    assert torch.equal(run_module(module_from_layers(layers, F64), x), expected)
    restored = run_module(module_from_layers(back, F64), x)
    assert restored.dtype == F64
    torch.testing.assert_close(restored, expected, rtol=1e-12, atol=1e-12)
    assert expected.abs().sum() > 0, "an output of zeros proves nothing"


def test_the_cases_cover_every_kind():
    kinds = {
        layer.kind for shape, make in CASES.values() for layer in layers_from_module(nn.Sequential(*make()))
    }
    own = {cell.kind for cell in CELLS.values() if cell.module != "norse.torch"}  # have tests of their own
    assert kinds == set(LAYER_KINDS) - {"Dropout", *SKIPS} - own


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("per_neuron", [False, True])
def test_parameters_come_back_bit_for_bit_with_shape_and_dtype(dtype, per_neuron, tmp_path):
    rng = np.random.default_rng(5)
    size = (6,) if per_neuron else ()
    tensors = {
        name: np.asarray(rng.uniform(low, high, size), dtype=dtype)
        for name, low, high in (
            ("tau_mem_inv", 1, 300),
            ("tau_syn_inv", 1, 300),
            ("v_leak", -1, 1),
            ("v_th", 1, 2),
            ("v_reset", -1, 1),
            ("alpha", 1, 9),
        )
    }
    cell = Layer("LIFCell", {"dt": 0.003, "method": "circ", "reset_method": "reset_value"}, tensors)
    _, (back,) = through_file((cell,), (6,), tmp_path)
    assert back.kind == "LIFCell"
    assert dict(back.options) == dict(cell.options)
    for name, array in tensors.items():
        assert back.tensors[name].dtype == array.dtype
        assert np.array_equal(back.tensors[name], array)
        assert back.tensors[name].shape == array.shape


def test_an_edited_node_wins_over_its_metadata(tmp_path):
    cell = layers_from_module(lif())
    graph = export_student(Student("s", cell, "count"), (4,))
    (name,) = set(graph.nodes) - {"input", "output"}
    graph.nodes[name].v_threshold = np.full(4, 0.75)
    (back,) = layers_from_graph(graph)
    assert back.tensors["v_th"] == 0.75
    assert back.tensors["tau_mem_inv"] == pytest.approx(171.0, rel=1e-15)


@st.composite
def cells(draw, kind, dt, shape):
    """A cell with random parameters, scalar or per neuron."""
    number = st.floats(-1, 1).map(lambda v: round(v, 6))

    def parameter(strategy):
        value = draw(strategy)
        if draw(st.booleans()):
            return np.array(value)
        seed = draw(st.integers(0, 2**16))
        return value * np.random.default_rng(seed).uniform(0.5, 1.0, shape)

    tensors = {}
    for name in LAYER_KINDS[kind].tensors:
        if name.startswith("tau"):
            tensors[name] = parameter(st.floats(0.01, 1.0).map(lambda f: f / dt * (1 - 1e-9)))
        elif name == "alpha":
            tensors[name] = np.array(100.0)
        elif name not in ("input_weights", "recurrent_weights"):
            tensors[name] = parameter(number)
    return Layer(kind, {"dt": dt}, tensors)


@st.composite
def stacks(draw):
    """A random stack of valid layers and its input's shape."""
    dt = draw(st.sampled_from([0.001, 0.0005, 0.0025]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.sampled_from([(3,), (2, 7), (2, 6, 5)]))
    first, layers = shape, []
    for _ in range(draw(st.integers(1, 3))):
        if len(shape) > 1 and draw(st.booleans()):
            axes = len(shape) - 1
            groups = draw(st.sampled_from([g for g in (1, 2) if shape[0] % g == 0]))
            kernel = tuple(draw(st.integers(1, 3)) for _ in range(axes))
            weight = rng.normal(size=(2 * groups, shape[0] // groups, *kernel))
            tensors = {"weight": weight} | (
                {"bias": rng.normal(size=2 * groups)} if draw(st.booleans()) else {}
            )
            options = {
                "stride": tuple(draw(st.integers(1, 2)) for _ in range(axes)),
                "padding": tuple(draw(st.integers(1, 2)) for _ in range(axes)),
                "groups": groups,
            }
            layers.append(Layer(f"Conv{axes}d", options, tensors))
        else:
            if len(shape) > 1:
                layers.append(Layer("Flatten"))
            weight = rng.normal(size=(draw(st.integers(1, 5)), int(np.prod(shape))))
            layers.append(Layer("Linear", {}, {"weight": weight, "bias": rng.normal(size=len(weight))}))
        shape = check_stack(layers, first)
        kind = draw(st.sampled_from(["LIFCell", "LIFBoxCell", "IAFCell", "LICell", "LIBoxCell"]))
        layers.append(draw(cells(kind, dt, shape)))
    return tuple(layers), first


@settings(max_examples=25, deadline=None)
@given(stacks(), st.integers(0, 2**16))
def test_random_stacks_come_back_the_same(tmp_path_factory, stack, seed):
    layers, shape = stack
    check_stack(layers, shape)
    graph = export_student(Student("s", layers, "count"), shape)
    back = layers_from_graph(graph)
    x = torch.as_tensor(np.random.default_rng(seed).normal(size=(6, 2, *shape)))
    assert torch.equal(
        run_module(module_from_layers(back, F64), x), run_module(module_from_layers(layers, F64), x)
    )
    assert [layer.kind for layer in back] == [layer.kind for layer in layers]
