"""Shape inference on graphs, export's rules, and graphs of other tools."""

import random
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import pytest

from sne_deploy.errors import GraphError, UnsupportedError
from sne_deploy.frontend.nir.file import read_nir
from sne_deploy.frontend.nir.shapes import graph_shapes, input_shape_of
from sne_deploy.frontend.norse.export import export_student
from sne_deploy.model.ensemble import Layer, Student
from tests.graph_layers import layers_from_graph

MODELS = Path(__file__).resolve().parents[4] / "shared" / "models" / "nir"


def assert_same(a, b):
    """The same nodes and edges, wherever they are listed."""
    assert set(a.nodes) == set(b.nodes)
    assert set(a.edges) == set(b.edges)
    np.testing.assert_equal(a.metadata, b.metadata)
    for name, node in a.nodes.items():
        assert type(node) is type(b.nodes[name])
        np.testing.assert_equal(vars(node), vars(b.nodes[name]))


def lif(shape, **changes):
    ones = np.ones(shape)
    fields = {"tau": 0.01 * ones, "r": ones, "v_leak": 0 * ones, "v_threshold": ones, "v_reset": 0 * ones}
    return nir.LIF(**{**fields, **changes})


def graph(nodes, edges, **metadata):
    return nir.NIRGraph(dict(nodes), list(edges), metadata=metadata, type_check=False)


def recurrent():
    nodes = {
        "input": nir.Input(np.array([2, 5, 7])),
        "conv": nir.Conv2d(None, np.ones((4, 1, 3, 5)), (2, 1), (1, 2), 1, 2, np.zeros(4)),
        "flat": nir.Flatten({"input": np.array([4, 3, 7])}, 0, -1),
        "fc": nir.Linear(np.ones((6, 84))),
        "lif": lif(6),
        "rec": nir.Linear(np.ones((6, 6))),
        "output": nir.Output(np.array([6])),
    }
    names = list(nodes)
    edges = [
        ("input", "conv"),
        ("conv", "flat"),
        ("flat", "fc"),
        ("fc", "lif"),
        ("lif", "rec"),
        ("rec", "lif"),
        ("lif", "output"),
    ]
    return nodes, edges, names


@pytest.mark.parametrize("seed", range(8))
def test_shapes_do_not_depend_on_order_and_nothing_is_changed(seed):
    nodes, edges, names = recurrent()
    random.Random(seed).shuffle(edges)
    random.Random(seed).shuffle(names)
    made = graph({name: nodes[name] for name in names}, edges)
    shapes = graph_shapes(made, (2, 5, 7))
    assert shapes == {
        "input": (2, 5, 7),
        "conv": (4, 3, 7),
        "flat": (84,),
        "fc": (6,),
        "lif": (6,),
        "rec": (6,),
        "output": (6,),
    }
    assert list(shapes) == names
    assert made.nodes["conv"].input_shape is None
    assert made.edges == edges


