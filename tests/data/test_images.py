"""MNIST and CIFAR-10: files read and refused, real ones where they are at hand."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sne_deploy.data import load_data
from sne_deploy.errors import DataError
from sne_deploy.model.ensemble import Encoder

SHARED = Path(__file__).resolve().parents[3] / "shared"
CURRENT = Encoder("constant")


def load(spec, shape=(3,), timesteps=4, encoder=CURRENT):
    return load_data(str(spec), input_shape=shape, timesteps=timesteps, encoder=encoder)


class Runs:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


# MNIST


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_mnist(folder, images, labels, *, zipped):
    for stem, array in (("t10k-images-idx3-ubyte", images), ("t10k-labels-idx1-ubyte", labels)):
        data = idx(array)
        (folder / f"{stem}{'.gz' if zipped else ''}").write_bytes(gzip.compress(data) if zipped else data)


@pytest.mark.parametrize("zipped", [True, False])
def test_mnist_reads_idx_files(tmp_path, zipped):
    images = np.random.default_rng(1).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    write_mnist(tmp_path, images, np.array([3, 1, 4], np.uint8), zipped=zipped)
    data = load(f"mnist:{tmp_path}", (1, 28, 28))
    assert np.array_equal(np.rint(data.x * 255)[:, 0], images)
    assert data.y.tolist() == [3, 1, 4]
    assert load(f"mnist:{tmp_path}", (784,)).x.shape == (3, 784)
    with pytest.raises(DataError, match="has no train-images-idx3-ubyte"):
        load(f"mnist:train:{tmp_path}", (784,))


def test_mnist_headers_are_checked_before_memory_is_taken(tmp_path):
    write_mnist(tmp_path, np.zeros((2, 28, 28), np.uint8), np.zeros(2, np.uint8), zipped=False)
    path = tmp_path / "t10k-images-idx3-ubyte"
    whole = path.read_bytes()
    for content, message in [
        (struct.pack(">HBB3I", 0, 8, 3, 2**31, 2**31, 2**31), "its header claims [0-9]+ bytes, limit"),
        (whole[:-1], "fewer bytes than the 1568"),
        (whole + b"x", "more bytes than the 1568"),
        (b"\x00\x00\x0d\x03" + whole[4:], "not an IDX file"),
        (b"", "not an IDX file"),
        (gzip.compress(whole)[:-9], "cannot read"),
        (idx(np.zeros((3, 28, 28), np.uint8)), "3 t10k images but 2 labels"),
    ]:
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            load(f"mnist:{tmp_path}", (784,))


@pytest.mark.skipif(
    not (SHARED / "data" / "mnist").is_dir(), reason="the MNIST files are not on this machine"
)
def test_real_mnist():
    data = load(f"mnist:{SHARED / 'data' / 'mnist'}", (1, 28, 28))
    assert data.x.shape == (10000, 1, 28, 28)
    assert data.y[:5].tolist() == [7, 2, 1, 0, 4]
    assert abs(float(data.x.mean(dtype=np.float64)) - 0.1325) < 1e-3


# CIFAR-10


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("key", [bytes, str])
def test_cifar10_reads_every_pickle_protocol(tmp_path, protocol, key):
    pixels = np.random.default_rng(2).integers(0, 256, (2, 3072), dtype=np.uint8)
    data_key, labels_key = (b"data", b"labels") if key is bytes else ("data", "labels")
    content = {b"batch_label": b"testing", data_key: pixels, labels_key: [3, 8], b"filenames": [b"a", b"b"]}
    (tmp_path / "test_batch").write_bytes(pickle.dumps(content, protocol=protocol))
    data = load(f"cifar10:{tmp_path}", (3, 32, 32))
    assert np.array_equal(np.rint(data.x * 255).reshape(2, 3072), pixels)
    assert data.y.tolist() == [3, 8]


def test_cifar10_reads_what_python_2_wrote(tmp_path):
    """The published files: SHORT_BINSTRING keys and a BINSTRING of pixels, protocol 2."""
    pixels = np.arange(3072, dtype=np.uint32).astype(np.uint8).tobytes()
    data = (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00"
        b"\x85U\x01b\x87Rq\x05(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|"
        b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x00\x0c\x00\x00"
        + pixels
        + b"tbU\x06labelsq\x08]q\t"
        b"K\x06au."
    )
    (tmp_path / "test_batch").write_bytes(data)
    loaded = load(f"cifar10:{tmp_path}", (3072,))
    assert np.rint(loaded.x[0] * 255).astype(np.uint8).tobytes() == pixels
    assert loaded.y.tolist() == [6]


def test_cifar10_never_runs_code(tmp_path):
    marker = tmp_path / "ran"
    (tmp_path / "test_batch").write_bytes(pickle.dumps({b"data": Runs(marker), b"labels": []}))
    with pytest.raises(DataError, match=r"it names 'posix\.system', no part of a CIFAR-10 batch"):
        load(f"cifar10:{tmp_path}", (3072,))
    assert not marker.exists()


PIXELS = np.zeros((2, 3072), np.uint8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({b"data": PIXELS, b"labels": [0, 10]}, "each must be 0 to 9"),
        ({b"data": PIXELS, b"labels": [0]}, "1 labels for 2 images"),
        ({b"data": PIXELS[:, :10], b"labels": [0, 1]}, r"data has shape \(2, 10\)"),
        ({b"data": PIXELS.astype(np.float32), b"labels": [0, 1]}, "not unsigned bytes"),
        ({b"data": PIXELS.astype(object), b"labels": [0, 1]}, "not unsigned bytes"),
        ({b"data": PIXELS}, "no data and labels"),
        ([1, 2], "no data and labels"),
    ],
)
def test_cifar10_batches_that_are_not_are_refused(tmp_path, content, message):
    (tmp_path / "test_batch").write_bytes(pickle.dumps(content, protocol=4))
    with pytest.raises(DataError, match=message):
        load(f"cifar10:{tmp_path}", (3072,))


def test_truncated_or_random_batches_are_refused(tmp_path):
    whole = pickle.dumps({b"data": PIXELS[:1, :], b"labels": [0]}, protocol=4)
    rng = np.random.default_rng(3)
    path = tmp_path / "test_batch"
    for content in [whole[:n] for n in range(0, len(whole), 97)] + [rng.bytes(200) for _ in range(50)]:
        path.write_bytes(content)
        with pytest.raises(DataError):
            load(f"cifar10:{tmp_path}", (3072,))


@pytest.mark.skipif(
    not (SHARED / "tools" / "unpack_cifar10.py").is_file(), reason="CIFAR-10 is not on this machine"
)
def test_real_cifar10(tmp_path):
    pytest.importorskip("PIL", reason="unpacking CIFAR-10 needs Pillow")
    subprocess.run([sys.executable, SHARED / "tools" / "unpack_cifar10.py", tmp_path], check=True)
    data = load(f"cifar10:{tmp_path}", (3, 32, 32))
    assert data.x.shape == (10000, 3, 32, 32)
    assert np.bincount(data.y).tolist() == [1000] * 10
