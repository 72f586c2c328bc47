"""The child that reads untrusted HDF5: what it may do, and files that its libraries' writers do not make."""

import json
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import h5py
import numpy as np
import pytest

from sne_deploy.errors import GraphError
from sne_deploy.frontend.hdf5 import child as hdf5_child
from sne_deploy.frontend.hdf5 import file as hdf5_file
from sne_deploy.frontend.hdf5.file import LIMITS, Limits, read_hdf5
from sne_deploy.text import one_line
from tests.damage import repair
from tests.fuzzing import untouched
from tests.odd_trees import ODD, make_outside, write_tree


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["node/a"] = np.arange(3.0)
    return tmp_path / "a.h5"


def refused(path, match, limits=LIMITS):
    with pytest.raises(GraphError, match=match) as error:
        read_hdf5(path, ("node",), limits)
    assert str(error.value).isprintable()
    return str(error.value)


def patched(path, old, new):
    """Bytes that no writer writes, with checksums that fit."""
    data = bytearray(path.read_bytes())
    assert len(old) == len(new)
    assert data.count(old) >= 1
    data = data.replace(old, new)
    repair(data)
    path.write_bytes(data)


def in_child(program, *arguments):
    """Run a program after the child's limits were set."""
    code = f"""
import os, sys
sys.path.insert(0, {str(Path(hdf5_child.__file__).parents[3])!r})
from sne_deploy.frontend.hdf5 import child as hdf5_child
hdf5_child.limit_resources(1 << 30, 2)
{program}
"""
    command = [sys.executable, "-I", "-S", "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_child_opens_one_file_and_no_second(path, tmp_path):
    (tmp_path / "b").write_text("b")
    program = "first = open(sys.argv[1], 'rb'); print(len(first.read())); open(sys.argv[2], 'rb')"
    result = in_child(program, path, tmp_path / "b")
    assert result.stdout.strip() == str(path.stat().st_size)
    assert "[Errno 24] Too many open files" in result.stderr
    result = in_child("import socket; both = socket.socket(), socket.socket()")
    assert result.returncode != 0


def test_the_child_writes_no_file(tmp_path):
    result = in_child("f = open(sys.argv[1], 'wb', 0); f.write(b'x')", tmp_path / "new")
    assert result.returncode == -25  # SIGXFSZ
    assert (tmp_path / "new").read_bytes() == b""


def test_the_child_has_a_limit_of_memory_and_time():
    assert "MemoryError" in in_child("bytearray(2 << 30)").stderr
    assert in_child("while True: pass").returncode == -24  # SIGXCPU


def test_limits_that_are_lower_already_stay(path):
    """As on a cluster, where a job may not raise its own."""
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
from sne_deploy.frontend.hdf5.file import read_hdf5
print(read_hdf5({str(path)!r}, ("node",))["node"]["a"].tolist())
"""
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "[0.0, 1.0, 2.0]", result.stderr


@pytest.mark.parametrize("name", ["a/b", "/ab", ".", "a\0b", "\x1bxx", "\xffxx"])
def test_names_that_are_paths_or_no_text(path, name):
    """HDF5 would follow a name with a slash, through links of any kind."""
    with h5py.File(path, "r+") as file:
        file["node/QZQ"] = 1.0
    patched(path, b"QZQ\0", name.encode("latin-1").ljust(4, b"\0"))
    message = "is no name|control characters|not UTF-8"
    if name == "a\0b":  # ends at the zero: another name twice
        refused(path, "same name|linked more than once|cannot be read")
    else:
        refused(path, message)


def test_a_slash_leads_nowhere(path, tmp_path):
    (tmp_path / "outside").mkdir()
    make_outside(tmp_path / "outside")
    with h5py.File(path, "r+") as file:
        file["node/g"] = h5py.ExternalLink(tmp_path / "outside" / "other.h5", "/")
        file["node/AQA"] = 1.0  # before "g" in the order of names
    patched(path, b"AQA", b"g/x")
    with untouched(tmp_path / "outside"):
        refused(path, "is no name of a link|external link")


def test_user_defined_links(path):
    """Their numbers start where external links are."""
    with h5py.File(path, "w") as file:
        group = file.create_group("node", track_order=True)
        group["link"] = h5py.ExternalLink("nowhere.h5", "/")
    data = bytearray(path.read_bytes())
    start = data.index(b"link")
    kind = data.rindex(bytes([64]), 0, start)
    data[kind] = 65
    repair(data)
    path.write_bytes(data)
    refused(path, "/node/link: is a user-defined link")


@pytest.mark.parametrize(
    "case", [name for name in ODD if "link" in name or "virtual" in name or "ext" in name]
)
def test_nothing_outside_is_opened(case, tmp_path):
    (tmp_path / "outside").mkdir()
    make_outside(tmp_path / "outside")
    write_tree(tmp_path / "a.h5", {"node": {"a": ODD[case]}}, tmp_path / "outside")
    with untouched(tmp_path / "outside"):
        try:
            read_hdf5(tmp_path / "a.h5", ("node",))
        except GraphError as error:
            assert str(error).isprintable()  # noqa: PT017  # text is read, everything else refused


def test_no_plug_in_is_loaded(path, tmp_path, monkeypatch):
    """Neither by a data set's filter nor by a group's, wherever the user's own variables point."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "libh5any.so").write_bytes(b"\x7fELF")
    monkeypatch.setenv("HDF5_PLUGIN_PATH", str(folder))
    monkeypatch.delenv("HDF5_PLUGIN_PRELOAD", raising=False)
    with h5py.File(path, "r+") as file:
        data = file["node"].create_dataset("x", data=np.arange(8.0), chunks=(8,), compression="gzip")
        assert data.id.get_num_chunks() == 1
    with untouched(folder):
        assert read_hdf5(path, ("node",))["node"]["x"].tolist() == list(range(8))
    raw = path.read_bytes()
    with h5py.File(path, "r+") as file:
        del file["node/x"]
    start = raw.index(b"deflate\0") - 8
    assert raw[start : start + 2] == b"\1\0"
    path.write_bytes(raw[:start] + (30000).to_bytes(2, "little") + raw[start + 2 :])
    with untouched(folder):
        refused(path, "uses filter 30000")


def test_chunks_cost_time_each(path):
    with h5py.File(path, "r+") as file:
        file.create_dataset("node/x", shape=(LIMITS.chunks + 1,), dtype="u1", chunks=(1,))
    refused(path, f"/node/x: there are more than {LIMITS.chunks} chunks")


def test_what_is_added_up(path):
    with h5py.File(path, "r+") as file:
        for index in range(4):
            file.create_dataset(f"node/x{index}", shape=(1000,), dtype="f8")
    assert len(read_hdf5(path, ("node",), Limits(total_bytes=32024))["node"]) == 5
    refused(path, "x3: its data need more than the limit of 32023 bytes", Limits(total_bytes=32023))


def test_bools_are_zero_or_one(path):
    """Whatever byte stands in the file."""
    with h5py.File(path, "r+") as file:
        file["node/x"] = np.array([True, False, True, True])
        offset = file["node/x"].id.get_offset()
    raw = bytearray(path.read_bytes())
    raw[offset : offset + 4] = bytes([1, 0, 7, 255])
    path.write_bytes(raw)
    found = read_hdf5(path, ("node",))["node"]["x"]
    assert found.dtype == np.bool_
    assert set(found.view(np.uint8).tolist()) <= {0, 1}


def test_arrays_of_many_types_come_back(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        f"{code}{order}{len(shape)}": rng.integers(0, 2, shape).astype(np.dtype(code).newbyteorder(order))
        for code in "?bBhHiIqQefd"
        for order in "<>"
        for shape in [(), (0,), (5,), (2, 0, 3), (3, 1, 2)]
    }
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, array in arrays.items():
            file[f"node/{name}"] = array
    back = read_hdf5(tmp_path / "a.h5", ("node",))["node"]
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype.newbyteorder("=")
        assert back[name].shape == array.shape
        assert np.array_equal(back[name], array)
        assert back[name].flags.writeable
        assert back[name].flags.aligned


def test_strings_of_all_kinds_come_back(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("node")
        group["fixed"] = np.array([b"ab", b"c"], "S3")
        group["utf8"] = "Größe"
        group.create_dataset("fixed8", data="Größe".encode(), dtype=h5py.string_dtype("utf-8", 8))
        group.create_dataset("pairs", data=[["a", "b"], ["c", ""]], dtype=h5py.string_dtype("ascii"))
        group.create_dataset("none", shape=(2,), dtype=h5py.string_dtype())
    tree = read_hdf5(tmp_path / "a.h5", ("node",))["node"]
    assert tree["fixed"] == ["ab", "c"]
    assert tree["utf8"] == tree["fixed8"] == "Größe"
    assert tree["pairs"] == ["a", "b", "c", ""]
    assert tree["none"] == ["", ""]


def test_large_arrays_take_their_own_size_once(tmp_path):
    """Of memory here, whatever the child needs for itself."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["node/x"] = np.ones(8 << 20)
    code = f"""
import resource
from sne_deploy.frontend.hdf5.file import read_hdf5
read_hdf5({str(tmp_path / "a.h5")!r}, ("node",), )
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = read_hdf5({str(tmp_path / "a.h5")!r}, ("node",))
again = read_hdf5({str(tmp_path / "a.h5")!r}, ("node",))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert float(result.stdout) < 64 * 1.25, result.stderr


def held():
    """Open files and children of this process."""
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
    return len(list(Path("/proc/self/fd").iterdir())), children


def test_no_process_and_no_pipe_is_left(path):
    before = held()
    for _ in range(3):
        read_hdf5(path, ("node",))
        refused(path, "more than 1 objects", Limits(objects=1))
    assert held() == before


def test_options_are_those_of_the_child():
    options = json.loads(hdf5_file.child_options(("node",), LIMITS))
    fields = set(hdf5_child.Budget.__dataclass_fields__)
    assert {*asdict(LIMITS)} - {"file_bytes", "memory_bytes", "seconds"} < fields
    assert options["roots"] == ["node"]
    assert all(Path(folder).is_dir() for folder in options["import_path"])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nb\r\n  c", "a b c"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("\udcff \u202e \xa0Größe", "\\udcff \\u202e Größe"),
        ("", ""),
    ],
)
def test_one_line(text, line):
    assert one_line(text) == line


def test_one_line_is_bounded_and_quick():
    start = time.monotonic()
    long = one_line("begin" + "\x00" * 100_000_000 + "end")
    assert len(long) <= 1000
    assert long.startswith("begin\\x00")
    assert long.endswith("end")
    assert time.monotonic() - start < 2
