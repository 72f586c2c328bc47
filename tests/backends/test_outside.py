"""How often u leaves its register and v is clipped: counted alike by every simulator, and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.backend import RunOptions, load_backend
from sne_deploy.ir.bounds import register_bounds
from sne_deploy.ir.program import Program, Synapse
from sne_deploy.ir.weights import DenseWeights
from tests.effort import examples
from tests.reference import assert_equal, simulate
from tests.small_programs import one_layer

pytestmark = pytest.mark.usefixtures("warm_lava")


@st.composite
def driven_hard(draw: st.DrawFn) -> tuple[Program, np.ndarray]:
    """Neurons, or a readout, whose input is of the size of their registers, perhaps on a cycle."""
    rows = st.lists(st.integers(-127, 127).map(lambda value: 2 * value), min_size=3, max_size=3)
    program = one_layer([draw(rows), draw(rows)], "mixed")
    changes = {
        "kind": draw(st.sampled_from(["cuba_lif", "cuba_lif", "cuba_li"])),
        "du": np.asarray(draw(st.sampled_from([0, 0, 5, 300, 4095])), np.int32),
        "dv": np.asarray(draw(st.sampled_from([0, 7, 4096 // 2])), np.int32),
        "vth_mant": np.asarray(draw(st.sampled_from([100, 2**17 - 1])), np.int32),
        "vsub_mant": draw(st.sampled_from([None, np.asarray(50, np.int32), np.asarray(0, np.int32)])),
    }
    spiking = changes["kind"] != "cuba_li"
    if not spiking:
        changes["vsub_mant"] = None
    elif changes["vsub_mant"] is None:
        changes["reset_delayed"] = draw(st.booleans())
    group = replace(program.groups[0], **changes)
    (synapse,) = program.synapses
    synapses = [replace(synapse, weight_exp=draw(st.integers(6, 7)))]
    if spiking and draw(st.booleans()):
        within = DenseWeights(np.asarray([[90, -200], [254, 30]], np.int32))
        synapses.append(Synapse("r", "g", "g", within, draw(st.integers(6, 7)), "mixed", within_sample=True))
    program = replace(
        program,
        timesteps=12,
        groups=(group,),
        synapses=tuple(synapses),
        readout="count" if spiking else draw(st.sampled_from(["v_last", "v_mean", "v_max"])),
    )
    seed = draw(st.integers(0, 2**32 - 1))
    return program, (np.random.default_rng(seed).random((3, 12, 3)) < 0.7).astype(np.uint8)


@pytest.mark.parametrize("extra", [{}, {"method": "events"}, {"method": "matrix"}, {"device": "cpu"}])
def test_loihi_counts_what_a_walk_counts(extra: dict[str, str]) -> None:
    seen = np.zeros(2, np.int64)

    @settings(max_examples=examples(25), deadline=None, database=None)
    @given(driven=driven_hard())
    def check(driven: tuple[Program, np.ndarray]) -> None:
        program, inputs = driven
        trace = load_backend("loihi").compile(program, RunOptions(extra=extra)).run(inputs, "all")
        assert_equal(trace, simulate(program, inputs), program)
        (layer,) = trace.layers
        seen[:] += layer.u_wraps.sum(), layer.v_saturations.sum()
        bounds = register_bounds(program)["g"]
        assert bounds.u_may_wrap(program.registers) or not layer.u_wraps.any()
        assert bounds.v_may_saturate(program.registers) or not layer.v_saturations.any()

    check()
    assert (seen > 30).all(), seen


@pytest.mark.parametrize("kind", ["cuba_lif", "cuba_li"])
def test_lava_counts_what_a_walk_counts(kind: str) -> None:
    program = one_layer([[254, 254, 200], [-254, -100, 60]], "mixed")
    group = replace(
        program.groups[0],
        kind=kind,
        du=np.asarray(30, np.int32),
        dv=np.asarray([0, 1], np.int32),
        vth_mant=np.asarray(2**17 - 1, np.int32),
        vsub_mant=np.asarray(9, np.int32) if kind == "cuba_lif" else None,
    )
    synapse = replace(program.synapses[0], weight_exp=7)
    readout = "count" if kind == "cuba_lif" else "v_last"
    program = replace(program, timesteps=16, groups=(group,), synapses=(synapse,), readout=readout)
    inputs = np.random.default_rng(0).integers(0, 2, (4, 16, 3), np.uint8)
    with load_backend("lava").compile(program, RunOptions()) as executable:
        trace = executable.run(inputs, "all")
    assert_equal(trace, simulate(program, inputs), program)
    assert trace.layers[0].u_wraps.sum() > 5
    assert trace.layers[0].v_saturations.sum() > 5


def test_what_cannot_leave_its_register_is_zero_and_floats_have_none() -> None:
    program = one_layer([[2, 4]], "mixed")
    inputs = np.ones((2, 4, 2), np.uint8)
    (layer,) = load_backend("loihi").compile(program, RunOptions()).run(inputs).layers
    assert layer.u_wraps.tolist() == layer.v_saturations.tolist() == [0, 0]
    group = replace(program.groups[0], du=np.asarray(1.0), dv=np.asarray(0.5))
    real = replace(program, precision="float", groups=(group,), formats=None)
    with load_backend("lava").compile(real, RunOptions()) as executable:
        (layer,) = executable.run(inputs).layers
    assert layer.u_wraps is None
    assert layer.v_saturations is None
