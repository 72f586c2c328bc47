"""What a target with less of the registers says of it: against the same student with all of them."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest

import sne_deploy as sne
from sne_deploy.ir.program import Program
from sne_deploy.passes.narrowing import what_narrowing_costs
from tests.frontend.nir.test_input_shapes import chain, lif, shape

pytestmark = pytest.mark.usefixtures("warm_lava")


def programs(bias: float) -> tuple[Program, Program]:
    """A student on target netx, and on loihi."""
    pytest.importorskip("sne_netx")
    rng = np.random.default_rng(0)
    layer = nir.Affine(rng.normal(size=(8, 6)), np.full(8, bias))
    graph = chain(
        layer, lif(8), nir.Linear(rng.normal(size=(3, 8))), lif(3), enters=shape(6), leaves=shape(3)
    )
    graph.metadata = {"dt_s": 0.001}
    found = []
    for target in ("netx", "loihi"):
        with sne.compile(graph, target, timesteps=5, fidelity=False) as compiled:
            found += compiled.programs
    return found[0], found[1]


def test_the_difference_is_that_of_the_numbers_for_which_registers_stand() -> None:
    narrow, whole = programs(bias=0.013)
    (said,) = (text for text in narrow.warnings if "registers" in text)
    assert not any("registers" in text for text in whole.warnings)
    assert "no exponent of weights above 0 and no exponent of biases but 6 to 6" in said
    a, b = narrow.groups[0], whole.groups[0]
    biases = [float(np.max(g.bias_mant)) * 2.0**g.bias_exp / g.scale for g in (a, b)]
    threshold = float(b.vth_mant) * 64 / b.scale
    assert f"{100 * abs(biases[0] - biases[1]) / threshold:.2g} % of the threshold" in said
    assert "in the worst, 'n1'" in said
    assert what_narrowing_costs(whole, whole) == ()


def test_weights_that_differ_in_one_are_told_by_their_root_mean_square() -> None:
    _, whole = programs(bias=0.0)
    first = whole.synapses[0]
    values = np.array(first.weights.values)
    off = np.zeros_like(values)
    off[0, 0] = 8
    changed = replace(first, weights=first.weights.with_values(values + off))
    other = replace(whole, synapses=(changed, *whole.synapses[1:]))
    (said,) = what_narrowing_costs(other, whole)
    assert f"weights by {100 * 8 / np.sqrt(np.sum(values.astype(float) ** 2)):.2g} % (root" in said
    assert "in 1 of 2 layers" in said


def test_neurons_with_scales_of_their_own_are_compared_each_in_its_own() -> None:
    pytest.importorskip("sne_netx")
    units = np.array([1.0, 10.0, 1e3, 1e4])
    weights = np.abs(np.random.default_rng(0).normal(size=(4, 10)))
    neurons = nir.LIF(
        tau=np.full(4, 0.01), r=np.ones(4), v_leak=np.zeros(4), v_threshold=units, v_reset=np.zeros(4)
    )
    graph = chain(nir.Linear(weights * units[:, None]), neurons, enters=shape(10), leaves=shape(4))
    graph.metadata = {"dt_s": 0.001}
    with sne.compile(graph, "loihi", timesteps=5, fidelity=False) as compiled:
        (whole,) = compiled.programs
    with sne.compile(graph, "netx", timesteps=5, fidelity=False) as compiled:
        (narrow,) = compiled.programs
    assert np.shape(whole.groups[0].scale) == (4,)
    assert what_narrowing_costs(whole, whole) == ()
    for text in what_narrowing_costs(narrow, whole):
        assert "thresholds by 0" in text
