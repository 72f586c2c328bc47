"""What rounding silences is told by name and share, and what it does not silence is not."""

from __future__ import annotations

import numpy as np

from sne_deploy.passes.quantise import Quantise
from tests.chip_registers import LOIHI1
from tests.float_programs import float_program


def test_neurons_that_cannot_spike_any_more_are_named() -> None:
    """One scale, as training has it."""
    weights = np.abs(np.random.default_rng(0).normal(size=(4, 10))) * np.array([[1e-4], [1], [1], [1]])
    real = float_program(weights, vth_mant=np.array([1e-4, 1.0, 1.0, 1.0]))
    warnings = "\n".join(Quantise(LOIHI1, own_scales=False).apply(real).warnings)
    assert "layer 'g': quantisation silences 1 of 4 neurons, which cannot spike any more: 0" in warnings
    assert "10 of 40 weights of 'fc' round to zero" in warnings
    assert "of neuron 0's, 100.0%" in warnings
    assert Quantise(LOIHI1).apply(real).warnings == ()


def test_readouts_that_hear_nothing_any_more_are_named() -> None:
    weights = np.random.default_rng(0).normal(size=(4, 10)) * np.array([[1], [1e-6], [1], [1e-6]])
    warnings = Quantise(LOIHI1, own_scales=False).apply(float_program(weights, "li")).warnings
    assert any(
        "silences 2 of 4 neurons, which hear nothing any more" in warning and warning.endswith(": 1, 3")
        for warning in warnings
    )


def test_a_neuron_that_never_could_spike_is_not_told() -> None:
    weights = np.abs(np.random.default_rng(0).normal(size=(4, 10)))
    weights[0] *= 1e-6
    assert Quantise(LOIHI1).apply(float_program(weights)).warnings == ()


def test_small_weights_among_others_are_not_told() -> None:
    weights = np.random.default_rng(0).normal(size=(20, 100))
    weights[:, ::5] *= 1e-5
    assert Quantise(LOIHI1).apply(float_program(weights)).warnings == ()
