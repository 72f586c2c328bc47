"""HDF5 trees that resemble NIR graphs, with wrong things in them: each is a graph, or refused in one line.

Nothing outside the file is opened, whatever it links to. Most files are read by forks of a reader that has
h5py loaded, which run the production child's code; the rest by the production child.
"""

import copy
from itertools import pairwise

import nir
import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from sne_deploy.frontend.hdf5.file import read_hdf5
from tests.effort import examples
from tests.fuzzing import LIMITS, outcome, untouched
from tests.odd_trees import MARKER, NAMES, ODD, make_outside, write_tree
from tests.warm_reader import warm_reader

N = 3
FLOATS = np.linspace(0.5, 1.5, N)
KERNEL = {"padding": np.array(0), "stride": np.array(1), "dilation": np.array(1), "groups": np.array(1)}
POOL = {"kernel_size": np.array([1, 1]), "stride": np.array([1, 1]), "padding": np.array([0, 0])}
LEAKY = {"r": FLOATS, "v_leak": np.zeros(N)}
FIRES = {"v_threshold": FLOATS, "v_reset": np.zeros(N)}
TIMES = {"tau_syn": FLOATS / 100, "tau_mem": FLOATS / 50, "w_in": FLOATS}
NODES = {
    "Affine": {"weight": np.diag(FLOATS), "bias": np.zeros(N)},
    "Linear": {"weight": np.diag(FLOATS)},
    "Scale": {"scale": FLOATS},
    "Conv1d": {"input_shape": np.array(N), "weight": np.ones((1, 1, 1)), "bias": np.zeros(1), **KERNEL},
    "Conv2d": {
        "input_shape": np.array([N, 1]),
        "weight": np.ones((1, 1, 1, 1)),
        "bias": np.zeros(1),
        **KERNEL,
    },
    "SumPool2d": POOL,
    "AvgPool2d": POOL,
    "Flatten": {"input_type": np.array([N]), "start_dim": np.array(0), "end_dim": np.array(-1)},
    "Threshold": {"threshold": FLOATS},
    "Delay": {"delay": np.full(N, 0.001)},
    "I": {"r": FLOATS},
    "IF": {"r": FLOATS * 1000, **FIRES},
    "LI": {"tau": FLOATS / 50, **LEAKY},
    "LIF": {"tau": FLOATS / 50, **LEAKY, **FIRES},
    "CubaLI": {**TIMES, **LEAKY},
    "CubaLIF": {**TIMES, **LEAKY, **FIRES},
}
CHAINABLE = [kind for kind in NODES if not kind.startswith(("Conv", "Sum", "Avg"))]
ARRAYS = {
    "as ints": lambda a: a.astype(np.int64),
    "as uint64": lambda a: np.full(a.shape, 2**64 - 1, np.uint64),
    "as float16": lambda a: a.astype(np.float16),
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "as bools": lambda a: a.astype(bool),
    "as text": lambda a: str(a.tolist()),
    "as list of text": lambda a: [str(n) for n in a.reshape(-1)],
    "flat": lambda a: a.reshape(-1),
    "one more axis": lambda a: a[None],
    "scalar": lambda a: a.reshape(-1)[0],
    "one less": lambda a: a.reshape(-1)[1:],
    "twice": lambda a: np.concatenate([a.reshape(-1)] * 2),
    "transposed": lambda a: a.T,
    "NaN": lambda a: np.full(a.shape, np.nan),
    "infinite": lambda a: np.full(a.shape, np.inf),
    "huge": lambda a: np.full(a.shape, 1e300),
    "tiny": lambda a: np.full(a.shape, 5e-324),
    "zero": np.zeros_like,
    "negative": lambda a: -a,
    "-1": lambda a: np.full(a.shape, -1, np.int64),
    "2**31": lambda a: np.full(a.shape, 2**31, np.int64),
    "2**31 - 1": lambda a: np.full(a.shape, 2**31 - 1, np.int64),
    "-2**63": lambda a: np.full(a.shape, -(2**63), np.int64),
    "a million": lambda a: np.full(a.shape, 10**6, np.int64),
    "long": lambda a: np.resize(a, 10**5),
}
METADATA = {
    "dt_s": 0.001,
    "reset": "subtract",
    "reset_delayed": np.array(True),
    "name": "a layer",
    "kind": "LIFCell",
    "options": {"dt": 0.001},
    "bias": np.array(False),
    "inner_graphs": {"n0": {"dt_s": 0.002}},
}
TEXTS = ["", "NIRGraph", "Input", "Output", "LIF", "Pickle", "same", "\x1b[2J\n", "x" * 5000, *NAMES[:4:3]]


def metadata():
    return st.lists(st.sampled_from(list(METADATA)), max_size=3).map(
        lambda names: copy.deepcopy({name: METADATA[name] for name in names})
    )


