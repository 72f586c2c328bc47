"""Every disagreement that was ever found, by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sne_deploy.backend import RunOptions
from sne_deploy.ir.program import Program, ProgramInput, Synapse
from sne_deploy.ir.weights import ConvWeights, DenseWeights
from sne_loihi import LoihiBackend
from sne_loihi.products import Convolution
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


def narrow_convolution() -> Program:
    """One place across, one channel, stride 2 across only: oneDNN 3.12 leaves the last rows at 0."""
    program = one_layer([[0]], "mixed")
    conv = ConvWeights(np.array([[[[-52, 54]]]], np.int32), (1, 5, 3), (1, 5, 1), stride=(1, 2))
    return replace(
        program,
        input=ProgramInput("input", (1, 5, 3), "spikes"),
        groups=(replace(program.groups[0], shape=(1, 5, 1)),),
        synapses=(Synapse("s", "input", "g", conv),),
    )


@pytest.mark.parametrize(
    "extra", [pytest.param({"method": "convolution"}, marks=pytest.mark.falls_back), {"device": "cpu"}]
)
def test_a_library_that_gets_a_convolution_wrong_changes_nothing(extra: dict[str, str]) -> None:
    program = narrow_convolution()
    inputs = (np.random.default_rng(0).random((8, 4, 1, 5, 3)) < 0.5).astype(np.uint8)
    trace = LoihiBackend().compile(program, RunOptions(extra=extra)).run(inputs, "all")
    assert_equal(trace, simulate(program, inputs), program)


@pytest.mark.falls_back
@pytest.mark.parametrize("error", [1, -2, 2**20])
def test_a_wrong_sum_of_a_convolution_is_found(error: int, monkeypatch: pytest.MonkeyPatch) -> None:
    program, right, calls = narrow_convolution(), Convolution._sums, []

    def wrong(self: Convolution, spikes: np.ndarray) -> np.ndarray:
        sums = right(self, spikes)
        sums[-1, 2] += error
        calls.append(self)
        return sums

    monkeypatch.setattr(Convolution, "_sums", wrong)
    inputs = (np.random.default_rng(0).random((3, 4, 1, 5, 3)) < 0.5).astype(np.uint8)
    executable = LoihiBackend().compile(program, RunOptions(extra={"method": "convolution"}))
    for _ in range(2):
        assert_equal(executable.run(inputs, "all"), simulate(program, inputs), program)
    assert [found.trusted for found in set(calls)] == [False]
    (text, chunks), *others = executable.fallbacks.items()
    assert (text, others) == (
        "synapse 's': a wrong result of method 'convolution' was replaced by events",
        [],
    )
    assert chunks == len(calls) <= executable.ways.taken["s", "events"]
    assert ("s", "convolution") not in executable.ways.taken
