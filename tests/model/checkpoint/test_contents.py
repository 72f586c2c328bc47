"""What a pickle may hold beyond what the machine refuses, and the arrays that are made of it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from sne_deploy.errors import CheckpointError
from sne_deploy.model.checkpoint.archive import Archive, read_archive
from sne_deploy.model.checkpoint.contents import DTYPES, read_contents

from .conftest import refused, tensor_pickle, write_zip


def deep(depth):
    nest = []
    for _ in range(depth):
        nest = [nest]
    return nest


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (deep(17), "nested deeper than 16"),
        ([0] * 500_001, "expands to more than 500000 values"),
        ("x" * (2**20 + 1), "outer is a text of 1048577 characters, limit 1048576"),
    ],
)
def test_what_is_not_plain_is_refused(saved, value, message):
    refused(saved({"outer": value}), message)


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (b"\x80\x03}X\x01\x00\x00\x00aC\x01xs.", "a is of type bytes, not plain data"),
        (b"\x80\x03]C\x01xa.", "0 is of type bytes, not plain data"),
        (b"\x80\x03}C\x01xNs.", "the root has a key that is not text"),
        (b"\x80\x02ccollections\nOrderedDict\n)R.", "is of type OrderedDict, not plain data"),
        (b"\x80\x02ctorch\nFloatStorage\n.", "is of type Global, not plain data"),
    ],
)
def test_what_the_machine_makes_for_tensors_alone_is_no_data(tmp_path, pickled, message):
    refused(write_zip(tmp_path / "model.pt", pickled), message)


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_are_what_torch_reads(saved, dtype):
    values = torch.tensor([[0, 1, 100], [3, 0, 5]]).to(getattr(torch, dtype))
    path = saved(
        {"first": values, "none": torch.zeros(0, 3, dtype=values.dtype), "one": values[0, 1].clone()}
    )
    read = read_contents(path, read_archive(path, path))
    theirs = torch.load(path, weights_only=True)
    assert list(read) == list(theirs)
    for name, array in read.items():
        assert array.dtype == np.dtype(dtype)
        assert array.shape == tuple(theirs[name].shape)
        assert np.array_equal(array, theirs[name].numpy())
        assert not array.flags.writeable


def test_bools_are_zero_or_one():
    pickled = tensor_pickle("3", "1", 3).replace(b"FloatStorage", b"BoolStorage")
    read = read_contents("file", Archive(pickled, {"0": b"\x00\x02\xff"}))
    assert read["t"].tolist() == [False, True, True]
    assert read["t"].view(np.uint8).tolist() == [0, 1, 1]


def test_arrays_share_the_bytes_that_were_read():
    data = np.arange(4, dtype="<f4").tobytes()
    read = read_contents("file", Archive(tensor_pickle("2,2", "2,1", 4), {"0": data}))
    assert np.shares_memory(read["t"], np.frombuffer(data, np.uint8))
    assert read["t"].tolist() == [[0, 1], [2, 3]]


def test_reading_imports_no_torch(ensemble, tmp_path):
    ensemble.save(tmp_path / "model.pt")
    code = (
        "import sys; from sne_deploy.model.checkpoint import load_checkpoint; load_checkpoint(sys.argv[1]);"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "model.pt"], check=True)


def test_a_claim_without_its_storage_makes_nothing():
    with pytest.raises(CheckpointError, match="storage data/0 is missing"):
        read_contents("file", Archive(tensor_pickle("1", "1"), {}))
