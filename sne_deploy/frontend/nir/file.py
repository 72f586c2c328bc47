"""``.nir`` files: written whole or not at all, and read as the untrusted HDF5 that they are.

The layout is that of the ``nir`` package, 1.0: ``version``, and ``node`` with ``nodes``, ``edges``, ``type``
and ``metadata``. A node that is a graph is such a group itself.
"""

from __future__ import annotations

import os
from typing import Any

import h5py
import nir
import numpy as np
import numpy.typing as npt

from sne_deploy.errors import GraphError
from sne_deploy.files import write_whole
from sne_deploy.frontend.hdf5.file import LIMITS, Limits, Tree, naming, read_hdf5
from sne_deploy.frontend.hdf5.write import NAMES, hdf5_bytes, storable, write_value
from sne_deploy.frontend.nir.flatten import MAX_NESTING
from sne_deploy.frontend.nir.nodes import build_node, node_fields, plain_metadata
from sne_deploy.frontend.nir.shapes import Resolution, resolve
from sne_deploy.model.layers.geometry import Shape

Array = npt.NDArray[Any]


_TORSO = (
    "holds no graph, only what nir.write had written when it failed; export it again and heed the error of "
    "nir.write: of Sinabs call graph.infer_types() before it, of snnTorch take 1.0 with nir 1.0.8, of "
    "Rockpool make NumPy arrays of tensors in nodes, of Spyx give convolutions a bias, of Norse give the "
    "modules to sne.ensemble instead"
)
"""Where HDF5 has no root of type NIRGraph: nir.write puts nodes before edges and type."""


def write_nir(path: str | os.PathLike[str], graph: nir.NIRGraph) -> None:
    """Write a graph; the same graph gives the same bytes.

    Metadata may hold, nested, str, bool, int, float, NumPy arrays of numbers, and lists or tuples of one
    kind of these.

    Raises
    ------
    GraphError
        A name or a value cannot be stored; names it.
    OutputError
        The file cannot be written.
    """
    write_whole(path, nir_bytes(graph))


def nir_bytes(graph: nir.NIRGraph) -> bytes:
    """The bytes of a graph's file; see :func:`write_nir`."""

    def fill(file: h5py.File) -> None:
        write_value(file, "version", str(nir.version), "version")
        _write_graph(file.create_group("node"), graph, "", 0)

    return hdf5_bytes(fill)


def _write_graph(group: h5py.Group, graph: nir.NIRGraph, where: str, level: int) -> None:
    if level > MAX_NESTING:
        raise GraphError(f"{where}graphs are nested deeper than {MAX_NESTING} levels; inline some")
    write_value(group, "type", "NIRGraph", "type")
    nodes = group.create_group("nodes")
    for name in sorted(graph.nodes, key=str):
        node = graph.nodes[name]
        if not storable(name):
            raise GraphError(f"{where}node name {name!r} cannot be stored; {NAMES}")
        if isinstance(node, nir.NIRGraph):
            _write_graph(nodes.create_group(name), node, f"{where}graph {name!r}: ", level + 1)
        else:
            _write_node(nodes.create_group(name), name, node)
    edges = sorted((str(a), str(b)) for a, b in graph.edges)
    strings = np.array(edges, dtype=object).reshape(len(edges), 2)
    group.create_dataset("edges", data=strings, dtype=h5py.string_dtype())
    if graph.metadata:
        write_value(group, "metadata", graph.metadata, f"{where}metadata")


def read_nir(
    path: str | os.PathLike[str], limits: Limits = LIMITS, *, input_shape: Shape | None = None
) -> nir.NIRGraph:
    """Read and check a graph, in a child process with limits; it runs no code of the file's.

    The graph is as it was stored: inner graphs stay, and Inputs and Outputs keep what they declare. Every
    other node has its input and output types set.

    Parameters
    ----------
    path : path
    limits : Limits
        What the file may ask for.
    input_shape : tuple of int or None
        What enters, where the file does not say or is in doubt; see
        :func:`sne_deploy.frontend.nir.shapes.graph_shapes`.

    Raises
    ------
    GraphError
        The file is missing, damaged or hostile, a field is missing or wrong, or shapes do not chain: one
        line that names the node and the field.
    UnsupportedError
        Lists every node of an unknown type.
    """
    tree = read_hdf5(path, ("node", "version"), limits)
    with naming(path):
        graph = _root(tree)
        _set_types(resolve(graph, input_shape))
    return graph


def _set_types(resolved: Resolution) -> None:
    """Write the types into nodes that were just made."""
    for name, node in resolved.flat.nodes.items():
        if isinstance(node, (nir.Input, nir.Output)):
            continue
        if not isinstance(node, nir.Flatten):  # which keeps what it declares
            node.input_type = {"input": np.array(resolved.entering[name])}
        node.output_type = {"output": np.array(resolved.shapes[name])}


def _root(tree: Tree) -> nir.NIRGraph:
    root = tree.get("node")
    if not isinstance(root, dict):
        if isinstance(tree.get("version"), str) and "node" not in tree:
            raise GraphError(_TORSO)
        raise GraphError("is HDF5 but no NIR graph: group 'node' is missing")
    kind = root.get("type")
    if kind is None and "edges" not in root:
        raise GraphError(_TORSO)
    if not isinstance(kind, str):
        raise GraphError("node/type is missing or no string, must be 'NIRGraph'")
    if kind != "NIRGraph":
        raise GraphError(f"node/type is {kind[:100]!r}, must be 'NIRGraph'")
    return _graph(root, "node", 0)


def _graph(group: Tree, where: str, level: int) -> nir.NIRGraph:
    """A graph and the graphs in it; the reader's limit of depth bounds them too, but names no graph."""
    if level > MAX_NESTING:
        raise GraphError(f"{where}: graphs are nested deeper than {MAX_NESTING} levels")
    stored = group.get("nodes")
    if not isinstance(stored, dict) or not stored:
        raise GraphError(f"group {where}/nodes is missing or empty")
    metadata = group.get("metadata", {})
    if not isinstance(metadata, dict):
        raise GraphError(f"{where}/metadata must be a group")
    nodes = {
        name: _graph(fields, f"{where}/nodes/{name}", level + 1)
        if isinstance(fields, dict) and _is_graph(fields)
        else build_node(name, fields)
        for name, fields in stored.items()
    }
    edges = _edges(group.get("edges"), where)
    return nir.NIRGraph(nodes, edges, metadata=plain_metadata(metadata), type_check=False)


def _is_graph(fields: Tree) -> bool:
    kind = fields.get("type")
    return isinstance(kind, str) and kind == "NIRGraph"


def _edges(stored: object, where: str) -> list[tuple[str, str]]:
    if isinstance(stored, np.ndarray) and stored.size == 0:
        return []
    if not isinstance(stored, list) or len(stored) % 2:
        raise GraphError(f"{where}/edges is missing or is not a list of pairs of names")
    longest = max(map(len, stored), default=0)
    if longest > LIMITS.name_length:
        raise GraphError(
            f"{where}/edges has a name of {longest} characters, the limit is {LIMITS.name_length}"
        )
    return list(zip(stored[::2], stored[1::2], strict=True))


def _write_node(group: h5py.Group, name: str, node: Any) -> None:
    for field, value in node_fields(name, node).items():
        write_value(group, field, value, f"node {name!r}: {field}")
    if node.metadata:
        write_value(group, "metadata", node.metadata, f"node {name!r}: metadata")
