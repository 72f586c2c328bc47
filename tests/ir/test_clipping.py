"""Currents from the host that may be clipped: with the clip and without it, the same spikes."""

from dataclasses import replace

import norse.torch as norse
import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from norse.torch.functional.lif_box import LIFBoxParameters
from torch import nn

from sne_deploy.frontend.norse.modules import layers_from_module
from sne_deploy.ir.clipping import clips_harmlessly
from sne_deploy.model.ensemble import Encoder, Student
from sne_deploy.passes.pipeline import compile_student
from tests import reference
from tests.chip_registers import LOIHI1
from tests.effort import examples

STEPS = 4


def compiled(module: nn.Module, kind: str = "constant", precision: str = "fixed"):
    return compile_student(
        Student("s", layers_from_module(module), "v_last"),
        input_shape=(4,),
        timesteps=STEPS,
        encoder=Encoder(kind),
        precision=precision,
        formats=LOIHI1,
    )


def network(seed: int, spread: float, cell: nn.Module) -> nn.Module:
    """A first layer of which some neurons get far more current than others."""
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(4, 12), cell, nn.Linear(12, 2), norse.LIBoxCell())
    with torch.no_grad():
        module[0].weight[::3].mul_(spread)
        module[0].bias[::3].mul_(spread)
    return module.eval()


def boxes(tau_mem_inv: float = 500.0) -> nn.Module:
    return norse.LIFBoxCell(LIFBoxParameters(tau_mem_inv=torch.tensor(tau_mem_inv), v_th=torch.tensor(0.1)))


@settings(max_examples=examples(10))
@given(seed=st.integers(0, 2**31), spread=st.floats(1e3, 1e4), cell=st.sampled_from(["box", "if"]))
def test_spikes_are_those_of_currents_that_are_not_clipped(seed, spread, cell):
    program = compiled(network(seed, spread, boxes() if cell == "box" else norse.IAFCell()))
    (host,) = program.hosts
    x = np.random.default_rng(seed).random((3, 4))
    unclipped = replace(program, hosts=(replace(host, register_limit=2**17 - 1),))  # u would wrap above
    found, wanted = (reference.simulate(one, x) for one in (program, unclipped))
    first = program.groups[0].name
    assert np.array_equal(found.layers[first].raster, wanted.layers[first].raster)
    assert host.drive(x)[1] > 0
    assert program.driven(x)[1] == 0


def test_thresholds_are_stored_finely_beside_large_currents():
    plain, wide = compiled(network(0, 1.0, boxes())), compiled(network(0, 1e3, boxes()))
    assert int(plain.groups[0].vth_mant) >= 128
    assert int(wide.groups[0].vth_mant) >= 128
    assert wide.hosts[0].drive(np.ones((1, 4)))[1] > 0


def test_what_depends_on_the_size_of_a_current_is_not_clipped():
    x = np.ones((1, 4))
    leaky = nn.Sequential(nn.Linear(4, 3), norse.LIBoxCell())
    with torch.no_grad():
        leaky[0].weight[0] *= 1e4
    for module in (network(0, 1e4, norse.LIFCell()), leaky):
        program = compiled(module)
        assert not program.clips_harmlessly(program.hosts[0])
        assert program.driven(x)[1] == 0
    graded = compiled(network(0, 1e4, boxes()), "graded")
    assert not graded.clips_harmlessly(graded.hosts[0])
    group = compiled(network(0, 1e4, boxes())).groups[0]
    assert clips_harmlessly(group, (), "current")
    for change in ({"v_init": np.array(5)}, {"bias_mant": np.array(-1)}, {"reset_delayed": True},
                   {"vsub_mant": group.vth_mant + 1}):  # fmt: skip
        assert not clips_harmlessly(replace(group, **change), (), "current")
