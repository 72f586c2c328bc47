"""Lava as oracle: random Programs on both, every spike, register and count equal, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from sne_deploy.backend import RunOptions
from sne_deploy.runtime.trace import Trace
from sne_lava import LavaBackend
from sne_loihi import LoihiBackend
from tests.effort import examples
from tests.strategies import inputs_for, programs

pytestmark = pytest.mark.usefixtures("warm_lava")

SHARDS = 8
CASES = 26
"""Per shard: 208 in all. Each starts Lava once."""

LAVA = settings(
    max_examples=examples(CASES),
    deadline=None,
    derandomize=False,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


def assert_same(ours: Trace, lava: Trace) -> None:
    """Everything that both record."""
    np.testing.assert_array_equal(ours.raw_outputs, lava.raw_outputs)
    np.testing.assert_array_equal(ours.outputs, lava.outputs)
    np.testing.assert_array_equal(ours.input_spikes, lava.input_spikes)
    np.testing.assert_array_equal(ours.host_macs, lava.host_macs)
    assert ours.saturated_inputs == lava.saturated_inputs
    for mine, theirs in zip(ours.layers, lava.layers, strict=True):
        assert mine.name == theirs.name
        for field in ("synops", "spikes", "updates_active", "updates_idle", "recorded_u", "recorded_v"):
            np.testing.assert_array_equal(getattr(mine, field), getattr(theirs, field), err_msg=field)
        if theirs.recorded_spikes is not None:
            np.testing.assert_array_equal(mine.recorded_spikes, theirs.recorded_spikes)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_programs(shard: int) -> None:
    @seed(20260 + shard)
    @LAVA
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        program = data.draw(programs("fixed"))
        inputs = data.draw(inputs_for(program))
        ours = LoihiBackend().compile(program, RunOptions()).run(inputs, "all")
        fast = LoihiBackend().compile(program, RunOptions()).run(inputs, "counts")
        with LavaBackend().compile(program, RunOptions()) as compiled:
            lava = compiled.run(inputs, "all")
        assert_same(ours, lava)
        np.testing.assert_array_equal(fast.raw_outputs, lava.raw_outputs)
        np.testing.assert_array_equal(fast.synops, lava.synops)

    check()
