"""ONNX files that are programs without an end, or ask for any memory; and what onnxruntime leaves."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sne_deploy.sandbox import process as sandbox
from sne_deploy.teacher import process
from sne_deploy.teacher.onnx_model import TeacherError
from sne_deploy.teacher.process import TeacherProcess
from sne_deploy.teacher.run import evaluate_teacher

OPSETS = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
X = np.zeros((3, 4), np.float32)


def model(nodes: list[Any], tensors: dict[str, Any], functions: tuple[Any, ...] = ()) -> onnx.ModelProto:
    entry, output = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in "xy")
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()]
    graph = helper.make_graph(nodes, "hostile", [entry], [output], constants)
    return helper.make_model(graph, opset_imports=OPSETS, functions=functions, ir_version=10)


def endless() -> onnx.ModelProto:
    """A loop that never stops."""
    info, real = helper.make_tensor_value_info, TensorProto.FLOAT
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["again"]), helper.make_node("Identity", ["v"], ["w"])],
        "body",
        [
            info("i", TensorProto.INT64, []),
            info("go", TensorProto.BOOL, []),
            info("v", TensorProto.FLOAT, None),
        ],
        [info("again", TensorProto.BOOL, []), info("w", real, None)],
    )
    return model([helper.make_node("Loop", ["", "yes", "x"], ["y"], body=body)], {"yes": True})


def exponential(depth: int = 40) -> onnx.ModelProto:
    """Functions that each call the one before twice."""
    functions = [
        helper.make_function("own", "F0", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], OPSETS)
    ]
    for index in range(1, depth):
        twice = [helper.make_node(f"F{index - 1}", [one], [two], domain="own") for one, two in ("ac", "cb")]
        functions.append(helper.make_function("own", f"F{index}", ["a"], ["b"], twice, OPSETS))
    last = helper.make_node(f"F{depth - 1}", ["x"], ["y"], domain="own")
    return model([last], {}, tuple(functions))


def reduced(node: Any, tensors: dict[str, Any]) -> onnx.ModelProto:
    """A huge tensor, of which one number is left, whose shape only a run knows."""
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["zero"], keepdims=0),
        helper.make_node("Cast", ["zero"], ["nothing"], to=TensorProto.INT64),
        helper.make_node("Add", ["large", "nothing"], ["sizes"]),
        node,
        helper.make_node("ReduceMax", ["huge"], ["one"], keepdims=0),
        helper.make_node("Add", ["x", "one"], ["y"]),
    ]
    return model(nodes, tensors)


LARGE = np.array([20_000, 20_000], np.int64)
HOSTILE = {
    "endless loop": (endless, r"running it: its reader was stopped .*limit"),
    "functions": (exponential, r"(memory|its reader was (stopped|killed)).*; use a smaller teacher"),
    "constant": (
        lambda: reduced(helper.make_node("ConstantOfShape", ["sizes"], ["huge"]), {"large": LARGE}),
        r"running it needs more than \d+ MiB of memory, the limit; use a smaller teacher",
    ),
    "tile": (
        lambda: reduced(
            helper.make_node("Tile", ["o", "sizes"], ["huge"]),
            {"large": LARGE, "o": np.ones((1, 1), np.float32)},
        ),
        r"running it needs more than \d+ MiB of memory, the limit; use a smaller teacher",
    ),
    "expand": (
        lambda: reduced(
            helper.make_node("Expand", ["o", "sizes"], ["huge"]),
            {"large": LARGE, "o": np.ones((1, 1), np.float32)},
        ),
        r"running it needs more than \d+ MiB of memory, the limit; use a smaller teacher",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_teachers_are_stopped(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SECONDS", 1)
    make, message = HOSTILE[name]
    path = tmp_path / "teacher.onnx"
    path.write_bytes(make().SerializeToString())
    assert path.stat().st_size < 10_000
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with pytest.raises(TeacherError, match=message) as caught:
        evaluate_teacher(path, X, None)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert str(caught.value).isprintable()
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10
    # KiB, of the largest child so far; until a child starts its program it is as large as this process.
    ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after.ru_maxrss <= max(1 << 20, before.ru_maxrss, ours)


def test_a_loop_that_ends_is_a_teacher(tmp_path: Path) -> None:
    proto = endless()
    proto.graph.node[0].input[0] = "trips"
    proto.graph.initializer.append(numpy_helper.from_array(np.array(3, np.int64), "trips"))
    path = tmp_path / "teacher.onnx"
    path.write_bytes(proto.SerializeToString())
    found = evaluate_teacher(path, np.eye(4, dtype=np.float32), np.arange(4))
    assert found.accuracy == 1.0
    assert found.uncounted == ("Loop",)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import os; os.kill(os.getpid(), 11)", "killed by SIGSEGV; its limits are"),
        ("import time; time.sleep(60)", "stopped for taking too long"),
        ("print('x' * 10**6); import time; time.sleep(60)", "damaged data"),
        ("import sys; sys.exit('no onnx')", "failed with status 1: no onnx"),
    ],
)
def test_a_child_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch, program: str, message: str) -> None:
    monkeypatch.setattr(process, "child_command", lambda *_: [sys.executable, "-c", program])
    monkeypatch.setattr(process, "SECONDS", 1)
    monkeypatch.setattr(sandbox, "PATIENCE", 2.0)
    with pytest.raises(TeacherError, match=message):
        TeacherProcess(model([], {}).SerializeToString(), "teacher.onnx")


def test_the_child_has_the_telemetry_of_onnxruntime_off_and_leaves_no_file(tmp_path: Path) -> None:
    """What onnxruntime 1.31 leaves otherwise, in TMPDIR and in HOME, is there with its first session."""
    program = (
        "import sys; import numpy as np; from sne_deploy.teacher.run import evaluate_teacher; "
        f"evaluate_teacher({str(tmp_path / 'in' / 't.onnx')!r}, np.zeros((1, 4), np.float32), None); "
        "print('onnxruntime' in sys.modules)"
    )
    (tmp_path / "in").mkdir()
    proto = model([helper.make_node("Relu", ["x"], ["y"])], {})
    (tmp_path / "in" / "t.onnx").write_bytes(proto.SerializeToString())
    folder = tmp_path / "home"
    folder.mkdir()
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    }
    environment |= {"HOME": str(folder), "TMPDIR": str(folder)}
    found = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60
    )
    assert found.stdout.strip() == "False", found.stderr  # it is imported in the child alone
    assert list(folder.rglob("*")) == []


def test_nothing_is_left_running(tmp_path: Path) -> None:
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text().split()
    data = model([helper.make_node("Relu", ["x"], ["y"])], {}).SerializeToString()
    with TeacherProcess(data, "a"):
        assert len(children.read_text().split()) == len(before) + 1
    with pytest.raises(TeacherError):
        TeacherProcess(b"no model", "a")
    time.sleep(0)
    assert children.read_text().split() == before
