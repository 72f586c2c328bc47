"""Any graph that NIR can say is written and read back as it was."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from hypothesis import given, settings

from sne_deploy.errors import GraphError
from sne_deploy.frontend.nir.file import read_nir, write_nir
from sne_deploy.frontend.nir.findings import examine
from sne_deploy.frontend.nir.flatten import MAX_NESTING
from sne_deploy.frontend.nir.normalise import normalise
from tests.effort import examples
from tests.frontend.nir.test_input_shapes import chain, conv, lif, shape
from tests.graphs import assert_same_graph, random_graphs


@settings(max_examples=examples(30))
@given(random_graphs(nested=2))
def test_a_round_trip_is_the_identity(made: nir.NIRGraph) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, again = Path(folder) / "a.nir", Path(folder) / "b.nir"
        write_nir(path, made)
        back = read_nir(path)
        assert_same_graph(back, made)
        write_nir(again, back)
        assert again.read_bytes() == path.read_bytes()
    assert_same_graph(normalise(back), normalise(made))


@settings(max_examples=examples(20))
@given(random_graphs(nested=1, outputs=1, inputs=1, metadata=False, dtypes=("f4",)))
def test_files_of_the_nir_package_are_read_as_it_wrote_them(made: nir.NIRGraph) -> None:
    """It cannot write a Conv of unknown size, so these are given theirs first."""
    made = _sized(made)
    with tempfile.TemporaryDirectory() as folder:
        nir.write(Path(folder) / "a.nir", made)
        back = read_nir(Path(folder) / "a.nir")
        theirs = nir.read(Path(folder) / "a.nir", type_check=False)
    assert_same_graph(back, made)
    assert set(theirs.nodes) == set(back.nodes)


def _sized(made: nir.NIRGraph) -> nir.NIRGraph:
    """The graph with the sizes of convolutions that normalising finds, inner graphs kept."""
    known = normalise(made).nodes

    def visit(graph: nir.NIRGraph, prefix: str) -> None:
        for name, node in graph.nodes.items():
            if isinstance(node, nir.NIRGraph):
                visit(node, f"{prefix}{name}.")
            elif isinstance(node, (nir.Conv1d, nir.Conv2d)):
                node.input_shape = known[f"{prefix}{name}"].input_shape

    visit(made, "")
    return made


def nested(levels: int) -> nir.NIRGraph:
    made = chain(lif(3), enters=shape(3), leaves=shape(3))
    made.metadata = {"level": {"n": levels}}
    for _ in range(levels):
        made = chain(made, enters=shape(3), leaves=shape(3))
        made.metadata = {"level": {"n": levels}}
    return made


def test_as_many_levels_are_written_as_are_read(tmp_path: Path) -> None:
    deepest = nested(MAX_NESTING)
    write_nir(tmp_path / "a.nir", deepest)
    assert_same_graph(read_nir(tmp_path / "a.nir"), deepest)
    with pytest.raises(GraphError, match=f"graph 'n0': graphs are nested deeper than {MAX_NESTING} levels"):
        write_nir(tmp_path / "b.nir", nested(MAX_NESTING + 1))
    assert not (tmp_path / "b.nir").exists()
    with h5py.File(tmp_path / "a.nir", "r+") as file:
        inner = "/nodes/n0" * MAX_NESTING
        file.copy(file[f"node{inner}"], file[f"node{inner}/nodes"], "more")
    with pytest.raises(GraphError, match="deeper than"):
        read_nir(tmp_path / "a.nir")


def edited(path: Path, made: nir.NIRGraph, **fields: Any) -> Path:
    """The graph's file with fields of node n0 replaced, or removed where None."""
    write_nir(path, made)
    with h5py.File(path, "r+") as file:
        group = file["node/nodes/n0"]
        for name, value in fields.items():
            if name in group:
                del group[name]
            if value is not None:
                group[name] = value
    return path


def test_parameters_of_other_writers(tmp_path: Path) -> None:
    """Scalars, integers, half precision and mixed shapes; v_reset left out."""
    fields = {"tau": 0.01, "r": np.array([1, 2, 3]), "v_leak": np.float16(0.5), "v_reset": None}
    path = edited(tmp_path / "a.nir", chain(lif(3), enters=shape(3), leaves=shape(3)), **fields)
    node = normalise(read_nir(path)).nodes["n0"]
    assert node.tau.tolist() == [0.01] * 3
    assert (node.r.tolist(), node.r.dtype) == ([1.0, 2.0, 3.0], np.float64)
    assert (node.v_leak.tolist(), node.v_reset.tolist()) == ([0.5] * 3, [0.0] * 3)
    path = edited(
        tmp_path / "b.nir", chain(lif(3), enters=shape(3), leaves=shape(3)), r=np.array([[1.0], [2.0]])
    )
    with pytest.raises(GraphError, match=r"node 'n0' \(LIF\): gets shape \(3,\), its r has \(2, 3\)"):
        read_nir(path)


def test_shapes_that_a_file_leaves_out(tmp_path: Path) -> None:
    path = edited(tmp_path / "a.nir", chain(conv(), enters=shape(2, 5, 5), leaves=shape(4, 3, 3)))
    with h5py.File(path, "r+") as file:
        del file["node/nodes/input/shape"]
    with pytest.raises(
        GraphError, match=r"a\.nir: input 'input' declares no shape.*give it one: --input-shape"
    ):
        read_nir(path)
    made = read_nir(path, input_shape=(2, 5, 5))
    assert made.nodes["input"].input_type["input"] is None
    assert made.nodes["n0"].output_type["output"].tolist() == [4, 3, 3]
    flat = edited(
        tmp_path / "b.nir", chain(nir.Flatten({"input": np.array([2, 3])}, 0, -1), enters=shape(2, 3))
    )
    with h5py.File(flat, "r+") as file:
        del file["node/nodes/n0/input_type"]
    assert read_nir(flat).nodes["n0"].output_type["output"].tolist() == [6]


def test_a_file_without_ports_has_those_that_the_nir_package_gives_it(tmp_path: Path) -> None:
    bare = nir.NIRGraph({"fc": nir.Linear(np.ones((2, 3))), "lif": lif(2)}, [("fc", "lif")], type_check=False)
    nir.write(tmp_path / "a.nir", bare)
    normal, notes = examine(read_nir(tmp_path / "a.nir"))
    theirs = nir.read(tmp_path / "a.nir")
    assert set(normal.nodes) == set(theirs.nodes) == {"input_fc", "fc", "lif", "output_lif"}
    assert sorted(normal.edges) == sorted(theirs.edges)
    assert notes == (
        "the graph has no Input; 'input_fc' was added, as nir 1.0.8 does",
        "the graph has no Output; 'output_lif' was added, as nir 1.0.8 does",
    )


def test_metadata_deeper_than_is_read_is_not_written(tmp_path: Path) -> None:
    made = chain(lif(3), enters=shape(3), leaves=shape(3))
    for levels, fits in ((14, True), (15, False)):
        made.metadata = {}
        inner = made.metadata
        for _ in range(levels - 1):
            inner["a"] = {}
            inner = inner["a"]
        inner["b"] = 1
        path = tmp_path / f"{levels}.nir"
        if fits:
            write_nir(path, made)
            assert read_nir(path).metadata == made.metadata
        else:
            with pytest.raises(GraphError, match=r"metadata.*nested deeper than"):
                write_nir(path, made)
            assert not path.exists()
