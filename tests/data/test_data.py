"""Data sets: specs, digits, npz files, and every refusal."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest

from sne_deploy.data import digits_split, load_data, select_samples, time_axis
from sne_deploy.data.dataset import DataSet
from sne_deploy.data.npz import load_npz
from sne_deploy.errors import DataError
from sne_deploy.model.ensemble import Encoder

CURRENT = Encoder("constant")


def load(spec, shape=(3,), timesteps=4, encoder=CURRENT):
    return load_data(str(spec), input_shape=shape, timesteps=timesteps, encoder=encoder)


def npz(tmp_path, **arrays):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    return path


# digits


def test_the_embedded_digits_are_scikit_learn_s():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x_train, y_train, x_test, y_test = digits_split()
    whole = {
        (x.tobytes(), int(y)) for x, y in zip(bunch.images.astype(np.float32) / 16, bunch.target, strict=True)
    }
    ours = [*zip(x_train, y_train, strict=True), *zip(x_test, y_test, strict=True)]
    assert {(x.tobytes(), int(y)) for x, y in ours} == whole
    assert len(whole) == 1797


def test_digits_are_read_without_scikit_learn():
    script = """
import sys
import tracemalloc
from sne_deploy.data import digits_split
digits_split()
print("sklearn" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


def test_digits_split_is_stratified_disjoint_and_whole():
    x_train, y_train, x_test, y_test = digits_split()
    assert len(y_train) + len(y_test) == 1797
    assert len(y_test) >= 450
    assert np.bincount(y_test).tolist() == [46] * 10
    images = {x.tobytes() for x in x_train} & {x.tobytes() for x in x_test}
    assert not images
    again = digits_split()
    assert all(np.array_equal(a, b) for a, b in zip((x_train, y_train, x_test, y_test), again, strict=True))


@pytest.mark.parametrize("shape", [(1, 8, 8), (64,), (8, 8)])
def test_digits_take_the_models_shape(shape):
    data = load("digits", shape)
    assert data.x.shape == (460, *shape)
    assert data.x.dtype == np.float32
    assert data.y.dtype == np.int64
    assert data.x.min() == 0.0
    assert data.x.max() == 1.0
    assert not data.x.flags.writeable
    assert len(load("digits:train", shape)) == 1337
    assert np.array_equal(data.x.reshape(460, 8, 8), digits_split()[2])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("digits:foo", "digits are embedded; give digits or digits:train"),
        ("mnist", "lacks its folder; give mnist:DIR"),
        ("cifar10:train", "lacks its folder"),
        ("imagenet", "unknown data 'imagenet'; give one of digits, mnist:DIR"),
        ("", "unknown data ''"),
        ("missing.npz", "cannot read missing.npz: No such file"),
        ("mnist:/nowhere", "has no t10k-images-idx3-ubyte"),
        ("cifar10:/nowhere", "cannot read /nowhere/test_batch"),
    ],
)
def test_bad_specs_are_refused(spec, message):
    with pytest.raises(DataError, match=message):
        load(spec)


def test_images_of_the_wrong_shape_are_refused():
    with pytest.raises(DataError, match=r"samples have shape \(8, 8\), the model takes \(1, 28, 28\)"):
        load("digits", (1, 28, 28))
    with pytest.raises(DataError, match=r"have no time axis; this model takes spikes of shape \(4, 64\)"):
        load("digits", (64,), encoder=Encoder("spikes"))


# samples


def test_select_samples():
    data = DataSet("d", np.zeros((5, 3)), np.arange(5))
    assert select_samples(data, None) is data
    first = select_samples(data, 2)
    assert len(first) == 2
    assert first.y.tolist() == [0, 1]
    for count in (0, -1, 6):
        with pytest.raises(DataError, match=f"--samples {count}: data set d has 5 samples; .* 1 and 5"):
            select_samples(data, count)


@pytest.mark.parametrize(
    ("x", "kind", "message"),
    [
        (np.full((2, 4, 3), 2.0), "spikes", "Counts and real .* --encoder graded --input-range 0,2 "),
        (np.full((2, 4, 3), -0.25), "spikes", r"encoder='graded', input_range=\(-0\.25, 1\)"),
        (np.full((2, 3), 12.34), "spikes", "no time axis; .* --encoder constant --input-range 0,13 "),
        (np.full((2, 3), 0.5), "graded", r"takes graded input of shape \(4, 3\) .* --encoder constant"),
        (np.full((2, 4, 3), 0.5), "constant", "with a time axis; encoder constant .* --encoder graded"),
        (
            np.full((2, 7, 3), 0.5),
            "graded",
            "last 7 steps, the model runs 4; .*, or samples that last no longer",
        ),
        (np.full((2, 3, 3), 0), "spikes", r"last 3 steps, the model runs 4; .*lengths=np\.full\(len\(x\), 3"),
        (
            np.full((2, 4, 3), 5),
            "graded",
            "from 5 to 5 leave the model's input range 0 to 1; .* --input-range",
        ),
    ],
)
def test_data_of_another_kind_are_told_their_encoder(tmp_path, x, kind, message):
    """Never advice that would change the input."""
    with pytest.raises(DataError, match=message) as caught:
        load(npz(tmp_path, x=x), encoder=Encoder(kind))
    assert "binar" not in str(caught.value)


