"""Every disagreement that was ever found, by name."""

from __future__ import annotations

import numpy as np
import pytest

from sne_deploy.backend import RunOptions
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
