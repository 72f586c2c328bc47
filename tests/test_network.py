"""Nothing of ours, and nothing that it imports, calls anybody or asks for a name."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.effort import examples

ROOT = Path(__file__).parents[1]
DIGITS = ROOT / "examples" / "digits"
LONG = examples(1) > 1
WAIT_S = 15 if LONG else 0
"""onnxruntime reports to its maker within ten seconds of its first session, where it is let."""
UNSHARE = ["unshare", "--net", "--mount", "--map-root-user"]
HEAVY = [
    "torch",
    "norse.torch",
    "nir",
    "h5py",
    "onnx",
    "numba",
    "scipy.sparse",
    "lava.magma.core.run_conditions",
]
COMPILE = f"compile {DIGITS / 'model.pt'} --samples 2 --teacher {DIGITS / 'teacher.onnx'} --out out --target"
COMMANDS = [
    f"{COMPILE} loihi",
    *([f"{COMPILE} lava", f"{COMPILE} norse"] if LONG else []),
    f"inspect {DIGITS / 'model.pt'} --svg pictures",
    *(
        ["report out", f"bench {DIGITS / 'model.pt'} --target loihi --samples 2 --seconds 0.1"]
        if LONG
        else []
    ),
]
RUN = """
import sys, time, importlib
from sne_deploy import cli
for name in {heavy!r}:
    importlib.import_module(name)
for line in {commands!r}:
    sys.argv = ["sne", *line.split()]
    status = cli.main()
    if status:
        sys.exit(f"{{line}}: status {{status}}")
time.sleep({wait})
"""
LOOKS = """
import socket
socket.getaddrinfo("example.org", 80)
socket.socket().connect_ex(("198.51.100.7", 81))
"""


@functools.cache
def namespaces() -> bool:
    """Whether this machine lets a user have a network of his own."""
    return subprocess.run([*UNSHARE, "ip", "link"], capture_output=True).returncode == 0


def watched(program: str, folder: Path, **environment: str) -> list[str]:
    """What a program did on the network."""
    if not namespaces():
        pytest.skip("namespaces are not to be had here; the test without them runs")
    path = os.pathsep.join([str(ROOT), str(ROOT / "backends")])
    found = subprocess.run(
        [*UNSHARE, sys.executable, "-m", "tests.network_watch", sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "HOME": str(folder), "TMPDIR": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert found.returncode == 0, found.stderr
    mark = "network: "
    return [line.removeprefix(mark) for line in found.stdout.splitlines() if line.startswith(mark)]


def test_the_watch_sees_names_and_calls(tmp_path: Path) -> None:
    assert watched(LOOKS, tmp_path) == ["name example.org", "call of 198.51.100.7, port 81"]


def test_no_command_calls_anybody(tmp_path: Path) -> None:
    program = RUN.format(heavy=HEAVY, commands=COMMANDS, wait=WAIT_S)
    assert watched(program, tmp_path) == []
    assert not list(tmp_path.rglob("*.ses"))
    assert not (tmp_path / ".cache" / "Microsoft").exists()


@pytest.mark.skipif(not LONG, reason="it takes onnxruntime ten seconds")
def test_the_watch_sees_what_onnxruntime_does_where_it_is_let(tmp_path: Path) -> None:
    program = (
        "import onnxruntime, time; "
        f"session = onnxruntime.InferenceSession({str(DIGITS / 'teacher.onnx')!r}); time.sleep({WAIT_S})"
    )
    assert watched(program, tmp_path, ORT_DISABLE_TELEMETRY="0")


HOOK = """
import sys
def note(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        sys.exit(f"{event} {arguments}")
    if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] != "127.0.0.1":
        sys.exit(f"{event} {arguments}")
sys.addaudithook(note)
"""


@pytest.mark.skipif(namespaces(), reason="a network of its own shows more")
def test_no_socket_is_opened_by_python(tmp_path: Path) -> None:
    program = HOOK + RUN.format(heavy=HEAVY, commands=COMMANDS, wait=0)
    run = functools.partial(subprocess.run, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    found = run([sys.executable, "-c", program])
    assert found.returncode == 0, found.stderr
    assert "socket.getaddrinfo" in run([sys.executable, "-c", HOOK + LOOKS]).stderr
