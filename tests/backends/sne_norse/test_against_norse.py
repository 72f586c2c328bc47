"""The graph executor against Norse's own cells, on chains that both can run, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.ir.program import Program
from sne_norse.graph_executor import GraphExecutor
from tests.backends.sne_norse.chains import CELL, DRAW, SAMPLES, SIZE, STEPS, chain, compiled, samples
from tests.effort import examples
from tests.networks import INPUT_SHAPE, NETWORKS, network
from tests.norse_oracle import norse_steps


def check(program: Program, inputs: np.ndarray) -> int:
    """Every group at every step: spikes bit for bit, membranes to rounding; the number of spikes."""
    sent, count = GraphExecutor(program).run(inputs), 0
    for t, expected in enumerate(norse_steps(program, inputs)):
        assert set(expected) == set(sent) == {group.name for group in program.groups}
        for group in program.groups:
            got = sent[group.name][:, t]
            assert got.dtype == (np.uint8 if group.spiking else np.float64)
            if group.spiking:
                np.testing.assert_array_equal(got, expected[group.name], f"{group.name}, {t}")
                count += int(got.sum())
            else:
                np.testing.assert_allclose(got, expected[group.name], rtol=1e-11, atol=1e-12)
    return count


@pytest.mark.parametrize("encoder", ["spikes", "constant", "graded"])
@pytest.mark.parametrize("name", NETWORKS)
def test_small_networks(name: str, encoder: str) -> None:
    program = compiled(network(name), INPUT_SHAPE, encoder)
    assert check(program, samples(program, seed=3)) > SAMPLES * STEPS


@given(
    st.lists(CELL, min_size=1, max_size=3),
    st.sampled_from(("spikes", "constant", "graded")),
    st.sampled_from((None, "LICell")),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=examples(60))
def test_random_chains(cells: list[dict[str, Any]], encoder: str, readout: str | None, seed: int) -> None:
    """A membrane that meets its threshold to within rounding is the one excuse; random numbers never do."""
    program = compiled(chain(cells, readout, seed), (SIZE,), encoder)
    check(program, samples(program, seed))


def test_the_random_chains_spike() -> None:
    """What the property compares is not silence."""
    program = compiled(chain([{"kind": "LIFCell", **DRAW}], None, 0), (SIZE,), "spikes")
    assert check(program, samples(program, 0)) > 20
