"""Every disagreement that was ever found, by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sne_deploy.backend import RunOptions
from sne_deploy.ir.program import Synapse
from sne_deploy.ir.weights import DenseWeights
from sne_loihi import LoihiBackend
from tests.reference import assert_equal, simulate
from tests.small_programs import one_layer


@pytest.mark.parametrize(
    ("weights", "mode"),
    [
        ([[-255, 0], [0, -1]], "inhibitory"),
        ([[255, 0], [0, 1]], "excitatory"),
        ([[-256, 254], [0, -2]], "mixed"),
    ],
)
def test_weights_of_nine_bits_with_zeros_fit_eight_bit_products(weights: list[list[int]], mode: str) -> None:
    program = one_layer(weights, mode)
    inputs = np.ones((2, 4, 2), np.uint8)
    inputs[1, :, 0] = 0
    expected = simulate(program, inputs)
    for method in ("matrix", "events"):
        executable = LoihiBackend().compile(program, RunOptions(extra={"method": method}))
        trace = executable.run(inputs)
        assert trace.raw_outputs.tolist() == expected.raw_outputs
        assert [layer.synops.tolist() for layer in trace.layers] == [expected.layers["g"].synops]
    assert_equal(executable.run(inputs, "all"), expected, program)


@pytest.mark.parametrize("extra", [{}, {"device": "cpu"}])
def test_synapses_into_several_groups_may_share_a_name(extra: dict[str, str]) -> None:
    program = one_layer([[200, 0], [0, 2]], "mixed")
    other = DenseWeights(np.asarray([[0, 180], [160, 4]], np.int32))
    program = replace(
        program,
        groups=(*program.groups, replace(program.groups[0], name="h")),
        synapses=(*program.synapses, Synapse("s", "input", "h", other)),
        outputs=("g", "h"),
    )
    inputs = np.ones((2, 4, 2), np.uint8)
    inputs[1, :, 0] = 0
    trace = LoihiBackend().compile(program, RunOptions(extra=extra)).run(inputs, "all")
    assert_equal(trace, simulate(program, inputs), program)
