"""A student's run on registers while it is trained, beside its Program's."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sne_deploy.distill.students.simulate import Simulation
from sne_deploy.ir.program import Program
from tests import reference


def assert_is_the_programs(made: Simulation, program: Program, inputs: npt.NDArray[Any]) -> None:
    """Every neuron's spikes over all steps are the same, and the outputs as near as float32 is."""
    walked = reference.simulate(program, inputs)
    spiking = [group for group in program.groups if group.spiking]
    for group, rate in zip(spiking, made.rates, strict=True):
        counted = np.array(walked.layers[group.name].raster).sum(axis=1)
        made_of_them = (rate * program.timesteps).round().flatten(1).numpy()
        assert np.array_equal(made_of_them, counted), group.name
    outputs = program.readout_in_units(np.array(walked.raw_outputs))
    np.testing.assert_allclose(made.outputs.numpy(), outputs, rtol=1e-5, atol=1e-6)
