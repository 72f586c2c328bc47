"""What must hold for every file that is read, however hostile; and a watch on files that must stay closed."""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import time
from contextlib import contextmanager

from sne_deploy.errors import SneError, VerificationError
from sne_deploy.frontend.hdf5.file import Limits
from sne_deploy.frontend.models import ensemble_of_graphs
from sne_deploy.frontend.nir.file import read_nir
from sne_deploy.frontend.options import ReadOptions
from sne_deploy.model.ensemble import Encoder
from sne_deploy.passes.pipeline import compile_student
from sne_deploy.sandbox.process import PATIENCE
from tests.chip_registers import LOIHI1

LIMITS = Limits(
    total_bytes=16 << 20,
    text_bytes=1 << 20,
    file_bytes=16 << 20,
    objects=2000,
    chunks=2000,
    memory_bytes=1 << 29,
    seconds=1,
)
"""Smaller than those of the product, so that a file that reaches one is soon answered."""
WALL_S = PATIENCE * LIMITS.seconds + 20.0  # the machine may be busy
PARENT_BYTES = 8 * LIMITS.total_bytes


def outcome(path, limits=LIMITS):
    """Read and compile a file: "compiled", "refused to compile" or what the reader said; else fail."""
    start, before = time.monotonic(), _peak_bytes()
    try:
        graph, said = read_nir(path, limits), ""
    except SneError as error:
        graph, said = None, _one_line(error)
        if "its reader was stopped" in said:
            said = "stopped"  # for processor time, or on a busy machine for wall time
    assert time.monotonic() - start < WALL_S, f"{path}: took longer than {WALL_S} s"
    assert _peak_bytes() - before < PARENT_BYTES, f"{path}: took more than {PARENT_BYTES} bytes here"
    return said if graph is None else _compile(graph)


def _compile(graph):
    known = graph.metadata.get("dt_s")
    try:
        ensemble = ensemble_of_graphs(
            [graph], ["any"], ReadOptions(timesteps=3, dt_s=0.001 if known is None else None)
        )
        compile_student(
            ensemble.students[0],
            input_shape=ensemble.input_shape,
            timesteps=3,
            encoder=Encoder("spikes"),
            precision="fixed",
            formats=LOIHI1,
        )
    except VerificationError as error:
        raise AssertionError(f"the compiler made an invalid program: {error}") from error
    except SneError as error:
        _one_line(error)
        return "refused to compile"
    return "compiled"


def _one_line(error):
    text = str(error)
    assert text.isprintable(), f"control characters in {text!r}"
    assert 0 < len(text) <= 4000, f"{len(text)} characters"
    assert "Too many open files" not in text, f"the child needs a file that it cannot open: {text}"
    return text


def _peak_bytes():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextmanager
def untouched(folder):
    """Fail if a file in a folder is opened or read meanwhile, by any process."""
    libc = ctypes.CDLL(None, use_errno=True)
    opened, accessed = 0x20, 0x01
    watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert watch >= 0, os.strerror(ctypes.get_errno())
    try:
        assert libc.inotify_add_watch(watch, os.fsencode(folder), opened | accessed) >= 0
        yield
        names = _events(watch)
        assert not names, f"opened although it must not be: {names}"
        for item in os.scandir(folder):  # the watch itself works
            with open(item.path, "rb"):  # noqa: PTH123
                pass
            assert item.name in _events(watch)
    finally:
        os.close(watch)


def _events(watch):
    """Names of the files that something happened to."""
    try:
        data = os.read(watch, 1 << 16)
    except BlockingIOError:
        return []
    names = []
    while data:
        size = struct.unpack_from("iIII", data)[3]
        names.append(data[16 : 16 + size].rstrip(b"\0").decode())
        data = data[16 + size :]
    return names