def test_counts_of_every_type_are_graded_input(tmp_path):
    x = np.random.default_rng(0).integers(0, 9, (5, 4, 3))
    for dtype in (np.uint8, np.int16, np.int64, np.uint32, np.float32):
        data = load(npz(tmp_path, x=x.astype(dtype)), encoder=Encoder("graded", (0, 8)))
        assert np.array_equal(data.x, x)
        assert data.x.dtype.kind == "f"


# npz


def test_npz_keeps_values_and_reads_labels(tmp_path):
    x = np.linspace(0, 1, 12).reshape(4, 3)
    for dtype in (np.float16, np.float32, np.float64, ">f4"):
        data = load(npz(tmp_path, x=x.astype(dtype), y=np.array([0, 1, 2, 1], np.uint8)))
        assert np.array_equal(data.x, x.astype(dtype))
        assert data.x.dtype in (np.float32, np.float64)
        assert data.y.tolist() == [0, 1, 2, 1]
    assert load(npz(tmp_path, x=np.asfortranarray(x))).y is None
    assert np.array_equal(load(tmp_path / "data.npz").x, x)


def test_npz_spikes_have_a_time_axis(tmp_path):
    x = np.random.default_rng(0).integers(0, 2, (5, 4, 3))
    data = load(npz(tmp_path, x=x), encoder=Encoder("spikes"))
    assert data.x.dtype == np.uint8
    assert np.array_equal(data.x, x)
    assert time_axis(str(tmp_path / "data.npz")) == 4
    assert time_axis("digits") is None
    with pytest.raises(DataError, match=r"samples last 4 steps, the model runs 9; give --timesteps 4"):
        load(tmp_path / "data.npz", timesteps=9, encoder=Encoder("spikes"))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.full((2, 3), 1.5)}, "values from 1.5 to 1.5 leave the model's input range 0 to 1"),
        ({"x": np.full((2, 3), -0.1)}, "leave the model's input range"),
        ({"x": np.array([[0, 0, 0], [0, np.nan, 0]])}, r"x\[1, 1\] is nan; every value must be finite"),
        ({"x": np.array([[0, 0, np.inf]])}, r"x\[0, 2\] is inf; every value must be finite"),
        ({"x": np.zeros((0, 3))}, r"x has shape \(0, 3\) and no samples"),
        ({"x": np.float64(1)}, "no samples"),
        ({"x": np.zeros((2, 3), np.complex64)}, "dtype complex64, must hold numbers"),
        ({"x": np.zeros((2, 3), "U3")}, "dtype <U3, must hold numbers"),
        (
            {"x": np.zeros((2, 3)), "y": np.array(["a", "b"])},
            r"names, y = np\.unique\(y, return_inverse=True",
        ),
        (
            {"x": np.array([{}, {}])},
            "pickled objects are never read: .* and how many steps each lasts as lengths",
        ),
        ({"x": np.full((2, 3), 2**53 + 1)}, "x has dtype int64; store it as float32"),
        ({"x": np.zeros((2, 4))}, r"samples have shape \(4,\), the model takes \(3,\)"),
        ({"z": np.zeros((2, 3))}, r"has no array x \(found: z\)"),
        ({"x": np.zeros((2, 3)), "y": np.zeros(3, int)}, r"y has shape \(3,\), must be \(2,\)"),
        ({"x": np.zeros((2, 3)), "y": np.array([0, -1])}, "labels from -1 to 0"),
        ({"x": np.zeros((2, 3)), "y": np.array([0, 0.5])}, "labels that are not whole numbers"),
        ({"x": np.zeros((2, 3)), "y": np.array([0, np.nan])}, "labels that are not whole numbers"),
        ({"x": np.zeros((2, 3)), "y": np.array([True, False])}, "labels that are not whole numbers"),
    ],
)
def test_npz_data_that_does_not_fit_is_refused(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message) as caught:
        load(npz(tmp_path, **arrays))
    assert "\n" not in str(caught.value)


def test_spikes_that_are_not_binary_are_refused(tmp_path):
    x = np.zeros((2, 4, 3))
    x[1, 2, 0] = 0.5
    with pytest.raises(
        DataError, match=r"x\[1, 2, 0\] is 0.5, spikes are 0 or 1\. .* --encoder graded --input-range 0,1 "
    ):
        load(npz(tmp_path, x=x), encoder=Encoder("spikes"))


class Runs:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def test_npz_never_unpickles(tmp_path):
    marker = tmp_path / "ran"
    path = npz(tmp_path, x=np.array([[Runs(marker)]], dtype=object))
    with pytest.raises(DataError, match="pickled objects are never read"):
        load(path)
    assert not marker.exists()


def header_only(path, shape, body=b"", compression=zipfile.ZIP_STORED):
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("x.npy", member.getvalue() + body)


