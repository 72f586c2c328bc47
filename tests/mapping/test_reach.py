"""The one matrix that counts and limits stand on, against loops over neurons and synapses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.ir.program import Program
from sne_deploy.mapping import reach as module
from sne_deploy.mapping.reach import reach
from tests.effort import examples
from tests.strategies import programs


@settings(max_examples=examples(25))
@given(programs("fixed"), st.data())
@pytest.mark.parametrize("block", [1, 7, 2**22])
def test_every_synapse_is_counted_on_its_targets_core(
    block: int, program: Program, data: st.DataObject
) -> None:
    cores = data.draw(st.integers(1, 6))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        for synapse in program.synapses:
            matrix = synapse.weights.matrix().toarray()
            core_of = rng.integers(0, cores, len(matrix)).astype(np.int32)
            if data.draw(st.booleans()):
                core_of = np.sort(core_of)
            wanted = np.zeros((matrix.shape[1], cores), np.int64)
            for target, source in zip(*np.nonzero(matrix), strict=True):
                wanted[source, core_of[target]] += 1
            found = reach(synapse.weights, core_of, cores)
            assert found.dtype == np.int64
            assert found.has_sorted_indices
            assert found.nnz == np.count_nonzero(wanted)
            np.testing.assert_array_equal(found.toarray(), wanted)
