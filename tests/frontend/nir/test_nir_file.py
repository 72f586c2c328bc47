"""Reading and writing .nir files, hostile ones first."""

import os
import subprocess
import sys
import time
import zlib

import h5py
import nir
import numpy as np
import pytest

from sne_deploy.errors import GraphError, OutputError, UnsupportedError
from sne_deploy.frontend.hdf5 import file as hdf5_file
from sne_deploy.frontend.hdf5.file import Limits
from sne_deploy.frontend.nir.file import read_nir, write_nir
from sne_deploy.frontend.norse.export import export_student
from sne_deploy.model.ensemble import Layer, Student
from sne_deploy.sandbox import process
from tests.odd_trees import write_tree

POPEN = subprocess.Popen


def small_graph():
    tensors = {"tau_mem_inv": 100.0, "v_leak": 0.0, "v_th": 1.0, "v_reset": 0.0}
    layers = (
        Layer("Linear", {"name": "fc"}, {"weight": np.ones((4, 3)), "bias": np.zeros(4)}),
        Layer("LIFBoxCell", {"dt": 0.001}, {name: np.array(value) for name, value in tensors.items()}),
    )
    return export_student(Student("s", layers, "count"), (3,))


@pytest.fixture
def path(tmp_path):
    write_nir(tmp_path / "a.nir", small_graph())
    return tmp_path / "a.nir"


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 1000
    return text


def refused(path, match, limits=hdf5_file.LIMITS):
    start = time.monotonic()
    with pytest.raises(GraphError, match=match) as error:
        read_nir(path, limits)
    assert time.monotonic() - start < 60
    assert str(path) in one_line(error)


def edit(path, change):
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def test_missing_empty_folder_and_fifo(tmp_path):
    refused(tmp_path / "none.nir", "No such file")
    (tmp_path / "empty.nir").touch()
    refused(tmp_path / "empty.nir", "is empty")
    refused(tmp_path, "folder")
    os.mkfifo(tmp_path / "fifo.nir")
    refused(tmp_path / "fifo.nir", "it is a pipe, not a file")


def test_random_and_oversized(tmp_path):
    (tmp_path / "r.nir").write_bytes(np.random.default_rng(0).bytes(5000))
    refused(tmp_path / "r.nir", "signature not found")
    refused(tmp_path / "r.nir", "has 5000 bytes, more than the limit of 4999", Limits(file_bytes=4999))


def test_random_bytes_after_a_signature(tmp_path):
    (tmp_path / "r.nir").write_bytes(b"\x89HDF\r\n\x1a\n" + np.random.default_rng(0).bytes(5000))
    refused(tmp_path / "r.nir", "cannot be read")