@st.composite
def graphs(draw, depth=0):
    """A chain of nodes, sometimes with a skip, a loop or a nested graph."""
    shape = np.array(draw(st.sampled_from([[N], [N], [N], [1, N], [1, N, 1]])))
    kinds = draw(st.lists(st.sampled_from(CHAINABLE if shape.size == 1 else list(NODES)), max_size=4))
    nodes = {f"n{index}": {"type": kind, **NODES[kind]} for index, kind in enumerate(kinds)}
    if depth < 2 and draw(st.integers(0, 5)) == 0:
        nodes[f"n{len(nodes)}"] = draw(graphs(depth + 1))
    nodes = {
        "input": {"type": "Input", "shape": shape},
        **nodes,
        "output": {"type": "Output", "shape": shape},
    }
    names = list(nodes)
    edges = [list(pair) for pair in pairwise(names)]
    if draw(st.integers(0, 3)) == 0:
        ends = st.sampled_from([*names, *names, "gone", "", "x" * 3000])
        edges += draw(st.lists(st.tuples(ends, ends).map(list), min_size=1, max_size=2))
    tree = {"type": "NIRGraph", "nodes": copy.deepcopy(nodes), "edges": edges}
    tree["metadata"] = draw(metadata())
    for node in tree["nodes"].values():
        if draw(st.integers(0, 5)) == 0:
            node["metadata"] = draw(metadata())
    return tree


def places(tree, path=()):
    """Paths of everything in a tree."""
    for name, value in tree.items():
        yield (*path, name)
        if isinstance(value, dict):
            yield from places(value, (*path, name))


@st.composite
def damaged_trees(draw):
    tree = {"node": draw(graphs()), "version": "1.0.8"}
    done = []
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3]))):
        if not tree:
            break
        path = draw(st.sampled_from(list(places(tree))))
        done.append((damage(draw, tree, path), "/".join(map(str, path))))
    return tree, done


def damage(draw, tree, path):
    """Change one thing; what was done."""
    parent = tree
    for name in path[:-1]:
        parent = parent[name]
    name, value = path[-1], parent[path[-1]]
    if isinstance(value, np.ndarray) and draw(st.booleans()):
        change = draw(st.sampled_from(list(ARRAYS)))
        parent[name] = ARRAYS[change](value)
        return change
    if isinstance(value, str) and draw(st.booleans()):
        parent[name] = draw(st.sampled_from(TEXTS) | st.sampled_from(list(NODES)))
        return "text"
    what = draw(st.sampled_from(["leave out", "replace", "add", "rename", "wrap", "copy"]))
    if what == "leave out":
        del parent[name]
    elif what == "rename":
        parent[draw(st.sampled_from(NAMES))] = parent.pop(name)
    elif what == "wrap":
        parent[name] = {name: value}
    elif what == "copy":
        source = draw(st.sampled_from(list(places(tree))))
        found = tree
        for step in source:
            found = found[step]
        parent[name] = copy.deepcopy(found)
    else:
        odd = draw(st.sampled_from(list(ODD)))
        target = value if what == "add" and isinstance(value, dict) else parent
        target[name if what == "replace" else draw(st.sampled_from(NAMES))] = ODD[odd]
        return odd
    return what


FORMATS = [{}, {"libver": "latest"}, {"track_order": True}, {"userblock_size": 1024}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("structure")
    (folder / "outside").mkdir()
    make_outside(folder / "outside")
    return folder


@pytest.fixture(scope="module")
def warm():
    with warm_reader() as server:
        yield server


def check(folder, tree, options):
    path = folder / "odd.nir"
    write_tree(path, tree, folder / "outside", **options)
    with untouched(folder / "outside"):
        said = outcome(path)
    assert str(MARKER) not in said
    return said


@settings(max_examples=examples(600))
@given(damaged_trees(), st.sampled_from(FORMATS))
def test_odd_trees(warm, folder, damaged, options):
    tree, done = damaged
    said = check(folder, tree, options)
    event(
        "compiled" if said == "compiled" else "refused to compile" if said == "refused to compile" else "no"
    )
    if not done and all(len(edge[0]) < 10 for edge in tree["node"]["edges"]):
        event("undamaged: " + said[-60:])


@settings(max_examples=examples(100))
@given(damaged_trees(), st.sampled_from(FORMATS))
def test_odd_trees_in_the_production_child(folder, damaged, options):
    check(folder, damaged[0], options)


@pytest.mark.parametrize("case", ODD)
@pytest.mark.parametrize("place", ["node", "type", "nodes", "edges", "metadata", "n0", "weight"])
def test_every_odd_thing_in_every_place(warm, folder, place, case):
    weight = {"type": "Linear", "weight": np.eye(N)}
    shape = np.array([N])
    nodes = {"input": {"type": "Input", "shape": shape}, "n0": weight}
    nodes["output"] = {"type": "Output", "shape": shape}
    tree = {
        "node": {
            "type": "NIRGraph",
            "nodes": nodes,
            "edges": [["input", "n0"], ["n0", "output"]],
            "metadata": {"dt_s": 0.001},
        }
    }
    holder = {"node": tree, "n0": nodes, "weight": weight}.get(place, tree["node"])
    holder[place] = ODD[case]
    check(folder, tree, {})


def test_no_number_of_another_file_is_seen(warm, folder):
    """Even where nothing is refused by name, what is outside does not come in."""
    for case, odd in ODD.items():
        path = folder / "seen.nir"
        write_tree(path, {"node": {"a": odd}}, folder / "outside")
        try:
            found = read_hdf5(path, ("node",), LIMITS)["node"]["a"]
        except ValueError:
            continue
        assert not (isinstance(found, np.ndarray) and (found == MARKER).any()), case


def test_the_table_of_nodes_is_complete():
    from sne_deploy.frontend.nir.primitives import PRIMITIVES

    assert {*NODES, "Input", "Output"} >= {kind for kind in PRIMITIVES if hasattr(nir, kind)}
    assert all(hasattr(nir, kind) for kind in NODES)
