"""What target netx leaves behind: the student's file, and the script that drives it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import sne_deploy as sne
from sne_deploy.errors import UnsupportedError
from sne_netx import NetxBackend
from sne_netx.format.file import read_net
from tests.net_programs import chain
from tests.reference import simulate


def test_spike_input_needs_no_driver(tmp_path: Path) -> None:
    program, _ = chain("cd", "spikes", "count")
    (net,) = NetxBackend().write(program, tmp_path)
    assert net == tmp_path / "chain.net"
    assert [group.name for group in read_net(net).groups] == [group.name for group in program.groups]
    assert list(tmp_path.iterdir()) == [net]


@pytest.mark.parametrize(
    ("layers", "readout"),
    [
        ("cd", "count"),
        ("cr", "count"),
        ("d", "v_last"),
        ("rd", "v_mean"),
        ("rd", "v_max"),
        ("cd later", "count"),
    ],
)
def test_the_driver_runs_the_file(tmp_path: Path, layers: str, readout: str) -> None:
    program, inputs = chain(layers.split(maxsplit=1)[0], "current", readout)
    if "later" in layers:
        late = replace(program.synapses[-1], delay=2, within_sample=True)
        program = replace(program, synapses=(*program.synapses[:-1], late))
    net, driver = NetxBackend().write(program, tmp_path)
    assert (net.name, driver.name) == ("chain.net", "chain_driver.py")
    np.save(tmp_path / "samples.npy", inputs)
    command = [sys.executable, driver, tmp_path / "samples.npy", tmp_path / "outputs.npy"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "outputs.npy"), simulate(program, inputs).raw_outputs)


def test_the_driver_says_how_it_is_used(tmp_path: Path) -> None:
    _, driver = NetxBackend().write(chain("d", "current", "count")[0], tmp_path)
    shown = subprocess.run([sys.executable, driver], check=False, capture_output=True, text=True)
    assert shown.returncode == 1
    assert "python chain_driver.py samples.npy outputs.npy" in shown.stderr
    assert "shape (N, 2, 6, 5)" in shown.stderr
    assert "@" not in driver.read_text().replace("matrix @ x", "")


def test_a_program_that_netx_does_not_run_leaves_nothing(tmp_path: Path) -> None:
    program, _ = chain("cd", "spikes", "count")
    soft = tuple(replace(group, vsub_mant=np.asarray(3, np.int32)) for group in program.groups)
    with pytest.raises(UnsupportedError, match="soft reset; netx resets v to 0"):
        NetxBackend().write(replace(program, groups=soft), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_a_bias_for_every_neuron_is_compared_with_floating_point(tmp_path: Path) -> None:
    """Its graph has the neurons in a row, since a convolution in NIR has one bias for each channel."""
    program, inputs = chain("c", "spikes", "count")
    group = program.groups[0]
    bias = np.arange(group.size, dtype=np.int32) % 7
    (net,) = NetxBackend().write(replace(program, groups=(replace(group, bias_mant=bias),)), tmp_path)
    model = sne.load(net)
    assert model.students[0].network.graph.nodes[group.name].v_threshold.shape == (group.size,)
    report = sne.compile(model, "loihi").run(inputs, np.zeros(len(inputs), np.int64)).report
    assert report.students[0].layers[0].spike_agreement > 0.5