def test_truncated_anywhere(path, tmp_path):
    data = path.read_bytes()
    cut = tmp_path / "cut.nir"
    for size in range(1, len(data) - 1, max(100, len(data) // 25 // 100 * 100)):
        cut.write_bytes(data[:size])
        refused(cut, "cut.nir")


def test_damaged_anywhere_is_one_line_or_a_graph(path, tmp_path):
    data = path.read_bytes()
    rng = np.random.default_rng(7)
    bad = tmp_path / "bad.nir"
    for _ in range(12):
        damaged = bytearray(data)
        for position in rng.integers(8, len(data), 20):
            damaged[position] = rng.integers(256)
        bad.write_bytes(damaged)
        try:
            assert isinstance(read_nir(bad), nir.NIRGraph)
        except (GraphError, UnsupportedError) as error:
            assert "\n" not in str(error)  # noqa: PT017  # either outcome is right


LINKS = {
    "soft": (
        lambda f: f["node/nodes"].__setitem__("x", h5py.SoftLink("/node/nodes/fc")),
        "a soft link; only hard links",
    ),
    "external": (
        lambda f: f["node"].__setitem__("x", h5py.ExternalLink("/etc/x.h5", "/")),
        "an external link; only hard links",
    ),
    "node itself": (
        lambda f: f.move("node", "n") or f.__setitem__("node", h5py.SoftLink("/n")),
        "a soft link",
    ),
    "cycle": (lambda f: f["node/nodes/fc"].__setitem__("x", f["node"]), "linked more than once"),
    "shared": (lambda f: f["node/nodes"].__setitem__("x", f["node/nodes/fc"]), "linked more than once"),
    "root": (lambda f: f["node/nodes"].__setitem__("x", f["/"]), "linked more than once"),
    "type": (lambda f: f["node"].__setitem__("x", np.dtype("f8")), "neither a group nor a data set"),
}


@pytest.mark.parametrize("case", LINKS)
def test_links_other_than_hard_and_cycles(case, path):
    change, match = LINKS[case]
    refused(edit(path, change), match)


def put(name, **options):
    def change(file):
        file["node/nodes/fc"].create_dataset(name, **options)

    return change


def virtual(file):
    layout = h5py.VirtualLayout(shape=(3,), dtype="f8")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", shape=(3,))
    file["node/nodes/fc"].create_virtual_dataset("x", layout)


def references(file):
    file["node/nodes/fc"].create_dataset("x", data=file["node"].ref, dtype=h5py.ref_dtype)


DATA = {
    "huge": (put("x", shape=(10**6, 10**6), dtype="f8", chunks=(64, 64)), "more than the limit of"),
    "huge, contiguous": (put("x", shape=(10**12,), dtype="f8"), "more than the limit of"),
    "huge chunk": (
        put("x", shape=(4,), maxshape=(None,), dtype="f8", chunks=(10**8,)),
        "a chunk of it needs more",
    ),
    "external storage": (
        put("x", shape=(4,), dtype="u1", external=[("/etc/passwd", 0, 4)]),
        "external storage",
    ),
    "virtual": (virtual, "virtual data set"),
    "reference": (references, "neither numbers nor strings"),
    "compound": (put("x", data=np.zeros(2, dtype=[("a", "f8"), ("b", "i4")])), "neither numbers nor strings"),
    "opaque": (put("x", data=np.void(b"abc")), "neither numbers nor strings"),
    "long double": (put("x", data=np.zeros(2, dtype=np.longdouble)), "are not read"),
    "empty": (put("x", data=h5py.Empty("f8")), "is empty"),
    "long name": (put("x" * 300, data=1.0), "a name of 300 characters"),
    "latin": (put("x", data=np.array(b"\xff\xfe", dtype="S2")), "not UTF-8"),
    "many axes": (put("x", data=np.zeros((1,) * 12)), "12 axes"),
}


@pytest.mark.parametrize("case", DATA)
def test_data_that_is_not_read(case, path):
    change, match = DATA[case]
    refused(edit(path, change), match)


def test_an_unknown_filter_is_refused_and_loads_nothing(path):
    def change(file):
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((4,))
        plist.set_filter(h5py.h5z.FILTER_NBIT, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((4,))
        h5py.h5d.create(file["node/nodes/fc"].id, b"x", h5py.h5t.NATIVE_INT32, space, plist)

    refused(edit(path, change), "uses filter 5")


def test_a_deflate_bomb_inside_a_small_chunk(path):
    bomb = zlib.compress(bytes(700 << 20), 9)

    def change(file):
        data = file["node/nodes/fc"].create_dataset(
            "x", shape=(8,), dtype="f8", chunks=(8,), compression="gzip"
        )
        data.id.write_direct_chunk((0,), bomb)

    refused(edit(path, change), "cannot be read", Limits(memory_bytes=1 << 29, seconds=10))


def test_strings_that_share_one_long_text(path):
    """Ten thousand references of 16 bytes to one heap object of 1 MiB are 10 GiB of text."""
    count = 10_000
    with h5py.File(path, "r+") as file:
        data = file["node/nodes/fc"].create_dataset("x", shape=(count,), dtype=h5py.string_dtype())
        data[0] = "a" * (1 << 20)
        file.flush()
        offset = data.id.get_offset()
    raw = bytearray(path.read_bytes())
    raw[offset : offset + 16 * count] = raw[offset : offset + 16] * count
    path.write_bytes(raw)
    refused(path, "more memory|more than the limit|cannot be read", Limits(memory_bytes=1 << 29))
    with h5py.File(path, "r+") as file:
        del file["node/nodes/fc/x"]
        file["node/nodes/fc"].create_dataset("y", data="b" * 5000)
    with pytest.raises(GraphError, match="y: names and strings need more than the limit of 4900 bytes"):
        hdf5_file.read_hdf5(path, ("node",), Limits(text_bytes=4900))


def test_deep_and_numerous_groups(path):
    deep = "/".join("g" * 40)
    refused(edit(path, lambda f: f["node/metadata"].create_group(deep)), "nested deeper than 16")
    refused(path, "more than 5 objects", Limits(objects=5))


def test_a_reader_that_runs_out_of_time_or_memory_or_crashes(path, monkeypatch):
    refused(path, "cannot be read", Limits(memory_bytes=1 << 20))
    program = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    fake(monkeypatch, program)
    refused(path, "killed by SIGSEGV; its limits are 1536 MiB of memory and 6 s")
    monkeypatch.setattr(process, "PATIENCE", 3.0)
    fake(monkeypatch, "import time; time.sleep(60)")
    refused(path, "stopped for taking too long", Limits(seconds=1))
    fake(monkeypatch, "import sys\nwhile True: sys.stdout.write('x' * 100000)")
    refused(path, "damaged data", Limits(total_bytes=1 << 20))
    fake(monkeypatch, "import sys; sys.stderr.write('x' * 9 + chr(10) + 'ImportError: no h5py'); sys.exit(3)")
    refused(path, "its reader failed with status 3: ImportError: no h5py")
    fake(monkeypatch, "")
    refused(path, "its reader failed with status 0: no message")


def fake(monkeypatch, program):
    monkeypatch.setattr(
        process.subprocess, "Popen", lambda command, **kw: POPEN([sys.executable, "-c", program], **kw)
    )


def delete(name):
    return lambda f: f.__delitem__(name)


def replace(name, value):
    def change(file):
        if name in file:
            del file[name]
        file[name] = value

    return change


def convolution(**values):
    """A node of its own with other values in some fields."""
    fields = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "input_shape": (4, 4), **values}

    def change(file):
        node = file.create_group("node/nodes/conv")
        node["type"] = "Conv2d"
        node["weight"], node["bias"] = np.ones((1, 1, 2, 2)), np.zeros(1)
        for name, value in fields.items():
            node[name] = np.array(value)

    return change


FC, LIF = "node/nodes/fc", "node/nodes/lifboxcell_1"
FIELDS = {
    "no node": (delete("node"), "holds no graph, only what nir.write had written when it failed"),
    "no nodes": (delete("node/nodes"), "node/nodes is missing"),
    "no edges": (delete("node/edges"), "node/edges is missing"),
    "edges of numbers": (replace("node/edges", np.ones((2, 2))), "node/edges"),
    "edge to nowhere": (replace("node/edges", [["input", "gone"]]), "names 'gone', which is not a node"),
    "no type": (delete(f"{FC}/type"), "node 'fc': field 'type' is missing or no string"),
    "unknown type": (
        replace(f"{FC}/type", "Pickle"),
        "node 'fc': type 'Pickle' is unknown; known types: Input",
    ),
    "nested graph": (replace(f"{FC}/type", "NIRGraph"), "group node/nodes/fc/nodes is missing or empty"),
    "type of numbers": (replace(f"{FC}/type", np.ones(2)), "node 'fc': field 'type' is missing or no string"),
    "root of numbers": (replace("node/type", np.ones(2)), "node/type is missing or no string"),
    "long root": (replace("node/type", "\x1b[2J\n" * 1000), r"node/type is '\\x1b\[2J\\n"),
    "shape of many": (
        replace("node/nodes/input/shape", np.ones(10**6, np.uint8)),
        "holds 1000000 numbers, must be at most 8",
    ),
    "long edge": (
        replace("node/edges", [["a" * 10**6, "\x1b[2J"]]),
        "a name of 1000000 characters, the limit is 256",
    ),
    "wrong root": (replace("node/type", "Affine"), "must be 'NIRGraph'"),
    "missing field": (delete(f"{FC}/weight"), r"node 'fc' \(Affine\): field 'weight' is missing"),
    "unknown field": (replace(f"{FC}/extra", 1.0), "field 'extra' is unknown; known: weight, bias"),
    "string field": (replace(f"{FC}/weight", "x"), "field 'weight' must hold numbers"),
    "large integers": (
        replace(f"{FC}/weight", np.full((4, 3), 2**53 + 1)),
        "node 'fc' .*: field 'weight' holds integers beyond 2\\^53, which float64 rounds",
    ),
    "no bias": (delete(f"{FC}/bias"), "field 'bias' is missing; write zeros, or a Linear node"),
    "vector weights": (replace(f"{FC}/weight", np.ones(3)), r"shape \(3,\), must have 2 axes"),
    "nan": (replace(f"{FC}/bias", np.full(4, np.nan)), "field 'bias' is empty or holds NaN"),
    "infinite": (replace(f"{LIF}/v_leak", np.full(4, np.inf)), "'v_leak' is empty or holds NaN"),
    "minus infinity": (
        replace(f"{LIF}/v_threshold", np.full(4, -np.inf)),
        "'v_threshold' is empty or holds NaN or infinite",
    ),
    "not a number": (
        replace(f"{LIF}/v_threshold", np.full(4, np.nan)),
        "'v_threshold' is empty or holds NaN",
    ),
    "negative tau": (replace(f"{LIF}/tau", np.full(4, -1.0)), "'tau' holds values that are not above 0 s"),
    "huge": (replace(f"{FC}/weight", np.full((4, 3), -1e41)), "'weight' holds values beyond 1e\\+40"),
    "shapes differ": (replace(f"{LIF}/r", np.ones(3)), "node 'lifboxcell_1'.*same shape"),
    "does not chain": (replace(f"{FC}/weight", np.ones((4, 2))), r"node 'fc' \(Affine\): gets shape \(3,\)"),
    "bias": (replace(f"{FC}/bias", np.ones(3)), r"bias has shape \(3,\), weight \(4, 3\) needs \(4,\)"),
    "negative shape": (replace("node/nodes/input/shape", np.array([-3])), "must be 1 to 8 sizes above 0"),
    "metadata": (replace("node/metadata", 1.0), "metadata must be a group"),
    "stride": (convolution(stride=0), r"'conv' \(Conv2d\): field 'stride' is 0, must be at least 1"),
    "dilation": (convolution(dilation=(1, 0)), r"field 'dilation' is \(1, 0\), must be at least 1"),
    "groups": (convolution(groups=-1), "field 'groups' is -1, must be at least 1"),
}


@pytest.mark.parametrize("case", FIELDS)
def test_wrong_fields_name_node_and_field(case, path):
    change, match = FIELDS[case]
    refused(edit(path, change), match)


POOL = {"type": "AvgPool2d", "stride": np.array(1)}
ONE = {"r": np.array(1.0), "v_threshold": np.array(1.0)}
LARGE = {
    "declared": ([10**6, 10**8], {"type": "IF", **ONE}, "has more than 16777216 values"),
    "beyond 64 bits": ([2**31 - 1] * 8, {"type": "IF", **ONE}, "has more than 16777216 values"),
    "broadcast": (
        [60_000, 60_000],
        {"type": "LIF", **ONE, "tau": np.ones((1, 60_000)), "v_leak": np.zeros((60_000, 1))},
        "must have the same shape",
    ),
    "padding": (
        [1, 4, 4],
        {**POOL, "kernel_size": np.array(2), "padding": np.array(2**30)},
        "has more than 16777216 values",
    ),
    "kernel": (
        [1, 4, 4],
        {
            "type": "AvgPool2d",
            "kernel_size": np.array(2**30),
            "stride": np.array(1),
            "padding": np.array(2**29),
        },
        "kernel .* has more than 16777216 values",
    ),
}


@pytest.mark.parametrize("case", LARGE)
def test_what_is_only_declared_costs_no_memory(case, tmp_path):
    shape, node, match = LARGE[case]
    nodes = {"input": {"type": "Input", "shape": np.array(shape)}, "n": node, "output": {"type": "Output"}}
    tree = {"type": "NIRGraph", "nodes": nodes, "edges": [["input", "n"], ["n", "output"]]}
    write_tree(tmp_path / "a.nir", {"node": tree}, tmp_path)
    refused(tmp_path / "a.nir", match)


def test_the_same_graph_gives_the_same_bytes(path, tmp_path):
    time.sleep(1.1)  # HDF5's time stamps have seconds
    write_nir(tmp_path / "b.nir", small_graph())
    assert (tmp_path / "b.nir").read_bytes() == path.read_bytes()
    write_nir(tmp_path / "c.nir", read_nir(path))
    assert (tmp_path / "c.nir").read_bytes() == path.read_bytes()


def test_other_tools_read_what_is_written(path):
    graph = nir.read(path)
    assert set(graph.nodes) == {"input", "fc", "lifboxcell_1", "output"}
    assert graph.metadata["dt_s"] == 0.001


def test_metadata_comes_back(tmp_path):
    graph = small_graph()
    graph.metadata = {
        "text": "Größe",
        "flag": True,
        "count": -3,
        "size": 2.5,
        "empty": "",
        "nested": {"array": np.arange(200, dtype=np.float32), "more": {"names": ["a", "b"], "ints": (1, 2)}},
    }
    write_nir(tmp_path / "m.nir", graph)
    back = read_nir(tmp_path / "m.nir").metadata
    assert {k: back[k] for k in ("text", "flag", "count", "size", "empty")} == {
        k: graph.metadata[k] for k in ("text", "flag", "count", "size", "empty")
    }
    assert [type(back[k]) for k in ("flag", "count", "size")] == [bool, int, float]
    assert back["nested"]["array"].dtype == np.float32
    assert np.array_equal(back["nested"]["array"], np.arange(200))
    assert back["nested"]["more"]["names"] == ["a", "b"]
    assert back["nested"]["more"]["ints"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("metadata", "match"),
    [
        ({"a": object()}, "metadata/a: a object cannot be stored"),
        ({"a/b": 1}, "key 'a/b'"),
        ({1: 2}, "key 1"),
    ],
)
def test_what_cannot_be_stored_leaves_no_file(tmp_path, metadata, match):
    graph = small_graph()
    graph.metadata = metadata
    with pytest.raises(GraphError, match=match):
        write_nir(tmp_path / "m.nir", graph)
    assert list(tmp_path.iterdir()) == []


def test_writing_to_a_missing_folder(tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        write_nir(tmp_path / "no" / "a.nir", small_graph())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="PYTHONSAFEPATH is new in Python 3.11")
def test_reading_works_without_the_project_on_the_path(path, tmp_path):
    """The child finds its own package whatever the working folder; a file there named h5py.py is not run."""
    (tmp_path / "h5py.py").write_text("raise SystemExit('hijacked')")
    code = (
        "from sne_deploy.frontend.hdf5.file import read_hdf5; "
        f"print(len(read_hdf5({str(path)!r}, ('node',))))"
    )
    result = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(hdf5_file.Path(hdf5_file.__file__).parents[3])},
    )
    assert result.stdout.strip() == "1", result.stderr
