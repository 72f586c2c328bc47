"""Tensors and containers made to harm: none takes memory, each gets one clear line."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from .conftest import REMEDY, refused, tensor_pickle, write_zip

# tensors


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (
            tensor_pickle("1000000000000", "0"),
            r"shape \[1000000000000\] \(1000000000000 values\) on a storage of 1",
        ),
        (tensor_pickle("1000000,1000000", "1000000,1"), "on a storage of 1"),
        (tensor_pickle("4", "0", 1), "on a storage of 1"),
        (tensor_pickle("0,9223372036854775807", "1,1", 1), "on a storage of 1"),
        (tensor_pickle("1", "1", 10**12), r"data/0 that claims 4000000000000 bytes where its entry has 4"),
        (tensor_pickle("-1", "1"), "size, stride or offset that is negative"),
        (tensor_pickle("1", "-1"), "size, stride or offset that is negative"),
        (tensor_pickle("1", "1", -1), "size, stride or offset that is negative"),
        (tensor_pickle("1", "1", offset=-4), "size, stride or offset that is negative"),
        (tensor_pickle("1", "1", offset=1), "on a storage of 1"),
        (tensor_pickle("1", "1,1"), "a damaged shape"),
        (tensor_pickle("1,1,1,1,1,1,1,1,1", "1,1,1,1,1,1,1,1,1"), "9 dimensions, limit 8"),
        (tensor_pickle("1", "1", grad=b"\x88"), "requires a gradient; detach it"),
        (tensor_pickle("1", "1", grad=b"N"), "requires a gradient"),
        (tensor_pickle("1", "1", key="7"), "storage data/7 is missing"),
    ],
)
def test_tensor_claims_are_checked(tmp_path, pickled, message):
    refused(write_zip(tmp_path / "model.pt", pickled, {"0": bytes(4)}), message)


def test_a_well_formed_tensor_by_hand_reaches_the_schema(tmp_path):
    """The machine accepts what torch writes: only the document is then missing."""
    path = write_zip(tmp_path / "model.pt", tensor_pickle("1", "1"), {"0": bytes(4)})
    refused(path, "a bare state dict")


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (lambda: torch.zeros(2, 2).to_sparse(), "a tensor that is not a plain one .*sparse"),
        (
            lambda: torch.zeros(2, dtype=torch.complex64),
            "a tensor of type torch.ComplexFloatStorage, which is not one",
        ),
        (
            lambda: torch.zeros(2, dtype=torch.bfloat16),
            "a tensor of type torch.BFloat16Storage, which is not one",
        ),
        (lambda: torch.zeros(2, dtype=torch.float16), "a tensor of type torch.HalfStorage, which is not one"),
        (lambda: torch.zeros(2, requires_grad=True), "requires a gradient"),
        (lambda: torch.nn.Parameter(torch.zeros(2)), "not a plain one .*_rebuild_parameter"),
        (lambda: torch.zeros(2, device="meta"), "not a plain one .*meta"),
        (lambda: torch.zeros(4)[1:], r"shape \[3\] \(3 values\) on a storage of 4"),
        (lambda: torch.zeros(1).expand(4), "on a storage of 1"),
        (lambda: torch.arange(6.0).reshape(2, 3).T, "not contiguous"),
    ],
)
def test_tensors_that_are_not_plain_are_refused(document, saved, tensor, message):
    document["head"]["weight"] = tensor()
    refused(saved(document), message)


def test_tensors_that_share_a_storage_are_refused(document, saved):
    base = torch.zeros(4)
    document["head"]["bias"], document["head"]["mean"] = base, base.view(4)
    refused(saved(document), "two tensors that share the storage")
    document["head"]["mean"] = base
    refused(saved(document), "a container or tensor that appears twice")


# containers


def shared_nest(depth, *, kind=list):
    nest = kind()
    for _ in range(depth):
        nest = kind((nest, nest))
    return nest


def test_nests_are_refused(document, saved):
    document["provenance"] = {"nest": shared_nest(20)}
    refused(saved(document), "a container or tensor that appears twice")
    document["provenance"] = {"nest": shared_nest(24, kind=tuple)}
    refused(saved(document), "expand to more than 1000000 values")
    deep = []
    for _ in range(40):
        deep = [deep]
    document["provenance"] = {"nest": deep}
    refused(saved(document), "containers nested deeper than 32")
    document["provenance"] = {"nest": deep[0][0][0][0][0][0][0][0][0][0][0][0][0][0]}
    refused(saved(document), "nested deeper than 16")
    loop = []
    loop.append(loop)
    document["provenance"] = {"loop": loop}
    refused(saved(document), "appears twice, or inside itself")
    document["provenance"] = {(1, 2): 3}
    refused(saved(document), "a dict key that is not text")


@pytest.mark.parametrize(
    "value", [b"bytes", {1, 2}, 1j, Path("x"), torch.float32, np.zeros(2), torch.Size([1])]
)
def test_other_types_are_refused(document, saved, value):
    document["provenance"] = {"a": value}
    refused(saved(document), "which can run code when it is read|not one of|refused")


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02" + b"]" * 100 + b".",
        b"\x80\x02h\x00.",
        b"\x80\x02t.",
        b"\x80\x02a.",
        b"\x80\x02]u.",
        b"\x80\x02.",
        b"\x80\x02R.",
        b"\x80\x02NQ.",
        b"\x80\x02N",
        b"\x80\x02X\xff\xff\xff\x7fabc",
        b"\x80\x02\x8b\xff\xff\xff\x7f",
        b"\x80\x02N\x81.",
        b"\x80\x02(NN}us.",
        b"\x80\x02ccollections\nOrderedDict\n(K\x01tR.",
        b"\x80\x02ctorch\nFloatStorage\n)R.",
        b"cos\nsystem\n(S'true'\ntR.",
    ],
)
def test_damaged_pickles_are_refused(tmp_path, pickled):
    refused(write_zip(tmp_path / "model.pt", pickled), f"refused: it holds|pickled object.*{REMEDY}")


def test_random_pickles_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    opcodes = np.frombuffer(b"\x80\x02}]()NK\x01h\x00q\x00Xtuase\x85\x86\x87RQcb.", np.uint8)
    for _ in range(300):
        pickled = rng.choice(opcodes, 60).tobytes() + b"."
        refused(
            write_zip(tmp_path / "model.pt", b"\x80\x02" + pickled),
            "refused|pickled object|not a model|state",
        )


# memory


BOMBS = {
    "stride_0": (tensor_pickle("1000000000000", "0"), {"0": bytes(4)}),
    "claimed_shape": (tensor_pickle("2000000000", "1"), {"0": bytes(4)}),
    "claimed_storage": (tensor_pickle("2000000000", "1", 2_000_000_000), {"0": bytes(4)}),
    "shared_tuples": (b"\x80\x02)" + b"".join(b"q%ch%c\x86" % (n, n) for n in range(40)) + b".", {}),
    "hashed_tuples": (b"\x80\x02})" + b"".join(b"q%ch%c\x86" % (n, n) for n in range(40)) + b"Ns.", {}),
    "deep_tuples": (b"\x80\x02)" + b"\x85" * 2_000_000 + b".", {}),
    "many_lists": (b"\x80\x02(" + b"]" * 15_000_000 + b"t.", {}),
    "long_text": (b"\x80\x02X\xff\xff\xff\xff.", {}),
}


def test_bombs_take_no_memory(tmp_path):
    """All of them in one child whose address space may grow by 400 MB."""
    for name, (pickled, storages) in BOMBS.items():
        write_zip(tmp_path / f"{name}.pt", pickled, storages)
    write_zip(tmp_path / "deflated.pt", bytes(100_000_000), compression=zipfile.ZIP_DEFLATED)
    code = """
import json, resource, sys
from pathlib import Path
import torch
from sne_deploy.model.checkpoint import load_checkpoint
from sne_deploy.errors import CheckpointError
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 400_000_000, used + 400_000_000))
found = {}
for path in sorted(Path(sys.argv[1]).glob("*.pt")):
    try:
        load_checkpoint(path)
    except CheckpointError as error:
        found[path.stem] = str(error)
print(json.dumps(found))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, timeout=120, check=True
    )
    found = json.loads(done.stdout)
    assert set(found) == {*BOMBS, "deflated"}
    for message in found.values():
        assert "\n" not in message
    assert "expand to more than" in found["shared_tuples"]
    assert "nested deeper" in found["deep_tuples"]
    assert "more than 1000000 pickle opcodes" in found["many_lists"]
    assert "is compressed" in found["deflated"]
