"""lava-dl's PilotNet, written anew: netx runs our file to the spikes that target loihi computes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sne_deploy.backend import RunOptions
from sne_deploy.frontend.nir.facts import with_facts
from sne_deploy.model.ensemble import Encoder
from sne_loihi import LoihiBackend
from sne_netx import NetxBackend
from sne_netx.format.file import read_net, write_net
from tests.net_programs import same
from tests.shared_data import shared

pytestmark = pytest.mark.usefixtures("warm_lava")


def test_every_layer(tmp_path: Path) -> None:
    program = read_net(shared("models", "pilotnet", "network.net"))
    stated = with_facts(program.graph, program.readout, Encoder("constant", program.input.range), 4)
    program = replace(program, timesteps=4, graph=stated)  # as reading again what was written says it
    write_net(tmp_path / "again.net", program)
    same(program, read_net(tmp_path / "again.net"))
    images = np.random.default_rng(0).uniform(-1, 1, (1, *program.input.shape))
    with (
        NetxBackend().compile(program, RunOptions()) as ours,
        LoihiBackend().compile(program, RunOptions()) as fast,
    ):
        traces = ours.run(images, "spikes"), fast.run(images, "spikes")
    np.testing.assert_array_equal(traces[0].raw_outputs, traces[1].raw_outputs)
    for one, other in zip(*(trace.layers for trace in traces), strict=True):
        np.testing.assert_array_equal(one.synops, other.synops)
        if one.recorded_spikes is not None:
            np.testing.assert_array_equal(one.recorded_spikes, other.recorded_spikes, err_msg=one.name)
    assert [layer.spikes[0] > 0 for layer in traces[0].layers[:6]] == [True] * 6