BROKEN = {
    "edge": (lambda n, e: e.append(("lif", "gone")), "names 'gone', which is not a node"),
    "twice": (lambda n, e: e.append(e[0]), "'input' -> 'conv' is there twice"),
    "lost": (lambda n, e: n.__setitem__("alone", lif(3)), "no path from the input reaches 'alone'"),
    "two inputs": (
        lambda n, e: n.__setitem__("in2", nir.Input(np.array([3]))),
        r"the graph's 2 inputs have 73 values together, not shape \(2, 5, 7\); give \(73,\)",
    ),
    "no output": (
        lambda n, e: (n.pop("output"), e.remove(("lif", "output"))),
        "the graph has no Output, and no node where one could be; add one",
    ),
    "size": (
        lambda n, e: n.__setitem__("fc", nir.Linear(np.ones((6, 83)))),
        r"node 'fc' \(Linear\): gets shape \(84,\)",
    ),
    "neurons": (
        lambda n, e: n.__setitem__("lif", lif(5)),
        r"node 'lif' \(LIF\): gets shape \(6,\), its tau has \(5,\)",
    ),
    "meeting": (
        lambda n, e: n.__setitem__("rec", nir.Linear(np.ones((5, 6)))),
        r"node 'lif' gets shape \(6,\)",
    ),
    "declared": (
        lambda n, e: n.__setitem__("output", nir.Output(np.array([7]))),
        r"node 'output'.*declares \(7,\)",
    ),
    "after": (lambda n, e: e.append(("output", "lif")), "an edge leaves the graph's output"),
    "into": (lambda n, e: e.append(("rec", "input")), "ends on the graph's input"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_graphs_name_the_node(case):
    nodes, edges, _ = recurrent()
    change, match = BROKEN[case]
    change(nodes, edges)
    with pytest.raises(GraphError, match=match):
        graph_shapes(graph(nodes, edges), (2, 5, 7))


def test_input_shape_must_be_the_declared_one():
    nodes, edges, _ = recurrent()
    with pytest.raises(GraphError, match=r"node 'input'.*gets shape \(2, 5, 6\), declares \(2, 5, 7\)"):
        graph_shapes(graph(nodes, edges), (2, 5, 6))


def test_nodes_without_a_layer_are_listed_at_once():
    nodes = {
        "input": nir.Input(np.array([3])),
        "a": nir.Scale(np.ones(3)),
        "b": nir.I(np.ones(3)),
        "lif": lif(3),
        "output": nir.Output(np.array([3])),
    }
    names = list(nodes)
    made = graph(nodes, pairwise(names), dt_s=0.001)
    with pytest.raises(UnsupportedError, match=r"'a' of type Scale.*'b' of type I ") as error:
        layers_from_graph(made)
    assert len(error.value.problems) == 2


def chain(*nodes, shape=(3,), **metadata):
    named = {"input": nir.Input(np.array(shape)), **{f"n{i}": n for i, n in enumerate(nodes)}}
    last = graph({**named, "output": nir.Output(np.array(shape))}, [])
    names = list(last.nodes)
    last.edges = list(pairwise(names))
    last.metadata = metadata
    return last


def test_foreign_neurons_need_a_time_step_and_unit_gain():
    assert [layer.kind for layer in layers_from_graph(chain(lif(3), dt_s=0.001))] == ["LIFBoxCell"]
    with pytest.raises(GraphError, match=r"dt_s=None must be a positive number of seconds"):
        layers_from_graph(chain(lif(3)))
    with pytest.raises(GraphError, match=r"node 'n0'.*: r is 2 to 2, a Norse cell has 1"):
        layers_from_graph(chain(lif(3, r=np.full(3, 2.0)), dt_s=0.001))
    with pytest.raises(GraphError, match=r"dt \* tau_mem_inv is 2"):
        layers_from_graph(chain(lif(3), dt_s=0.02))


def test_only_chains_with_norses_own_reset_become_layers():
    flat = chain(lif(()), dt_s=0.001)  # one value for all neurons, as snnTorch writes it
    (layer,) = layers_from_graph(flat)
    assert layer.tensors["v_th"].shape == ()
    soft = chain(lif(3), dt_s=0.001)
    soft.nodes["n0"].metadata |= {"reset": "subtract", "reset_delayed": True}
    with pytest.raises(UnsupportedError, match="node 'n0' subtracts one step late at a reset, which no cell"):
        layers_from_graph(soft)
    forked = chain(lif(3), dt_s=0.001)
    forked.nodes["second"] = nir.Output(np.array([3]))
    forked.edges.append(("n0", "second"))
    with pytest.raises(GraphError, match="the graph has 2 outputs: output, second; only chains can become"):
        layers_from_graph(forked)
    joined = chain(lif(3), dt_s=0.001)
    joined.nodes["more"] = nir.Input(np.array([3]))
    joined.edges.append(("more", "n0"))
    with pytest.raises(GraphError, match="the graph has 2 inputs: input, more; one is needed here"):
        layers_from_graph(joined)


def test_export_refuses_mixed_dt_and_students_without_cells():
    tensors = {"v_th": np.array(1.0), "v_reset": np.array(0.0)}
    cells = [Layer("IAFCell", {"dt": dt}, tensors) for dt in (0.001, 0.002)]
    with pytest.raises(
        GraphError, match=r"student 's': cells have different dt: layer 0 .* 0.001 s.*layer 1 .* 0.002 s"
    ):
        export_student(Student("s", tuple(cells), "count"), (3,))
    with pytest.raises(GraphError, match="student 's': there is no neuron cell"):
        export_student(Student("s", (Layer("Flatten"),), "count"), (3, 2))
    big = {"running_mean": np.zeros(5000), "running_var": np.ones(5000)}
    with pytest.raises(GraphError, match="5000 features make a diagonal matrix larger than 4096"):
        export_student(Student("s", (Layer("BatchNorm1d", {}, big), cells[0]), "count"), (5000,))


def test_export_sets_types_and_readable_unique_names():
    tensors = {"v_th": np.array(1.0), "v_reset": np.array(0.0)}
    layers = (
        Layer("Linear", {"name": "output"}, {"weight": np.ones((3, 3))}),
        Layer("IAFCell", {"name": "fc"}, tensors),
        Layer("Linear", {"name": "fc"}, {"weight": np.ones((2, 3))}),
        Layer("IAFCell", {}, tensors),
    )
    made = export_student(Student("s", layers, "count"), (3,))
    assert list(made.nodes) == ["input", "output_0", "fc", "fc_2", "iafcell_3", "output"]
    assert made.nodes["fc_2"].input_type["input"].tolist() == [3]
    assert made.nodes["fc_2"].output_type["output"].tolist() == [2]
    assert [layer.options.get("name") for layer in layers_from_graph(made)] == ["output", "fc", "fc", None]
    assert made.metadata == {"dt_s": 0.001, "format": "sne-deploy", "format_version": 1}
    assert_same(export_student(Student("s", made, "count"), (3,)), made)
    with pytest.raises(GraphError, match=r"student 's': node 'input' \(Input\): gets shape \(4,\)"):
        export_student(Student("s", made, "count"), (4,))


@pytest.mark.parametrize(
    ("name", "last"), [("lif_norse", (1,)), ("cnn_sinabs", (10,)), ("braille_noDelay_bias_zero", (7,))]
)
def test_graphs_of_the_nir_paper(name, last):
    file = MODELS / f"{name}.nir"
    if not file.exists():
        pytest.skip(f"{file} is not here: the models of the NIR paper are not part of the repository")
    made = read_nir(file)
    shapes = graph_shapes(made, input_shape_of(made))
    assert shapes["output"] == last
    for key, node in nir.read(file).nodes.items():
        assert tuple(node.output_type["output"]) == shapes[key]
        for field in ("weight", "bias", "tau", "tau_mem", "r", "v_threshold", "w_in"):
            if hasattr(node, field):
                assert np.array_equal(getattr(node, field), getattr(made.nodes[key], field))
