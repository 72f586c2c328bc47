"""Files of another kind, and zip files made to harm: each gets one clear line, and none runs."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from sne_deploy.errors import CheckpointError
from sne_deploy.model.checkpoint import archive as archive_module
from sne_deploy.model.checkpoint import load_checkpoint, save_checkpoint

from .conftest import REMEDY, make_ensemble, refused, tensor_pickle, write_zip


class Runs:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


# files of another kind


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"random bytes that are no zip file", "not a model.pt: no zip file starts here"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file; name it .nir or .net"),
        (b"PK\x03\x04" + bytes(5), "damaged or truncated zip file"),
        (b"PK\x03\x04" + bytes(500), "damaged or truncated zip file"),
        (pickle.dumps({"a": 1}, protocol=2), "a pickle or a model in torch's legacy format"),
    ],
)
def test_files_of_another_kind(tmp_path, content, message):
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    refused(path, message)


def test_missing_file_and_folder(tmp_path):
    refused(tmp_path / "missing.pt", r"cannot read .*missing\.pt: No such file or directory; give the path")
    refused(tmp_path, "cannot read .*: it is a folder, not a file")


def test_legacy_formats_are_not_run(tmp_path, saved):
    marker = tmp_path / "ran"
    path = saved({"a": Runs(marker)}, _use_new_zipfile_serialization=False)
    refused(path, f"torch's legacy format, which can run code when it is read; {REMEDY}")
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("storages"), io.BytesIO())
    refused(path, f"torch's legacy format.*{REMEDY}")
    assert not marker.exists()


def test_pickled_code_is_not_run(tmp_path, saved):
    marker = tmp_path / "ran"
    refused(
        saved(Runs(marker)), rf"a pickled object \('posix\.system'\), which can run code .*was not; {REMEDY}"
    )
    refused(saved({"format": "sne-deploy/model", "version": 1, "x": [Runs(marker)]}), r"posix\.system")
    assert not marker.exists()


def test_modules_and_state_dicts_get_the_remedy(saved):
    module = torch.nn.Linear(2, 2)
    refused(saved(module), f"a pickled object .'torch.nn.modules.linear.Linear'.*{REMEDY}")
    refused(saved(module.state_dict()), f"a bare state dict.*{REMEDY}")
    refused(saved(dict(module.state_dict())), rf"a bare state dict|requires a gradient.*{REMEDY}")
    refused(saved({"epoch": 3, "state_dict": module.state_dict()}), f"a bare state dict.*{REMEDY}")
    refused(saved({"weight": torch.zeros(2)}), f"a bare state dict.*{REMEDY}")
    refused(saved([1, 2]), f"not a model.*{REMEDY}")


def test_torchscript_is_refused(tmp_path):
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02N.")
        archive.writestr("archive/constants.pkl", b"\x80\x02).")
    refused(path, "unexpected zip entry 'archive/constants.pkl'")


# zip files


def test_damage_is_found_at_every_length_and_byte(tmp_path):
    path = tmp_path / "model.pt"
    save_checkpoint(make_ensemble(), path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for length in rng.integers(0, len(whole), 150):
        path.write_bytes(whole[:length])
        refused(path, "damaged or truncated|empty|not a model.pt")
    flipped = 0
    for index in rng.integers(0, len(whole), 200):
        path.write_bytes(
            whole[:index] + bytes([whole[index] ^ (1 << int(rng.integers(8)))]) + whole[index + 1 :]
        )
        with contextlib.suppress(CheckpointError):
            load_checkpoint(path)
            continue
        flipped += 1
    assert flipped > 100
    for _ in range(50):
        path.write_bytes(b"PK\x03\x04" + rng.bytes(300))
        refused(path, "damaged or truncated")


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_entries_are_refused(tmp_path, compression):
    path = write_zip(tmp_path / "model.pt", bytes(10_000_000), compression=compression)
    assert path.stat().st_size < 20_000
    refused(path, "zip entry 'archive/data.pkl' is compressed, must be stored")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("archive/code.py", "unexpected zip entry 'archive/code.py'"),
        ("/etc/passwd", "unexpected zip entry '/etc/passwd'"),
        ("archive/../../x", "unexpected zip entry"),
        ("archive/data/../x", "unexpected zip entry"),
        ("archive/data/00", "unexpected zip entry"),
        ("archive/data/-1", "unexpected zip entry"),
        ("other/data/1", "unexpected zip entry 'other/data/1'"),
        ("archive/data/0", "zip entry 'archive/data/0' appears twice"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_unexpected_entries_are_refused(tmp_path, name, message):
    path = write_zip(tmp_path / "model.pt", tensor_pickle("1", "1"), {"0": bytes(4)})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"")
    refused(path, message)


def test_limits_are_named(tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    with path.open("wb") as stream:
        stream.write(b"PK\x03\x04")
        stream.truncate(archive_module.MAX_FILE_BYTES + 1)
    refused(path, "1073741825 bytes, more than the limit of 1073741824 for a model.pt")
    write_zip(path, bytes(archive_module.MAX_PICKLE_BYTES + 1))
    refused(path, "zip entry 'archive/data.pkl' claims 16777217 bytes, limit 16777216")
    monkeypatch.setattr(archive_module, "MAX_ENTRIES", 3)
    write_zip(path, b"\x80\x02N.", {"0": b"", "1": b""})
    refused(path, "4 zip entries, more than the limit of 3")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/version", "3")
    refused(path, r"a zip file without data\.pkl")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02N.")
        archive.writestr("archive/byteorder", "big")
    refused(path, "byte order b'big' is not little")


def test_entries_that_overlap_are_refused(tmp_path):
    """Many names for the same bytes: the sum of the sizes is more than the file."""
    path = write_zip(tmp_path / "model.pt", tensor_pickle("1", "1"), {"0": bytes(5000), "1": b""})
    raw = bytearray(path.read_bytes())
    first, last = (raw.rindex(b"archive/data/" + key) - 46 for key in (b"0", b"1"))
    raw[last + 16 : last + 28] = raw[first + 16 : first + 28]
    raw[last + 42 : last + 46] = raw[first + 42 : first + 46]
    path.write_bytes(raw)
    refused(path, "the zip entries claim more bytes than the file's|damaged")


def test_a_second_directory_or_trailing_bytes_are_refused(tmp_path):
    path = write_zip(tmp_path / "model.pt", b"\x80\x02N.")
    whole = path.read_bytes()
    path.write_bytes(whole + b"x")
    refused(path, "damaged or truncated zip file .no end record")
    path.write_bytes(b"PK\x03\x04" + whole)
    refused(path, "inconsistent end records")
    path.write_bytes(whole[:-10] + struct.pack("<LLH", 2**31, 0, 0))
    refused(path, "inconsistent end records")
