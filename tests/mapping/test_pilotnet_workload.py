"""PilotNet as it ran on Loihi 2, on no image: by Intel's placement, against the chip's counters."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from sne_deploy.backend import RunOptions, load_backend
from sne_deploy.chips.chip import load_chip
from sne_deploy.mapping.mapper import map_programs
from sne_deploy.mapping.wiring import Wiring
from sne_deploy.runtime.placed import PlacedCounts
from sne_deploy.runtime.placing import Placer
from sne_deploy.runtime.result import StudentResult
from sne_netx.format.file import read_net
from tests.shared_data import shared

NO_INPUT = -100.0
"""What makes no neuron of the input layer fire."""
COUNTED_STEPS = 10_000
TILED_ALIKE = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc2", "fc3", "fc4")
"""The file shares fc1's 100 neurons out evenly; Intel's words say 11 times 9 and 1."""


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return json.loads(shared("energy", "pilotnet_lif_loihi2.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def ran() -> tuple[StudentResult, PlacedCounts, dict[str, np.ndarray]]:
    """The run, its counts, and the cores of each layer, by the file's names."""
    program, chip = read_net(shared("models", "pilotnet", "network.net")), load_chip("loihi2")
    image = np.full((1, *program.input.shape), NO_INPUT)
    with load_backend("loihi").compile(program, RunOptions()) as executable:
        trace = executable.run(image, "spikes")
    student = StudentResult(program, np.ones(1, np.bool_), trace.spread(np.ones(1, np.bool_)), None)
    placement = map_programs([program], chip, "intel")
    counts, _ = Placer(Wiring.of(program, placement, chip), None).count(student, image)
    assert counts is not None
    names = ["input", *(f"conv{i}" for i in range(1, 6)), *(f"fc{i}" for i in range(1, 5))]
    cores = {name: np.unique(group.core_of) for name, group in zip(names, placement.groups, strict=True)}
    return student, counts, cores


def test_spikes_updates_and_synops_of_every_layer_are_the_files(ran: Any, measured: dict[str, Any]) -> None:
    student, counts, cores = ran
    for layer, group in zip(measured["per_inference"], student.program.groups, strict=True):
        on = cores[layer["layer"]]
        assert (int(student.spikes[group.name].sum()) if group.spiking else 0) == layer["spikes"]
        assert counts.updates[on].sum() == layer["neuron_updates"]
        assert counts.synops[on].sum() == layer["synops_nonzero"]
        assert len(on) == layer["cores_intel"]
        if layer["layer"] in TILED_ALIKE:
            assert counts.synops[on].tolist() == layer["synops_per_core_nonzero"]


def test_synops_per_core_are_within_one_per_cent_of_the_hardwares_counters(
    ran: Any, measured: dict[str, Any]
) -> None:
    """The counter is one core's; a layer's first core is a whole tile inside the map."""
    student, counts, cores = ran
    counters = measured["hardware_synop_counters_1e6_per_core_per_1e4_steps"]
    assert set(counters) == {"conv2", "conv3", "conv4"}
    for layer, millions in counters.items():
        per_step = counts.synops[cores[layer][0]] / student.program.timesteps
        assert per_step * COUNTED_STEPS / 1e6 == pytest.approx(millions, rel=0.01)
