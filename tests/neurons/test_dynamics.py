"""The reference step and the bounds of every neuron model against the plain loop of tests/reference.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sne_deploy.ir.bounds import state_bounds
from sne_deploy.ir.program import NeuronGroup
from sne_deploy.neurons.dynamics import Dynamics
from sne_deploy.neurons.table import MODELS
from tests.chip_registers import LOIHI1
from tests.reference import GroupState
from tests.strategies import READOUT_KINDS, SPIKING_KINDS, programs


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_step_is_the_oracles_and_stays_within_the_bounds(data: Any) -> None:
    program = data.draw(programs())
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    reach = data.draw(st.sampled_from((60, 5000, 2**17)))
    for group in program.groups:
        a_in = rng.integers(-reach, reach + 1, (12, group.size))
        a_in = a_in if program.formats else a_in / 64
        bounds = state_bounds(group, a_in.min(axis=0), a_in.max(axis=0), 12, program.formats)
        exact = program.formats is None or not bounds.u_may_wrap(program.formats)
        oracle = GroupState(group, fixed=program.precision == "fixed")
        model = MODELS[group.kind].dynamics(group, program.formats)
        u, v = model.start()
        for a in a_in:
            u, v, spikes = model.step(u, v, a)
            assert np.flatnonzero(spikes).tolist() == oracle.update(a.tolist())
            assert (u.tolist(), v.tolist()) == (oracle.u, oracle.v)
            if exact:
                assert bounds.u_min <= u.min() <= u.max() <= bounds.u_max
                assert bounds.v_min <= v.min() <= v.max() <= bounds.v_max


def test_random_programs_hold_every_model() -> None:
    """So that no target is tested on fewer; models with an update of their own have a test of their own."""
    leaky = {name: model for name, model in MODELS.items() if model.dynamics is Dynamics}
    assert {*SPIKING_KINDS, *READOUT_KINDS} == set(leaky)
    assert {name for name, model in leaky.items() if model.spiking} == set(SPIKING_KINDS)


@pytest.mark.parametrize(
    ("fraction", "du", "dv"),
    [(0.5, 2047, 2048), (0.25, 1023, 1024), (1 / 4096, 0, 1), (0.75, 3071, 3072), (1.0, 4095, 4095)],
)
def test_decay_registers_worked_out_by_hand(fraction: float, du: int, dv: int) -> None:
    """On the chip a current keeps 4096 - du - 1 of 4096, a membrane 4096 - dv."""
    real = NeuronGroup(
        "g", "cuba_lif", (1,),
        du=np.asarray(fraction), dv=np.asarray(fraction), vth_mant=np.asarray(1.0),
        bias_mant=np.asarray(0.0), bias_exp=0, v_init=np.asarray(0.0), depth=1, scale=1.0,
        v_reset=np.asarray(0.0),
    )  # fmt: skip
    made = Dynamics.registers(real, 1.0, LOIHI1)
    assert (int(made["du"]), int(made["dv"])) == (du, dv)
