"""Files that sne-deploy did not write: netx computes of them what the Program read from them computes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sne_deploy.backend import RunOptions
from sne_netx.executable import NetStudent, NetxExecutable
from sne_netx.format.file import read_net
from tests.backends.sne_netx.test_net_layers import dense_file, old_file, store
from tests.reference import simulate

pytestmark = pytest.mark.usefixtures("warm_lava")

RNG = np.random.default_rng(3)
FIRST, SECOND = RNG.integers(-40, 56, (6, 8)) * 2, RNG.integers(-40, 56, (3, 6)) * 2


def with_input_neurons() -> Any:
    tree = old_file()
    tree["layer"]["0"]["weight"] = np.float32(40)  # netx takes no array of one with NumPy 2.4
    return tree


def summing() -> Any:
    tree = dense_file(FIRST, SECOND)
    del tree["layer"]["1"]["neuron"]
    return tree


def delayed() -> Any:
    tree = dense_file(FIRST, SECOND, delay=RNG.integers(0, 4, 3))
    tree["layer"]["0"]["delay"] = RNG.integers(0, 3, (6, 8)).astype(np.float32)
    return tree


def odd() -> Any:
    return dense_file(FIRST // 2 + 1, SECOND // 2)


FILES = {
    "convolution and input neurons": with_input_neurons,
    "without a neuron": summing,
    "delays": delayed,
    "odd weights of both signs": odd,
    "weights out of range": lambda: dense_file(FIRST * 4, SECOND),
}


@pytest.mark.parametrize("name", FILES)
def test_netx_agrees_with_what_was_read(tmp_path: Path, name: str) -> None:
    path = store(tmp_path / "a.net", FILES[name]())
    program = replace(read_net(path), timesteps=8)
    rng = np.random.default_rng(1)
    if program.hosts:
        inputs = rng.random((1, *program.input.shape))
    else:
        inputs = (rng.random((1, 8, *program.input.shape)) < 0.5).astype(np.uint8)
    student = NetStudent(program, path.read_bytes(), program.input.shape)
    trace = NetxExecutable(student, RunOptions(), 600.0).run(inputs, "spikes")
    expected = simulate(program, inputs)
    assert trace.raw_outputs.tolist() == expected.raw_outputs
    for group, layer in zip(program.groups, trace.layers, strict=True):
        wanted = expected.layers[group.name]
        assert layer.synops.tolist() == wanted.synops
        if group.spiking:
            np.testing.assert_array_equal(layer.recorded_spikes[0].reshape(8, -1), wanted.raster[0])
            assert layer.spikes[0] > 0