def test_npz_claims_are_checked_before_memory_is_taken(tmp_path):
    path = tmp_path / "bomb.npz"
    header_only(path, (10**9, 1000))
    with pytest.raises(DataError, match=r"claims shape \(1000000000, 1000\) of float32, but holds 0 bytes"):
        load(path)
    header_only(path, (2, -3), bytes(24))
    with pytest.raises(DataError, match="claims shape"):
        load(path)
    raw = bytearray(path.read_bytes())
    header_only(path, (2, 3), bytes(24))
    raw = bytearray(path.read_bytes())
    entry = raw.index(b"PK\x01\x02")
    raw[entry + 24 : entry + 28] = struct.pack("<I", 2**32 - 2)
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"claims shape|limit|damaged"):
        load(path)


@pytest.mark.parametrize("content", [b"", b"random bytes", b"PK\x03\x04" + bytes(100)])
def test_files_that_are_not_npz_are_refused(tmp_path, content):
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged or not an \.npz file"):
        load(path)
    with pytest.raises(DataError, match=r"damaged or not an \.npz file"):
        time_axis(str(path))


def test_truncated_npz_is_refused_at_every_length(tmp_path):
    whole = npz(tmp_path, x=np.zeros((2, 3)), y=np.zeros(2, int)).read_bytes()
    path = tmp_path / "cut.npz"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError):
            load(path)


def packed(path, header, values=b"", method=zipfile.ZIP_DEFLATED):
    """An .npz file with an x of any header."""
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + values
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("x.npy", content)
    return path


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"", "must hold numbers"),
        (b"{'descr': '<f4'}", "not in NumPy's format"),
        (b"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "must hold numbers"),
        (b"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "dtype object, must hold numbers"),
        (b"{'descr': 'zzz', 'fortran_order': False, 'shape': (1,)}", "must hold numbers"),
        (b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "claims shape"),
        (b"{'descr': '<f4', 'fortran_order': False, 'shape': (1e3,)}", "not in NumPy's format"),
        (b"{'descr': '<f4', 'fortran_order': 7, 'shape': (1,)}", "not in NumPy's format"),
        (b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"9" * 400 + b",)}", "which no array has"),
        (b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"1," * 99 + b")}", "which no array has"),
        (b"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} " + b" " * 5000, "not in NumPy's format"),
        (b"(" * 3000, "must hold numbers"),
        (b"-" * 3000 + b"1", "must hold numbers"),
        (b"{[]: 1}", "must hold numbers"),
        (b"\xff\x00\x1b[31m", "must hold numbers"),
    ],
)
def test_odd_headers_are_refused(tmp_path, header, message):
    path = packed(tmp_path / "data.npz", header, bytes(4))
    with pytest.raises(DataError, match=message) as caught:
        load(path)
    assert str(caught.value).isprintable()


def test_headers_as_other_programs_write_them_are_read(tmp_path):
    for header in (
        b'{"shape": (2, 3), "fortran_order": False, "descr": "<f4"}',
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L), }",
        b"{'descr':'<f4','fortran_order':False,'shape':(2,3)}",
    ):
        packed(tmp_path / "data.npz", header, np.arange(6, dtype="<f4").tobytes())
        assert load_npz("test", tmp_path / "data.npz")[0].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_small_file_of_a_huge_array_is_refused_unless_it_is_stored(tmp_path, monkeypatch):
    monkeypatch.setattr("sne_deploy.data.npz.MAX_SMALL_BYTES", 2**16)
    zeros = {"x": np.zeros((100, 1000), np.float32)}
    np.savez_compressed(tmp_path / "data.npz", **zeros)
    with pytest.raises(DataError, match=r"unpacks \d+ bytes to 400128, more than 100 to 1.* with np\.savez$"):
        load_npz("test", tmp_path / "data.npz")
    np.savez(tmp_path / "data.npz", **zeros)  # the remedy
    assert load_npz("test", tmp_path / "data.npz")[0].shape == (100, 1000)


def test_more_than_the_memory_that_there_is_is_refused(tmp_path, monkeypatch):
    path = npz(tmp_path, x=np.zeros((100, 1000), np.float32))
    monkeypatch.setattr("sne_deploy.data.arrays_on_disk.available_bytes", lambda: 1000)
    with pytest.raises(DataError, match="needs 400000 bytes of memory, 1000 are available"):
        load_npz("test", path)


def test_values_are_read_without_a_second_copy(tmp_path):
    np.savez(tmp_path / "data.npz", x=np.zeros(10**7, np.uint8))
    tracemalloc.start()
    try:
        load_npz("test", tmp_path / "data.npz")
        assert tracemalloc.get_traced_memory()[1] < 1.5e7
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_methods_that_could_take_any_memory_are_refused(tmp_path, method):
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}"
    with pytest.raises(DataError, match=r"is compressed by method \d+; write it with np\.savez"):
        load_npz("test", packed(tmp_path / "data.npz", header, bytes(4), method))
